//! Aggregates conditions of Machines into one of the control plane, in both families.
//! (CAPI v1.14: controlplane/kubeadm/pkg/workload_cluster_conditions.go)

use std::collections::{BTreeMap, BTreeSet};

use super::scope::{ControlPlane, OwnedMachine, listed};
use crate::contract::conditions::{self, New, v1beta1};

/// What is aggregated into what.
pub(super) struct Aggregation<'a> {
    /// Types of the Machines' conditions (the same in both families).
    pub(super) machine_conditions: &'a [&'a str],
    /// Problems that belong to no Machine.
    pub(super) errors: Vec<String>,
    /// Type of the result.
    pub(super) condition: &'static str,
    /// v1beta1 reason if something is wrong.
    pub(super) v1beta1_unhealthy: &'a str,
    /// v1beta1 reason if nothing is known.
    pub(super) v1beta1_unknown: &'a str,
    /// What the Machines report, in messages.
    pub(super) note: &'a str,
}

/// Sets the aggregated condition of both families on the control plane.
pub(super) fn aggregate(control_plane: &mut ControlPlane, what: &Aggregation<'_>) {
    if let Some(old) = v1beta1_result(&control_plane.machines, what) {
        control_plane.set_v1beta1(old);
    }
    let new = result(&control_plane.machines, what);
    control_plane.set(new);
}

/// Names of Machines by what they report.
#[derive(Default)]
struct Groups {
    errors: BTreeSet<String>,
    warnings: BTreeSet<String>,
    info: BTreeSet<String>,
    good: BTreeSet<String>,
    unknown: BTreeSet<String>,
}

fn v1beta1_result(
    machines: &[OwnedMachine],
    what: &Aggregation<'_>,
) -> Option<crate::api::conditions::V1Beta1Condition> {
    let mut groups = Groups::default();
    for owned in machines {
        for type_ in what.machine_conditions {
            let Some(condition) = v1beta1::get(owned.v1beta1_conditions(), type_) else { continue };
            let group = match (condition.status.as_str(), condition.severity.as_str()) {
                ("True", _) => &mut groups.good,
                ("False", "Error") => &mut groups.errors,
                ("False", "Warning") => &mut groups.warnings,
                ("False", _) => &mut groups.info,
                _ => &mut groups.unknown,
            };
            group.insert(owned.name().to_owned());
        }
    }
    let joined = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let told = |kind: &str, names: &BTreeSet<String>| {
        format!("Following Machines are reporting {} {kind}: {}", what.note, joined(names))
    };
    let mut errors = what.errors.clone();
    if !groups.errors.is_empty() {
        errors.push(told("errors", &groups.errors));
    }
    let bad = |severity: &str, message: &str| {
        Some(v1beta1::no(what.condition, what.v1beta1_unhealthy, severity, message))
    };
    if !errors.is_empty() {
        bad("Error", &errors.join("; "))
    } else if !groups.warnings.is_empty() {
        bad("Warning", &told("warnings", &groups.warnings))
    } else if !groups.info.is_empty() {
        bad("Info", &told("info", &groups.info))
    } else if !groups.good.is_empty() {
        Some(v1beta1::yes(what.condition))
    } else if !groups.unknown.is_empty() {
        let message = format!(
            "Following Machines are reporting unknown {} status: {}",
            what.note,
            joined(&groups.unknown)
        );
        Some(v1beta1::unknown(what.condition, what.v1beta1_unknown, &message))
    } else {
        None
    }
}

fn result(machines: &[OwnedMachine], what: &Aggregation<'_>) -> New {
    let (mut has_errors, mut has_unknown, mut has_info) = (false, false, false);
    let mut by_message: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for owned in machines {
        let mut lines = Vec::new();
        let mut messages = BTreeSet::new();
        let mut count = 0;
        for type_ in what.machine_conditions {
            let Some(condition) = conditions::get(owned.conditions(), type_) else { continue };
            count += 1;
            messages.insert(condition.message.clone());
            match condition.status.as_str() {
                "True" => {
                    has_info = true;
                    continue;
                }
                "False" => has_errors = true,
                // Too early to know: upstream keeps quiet until the infrastructure is there.
                _ if owned.machine.spec.provider_id.is_empty() => {
                    has_info = true;
                    continue;
                }
                _ => has_unknown = true,
            }
            let message = match condition.message.as_str() {
                "" => format!("condition is {}", condition.status),
                message => message.to_owned(),
            };
            lines.push(format!("  * {type_}: {message}"));
        }
        if lines.is_empty() {
            continue;
        }
        let only = if count > 1 && messages.len() == 1 { messages.first() } else { None };
        let text = match only {
            Some(message) => format!("  * Control plane components: {message}"),
            None => lines.join("\n"),
        };
        by_message.entry(text).or_default().push(owned.name().to_owned());
    }
    let mut groups: Vec<(String, Vec<String>)> = by_message.into_iter().collect();
    for (_, names) in &mut groups {
        names.sort();
    }
    groups.sort_by(|(_, a), (_, b)| {
        b.len().cmp(&a.len()).then_with(|| a.join(",").cmp(&b.join(",")))
    });
    let mut told: Vec<String> = groups
        .into_iter()
        .map(|(message, names)| {
            let plural = if names.len() > 1 { "s" } else { "" };
            format!("* Machine{plural} {}:\n{message}", listed(&names, 3))
        })
        .collect();
    told.extend(what.errors.iter().map(|error| format!("* {error}")));
    let message = told.join("\n");
    if has_errors || !what.errors.is_empty() {
        New::no(what.condition, "NotHealthy", message)
    } else if has_unknown {
        New::unknown(what.condition, "HealthUnknown", message)
    } else if has_info {
        New::yes(what.condition, "Healthy")
    } else {
        let message = format!("No Machines reporting {} status", what.note);
        New::unknown(what.condition, "HealthUnknown", message)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn machine(name: &str, conditions: &[New]) -> OwnedMachine {
        let mut owned = OwnedMachine::default();
        owned.machine.metadata.name = Some(name.into());
        owned.machine.spec.provider_id = "x".into();
        for new in conditions {
            owned.set(new.clone(), Timestamp::UNIX_EPOCH);
        }
        owned
    }

    fn what<'a>(types: &'a [&'a str], errors: &[&str]) -> Aggregation<'a> {
        Aggregation {
            machine_conditions: types,
            errors: errors.iter().map(|error| (*error).to_owned()).collect(),
            condition: "EtcdClusterHealthy",
            v1beta1_unhealthy: "EtcdClusterUnhealthy",
            v1beta1_unknown: "EtcdClusterUnknown",
            note: "etcd member",
        }
    }

    #[test]
    fn machines_with_the_same_message_share_a_line() {
        let deleting = New::no("EtcdMemberHealthy", "Deleting", "Machine is deleting");
        let machines = [machine("b", std::slice::from_ref(&deleting)), machine("a", &[deleting])];
        let new = result(&machines, &what(&["EtcdMemberHealthy"], &[]));
        assert_eq!(new.reason, "NotHealthy");
        assert_eq!(new.message, "* Machines a, b:\n  * EtcdMemberHealthy: Machine is deleting");
    }

    #[test]
    fn equal_messages_of_one_machine_become_control_plane_components() {
        let no = |type_| New::no(type_, "Deleting", "Machine is deleting");
        let machines = [machine("a", &[no("A"), no("B")])];
        let new = result(&machines, &what(&["A", "B"], &["Etcd member x is odd"]));
        assert_eq!(
            new.message,
            "* Machine a:\n  * Control plane components: Machine is deleting\n* Etcd member x is odd"
        );
    }

    #[test]
    fn unknown_before_the_provider_id_counts_as_healthy() {
        let mut early = machine("a", &[New::unknown("A", "InspectionFailed", "m")]);
        early.machine.spec.provider_id.clear();
        assert_eq!(result(&[early], &what(&["A"], &[])).reason, "Healthy");
        let none = result(&[], &what(&["A"], &[]));
        assert_eq!(none.message, "No Machines reporting etcd member status");
    }
}
