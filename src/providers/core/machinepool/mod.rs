//! Reconciles MachinePools. (CAPI v1.14: core/reconcilers/machinepool)
//!
//! The infrastructure of a pool makes its machines itself. Where it says of which kind these are
//! (`status.infrastructureMachineKind`), every one of them gets a Machine that shows it.

mod delete;
mod machines;
mod nodes;
mod phases;
mod scope;
mod status;
#[cfg(test)]
mod status_tests;

use std::sync::Arc;

use super::applied::Applied;
use super::{Context, index};
use crate::api::core::{Cluster, Machine};
use crate::api::pools::MachinePool;
use crate::client::ObjectKey;
use crate::contract::object::ContractObject;
use crate::contract::{labels, owners, paused};
use crate::runtime::{
    Change, Controller, EventRecorder, Informer, Manager, Outcome, ReconcileError, Reconciler,
    RemoteObject, patch_object,
};

use scope::Scope;

/// Adds the MachinePool controller with its watches.
pub(super) fn add(manager: &Manager, context: &Arc<Context>) {
    let reconciler = Arc::new(MachinePoolReconciler {
        context: context.clone(),
        recorder: manager.recorder("machinepool-controller"),
        applied: Applied::new(&context.client, "machinepool-controller"),
    });
    let of_cluster = context.pools.clone();
    let of_machine = context.pools.clone();
    let mut controller = Controller::new("machinepool", reconciler)
        .for_kind(&context.pools)
        .watches(&context.clusters, move |change| cluster_to_pools(&of_cluster, change))
        .watches_in_passing(&context.machines, move |change: &Change<Machine>| {
            if super::owned::is_shown_change(change) {
                pools_of(&of_machine, &index::of_pool(&change.object().metadata))
            } else {
                Vec::new()
            }
        });
    let pools = context.pools.clone();
    controller = context.externals.watch(controller, move |object, change| {
        let mut found = keys(&pools.by_index(index::EXTERNAL, object));
        let of_pool: &Change<ContractObject> = change;
        found.extend(pools_of(&pools, &index::of_pool(&of_pool.object().metadata)));
        found
    });
    let pools = context.pools.clone();
    context.remote.notify(controller.trigger(), move |cluster, object| {
        let of_cluster = pools.by_index(index::CLUSTER, &cluster.to_string());
        match object {
            None => keys(&of_cluster),
            Some(RemoteObject::Pod(_)) => Vec::new(),
            Some(RemoteObject::Node(node)) => {
                let of_node = of_cluster.iter().filter(|pool| nodes::concerns(pool, node));
                of_node.map(|pool| ObjectKey::of(&**pool)).collect()
            }
        }
    });
    manager.add(controller);
}

fn keys(pools: &[Arc<MachinePool>]) -> Vec<ObjectKey> {
    pools.iter().map(|pool| ObjectKey::of(&**pool)).collect()
}

/// The pools of index values of [`index::POOL`].
fn pools_of(pools: &Informer<MachinePool>, values: &[String]) -> Vec<ObjectKey> {
    values.iter().flat_map(|value| keys(&pools.by_index(index::POOL, value))).collect()
}

fn cluster_to_pools(pools: &Informer<MachinePool>, change: &Change<Cluster>) -> Vec<ObjectKey> {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && old.spec.paused == new.spec.paused
    {
        return Vec::new();
    }
    let cluster = ObjectKey::of(&**change.object());
    keys(&pools.by_index(index::CLUSTER, &cluster.to_string()))
}

struct MachinePoolReconciler {
    context: Arc<Context>,
    recorder: EventRecorder,
    /// Applies what is wanted of the pools' Machines.
    applied: Applied,
}

impl Reconciler for MachinePoolReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.context;
        let Some(before) = context.pools.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let Some(cluster) = context.cluster(&before.metadata, &before.spec.cluster_name) else {
            // The Cluster's appearance wakes its MachinePools.
            return Ok(Outcome::Done);
        };
        let mut scope = Scope::read(context, &before, cluster);
        if !scope.is_deleting() {
            let finalizer = labels::MACHINE_POOL_FINALIZER;
            super::ensure_finalizer(&mut scope.pool.metadata, finalizer);
        }
        let now = context.clock.now();
        status::set_paused(&mut scope, now);
        let mut outcome = Ok(Outcome::Done);
        if !paused::is_paused(Some(&scope.cluster), &before.metadata) {
            outcome = self.phases(&mut scope).await;
            status::compute(&mut scope, &before, outcome.is_ok(), now);
        }
        patch_object(&context.client, &*before, &scope.pool).await?;
        outcome
    }
}

impl MachinePoolReconciler {
    /// All phases run even if one fails, so that the status tells as much as is known.
    async fn phases(&self, scope: &mut Scope) -> Result<Outcome, ReconcileError> {
        adopt(scope);
        if scope.is_deleting() {
            return self.reconcile_delete(scope).await;
        }
        let bootstrap = self.reconcile_bootstrap(scope).await;
        let infrastructure = self.reconcile_infrastructure(scope).await;
        scope.read_machines(&self.context);
        let nodes = self.reconcile_nodes(scope).await;
        let up_to_date = self.set_machines_up_to_date(scope).await;
        bootstrap.and(infrastructure).and(nodes).and(up_to_date)?;
        Ok(Outcome::Done)
    }
}

/// A MachinePool belongs to its Cluster.
fn adopt(scope: &mut Scope) {
    let name = scope.pool.spec.cluster_name.clone();
    super::set_label(&mut scope.pool.metadata, labels::CLUSTER_NAME, &name);
    let owner = owners::owner_of(&*scope.cluster);
    if !owners::has(&scope.pool.metadata, &owner) {
        owners::ensure(&mut scope.pool.metadata, owner);
    }
}
