//! Reconciles the infrastructure of clusters: a port, an endpoint, and all of it back on deletion.
//! (CAPI v1.14: devcluster_controller.go, backends/inmemory/inmemorycluster_backend.go)

use std::sync::Arc;

use super::kinds::{InfraCluster, add_finalizer, has_finalizer, remove_finalizer};
use super::status::{Moment, READY, report_problem};
use crate::api::core::{ApiEndpoint, Cluster};
use crate::client::{Client, ObjectKey};
use crate::clock::Clock;
use crate::contract::conditions::{self, v1beta1};
use crate::contract::{owners, paused};
use crate::runtime::{
    EventRecorder, EventType, Informer, Outcome, ReconcileError, Reconciler, patch_object,
};
use crate::workload::{ClusterNetwork, Host, HostError};

/// Annotation of infrastructure that somebody else manages.
const MANAGED_BY: &str = "cluster.x-k8s.io/managed-by";

/// Reconciler of one kind of infrastructure cluster.
pub(super) struct ClusterReconciler<K> {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) recorder: EventRecorder,
    pub(super) host: Host,
    pub(super) own: Informer<K>,
    pub(super) clusters: Informer<Cluster>,
}

impl<K: InfraCluster> Reconciler for ClusterReconciler<K> {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let Some(before) = self.own.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        if before.meta().annotations.as_ref().is_some_and(|all| all.contains_key(MANAGED_BY)) {
            return Ok(Outcome::Done);
        }
        let is_deleting = before.meta().deletion_timestamp.is_some();
        let Some(owner) = owners::owner(before.meta(), "cluster.x-k8s.io", "Cluster") else {
            // The Cluster controller sets the owner; without one there is nothing to give back.
            if is_deleting && has_finalizer(&*before) {
                self.release(&before).await?;
            }
            return Ok(Outcome::Done);
        };
        let cluster_key = ObjectKey::new(key.namespace.clone(), owner.name.clone());
        let Some(cluster) = self.clusters.get(&cluster_key.namespace, &cluster_key.name) else {
            // The caches are complete before controllers start: the Cluster is gone for good.
            if is_deleting && has_finalizer(&*before) {
                self.host.remove_cluster(&cluster_key);
                self.release(&before).await?;
            }
            return Ok(Outcome::Done);
        };
        let mut after = (*before).clone();
        if !is_deleting {
            add_finalizer(&mut after);
        }
        let is_paused = paused::is_paused(Some(&cluster), before.meta());
        if is_deleting && !is_paused {
            self.host.remove_cluster(&cluster_key);
            self.release(&before).await?;
            return Ok(Outcome::Done);
        }
        let result =
            if is_paused { Ok(()) } else { self.provision(&mut after, &cluster, &cluster_key) };
        self.settle(&before, after, &cluster, result).await
    }
}

impl<K: InfraCluster> ClusterReconciler<K> {
    /// Takes a port and publishes the endpoint.
    fn provision(&self, object: &mut K, cluster: &Cluster, key: &ObjectKey) -> Result<(), Problem> {
        if let Some(message) = object.unsupported() {
            return Err(Problem { reason: "DockerBackendNotSupported", message, can_retry: false });
        }
        let wanted = object.endpoint().cloned().unwrap_or_default();
        let port = wanted.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        let network = network(cluster);
        let endpoint = self.host.add_cluster(key, &wanted.host, port, network)?;
        let annotations = object.meta_mut().annotations.get_or_insert_default();
        annotations.insert(K::ANNOTATION.to_owned(), key.to_string());
        if wanted.host.is_empty() || port.is_none() {
            let port = Some(i32::from(endpoint.port));
            object.set_endpoint(ApiEndpoint { host: endpoint.host, port });
        }
        object.set_provisioned();
        Ok(())
    }

    /// Writes what has changed. A problem becomes a condition, when it is new also an event, and
    /// is tried again if time can help.
    async fn settle(
        &self,
        before: &Arc<K>,
        mut after: K,
        cluster: &Cluster,
        result: Result<(), Problem>,
    ) -> Result<Outcome, ReconcileError> {
        let is_spec_changed = before.endpoint() != after.endpoint();
        let generation =
            before.meta().generation.map(|generation| generation + i64::from(is_spec_changed));
        let now = self.clock.now();
        let new = paused::condition(Some(cluster), K::KIND, before.meta());
        let is_paused = paused::is_paused(Some(cluster), before.meta());
        if let Some(list) = after.conditions_mut() {
            conditions::set(list, new, generation, now);
        }
        let problem = match &result {
            Ok(()) => Ok(()),
            Err(problem) => Err((problem.reason, problem.message.as_str())),
        };
        if !is_paused {
            report_problem(&mut after, problem, Moment { now, generation });
        }
        if let Err(problem) = &result
            && !self.is_reported(before, problem)
        {
            let message = problem.message.as_str();
            self.recorder.event(&**before, EventType::Warning, problem.reason, message);
        }
        patch_object(&self.client, &**before, &after).await?;
        match result {
            Err(problem) if problem.can_retry => Err(ReconcileError::Other(problem.message)),
            Ok(()) | Err(_) => Ok(Outcome::Done),
        }
    }

    fn is_reported(&self, before: &K, problem: &Problem) -> bool {
        let mut seen = before.clone();
        let is_reason = |reason: &str| reason == problem.reason;
        seen.conditions_mut()
            .is_some_and(|list| conditions::get(list, READY).is_some_and(|c| is_reason(&c.reason)))
            || v1beta1::get(before.v1beta1(), READY).is_some_and(|c| is_reason(&c.reason))
    }

    async fn release(&self, before: &Arc<K>) -> Result<(), ReconcileError> {
        let mut after = (**before).clone();
        remove_finalizer(&mut after);
        patch_object(&self.client, &**before, &after).await?;
        Ok(())
    }
}

/// Why a cluster has no endpoint.
struct Problem {
    reason: &'static str,
    message: String,
    /// Whether trying again may help.
    can_retry: bool,
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        let reason = match &error {
            HostError::Port { is_exhausted: true, .. } => "PortsExhausted",
            HostError::Port { .. } => "PortNotAvailable",
            HostError::NoCluster(_)
            | HostError::NoNode { .. }
            | HostError::Ca { .. }
            | HostError::Etcd { .. }
            | HostError::Write { .. } => "InternalError",
        };
        Self { reason, message: error.to_string(), can_retry: true }
    }
}

/// Network settings of a Cluster, with upstream's defaults.
pub(super) fn network(cluster: &Cluster) -> ClusterNetwork {
    let mut network = ClusterNetwork::default();
    if let Some(wanted) = &cluster.spec.cluster_network {
        if let Some(pods) = &wanted.pods {
            network.pods.clone_from(&pods.cidr_blocks);
        }
        if let Some(services) = &wanted.services {
            network.services.clone_from(&services.cidr_blocks);
        }
        if !wanted.service_domain.is_empty() {
            network.domain.clone_from(&wanted.service_domain);
        }
    }
    network
}
