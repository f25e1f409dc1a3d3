//! Which versions a managed Cluster may go to, and when.
//! (CAPI v1.14: core/webhooks/admission/cluster.go, internal/topology/check/upgrade.go,
//! internal/contract/controlplane.go)

use serde_json::{Value, json};

use super::{DEPLOYMENTS, MACHINES, POOLS, annotation};
use crate::api::core::Cluster;
use crate::api::runtime::PENDING_HOOKS;
use crate::api::topology::ClusterClass;
use crate::api::topology::version::Version;
use crate::machinery::definition::{ObjectKind, Objects};
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::{Cause, quote};

const AFTER_UPGRADE: &str = "AfterClusterUpgrade";
const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";
const TOPOLOGY_OWNED: &str = "topology.cluster.x-k8s.io/owned";

/// Checks a change of the version.
pub(super) fn validate(
    cluster: &Cluster,
    old: &Cluster,
    class: &ClusterClass,
    objects: &dyn Objects,
) -> Vec<Cause> {
    let written = &cluster.spec.topology.version;
    let refuse =
        |value: &str, detail: &str| Cause::invalid("spec.topology.version", &json!(value), detail);
    let mut causes = Vec::new();
    let to = Version::parse_tolerant(written);
    if to.is_none() {
        causes.push(refuse(written, "version must be a valid semantic version"));
    }
    let before = &old.spec.topology.version;
    let from = Version::parse_tolerant(before);
    if from.is_none() {
        causes.push(refuse(before, "old version must be a valid semantic version"));
    }
    let has_plan = !class.spec.kubernetes_versions.is_empty()
        || !class.spec.upgrade.external.generate_upgrade_plan_extension.is_empty();
    let (to, from) = (to.unwrap_or_default(), from.unwrap_or_default());
    if to == from {
        return causes;
    }
    let none = Version::default();
    let quoted = |from: &Version, to: &Version| {
        format!("from {} to {}", quote(&from.to_string()), quote(&to.to_string()))
    };
    if to != none && from != none && to.compare_numbers(&from).is_lt() {
        let detail = format!("version cannot be decreased {}", quoted(&from, &to));
        causes.push(refuse(written, &detail));
        return causes;
    }
    let ceiling = Version::of(from.major, from.minor.saturating_add(2), 0);
    if !has_plan && to.compare_numbers(&ceiling).is_ge() {
        let detail = format!("version cannot be increased {}", quoted(&from, &to));
        causes.push(refuse(written, &detail));
        return causes;
    }
    let pending = annotation(cluster, PENDING_HOOKS).unwrap_or_default();
    if pending.split(',').any(|hook| hook == AFTER_UPGRADE) {
        let detail = format!(
            "version cannot be changed when the {} hook is still blocking",
            quote(AFTER_UPGRADE)
        );
        causes.push(refuse(written, &detail));
        return causes;
    }
    let mut errors = Vec::new();
    errors.extend(control_plane(old, &from, objects).err());
    errors.extend(deployments(old, &from, objects).err());
    errors.extend(pools(old, &from, objects).err());
    if !errors.is_empty() {
        let errors =
            if errors.len() == 1 { errors.remove(0) } else { format!("[{}]", errors.join(", ")) };
        causes.push(refuse(written, &format!("version cannot be changed: {errors}")));
    }
    causes
}

fn control_plane(old: &Cluster, wanted: &Version, objects: &dyn Objects) -> Result<(), String> {
    let failed = |what: &str| format!("failed to check if control plane is upgrading: {what}");
    let missing = || failed("failed to get control plane object");
    let reference = old.spec.control_plane_ref.as_ref().ok_or_else(missing)?;
    let kind = ObjectKind { group: &reference.api_group, kind: &reference.kind };
    let namespace = old.metadata.namespace.as_deref().unwrap_or_default();
    let object = objects.get(kind, namespace, &reference.name).ok_or_else(missing)?;
    let written = object["spec"]["version"].as_str().ok_or_else(|| {
        failed("failed to get control plane version: path .spec.version: field not found")
    })?;
    let version = Version::parse_tolerant(written)
        .ok_or_else(|| failed(&format!("failed to parse control plane version {written}")))?;
    if version != *wanted {
        return Err(format!(
            "Cluster.spec.topology.version {wanted} was not propagated to control plane yet \
             (control plane version {version})"
        ));
    }
    let status = &object["status"];
    let mut reported: Vec<&str> = status["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| one["version"].as_str().unwrap_or_default())
        .collect();
    if reported.is_empty() {
        reported.extend(status["version"].as_str());
    }
    if reported.first().is_none_or(|version| version.is_empty()) {
        return Err("control plane is currently provisioning".to_owned());
    }
    for text in reported {
        let reported = Version::parse_tolerant(text)
            .ok_or_else(|| failed("failed to parse control plane status version"))?;
        if reported.is_older_or_other_build(&version) {
            return Err("control plane is still completing a previous upgrade".to_owned());
        }
    }
    Ok(())
}

/// The Cluster's workers of a kind that its topology made.
fn owned(old: &Cluster, kind: ObjectKind<'_>, objects: &dyn Objects) -> Vec<Value> {
    let namespace = old.metadata.namespace.as_deref().unwrap_or_default();
    let labels = json!({"matchLabels": {CLUSTER_NAME: old.metadata.name, TOPOLOGY_OWNED: ""}});
    let Ok(selector) = LabelSelector::from_label_selector(&labels) else { return Vec::new() };
    objects.list(kind, Some(namespace), &selector)
}

fn deployments(old: &Cluster, wanted: &Version, objects: &dyn Objects) -> Result<(), String> {
    let mut upgrading = Vec::new();
    for deployment in owned(old, DEPLOYMENTS, objects) {
        let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
        if version_of(&deployment, "MachineDeployment", name)? != *wanted
            || is_upgrading(&deployment, name, objects)?
        {
            upgrading.push(name.to_owned());
        }
    }
    told(&upgrading, "MachineDeployments")
}

/// Versions of pools, and those that they report of their Nodes.
fn pools(old: &Cluster, wanted: &Version, objects: &dyn Objects) -> Result<(), String> {
    let mut upgrading = Vec::new();
    for pool in owned(old, POOLS, objects) {
        let name = pool["metadata"]["name"].as_str().unwrap_or_default();
        let version = version_of(&pool, "MachinePool", name)?;
        let mut reported = pool["status"]["versions"].as_array().into_iter().flatten();
        if version != *wanted
            || reported.any(|one| one["version"] != pool["spec"]["template"]["spec"]["version"])
        {
            upgrading.push(name.to_owned());
        }
    }
    told(&upgrading, "MachinePools")
}

fn told(upgrading: &[String], kinds: &str) -> Result<(), String> {
    if upgrading.is_empty() {
        return Ok(());
    }
    let names = upgrading.join(", ");
    Err(format!("there are still {kinds} completing a previous upgrade: [{names}]"))
}

fn version_of(workers: &Value, kind: &str, name: &str) -> Result<Version, String> {
    let written = workers["spec"]["template"]["spec"]["version"].as_str().unwrap_or_default();
    Version::parse_tolerant(written).ok_or_else(|| {
        format!("failed to check if {kind} {name} is upgrading: failed to parse version {written}")
    })
}

/// Whether a Machine of the deployment has, or its kubelet runs, another version.
fn is_upgrading(deployment: &Value, name: &str, objects: &dyn Objects) -> Result<bool, String> {
    let wanted = deployment["spec"]["template"]["spec"]["version"].as_str().unwrap_or_default();
    let Ok(selector) = LabelSelector::from_label_selector(&deployment["spec"]["selector"]) else {
        return Ok(false);
    };
    let namespace = deployment["metadata"]["namespace"].as_str().unwrap_or_default();
    for machine in objects.list(MACHINES, Some(namespace), &selector) {
        let version = machine["spec"]["version"].as_str().unwrap_or_default();
        if version.is_empty() {
            let machine = machine["metadata"]["name"].as_str().unwrap_or_default();
            return Err(format!(
                "failed to check if MachineDeployment {name} is upgrading: Machine {machine} has \
                 no version"
            ));
        }
        let kubelet = machine["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default();
        if version != wanted || (!kubelet.is_empty() && kubelet != wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}
