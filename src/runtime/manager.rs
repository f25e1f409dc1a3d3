//! Starts informers, then controllers; stops them in the reverse order.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::controller::{Controller, Runtime};
use super::events::{self, EventRecorder};
use super::informer::{Informer, Progress, Source};
use super::kinds::Kinds;
use crate::client::{Client, Target};
use crate::clock::Clock;
use crate::metrics::Registry;

/// Owns the informers and controllers of one management API.
pub struct Manager {
    client: Client,
    clock: Clock,
    metrics: Registry,
    kinds: Arc<Kinds>,
    events: events::Sink,
    /// Shared with [`DeferredInformer`]s, which do not keep it alive.
    state: Arc<Mutex<State>>,
    started: watch::Sender<bool>,
}

/// What has been made, and what of it runs.
struct State {
    /// `Informer<K>` by resource and `K`.
    informers: HashMap<InformerId, Box<dyn Any + Send + Sync>>,
    /// Informers that wait for `run`.
    waiting: Vec<Start>,
    /// Controllers that wait for `run`.
    controllers: Vec<Controller>,
    worker: Option<events::Worker>,
    /// Informers that run; `None` before `run` and after its end.
    running: Option<Running>,
}

/// Resource, in the version that is read, and the type that it is read as.
type InformerId = (String, TypeId);

/// Starts an informer: spawns its task.
type Start = Box<dyn FnOnce(&mut Running) + Send>;

struct Running {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    progress: Vec<Arc<Progress>>,
}

/// How long tasks without unfinished business may take to end.
const END_MAX: Duration = Duration::from_secs(5);

impl Manager {
    /// A manager that reads through `client`.
    pub fn new(client: Client, clock: Clock) -> Self {
        Self::with_metrics(client, clock, Registry::default())
    }

    /// A manager that counts in a registry of others.
    pub fn with_metrics(client: Client, clock: Clock, metrics: Registry) -> Self {
        let (events, worker) = events::channel(clock.clone(), &metrics);
        let state = State {
            informers: HashMap::new(),
            waiting: Vec::new(),
            controllers: Vec::new(),
            worker: Some(worker),
            running: None,
        };
        Self {
            client,
            clock,
            metrics,
            kinds: Arc::default(),
            events,
            state: Arc::new(Mutex::new(state)),
            started: watch::Sender::new(false),
        }
    }

    /// The manager's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The manager's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where the manager's parts count.
    pub fn metrics(&self) -> &Registry {
        &self.metrics
    }

    /// The one informer of a kind; made on first use.
    pub fn informer<K>(&self) -> Informer<K>
    where
        K: kube::Resource<DynamicType = ()>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug
            + Send
            + Sync
            + 'static,
    {
        self.informer_of(Target::of::<K>(&()))
    }

    /// The one informer of a kind that is known only at run time, seen through the lens `K`;
    /// may be asked for while the manager runs (started on the spot).
    pub fn dynamic_informer<K>(&self, resource: &kube::core::ApiResource) -> Informer<K>
    where
        K: kube::Resource<DynamicType = kube::core::ApiResource>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug
            + Send
            + Sync
            + 'static,
    {
        self.informer_of(Target::from_resource(resource))
    }

    /// The one informer of a kind, not made before somebody needs it: for copies that most users
    /// never pay for.
    pub fn deferred_informer<K>(&self) -> DeferredInformer<K>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static,
    {
        DeferredInformer {
            state: Arc::downgrade(&self.state),
            reader: self.reader(),
            made: OnceLock::new(),
        }
    }

    fn informer_of<K>(&self, target: Target<'_>) -> Informer<K>
    where
        K: kube::Resource + DeserializeOwned + Send + Sync + 'static,
    {
        self.reader().informer(&self.state, target)
    }

    fn reader(&self) -> Reader {
        let (client, clock) = (self.client.clone(), self.clock.clone());
        Reader { client, clock, kinds: self.kinds.clone() }
    }

    /// Records events as `component`.
    pub fn recorder(&self, component: &'static str) -> EventRecorder {
        self.events.recorder(component)
    }

    /// Adds a controller before `run`.
    pub fn add(&self, controller: Controller) {
        self.state.lock().controllers.push(controller);
    }

    /// Runs until `stop` is cancelled: informers first, controllers when these are synced; on stop
    /// controllers finish the keys in hand, then informers end. A manager runs once.
    pub async fn run(&self, stop: CancellationToken) {
        let progress = self.start_informers();
        let (events_stop, mut worker) = self.start_events();
        let synced = join_all(progress.iter().map(|progress| progress.synced()));
        if stop.run_until_cancelled(synced).await.is_some() {
            let mut controllers = self.start_controllers(&stop);
            self.started.send_replace(true);
            stop.cancelled().await;
            // Each controller bounds its own end.
            while controllers.join_next().await.is_some() {}
        }
        events_stop.cancel();
        self.end(&mut worker, "event recorder").await;
        let running = self.state.lock().running.take();
        if let Some(mut running) = running {
            running.stop.cancel();
            self.end(&mut running.tasks, "informers").await;
        }
    }

    /// Waits until every informer made before `run` is synced and the controllers have started.
    pub async fn started(&self) {
        // The sender lives as long as `self`.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    fn start_informers(&self) -> Vec<Arc<Progress>> {
        let mut state = self.state.lock();
        let mut running =
            Running { tasks: JoinSet::new(), stop: CancellationToken::new(), progress: Vec::new() };
        for start in state.waiting.drain(..) {
            start(&mut running);
        }
        let progress = std::mem::take(&mut running.progress);
        state.running = Some(running);
        progress
    }

    fn start_events(&self) -> (CancellationToken, JoinSet<()>) {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        if let Some(worker) = self.state.lock().worker.take() {
            tasks.spawn(worker.run(self.client.clone(), stop.clone()));
        }
        (stop, tasks)
    }

    fn start_controllers(&self, stop: &CancellationToken) -> JoinSet<()> {
        let runtime = Runtime {
            clock: self.clock.clone(),
            kinds: self.kinds.clone(),
            metrics: self.metrics.clone(),
        };
        let mut tasks = JoinSet::new();
        for controller in std::mem::take(&mut self.state.lock().controllers) {
            tasks.spawn(controller.run(runtime.clone(), stop.clone()));
        }
        tasks
    }

    /// Joins tasks that have been told to end; those that do not are dropped.
    async fn end(&self, tasks: &mut JoinSet<()>, what: &'static str) {
        let joined = async { while tasks.join_next().await.is_some() {} };
        if self.clock.timeout(END_MAX, joined).await.is_err() {
            warn!(what, "did not end in time");
        }
    }
}

/// What every informer of a manager is made with.
struct Reader {
    client: Client,
    clock: Clock,
    kinds: Arc<Kinds>,
}

impl Reader {
    /// The one informer of a kind; made, and started if others run, on first use.
    fn informer<K>(&self, state: &Mutex<State>, target: Target<'_>) -> Informer<K>
    where
        K: kube::Resource + DeserializeOwned + Send + Sync + 'static,
    {
        let id = (target.collection_path(""), TypeId::of::<K>());
        let mut state = state.lock();
        if let Some(known) = state.informers.get(&id) {
            let informer = known.downcast_ref::<Informer<K>>();
            return informer.expect("an informer is kept under the id of its type").clone();
        }
        let source = Source {
            target: target.clone().into_owned(),
            namespace: "".into(),
            label_selector: "",
        };
        let informer = Informer::<K>::new(source);
        self.kinds.add(&target.group, &target.kind, informer.progress());
        state.informers.insert(id, Box::new(informer.clone()));
        let (started, client, clock) = (informer.clone(), self.client.clone(), self.clock.clone());
        let start = move |running: &mut Running| {
            running.progress.push(started.progress().clone());
            running.tasks.spawn(started.run(client, clock, running.stop.clone()));
        };
        match &mut state.running {
            Some(running) => start(running),
            None => state.waiting.push(Box::new(start)),
        }
        informer
    }
}

/// An informer that may never be needed; see [`Manager::deferred_informer`].
pub struct DeferredInformer<K> {
    /// The manager's; it outlives no manager.
    state: Weak<Mutex<State>>,
    reader: Reader,
    /// Set by the first call of [`Self::get`].
    made: OnceLock<Option<Informer<K>>>,
}

impl<K> DeferredInformer<K>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static,
{
    /// The informer; the first call starts it and tells `begin`. `None` if the manager is gone.
    pub fn get(&self, begin: impl FnOnce(&Informer<K>)) -> Option<&Informer<K>> {
        let make = || {
            let state = self.state.upgrade()?;
            let informer = self.reader.informer(&state, Target::of::<K>(&()));
            begin(&informer);
            Some(informer)
        };
        self.made.get_or_init(make).as_ref()
    }
}

#[cfg(test)]
mod tests;
