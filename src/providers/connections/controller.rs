//! The controller that connects to clusters, looks whether they answer, and passes actions on etcd on.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret};
use parking_lot::Mutex;
use serde_json::json;
use tracing::{debug, info, warn};

use super::etcd;
use crate::api::core::Cluster;
use crate::client::{Client, ClientError, ClusterCache, ObjectKey, RemoteCluster};
use crate::clock::Clock;
use crate::contract::etcd::{LEADER_FROM, MEMBER_REMOVED};
use crate::contract::secrets::Purpose;
use crate::runtime::{
    Change, Controller, Informer, Manager, Outcome, ReconcileError, Reconciler, RemoteInformers,
    Trigger,
};

/// Time between two looks at a cluster that answers.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Failures in a row after which a connection is given up.
const FAILURES_MAX: u32 = 5;
/// First and longest pause between two tries to connect. Upstream tries every 30 seconds; a fake
/// cluster is up long before.
const CONNECT_MIN: Duration = Duration::from_millis(200);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Clusters that are looked at at once; they wait for the network. Upstream's figure.
const CONCURRENCY: usize = 100;

/// Adds the controller that fills `remote`'s cache from kubeconfig Secrets.
pub fn add_controllers(manager: &Manager, remote: &RemoteInformers) {
    let clusters = manager.informer::<Cluster>();
    let reconciler = Arc::new(Connections {
        client: manager.client().clone(),
        clock: manager.clock().clone(),
        cache: remote.clusters().clone(),
        remote: remote.clone(),
        clusters: clusters.clone(),
        known: Mutex::default(),
        actions: Arc::default(),
        trigger: OnceLock::new(),
    });
    let controller = Controller::new("clustercache", reconciler.clone())
        .concurrency(CONCURRENCY)
        .watches(&clusters, |change: &Change<Cluster>| relevant(change).into_iter().collect());
    // Set once, here.
    let _ = reconciler.trigger.set(controller.trigger());
    manager.add(controller);
}

/// The Cluster, when it came, went, or what decides about its connection changed.
fn relevant(change: &Change<Cluster>) -> Option<ObjectKey> {
    let is_new = match (&change.old, &change.new) {
        (Some(old), Some(new)) => {
            is_provisioned(old) != is_provisioned(new)
                || old.spec.control_plane_endpoint != new.spec.control_plane_endpoint
        }
        (None, _) | (_, None) => true,
    };
    is_new.then(|| ObjectKey::of(&**change.object()))
}

struct Connections {
    client: Client,
    clock: Clock,
    cache: ClusterCache,
    remote: RemoteInformers,
    clusters: Informer<Cluster>,
    /// What is known of each cluster. Written by its reconcile alone, never held across an await.
    known: Mutex<HashMap<ObjectKey, Known>>,
    /// What is to be done to etcd. Written by those who ask `RemoteCluster`, taken by the reconcile.
    actions: Arc<Mutex<HashMap<ObjectKey, Vec<Action>>>>,
    /// Wakes this controller.
    trigger: OnceLock<Trigger>,
}

/// Something to be done to the etcd member of a Node.
#[derive(Clone, Debug)]
enum Action {
    Remove(String),
    Lead(String),
}

/// How it stands with a cluster.
#[derive(Clone, Default)]
struct Known {
    /// The connection, and the resourceVersion of the Secret it was made from.
    connection: Option<(Client, String)>,
    /// Tries or looks that failed, in a row.
    failures: u32,
}

/// Why a cluster cannot be connected to.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("failed to read Secret {key}: {source}")]
    Secret { key: ObjectKey, source: ClientError },
    #[error("Secret {0} does not exist yet")]
    NoSecret(ObjectKey),
    #[error("Secret {0} has no field value")]
    NoValue(ObjectKey),
    #[error("failed to use the kubeconfig of Secret {key}: {source}")]
    Kubeconfig { key: ObjectKey, source: ClientError },
    #[error("failed to get /: {0}")]
    Probe(#[from] ClientError),
    #[error("no answer to a GET of / within {PROBE_TIMEOUT:?}")]
    Timeout,
}

impl ConnectError {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Probe(error) if error.code() == Some(401))
    }
}

impl Reconciler for Connections {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let cluster = self.clusters.get(&key.namespace, &key.name);
        if !cluster.is_some_and(|cluster| is_provisioned(&cluster)) {
            self.known.lock().remove(key);
            self.actions.lock().remove(key);
            self.cache.remove(key);
            return Ok(Outcome::Done);
        }
        let mut known = self.known.lock().get(key).cloned().unwrap_or_default();
        let delay = match known.connection.clone() {
            Some((client, version)) => {
                self.act(key, &client).await;
                self.look(key, &mut known, &client, &version).await
            }
            None => self.connect(key, &mut known).await,
        };
        self.known.lock().insert(key.clone(), known);
        Ok(Outcome::RequeueAfter(delay))
    }
}

impl Connections {
    /// Tries to connect; answers when to come back.
    async fn connect(&self, key: &ObjectKey, known: &mut Known) -> Duration {
        match self.try_connect(key).await {
            Ok((client, version)) => {
                info!(cluster = %key, "connected");
                self.cache.register(key, self.remote_cluster(key, client.clone()));
                *known = Known { connection: Some((client, version)), failures: 0 };
                PROBE_INTERVAL
            }
            Err(error) => {
                debug!(cluster = %key, %error, "not connected");
                let factor = 1_u32.checked_shl(known.failures).unwrap_or(u32::MAX);
                known.failures = (known.failures + 1).min(16);
                CONNECT_MIN.saturating_mul(factor).min(CONNECT_MAX)
            }
        }
    }

    fn remote_cluster(&self, key: &ObjectKey, client: Client) -> RemoteCluster {
        let (remote, of) = (self.remote.clone(), key.clone());
        let status = Arc::new(move || etcd::status(&remote.pods(&of)));
        RemoteCluster::new(client, status)
            .with_etcd_actions(self.action(key, Action::Remove), self.action(key, Action::Lead))
    }

    /// Notes an action for the next reconcile; answers whether etcd has the member.
    fn action(
        &self,
        key: &ObjectKey,
        action: fn(String) -> Action,
    ) -> impl Fn(&str) -> bool + Send + Sync + 'static {
        let (remote, key) = (self.remote.clone(), key.clone());
        let (actions, trigger) = (self.actions.clone(), self.trigger.get().cloned());
        move |name| {
            let members = etcd::status(&remote.pods(&key)).members;
            let has_member = members.iter().any(|member| member.name == name);
            if has_member {
                actions.lock().entry(key.clone()).or_default().push(action(name.to_owned()));
                if let Some(trigger) = &trigger {
                    trigger.enqueue(key.clone());
                }
            }
            has_member
        }
    }

    /// Does to etcd what was asked for. What fails is asked for again by who needs it.
    async fn act(&self, key: &ObjectKey, client: &Client) {
        let actions = self.actions.lock().remove(key).unwrap_or_default();
        for action in actions {
            let now = format!("{:.0}", self.clock.now());
            let (node, annotation, value) = match &action {
                Action::Remove(node) => (node, MEMBER_REMOVED, ""),
                Action::Lead(node) => (node, LEADER_FROM, now.as_str()),
            };
            let pod = ObjectKey::new("kube-system", etcd::pod_name(node));
            let patch = json!({"metadata": {"annotations": {annotation: value}}});
            if let Err(error) = client.merge_patch::<Pod>(&pod, "", &patch).await {
                warn!(cluster = %key, ?action, %error, "failed to change etcd's members");
            }
        }
    }

    async fn try_connect(&self, key: &ObjectKey) -> Result<(Client, String), ConnectError> {
        let name =
            ObjectKey::new(key.namespace.clone(), Purpose::Kubeconfig.secret_name(&key.name));
        let secret: Secret = self
            .client
            .get(&name)
            .await
            .map_err(|source| ConnectError::Secret { key: name.clone(), source })?
            .ok_or_else(|| ConnectError::NoSecret(name.clone()))?;
        let version = secret.metadata.resource_version.unwrap_or_default();
        let value = secret.data.and_then(|mut data| data.remove("value"));
        let value = value.ok_or_else(|| ConnectError::NoValue(name.clone()))?;
        let text = String::from_utf8_lossy(&value.0);
        let client = Client::from_kubeconfig(&text, "capim")
            .await
            .map_err(|source| ConnectError::Kubeconfig { key: name, source })?;
        self.probe(&client).await?;
        Ok((client, version))
    }

    /// Looks whether a connected cluster still answers; answers when to come back.
    async fn look(
        &self,
        key: &ObjectKey,
        known: &mut Known,
        client: &Client,
        version: &str,
    ) -> Duration {
        let Err(error) = self.probe(client).await else {
            known.failures = 0;
            return PROBE_INTERVAL;
        };
        known.failures += 1;
        debug!(cluster = %key, %error, failures = known.failures, "probe failed");
        if known.failures < FAILURES_MAX && !error.is_refusal() {
            return PROBE_INTERVAL;
        }
        info!(cluster = %key, %error, secret = version, "disconnected");
        self.cache.remove(key);
        *known = Known::default();
        CONNECT_MIN
    }

    async fn probe(&self, client: &Client) -> Result<(), ConnectError> {
        match self.clock.timeout(PROBE_TIMEOUT, client.get_json("/")).await {
            Ok(answer) => Ok(answer.map(|_| ())?),
            Err(_) => Err(ConnectError::Timeout),
        }
    }
}

/// Whether there may be an API server at all.
fn is_provisioned(cluster: &Cluster) -> bool {
    let status = cluster.status.as_ref();
    let initialization = status.and_then(|status| status.initialization.as_ref());
    initialization.is_some_and(|done| done.infrastructure_provisioned == Some(true))
}
