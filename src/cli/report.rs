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
    /// Starts watching and waits for the first full lists.
    pub(super) async fn start(client: Client, clock: Clock) -> Self {
        let manager = Manager::new(client, clock);
        let (clusters, machines) = (manager.informer::<Cluster>(), manager.informer::<Machine>());
        index_machines(&machines);
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { manager.run(stop).await }
        });
        clusters.synced().await;
        machines.synced().await;
        Self { clusters, machines, stop, task }
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

/// How often progress is shown.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until clusters are ready, and shows how many are.
///
/// # Errors
/// [`WaitError`]
pub(super) async fn wait(
    readiness: &Readiness,
    limit: Duration,
    clock: &Clock,
    progress: &mut Progress,
) -> Result<(), WaitError> {
    let waited = readiness.wait(limit);
    tokio::pin!(waited);
    loop {
        tokio::select! {
            outcome = &mut waited => return outcome,
            () = clock.sleep(LOOK) => {
                let (ready, total) = readiness.progress();
                progress.set(ready, total);
            }
        }
    }
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
