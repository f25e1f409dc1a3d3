//! Clusters and the class that they are made from.
//! (CAPI v1.14: core/webhooks/admission/cluster.go)

use serde_json::{Value, json};

use super::values;
use super::{CLASSES, annotation, class_key, compatibility, health_checks, managed, upgrades};
use crate::api::core::Cluster;
use crate::api::strategy::controlplane::validate_taints;
use crate::api::topology::variables::validate_metadata;
use crate::api::topology::version::Version;
use crate::api::topology::{ClusterClass, ClusterVariable, variables};
use crate::machinery::definition::{ObjectKind, Objects, Verdict};
use crate::machinery::status::{Cause, quote};

const UPGRADE_CONCURRENCY: &str = "topology.cluster.x-k8s.io/upgrade-concurrency";
const ALLOW_CLASS: &str = "unsafe.topology.cluster.x-k8s.io/disable-update-class-name-check";
const ALLOW_VERSION: &str = "unsafe.topology.cluster.x-k8s.io/disable-update-version-check";
const CONTROL_PLANE: &str = "/spec/topology/controlPlane/variables/overrides";

/// A class that exists and is not reconciled yet is worth a moment.
pub(super) fn awaits(object: &Value, objects: &dyn Objects) -> Option<ObjectKind<'static>> {
    let cluster = managed(object)?;
    let class = find_class(&cluster, objects)?;
    (!is_reconciled(&class)).then_some(CLASSES)
}

fn find_class(cluster: &Cluster, objects: &dyn Objects) -> Option<ClusterClass> {
    let (namespace, name) = cluster.class_key()?;
    serde_json::from_value(objects.get(CLASSES, namespace, name)?).ok()
}

/// Whether the class's variables are those of its spec.
fn is_reconciled(class: &ClusterClass) -> bool {
    let Some(status) = &class.status else { return false };
    let ready = status.conditions.iter().find(|condition| condition.type_ == "VariablesReady");
    status.observed_generation == class.metadata.generation
        && ready.is_some_and(|condition| condition.status != "False")
}

/// Defaults and checks of variables happen together, so that both see one class.
pub(super) fn default(new: &mut Value, old: Option<&Value>, objects: &dyn Objects) -> Vec<Cause> {
    let Some(mut cluster) = managed(new) else { return Vec::new() };
    let version = &mut cluster.spec.topology.version;
    if !version.starts_with('v') {
        version.insert(0, 'v');
        new["spec"]["topology"]["version"] = json!(version);
    }
    if cluster.spec.topology.class_ref.name.is_empty() {
        return vec![Cause::required("spec.topology.classRef.name", "cannot be empty")];
    }
    let Some(class) = find_class(&cluster, objects).filter(is_reconciled) else {
        return Vec::new();
    };
    let definitions = class.status.map(|status| status.variables).unwrap_or_default();
    let old: Option<Cluster> = old.and_then(|old| serde_json::from_value(old.clone()).ok());
    let causes = variables::default_and_validate(&mut cluster, old.as_ref(), &definitions);
    write_back(new, &cluster);
    causes
}

/// Puts variables and overrides where they came from; the rest of the object is not touched.
fn write_back(new: &mut Value, cluster: &Cluster) {
    let topology = &cluster.spec.topology;
    if !topology.variables.is_empty() {
        new["spec"]["topology"]["variables"] = json!(topology.variables);
    }
    let mut put = |pointer: &str, held: &[ClusterVariable]| {
        if let Some(place) = new.pointer_mut(pointer).filter(|_| !held.is_empty()) {
            *place = json!(held);
        }
    };
    put(CONTROL_PLANE, &topology.control_plane.variables.overrides);
    for (index, one) in topology.workers.machine_deployments.iter().enumerate() {
        put(&pointer("machineDeployments", index), &one.variables.overrides);
    }
    for (index, one) in topology.workers.machine_pools.iter().enumerate() {
        put(&pointer("machinePools", index), &one.variables.overrides);
    }
}

fn pointer(list: &str, index: usize) -> String {
    format!("/spec/topology/workers/{list}/{index}/variables/overrides")
}

/// Checks a managed Cluster.
pub(super) fn validate(new: &Value, old: Option<&Value>, objects: &dyn Objects) -> Verdict {
    let mut verdict = Verdict::default();
    let Some(cluster) = managed(new) else { return verdict };
    let topology = &cluster.spec.topology;
    if topology.class_ref.name.is_empty() {
        let detail = "classRef.name cannot be empty";
        verdict.causes.push(Cause::required("spec.topology.class", detail));
        return verdict;
    }
    verdict.causes.extend(validate_fields(&cluster));
    let class = find_class(&cluster, objects);
    let fault = match &class {
        None => Some(
            "does not exist. Cluster topology has not been fully validated. The \
                      ClusterClass must be created to reconcile the Cluster",
        ),
        Some(class) if !is_reconciled(class) => Some(
            "hasn't been successfully reconciled. Cluster topology has not been fully \
                  validated. Please take a look at the ClusterClass status",
        ),
        Some(_) => None,
    };
    let key = class_key(&cluster);
    verdict.warnings.extend(fault.map(|fault| {
        format!("Cluster refers to ClusterClass {key}, but this ClusterClass {fault}")
    }));
    if let Some(class) = &class {
        verdict.causes.extend(validate_for_class(&cluster, class));
    }
    verdict.causes.extend(values::validate_autoscaling(&cluster, class.as_ref()));
    let old: Option<Cluster> = old.and_then(|old| serde_json::from_value(old.clone()).ok());
    if let Some(old) = old {
        validate_change(&cluster, &old, class.as_ref(), objects, &mut verdict);
    }
    verdict
}

/// What can be said without the class.
fn validate_fields(cluster: &Cluster) -> Vec<Cause> {
    let topology = &cluster.spec.topology;
    let mut causes = Vec::new();
    let version = &topology.version;
    let mut wrong = |detail: &str| {
        causes.push(Cause::invalid("spec.topology.version", &json!(version), detail));
    };
    if !version.starts_with('v') {
        wrong("must start with v");
    }
    if Version::parse(version.strip_prefix('v').unwrap_or(version)).is_none() {
        wrong("version must be a valid semantic version");
    }
    let at = "spec.topology.controlPlane";
    let control_plane = &topology.control_plane;
    causes.extend(validate_metadata(&json!(control_plane.metadata), &format!("{at}.metadata")));
    let deployments = &topology.workers.machine_deployments;
    let pools = &topology.workers.machine_pools;
    let of = |list: &str, name: &str, field: &str| {
        format!("spec.topology.workers.{list}[{name}].{field}")
    };
    for one in deployments {
        let path = of("machineDeployments", &one.name, "metadata");
        causes.extend(validate_metadata(&json!(one.metadata), &path));
    }
    for one in pools {
        let path = of("machinePools", &one.name, "metadata");
        causes.extend(validate_metadata(&json!(one.metadata), &path));
    }
    for one in deployments {
        let path = of("machineDeployments", &one.name, "rollout.strategy");
        causes.extend(values::validate_rollout(&one.rollout.strategy, &path));
    }
    causes.extend(validate_taints(&json!(control_plane.taints), &format!("{at}.taints")));
    for one in deployments {
        let path = of("machineDeployments", &one.name, "taints");
        causes.extend(validate_taints(&json!(one.taints), &path));
    }
    for one in pools {
        causes
            .extend(validate_taints(&json!(one.taints), &of("machinePools", &one.name, "taints")));
    }
    causes.extend(validate_concurrency(cluster));
    causes
}

fn validate_concurrency(cluster: &Cluster) -> Option<Cause> {
    let held = annotation(cluster, UPGRADE_CONCURRENCY)?;
    let detail = match held.parse::<i64>() {
        Ok(number) if number >= 1 => return None,
        Ok(_) => "value cannot be less than 1".to_owned(),
        Err(_) => format!(
            "could not parse the value of the annotation: strconv.Atoi: parsing {}: invalid syntax",
            quote(held)
        ),
    };
    let at = format!("metadata.annotations.{UPGRADE_CONCURRENCY}");
    Some(Cause::invalid(at, &json!(held), &detail))
}

fn validate_for_class(cluster: &Cluster, class: &ClusterClass) -> Vec<Cause> {
    let mut causes = Vec::new();
    let version = &cluster.spec.topology.version;
    let versions = &class.spec.kubernetes_versions;
    if !versions.is_empty() && !versions.contains(version) {
        let detail = "version must match one of the versions defined in the ClusterClass";
        causes.push(Cause::invalid("spec.topology.version", &json!(version), detail));
    }
    causes.extend(compatibility::workers_are_defined(cluster, class));
    causes.extend(health_checks::validate_cluster(cluster, class));
    causes
}

fn validate_change(
    cluster: &Cluster,
    old: &Cluster,
    class: Option<&ClusterClass>,
    objects: &dyn Objects,
    verdict: &mut Verdict,
) {
    let at_class = "spec.topology.class";
    let key = class_key(cluster);
    let Some(class) = class else {
        let message = format!("Internal error: ClusterClass {key} not found");
        verdict.causes.push(Cause {
            reason: "InternalError".to_owned(),
            message,
            field: at_class.to_owned(),
        });
        return;
    };
    if old.class_key().is_none_or(|(_, name)| name.is_empty()) {
        if annotation(cluster, ALLOW_CLASS).is_none() {
            let detail = "classRef cannot be set on an existing Cluster";
            verdict.causes.push(Cause::forbidden(at_class, detail));
        }
        return;
    }
    if annotation(cluster, ALLOW_VERSION).is_some() {
        verdict.warnings.push(format!(
            "Skipping version validation for Cluster because annotation {} is set.",
            quote(ALLOW_VERSION)
        ));
    } else {
        verdict.causes.extend(upgrades::validate(cluster, old, class, objects));
    }
    if old.class_key() == cluster.class_key() {
        return;
    }
    let old_key = quote(&class_key(old));
    match find_class(old, objects) {
        Some(old_class) => {
            verdict.causes.extend(compatibility::classes_are_compatible(&old_class, class));
        }
        None => {
            let name = old.class_key().map(|(_, name)| name).unwrap_or_default();
            let (key, name) = (quote(&key), quote(name));
            let detail = format!(
                "valid ClusterClass with name {old_key} could not be retrieved, change from class \
                 {old_key} to class {key} cannot be validated. Error: \
                 clusterclasses.cluster.x-k8s.io {name} not found"
            );
            verdict.causes.push(Cause::forbidden(at_class, &detail));
        }
    }
}
