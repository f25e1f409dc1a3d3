//! What owners of Machines say about them: aggregated conditions, versions in use, and lists of
//! names. (CAPI v1.14: internal/util/version, util/log, and the *_status.go of the owners)

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::conditions::V1Beta1Condition;
use crate::api::core::Machine;
use crate::contract::conditions::merge::{self, GENERIC_REASONS, Polarity, Reasons, Source};
use crate::contract::conditions::{self, New};
use crate::contract::machines::{self, kubelet_version};
use crate::runtime::{Change, Outcome};

/// A Machine that is older than this and has no UpToDate condition is reported as unknown.
const UP_TO_DATE_GRACE: Duration = Duration::from_secs(10);
/// A deletion that takes longer than this is called out.
const STALE_AFTER: Duration = Duration::from_secs(15 * 60);
/// A drain that takes longer than this is called out.
const STALE_DRAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// Whether a change of a Machine touches what its owners show of it.
pub(super) fn is_shown_change(change: &Change<Machine>) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => shown(old) != shown(new) || older(old) != older(new),
        (None, _) | (_, None) => true,
    }
}

/// Whether a change of a Machine touches its v1beta1 conditions and nothing else that its owners
/// show.
pub(super) fn is_older_change(change: &Change<Machine>) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => shown(old) == shown(new) && older(old) != older(new),
        (None, _) | (_, None) => false,
    }
}

fn older(machine: &Machine) -> Option<(&str, &str, &str)> {
    let held = v1beta1_conditions(machine);
    let ready = held.iter().find(|condition| condition.type_ == "Ready")?;
    Some((ready.status.as_str(), ready.severity.as_str(), ready.reason.as_str()))
}

/// The parts of a Machine that its owners compute their status and next step from.
fn shown(machine: &Machine) -> impl PartialEq + '_ {
    const TYPES: [&str; 7] = [
        "Ready",
        "Available",
        "UpToDate",
        "NodeHealthy",
        "HealthCheckSucceeded",
        "OwnerRemediated",
        "Deleting",
    ];
    let conditions: Vec<(&str, &str, &str, &str)> = machines::conditions_of(machine)
        .iter()
        .filter(|condition| TYPES.contains(&condition.type_.as_str()))
        .map(|condition| {
            (
                condition.type_.as_str(),
                condition.status.as_str(),
                condition.reason.as_str(),
                condition.message.as_str(),
            )
        })
        .collect();
    let (metadata, spec) = (&machine.metadata, &machine.spec);
    (
        metadata.deletion_timestamp.is_some(),
        (metadata.labels.as_ref(), metadata.annotations.as_ref()),
        metadata.owner_references.as_ref(),
        machines::has_node(machine),
        (&spec.version, kubelet_version(machine)),
        // What owners keep as it is in their template.
        (&spec.taints, &spec.deletion, &spec.readiness_gates, spec.min_ready_seconds),
        conditions,
    )
}

/// v1beta1 conditions of a Machine.
pub(super) fn v1beta1_conditions(machine: &Machine) -> &[V1Beta1Condition] {
    machine
        .status
        .as_ref()
        .and_then(|status| status.deprecated.as_ref())
        .and_then(|deprecated| deprecated.v1beta1.as_ref())
        .map_or(&[], |v1beta1| v1beta1.conditions.as_slice())
}

/// Machines as sources of an aggregation.
pub(super) fn sources(machines: &[Arc<Machine>]) -> Vec<Source<'_>> {
    machines
        .iter()
        .map(|machine| Source {
            kind: "Machine",
            name: machines::name(machine),
            is_control_plane_machine: machines::is_control_plane(machine),
            conditions: machines::conditions_of(machine),
        })
        .collect()
}

/// Aggregates the Ready conditions of Machines as `target`.
pub(super) fn machines_ready(machines: &[Arc<Machine>], target: &'static str) -> New {
    let reasons = Reasons { issue: "NotReady", unknown: "ReadyUnknown", info: "Ready" };
    merge::aggregate(&sources(machines), "Ready", Polarity::Positive, reasons)
        .map_or_else(|| New::yes(target, "NoReplicas"), |merged| merged.named(target))
}

/// Aggregates the UpToDate conditions of Machines as `target`; very young Machines without one do
/// not count.
pub(super) fn machines_up_to_date(
    machines: &[Arc<Machine>],
    target: &'static str,
    now: Timestamp,
) -> New {
    let counted: Vec<Arc<Machine>> = machines
        .iter()
        .filter(|machine| {
            conditions::get(machines::conditions_of(machine), "UpToDate").is_some()
                || age(machine, now) > UP_TO_DATE_GRACE
        })
        .cloned()
        .collect();
    let reasons = Reasons { issue: "NotUpToDate", unknown: "UpToDateUnknown", info: "UpToDate" };
    merge::aggregate(&sources(&counted), "UpToDate", Polarity::Positive, reasons)
        .map_or_else(|| New::yes(target, "NoReplicas"), |merged| merged.named(target))
}

/// The Remediating condition of an owner; `by` ends the message about unhealthy Machines that will
/// not be remediated.
pub(super) fn remediating(machines: &[Arc<Machine>], by: &str) -> New {
    let remediated: Vec<Arc<Machine>> = machines
        .iter()
        .filter(|machine| machines::is_unhealthy_and_owner_remediated(machine))
        .cloned()
        .collect();
    let merged = merge::aggregate(
        &sources(&remediated),
        "OwnerRemediated",
        Polarity::Positive,
        GENERIC_REASONS,
    );
    match merged {
        Some(merged) => New { message: merged.message, ..New::yes("Remediating", "Remediating") },
        None => New::no("Remediating", "NotRemediating", unhealthy_message(machines, by)),
    }
}

fn unhealthy_message(machines: &[Arc<Machine>], by: &str) -> String {
    let names: Vec<&str> = machines
        .iter()
        .filter(|machine| machines::is_unhealthy(machine))
        .map(|machine| machines::name(machine))
        .collect();
    if names.is_empty() {
        return String::new();
    }
    format!("{} not healthy (not to be remediated{by})", subject(names))
}

/// `Machine a is`, or `Machines a, b are`.
fn subject(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    let (noun, verb) = if names.len() == 1 { ("Machine", "is") } else { ("Machines", "are") };
    format!("{noun} {} {verb}", shortened(&names, 3))
}

/// Names joined by commas; those beyond `max` are only counted.
pub(super) fn shortened(names: &[&str], max: usize) -> String {
    if names.len() <= max {
        return names.join(", ");
    }
    format!("{}, ... ({} more)", names[..max].join(", "), names.len() - max)
}

/// Names the Machines whose deletion takes long and why; empty if there are none.
pub(super) fn stale_message(machines: &[Arc<Machine>], now: Timestamp) -> String {
    let stale: Vec<&Arc<Machine>> =
        machines.iter().filter(|machine| deleting_for(machine, now) > STALE_AFTER).collect();
    if stale.is_empty() {
        return String::new();
    }
    let names = stale.iter().map(|machine| machines::name(machine)).collect();
    let mut message = format!("{} in deletion since more than 15m", subject(names));
    let delays: BTreeSet<usize> =
        stale.iter().flat_map(|machine| drain_delays(machine, now)).collect();
    if !delays.is_empty() {
        let delays: Vec<&str> = delays.into_iter().map(|delay| DRAIN_DELAYS[delay].1).collect();
        message.push_str(&format!(", delay likely due to {}", delays.join(", ")));
    }
    message
}

/// What a drain message says, and how owners call it.
const DRAIN_DELAYS: [(&str, &str); 4] = [
    ("cannot evict pod as it would violate the pod's disruption budget.", "PodDisruptionBudgets"),
    ("deletionTimestamp set, but still not removed from the Node", "Pods not terminating"),
    ("failed to evict Pod", "Pod eviction errors"),
    ("waiting for completion", "Pods not completed yet"),
];

/// Why a drain of more than five minutes is slow, as positions in a fixed order.
fn drain_delays(machine: &Machine, now: Timestamp) -> Vec<usize> {
    let Some(deleting) = conditions::get(machines::conditions_of(machine), "Deleting") else {
        return Vec::new();
    };
    let started = machine
        .status
        .as_ref()
        .and_then(|status| status.deletion.as_ref())
        .and_then(|deletion| deletion.node_drain_start_time.as_ref());
    let is_slow = started.is_some_and(|started| elapsed(started.0, now) > STALE_DRAIN_AFTER);
    if deleting.reason != "DrainingNode" || !is_slow {
        return Vec::new();
    }
    (0..DRAIN_DELAYS.len())
        .filter(|delay| deleting.message.contains(DRAIN_DELAYS[*delay].0))
        .collect()
}

/// When what owners say about Machines changes by time alone: deletions become long, and young
/// Machines count although they say nothing.
pub(super) fn next_change<'m>(
    machines: impl IntoIterator<Item = &'m Machine>,
    now: Timestamp,
) -> Outcome {
    // The rules ask whether a time is past, and not just reached.
    let after = |since: Timestamp, time: Duration| {
        (time + Duration::from_secs(1)).checked_sub(elapsed(since, now))
    };
    let due = machines.into_iter().flat_map(|machine| {
        let deleted = machine.metadata.deletion_timestamp.as_ref();
        let is_silent = conditions::get(machines::conditions_of(machine), "UpToDate").is_none();
        let created = machine.metadata.creation_timestamp.as_ref().filter(|_| is_silent);
        let stale = deleted.and_then(|since| after(since.0, STALE_AFTER));
        stale.into_iter().chain(created.and_then(|since| after(since.0, UP_TO_DATE_GRACE)))
    });
    let due = due.filter(|left| !left.is_zero()).min();
    due.map_or(Outcome::Done, Outcome::RequeueAfter)
}

/// The message that stands for Deleting in a Machine's Ready condition.
pub(super) fn deletion_message(machine: &Machine, now: Timestamp) -> String {
    let Some(deleting) = conditions::get(machines::conditions_of(machine), "Deleting") else {
        return "Machine deletion in progress".to_owned();
    };
    if deleting_for(machine, now) <= STALE_AFTER {
        return format!("Machine deletion in progress, stage: {}", deleting.reason);
    }
    let mut message =
        format!("Machine deletion in progress since more than 15m, stage: {}", deleting.reason);
    let delays: Vec<&str> =
        drain_delays(machine, now).into_iter().map(|delay| DRAIN_DELAYS[delay].1).collect();
    if !delays.is_empty() {
        message.push_str(&format!(", delay likely due to {}", delays.join(", ")));
    }
    message
}

fn deleting_for(machine: &Machine, now: Timestamp) -> Duration {
    machine
        .metadata
        .deletion_timestamp
        .as_ref()
        .map_or(Duration::ZERO, |since| elapsed(since.0, now))
}

fn age(machine: &Machine, now: Timestamp) -> Duration {
    machine
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(Duration::ZERO, |since| elapsed(since.0, now))
}

/// Time that has passed; zero if `since` lies in the future.
pub(super) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO)
}

/// Adds optional counters: `None` only if both are.
pub(super) fn add(a: Option<i32>, b: Option<i32>) -> Option<i32> {
    match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::conditions::set;

    fn machine(name: &str, conditions: Vec<New>) -> Arc<Machine> {
        let mut machine = Machine::default();
        machine.metadata.name = Some(name.into());
        let status = machine.status.get_or_insert_default();
        for new in conditions {
            set(&mut status.conditions, new, None, Timestamp::UNIX_EPOCH);
        }
        Arc::new(machine)
    }

    #[test]
    fn no_machines_are_ready_machines() {
        let new = machines_ready(&[], "MachinesReady");
        assert_eq!((new.status.as_str(), new.reason.as_str()), ("True", "NoReplicas"));
    }

    #[test]
    fn unhealthy_machines_without_remediation_are_named() {
        let unhealthy = || vec![New::no("HealthCheckSucceeded", "UnhealthyNode", "")];
        let machines = [machine("b", unhealthy()), machine("a", unhealthy())];
        let new = remediating(&machines, " by MachineSet");
        assert_eq!(
            new.message,
            "Machines a, b are not healthy (not to be remediated by MachineSet)"
        );
    }

    #[test]
    fn time_alone_changes_what_is_said_about_deletions_and_young_machines() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let seconds = |count| Outcome::RequeueAfter(Duration::from_secs(count));
        let time = |second| Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(second)));
        let mut young = Machine::default();
        young.metadata.creation_timestamp = time(100);
        assert_eq!(next_change([&young], at(104)), seconds(7));
        assert_eq!(next_change([&young], at(111)), Outcome::Done);
        let mut going = Machine::clone(&machine("a", vec![New::yes("UpToDate", "UpToDate")]));
        going.metadata.deletion_timestamp = time(100);
        assert_eq!(next_change([&going], at(100)), seconds(901));
        assert_eq!(next_change([&going, &young], at(100)), seconds(11));
        assert_eq!(next_change([&going], at(2000)), Outcome::Done);
    }

    #[test]
    fn long_lists_are_shortened() {
        assert_eq!(shortened(&["a", "b", "c", "d"], 3), "a, b, c, ... (1 more)");
    }
}
