//! Reconciles Clusters. (CAPI v1.14: core/reconcilers/cluster)

mod delete;
mod kubeconfig;
mod phases;
mod scope;
mod status;

use std::sync::Arc;

use super::{Context, GROUP, index};
use crate::api::core::{Cluster, ClusterStatus, Machine};
use crate::client::ObjectKey;
use crate::contract::{labels, owners, paused};
use crate::runtime::{
    Change, Controller, EventRecorder, EventType, Manager, Outcome, ReconcileError, Reconciler,
    patch_object,
};

use scope::Scope;

/// Adds the Cluster controller with its watches.
pub(super) fn add(manager: &Manager, context: &Arc<Context>) {
    let reconciler = Arc::new(ClusterReconciler {
        context: context.clone(),
        recorder: manager.recorder("cluster-controller"),
    });
    let clusters = context.clusters.clone();
    let mut controller = Controller::new("cluster", reconciler)
        .for_kind(&context.clusters)
        .watches_in_passing(&context.machines, machine_to_cluster)
        .watches_in_passing(&context.sets, |change| {
            let set = change.object();
            vec![index::cluster_key(&set.metadata, &set.spec.cluster_name)]
        })
        .watches_in_passing(&context.deployments, |change| {
            let deployment = change.object();
            vec![index::cluster_key(&deployment.metadata, &deployment.spec.cluster_name)]
        })
        .watches_in_passing(&context.pools, |change| {
            let pool = change.object();
            vec![index::cluster_key(&pool.metadata, &pool.spec.cluster_name)]
        });
    controller = context.externals.watch(controller, move |object, _| {
        let referrers = clusters.by_index(index::EXTERNAL, object);
        referrers.iter().map(|cluster| ObjectKey::of(&**cluster)).collect()
    });
    context.remote.notify(controller.trigger(), |cluster, object| match object {
        Some(_) => Vec::new(),
        None => vec![cluster.clone()],
    });
    manager.add(controller);
}

/// A Machine's Cluster, unless nothing changed that owners show.
fn machine_to_cluster(change: &Change<Machine>) -> Vec<ObjectKey> {
    if !super::owned::is_shown_change(change) {
        return Vec::new();
    }
    let machine = change.object();
    vec![index::cluster_key(&machine.metadata, &machine.spec.cluster_name)]
}

struct ClusterReconciler {
    context: Arc<Context>,
    recorder: EventRecorder,
}

impl Reconciler for ClusterReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let Some(before) = self.context.clusters.get(&key.namespace, &key.name) else {
            self.context.probes.forget(key);
            return Ok(Outcome::Done);
        };
        let now = self.context.clock.now();
        if let Some(left) = super::settling(&before.metadata, now)
            && self.awaits_references(&before)
        {
            return Ok(Outcome::RequeueAfter(left));
        }
        let mut scope = Scope::read(&self.context, &before, now);
        super::ensure_finalizer(&mut scope.cluster.metadata, labels::CLUSTER_FINALIZER);
        let outcome = if paused::is_paused(Some(&before), &before.metadata) {
            status::set_paused(&mut scope, now);
            Ok(Outcome::Done)
        } else if let Some((namespace, name)) = before.class_key().filter(|_| scope.class.is_none())
        {
            // The topology controller says so in its condition; nothing else is known.
            status::set_paused(&mut scope, now);
            let missing = format!("ClusterClass.cluster.x-k8s.io {name:?} not found");
            let message = format!("failed to get ClusterClass {namespace}/{name}: {missing}");
            Err(ReconcileError::Other(message))
        } else {
            let outcome = self.phases(&mut scope).await;
            status::compute(&mut scope, &before, outcome.is_ok(), now);
            outcome.map(|outcome| super::soonest(outcome, scope.next_look(now)))
        };
        patch_object(&self.context.client, &*before, &scope.cluster).await?;
        self.record_phase(&before, &scope.cluster);
        outcome
    }
}

impl ClusterReconciler {
    /// Whether an object that the Cluster refers to is not there; its appearance wakes the Cluster.
    fn awaits_references(&self, cluster: &Cluster) -> bool {
        let namespace = cluster.metadata.namespace.as_deref().unwrap_or_default();
        let spec = &cluster.spec;
        let mut references = spec.infrastructure_ref.iter().chain(&spec.control_plane_ref);
        // A topology brings its references a moment later.
        let is_to_refer = spec.topology.is_defined() && spec.infrastructure_ref.is_none();
        cluster.metadata.deletion_timestamp.is_none()
            && (is_to_refer
                || references
                    .any(|reference| !self.context.externals.is_known(reference, namespace)))
    }

    /// All phases run even if one fails, so that the status tells as much as is known.
    async fn phases(&self, scope: &mut Scope) -> Result<Outcome, ReconcileError> {
        let spec = &scope.cluster.spec;
        let has_all_references =
            spec.infrastructure_ref.is_some() && spec.control_plane_ref.is_some();
        if spec.topology.is_defined() && !has_all_references && !scope.is_deleting() {
            // The topology wakes the Cluster by giving it its references.
            return Ok(Outcome::Done);
        }
        let infrastructure = self.reconcile_infrastructure(scope).await;
        let control_plane = self.reconcile_control_plane(scope).await;
        let last = if scope.is_deleting() {
            self.reconcile_delete(scope).await.map(|()| Outcome::Done)
        } else {
            self.reconcile_kubeconfig(scope).await
        };
        infrastructure.and(control_plane).and(last)
    }

    fn record_phase(&self, before: &Cluster, after: &Cluster) {
        let phase = |cluster: &Cluster| {
            cluster.status.as_ref().map(|status: &ClusterStatus| status.phase.clone())
        };
        let now = phase(after).unwrap_or_default();
        if phase(before).unwrap_or_default() != now {
            let name = after.metadata.name.as_deref().unwrap_or_default();
            let message = format!("Cluster {name} is {now}");
            self.recorder.event(after, EventType::Normal, &now, message);
        }
    }
}

/// Whether a Cluster directly owns an object.
fn owns(
    cluster: &Cluster,
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> bool {
    owners::owner(metadata, GROUP, "Cluster")
        .is_some_and(|owner| Some(owner.name.as_str()) == cluster.metadata.name.as_deref())
}
