//! The loop that turns keys into reconciles.
//!
//! A key that has written is held back until the copies of what it wrote contain the writes, so
//! that no reconcile acts on a past that it has changed itself. (CAPI v1.14:
//! util/controller/consistency.go) A key that is held takes no place of the concurrency.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info_span, warn};

use super::informer::{Change, Informer, Progress};
use super::kinds::Kinds;
use super::queue::Queue;
use crate::client::{ClientError, ObjectKey, Written, recording};
use crate::clock::Clock;
use crate::metrics::{Counter, Gauge, Histogram, Registry};

/// A key whose retries have come this far apart has failed for more than a second.
const PERSISTENT: Duration = Duration::from_secs(1);

/// What a reconcile asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing until something changes.
    Done,
    /// Again after this (simulated) time, or earlier if something changes.
    RequeueAfter(Duration),
}

/// A failed reconcile; the key is retried with its own growing delay.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Anything else, already a message that names its object.
    #[error("{0}")]
    Other(String),
}

/// Brings one object closer to its desired state. Level-triggered and idempotent; reads from
/// informers, writes through the client.
pub trait Reconciler: Send + Sync + 'static {
    /// Reconciles one key. The object may be gone.
    fn reconcile(
        &self,
        key: &ObjectKey,
    ) -> impl Future<Output = Result<Outcome, ReconcileError>> + Send;
}

type Reconcile = Arc<
    dyn Fn(Arc<ObjectKey>) -> BoxFuture<'static, Result<Outcome, ReconcileError>> + Send + Sync,
>;

/// A controller under construction; hand it to [`super::Manager::add`].
pub struct Controller {
    name: &'static str,
    reconcile: Reconcile,
    concurrency: usize,
    queue: Arc<Queue>,
}

/// Keys that a controller reconciles at once unless it says otherwise.
const CONCURRENCY: usize = 16;
/// How long a key waits for the copies to contain what it wrote.
const HOLD_MAX: Duration = Duration::from_secs(10);
/// How long reconciles in hand may take to end when the controller stops.
const DRAIN_MAX: Duration = Duration::from_secs(30);

impl Controller {
    /// A controller with a name as upstream logs it (`machine`, `kubeadmcontrolplane`).
    pub fn new(name: &'static str, reconciler: Arc<impl Reconciler>) -> Self {
        let reconcile: Reconcile = Arc::new(move |key| {
            let reconciler = reconciler.clone();
            async move { reconciler.reconcile(&key).await }.boxed()
        });
        Self { name, reconcile, concurrency: CONCURRENCY, queue: Arc::default() }
    }

    /// At most this many keys at once (default 16).
    pub fn concurrency(self, keys: usize) -> Self {
        Self { concurrency: keys.max(1), ..self }
    }

    /// Reconciles an object of the informer when it changes (the controller's own kind).
    pub fn for_kind<K: kube::Resource + Send + Sync + 'static>(
        self,
        informer: &Informer<K>,
    ) -> Self {
        self.watches(informer, |change| vec![ObjectKey::of(change.object().as_ref())])
    }

    /// Reconciles what `map` names when an object of the informer changes. `map` sees the
    /// informer after the change.
    pub fn watches<K: kube::Resource + Send + Sync + 'static>(
        self,
        informer: &Informer<K>,
        map: impl Fn(&Change<K>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        let trigger = self.trigger();
        informer.on_change(move |change| {
            for key in map(change) {
                trigger.enqueue(key);
            }
        });
        self
    }

    /// The same, but what `map` names waits for `delay`, so that one reconcile shows the changes of
    /// all that time; if something else wants the key earlier, it has been served.
    pub fn watches_after<K: kube::Resource + Send + Sync + 'static>(
        self,
        delay: Duration,
        informer: &Informer<K>,
        clock: &Clock,
        map: impl Fn(&Change<K>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        let (queue, clock) = (self.queue.clone(), clock.clone());
        informer.on_change(move |change| {
            for key in map(change) {
                queue.add_at(Arc::new(key), clock.elapsed() + delay);
            }
        });
        self
    }

    /// The same for objects whose changes only show in a summary (counters, aggregated conditions):
    /// what `map` names waits until no other key of the controller does, so that under load one
    /// summary shows many changes. Without load it makes no difference.
    pub fn watches_in_passing<K: kube::Resource + Send + Sync + 'static>(
        self,
        informer: &Informer<K>,
        map: impl Fn(&Change<K>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        let queue = self.queue.clone();
        informer.on_change(move |change| {
            for key in map(change) {
                queue.add_spare(key);
            }
        });
        self
    }

    /// A handle that enqueues keys from elsewhere (`ClusterCache` changes, remote informers).
    pub fn trigger(&self) -> Trigger {
        Trigger { queue: self.queue.clone() }
    }

    /// Reconciles until `stop` is cancelled, then ends the keys in hand.
    pub(super) async fn run(self, runtime: Runtime, stop: CancellationToken) {
        let measures = Measures::new(&runtime.metrics, self.name);
        measures.most_workers.set(self.concurrency);
        self.queue.measure(&runtime.clock, measures.waiting.clone());
        let mut running = JoinSet::new();
        let mut held: FuturesUnordered<BoxFuture<'static, Arc<ObjectKey>>> =
            FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = running.join_next() => {
                    if let Some(run) = self.ended(ended, &runtime, &measures) {
                        self.hold(run, &runtime, &held);
                    }
                }
                Some(key) = held.next() => self.queue.done(&key),
                key = self.queue.next(&runtime.clock), if running.len() < self.concurrency => {
                    running.spawn(self.start(key, &runtime.clock));
                }
            }
            measures.active.set(running.len());
            measures.depth.set(self.queue.len());
            measures.adds.add(self.queue.added().saturating_sub(measures.adds.get()));
        }
        let drained = runtime
            .clock
            .timeout(DRAIN_MAX, async { while running.join_next().await.is_some() {} });
        if drained.await.is_err() {
            warn!(controller = self.name, left = running.len(), "reconciles did not end in time");
        }
        measures.active.set(0);
    }

    fn start(
        &self,
        key: Arc<ObjectKey>,
        clock: &Clock,
    ) -> impl Future<Output = Run> + Send + use<> {
        let span = info_span!("reconcile", controller = self.name, object = %key);
        let (reconcile, clock) = (self.reconcile.clone(), clock.clone());
        async move {
            let begun = clock.elapsed();
            // The reconciler keeps no state between runs that a panic could leave half done.
            let future = AssertUnwindSafe(async { reconcile(key.clone()).await }).catch_unwind();
            let (outcome, written) = recording(future).await;
            let took = clock.elapsed().saturating_sub(begun);
            Run { key, outcome: outcome.map_err(|panic| describe(&*panic)), written, took }
        }
        .instrument(span)
    }

    /// Counts, logs, and plans the next run of the key.
    fn ended(
        &self,
        ended: Result<Run, tokio::task::JoinError>,
        runtime: &Runtime,
        measures: &Measures,
    ) -> Option<Run> {
        let run = match ended {
            Ok(run) => run,
            // Panics are caught inside, and nobody aborts: only a runtime that goes down.
            Err(error) => {
                debug!(controller = self.name, %error, "reconcile task ended early");
                return None;
            }
        };
        let (key, now) = (&run.key, runtime.clock.elapsed());
        let name = self.name;
        measures.time.observe(run.took.as_secs_f64());
        measures.work.observe(run.took.as_secs_f64());
        match &run.outcome {
            Ok(Ok(Outcome::Done)) => {
                measures.success.inc();
                self.queue.succeeded(key);
            }
            Ok(Ok(Outcome::RequeueAfter(delay))) => {
                measures.requeue_after.inc();
                self.queue.succeeded(key);
                self.queue.add_at(key.clone(), now + *delay);
            }
            Ok(Err(error)) => {
                let delay = self.queue.failed(key);
                measures.retries.inc();
                let conflict =
                    matches!(error, ReconcileError::Client(error) if error.is_conflict());
                if conflict {
                    measures.conflict.inc();
                    debug!(controller = name, object = %key, ?delay, "conflict, trying again");
                } else {
                    measures.error.inc();
                    measures.errors.inc();
                    // What one of the first tries cures was a matter of order: objects that come
                    // with others are looked at before all of them are there.
                    if delay < PERSISTENT {
                        debug!(controller = name, object = %key, %error, ?delay, "reconcile failed");
                    } else {
                        error!(controller = name, object = %key, %error, ?delay, "reconcile failed");
                    }
                }
                self.queue.add_at(key.clone(), now + delay);
            }
            Err(panic) => {
                let delay = self.queue.failed(key);
                measures.retries.inc();
                measures.error.inc();
                measures.panics.inc();
                error!(controller = name, object = %key, %panic, ?delay, "reconcile panicked");
                self.queue.add_at(key.clone(), now + delay);
            }
        }
        Some(run)
    }

    /// Gives the key back, now or when the copies contain what it wrote.
    fn hold(
        &self,
        run: Run,
        runtime: &Runtime,
        held: &FuturesUnordered<BoxFuture<'static, Arc<ObjectKey>>>,
    ) {
        let unseen: Vec<(Arc<Progress>, u64)> =
            run.written.iter().flat_map(|written| runtime.kinds.unseen(written)).collect();
        if unseen.is_empty() {
            self.queue.done(&run.key);
            return;
        }
        let (clock, name, key) = (runtime.clock.clone(), self.name, run.key);
        held.push(
            async move {
                let seen = join_all(unseen.iter().map(|(copy, version)| copy.wait_for(*version)));
                if clock.timeout(HOLD_MAX, seen).await.is_err() {
                    warn!(controller = name, object = %key, "copies do not contain own writes yet");
                }
                key
            }
            .boxed(),
        );
    }
}

/// What the controllers of a manager share.
#[derive(Clone)]
pub(super) struct Runtime {
    pub(super) clock: Clock,
    pub(super) kinds: Arc<Kinds>,
    pub(super) metrics: Registry,
}

/// A reconcile that has ended.
struct Run {
    key: Arc<ObjectKey>,
    /// `Err` is the message of a panic.
    outcome: Result<Result<Outcome, ReconcileError>, String>,
    written: Vec<Written>,
    took: Duration,
}

/// Bounds of controller-runtime's reconcile times, in seconds.
/// (controller-runtime v0.23: pkg/internal/controller/metrics/metrics.go)
const RECONCILE_BOUNDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9,
    1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0,
    25.0, 30.0, 40.0, 50.0, 60.0,
];
/// Bounds of the work queue's times, in seconds. (controller-runtime v0.23: pkg/metrics/workqueue.go)
const WORK_BOUNDS: &[f64] =
    &[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0];

/// The numbers of a controller, under controller-runtime's names.
struct Measures {
    success: Counter,
    requeue_after: Counter,
    error: Counter,
    conflict: Counter,
    errors: Counter,
    panics: Counter,
    active: Gauge,
    most_workers: Gauge,
    depth: Gauge,
    adds: Counter,
    retries: Counter,
    time: Histogram,
    work: Histogram,
    waiting: Histogram,
}

impl Measures {
    fn new(metrics: &Registry, controller: &str) -> Self {
        let total = |result| {
            metrics.counter(
                "controller_runtime_reconcile_total",
                "Total number of reconciliations per controller",
                &[("controller", controller), ("result", result)],
            )
        };
        let own = [("controller", controller)];
        let queue = [("controller", controller), ("name", controller)];
        let queue_time = |name, help| metrics.histogram((name, help), &queue, WORK_BOUNDS);
        Self {
            success: total("success"),
            requeue_after: total("requeue_after"),
            error: total("error"),
            conflict: total("requeue"),
            errors: metrics.counter(
                "controller_runtime_reconcile_errors_total",
                "Total number of reconciliation errors per controller",
                &own,
            ),
            panics: metrics.counter(
                "controller_runtime_reconcile_panics_total",
                "Total number of reconciliation panics per controller",
                &own,
            ),
            active: metrics.gauge(
                "controller_runtime_active_workers",
                "Number of currently used workers per controller",
                &own,
            ),
            most_workers: metrics.gauge(
                "controller_runtime_max_concurrent_reconciles",
                "Maximum number of concurrent reconciles per controller",
                &own,
            ),
            depth: metrics.gauge("workqueue_depth", "Current depth of workqueue", &queue),
            adds: metrics.counter(
                "workqueue_adds_total",
                "Total number of adds handled by workqueue",
                &queue,
            ),
            retries: metrics.counter(
                "workqueue_retries_total",
                "Total number of retries handled by workqueue",
                &queue,
            ),
            time: metrics.histogram(
                (
                    "controller_runtime_reconcile_time_seconds",
                    "Length of time per reconciliation per controller",
                ),
                &own,
                RECONCILE_BOUNDS,
            ),
            work: queue_time(
                "workqueue_work_duration_seconds",
                "How long in seconds processing an item from workqueue takes.",
            ),
            waiting: queue_time(
                "workqueue_queue_duration_seconds",
                "How long in seconds an item stays in workqueue before being requested.",
            ),
        }
    }
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

/// Enqueues keys of one controller from outside its watches. Cheap to clone.
#[derive(Clone)]
pub struct Trigger {
    queue: Arc<Queue>,
}

impl Trigger {
    /// Enqueues a key now.
    pub fn enqueue(&self, key: ObjectKey) {
        self.queue.add(key);
    }
}

#[cfg(test)]
mod tests;
