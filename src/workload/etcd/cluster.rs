//! The etcd of one workload cluster as everybody shares it: members, waiting requests, connections.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::certificate::{ServingMaterial, ServingNames};
use super::errors::EtcdError;
use super::membership::{Etcd, MemberState};
use super::serve;
use super::service::Server;
use crate::client::{EtcdStatus, ObjectKey};
use crate::clock::{Clock, Seed};
use crate::workload::tls::{CertificateFiles, ServingKey};

/// Port of a member for clients.
const CLIENT_PORT: u16 = 2379;
/// Port of a member for metrics, without TLS. (kubernetes v1.36: cmd/kubeadm/app/constants)
const METRICS_PORT: u16 = 2381;
/// How long a request waits for the cluster to agree: five seconds, and two elections of one.
/// (etcd v3.6: ServerConfig.ReqTimeout)
const AGREEMENT_LIMIT: Duration = Duration::from_secs(7);
/// Connections to the members of one cluster.
const CONNECTIONS_MAX: usize = 256;
/// Bytes that an in-memory connection holds in each direction.
const PIPE_BYTES: usize = 32 * 1024;

/// What the etcd of a cluster is made with.
pub(in crate::workload) struct EtcdOptions {
    /// Source of ids.
    pub(in crate::workload) seed: Seed,
    /// The workload cluster.
    pub(in crate::workload) cluster: ObjectKey,
    /// Measures how long requests wait.
    pub(in crate::workload) clock: Clock,
    /// Key that all serving certificates of the process share.
    pub(in crate::workload) key: ServingKey,
    /// Told after members, leader or alarms changed. Must not call back.
    pub(in crate::workload) changed: Box<dyn Fn() + Send + Sync>,
}

/// The etcd of a workload cluster. Without connections it is a few hundred bytes.
pub(in crate::workload) struct EtcdCluster {
    /// Written by machines, in-process controllers and requests; never locked across a wait.
    state: Mutex<Etcd>,
    /// Wakes what waits for a leader, or for the end of a member.
    moved: Notify,
    /// Told by [`Self::change`].
    changed: Box<dyn Fn() + Send + Sync>,
    clock: Clock,
    /// Serving certificates; made by the first connections.
    material: ServingMaterial,
    /// Open connections, bounded by [`CONNECTIONS_MAX`].
    connections: AtomicUsize,
}

/// Counts a connection while it lives.
pub(super) struct Connected(Arc<EtcdCluster>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

impl EtcdCluster {
    /// An etcd without members.
    pub(in crate::workload) fn new(options: EtcdOptions) -> Self {
        Self {
            state: Mutex::new(Etcd::new(options.seed, options.cluster)),
            moved: Notify::new(),
            changed: options.changed,
            clock: options.clock,
            material: ServingMaterial::new(options.key),
            connections: AtomicUsize::new(0),
        }
    }

    /// Names the authority that signs serving certificates and that clients must come from.
    /// The first one stays.
    pub(in crate::workload) fn set_authority(&self, ca: &CertificateFiles) {
        self.material.set_authority(ca);
    }

    /// Members and leader.
    pub(in crate::workload) fn status(&self) -> EtcdStatus {
        self.state.lock().status()
    }

    /// What a Pod shows of its member; `None` once it was removed.
    pub(in crate::workload) fn member_state(&self, name: &str) -> Option<MemberState> {
        let state = self.state.lock();
        let id = state.named(name)?.id;
        Some(MemberState {
            cluster_id: state.cluster_id(),
            member_id: id,
            is_leader: state.leader() == id,
        })
    }

    /// Starts the member of a machine: a new one, one that was announced, or one that was down.
    ///
    /// # Errors
    /// That of a new member in a cluster that has lost its quorum, in etcd's words.
    pub(in crate::workload) fn start(&self, name: &str, address: &str) -> Result<(), String> {
        let started = self.change(|etcd| etcd.start(name, address));
        started.map(drop).map_err(|error| error.to_string())
    }

    /// Stops the member of a machine. It stays a member, as when a real machine goes.
    pub(in crate::workload) fn stop(&self, name: &str) -> bool {
        self.change(|etcd| etcd.stop(name))
    }

    /// Removes the member of a name on behalf of a controller, which asks another member. Answers
    /// whether it was removed.
    pub(in crate::workload) fn remove(&self, name: &str) -> bool {
        self.change(|etcd| {
            let Some(id) = etcd.named(name).map(|member| member.id) else { return false };
            let local = etcd.leader();
            local != 0 && etcd.may_remove(id, local).is_ok() && etcd.remove(id).is_ok()
        })
    }

    /// Hands leadership over on behalf of a controller. Answers whether that changed anything.
    pub(in crate::workload) fn move_leader(&self, name: &str) -> bool {
        self.change(|etcd| match etcd.named(name).map(|member| member.id) {
            Some(id) if etcd.leader() != 0 && etcd.leader() != id => etcd.move_leader(id).is_ok(),
            _ => false,
        })
    }

    /// Opens a connection to a port of a member. Its task ends with the connection, with the
    /// member, or with `stop`.
    ///
    /// # Errors
    /// Why nobody listens there.
    pub(in crate::workload) fn connect(
        self: &Arc<Self>,
        name: &str,
        port: u16,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<DuplexStream, String> {
        let id = self.state.lock().named(name).map_or(0, |member| member.id);
        if !self.is_up(id) || !matches!(port, CLIENT_PORT | METRICS_PORT) {
            return Err("connection refused".to_owned());
        }
        if self.connections.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            self.connections.fetch_sub(1, Ordering::SeqCst);
            return Err("too many connections".to_owned());
        }
        let connected = Connected(self.clone());
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let server = Server::new(self.clone(), id);
        let stop = stop.clone();
        tasks.spawn(async move {
            let _connected = connected;
            if port == CLIENT_PORT {
                serve::serve(server, far, stop).await;
            } else {
                serve::serve_metrics(server, far, stop).await;
            }
        });
        Ok(near)
    }

    /// Connections that are open.
    #[cfg(test)]
    pub(super) fn connection_count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Reads the state.
    pub(super) fn read<R>(&self, look: impl FnOnce(&Etcd) -> R) -> R {
        look(&self.state.lock())
    }

    /// Changes the state and tells everybody whom that concerns.
    pub(super) fn change<R>(&self, act: impl FnOnce(&mut Etcd) -> R) -> R {
        let (result, is_changed) = {
            let mut state = self.state.lock();
            let before = state.generation();
            let result = act(&mut state);
            (result, state.generation() != before)
        };
        if is_changed {
            self.moved.notify_waiters();
            (self.changed)();
        }
        result
    }

    /// Whether a member's process runs.
    pub(super) fn is_up(&self, id: u64) -> bool {
        self.state.lock().is_up(id)
    }

    /// The clock of requests.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The TLS configuration of a member.
    ///
    /// # Errors
    /// A message when there is no authority or it cannot sign.
    pub(super) fn tls(&self, id: u64) -> Result<Arc<rustls::ServerConfig>, String> {
        let names = self.state.lock().member(id).map(ServingNames::of);
        self.material.config(&names.ok_or("the member was removed")?)
    }

    /// Ends when a member's process does.
    pub(super) async fn down(&self, id: u64) {
        self.until(|etcd| !etcd.is_up(id)).await;
    }

    /// What a linearizable read needs: a leader that a majority follows. One that is elected only
    /// while the read waits makes it fail, as etcd's does.
    pub(super) async fn agree_on_read(&self, id: u64) -> Result<(), EtcdError> {
        if self.has_leader(id)? {
            return Ok(());
        }
        match self.clock.timeout(AGREEMENT_LIMIT, self.leader_or_end(id)).await {
            Ok(()) if self.is_up(id) => Err(EtcdError::LeaderChanged),
            Ok(()) => Err(EtcdError::Stopped),
            Err(_) => Err(EtcdError::Timeout),
        }
    }

    /// What a proposal needs: a leader to take it, now or soon. `late` is the error when none does.
    pub(super) async fn agree_on_write(&self, id: u64, late: EtcdError) -> Result<(), EtcdError> {
        if self.has_leader(id)? {
            return Ok(());
        }
        match self.clock.timeout(AGREEMENT_LIMIT, self.leader_or_end(id)).await {
            Ok(()) if self.is_up(id) => Ok(()),
            Ok(()) => Err(EtcdError::Stopped),
            Err(_) => Err(late),
        }
    }

    /// Lets a request wait as long as etcd waits for a leader that does not come.
    pub(super) async fn exhaust_patience(&self) {
        self.clock.sleep(AGREEMENT_LIMIT).await;
    }

    fn has_leader(&self, id: u64) -> Result<bool, EtcdError> {
        let state = self.state.lock();
        if state.is_up(id) { Ok(state.leader() != 0) } else { Err(EtcdError::Stopped) }
    }

    async fn leader_or_end(&self, id: u64) {
        self.until(|etcd| etcd.leader() != 0 || !etcd.is_up(id)).await;
    }

    async fn until(&self, is_reached: impl Fn(&Etcd) -> bool) {
        loop {
            let mut moved = pin!(self.moved.notified());
            // Registered before the look, so that no change falls between look and wait.
            moved.as_mut().enable();
            if is_reached(&self.state.lock()) {
                return;
            }
            moved.await;
        }
    }
}
