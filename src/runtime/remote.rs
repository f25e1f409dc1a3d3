//! Live copies of the Nodes and control plane Pods of every workload cluster.
//!
//! Each cluster costs two quiet watches and what is in them. Copies start when the cluster can be
//! reached and end when it cannot; what they held is gone then.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, PodStatus};
use parking_lot::RwLock;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::controller::Trigger;
use super::informer::{Change, Informer, Source};
use crate::client::{Client, ClusterCache, ObjectKey, Target};
use crate::clock::Clock;

/// Cluster, and the name of an object inside it.
pub type RemoteKey = (ObjectKey, String);

/// A changed object of a workload cluster.
pub enum RemoteObject {
    /// A Node.
    Node(Arc<Node>),
    /// A control plane Pod.
    Pod(Arc<Pod>),
}

/// Keeps, for every cluster that `ClusterCache` can reach, a copy of its Nodes and of the Pods in
/// `kube-system` that carry label `tier=control-plane`. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct RemoteInformers {
    shared: Arc<Shared>,
}

type Map = Box<dyn Fn(&ObjectKey, Option<&RemoteObject>) -> Vec<ObjectKey> + Send + Sync>;

struct Shared {
    clusters: ClusterCache,
    clock: Clock,
    /// Written by `run` alone, read by reconcilers.
    copies: RwLock<HashMap<ObjectKey, Arc<Cluster>>>,
    /// Written by `notify`, read on every change.
    listeners: RwLock<Vec<(Trigger, Map)>>,
}

/// The copies of one cluster.
struct Cluster {
    /// The connection they read from.
    client: Client,
    nodes: Informer<Node>,
    pods: Informer<Pod>,
    stop: CancellationToken,
}

const PODS_NAMESPACE: &str = "kube-system";
const PODS_SELECTOR: &str = "tier=control-plane";

impl RemoteInformers {
    /// Follows `clusters`; `run` does the work.
    pub fn new(clusters: ClusterCache, clock: Clock) -> Self {
        let (copies, listeners) = (RwLock::default(), RwLock::default());
        Self { shared: Arc::new(Shared { clusters, clock, copies, listeners }) }
    }

    /// The cache that is followed.
    pub fn clusters(&self) -> &ClusterCache {
        &self.shared.clusters
    }

    /// Whether the copies of a cluster are complete.
    pub fn is_synced(&self, cluster: &ObjectKey) -> bool {
        self.copies(cluster).is_some_and(|cluster| {
            cluster.nodes.progress().is_synced() && cluster.pods.progress().is_synced()
        })
    }

    /// A Node by name, without capacity and images.
    pub fn node(&self, cluster: &ObjectKey, name: &str) -> Option<Arc<Node>> {
        self.copies(cluster)?.nodes.get("", name)
    }

    /// All Nodes, by name.
    pub fn nodes(&self, cluster: &ObjectKey) -> Vec<Arc<Node>> {
        self.copies(cluster).map(|cluster| cluster.nodes.list()).unwrap_or_default()
    }

    /// A control plane Pod in kube-system by name (`etcd-<node>`, `kube-apiserver-<node>`), reduced to
    /// what tells its health.
    pub fn pod(&self, cluster: &ObjectKey, name: &str) -> Option<Arc<Pod>> {
        self.copies(cluster)?.pods.get(PODS_NAMESPACE, name)
    }

    /// All control plane Pods of a cluster, by name.
    pub fn pods(&self, cluster: &ObjectKey) -> Vec<Arc<Pod>> {
        self.copies(cluster).map(|cluster| cluster.pods.list()).unwrap_or_default()
    }

    /// Enqueues, on `trigger`, what `map` names whenever a Node or Pod of a cluster changes, the
    /// cluster appears, goes or is touched (then `object` is `None`).
    pub fn notify(
        &self,
        trigger: Trigger,
        map: impl Fn(&ObjectKey, Option<&RemoteObject>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) {
        self.shared.listeners.write().push((trigger, Box::new(map)));
    }

    /// Runs until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let mut watches = JoinSet::new();
        stop.run_until_cancelled(self.follow(&mut watches)).await;
        for (_, cluster) in self.shared.copies.write().drain() {
            cluster.stop.cancel();
        }
        while watches.join_next().await.is_some() {}
    }

    async fn follow(&self, watches: &mut JoinSet<()>) {
        // Before the first look, so that nothing is missed in between.
        let mut changes = self.shared.clusters.subscribe();
        self.refresh_all(watches);
        loop {
            tokio::select! {
                changed = changes.recv() => match changed {
                    Ok(cluster) => self.refresh(&cluster, watches),
                    Err(RecvError::Lagged(missed)) => {
                        debug!(missed, "cluster changes missed, looking at all clusters");
                        changes = changes.resubscribe();
                        self.refresh_all(watches);
                    }
                    // Not while `shared` holds the cache.
                    Err(RecvError::Closed) => return,
                },
                Some(_) = watches.join_next() => {}
            }
        }
    }

    fn refresh_all(&self, watches: &mut JoinSet<()>) {
        let mut keys = self.shared.clusters.keys();
        keys.extend(self.shared.copies.read().keys().cloned());
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.refresh(&key, watches);
        }
    }

    /// Starts, ends or keeps the copies of a cluster, and tells the listeners.
    fn refresh(&self, key: &ObjectKey, watches: &mut JoinSet<()>) {
        let present = self.shared.clusters.get(key);
        let known = self.copies(key);
        let is_current = match (&known, &present) {
            (Some(known), Some(present)) => known.client.is_same_connection(&present.client),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_current {
            if let Some(known) = known {
                known.stop.cancel();
                self.shared.copies.write().remove(key);
            }
            if let Some(present) = present {
                let cluster = self.start(key, present.client, watches);
                self.shared.copies.write().insert(key.clone(), Arc::new(cluster));
            }
        }
        self.shared.tell(key, None);
    }

    fn start(&self, key: &ObjectKey, client: Client, watches: &mut JoinSet<()>) -> Cluster {
        let nodes = Informer::trimmed(
            Source { target: Target::of::<Node>(&()), namespace: "".into(), label_selector: "" },
            trim_node,
        );
        nodes.on_change(self.relay(key, RemoteObject::Node));
        let pods = Informer::trimmed(
            Source {
                target: Target::of::<Pod>(&()),
                namespace: PODS_NAMESPACE.into(),
                label_selector: PODS_SELECTOR,
            },
            if client.is_remote() { trim_remote_pod } else { trim_pod },
        );
        pods.on_change(self.relay(key, RemoteObject::Pod));
        let stop = CancellationToken::new();
        let clock = &self.shared.clock;
        watches.spawn(nodes.clone().run(client.clone(), clock.clone(), stop.clone()));
        watches.spawn(pods.clone().run(client.clone(), clock.clone(), stop.clone()));
        Cluster { client, nodes, pods, stop }
    }

    /// A handler that passes changes on to the listeners.
    fn relay<K>(
        &self,
        key: &ObjectKey,
        wrap: fn(Arc<K>) -> RemoteObject,
    ) -> impl Fn(&Change<K>) + Send + Sync + use<K> {
        // Weak, because the copies, which hold this handler, belong to `shared`.
        let (shared, key) = (Arc::downgrade(&self.shared), key.clone());
        move |change| {
            if let Some(shared) = shared.upgrade() {
                shared.tell(&key, Some(&wrap(change.object().clone())));
            }
        }
    }

    fn copies(&self, cluster: &ObjectKey) -> Option<Arc<Cluster>> {
        self.shared.copies.read().get(cluster).cloned()
    }
}

/// What a Node can hold and has pulled concerns its scheduler.
fn trim_node(node: &mut Node) {
    if let Some(status) = &mut node.status {
        status.images = None;
        status.capacity = None;
        status.allocatable = None;
    }
}

/// The prefix of annotations that tell etcd's membership.
const ETCD_ANNOTATIONS: &str = "etcd.inmemory.infrastructure.cluster.x-k8s.io/";

/// In clusters of other processes, Pods also tell of etcd.
fn trim_remote_pod(pod: &mut Pod) {
    let annotations = pod.metadata.annotations.take().map(|mut annotations| {
        annotations.retain(|name, _| name.starts_with(ETCD_ANNOTATIONS));
        annotations
    });
    trim_pod(pod);
    pod.metadata.annotations = annotations.filter(|annotations| !annotations.is_empty());
}

/// Of a Pod its health is looked at, which its phase, conditions and containers tell.
fn trim_pod(pod: &mut Pod) {
    pod.spec = None;
    pod.metadata.labels = None;
    pod.metadata.annotations = None;
    pod.metadata.owner_references = None;
    if let Some(status) = pod.status.take() {
        pod.status = Some(PodStatus {
            phase: status.phase,
            conditions: status.conditions,
            container_statuses: status.container_statuses,
            ..PodStatus::default()
        });
    }
}

impl Shared {
    fn tell(&self, cluster: &ObjectKey, object: Option<&RemoteObject>) {
        for (trigger, map) in self.listeners.read().iter() {
            for key in map(cluster, object) {
                trigger.enqueue(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
