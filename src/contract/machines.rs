//! Collections of Machines: the questions that owners of machines ask, and their order.
//! (CAPI v1.14: util/collections)

use std::sync::Arc;

use crate::api::conditions::Condition;
use crate::api::core::Machine;

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
}
