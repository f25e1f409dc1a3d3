//! The host of all fake workload clusters of this process.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cluster::{ApiServerRequest, Cluster, EtcdMemberRequest, NodeRequest};
use super::manager::{self, Chores};
use super::network::ClusterNetwork;
use super::pods::Component;
use super::ports::{PortError, PortPool};
use super::templates::Templates;
use super::tls::ServingKey;
use crate::apiserver::{Profile, serve};
use crate::client::{ClientError, ClusterCache, ObjectKey};
use crate::clock::{Clock, Seed};
use crate::pki::PkiError;

/// Options of a [`Host`].
#[derive(Clone)]
pub struct HostOptions {
    /// Address that the API servers listen on.
    pub address: IpAddr,
    /// Host names and addresses under which clients reach them, for the certificates; the first is
    /// the host of endpoints. Without any it is the address.
    pub names: Vec<String>,
    /// Ports of the API servers.
    pub ports: RangeInclusive<u16>,
    /// What the API servers serve.
    pub profile: Arc<Profile>,
    /// Source of object times.
    pub clock: Clock,
    /// Source of etcd ids and machine ids.
    pub seed: Seed,
    /// Told of every cluster that can be reached.
    pub clusters: ClusterCache,
    /// Kubernetes version of machines that name none, e.g. `v1.36.2`.
    pub git_version: String,
}

impl HostOptions {
    /// Default ports of workload API servers.
    pub const PORTS: RangeInclusive<u16> = 20000..=29999;
}

/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the API of a workload cluster answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Failures of a workload cluster's simulation.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No port could be had. The message says why.
    #[error("failed to start the API server of cluster {cluster}: {reason}")]
    Port {
        /// Cluster.
        cluster: ObjectKey,
        /// Why.
        reason: String,
        /// Whether all ports of the range are in use.
        is_exhausted: bool,
    },
    /// The cluster has not been added, or was removed.
    #[error("cluster {0} has no infrastructure")]
    NoCluster(ObjectKey),
    /// A component was started on a machine without a Node.
    #[error("machine {name} of cluster {cluster} has no Node")]
    NoNode {
        /// Cluster.
        cluster: ObjectKey,
        /// Machine.
        name: String,
    },
    /// The cluster CA cannot sign.
    #[error("failed to use the CA of cluster {cluster}: {source}")]
    Ca {
        /// Cluster.
        cluster: ObjectKey,
        /// Cause.
        source: PkiError,
    },
    /// The etcd member could not join.
    #[error("failed to start etcd on machine {name} of cluster {cluster}: {reason}")]
    Etcd {
        /// Cluster.
        cluster: ObjectKey,
        /// Machine.
        name: String,
        /// Why, in etcd's words.
        reason: String,
    },
    /// An object of the workload cluster could not be written.
    #[error("failed to {verb} {object} in cluster {cluster}: {source}")]
    Write {
        /// What was tried.
        verb: &'static str,
        /// Kind and name.
        object: String,
        /// Cluster.
        cluster: ObjectKey,
        /// Cause.
        source: ClientError,
    },
}

/// What all clusters of a host share.
pub(super) struct Shared {
    pub(super) profile: Arc<Profile>,
    pub(super) clock: Clock,
    pub(super) seed: Seed,
    pub(super) clusters: ClusterCache,
    pub(super) git_version: String,
    pub(super) serving_key: ServingKey,
    /// What kubelets and controllers of all clusters have to look at.
    pub(super) chores: Arc<Chores>,
    /// The accept tasks, one a cluster, and the connections to etcd; joined by `Host::shutdown`.
    pub(super) tasks: TaskTracker,
    /// Further names in the certificates; the first is the host of endpoints that name none.
    pub(super) names: Vec<String>,
    pub(super) templates: Templates,
}

/// Owns the fake workload clusters. Cheap to clone; all clones are one.
///
/// Every method can be repeated: what is there already is left as it is. After a restart the
/// infrastructure providers rebuild the clusters by reconciling.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    address: IpAddr,
    /// Taken from and given back to by `add_cluster` and `remove_cluster`.
    ports: Mutex<PortPool>,
    /// Written by `add_cluster` and `remove_cluster`, read by everything else.
    clusters: Mutex<HashMap<ObjectKey, Arc<Cluster>>>,
    stop: CancellationToken,
}

impl Host {
    /// A host without clusters. Call inside a tokio runtime.
    pub fn new(options: HostOptions) -> Self {
        let chores = Arc::new(Chores::new(options.clock.clone()));
        let shared = Shared {
            profile: options.profile,
            clock: options.clock,
            seed: options.seed,
            clusters: options.clusters,
            git_version: options.git_version,
            serving_key: ServingKey::default(),
            chores: chores.clone(),
            tasks: TaskTracker::new(),
            names: options.names,
            templates: Templates::default(),
        };
        let inner = Inner {
            shared: Arc::new(shared),
            address: options.address,
            ports: Mutex::new(PortPool::new(options.ports)),
            clusters: Mutex::default(),
            stop: CancellationToken::new(),
        };
        let inner = Arc::new(inner);
        let host = Arc::downgrade(&inner);
        let find = move |key: &ObjectKey| host.upgrade()?.clusters.lock().get(key).cloned();
        inner.shared.tasks.spawn(manager::run(chores, find, inner.stop.clone()));
        Self { inner }
    }

    /// Gives a cluster a port, unless it has one: `port`, or the next free one. `host` is what
    /// clients are told; empty for the host's own address. Nothing answers until the first API
    /// server is added.
    ///
    /// # Errors
    /// [`HostError::Port`].
    pub fn add_cluster(
        &self,
        key: &ObjectKey,
        host: &str,
        port: Option<u16>,
        network: ClusterNetwork,
    ) -> Result<Endpoint, HostError> {
        let mut clusters = self.inner.clusters.lock();
        if let Some(cluster) = clusters.get(key) {
            return Ok(cluster.endpoint().clone());
        }
        let (port, listener) = self.bind(port).map_err(|error| HostError::Port {
            cluster: key.clone(),
            is_exhausted: matches!(error, PortError::Exhausted { .. }),
            reason: error.to_string(),
        })?;
        let host = if host.is_empty() { self.default_host() } else { host.to_owned() };
        let endpoint = Endpoint { host, port };
        let (open, opened) = oneshot::channel();
        let clock = self.inner.shared.clock.clone();
        let stop = self.inner.stop.child_token();
        self.inner.shared.tasks.spawn(accept(listener, opened, clock, stop.clone()));
        let shared = self.inner.shared.clone();
        let cluster = Cluster::new(key.clone(), shared, endpoint.clone(), network, open, stop);
        clusters.insert(key.clone(), cluster);
        Ok(endpoint)
    }

    /// Where a cluster's API answers, if it has a port.
    pub fn endpoint(&self, key: &ObjectKey) -> Option<Endpoint> {
        self.inner.clusters.lock().get(key).map(|cluster| cluster.endpoint().clone())
    }

    /// Connects in memory to the API of the cluster that has a port, as a client of that port
    /// does. `None` where it would be refused. Call inside a tokio runtime.
    pub fn connect(&self, port: u16) -> Option<DuplexStream> {
        let clusters = self.inner.clusters.lock();
        let cluster = clusters.values().find(|cluster| cluster.endpoint().port == port)?.clone();
        drop(clusters);
        cluster.connect()
    }

    /// Bytes of the objects that all clusters have.
    pub fn stored_bytes(&self) -> usize {
        self.inner.clusters.lock().values().map(|cluster| cluster.stored_bytes()).sum()
    }

    /// Number of clusters.
    pub fn len(&self) -> usize {
        self.inner.clusters.lock().len()
    }

    /// Whether there are no clusters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops a cluster with all it contains and gives its port back.
    pub fn remove_cluster(&self, key: &ObjectKey) {
        let Some(cluster) = self.inner.clusters.lock().remove(key) else { return };
        cluster.close();
        let now = self.inner.shared.clock.elapsed();
        self.inner.ports.lock().release(cluster.endpoint().port, now);
    }

    /// Registers a machine's Node.
    ///
    /// # Errors
    /// [`HostError::NoCluster`] and [`HostError::Write`].
    pub async fn add_node(
        &self,
        key: &ObjectKey,
        request: &NodeRequest<'_>,
    ) -> Result<(), HostError> {
        self.cluster(key)?.add_node(request).await
    }

    /// Lets a machine's etcd member join. The machine must have a Node.
    ///
    /// # Errors
    /// [`HostError::NoCluster`], [`HostError::NoNode`], [`HostError::Etcd`] and
    /// [`HostError::Write`].
    pub async fn add_etcd_member(
        &self,
        key: &ObjectKey,
        request: &EtcdMemberRequest<'_>,
    ) -> Result<(), HostError> {
        self.cluster(key)?.add_etcd_member(request).await
    }

    /// Whether a machine's etcd member was started.
    pub fn has_etcd_member(&self, key: &ObjectKey, name: &str) -> bool {
        self.cluster(key).is_ok_and(|cluster| cluster.has_etcd_member(name))
    }

    /// Starts a machine's API server. The machine must have a Node.
    ///
    /// # Errors
    /// [`HostError::NoCluster`], [`HostError::NoNode`], [`HostError::Ca`] and
    /// [`HostError::Write`].
    pub async fn add_api_server(
        &self,
        key: &ObjectKey,
        request: &ApiServerRequest<'_>,
    ) -> Result<(), HostError> {
        self.cluster(key)?.add_api_server(request).await
    }

    /// Stops the kubelet of a machine: its Lease is renewed no longer, its Pods are left to
    /// themselves, and after the grace period nobody knows how the Node is. Answers whether there
    /// is such a machine.
    pub fn stop_kubelet(&self, key: &ObjectKey, name: &str) -> bool {
        self.cluster(key).is_ok_and(|cluster| cluster.set_kubelet(name, false))
    }

    /// Starts the kubelet of a machine again. Answers whether there is such a machine.
    pub fn start_kubelet(&self, key: &ObjectKey, name: &str) -> bool {
        self.cluster(key).is_ok_and(|cluster| cluster.set_kubelet(name, true))
    }

    /// Whether a first machine has left what `kubeadm init` leaves in a cluster.
    pub fn is_initialized(&self, key: &ObjectKey) -> bool {
        self.cluster(key).is_ok_and(|cluster| cluster.is_initialized())
    }

    /// Stops components of a machine's control plane, by their names (`etcd`, `kube-apiserver`,
    /// `kube-scheduler`, `kube-controller-manager`; others are passed over), and starts the others
    /// again. A machine or cluster that is gone is no error.
    ///
    /// # Errors
    /// [`HostError::Write`].
    pub async fn stop_components(
        &self,
        key: &ObjectKey,
        name: &str,
        components: impl Iterator<Item = &str>,
    ) -> Result<(), HostError> {
        let stopped = components.filter_map(Component::of_name).collect();
        match self.cluster(key) {
            Ok(cluster) => cluster.set_stopped(name, &stopped).await,
            Err(_) => Ok(()),
        }
    }

    /// Whether a machine's API server runs.
    pub fn has_api_server(&self, key: &ObjectKey, name: &str) -> bool {
        self.cluster(key).is_ok_and(|cluster| cluster.has_api_server(name))
    }

    /// Removes what a machine ran. A machine or cluster that is gone is no error.
    ///
    /// # Errors
    /// [`HostError::Write`].
    pub async fn remove_machine(&self, key: &ObjectKey, name: &str) -> Result<(), HostError> {
        match self.cluster(key) {
            Ok(cluster) => cluster.remove_machine(name).await,
            Err(_) => Ok(()),
        }
    }

    /// Closes all clusters and waits for their ports.
    pub async fn shutdown(&self) {
        let clusters: Vec<_> = self.inner.clusters.lock().drain().collect();
        for (_, cluster) in clusters {
            cluster.close();
        }
        self.inner.stop.cancel();
        self.inner.shared.tasks.close();
        self.inner.shared.tasks.wait().await;
    }

    pub(super) fn cluster(&self, key: &ObjectKey) -> Result<Arc<Cluster>, HostError> {
        let found = self.inner.clusters.lock().get(key).cloned();
        found.ok_or_else(|| HostError::NoCluster(key.clone()))
    }

    fn default_host(&self) -> String {
        let named = self.inner.shared.names.first().cloned();
        named.unwrap_or_else(|| self.inner.address.to_string())
    }

    fn bind(&self, port: Option<u16>) -> Result<(u16, TcpListener), PortError> {
        let address = self.inner.address;
        let bind = |port| listen(SocketAddr::new(address, port));
        let mut pool = self.inner.ports.lock();
        match port {
            Some(port) => pool.take_exact(port, bind).map(|listener| (port, listener)),
            None => pool.take(self.inner.shared.clock.elapsed(), bind),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Holds a port: closes what connects until there is something to serve, then serves it.
async fn accept(
    listener: TcpListener,
    mut opened: oneshot::Receiver<serve::Gate>,
    clock: Clock,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            gate = &mut opened => {
                if let Ok(gate) = gate {
                    Box::pin(gate.serve(listener, stop)).await;
                }
                return;
            }
            // Dropped at once. An error means that descriptors ran out: only time helps.
            accepted = listener.accept() => {
                if accepted.is_err() {
                    Box::pin(clock.sleep(ACCEPT_PAUSE)).await;
                }
            }
        }
    }
}
