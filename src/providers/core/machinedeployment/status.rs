//! Status of a MachineDeployment: phase, counters and both condition families, computed from the
//! scope. (CAPI v1.14: machinedeployment_status.go, machinedeployment_sync.go)

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::externals::internal_error;
use super::super::owned::{self, add};
use super::super::{generation_after, v1beta1_status};
use super::Scope;
use super::limits::{Limits, strategy};
use crate::api::conditions::{V1Beta1Condition, V1Beta1Status};
use crate::api::core::{MachineDeployment, MachineSet, MachineSetStatus};
use crate::contract::conditions::v1beta1::SummaryOptions;
use crate::contract::conditions::{self, New, set, set_v1beta1, v1beta1};
use crate::contract::{machines, paused, selector};

/// Sets only the Paused condition: a paused MachineDeployment says nothing else.
pub(super) fn set_paused(scope: &mut Scope, now: Timestamp) {
    let metadata = scope.deployment.metadata.clone();
    let new = paused::condition(Some(&scope.cluster), "MachineDeployment", &metadata);
    set(&mut scope.status().conditions, new, metadata.generation, now);
}

/// Computes the whole status. `before` is the MachineDeployment as read; `is_observed` tells that
/// all phases succeeded.
pub(super) fn compute(
    scope: &mut Scope,
    before: &MachineDeployment,
    is_observed: bool,
    now: Timestamp,
) {
    let generation = generation_after(&before.metadata, scope.deployment.spec != before.spec);
    let text = selector::format(&scope.deployment.spec.selector);
    let phase = phase(scope);
    let status = scope.status();
    status.selector = text;
    phase.clone_into(&mut status.phase);
    if is_observed {
        status.observed_generation = generation;
    }
    set_counters(scope);
    let metadata = scope.deployment.metadata.clone();
    let new = paused::condition(Some(&scope.cluster), "MachineDeployment", &metadata);
    set(&mut scope.status().conditions, new, generation, now);
    for new in own_conditions(scope, now) {
        set(&mut scope.status().conditions, new, generation, now);
    }
    set_v1beta1_status(scope, now);
}

fn sum(scope: &Scope, count: impl Fn(&MachineSetStatus) -> Option<i32>) -> Option<i32> {
    scope.sets().iter().filter_map(|set| set.status.as_ref()).map(count).fold(None, add)
}

fn set_counters(scope: &mut Scope) {
    if scope.sets.is_none() {
        return;
    }
    let replicas = sum(scope, |status| status.replicas);
    let ready = sum(scope, |status| status.ready_replicas);
    let available = sum(scope, |status| status.available_replicas);
    let up_to_date = sum(scope, |status| status.up_to_date_replicas);
    let versions = scope.sets().iter().filter_map(|set| set.status.as_ref());
    let versions =
        machines::aggregate_versions(versions.flat_map(|status| status.versions.clone()));
    let status = scope.status();
    status.replicas = replicas;
    status.ready_replicas = ready;
    status.available_replicas = available;
    status.up_to_date_replicas = up_to_date;
    status.versions = versions;
}

fn phase(scope: &Scope) -> &'static str {
    let Some(desired) = scope.deployment.spec.replicas.filter(|_| scope.sets.is_some()) else {
        return "Unknown";
    };
    if scope.is_deleting() {
        return "ScalingDown";
    }
    match desired.cmp(&sum(scope, |status| status.replicas).unwrap_or(0)) {
        std::cmp::Ordering::Equal => "Running",
        std::cmp::Ordering::Less => "ScalingDown",
        std::cmp::Ordering::Greater => "ScalingUp",
    }
}

fn own_conditions(scope: &Scope, now: Timestamp) -> Vec<New> {
    let machines = &scope.machines;
    let mut all = vec![
        rolling_out(scope),
        owned::machines_ready(machines, "MachinesReady"),
        owned::machines_up_to_date(machines, "MachinesUpToDate", now),
        owned::remediating(machines, " by MachineDeployment/MachineSet"),
    ];
    if scope.sets.is_none() {
        all.extend(["Available", "ScalingUp", "ScalingDown", "Deleting"].map(internal_error));
    } else {
        all.extend([
            available(scope),
            scaling_up(scope),
            scaling_down(scope, now),
            deleting(scope, now),
        ]);
    }
    all
}

fn waiting_for_replicas(type_: &'static str) -> New {
    New::unknown(type_, "WaitingForReplicasSet", "Waiting for spec.replicas set")
}

fn available(scope: &Scope) -> New {
    const TYPE: &str = "Available";
    let Some(replicas) = scope.deployment.spec.replicas else { return waiting_for_replicas(TYPE) };
    let status = scope.deployment.status.as_ref();
    let Some(available) = status.and_then(|status| status.available_replicas) else {
        let message = "Waiting for status.availableReplicas set";
        return New::unknown(TYPE, "WaitingForAvailableReplicasSet", message);
    };
    let required = replicas - Limits::of(&scope.deployment).unavailable;
    if available >= required {
        return New::yes(TYPE, "Available");
    }
    if scope.is_deleting() {
        return New::no(TYPE, "NotAvailable", "Deletion in progress");
    }
    let mut message = format!("{available} available replicas, at least {required} required");
    if let Some(strategy) =
        strategy(&scope.deployment).filter(|strategy| strategy.type_ == "RollingUpdate")
    {
        let limits = strategy.rolling_update.as_ref();
        let limit = match limits.and_then(|limits| limits.max_unavailable.as_ref()) {
            Some(IntOrString::Int(number)) => number.to_string(),
            Some(IntOrString::String(text)) => text.clone(),
            None => "<nil>".to_owned(),
        };
        message.push_str(&format!(
            " (spec.strategy.rollout.maxUnavailable is {limit}, spec.replicas is {replicas})"
        ));
    }
    New::no(TYPE, "NotAvailable", message)
}

fn rolling_out(scope: &Scope) -> New {
    const TYPE: &str = "RollingOut";
    let outdated: Vec<&str> = scope
        .machines
        .iter()
        .filter_map(|machine| conditions::get(machines::conditions_of(machine), "UpToDate"))
        .filter(|condition| condition.status == "False")
        .map(|condition| condition.message.as_str())
        .collect();
    if outdated.is_empty() {
        return New::no(TYPE, "NotRollingOut", "");
    }
    let mut message = format!("Rolling out {} not up-to-date replicas", outdated.len());
    // Versions come first, then the other causes by name.
    let causes: BTreeSet<(bool, &str)> = outdated
        .iter()
        .filter(|message| !message.is_empty())
        .flat_map(|message| message.split('\n'))
        .map(|cause| (!cause.starts_with("* Version"), cause))
        .collect();
    for (_, cause) in causes {
        message.push('\n');
        message.push_str(cause);
    }
    New { message, ..New::yes(TYPE, "RollingOut") }
}

/// Wanted and existing Machines; none are wanted once the deployment is being deleted.
fn sizes(scope: &Scope) -> Option<(i32, i32)> {
    let replicas = scope.deployment.spec.replicas?;
    let desired = if scope.is_deleting() { 0 } else { replicas };
    Some((desired, sum(scope, |status| status.replicas).unwrap_or(0)))
}

fn scaling_up(scope: &Scope) -> New {
    const TYPE: &str = "ScalingUp";
    let Some((desired, current)) = sizes(scope) else { return waiting_for_replicas(TYPE) };
    let missing = missing_references(scope);
    if current >= desired {
        let message = match &missing {
            Some(missing) if !scope.is_deleting() => {
                format!("Scaling up would be blocked because {missing}")
            }
            Some(_) | None => String::new(),
        };
        return New::no(TYPE, "NotScalingUp", message);
    }
    let mut message = format!("Scaling up from {current} to {desired} replicas");
    if let Some(missing) = missing {
        message.push_str(&format!(" is blocked because {missing}"));
    }
    New { message, ..New::yes(TYPE, "ScalingUp") }
}

fn missing_references(scope: &Scope) -> Option<String> {
    let spec = &scope.deployment.spec.template.spec;
    let mut missing = Vec::new();
    if scope.is_bootstrap_template_missing {
        let reference = spec.bootstrap.config_ref.as_ref();
        missing.extend(reference.map(|reference| reference.kind.as_str()));
    }
    if scope.is_infrastructure_template_missing {
        missing.push(spec.infrastructure_ref.kind.as_str());
    }
    match missing.len() {
        0 => None,
        1 => Some(format!("{} does not exist", missing[0])),
        _ => Some(format!("{} do not exist", missing.join(" and "))),
    }
}

fn with_stale(mut message: String, scope: &Scope, now: Timestamp) -> String {
    let stale = owned::stale_message(&scope.machines, now);
    if !stale.is_empty() {
        message.push_str(&format!("\n* {stale}"));
    }
    message
}

fn scaling_down(scope: &Scope, now: Timestamp) -> New {
    const TYPE: &str = "ScalingDown";
    let Some((desired, current)) = sizes(scope) else { return waiting_for_replicas(TYPE) };
    if current <= desired {
        return New::no(TYPE, "NotScalingDown", "");
    }
    let message = format!("Scaling down from {current} to {desired} replicas");
    New { message: with_stale(message, scope, now), ..New::yes(TYPE, "ScalingDown") }
}

fn deleting(scope: &Scope, now: Timestamp) -> New {
    const TYPE: &str = "Deleting";
    if !scope.is_deleting() {
        return New::no(TYPE, "NotDeleting", "");
    }
    let message = match (scope.machines.len(), scope.sets().len()) {
        (0, 0) => "Deletion completed".to_owned(),
        (0, sets) => format!("Deleting {sets} MachineSets"),
        (1, _) => with_stale("Deleting 1 Machine".to_owned(), scope, now),
        (count, _) => with_stale(format!("Deleting {count} Machines"), scope, now),
    };
    New { message, ..New::yes(TYPE, "Deleting") }
}

fn v1beta1_of(set: &MachineSet) -> Option<&V1Beta1Status> {
    set.status.as_ref()?.deprecated.as_ref()?.v1beta1.as_ref()
}

fn set_v1beta1_status(scope: &mut Scope, now: Timestamp) {
    if scope.is_rolled_out {
        set_v1beta1_counters(scope, now);
    }
    let conditions = &mut v1beta1_status(&mut scope.status().deprecated).conditions;
    let options = SummaryOptions { types: &["Available"], count_steps_of: None };
    if let Some(ready) = v1beta1::summary(conditions, options) {
        set_v1beta1(conditions, ready, now);
    }
}

fn set_v1beta1_counters(scope: &mut Scope, now: Timestamp) {
    let sets = scope.sets().to_vec();
    let total = |count: fn(&V1Beta1Status) -> Option<i32>| -> i32 {
        sets.iter().filter_map(|set| v1beta1_of(set)).filter_map(count).sum()
    };
    let ready = total(|status| status.ready_replicas);
    let available = total(|status| status.available_replicas);
    let wanted: i32 = sets.iter().filter_map(|set| set.spec.replicas).sum();
    let current = sets.iter().find(|set| set.metadata.name == scope.current);
    let current = current.filter(|_| scope.current.is_some());
    let updated =
        current.and_then(|set| set.status.as_ref()).and_then(|status| status.replicas).unwrap_or(0);
    let required = scope.replicas() - Limits::of(&scope.deployment).unavailable;
    let shown = scope.deployment.status.as_ref().and_then(|status| status.available_replicas);
    let minimum: V1Beta1Condition = if available >= required {
        v1beta1::yes("Available")
    } else {
        let message = format!(
            "Minimum availability requires {required} replicas, current {} available",
            shown.unwrap_or(0)
        );
        v1beta1::no("Available", "WaitingForAvailableMachines", "Warning", &message)
    };
    const SET_READY: &str = "MachineSetReady";
    let waiting = |message: &str| v1beta1::no(SET_READY, "WaitingForMachineSet", "Info", message);
    let set_ready = match current {
        None => waiting("MachineSet not found"),
        Some(set) => {
            let held = v1beta1_of(set).map_or(&[][..], |status| status.conditions.as_slice());
            v1beta1::mirror(v1beta1::get(held, "Ready"), SET_READY, || waiting(""))
        }
    };
    let status = v1beta1_status(&mut scope.status().deprecated);
    status.updated_replicas = Some(updated);
    status.ready_replicas = Some(ready);
    status.available_replicas = Some(available);
    status.unavailable_replicas = Some((wanted - available).max(0));
    set_v1beta1(&mut status.conditions, minimum, now);
    set_v1beta1(&mut status.conditions, set_ready, now);
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
