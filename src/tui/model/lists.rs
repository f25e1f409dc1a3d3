//! Rows of every kind that the dashboard keeps, object in, row out.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::row::{Cell, Column, Object, Row, column};
use crate::api::conditions::Condition;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet, ReplicaCounts};
use crate::api::pools::MachinePool;
use crate::api::replicas::Replicated;
use crate::api::topology::ClusterClass;
use crate::client::ObjectKey;
use crate::contract::conditions;
use crate::tui::rows::{
    ClusterRow, KcpRow, MachineRow, Severity, created, display_name, is_moving, is_true,
    moving_why, was_true_before, why_not,
};
use crate::tui::text::printable;

/// Columns of clusters.
pub(in crate::tui) const CLUSTERS: &[Column] = &[
    column("NAME", 0),
    column("STATE", 0),
    column("CP", 3),
    column("WORKERS", 2),
    column("VERSION", 5),
    column("AGE", 4),
    column("WHY", 1),
];
/// Columns of machines.
pub(in crate::tui) const MACHINES: &[Column] = &[
    column("NAME", 0),
    column("CLUSTER", 4),
    column("ROLE", 3),
    column("PHASE", 0),
    column("VERSION", 5),
    column("AGE", 2),
    column("WHY", 1),
];
/// Columns of control planes.
pub(in crate::tui) const CONTROL_PLANES: &[Column] = &[
    column("NAME", 0),
    column("CLUSTER", 5),
    column("STATE", 0),
    column("READY", 2),
    column("UP-TO-DATE", 4),
    column("ETCD", 3),
    column("VERSION", 6),
    column("AGE", 5),
    column("WHY", 1),
];
/// Columns of MachineDeployments, MachineSets and MachinePools.
pub(in crate::tui) const WORKERS: &[Column] = &[
    column("NAME", 0),
    column("KIND", 3),
    column("CLUSTER", 6),
    column("STATE", 0),
    column("READY", 2),
    column("AVAILABLE", 5),
    column("UP-TO-DATE", 4),
    column("VERSION", 7),
    column("AGE", 6),
    column("WHY", 1),
];
/// Columns of ClusterClasses.
pub(in crate::tui) const CLASSES: &[Column] = &[
    column("NAME", 0),
    column("STATE", 0),
    column("CLUSTERS", 1),
    column("VARIABLES", 2),
    column("PATCHES", 3),
    column("AGE", 4),
    column("WHY", 1),
];

/// Row of a Cluster.
pub(in crate::tui) fn cluster(object: &Arc<Cluster>) -> Row {
    let row = ClusterRow::of(object);
    let (sign, word) = row.state.label();
    let counters = object.status.as_ref();
    let count = |counts: Option<&ReplicaCounts>| {
        Cell::Count(counts.map(|counts| {
            (counts.ready_replicas.unwrap_or(0).into(), counts.desired_replicas.unwrap_or(0).into())
        }))
    };
    Row {
        key: ObjectKey::new(row.namespace, row.name),
        object: Object::Cluster(object.clone()),
        severity: row.state.severity(),
        state: (sign, word),
        cells: vec![
            Cell::Text(printable(&row.shown_name)),
            Cell::State(sign, word.to_owned()),
            count(counters.and_then(|status| status.control_plane.as_ref())),
            count(counters.and_then(|status| status.workers.as_ref())),
            Cell::Text(printable(&row.version)),
            Cell::Age(row.created),
            Cell::Text(row.why.clone()),
        ],
        group: class_of(object),
        why: row.why,
    }
}

/// The class of a cluster with a managed topology.
pub(in crate::tui) fn class_of(cluster: &Cluster) -> Option<ObjectKey> {
    let class = &cluster.spec.topology.class_ref;
    let namespace = match class.namespace.as_str() {
        "" => cluster.metadata.namespace.as_deref().unwrap_or_default(),
        namespace => namespace,
    };
    (!class.name.is_empty()).then(|| ObjectKey::new(namespace, class.name.clone()))
}

/// Row of a Machine; its group is its cluster.
pub(in crate::tui) fn machine(object: &Arc<Machine>) -> Row {
    let row = MachineRow::of(object);
    let sign = row.state.sign();
    let word = match row.severity() {
        Severity::Failed => "Failed",
        Severity::Degraded => "Degraded",
        Severity::Busy => "On its way",
        Severity::Calm => "Ready",
    };
    Row {
        severity: row.severity(),
        group: Some(ObjectKey::new(row.namespace.clone(), row.cluster.clone())),
        key: ObjectKey::new(row.namespace, row.name),
        object: Object::Machine(object.clone()),
        state: (sign, word),
        cells: vec![
            Cell::Text(printable(&row.shown_name)),
            Cell::Text(printable(&row.cluster)),
            Cell::text(row.role),
            Cell::State(sign, printable(&row.phase)),
            Cell::Text(printable(&row.version)),
            Cell::Age(row.created),
            Cell::Text(row.why.clone()),
        ],
        why: row.why,
    }
}

/// Row of a KubeadmControlPlane; its group is its cluster.
pub(in crate::tui) fn control_plane(object: &Arc<KubeadmControlPlane>) -> Row {
    let row = KcpRow::of(object);
    let (sign, word) = row.state.label();
    let status = object.status.as_ref();
    let all = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let number = |count: Option<i32>| i64::from(count.unwrap_or(0));
    Row {
        severity: row.state.severity(),
        group: Some(ObjectKey::new(row.namespace.clone(), row.cluster.clone())),
        key: ObjectKey::new(row.namespace, row.name),
        object: Object::ControlPlane(object.clone()),
        state: (sign, word),
        cells: vec![
            Cell::Text(printable(&row.shown_name)),
            Cell::Text(printable(&row.cluster)),
            Cell::State(sign, word.to_owned()),
            Cell::Count(Some((
                number(status.and_then(|status| status.ready_replicas)),
                object.spec.replicas.unwrap_or(1).into(),
            ))),
            Cell::Number(number(status.and_then(|status| status.up_to_date_replicas))),
            Cell::text(health(all, "EtcdClusterHealthy")),
            Cell::Text(printable(&row.version)),
            Cell::Age(row.created),
            Cell::Text(row.why.clone()),
        ],
        why: row.why,
    }
}

/// Word for a condition that speaks of health.
fn health(all: &[Condition], type_: &str) -> &'static str {
    match conditions::get(all, type_).map(|condition| condition.status.as_str()) {
        Some("True") => "healthy",
        Some("False") => "unhealthy",
        Some(_) => "unknown",
        None => "-",
    }
}

/// Row of a MachineDeployment.
pub(in crate::tui) fn deployment(object: &Arc<MachineDeployment>) -> Row {
    workers(&**object, Object::Deployment(object.clone()), "Available")
}

/// Row of a MachineSet.
pub(in crate::tui) fn set(object: &Arc<MachineSet>) -> Row {
    workers(&**object, Object::Set(object.clone()), "MachinesReady")
}

/// Row of a MachinePool.
pub(in crate::tui) fn pool(object: &Arc<MachinePool>) -> Row {
    workers(&**object, Object::Pool(object.clone()), "Available")
}

/// Row of machines that are alike; `headline` is the condition that sums them up.
fn workers(of: &impl Replicated, object: Object, headline: &str) -> Row {
    let (metadata, conditions, counts) = (of.meta(), of.conditions(), of.counts());
    let number = |count: Option<i32>| i64::from(count.unwrap_or(0));
    let (severity, sign, word) = workers_state(metadata, conditions, &counts, headline);
    let why = match severity {
        Severity::Calm => String::new(),
        Severity::Busy if is_moving(conditions) => moving_why(conditions),
        _ => why_not(conditions, headline),
    };
    let key = key_of(metadata);
    let (_, kind) = object.kind();
    Row {
        // Sets and deployments may have the same name.
        key: ObjectKey::new(key.namespace.clone(), format!("{} {kind}", key.name)),
        cells: vec![
            Cell::Text(printable(&display_name(metadata))),
            Cell::text(kind),
            Cell::Text(printable(of.cluster_name())),
            Cell::State(sign, word.to_owned()),
            Cell::Count(Some((number(counts.ready_replicas), number(counts.desired_replicas)))),
            Cell::Number(number(counts.available_replicas)),
            Cell::Number(number(counts.up_to_date_replicas)),
            Cell::Text(printable(&of.template().spec.version)),
            Cell::Age(created(metadata)),
            Cell::Text(why.clone()),
        ],
        severity,
        state: (sign, word),
        group: Some(ObjectKey::new(key.namespace, of.cluster_name())),
        object,
        why,
    }
}

fn workers_state(
    metadata: &ObjectMeta,
    conditions: &[Condition],
    counts: &ReplicaCounts,
    headline: &str,
) -> (Severity, &'static str, &'static str) {
    let is_empty = [counts.desired_replicas, counts.ready_replicas]
        .iter()
        .all(|count| count.unwrap_or(0) == 0);
    if metadata.deletion_timestamp.is_some() {
        (Severity::Busy, "◌", "Deleting")
    } else if is_true(conditions, "Paused") {
        (Severity::Calm, "‖", "Paused")
    } else if is_true(conditions, headline) || is_empty {
        match is_moving(conditions) {
            true => (Severity::Busy, "◔", "Scaling"),
            false => (Severity::Calm, "●", "Available"),
        }
    } else if was_true_before(conditions, headline, metadata) {
        (Severity::Degraded, "▲", "Degraded")
    } else if is_moving(conditions) {
        (Severity::Busy, "◔", "Scaling")
    } else {
        (Severity::Busy, "◐", "Provision")
    }
}

/// Row of a ClusterClass that so many clusters use.
pub(in crate::tui) fn class(object: &Arc<ClusterClass>, users: usize) -> Row {
    let status = object.status.clone().unwrap_or_default();
    let ready = is_true(&status.conditions, "VariablesReady");
    let (severity, sign, word) = match (object.metadata.deletion_timestamp.is_some(), ready) {
        (true, _) => (Severity::Busy, "◌", "Deleting"),
        (false, true) => (Severity::Calm, "●", "Ready"),
        (false, false) if status.conditions.is_empty() => (Severity::Busy, "○", "New"),
        (false, false) => (Severity::Degraded, "▲", "Not ready"),
    };
    let why = if ready { String::new() } else { why_not(&status.conditions, "VariablesReady") };
    let number = |count: usize| Cell::Number(i64::try_from(count).unwrap_or(i64::MAX));
    Row {
        key: key_of(&object.metadata),
        severity,
        state: (sign, word),
        cells: vec![
            Cell::Text(printable(&display_name(&object.metadata))),
            Cell::State(sign, word.to_owned()),
            number(users),
            number(status.variables.len().max(object.spec.variables.len())),
            number(object.spec.patches.len()),
            Cell::Age(created(&object.metadata)),
            Cell::Text(why.clone()),
        ],
        object: Object::Class(object.clone()),
        group: None,
        why,
    }
}

fn key_of(metadata: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}
