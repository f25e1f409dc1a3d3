//! Status of a Cluster: phase, counters and both condition families, computed from the scope.
//! (CAPI v1.14: cluster_controller_status.go)

use std::sync::Arc;

use jiff::{Timestamp, Unit};

use super::super::externals::{External, Lookup, MirrorRules, internal_error, mirror};
use super::super::owned::{self, add};
use super::super::probe::CLUSTER_GRACE;
use super::super::{generation_after, v1beta1_status};
use super::{Scope, owns};
use crate::api::conditions::{Condition, V1Beta1Status};
use crate::api::core::{Cluster, ContractRef, Machine, MachineDeployment, ReplicaCounts};
use crate::api::replicas::Replicated;
use crate::contract::conditions::merge::{
    self, Merged, Polarity, Priority, Reasons, Source, Summary, default_priority,
};
use crate::contract::conditions::v1beta1::SummaryOptions;
use crate::contract::conditions::{self, ConditionStatus, New, set, set_v1beta1, v1beta1};
use crate::contract::{labels, machines, paused};

/// Sets only the Paused condition: a paused Cluster says nothing else.
pub(super) fn set_paused(scope: &mut Scope, now: Timestamp) {
    let metadata = scope.cluster.metadata.clone();
    let new = paused::condition(Some(&scope.cluster), "Cluster", &metadata);
    set(&mut scope.status().conditions, new, metadata.generation, now);
}

/// Computes the whole status. `before` is the Cluster as read; `is_observed` tells that all phases
/// succeeded, so that the generation counts as observed.
pub(super) fn compute(scope: &mut Scope, before: &Cluster, is_observed: bool, now: Timestamp) {
    let generation = generation_after(&before.metadata, scope.cluster.spec != before.spec);
    let phase = phase(scope);
    let control_plane = control_plane_counts(scope);
    let workers = worker_counts(scope);
    let status = scope.status();
    status.phase = phase;
    status.control_plane = Some(control_plane);
    status.workers = Some(workers);
    if is_observed {
        status.observed_generation = generation;
    }
    set_paused_condition(scope, generation, now);
    for (new, since) in own_conditions(scope, now) {
        set(&mut scope.status().conditions, new, generation, since);
    }
    let available = available(scope);
    set(&mut scope.status().conditions, available, generation, now);
    let conditions = &mut v1beta1_status(&mut scope.status().deprecated).conditions;
    let options = SummaryOptions {
        types: &["ControlPlaneReady", "InfrastructureReady"],
        count_steps_of: None,
    };
    if let Some(ready) = v1beta1::summary(conditions, options) {
        set_v1beta1(conditions, ready, now);
    }
    // What was made to look into it is not written empty.
    let deprecated = &mut scope.status().deprecated;
    if deprecated.as_ref().and_then(|d| d.v1beta1.as_ref()) == Some(&V1Beta1Status::default()) {
        *deprecated = None;
    }
}

fn set_paused_condition(scope: &mut Scope, generation: Option<i64>, now: Timestamp) {
    let new = paused::condition(Some(&scope.cluster), "Cluster", &scope.cluster.metadata);
    set(&mut scope.status().conditions, new, generation, now);
}

fn phase(scope: &Scope) -> String {
    let spec = &scope.cluster.spec;
    let has_endpoint = spec
        .control_plane_endpoint
        .as_ref()
        .is_some_and(|endpoint| !endpoint.host.is_empty() && endpoint.port.unwrap_or(0) > 0);
    let held = scope.cluster.status.as_ref().map_or("", |status| status.phase.as_str());
    let phase = if scope.is_deleting() {
        "Deleting"
    } else if scope.is_infrastructure_provisioned() && has_endpoint {
        "Provisioned"
    } else if spec.infrastructure_ref.is_some() || spec.control_plane_ref.is_some() {
        "Provisioning"
    } else if held.is_empty() {
        "Pending"
    } else {
        held
    };
    phase.to_owned()
}

fn control_plane_counts(scope: &Scope) -> ReplicaCounts {
    if scope.cluster.spec.control_plane_ref.is_none() {
        let machines = &scope.control_plane_machines;
        let replicas = count(machines, |_| true);
        return ReplicaCounts {
            desired_replicas: replicas,
            replicas,
            up_to_date_replicas: count(machines, machines::is_up_to_date),
            ready_replicas: count(machines, machines::is_ready),
            available_replicas: count(machines, machines::is_available),
            versions: machines::versions(machines),
        };
    }
    let Some(External { object, kind }) = scope.control_plane.found() else {
        return ReplicaCounts::default();
    };
    let held = scope.cluster.status.as_ref().and_then(|status| status.control_plane.as_ref());
    let held = held.cloned().unwrap_or_default();
    ReplicaCounts {
        desired_replicas: object.spec.replicas.or(held.desired_replicas),
        replicas: object.status.replicas.or(held.replicas),
        up_to_date_replicas: object.up_to_date_replicas(kind.contract).or(held.up_to_date_replicas),
        ready_replicas: object.status.ready_replicas.or(held.ready_replicas),
        available_replicas: object.available_replicas(kind.contract).or(held.available_replicas),
        versions: object.status.versions.clone(),
    }
}

/// Number of Machines that fulfil a claim; absent, not zero, if there is none.
fn count(machines: &[Arc<Machine>], claim: impl Fn(&Machine) -> bool) -> Option<i32> {
    let count = machines.iter().filter(|machine| claim(machine)).count();
    i32::try_from(count).ok().filter(|count| *count > 0)
}

fn worker_counts(scope: &Scope) -> ReplicaCounts {
    let mut sum = ReplicaCounts::default();
    let mut add_counts = |counts: ReplicaCounts| {
        sum.desired_replicas = add(sum.desired_replicas, counts.desired_replicas);
        sum.replicas = add(sum.replicas, counts.replicas);
        sum.ready_replicas = add(sum.ready_replicas, counts.ready_replicas);
        sum.available_replicas = add(sum.available_replicas, counts.available_replicas);
        sum.up_to_date_replicas = add(sum.up_to_date_replicas, counts.up_to_date_replicas);
        sum.versions.extend(counts.versions);
    };
    scope.pools.iter().for_each(|pool| add_counts(pool.counts()));
    scope.deployments.iter().for_each(|deployment| add_counts(deployment.counts()));
    let own_sets = scope.sets.iter().filter(|set| owns(&scope.cluster, &set.metadata));
    own_sets.for_each(|set| add_counts(set.counts()));
    let standalone: Vec<Arc<Machine>> = scope
        .worker_machines
        .iter()
        .filter(|machine| owns(&scope.cluster, &machine.metadata))
        .cloned()
        .collect();
    add_counts(ReplicaCounts {
        desired_replicas: count(&standalone, |_| true),
        replicas: count(&standalone, |_| true),
        ready_replicas: count(&standalone, machines::is_ready),
        available_replicas: count(&standalone, machines::is_available),
        up_to_date_replicas: count(&standalone, machines::is_up_to_date),
        versions: machines::versions(&standalone),
    });
    sum.versions = machines::aggregate_versions(sum.versions);
    sum
}

/// All conditions but Available and Paused, with the time to use if the status changes.
fn own_conditions(scope: &Scope, now: Timestamp) -> Vec<(New, Timestamp)> {
    let mut all: Vec<(New, Timestamp)> = Vec::with_capacity(16);
    for mirrored in [infrastructure_ready(scope, now), control_plane_available(scope, now)] {
        all.push((mirrored.new, mirrored.since));
    }
    // Machines of MachinePools do not count; their pools speak for them.
    let is_of_pool = |machine: &Machine| {
        machine.metadata.labels.as_ref().is_some_and(|held| held.contains_key(labels::POOL_NAME))
    };
    let workers = scope.worker_machines.iter().filter(|machine| !is_of_pool(machine));
    let workers: &Vec<Arc<Machine>> = &workers.cloned().collect();
    let control_plane = &scope.control_plane_machines;
    let every: Vec<Arc<Machine>> = control_plane.iter().chain(workers).cloned().collect();
    let computed = [
        remote_connection_probe(scope, now),
        control_plane_initialized(scope),
        Some(workers_available(scope)),
        Some(owned::machines_ready(control_plane, "ControlPlaneMachinesReady")),
        Some(owned::machines_ready(workers, "WorkerMachinesReady")),
        Some(owned::machines_up_to_date(control_plane, "ControlPlaneMachinesUpToDate", now)),
        Some(owned::machines_up_to_date(workers, "WorkerMachinesUpToDate", now)),
        rolled_up(scope, &ROLLING_OUT),
        rolled_up(scope, &SCALING_UP),
        rolled_up(scope, &SCALING_DOWN),
        Some(owned::remediating(&every, "")),
        Some(deleting(scope)),
    ];
    all.extend(computed.into_iter().flatten().map(|new| (new, now)));
    all
}

/// `None` keeps what the Cluster says: until the first connection, and during the grace period.
fn remote_connection_probe(scope: &Scope, now: Timestamp) -> Option<New> {
    const TYPE: &str = "RemoteConnectionProbe";
    if scope.probe.is_connected {
        return Some(New::yes(TYPE, "ProbeSucceeded"));
    }
    let held = scope.cluster.status.as_ref();
    let is_set = held.is_some_and(|status| conditions::get(&status.conditions, TYPE).is_some());
    let Some(last) = scope.probe.last_success else {
        return (!is_set)
            .then(|| New::no(TYPE, "ProbeFailed", "Remote connection not established yet"));
    };
    let is_over = scope.probe.down_for(now).is_some_and(|down| down >= CLUSTER_GRACE);
    is_over.then(|| {
        let last = last.round(Unit::Second).unwrap_or(last);
        let message = format!("Remote connection probe failed, probe last succeeded at {last}");
        New::no(TYPE, "ProbeFailed", message)
    })
}

/// The condition of a part that the topology has not made yet.
fn awaits_topology(
    scope: &Scope,
    type_: &'static str,
    reference: Option<&ContractRef>,
) -> Option<New> {
    if reference.is_some() || !scope.cluster.spec.topology.is_defined() {
        return None;
    }
    let message =
        if scope.is_deleting() { "" } else { "Waiting for cluster topology to be reconciled" };
    Some(New::no(type_, "ObjectDoesNotExist", message))
}

fn infrastructure_ready(scope: &Scope, now: Timestamp) -> conditions::Mirrored {
    let reference = scope.cluster.spec.infrastructure_ref.as_ref();
    if let Some(new) = awaits_topology(scope, "InfrastructureReady", reference) {
        return conditions::Mirrored { new, since: now };
    }
    mirror(
        &scope.infrastructure,
        &MirrorRules {
            target: "InfrastructureReady",
            source: "Ready",
            kind: reference.map_or("", |reference| reference.kind.as_str()),
            is_milestone_reached: scope.is_infrastructure_provisioned(),
            milestone: "provisioned",
            good: "Ready",
            bad: "NotReady",
            is_deleting: scope.is_deleting(),
            outlived_by: Some("cluster"),
        },
        now,
    )
}

fn control_plane_available(scope: &Scope, now: Timestamp) -> conditions::Mirrored {
    let reference = scope.cluster.spec.control_plane_ref.as_ref();
    if let Some(new) = awaits_topology(scope, "ControlPlaneAvailable", reference) {
        return conditions::Mirrored { new, since: now };
    }
    mirror(
        &scope.control_plane,
        &MirrorRules {
            target: "ControlPlaneAvailable",
            source: "Available",
            kind: reference.map_or("", |reference| reference.kind.as_str()),
            is_milestone_reached: scope.is_control_plane_initialized(),
            milestone: "controlPlaneInitialized",
            good: "Available",
            bad: "NotAvailable",
            is_deleting: scope.is_deleting(),
            outlived_by: Some("cluster"),
        },
        now,
    )
}

/// `None` once it is True: the milestone is never taken back.
fn control_plane_initialized(scope: &Scope) -> Option<New> {
    const TYPE: &str = "ControlPlaneInitialized";
    let held = scope.cluster.status.as_ref();
    if held.is_some_and(|status| conditions::is_true(&status.conditions, TYPE)) {
        return None;
    }
    let reference = scope.cluster.spec.control_plane_ref.as_ref();
    if let Some(new) = awaits_topology(scope, TYPE, reference) {
        return Some(New { status: ConditionStatus::Unknown, ..new });
    }
    let kind = reference.map_or("", |reference| &reference.kind);
    let waiting = "Waiting for the first control plane machine to have status.nodeRef set";
    Some(match &scope.control_plane {
        Lookup::Found(External { object, kind }) if object.is_initialized(kind.contract) => {
            New::yes(TYPE, "Initialized")
        }
        Lookup::Found(_) => New::no(TYPE, "NotInitialized", "Control plane not yet initialized"),
        Lookup::Missing => {
            New::unknown(TYPE, "ObjectDoesNotExist", format!("{kind} does not exist"))
        }
        Lookup::Unreadable => internal_error(TYPE),
        Lookup::Undefined => {
            if scope.control_plane_machines.iter().any(|machine| machines::has_node(machine)) {
                New::yes(TYPE, "Initialized")
            } else {
                New::no(TYPE, "NotInitialized", waiting)
            }
        }
    })
}

fn workers_available(scope: &Scope) -> New {
    let reasons = Reasons { issue: "NotAvailable", unknown: "AvailableUnknown", info: "Available" };
    let sources = deployment_sources(&scope.deployments);
    merge::aggregate(&sources, "Available", Polarity::Positive, reasons).map_or_else(
        || New::yes("WorkersAvailable", "NoWorkers"),
        |merged| merged.named("WorkersAvailable"),
    )
}

fn deployment_sources(deployments: &[Arc<MachineDeployment>]) -> Vec<Source<'_>> {
    deployments
        .iter()
        .map(|deployment| Source {
            kind: "MachineDeployment",
            name: deployment.metadata.name.as_deref().unwrap_or_default(),
            is_control_plane_machine: false,
            conditions: deployment
                .status
                .as_ref()
                .map_or(&[][..], |status| status.conditions.as_slice()),
        })
        .collect()
}

/// A condition that the Cluster has if one of its parts has it.
struct RolledUp {
    type_: &'static str,
    reasons: Reasons,
    /// Whether MachineSets that the Cluster owns count, too.
    counts_sets: bool,
}

const ROLLING_OUT: RolledUp = RolledUp {
    type_: "RollingOut",
    reasons: Reasons { issue: "RollingOut", unknown: "RollingOutUnknown", info: "NotRollingOut" },
    counts_sets: false,
};
const SCALING_UP: RolledUp = RolledUp {
    type_: "ScalingUp",
    reasons: Reasons { issue: "ScalingUp", unknown: "ScalingUpUnknown", info: "NotScalingUp" },
    counts_sets: true,
};
const SCALING_DOWN: RolledUp = RolledUp {
    type_: "ScalingDown",
    reasons: Reasons {
        issue: "ScalingDown",
        unknown: "ScalingDownUnknown",
        info: "NotScalingDown",
    },
    counts_sets: true,
};

/// `None` where nothing is going on in a new Cluster whose workers may still come: upstream, which
/// looks at a Cluster once a second, would not have said that either.
fn rolled_up(scope: &Scope, rules: &RolledUp) -> Option<New> {
    if matches!(scope.control_plane, Lookup::Unreadable) {
        return Some(internal_error(rules.type_));
    }
    let control_plane: Option<(&External, Vec<Condition>)> = scope
        .control_plane
        .found()
        .and_then(|external| Some((external, vec![external.object.condition(rules.type_)?])));
    let mut sources: Vec<Source<'_>> = control_plane
        .iter()
        .map(|(external, conditions)| Source {
            kind: &external.kind.resource.kind,
            name: external.object.name(),
            is_control_plane_machine: false,
            conditions,
        })
        .collect();
    sources.extend(deployment_sources(&scope.deployments));
    if rules.counts_sets {
        let owned = scope.sets.iter().filter(|set| owns(&scope.cluster, &set.metadata));
        sources.extend(owned.map(|set| Source {
            kind: "MachineSet",
            name: set.metadata.name.as_deref().unwrap_or_default(),
            is_control_plane_machine: false,
            conditions: set.status.as_ref().map_or(&[][..], |status| status.conditions.as_slice()),
        }));
    }
    let merged = merge::aggregate(&sources, rules.type_, Polarity::Negative, rules.reasons);
    let new = merged.map_or_else(
        || New::no(rules.type_, rules.reasons.info, ""),
        |merged| merged.named(rules.type_),
    );
    let held = scope.cluster.status.as_ref();
    let is_told = held.is_some_and(|held| conditions::get(&held.conditions, rules.type_).is_some());
    let may_be_told = is_told || scope.awaits_workers.is_none();
    Some(new).filter(|new| may_be_told || new.status != ConditionStatus::False)
}

fn deleting(scope: &Scope) -> New {
    if !scope.is_deleting() {
        return New::no("Deleting", "NotDeleting", "");
    }
    let (reason, message) =
        scope.deleting.clone().unwrap_or_else(|| ("InternalError", String::new()));
    New { message, ..New::yes("Deleting", reason) }
}

fn available(scope: &Scope) -> New {
    let gates = scope.availability_gates();
    let mut types = vec![
        "Deleting",
        "RemoteConnectionProbe",
        "InfrastructureReady",
        "ControlPlaneAvailable",
        "WorkersAvailable",
        "TopologyReconciled",
    ];
    types.extend(gates.iter().map(|gate| gate.condition_type.as_str()));
    let mut negative = vec!["Deleting"];
    negative.extend(
        gates
            .iter()
            .filter(|gate| gate.polarity == "Negative")
            .map(|gate| gate.condition_type.as_str()),
    );
    let is_deleting = scope.is_deleting();
    let prioritise = |condition: &Condition| {
        let is_gone = matches!(condition.reason.as_str(), "ObjectDeleted" | "ObjectDoesNotExist");
        let may_go =
            matches!(condition.type_.as_str(), "InfrastructureReady" | "ControlPlaneAvailable");
        if is_deleting && is_gone && may_go {
            return Priority::Info;
        }
        let is_broken =
            matches!(condition.reason.as_str(), "ReconcileFailed" | "ClusterClassNotReconciled");
        if condition.type_ == "TopologyReconciled" && condition.status == "False" && !is_broken {
            return Priority::Info;
        }
        default_priority(condition, &negative)
    };
    let has_topology = scope.cluster.spec.topology.is_defined();
    let summary = Summary {
        types: &types,
        negative: &negative,
        ignore_if_missing: if has_topology { &[] } else { &["TopologyReconciled"] },
        reasons: Reasons { issue: "NotAvailable", unknown: "AvailableUnknown", info: "Available" },
        prioritise: Some(&prioritise),
        ..Summary::default()
    };
    let held = scope.cluster.status.as_ref();
    let merged: Merged = summary.of(held.map_or(&[], |status| &status.conditions));
    merged.named("Available")
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
