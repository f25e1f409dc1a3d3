//! ClusterClasses. (CAPI v1.14: core/webhooks/admission/clusterclass.go)

use serde_json::{Value, json};

use super::{compatibility, health_checks, naming, patches, usage, values};
use crate::api::strategy::controlplane::validate_taints;
use crate::api::topology::ClusterClass;
use crate::api::topology::variables::{validate_definitions, validate_metadata};
use crate::api::topology::version::Version;
use crate::machinery::definition::{Objects, Verdict};
use crate::machinery::status::Cause;

/// Checks a class, and a changed one against the Clusters that use it.
pub(super) fn validate(new: &Value, old: Option<&Value>, objects: &dyn Objects) -> Verdict {
    let Ok(class) = serde_json::from_value::<ClusterClass>(new.clone()) else {
        return Verdict::default();
    };
    let mut causes = validate_alone(&class, new);
    let old: Option<ClusterClass> = old.and_then(|old| serde_json::from_value(old.clone()).ok());
    if let Some(old) = old {
        causes.extend(compatibility::classes_are_compatible(&old, &class));
        let clusters = usage::clusters_of(&old, objects);
        causes.extend(usage::validate(&old, &class, &clusters));
    }
    Verdict { causes, warnings: Vec::new() }
}

fn validate_alone(class: &ClusterClass, written: &Value) -> Vec<Cause> {
    let spec = &class.spec;
    let deployments = &spec.workers.machine_deployments;
    let pools = &spec.workers.machine_pools;
    let of = |list: &str, class: &str, field: &str| format!("spec.workers.{list}[{class}].{field}");
    let mut causes = compatibility::templates_are_valid(class);
    causes.extend(compatibility::worker_classes_are_unique(class));
    for one in deployments {
        let path = of("machineDeployments", &one.class, "rollout.strategy");
        causes.extend(values::validate_rollout(&one.rollout.strategy, &path));
    }
    causes.extend(health_checks::validate_class(class));
    causes.extend(naming::validate(class));
    let taints = json!(spec.control_plane.taints);
    causes.extend(validate_taints(&taints, "spec.controlPlane.taints"));
    for one in deployments {
        let path = of("machineDeployments", &one.class, "taints");
        causes.extend(validate_taints(&json!(one.taints), &path));
    }
    for one in pools {
        let path = of("machinePools", &one.class, "taints");
        causes.extend(validate_taints(&json!(one.taints), &path));
    }
    causes.extend(validate_definitions(&spec.variables, "spec.variables"));
    causes.extend(patches::validate(class, written));
    let metadata = json!(spec.control_plane.metadata);
    causes.extend(validate_metadata(&metadata, "spec.controlPlane.metadata"));
    for one in deployments {
        let path = of("machineDeployments", &one.class, "template.metadata");
        causes.extend(validate_metadata(&json!(one.metadata), &path));
    }
    for one in pools {
        let path = of("machinePools", &one.class, "template.metadata");
        causes.extend(validate_metadata(&json!(one.metadata), &path));
    }
    causes.extend(validate_versions(&spec.kubernetes_versions));
    causes
}

/// Versions ascend, and leave no minor version out.
fn validate_versions(versions: &[String]) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut previous: Option<Version> = None;
    for (index, written) in versions.iter().enumerate() {
        let mut refuse = |detail: &str| {
            let at = format!("spec.kubernetesVersion[{index}]");
            causes.push(Cause::invalid(at, &json!(written), detail));
        };
        let Some(version) = Version::parse_tolerant(written) else {
            refuse("version must be a valid semantic version");
            continue;
        };
        if let Some(previous) = &previous {
            if !previous.is_older_or_other_build(&version) {
                refuse(&format!("version must be greater than v{previous}"));
            }
            let minor = previous.minor;
            let next = minor.saturating_add(1);
            if version.minor != minor && version.minor != next {
                refuse(&format!(
                    "expecting a version with minor {minor} or {next}, found version {version}"
                ));
            }
        }
        previous = Some(version);
    }
    causes
}
