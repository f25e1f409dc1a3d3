//! Connections to workload clusters, by Cluster. (CAPI v1.14: controllers/clustercache)

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::{Client, ObjectKey};

/// Knows every workload cluster that can be reached. Cheap to clone; all clones are one.
///
/// The workload host registers a cluster of its own when its first API server answers and takes it
/// back when none does; reconcilers ask for a connection and are told of changes.
#[derive(Clone)]
pub struct ClusterCache {
    inner: Arc<Inner>,
}

struct Inner {
    /// Written by the workload host (`register`, `remove`), read by reconcilers and copies.
    clusters: Mutex<HashMap<ObjectKey, RemoteCluster>>,
    changes: broadcast::Sender<ObjectKey>,
}

/// Changes a subscriber may fall behind before it has to look at all clusters.
const CHANGES_MAX: usize = 4096;

/// A connection to a workload cluster.
#[derive(Clone)]
pub struct RemoteCluster {
    /// Client of its API server, as cluster administrator.
    pub client: Client,
    etcd: Arc<dyn Fn() -> EtcdStatus + Send + Sync>,
    remove_member: Arc<MemberAction>,
    move_leader: Arc<MemberAction>,
}

/// Does something with the etcd member of a Node; answers whether that changed anything.
type MemberAction = dyn Fn(&str) -> bool + Send + Sync;

/// State of a workload cluster's etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdStatus {
    /// Members, in order of joining.
    pub members: Vec<EtcdMember>,
    /// Id of the leader; 0 for none.
    pub leader_id: u64,
}

/// One etcd member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdMember {
    /// Member id.
    pub id: u64,
    /// Name: the Node's.
    pub name: String,
    /// Not yet voting.
    pub is_learner: bool,
    /// Raised alarms such as `NOSPACE`.
    pub alarms: Vec<String>,
}

impl RemoteCluster {
    /// A connection; `etcd` answers the present membership.
    pub fn new(client: Client, etcd: Arc<dyn Fn() -> EtcdStatus + Send + Sync>) -> Self {
        Self { client, etcd, remove_member: Arc::new(|_| false), move_leader: Arc::new(|_| false) }
    }

    /// The same connection, through which etcd's membership can be changed. Both actions take the
    /// name of a member and answer whether that changed anything.
    pub fn with_etcd_actions(
        self,
        remove_member: impl Fn(&str) -> bool + Send + Sync + 'static,
        move_leader: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (remove_member, move_leader) = (Arc::new(remove_member), Arc::new(move_leader));
        Self { remove_member, move_leader, ..self }
    }

    /// Removes a member from etcd; false if there is none of that name.
    pub fn remove_etcd_member(&self, name: &str) -> bool {
        (self.remove_member)(name)
    }

    /// Makes a member etcd's leader; false if it is that already or there is none of that name.
    pub fn move_etcd_leader(&self, name: &str) -> bool {
        (self.move_leader)(name)
    }

    /// Present membership of etcd.
    pub fn etcd(&self) -> EtcdStatus {
        (self.etcd)()
    }
}

impl ClusterCache {
    /// An empty cache.
    #[expect(clippy::new_without_default, reason = "an explicit start of life reads better")]
    pub fn new() -> Self {
        let (changes, _) = broadcast::channel(CHANGES_MAX);
        Self { inner: Arc::new(Inner { clusters: Mutex::default(), changes }) }
    }

    /// The connection to a cluster, if its API server answers.
    pub fn get(&self, cluster: &ObjectKey) -> Option<RemoteCluster> {
        self.inner.clusters.lock().get(cluster).cloned()
    }

    /// Every cluster that can be reached, in order.
    pub fn keys(&self) -> Vec<ObjectKey> {
        let mut keys: Vec<_> = self.inner.clusters.lock().keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Makes a cluster reachable and tells the subscribers.
    pub fn register(&self, cluster: &ObjectKey, remote: RemoteCluster) {
        self.inner.clusters.lock().insert(cluster.clone(), remote);
        self.touch(cluster);
    }

    /// Takes a cluster back and tells the subscribers.
    pub fn remove(&self, cluster: &ObjectKey) {
        if self.inner.clusters.lock().remove(cluster).is_some() {
            self.touch(cluster);
        }
    }

    /// Tells the subscribers that something about the cluster changed that no watch shows (etcd
    /// membership).
    pub fn touch(&self, cluster: &ObjectKey) {
        // An error only says that nobody listens.
        let _ = self.inner.changes.send(cluster.clone());
    }

    /// Keys of clusters that appeared, went or were touched. A lagging receiver must treat all
    /// clusters as changed.
    pub fn subscribe(&self) -> broadcast::Receiver<ObjectKey> {
        self.inner.changes.subscribe()
    }
}
