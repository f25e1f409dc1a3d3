//! Reconciles MachineHealthChecks. (CAPI v1.14: core/reconcilers/machinehealthcheck)
//!
//! Nodes are seen through the copies of their clusters; nothing polls: a Machine or Node that
//! changes wakes its checks, and what only time can change is looked at when its time has come.

mod allowed;
mod remediation;
mod scope;
mod targets;

use std::sync::Arc;

use super::{Context, index};
use crate::api::core::{Cluster, Machine};
use crate::api::health_check::MachineHealthCheck;
use crate::client::ObjectKey;
use crate::contract::{conditions, labels, machines, paused, selector};
use crate::runtime::{
    Change, Controller, EventRecorder, Informer, Manager, Outcome, ReconcileError, Reconciler,
    RemoteObject, patch_object,
};

use scope::Scope;

/// Adds the MachineHealthCheck controller with its watches.
pub(super) fn add(manager: &Manager, context: &Arc<Context>) {
    let reconciler = Arc::new(HealthCheckReconciler {
        context: context.clone(),
        recorder: manager.recorder("machinehealthcheck-controller"),
    });
    let of_machine = context.health_checks.clone();
    let of_cluster = context.health_checks.clone();
    let controller = Controller::new("machinehealthcheck", reconciler)
        .for_kind(&context.health_checks)
        .watches(&context.machines, move |change| machine_to_checks(&of_machine, change))
        .watches(&context.clusters, move |change| cluster_to_checks(&of_cluster, change));
    let (machines, checks) = (context.machines.clone(), context.health_checks.clone());
    context.remote.notify(controller.trigger(), move |cluster, object| match object {
        Some(RemoteObject::Node(node)) => {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let found = machines.by_index(index::NODE, &index::in_cluster(cluster, name));
            found.iter().flat_map(|machine| selecting(&checks, machine)).collect()
        }
        Some(RemoteObject::Pod(_)) => Vec::new(),
        None => keys(&checks.by_index(index::CLUSTER, &cluster.to_string())),
    });
    manager.add(controller);
}

fn keys(checks: &[Arc<MachineHealthCheck>]) -> Vec<ObjectKey> {
    checks.iter().map(|check| ObjectKey::of(&**check)).collect()
}

/// The checks that look at a Machine.
fn selecting(checks: &Informer<MachineHealthCheck>, machine: &Machine) -> Vec<ObjectKey> {
    let cluster = index::of_cluster(&machine.metadata, &machine.spec.cluster_name);
    let mut found = checks.by_index(index::CLUSTER, &cluster);
    let held = machine.metadata.labels.as_ref();
    found.retain(|check| selector::matches(&check.spec.selector, held));
    keys(&found)
}

/// The checks of a Machine that changed in what they look at.
fn machine_to_checks(
    checks: &Informer<MachineHealthCheck>,
    change: &Change<Machine>,
) -> Vec<ObjectKey> {
    let Some(old) = &change.old else { return selecting(checks, change.object()) };
    let Some(new) = &change.new else { return selecting(checks, old) };
    let node = |machine: &Machine| {
        let status = machine.status.as_ref();
        status.and_then(|status| status.node_ref.as_ref()).map(|node| node.name.clone())
    };
    let is_same = old.metadata.labels == new.metadata.labels
        && old.metadata.annotations == new.metadata.annotations
        && machines::conditions_of(old) == machines::conditions_of(new)
        && node(old) == node(new);
    if is_same {
        return Vec::new();
    }
    let mut found = selecting(checks, new);
    if old.metadata.labels != new.metadata.labels {
        found.extend(selecting(checks, old));
    }
    found
}

/// All checks of a Cluster, if something changed that they look at.
fn cluster_to_checks(
    checks: &Informer<MachineHealthCheck>,
    change: &Change<Cluster>,
) -> Vec<ObjectKey> {
    let looked_at = |cluster: &Cluster| {
        let held = cluster.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let is = |type_: &str| conditions::is_true(held, type_);
        (cluster.spec.paused, is("ControlPlaneInitialized"), is("InfrastructureReady"))
    };
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && looked_at(old) == looked_at(new)
    {
        return Vec::new();
    }
    let cluster = ObjectKey::of(&**change.object()).to_string();
    keys(&checks.by_index(index::CLUSTER, &cluster))
}

struct HealthCheckReconciler {
    context: Arc<Context>,
    recorder: EventRecorder,
}

impl Reconciler for HealthCheckReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.context;
        let Some(before) = context.health_checks.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let Some(cluster) = context.cluster(&before.metadata, &before.spec.cluster_name) else {
            // The Cluster's appearance wakes its checks.
            return Ok(Outcome::Done);
        };
        let now = context.clock.now();
        let mut scope = Scope::new(&before, cluster);
        let metadata = &before.metadata;
        let condition = paused::condition(Some(&scope.cluster), "MachineHealthCheck", metadata);
        scope.set(condition, now);
        let outcome = if paused::is_paused(Some(&scope.cluster), metadata) {
            Ok(Outcome::Done)
        } else {
            let outcome = self.phases(&mut scope).await;
            if outcome.is_ok() {
                scope.status().observed_generation = before.metadata.generation;
            }
            outcome
        };
        patch_object(&context.client, &*before, &scope.check).await?;
        outcome
    }
}

impl HealthCheckReconciler {
    async fn phases(&self, scope: &mut Scope) -> Result<Outcome, ReconcileError> {
        let name = scope.check.spec.cluster_name.clone();
        let metadata = &mut scope.check.metadata;
        super::set_label(metadata, labels::CLUSTER_NAME, &name);
        super::own_by_cluster(metadata, &scope.cluster);
        if scope.is_initialized() && !self.context.probe(&scope.cluster_key).is_connected {
            // The connection's return wakes the check.
            return Ok(Outcome::Done);
        }
        scope.check_targets(&self.context, self.context.clock.now());
        self.remediate(scope).await
    }
}
