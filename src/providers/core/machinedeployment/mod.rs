//! Reconciles MachineDeployments. (CAPI v1.14: core/reconcilers/machinedeployment)

mod in_place;
mod limits;
mod machinesets;
mod paused;
mod planner;
mod rollout;
mod scope;
mod status;

use std::sync::Arc;

use super::{Context, GROUP, index};
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet};
use crate::client::{ObjectKey, Propagation};
use crate::contract::{labels, owners, selector};
use crate::runtime::{
    Change, Controller, EventRecorder, Informer, Manager, Outcome, ReconcileError, Reconciler,
    patch_object,
};

use scope::Scope;

/// Adds the MachineDeployment controller with its watches.
pub(super) fn add(manager: &Manager, context: &Arc<Context>) {
    let reconciler = Arc::new(MachineDeploymentReconciler {
        context: context.clone(),
        recorder: manager.recorder("machinedeployment-controller"),
    });
    let of_set = context.deployments.clone();
    let of_machine = context.deployments.clone();
    let of_cluster = context.deployments.clone();
    let of_external = context.deployments.clone();
    let controller = Controller::new("machinedeployment", reconciler)
        .for_kind(&context.deployments)
        .watches_in_passing(&context.sets, move |change| set_to_deployments(&of_set, change))
        .watches_in_passing(&context.machines, move |change| {
            machine_to_deployments(&of_machine, change)
        })
        .watches(&context.clusters, move |change| cluster_to_deployments(&of_cluster, change));
    let controller = context.externals.watch(controller, move |object, change| {
        // Only templates are referred to; only their existence and their owner count.
        if let (Some(old), Some(new)) = (&change.old, &change.new)
            && old.metadata.owner_references == new.metadata.owner_references
        {
            return Vec::new();
        }
        keys(&of_external.by_index(index::EXTERNAL, object))
    });
    manager.add(controller);
}

fn keys(deployments: &[Arc<MachineDeployment>]) -> Vec<ObjectKey> {
    deployments.iter().map(|deployment| ObjectKey::of(&**deployment)).collect()
}

/// The controlling MachineDeployment of a MachineSet, or those that may adopt it.
fn set_to_deployments(
    deployments: &Informer<MachineDeployment>,
    change: &Change<MachineSet>,
) -> Vec<ObjectKey> {
    let set = change.object();
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(owner) = owners::controlling(&set.metadata) {
        return match owners::controller(&set.metadata, GROUP, "MachineDeployment") {
            Some(_) => vec![ObjectKey::new(namespace, owner.name.as_str())],
            None => Vec::new(),
        };
    }
    let cluster = index::of_cluster(&set.metadata, &set.spec.cluster_name);
    selecting(deployments, &cluster, set.metadata.labels.as_ref())
}

fn machine_to_deployments(
    deployments: &Informer<MachineDeployment>,
    change: &Change<Machine>,
) -> Vec<ObjectKey> {
    if !super::owned::is_shown_change(change) {
        return Vec::new();
    }
    let machine = change.object();
    let cluster = index::of_cluster(&machine.metadata, &machine.spec.cluster_name);
    selecting(deployments, &cluster, machine.metadata.labels.as_ref())
}

/// MachineDeployments of a Cluster whose selector matches.
fn selecting(
    deployments: &Informer<MachineDeployment>,
    cluster: &str,
    labels: Option<&std::collections::BTreeMap<String, String>>,
) -> Vec<ObjectKey> {
    deployments
        .by_index(index::CLUSTER, cluster)
        .iter()
        .filter(|deployment| {
            let wanted = &deployment.spec.selector;
            !selector::is_empty(wanted) && selector::matches(wanted, labels)
        })
        .map(|deployment| ObjectKey::of(&**deployment))
        .collect()
}

fn cluster_to_deployments(
    deployments: &Informer<MachineDeployment>,
    change: &Change<Cluster>,
) -> Vec<ObjectKey> {
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && old.spec.paused == new.spec.paused
    {
        return Vec::new();
    }
    let cluster = ObjectKey::of(&**change.object()).to_string();
    keys(&deployments.by_index(index::CLUSTER, &cluster))
}

struct MachineDeploymentReconciler {
    context: Arc<Context>,
    recorder: EventRecorder,
}

impl Reconciler for MachineDeploymentReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.context;
        let Some(before) = context.deployments.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let Some(cluster) = context.cluster(&before.metadata, &before.spec.cluster_name) else {
            // The Cluster's appearance wakes its MachineDeployments.
            return Ok(Outcome::Done);
        };
        let now = context.clock.now();
        if let Some(left) = super::settling(&before.metadata, now)
            && self.awaits_templates(&before)
        {
            return Ok(Outcome::RequeueAfter(left));
        }
        let mut scope = Scope::read(context, &before, cluster);
        let finalizer = labels::MACHINE_DEPLOYMENT_FINALIZER;
        super::ensure_finalizer(&mut scope.deployment.metadata, finalizer);
        let outcome = if crate::contract::paused::is_paused(Some(&scope.cluster), &before.metadata)
        {
            status::set_paused(&mut scope, now);
            Ok(Outcome::Done)
        } else {
            let outcome = self.phases(&mut scope).await;
            status::compute(&mut scope, &before, outcome.is_ok(), now);
            let said = super::owned::next_change(scope.machines.iter().map(|it| &**it), now);
            outcome.map(|()| super::soonest(said, scope.next_look(now)))
        };
        patch_object(&context.client, &*before, &scope.deployment).await?;
        outcome
    }
}

impl MachineDeploymentReconciler {
    /// Whether a template is not there; its appearance wakes the MachineDeployment.
    fn awaits_templates(&self, deployment: &MachineDeployment) -> bool {
        let namespace = deployment.metadata.namespace.as_deref().unwrap_or_default();
        let spec = &deployment.spec.template.spec;
        let references =
            std::iter::once(&spec.infrastructure_ref).chain(&spec.bootstrap.config_ref);
        deployment.metadata.deletion_timestamp.is_none()
            && references
                .into_iter()
                .any(|reference| !self.context.externals.is_known(reference, namespace))
    }

    async fn phases(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        if scope.is_deleting() {
            self.adopt_sets(scope).await?;
            return self.reconcile_delete(scope).await;
        }
        let name = scope.deployment.spec.cluster_name.clone();
        let metadata = &mut scope.deployment.metadata;
        super::set_label(metadata, labels::CLUSTER_NAME, &name);
        super::own_by_cluster(metadata, &scope.cluster);
        self.own_templates(scope).await?;
        self.adopt_sets(scope).await?;
        self.roll_out(scope).await
    }

    /// Deletes the MachineSets; the finalizer goes with the last one.
    async fn reconcile_delete(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        if scope.sets().is_empty() {
            let finalizer = labels::MACHINE_DEPLOYMENT_FINALIZER;
            super::remove_finalizer(&mut scope.deployment.metadata, finalizer);
            return Ok(());
        }
        for set in scope.sets().iter().filter(|set| set.metadata.deletion_timestamp.is_none()) {
            let key = ObjectKey::of(&**set);
            self.context.client.delete::<MachineSet>(&key, Propagation::Default).await?;
        }
        Ok(())
    }
}
