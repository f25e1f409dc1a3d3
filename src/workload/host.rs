//! The host of all fake workload clusters of this process.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cluster::{ApiServerRequest, Cluster, NodeRequest};
use super::network::ClusterNetwork;
use super::ports::{PortError, PortPool};
use super::tls::ServingKey;
use crate::apiserver::{Profile, serve};
use crate::client::{ClientError, ClusterCache, ObjectKey};
use crate::clock::{Clock, Seed};
use crate::pki::PkiError;

/// Options of a [`Host`].
#[derive(Clone)]
pub struct HostOptions {
    /// Address that the API servers listen on, and host of their endpoints.
    pub address: IpAddr,
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
    /// The accept tasks, one a cluster.
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Host {
    /// A host without clusters. Call inside a tokio runtime.
    pub fn new(options: HostOptions) -> Self {
        let shared = Shared {
            profile: options.profile,
            clock: options.clock,
            seed: options.seed,
            clusters: options.clusters,
            git_version: options.git_version,
            serving_key: ServingKey::default(),
        };
        let inner = Inner {
            shared: Arc::new(shared),
            address: options.address,
            ports: Mutex::new(PortPool::new(options.ports)),
            clusters: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
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
        let host = if host.is_empty() { self.inner.address.to_string() } else { host.to_owned() };
        let endpoint = Endpoint { host, port };
        let (open, opened) = oneshot::channel();
        let clock = self.inner.shared.clock.clone();
        let stop = self.inner.stop.child_token();
        self.inner.tasks.spawn(accept(listener, opened, clock, stop.clone()));
        let shared = self.inner.shared.clone();
        let cluster = Cluster::new(key.clone(), shared, endpoint.clone(), network, open, stop);
        clusters.insert(key.clone(), Arc::new(cluster));
        Ok(endpoint)
    }

    /// Where a cluster's API answers, if it has a port.
    pub fn endpoint(&self, key: &ObjectKey) -> Option<Endpoint> {
        self.inner.clusters.lock().get(key).map(|cluster| cluster.endpoint().clone())
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
    /// [`HostError::NoCluster`], [`HostError::NoNode`] and [`HostError::Write`].
    pub async fn add_etcd_member(&self, key: &ObjectKey, name: &str) -> Result<(), HostError> {
        self.cluster(key)?.add_etcd_member(name).await
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
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    fn cluster(&self, key: &ObjectKey) -> Result<Arc<Cluster>, HostError> {
        let found = self.inner.clusters.lock().get(key).cloned();
        found.ok_or_else(|| HostError::NoCluster(key.clone()))
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
    mut opened: oneshot::Receiver<serve::Endpoint>,
    clock: Clock,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            endpoint = &mut opened => {
                if let Ok(endpoint) = endpoint {
                    serve::serve(listener, endpoint, stop).await;
                }
                return;
            }
            // Dropped at once. An error means that descriptors ran out: only time helps.
            accepted = listener.accept() => {
                if accepted.is_err() {
                    clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
