//! What the dashboard reads of a management cluster anywhere on the network.
//!
//! Every kind is a live copy of its own. A kind that the server does not have, or that one may not
//! read, is named ([`Connection::missing`]) and its copy stays empty; only without Clusters there is
//! nothing to show. A small request every few seconds tells whether the server is still there, and
//! whether it is still the same one: after an interruption, or when another server has taken the
//! place, all copies are read anew.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Sources;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::runtime::Informer;

/// Between two looks whether the server is there.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// A look that takes longer has failed.
const PROBE_MAX: Duration = Duration::from_secs(5);
/// Looks after which missing kinds are asked for again.
const PROBES_UNTIL_KINDS: u32 = 15;
/// How long the first lists are waited for, so that the first screen is not an empty one.
const FIRST_LISTS_MAX: Duration = Duration::from_secs(3);
/// Cluster API's group and the version of its kinds that is read.
const GROUP: &str = "cluster.x-k8s.io";
const VERSION: &str = "v1beta2";

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Source of time.
    pub clock: Clock,
    /// URL of the management API, to be shown.
    pub url: String,
    /// Path of its kubeconfig, to be shown and named in commands.
    pub kubeconfig: String,
    /// Only this namespace; all if `None`.
    pub namespace: Option<String>,
    /// Nothing is changed.
    pub read_only: bool,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there.
    #[error("failed to reach {url}: {cause}")]
    Unreachable {
        /// The server.
        url: String,
        /// What went wrong, from the connection's point of view.
        cause: String,
    },
    /// Something else than a Kubernetes API answers there.
    #[error("{url} is no Kubernetes API server: {cause}")]
    Foreign {
        /// The server.
        url: String,
        /// What it answered.
        cause: String,
    },
    /// The credentials are not accepted.
    #[error("{url} does not accept the credentials: {cause}")]
    Unauthorized {
        /// The server.
        url: String,
        /// What it answered.
        cause: String,
    },
    /// Clusters may not be read.
    #[error("{url} does not allow to list clusters: {cause}")]
    Forbidden {
        /// The server.
        url: String,
        /// What it answered.
        cause: String,
    },
    /// There is no Cluster API.
    #[error("{url} has no Cluster API: it does not know clusters.{GROUP}")]
    NoClusterApi {
        /// The server.
        url: String,
    },
    /// Its Cluster API is older than what can be read.
    #[error("{url} serves {GROUP} in {served}, not in {VERSION} (Cluster API 1.11 and later)")]
    OldClusterApi {
        /// The server.
        url: String,
        /// Versions that it serves.
        served: String,
    },
}

/// Whether the server is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It answers.
    Connected,
    /// It does not; what is shown is what it was.
    Disconnected {
        /// Since when.
        since: Timestamp,
        /// Why, on one line.
        reason: String,
    },
}

/// What is known about the connection. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Connection {
    receiver: watch::Receiver<Seen>,
    /// Ends the copies with the last clone; `None` if others keep them.
    _copies: Option<Arc<StopOnDrop>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    state: ConnectionState,
    missing: Vec<String>,
}

struct StopOnDrop(CancellationToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Connection {
    /// That of an API server in this process, which is always there.
    pub fn in_process() -> Self {
        let seen = Seen { state: ConnectionState::Connected, missing: Vec::new() };
        Self { receiver: watch::channel(seen).1, _copies: None }
    }

    /// Whether the server is there.
    pub fn state(&self) -> ConnectionState {
        self.receiver.borrow().state.clone()
    }

    /// Kinds that cannot be shown, each with the reason: `machinepools (not served)`.
    pub fn missing(&self) -> Vec<String> {
        self.receiver.borrow().missing.clone()
    }

    /// Waits for a change of either.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // Nobody is left who could change it.
            std::future::pending::<()>().await;
        }
    }
}

/// Connects to any management cluster. Copies are kept until the last clone of
/// [`Sources::connection`] is dropped. Call inside a tokio runtime.
///
/// # Errors
/// [`ConnectError`]: nobody answers, or there is nothing that could be shown.
pub async fn connect(client: Client, options: ConnectOptions) -> Result<Sources, ConnectError> {
    let identity = probe(&client, &options.clock).await.map_err(|lost| lost.first(&options.url))?;
    require_clusters(&client, &options).await?;
    let mut copies = Copies::new(&client, &options);
    let clusters = copies.add::<Cluster>();
    let machines = copies.add::<Machine>();
    let control_planes = copies.add::<KubeadmControlPlane>();
    let events = copies.add::<k8s_openapi::api::core::v1::Event>();
    let missing = copies.missing().await;
    let seen = Seen { state: ConnectionState::Connected, missing };
    let (sender, receiver) = watch::channel(seen);
    let stop = CancellationToken::new();
    copies.start();
    let first_lists = join_all(copies.served().map(|copy| (copy.synced)()));
    // Whoever has a great many objects sees them come.
    let _ = options.clock.timeout(FIRST_LISTS_MAX, first_lists).await;
    let following = Following { copies, sender, identity, probes: 0 };
    tokio::spawn(stop.clone().run_until_cancelled_owned(following.run()));
    Ok(Sources {
        clusters,
        machines,
        control_planes,
        events: Some(events),
        clock: options.clock,
        url: options.url,
        kubeconfig: options.kubeconfig,
        external: Vec::new(),
        client,
        connection: Connection { receiver, _copies: Some(Arc::new(StopOnDrop(stop))) },
        read_only: options.read_only,
    })
}

/// Makes sure that there are Clusters to look at.
async fn require_clusters(client: &Client, options: &ConnectOptions) -> Result<(), ConnectError> {
    let url = options.url.clone();
    let path = path_of::<Cluster>(options.namespace.as_deref());
    let error = match client.get_json(&format!("{path}?limit=1")).await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    match error.code() {
        Some(404) => {}
        Some(403) => return Err(ConnectError::Forbidden { url, cause: error.to_string() }),
        _ => return Err(Lost::of(error).first(&url)),
    }
    let group = client.get_json(&format!("/apis/{GROUP}")).await.unwrap_or_default();
    let versions = group["versions"].as_array().into_iter().flatten();
    let served: Vec<&str> = versions.filter_map(|version| version["version"].as_str()).collect();
    match served.as_slice() {
        [] => Err(ConnectError::NoClusterApi { url }),
        served if served.contains(&VERSION) => Err(ConnectError::NoClusterApi { url }),
        served => Err(ConnectError::OldClusterApi { url, served: served.join(", ") }),
    }
}

/// Path of the objects of a kind.
fn path_of<K: kube::Resource<DynamicType = ()>>(namespace: Option<&str>) -> String {
    K::url_path(&(), namespace)
}

/// Why a look at the server failed.
enum Lost {
    Unreachable(String),
    Foreign(String),
    Unauthorized(String),
}

impl Lost {
    fn of(error: ClientError) -> Self {
        match &error {
            ClientError::Status(status) if status.code == 401 => {
                Self::Unauthorized(error.to_string())
            }
            ClientError::Status(_) | ClientError::Reach(_) | ClientError::Codec { .. } => {
                Self::Foreign(error.to_string())
            }
            ClientError::Transport(_) => Self::Unreachable(error.reason()),
        }
    }

    /// What it means before anything was shown.
    fn first(self, url: &str) -> ConnectError {
        let url = url.to_owned();
        match self {
            Self::Unreachable(cause) => ConnectError::Unreachable { url, cause },
            Self::Foreign(cause) => ConnectError::Foreign { url, cause },
            Self::Unauthorized(cause) => ConnectError::Unauthorized { url, cause },
        }
    }

    /// What it means later.
    fn reason(self) -> String {
        match self {
            Self::Unreachable(cause) => cause,
            Self::Foreign(cause) => format!("no Kubernetes API answers there: {cause}"),
            Self::Unauthorized(cause) => format!("the credentials are not accepted: {cause}"),
        }
    }
}

/// Looks whether the server is there. The answer tells one server from another behind the same
/// address: the uid of namespace kube-system, which lives as long as the stored state does; empty
/// for those who may not read it.
async fn probe(client: &Client, clock: &Clock) -> Result<String, Lost> {
    let look = client.get_json("/api/v1/namespaces/kube-system");
    let answer = clock.timeout(PROBE_MAX, look).await;
    let answer =
        answer.map_err(|_| Lost::Unreachable(format!("no answer within {PROBE_MAX:?}")))?;
    match answer {
        Ok(namespace) if namespace["kind"] == "Namespace" => {
            Ok(namespace["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
        }
        Ok(_) => Err(Lost::Foreign("its answer is no Namespace".to_owned())),
        Err(error) if error.code() == Some(403) => Ok(String::new()),
        // An API server without controllers has no namespaces, but a version.
        Err(error) if error.is_not_found() => match client.get_json("/version").await {
            Ok(version) if version["gitVersion"].is_string() => Ok(String::new()),
            Ok(_) => Err(Lost::Foreign("its /version is not Kubernetes'".to_owned())),
            Err(error) => Err(Lost::of(error)),
        },
        Err(error) => Err(Lost::of(error)),
    }
}

type Synced = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One kind's copy, without its type.
struct Copied {
    plural: String,
    /// Path of its objects.
    path: String,
    is_served: bool,
    run: Box<dyn Fn(CancellationToken) -> Synced + Send + Sync>,
    synced: Box<dyn Fn() -> Synced + Send + Sync>,
}

/// All copies.
struct Copies {
    client: Client,
    clock: Clock,
    namespace: Option<String>,
    copies: Vec<Copied>,
    tasks: JoinSet<()>,
    /// Ends those that run now.
    running: CancellationToken,
}

impl Drop for Copies {
    fn drop(&mut self) {
        self.running.cancel();
    }
}

impl Copies {
    fn new(client: &Client, options: &ConnectOptions) -> Self {
        Self {
            client: client.clone(),
            clock: options.clock.clone(),
            namespace: options.namespace.clone(),
            copies: Vec::new(),
            tasks: JoinSet::new(),
            running: CancellationToken::new(),
        }
    }

    /// An empty copy of a kind, to be filled if the server has it.
    fn add<K>(&mut self) -> Informer<K>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static,
    {
        let namespace = self.namespace.clone();
        let informer = Informer::<K>::of_namespace(namespace.as_deref().unwrap_or_default());
        let (client, clock) = (self.client.clone(), self.clock.clone());
        let run = {
            let informer = informer.clone();
            move |stop: CancellationToken| -> Synced {
                Box::pin(informer.clone().run(client.clone(), clock.clone(), stop))
            }
        };
        let synced = {
            let informer = informer.clone();
            move || -> Synced {
                let informer = informer.clone();
                Box::pin(async move { informer.synced().await })
            }
        };
        self.copies.push(Copied {
            plural: K::plural(&()).into_owned(),
            path: path_of::<K>(namespace.as_deref()),
            is_served: false,
            run: Box::new(run),
            synced: Box::new(synced),
        });
        informer
    }

    fn served(&self) -> impl Iterator<Item = &Copied> {
        self.copies.iter().filter(|copy| copy.is_served)
    }

    /// Asks the server for each kind, all at once; answers those that cannot be read, with reasons.
    async fn missing(&mut self) -> Vec<String> {
        let client = &self.client;
        let looks = self
            .copies
            .iter()
            .map(|copy| async move { client.get_json(&format!("{}?limit=1", copy.path)).await });
        let answers: Vec<Result<Value, ClientError>> = join_all(looks).await;
        let mut missing = Vec::new();
        for (copy, answer) in self.copies.iter_mut().zip(answers) {
            let reason = match answer.as_ref().map_err(ClientError::code) {
                Err(Some(404)) => "not served",
                Err(Some(403)) => "not allowed",
                // Whatever it is, it may pass, and the copy tries again.
                Ok(_) | Err(_) => "",
            };
            copy.is_served = reason.is_empty();
            if !copy.is_served {
                missing.push(format!("{} ({reason})", copy.plural));
            }
        }
        missing
    }

    /// Reads all served kinds from the start.
    fn start(&mut self) {
        self.running.cancel();
        self.running = CancellationToken::new();
        let runs: Vec<Synced> =
            self.served().map(|copy| (copy.run)(self.running.clone())).collect();
        for run in runs {
            self.tasks.spawn(run);
        }
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Follows the server's life.
struct Following {
    copies: Copies,
    sender: watch::Sender<Seen>,
    /// Which server it is; see [`probe`].
    identity: String,
    probes: u32,
}

impl Following {
    async fn run(mut self) {
        loop {
            self.copies.clock.sleep(PROBE_EVERY).await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        self.probes = self.probes.wrapping_add(1);
        let was_connected = self.sender.borrow().state == ConnectionState::Connected;
        match probe(&self.copies.client, &self.copies.clock).await {
            Ok(identity) => {
                let is_same = identity == self.identity;
                self.identity = identity;
                let is_due = self.probes.is_multiple_of(PROBES_UNTIL_KINDS)
                    && !self.sender.borrow().missing.is_empty();
                if !was_connected || !is_same || is_due {
                    self.read_anew(was_connected && is_same).await;
                }
            }
            Err(lost) => {
                let (since, reason) = (self.copies.clock.now(), lost.reason());
                self.sender.send_if_modified(|seen| match &mut seen.state {
                    ConnectionState::Disconnected { reason: known, .. } => {
                        let is_news = *known != reason;
                        *known = reason;
                        is_news
                    }
                    ConnectionState::Connected => {
                        seen.state = ConnectionState::Disconnected { since, reason };
                        true
                    }
                });
            }
        }
    }

    /// Asks for the kinds again and reads them from the start; `only_if_changed`: unless they are
    /// the same as before.
    async fn read_anew(&mut self, only_if_changed: bool) {
        let missing = self.copies.missing().await;
        let is_changed = self.sender.borrow().missing != missing;
        if is_changed || !only_if_changed {
            self.copies.start();
        }
        self.sender.send_if_modified(|seen| {
            let now = Seen { state: ConnectionState::Connected, missing };
            let is_news = *seen != now;
            *seen = now;
            is_news
        });
    }
}
