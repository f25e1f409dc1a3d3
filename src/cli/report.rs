//! Watching clusters from a command, and telling why waiting failed.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::error::{CliError, Exit};
use super::progress::Progress;
use crate::api::core::{Cluster, Machine};
use crate::client::Client;
use crate::clock::Clock;
use crate::playground::{Readiness, WaitError, index_machines};
use crate::runtime::{Informer, Manager};

/// Clusters named in a timeout error.
const CLUSTERS_SHOWN: usize = 10;

/// Live copies of clusters and machines of a running playground.
pub(super) struct WatchedClusters {
    clusters: Informer<Cluster>,
    machines: Informer<Machine>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl WatchedClusters {
    /// Starts watching and waits for the first full lists, all within a deadline.
    ///
    /// # Errors
    /// `E041`
    pub(super) async fn start(
        client: Client,
        clock: Clock,
        deadline: &Deadline,
    ) -> Result<Self, CliError> {
        let manager = Manager::new(client, clock.clone());
        let (clusters, machines) = (manager.informer::<Cluster>(), manager.informer::<Machine>());
        index_machines(&machines);
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { manager.run(stop).await }
        });
        let watched = Self { clusters, machines, stop, task };
        let synced = async {
            watched.clusters.synced().await;
            watched.machines.synced().await;
        };
        if clock.timeout(deadline.left(), synced).await.is_err() {
            watched.stop().await;
            let message = format!("timed out after {:?}", deadline.limit());
            return Err(CliError::new("E041", Exit::Timeout, message)
                .note("clusters and machines of all namespaces could not be listed until then")
                .hint("kubectl auth can-i list clusters.cluster.x-k8s.io -A"));
        }
        Ok(watched)
    }

    pub(super) fn clusters(&self) -> Informer<Cluster> {
        self.clusters.clone()
    }

    pub(super) fn machines(&self) -> Informer<Machine> {
        self.machines.clone()
    }

    /// Stops watching.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// A point in time until which something is waited for, in all its steps.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    clock: Clock,
    limit: Duration,
    end: Duration,
}

impl Deadline {
    /// So long from now on.
    pub(super) fn after(limit: Duration, clock: Clock) -> Self {
        let end = clock.elapsed().saturating_add(limit);
        Self { clock, limit, end }
    }

    /// What it was in the beginning.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_sub(self.clock.elapsed())
    }
}

/// Waits until all clusters of a running playground are ready, and shows how many are.
///
/// # Errors
/// `E041`
pub(super) async fn wait_for_all(client: Client, limit: Duration) -> Result<(), CliError> {
    let clock = Clock::wall();
    let deadline = Deadline::after(limit, clock.clone());
    let watched = WatchedClusters::start(client, clock.clone(), &deadline).await?;
    let readiness = Readiness::new(watched.clusters(), watched.machines(), clock.clone());
    let mut progress = Progress::new("ready", clock);
    let waited = wait(&readiness, &deadline, &mut progress).await;
    drop(progress);
    watched.stop().await;
    waited.map_err(|error| timed_out(&error))
}

/// How often progress is shown.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until clusters are ready, and shows how many are.
///
/// # Errors
/// [`WaitError`]
pub(super) async fn wait(
    readiness: &Readiness,
    deadline: &Deadline,
    progress: &mut Progress,
) -> Result<(), WaitError> {
    let waited = async {
        let waited = readiness.wait(deadline.left()).await;
        waited.map_err(|error| WaitError { limit: deadline.limit(), ..error })
    };
    tokio::pin!(waited);
    if !progress.is_shown() {
        return waited.await;
    }
    loop {
        tokio::select! {
            outcome = &mut waited => return outcome,
            () = deadline.clock.sleep(LOOK) => {
                let (ready, total) = readiness.progress();
                progress.set(ready, total);
            }
        }
    }
}

/// Clusters that did not go in time.
pub(super) fn still_there(error: &WaitError, deadline: &Deadline) -> CliError {
    let (limit, total) = (deadline.limit(), error.total);
    let what = if total == 1 { "a cluster is".to_owned() } else { format!("{total} clusters are") };
    let message = format!("timed out after {limit:?}: {what} still there");
    CliError { message, ..timed_out(error) }
}

/// A timeout as the user sees it.
pub(super) fn timed_out(error: &WaitError) -> CliError {
    let mut shown = CliError::new("E041", Exit::Timeout, error.to_string());
    for (cluster, why) in error.waiting.iter().take(CLUSTERS_SHOWN) {
        let why = why.lines().next().unwrap_or_default();
        shown = shown.note(format!("{cluster}   {why}"));
    }
    if error.waiting.len() > CLUSTERS_SHOWN {
        shown = shown.note(format!("and {} more", error.waiting.len() - CLUSTERS_SHOWN));
    }
    shown.hint("capim get clusters -A").hint("--timeout 10m                waits longer")
}
