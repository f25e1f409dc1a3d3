//! Checks that hold the making of Machines. (CAPI v1.14: machineset_preflight.go)
//!
//! No timer retries them: a change of the control plane wakes the MachineSet.

use super::super::externals::External;
use crate::api::core::{ContractRef, MachineSet};
use crate::contract::labels;
use crate::contract::version::Version;

/// The control plane has a version and is not on its way to another one.
const STABLE: &str = "ControlPlaneIsStable";
/// Workers follow the control plane within three minor versions.
const VERSION_SKEW: &str = "KubernetesVersionSkew";
/// kubeadm joins its own minor version only.
const KUBEADM_SKEW: &str = "KubeadmVersionSkew";
/// How many minor versions a worker may be behind.
const MINOR_SKEW_MAX: u64 = 3;

/// Why no Machine may be made now; empty to go ahead. `template_annotations` are the bootstrap
/// template's, which may skip checks as the MachineSet's own may.
///
/// # Errors
/// A version cannot be parsed.
pub(super) fn failures(
    set: &MachineSet,
    control_plane: &External,
    template_annotations: Option<&std::collections::BTreeMap<String, String>>,
) -> Result<Vec<String>, String> {
    let skipped = skipped(set, template_annotations);
    let runs = |check: &str| !skipped.iter().any(|skip| skip == check || skip == "All");
    let object = &control_plane.object;
    if object.spec.version.is_empty() {
        return Ok(Vec::new());
    }
    let parse = |what: &str, version: &str| {
        Version::parse(version).ok_or_else(|| {
            format!(
                "failed to perform preflight checks: failed to parse version {version:?} of {what}"
            )
        })
    };
    let name = format!("{} {}", control_plane.kind.resource.kind, control_plane.key());
    let version = parse(&name, &object.spec.version)?;
    let mut failures = Vec::new();
    if runs(STABLE)
        && let Some(state) = instability(control_plane, &version)
    {
        failures.push(format!("{name} is {state} ({STABLE:?} preflight check failed)"));
    }
    let wanted = &set.spec.template.spec.version;
    if wanted.is_empty() {
        return Ok(failures);
    }
    let wanted = parse("MachineSet", wanted)?;
    let subject = format!("MachineSet version ({wanted}) and ControlPlane version ({version})");
    if runs(VERSION_SKEW) {
        let skew = if wanted.minor > version.minor {
            Some("MachineSet version is higher than ControlPlane version".to_owned())
        } else if wanted.minor + MINOR_SKEW_MAX < version.minor {
            Some(format!(
                "MachineSet version is more than {MINOR_SKEW_MAX} minor versions older than the ControlPlane version"
            ))
        } else {
            None
        };
        failures.extend(skew.map(|skew| {
            format!(
                "{subject} do not conform to the kubernetes version skew policy as {skew} ({VERSION_SKEW:?} preflight check failed)"
            )
        }));
    }
    let config = set.spec.template.spec.bootstrap.config_ref.as_ref();
    if runs(KUBEADM_SKEW) && config.is_some_and(is_kubeadm) && version.minor != wanted.minor {
        failures.push(format!(
            "{subject} do not conform to kubeadm version skew policy as kubeadm only supports joining with the same major+minor version as the control plane ({KUBEADM_SKEW:?} preflight check failed)"
        ));
    }
    Ok(failures)
}

fn is_kubeadm(reference: &ContractRef) -> bool {
    reference.kind == "KubeadmConfigTemplate" && reference.api_group == "bootstrap.cluster.x-k8s.io"
}

fn instability(control_plane: &External, wanted: &Version) -> Option<&'static str> {
    let status = &control_plane.object.status;
    let first = status.versions.first().map(|version| version.version.as_str());
    if first.unwrap_or(&status.version).is_empty() {
        return Some("provisioning");
    }
    let in_use = status.versions.iter().map(|version| version.version.as_str());
    let in_use: Vec<&str> =
        if status.versions.is_empty() { vec![&status.version] } else { in_use.collect() };
    let is_upgrading = in_use
        .into_iter()
        .filter_map(Version::parse)
        .any(|version| wanted.compare_with_build(&version).is_gt());
    is_upgrading.then_some("upgrading")
}

fn skipped(
    set: &MachineSet,
    template_annotations: Option<&std::collections::BTreeMap<String, String>>,
) -> Vec<String> {
    let own = set.metadata.annotations.as_ref();
    let list = own
        .and_then(|held| held.get(labels::SKIP_PREFLIGHT_CHECKS))
        .filter(|list| !list.is_empty())
        .or_else(|| template_annotations?.get(labels::SKIP_PREFLIGHT_CHECKS));
    list.map(|list| list.split(',').map(|check| check.trim().to_owned()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::contract::versions::{Contract, ContractKind};

    fn control_plane(object: Value) -> External {
        External {
            object: Arc::new(serde_json::from_value(object).unwrap()),
            kind: Arc::new(ContractKind {
                resource: kube::core::ApiResource {
                    group: "g".into(),
                    version: "v1".into(),
                    api_version: "g/v1".into(),
                    kind: "KubeadmControlPlane".into(),
                    plural: "kubeadmcontrolplanes".into(),
                },
                contract: Contract::V1Beta2,
            }),
        }
    }

    fn set(version: &str) -> MachineSet {
        let mut set = MachineSet::default();
        set.spec.template.spec.version = version.into();
        set
    }

    #[test]
    fn a_provisioning_control_plane_holds_machines() {
        let object = json!({
            "metadata": {"namespace": "NS", "name": "bar-cp"}, "spec": {"version": "v1.34.0"}
        });
        let failures = failures(&set("v1.34.0"), &control_plane(object), None).unwrap();
        assert_eq!(
            failures,
            [
                "KubeadmControlPlane NS/bar-cp is provisioning (\"ControlPlaneIsStable\" preflight check failed)"
            ]
        );
    }

    #[test]
    fn an_upgrade_and_a_version_skew_hold_machines_unless_skipped() {
        let object = json!({
            "metadata": {"namespace": "NS", "name": "bar-cp"}, "spec": {"version": "v1.35.0"},
            "status": {"version": "v1.34.0"}
        });
        let control_plane = control_plane(object);
        assert_eq!(failures(&set("v1.36.0"), &control_plane, None).unwrap().len(), 2);
        let skip = [(labels::SKIP_PREFLIGHT_CHECKS.to_owned(), "All".to_owned())].into();
        assert!(failures(&set("v1.36.0"), &control_plane, Some(&skip)).unwrap().is_empty());
        assert!(failures(&set("nonsense"), &control_plane, None).is_err());
    }
}
