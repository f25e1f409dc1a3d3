//! Reconciles Machines. (CAPI v1.14: core/reconcilers/machine)

mod delete;
mod drain;
mod drain_rules;
mod in_place;
mod node;
mod node_patch;
mod phases;
mod scope;
mod status;
mod volumes;

use std::sync::Arc;

use super::{Context, GROUP, index, soonest};
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet};
use crate::client::ObjectKey;
use crate::contract::{conditions, labels, owners, paused};
use crate::runtime::{
    Change, Controller, EventRecorder, Informer, Manager, Outcome, ReconcileError, Reconciler,
    RemoteObject, patch_object,
};

use scope::Scope;

/// Adds the Machine controller with its watches.
pub(super) fn add(manager: &Manager, context: &Arc<Context>) {
    let reconciler = Arc::new(MachineReconciler {
        context: context.clone(),
        recorder: manager.recorder("machine-controller"),
    });
    let by_cluster = context.machines.clone();
    let by_set = context.machines.clone();
    let by_deployment = (context.sets.clone(), context.machines.clone());
    let mut controller = Controller::new("machine", reconciler)
        .for_kind(&context.machines)
        .watches(&context.clusters, move |change| cluster_to_machines(&by_cluster, change))
        .watches(&context.sets, move |change| set_to_machines(&by_set, change))
        .watches(&context.deployments, move |change| {
            deployment_to_machines(&by_deployment.0, &by_deployment.1, change)
        });
    let by_external = context.machines.clone();
    controller = context
        .externals
        .watch(controller, move |object, _| keys(&by_external.by_index(index::EXTERNAL, object)));
    let machines = context.machines.clone();
    context.remote.notify(controller.trigger(), move |cluster, object| match object {
        Some(RemoteObject::Node(node)) => {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let provider_id = node.spec.as_ref().and_then(|spec| spec.provider_id.as_deref());
            let mut found = machines.by_index(index::NODE, &index::in_cluster(cluster, name));
            if let Some(provider_id) = provider_id {
                let value = index::in_cluster(cluster, provider_id);
                found.extend(machines.by_index(index::PROVIDER_ID, &value));
            }
            keys(&found)
        }
        Some(RemoteObject::Pod(_)) => Vec::new(),
        None => keys(&machines.by_index(index::CLUSTER, &cluster.to_string())),
    });
    manager.add(controller);
}

fn keys(machines: &[Arc<Machine>]) -> Vec<ObjectKey> {
    machines.iter().map(|machine| ObjectKey::of(&**machine)).collect()
}

/// All Machines of a Cluster, if something changed that Machines look at.
fn cluster_to_machines(machines: &Informer<Machine>, change: &Change<Cluster>) -> Vec<ObjectKey> {
    let looked_at = |cluster: &Cluster| {
        let status = cluster.status.as_ref();
        let provisioned = status
            .and_then(|status| status.initialization.as_ref())
            .and_then(|done| done.infrastructure_provisioned);
        let initialized = status.is_some_and(|status| {
            conditions::is_true(&status.conditions, "ControlPlaneInitialized")
        });
        let is_deleting = cluster.metadata.deletion_timestamp.is_some();
        (cluster.spec.paused, provisioned, initialized, is_deleting)
    };
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && looked_at(old) == looked_at(new)
    {
        return Vec::new();
    }
    let cluster = ObjectKey::of(&**change.object());
    keys(&machines.by_index(index::CLUSTER, &cluster.to_string()))
}

/// Machines of a MachineSet whose template or revision changed.
fn set_to_machines(machines: &Informer<Machine>, change: &Change<MachineSet>) -> Vec<ObjectKey> {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return Vec::new() };
    let revision = |set: &MachineSet| {
        set.metadata.annotations.as_ref().and_then(|held| held.get(labels::REVISION).cloned())
    };
    if old.spec.template == new.spec.template && revision(old) == revision(new) {
        return Vec::new();
    }
    let uid = new.metadata.uid.as_deref().unwrap_or_default();
    keys(&machines.by_index(index::CONTROLLER, uid))
}

/// Machines of a MachineDeployment whose template, rollout or revision changed.
fn deployment_to_machines(
    sets: &Informer<MachineSet>,
    machines: &Informer<Machine>,
    change: &Change<MachineDeployment>,
) -> Vec<ObjectKey> {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return Vec::new() };
    let revision = |deployment: &MachineDeployment| {
        let held = deployment.metadata.annotations.as_ref();
        held.and_then(|held| held.get(labels::REVISION).cloned())
    };
    if old.spec.template == new.spec.template
        && old.spec.rollout == new.spec.rollout
        && revision(old) == revision(new)
    {
        return Vec::new();
    }
    let owned = sets.by_index(index::DEPLOYMENT, &ObjectKey::of(&**new).to_string());
    owned
        .iter()
        .filter_map(|set| set.metadata.uid.as_deref())
        .flat_map(|uid| keys(&machines.by_index(index::CONTROLLER, uid)))
        .collect()
}

struct MachineReconciler {
    context: Arc<Context>,
    recorder: EventRecorder,
}

impl Reconciler for MachineReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.context;
        let Some(before) = context.machines.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let Some(cluster) = context.cluster(&before.metadata, &before.spec.cluster_name) else {
            // The Cluster's appearance wakes its Machines.
            tracing::debug!(machine = %key, cluster = before.spec.cluster_name, "cluster not found");
            return Ok(Outcome::Done);
        };
        let mut scope = Scope::read(context, &before, cluster);
        super::ensure_finalizer(&mut scope.machine.metadata, labels::MACHINE_FINALIZER);
        let now = context.clock.now();
        let outcome = if paused::is_paused(Some(&scope.cluster), &before.metadata) {
            status::set_paused(&mut scope, now);
            Ok(Outcome::Done)
        } else {
            let outcome = self.phases(&mut scope).await;
            let available = status::compute(&mut scope, &before, outcome.is_ok(), now);
            outcome.map(|outcome| soonest(soonest(outcome, available), scope.next_look(now)))
        };
        patch_object(&context.client, &*before, &scope.machine).await?;
        outcome
    }
}

impl MachineReconciler {
    /// All phases run even if one fails, so that the status tells as much as is known.
    async fn phases(&self, scope: &mut Scope) -> Result<Outcome, ReconcileError> {
        adopt(scope);
        let bootstrap = self.reconcile_bootstrap(scope).await;
        let infrastructure = self.reconcile_infrastructure(scope).await;
        let node = self.reconcile_node(scope).await;
        let certificates = phases::take_over_certificates_expiry(scope);
        let last = if scope.is_deleting() {
            self.reconcile_delete(scope).await
        } else {
            self.update_in_place(scope).await
        };
        bootstrap.and(infrastructure).and(node).and(certificates).and(last)
    }
}

/// Stand-alone Machines belong to their Cluster; all carry the cluster label.
fn adopt(scope: &mut Scope) {
    let metadata = &mut scope.machine.metadata;
    let is_expected_elsewhere = metadata.labels.iter().flatten().any(|(label, _)| {
        [labels::SET_NAME, labels::POOL_NAME, labels::CONTROL_PLANE_NAME].contains(&label.as_str())
    });
    let has_owner = owners::controlling(metadata).is_some()
        || owners::owner(metadata, GROUP, "Cluster").is_some();
    if !has_owner && !is_expected_elsewhere {
        super::own_by_cluster(metadata, &scope.cluster);
    }
    super::set_label(metadata, labels::CLUSTER_NAME, &scope.machine.spec.cluster_name);
}
