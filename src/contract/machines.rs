//! Collections of Machines: the questions that owners of machines ask, and their order.
//! (CAPI v1.14: util/collections)

use std::sync::Arc;

use crate::api::conditions::Condition;
use crate::api::core::{Machine, StatusVersion};

use super::version::Version;
use super::{conditions, labels};

/// metav1 conditions of a Machine.
pub fn conditions_of(machine: &Machine) -> &[Condition] {
    machine.status.as_ref().map_or(&[], |status| status.conditions.as_slice())
}

/// Name of a Machine, empty if unset.
pub fn name(machine: &Machine) -> &str {
    machine.metadata.name.as_deref().unwrap_or_default()
}

/// Whether deletion was asked for.
pub fn is_deleting(machine: &Machine) -> bool {
    machine.metadata.deletion_timestamp.is_some()
}

/// Whether it belongs to a control plane.
pub fn is_control_plane(machine: &Machine) -> bool {
    machine.metadata.labels.as_ref().is_some_and(|held| held.contains_key(labels::CONTROL_PLANE))
}

/// Whether it has a Node.
pub fn has_node(machine: &Machine) -> bool {
    machine
        .status
        .as_ref()
        .and_then(|status| status.node_ref.as_ref())
        .is_some_and(|node| !node.name.is_empty())
}

/// Whether condition Ready is True.
pub fn is_ready(machine: &Machine) -> bool {
    conditions::is_true(conditions_of(machine), "Ready")
}

/// Whether condition Available is True.
pub fn is_available(machine: &Machine) -> bool {
    conditions::is_true(conditions_of(machine), "Available")
}

/// Whether condition UpToDate is True.
pub fn is_up_to_date(machine: &Machine) -> bool {
    conditions::is_true(conditions_of(machine), "UpToDate")
}

/// Whether a health check failed.
pub fn is_unhealthy(machine: &Machine) -> bool {
    conditions::is_false(conditions_of(machine), "HealthCheckSucceeded")
}

/// Whether a health check failed and the owner was asked to remediate.
pub fn is_unhealthy_and_owner_remediated(machine: &Machine) -> bool {
    is_unhealthy(machine) && conditions::is_false(conditions_of(machine), "OwnerRemediated")
}

/// Oldest first; equal ages by name.
pub fn sort_oldest_first(machines: &mut [Arc<Machine>]) {
    machines.sort_by(|a, b| age_key(a).cmp(&age_key(b)));
}

/// Newest first; equal ages by name.
pub fn sort_newest_first(machines: &mut [Arc<Machine>]) {
    machines.sort_by(|a, b| (age_key(b).0, name(a)).cmp(&(age_key(a).0, name(b))));
}

fn age_key(machine: &Machine) -> (Option<jiff::Timestamp>, &str) {
    (machine.metadata.creation_timestamp.as_ref().map(|time| time.0), name(machine))
}

/// Versions of Machines with their counts; a Node's kubelet version counts over the spec's.
pub fn versions(machines: &[Arc<Machine>]) -> Vec<StatusVersion> {
    let mut ordered = machines.to_vec();
    sort_oldest_first(&mut ordered);
    aggregate_versions(ordered.iter().map(|machine| StatusVersion {
        version: kubelet_version(machine).unwrap_or(&machine.spec.version).to_owned(),
        replicas: Some(1),
    }))
}

/// The kubelet version that a Machine's Node reports, if it does.
pub fn kubelet_version(machine: &Machine) -> Option<&str> {
    machine
        .status
        .as_ref()
        .and_then(|status| status.node_info.as_ref())
        .and_then(|info| info.get("kubeletVersion"))
        .and_then(serde_json::Value::as_str)
        .filter(|version| !version.is_empty())
}

/// Sums counts by version and orders them by version.
pub fn aggregate_versions(versions: impl IntoIterator<Item = StatusVersion>) -> Vec<StatusVersion> {
    let mut sums: Vec<StatusVersion> = Vec::new();
    for version in versions.into_iter().filter(|version| !version.version.is_empty()) {
        match sums.iter_mut().find(|sum| sum.version == version.version) {
            Some(sum) => {
                sum.replicas = Some(sum.replicas.unwrap_or(0) + version.replicas.unwrap_or(0));
            }
            None => sums.push(version),
        }
    }
    sums.sort_by(|a, b| match (Version::parse(&a.version), Version::parse(&b.version)) {
        (Some(a), Some(b)) => a.compare_with_build(&b),
        _ => a.version.cmp(&b.version),
    });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    #[test]
    fn machines_sort_by_age_then_name() {
        let machine = |name: &str, second| {
            let mut machine = Machine::default();
            machine.metadata.name = Some(name.into());
            machine.metadata.creation_timestamp =
                Some(Time(jiff::Timestamp::from_second(second).unwrap()));
            Arc::new(machine)
        };
        let mut machines = vec![machine("c", 2), machine("b", 1), machine("a", 2)];
        sort_oldest_first(&mut machines);
        assert_eq!(machines.iter().map(|m| name(m)).collect::<Vec<_>>(), ["b", "a", "c"]);
        sort_newest_first(&mut machines);
        assert_eq!(machines.iter().map(|m| name(m)).collect::<Vec<_>>(), ["a", "c", "b"]);
    }

    #[test]
    fn versions_are_counted_and_ordered() {
        let machine = |version: &str, kubelet: Option<&str>| {
            let mut machine = Machine::default();
            machine.spec.version = version.into();
            let info = kubelet.map(|version| serde_json::json!({"kubeletVersion": version}));
            machine.status.get_or_insert_default().node_info = info;
            Arc::new(machine)
        };
        let held = [machine("v1.34.0", None), machine("v1.9.0", None), machine("v1.34.0", None)];
        let counted = versions(&held);
        assert_eq!(counted[0].version, "v1.9.0");
        assert_eq!(counted[1].replicas, Some(2));
        let updated = [machine("v1.35.0", Some("v1.34.0")), machine("v1.35.0", Some(""))];
        let counted: Vec<String> = versions(&updated).into_iter().map(|it| it.version).collect();
        assert_eq!(counted, ["v1.34.0", "v1.35.0"], "what runs counts, if it is known");
    }
}
