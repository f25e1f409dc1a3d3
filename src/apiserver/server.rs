//! One API server: its store, its resources, its life.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use http::{Request, Response};
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::admission::{Admission, AdmissionPlugins, ServiceRange};
use super::authentication::TokenKeys;
use super::authorization::Policy;
use super::bootstrap::{self, Made};
use super::clients::Clients;
use super::counters::{Counters, Counts};
use super::frames::{Frames, Shared};
use super::garbage::{Feed, GcReceiver};
use super::kubelets::SharedKubelets;
use super::profile::{Profile, Resource, ResourceSet};
use super::webhook::{Caller, ServiceUrls};
use crate::clock::Clock;
use crate::machinery::definition::ResourceDefinition;
use crate::metrics::Registry;
use crate::store::{Event, ResourceKey, Store};

/// Told of every write, while the writer waits: it must neither block nor write.
pub type OnCommit = Option<Arc<dyn Fn(&ResourceKey, &Event) + Send + Sync>>;

/// Options of one API server.
#[derive(Clone)]
pub struct Options {
    /// Source of object times.
    pub clock: Clock,
    /// Bytes of superseded objects kept for watches; older watchers get 410. At 5,000 writes a second
    /// the default is about a second, at a hundred it is a minute.
    pub history_bytes: usize,
    /// `gitVersion` of `/version`, e.g. `v1.36.2`.
    pub git_version: String,
    /// Where webhooks listen that are named by a Service, if not where its endpoints say.
    pub webhooks: ServiceUrls,
    /// Whether pods run as a service account of their namespace, which must exist. Only where
    /// accounts are published.
    pub service_account_admission: bool,
    /// Whether new nodes are tainted as not ready. Not where no controller removes the taint from
    /// nodes that come up ready at once.
    pub node_taint_admission: bool,
    /// The addresses that Services get.
    pub service_range: ServiceRange,
    /// Whether owners can only be named by who may delete the object, and may only block the
    /// deletion of what the sender may set finalizers of.
    pub owner_reference_enforcement: bool,
    /// Where pods run. Without, requests for logs and ports fail as if no kubelet answered.
    pub kubelets: SharedKubelets,
    /// Told of every write.
    pub on_commit: OnCommit,
    /// Which admission plug-ins are switched on or off.
    pub admission_plugins: AdmissionPlugins,
    /// Whether containers may be privileged (`--allow-privileged`).
    pub allow_privileged: bool,
}

impl Options {
    /// The options of a server that differs from others in nothing but its clock.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            history_bytes: 32 << 20,
            git_version: "v1.36.2".to_owned(),
            webhooks: ServiceUrls::default(),
            service_account_admission: false,
            node_taint_admission: true,
            service_range: ServiceRange::default(),
            owner_reference_enforcement: false,
            kubelets: None,
            on_commit: None,
            admission_plugins: AdmissionPlugins::default(),
            allow_privileged: true,
        }
    }
}

/// A Kubernetes API server without a transport. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    options: Options,
    /// What is served now. Replaced as a whole when resources are installed or removed; readers
    /// take the `Arc` and go on with it.
    resources: RwLock<Arc<ResourceSet>>,
    /// Rung after every change of `resources`, for watches of what is served no longer.
    resources_changed: Notify,
    /// Number of changes of `resources`: tells watches cheaply that they need not look.
    resources_changes: AtomicU64,
    garbage: Feed,
    counters: Counters,
    /// Who asks, if somebody wants to know: see [`ApiServer::tell_clients_apart`].
    clients: OnceLock<Clients>,
    /// Numbers of the process that `/metrics` shows beside the server's own.
    metrics: OnceLock<Registry>,
    /// How it is decided who may.
    access: Arc<Access>,
    /// Keys of the tokens that this server makes.
    token_keys: TokenKeys,
    /// Roles and bindings, compiled. Commits keep it up to date.
    policy: Policy,
    admission: Admission,
    /// Which objects of a fresh cluster were made.
    bootstrap: Made,
    /// Connections to webhooks, made by calls.
    webhooks: Caller,
    /// The newest watch events in protobuf.
    frames: Shared,
    /// Cancelled by [`ApiServer::shutdown`]; ends watches.
    stop: CancellationToken,
}

impl ApiServer {
    /// A server with its own empty store, and the usual rules of who may.
    pub fn new(profile: &Arc<Profile>, options: Options) -> Self {
        Self::with_access(profile, options, Access::shared_default())
    }

    /// A server with its own empty store, and rules of its own of who may.
    pub fn with_access(profile: &Arc<Profile>, options: Options, access: Arc<Access>) -> Self {
        let inner = Inner {
            store: Store::new(options.history_bytes),
            options,
            resources: RwLock::new(profile.resources()),
            resources_changed: Notify::new(),
            resources_changes: AtomicU64::new(0),
            garbage: Feed::default(),
            counters: Counters::default(),
            clients: OnceLock::new(),
            metrics: OnceLock::new(),
            access,
            token_keys: TokenKeys::default(),
            policy: Policy::default(),
            admission: Admission::default(),
            bootstrap: Made::default(),
            webhooks: Caller::default(),
            frames: Shared::default(),
            stop: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Answers one request. The [`Identity`] is read from the request's extensions.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        super::filters::handle(self, request).await
    }

    /// Ends all watches and the garbage collector's feed. Other requests are still answered.
    pub fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.garbage.close();
    }

    /// The objects.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// What the server was made with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// The resources that are served now.
    pub fn resources(&self) -> Arc<ResourceSet> {
        self.inner.resources.read().clone()
    }

    /// Serves more resources, or replaces those with the same group, version and plural name.
    pub fn install(&self, definitions: Vec<ResourceDefinition>) {
        self.replace_resources(|resources| resources.with(definitions));
    }

    /// Stops serving all versions of a resource. Its objects stay in the store.
    pub fn uninstall(&self, group: &str, plural: &str) {
        self.replace_resources(|resources| resources.without(group, plural));
    }

    /// Replaces all versions of a resource at one stroke.
    pub(crate) fn reinstall(
        &self,
        group: &str,
        plural: &str,
        definitions: Vec<ResourceDefinition>,
    ) {
        self.replace_resources(|resources| resources.without(group, plural).with(definitions));
    }

    /// Lets a resource be emptied only, because its definition is about to go.
    pub(crate) fn set_terminating(&self, group: &str, plural: &str) {
        self.replace_resources(|resources| resources.with_terminating(group, plural));
    }

    fn replace_resources(&self, change: impl FnOnce(&ResourceSet) -> ResourceSet) {
        let mut resources = self.inner.resources.write();
        *resources = Arc::new(change(&resources));
        self.inner.resources_changes.fetch_add(1, Ordering::Release);
        drop(resources);
        bootstrap::resources_changed(self);
        self.inner.resources_changed.notify_waiters();
    }

    /// How often what is served has changed.
    pub(crate) fn resources_changes(&self) -> u64 {
        self.inner.resources_changes.load(Ordering::Acquire)
    }

    /// Rung after every change of what is served.
    pub(crate) fn resources_changed(&self) -> &Notify {
        &self.inner.resources_changed
    }

    /// Deletions and owner changes from now on; an earlier subscription ends.
    pub fn subscribe_deletions(&self) -> GcReceiver {
        self.inner.garbage.subscribe()
    }

    /// How many requests were answered, and how.
    pub fn counts(&self) -> Counts {
        self.inner.counters.read()
    }

    /// Shows the numbers of a registry on `/metrics`, too; the first registry stays.
    pub fn publish(&self, metrics: &Registry) {
        let _ = self.inner.metrics.set(metrics.clone());
    }

    /// Counts the requests of each client from now on, and tells of them on `/debug/api_clients`.
    pub fn tell_clients_apart(&self) {
        self.inner.clients.get_or_init(Clients::default);
    }

    pub(super) fn clients(&self) -> Option<&Clients> {
        self.inner.clients.get()
    }

    pub(crate) fn metrics(&self) -> Option<&Registry> {
        self.inner.metrics.get()
    }

    pub(crate) fn resolve(
        &self,
        group: &str,
        version: &str,
        plural: &str,
    ) -> Option<Arc<Resource>> {
        self.inner.resources.read().resolve(group, version, plural)
    }

    pub(crate) fn garbage(&self) -> &Feed {
        &self.inner.garbage
    }

    /// The newest watch events in protobuf, for who watches in it.
    pub(super) fn frames(&self) -> Arc<Frames> {
        self.inner.frames.join(self.inner.options.history_bytes)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// How it is decided who may.
    pub(crate) fn access(&self) -> &Access {
        &self.inner.access
    }

    pub(crate) fn token_keys(&self) -> &TokenKeys {
        &self.inner.token_keys
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    pub(super) fn bootstrap(&self) -> &Made {
        &self.inner.bootstrap
    }

    pub(crate) fn webhooks(&self) -> &Caller {
        &self.inner.webhooks
    }

    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.inner.stop
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.options.clock
    }
}
