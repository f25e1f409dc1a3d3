//! Status of a Machine: phase and both condition families, computed from the scope.
//! (CAPI v1.14: machine_controller_status.go)

use std::time::Duration;

use jiff::{Timestamp, Unit};
use k8s_openapi::api::core::v1::Node;

use super::super::externals::{MirrorRules, mirror};
use super::super::owned::{self, elapsed};
use super::super::probe::MACHINE_GRACE;
use super::super::{generation_after, template, v1beta1_status};
use super::{Scope, in_place};
use crate::api::conditions::Condition;
use crate::api::core::Machine;
use crate::contract::conditions::merge::{Priority, Reasons, Summary, default_priority};
use crate::contract::conditions::v1beta1::SummaryOptions;
use crate::contract::conditions::{
    self, ConditionStatus, New, set, set_v1beta1, v1beta1, whole_seconds,
};
use crate::contract::{machines, paused};
use crate::extensions::pending;
use crate::runtime::Outcome;

/// Sets only the Paused condition: a paused Machine says nothing else.
pub(super) fn set_paused(scope: &mut Scope, now: Timestamp) {
    let new = paused::condition(Some(&scope.cluster), "Machine", &scope.machine.metadata);
    let generation = scope.machine.metadata.generation;
    set(&mut scope.status().conditions, new, generation, now);
}

/// Computes the whole status; answers when Available changes with time alone. `before` is the
/// Machine as read; `is_observed` tells that all phases succeeded.
pub(super) fn compute(
    scope: &mut Scope,
    before: &Machine,
    is_observed: bool,
    now: Timestamp,
) -> Outcome {
    let generation = generation_after(&before.metadata, scope.machine.spec != before.spec);
    if is_observed {
        scope.status().observed_generation = generation;
    }
    let put = |scope: &mut Scope, new: New, since: Timestamp| {
        set(&mut scope.status().conditions, new, generation, since);
    };
    let new = paused::condition(Some(&scope.cluster), "Machine", &scope.machine.metadata);
    put(scope, new, now);
    for mirrored in [bootstrap_ready(scope, now), infrastructure_ready(scope, now)] {
        put(scope, mirrored.new, mirrored.since);
    }
    for (new, since) in node_conditions(scope, now) {
        put(scope, new, since);
    }
    let new = deleting(scope);
    put(scope, new, now);
    let new = updating(scope);
    put(scope, new, now);
    if let Some(new) = up_to_date(scope, now) {
        put(scope, new, now);
    }
    let new = ready(scope, now);
    put(scope, new, now);
    set_phase(scope, now);
    let (new, outcome) = available(&scope.machine, now);
    put(scope, new, now);
    set_v1beta1_ready(scope, now);
    outcome
}

fn bootstrap_ready(scope: &Scope, now: Timestamp) -> conditions::Mirrored {
    const TYPE: &str = "BootstrapConfigReady";
    let Some(reference) = &scope.machine.spec.bootstrap.config_ref else {
        return conditions::Mirrored { new: New::yes(TYPE, "DataSecretProvided"), since: now };
    };
    mirror(
        &scope.bootstrap,
        &MirrorRules {
            target: TYPE,
            source: "Ready",
            kind: &reference.kind,
            is_milestone_reached: scope.is_bootstrap_data_created(),
            milestone: "dataSecretCreated",
            good: "Ready",
            bad: "NotReady",
            is_deleting: scope.is_deleting(),
            outlived_by: None,
        },
        now,
    )
}

fn infrastructure_ready(scope: &Scope, now: Timestamp) -> conditions::Mirrored {
    mirror(
        &scope.infrastructure,
        &MirrorRules {
            target: "InfrastructureReady",
            source: "Ready",
            kind: &scope.machine.spec.infrastructure_ref.kind,
            is_milestone_reached: scope.is_infrastructure_provisioned(),
            milestone: "provisioned",
            good: "Ready",
            bad: "NotReady",
            is_deleting: scope.is_deleting(),
            outlived_by: Some("Machine"),
        },
        now,
    )
}

/// NodeReady and NodeHealthy with the time of their change; empty to keep what is there.
fn node_conditions(scope: &Scope, now: Timestamp) -> Vec<(New, Timestamp)> {
    let both = |status, reason: &str, message: String| {
        ["NodeReady", "NodeHealthy"]
            .map(|type_| (New::with_status(type_, status, reason, message.clone()), now))
            .to_vec()
    };
    let unknown =
        |reason, message: &str| both(ConditionStatus::Unknown, reason, message.to_owned());
    let is_set = ["NodeReady", "NodeHealthy"]
        .iter()
        .all(|type_| conditions::get(machines::conditions_of(&scope.machine), type_).is_some());
    let initialization =
        scope.cluster.status.as_ref().and_then(|status| status.initialization.as_ref());
    if initialization.is_none_or(|done| done.infrastructure_provisioned != Some(true)) {
        let message =
            "Waiting for Cluster status.initialization.infrastructureProvisioned to be true";
        return unknown("InspectionFailed", message);
    }
    let Some(initialized_since) = scope.control_plane_initialized_since() else {
        return unknown("InspectionFailed", "Waiting for Cluster control plane to be initialized");
    };
    let Some(last_success) = scope.probe.last_success else {
        if is_set {
            return Vec::new();
        }
        return unknown("ConnectionDown", "Remote connection not established yet");
    };
    let last_probe = last_success.round(Unit::Second).unwrap_or(last_success);
    let last_probe = format!("Last successful probe at {last_probe}");
    if elapsed(last_success.max(initialized_since), now) > MACHINE_GRACE {
        return unknown("ConnectionDown", &last_probe);
    }
    if scope.is_node_unreadable {
        return if is_set { Vec::new() } else { unknown("ConnectionDown", &last_probe) };
    }
    if let Some(node) = &scope.node {
        let (ready, since) = node_ready(node, now);
        return vec![(ready, since), (node_healthy(node), now)];
    }
    let name = scope.node_name();
    let provider_id = &scope.machine.spec.provider_id;
    match (name, scope.is_deleting()) {
        (Some(name), true) => {
            both(ConditionStatus::False, "NodeDeleted", format!("Node {name} has been deleted"))
        }
        (None, true) => unknown("NodeDoesNotExist", "Node does not exist"),
        (Some(name), false) => {
            let message = format!("Node {name} has been deleted while the Machine still exists");
            both(ConditionStatus::False, "NodeDeleted", message)
        }
        (None, false) if !provider_id.is_empty() => {
            let message = format!("Waiting for a Node with spec.providerID {provider_id} to exist");
            unknown("InspectionFailed", &message)
        }
        (None, false) => {
            let kind = &scope.machine.spec.infrastructure_ref.kind;
            unknown("InspectionFailed", &format!("Waiting for {kind} to report spec.providerID"))
        }
    }
}

fn node_ready(node: &Node, now: Timestamp) -> (New, Timestamp) {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    let ready = conditions.unwrap_or_default().iter().find(|condition| condition.type_ == "Ready");
    let Some(ready) = ready else {
        let message = "* Node.Ready: Condition not yet reported";
        return (New::unknown("NodeReady", "NodeReadyUnknown", message), now);
    };
    let status = ConditionStatus::parse(&ready.status);
    let reason = match status {
        ConditionStatus::True => "NodeReady",
        ConditionStatus::False => "NodeNotReady",
        ConditionStatus::Unknown => "NodeReadyUnknown",
    };
    let message = ready
        .message
        .as_deref()
        .filter(|message| status != ConditionStatus::True && !message.is_empty())
        .map(|message| format!("* Node.Ready: {message}"))
        .unwrap_or_default();
    let since = ready.last_transition_time.as_ref().map_or(now, |time| time.0);
    (New::with_status("NodeReady", status, reason, message), since)
}

/// Summarises the Node's Ready and pressure conditions.
fn node_healthy(node: &Node) -> New {
    let held = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    let held = held.unwrap_or_default();
    let (mut bad, mut unknown) = (0, 0);
    let mut texts: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for (type_, good) in [
        ("Ready", ConditionStatus::True),
        ("MemoryPressure", ConditionStatus::False),
        ("DiskPressure", ConditionStatus::False),
        ("PIDPressure", ConditionStatus::False),
    ] {
        let Some(condition) = held.iter().find(|condition| condition.type_ == type_) else {
            lines.push(format!("* Node.{type_}: Condition not yet reported"));
            unknown += 1;
            continue;
        };
        let status = ConditionStatus::parse(&condition.status);
        if status == good {
            continue;
        }
        let text = condition
            .message
            .clone()
            .filter(|message| !message.is_empty())
            .unwrap_or_else(|| format!("Condition is {}", condition.status));
        lines.push(format!("* Node.{type_}: {text}"));
        texts.push(text);
        if status == ConditionStatus::Unknown { unknown += 1 } else { bad += 1 }
    }
    if texts.len() > 1 && texts.iter().all(|text| *text == texts[0]) {
        lines = vec![format!("* Node.AllConditions: {}", texts[0])];
    }
    let message = lines.join("\n");
    if bad > 0 {
        New::no("NodeHealthy", "NodeNotHealthy", message)
    } else if unknown > 0 {
        New::unknown("NodeHealthy", "NodeHealthyUnknown", message)
    } else {
        New::yes("NodeHealthy", "NodeHealthy")
    }
}

fn deleting(scope: &Scope) -> New {
    if !scope.is_deleting() {
        return New::no("Deleting", "NotDeleting", "");
    }
    let (reason, message) = scope.deleting.clone().unwrap_or_else(|| ("Deleting", String::new()));
    New { message, ..New::yes("Deleting", reason) }
}

fn updating(scope: &Scope) -> New {
    if !pending::is_update_in_progress(&scope.machine.metadata) {
        return New::no("Updating", "NotUpdating", "");
    }
    let default = || (in_place::UPDATING, in_place::IN_PROGRESS.to_owned());
    let (reason, message) = scope.updating.clone().unwrap_or_else(default);
    New { message, ..New::yes("Updating", reason) }
}

/// UpToDate of Machines that a MachineDeployment owns; other owners set it themselves.
fn up_to_date(scope: &Scope, now: Timestamp) -> Option<New> {
    const TYPE: &str = "UpToDate";
    let (set, deployment) = (scope.set.as_ref()?, scope.deployment.as_ref()?);
    let mut messages = template::differences(&set.spec.template, &deployment.spec.template);
    if template::is_rollout_due(deployment, set, now) {
        messages.push("MachineDeployment spec.rolloutAfter expired".to_owned());
    }
    if !messages.is_empty() {
        let lines: Vec<String> = messages.iter().map(|line| format!("* {line}")).collect();
        return Some(New::no(TYPE, "NotUpToDate", lines.join("\n")));
    }
    let updating = updating(scope);
    if updating.status == ConditionStatus::True {
        return Some(New::no(TYPE, "Updating", format!("* {}", updating.message)));
    }
    let wanted = &scope.machine.spec.version;
    if let Some(version) =
        machines::kubelet_version(&scope.machine).filter(|version| version != wanted)
    {
        let message = format!("* Node.status.nodeInfo.kubeletVersion {version}, {wanted} required");
        return Some(New::no(TYPE, "Updating", message));
    }
    Some(New::yes(TYPE, "UpToDate"))
}

fn ready(scope: &Scope, now: Timestamp) -> New {
    let gates = &scope.machine.spec.readiness_gates;
    let mut types = vec![
        "Deleting",
        "Updating",
        "BootstrapConfigReady",
        "InfrastructureReady",
        "NodeHealthy",
        "HealthCheckSucceeded",
    ];
    types.extend(gates.iter().map(|gate| gate.condition_type.as_str()));
    let mut negative = vec!["Deleting", "Updating"];
    negative.extend(
        gates
            .iter()
            .filter(|gate| gate.polarity == "Negative")
            .map(|gate| gate.condition_type.as_str()),
    );
    let is_deleting = scope.is_deleting();
    let prioritise = |condition: &Condition| {
        let is_gone = match condition.type_.as_str() {
            "BootstrapConfigReady" | "InfrastructureReady" => {
                matches!(condition.reason.as_str(), "ObjectDeleted" | "ObjectDoesNotExist")
            }
            "NodeHealthy" => {
                matches!(condition.reason.as_str(), "NodeDeleted" | "NodeDoesNotExist")
            }
            _ => false,
        };
        if is_deleting && is_gone {
            return Priority::Info;
        }
        default_priority(condition, &negative)
    };
    let overrides = if is_deleting { vec![deleting_override(scope, now)] } else { Vec::new() };
    let summary = Summary {
        types: &types,
        negative: &negative,
        ignore_if_missing: &["HealthCheckSucceeded"],
        overrides: &overrides,
        reasons: Reasons { issue: "NotReady", unknown: "ReadyUnknown", info: "Ready" },
        prioritise: Some(&prioritise),
        transform: Some(&group_control_plane_components),
    };
    summary.of(machines::conditions_of(&scope.machine)).named("Ready")
}

fn deleting_override(scope: &Scope, now: Timestamp) -> Condition {
    Condition {
        type_: "Deleting".to_owned(),
        status: "True".to_owned(),
        reason: "Deleting".to_owned(),
        message: owned::deletion_message(&scope.machine, now),
        observed_generation: None,
        last_transition_time: whole_seconds(now),
    }
}

/// Says once what all control plane components say, if they all say the same.
fn group_control_plane_components(lines: Vec<String>) -> Vec<String> {
    let is_component = |name: &str| {
        ["* APIServer", "* ControllerManager", "* Scheduler"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            || name == "* EtcdPodHealthy"
    };
    let mut grouped: Vec<String> = Vec::new();
    let mut shared: Option<String> = None;
    let mut count = 0;
    for line in &lines {
        match line.split_once(':') {
            Some((name, message)) if is_component(name) => {
                count += 1;
                match &shared {
                    None => {
                        grouped.push(format!("* Control plane components:{message}"));
                        shared = Some(message.to_owned());
                    }
                    Some(shared) if shared != message => return lines,
                    Some(_) => {}
                }
            }
            _ => grouped.push(line.clone()),
        }
    }
    if count == 1 { lines } else { grouped }
}

fn available(machine: &Machine, now: Timestamp) -> (New, Outcome) {
    const TYPE: &str = "Available";
    let ready = conditions::get(machines::conditions_of(machine), "Ready")
        .filter(|ready| ready.status == "True");
    let Some(ready) = ready else { return (New::no(TYPE, "NotReady", ""), Outcome::Done) };
    let seconds = u64::try_from(machine.spec.min_ready_seconds.unwrap_or(0)).unwrap_or(0);
    let wanted = Duration::from_secs(seconds);
    let ready_for = elapsed(ready.last_transition_time.0, now);
    if ready_for >= wanted {
        return (New::yes(TYPE, "Available"), Outcome::Done);
    }
    let left = wanted - ready_for;
    (New::no(TYPE, "WaitingForMinReadySeconds", ""), Outcome::RequeueAfter(left))
}

fn set_phase(scope: &mut Scope, now: Timestamp) {
    let held = scope.status().phase.clone();
    let is_updating = conditions::is_true(&scope.status().conditions, "Updating");
    let phase = if scope.is_deleting() {
        "Deleting"
    } else if is_updating {
        "Updating"
    } else if scope.node_name().is_some() && scope.is_infrastructure_provisioned() {
        "Running"
    } else if !scope.machine.spec.provider_id.is_empty() {
        "Provisioned"
    } else if scope.is_bootstrap_data_created() && !scope.is_infrastructure_provisioned() {
        "Provisioning"
    } else if held.is_empty() {
        "Pending"
    } else {
        held.as_str()
    };
    if phase != held {
        let phase = phase.to_owned();
        let status = scope.status();
        status.phase = phase;
        status.last_updated = Some(whole_seconds(now));
    }
}

/// Sums the older family up.
pub(super) fn set_v1beta1_ready(scope: &mut Scope, now: Timestamp) {
    let counts_steps = !scope.is_deleting() && scope.machine.spec.provider_id.is_empty();
    let options = SummaryOptions {
        types: &[
            "InfrastructureReady",
            "BootstrapReady",
            "HealthCheckSucceeded",
            "OwnerRemediated",
            "DrainingSucceeded",
        ],
        count_steps_of: counts_steps.then_some(&["BootstrapReady", "InfrastructureReady"]),
    };
    let conditions = &mut v1beta1_status(&mut scope.status().deprecated).conditions;
    if let Some(ready) = v1beta1::summary(conditions, options) {
        set_v1beta1(conditions, ready, now);
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
