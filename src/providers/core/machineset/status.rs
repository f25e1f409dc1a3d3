//! Status of a MachineSet: counters and both condition families, computed from the scope.
//! (CAPI v1.14: machineset_controller_status.go)

use jiff::Timestamp;

use super::super::externals::internal_error;
use super::super::{generation_after, owned, v1beta1_status};
use super::Scope;
use crate::api::core::{Machine, MachineSet};
use crate::contract::conditions::v1beta1::{Source, SummaryOptions};
use crate::contract::conditions::{New, set, set_v1beta1, v1beta1};
use crate::contract::{machines, paused, selector};
use crate::extensions::pending;

/// Sets only the Paused condition: a paused MachineSet says nothing else.
pub(super) fn set_paused(scope: &mut Scope, now: Timestamp) {
    let new = paused::condition(Some(&scope.cluster), "MachineSet", &scope.set.metadata);
    let generation = scope.set.metadata.generation;
    set(&mut scope.status().conditions, new, generation, now);
}

/// Computes the whole status. `before` is the MachineSet as read; `is_observed` tells that all
/// phases succeeded.
pub(super) fn compute(scope: &mut Scope, before: &MachineSet, is_observed: bool, now: Timestamp) {
    let generation = generation_after(&before.metadata, scope.set.spec != before.spec);
    let text = selector::format(&scope.set.spec.selector);
    let status = scope.status();
    status.selector = text;
    if is_observed {
        status.observed_generation = generation;
    }
    set_counters(scope);
    let new = paused::condition(Some(&scope.cluster), "MachineSet", &scope.set.metadata);
    set(&mut scope.status().conditions, new, generation, now);
    for new in own_conditions(scope, now) {
        set(&mut scope.status().conditions, new, generation, now);
    }
    set_v1beta1_status(scope, now);
}

fn count(machines: &[std::sync::Arc<Machine>], claim: impl Fn(&Machine) -> bool) -> Option<i32> {
    i32::try_from(machines.iter().filter(|machine| claim(machine)).count()).ok()
}

fn set_counters(scope: &mut Scope) {
    let Some(machines) = scope.machines.clone() else { return };
    let status = scope.status();
    // What is being updated in place counts as none of these, whatever its conditions still say.
    let settled = |claim: fn(&Machine) -> bool| {
        count(&machines, |it| claim(it) && !pending::is_update_in_progress(&it.metadata))
    };
    status.replicas = count(&machines, |_| true);
    status.ready_replicas = settled(machines::is_ready);
    status.available_replicas = settled(machines::is_available);
    status.up_to_date_replicas = settled(machines::is_up_to_date);
    status.versions = machines::versions(&machines);
}

fn own_conditions(scope: &Scope, now: Timestamp) -> Vec<New> {
    let Some(machines) = &scope.machines else {
        return [
            "ScalingUp",
            "ScalingDown",
            "MachinesReady",
            "MachinesUpToDate",
            "Remediating",
            "Deleting",
        ]
        .map(internal_error)
        .to_vec();
    };
    vec![
        scaling_up(scope),
        scaling_down(scope, now),
        owned::machines_ready(machines, "MachinesReady"),
        owned::machines_up_to_date(machines, "MachinesUpToDate", now),
        owned::remediating(machines, " by MachineSet"),
        deleting(scope, now),
    ]
}

/// Wanted Machines: none once the set is being deleted.
fn desired(scope: &Scope) -> Option<usize> {
    let replicas = scope.set.spec.replicas?;
    Some(if scope.is_deleting() { 0 } else { usize::try_from(replicas).unwrap_or(0) })
}

fn waiting_for_replicas(type_: &'static str) -> New {
    New::unknown(type_, "WaitingForReplicasSet", "Waiting for spec.replicas set")
}

fn scaling_up(scope: &Scope) -> New {
    const TYPE: &str = "ScalingUp";
    let Some(desired) = desired(scope) else { return waiting_for_replicas(TYPE) };
    let current = scope.machines().len();
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
    let causes: Vec<String> =
        scope.preflight.iter().chain(&missing).map(|cause| format!("* {cause}")).collect();
    if !causes.is_empty() {
        message.push_str(&format!(" is blocked because:\n{}", causes.join("\n")));
    }
    New { message, ..New::yes(TYPE, "ScalingUp") }
}

fn missing_references(scope: &Scope) -> Option<String> {
    let spec = &scope.set.spec.template.spec;
    let bootstrap = spec.bootstrap.config_ref.as_ref().map(|reference| reference.kind.as_str());
    let mut missing = Vec::new();
    if scope.is_bootstrap_template_missing {
        missing.extend(bootstrap);
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
    let stale = owned::stale_message(scope.machines(), now);
    if !stale.is_empty() {
        message.push_str(&format!("\n* {stale}"));
    }
    message
}

fn scaling_down(scope: &Scope, now: Timestamp) -> New {
    const TYPE: &str = "ScalingDown";
    let Some(desired) = desired(scope) else { return waiting_for_replicas(TYPE) };
    let current = scope.machines().len();
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
    let message = match scope.machines().len() {
        0 => "Deletion completed".to_owned(),
        1 => with_stale("Deleting 1 Machine".to_owned(), scope, now),
        count => with_stale(format!("Deleting {count} Machines"), scope, now),
    };
    New { message, ..New::yes(TYPE, "Deleting") }
}

fn set_v1beta1_status(scope: &mut Scope, now: Timestamp) {
    let Some(machines) = scope.machines.clone() else { return };
    let desired = desired(scope).unwrap_or(0);
    let failure = scope.creation_failure.take();
    let nodes = scope.ready_nodes;
    let template = scope.set.spec.template.metadata.labels.clone();
    let has_all_labels = |machine: &Machine| {
        let held = machine.metadata.labels.as_ref();
        template.iter().all(|(key, value)| held.and_then(|held| held.get(key)) == Some(value))
    };
    let status = v1beta1_status(&mut scope.status().deprecated);
    status.fully_labeled_replicas = count(&machines, has_all_labels);
    status.ready_replicas = Some(nodes.ready);
    status.available_replicas = Some(nodes.available);
    let current = machines.len();
    let conditions = &mut status.conditions;
    let resized = |reason: &str, verb: &str| {
        let message = format!("Scaling {verb} MachineSet to {desired} replicas (actual {current})");
        v1beta1::no("Resized", reason, "Warning", &message)
    };
    if let Some((reason, message)) = failure {
        let failed = v1beta1::no("MachinesCreated", reason, "Error", &message);
        set_v1beta1(conditions, failed, now);
    } else if current >= desired {
        set_v1beta1(conditions, v1beta1::yes("MachinesCreated"), now);
    }
    if current < desired {
        set_v1beta1(conditions, resized("ScalingUp", "up"), now);
    } else if current > desired {
        set_v1beta1(conditions, resized("ScalingDown", "down"), now);
    } else if usize::try_from(nodes.ready) == Ok(current) {
        set_v1beta1(conditions, v1beta1::yes("Resized"), now);
    }
    let sources: Vec<Source<'_>> = machines
        .iter()
        .map(|machine| Source {
            kind: "Machine",
            name: machines::name(machine),
            conditions: owned::v1beta1_conditions(machine),
        })
        .collect();
    let ready = if sources.is_empty() {
        Some(v1beta1::yes("MachinesReady"))
    } else {
        v1beta1::aggregate(&sources, "MachinesReady")
    };
    if let Some(ready) = ready {
        set_v1beta1(conditions, ready, now);
    }
    let options = SummaryOptions {
        types: &["MachinesCreated", "Resized", "MachinesReady"],
        count_steps_of: None,
    };
    if let Some(ready) = v1beta1::summary(conditions, options) {
        set_v1beta1(conditions, ready, now);
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
