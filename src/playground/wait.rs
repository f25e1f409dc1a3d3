//! Waiting for clusters, by watching: no polling.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::api::core::{Cluster, Machine};
use crate::client::ObjectKey;
use crate::clock::Clock;
use crate::contract::conditions;
use crate::runtime::Informer;

/// Pause after a change before the clusters are looked at again, so that a burst of changes costs
/// one look.
const SETTLE: Duration = Duration::from_millis(20);

/// Time ran out.
#[derive(Debug, thiserror::Error)]
#[error("timed out after {limit:?}: {} of {total} clusters are not Available", waiting.len())]
pub struct WaitError {
    /// The limit.
    pub limit: Duration,
    /// Clusters that are not ready, with the reason.
    pub waiting: Vec<(String, String)>,
    /// All clusters.
    pub total: usize,
}

/// Tells whether every cluster is Available and all its machines are Running.
pub struct Readiness {
    clusters: Informer<Cluster>,
    machines: Informer<Machine>,
    clock: Clock,
    /// Clusters that must exist to be ready.
    expected: BTreeSet<ObjectKey>,
    /// Whether clusters beyond the expected ones do not matter.
    only_expected: bool,
}

impl Readiness {
    /// Looks at these informers; the one of machines must have been given to [`index_machines`].
    pub fn new(clusters: Informer<Cluster>, machines: Informer<Machine>, clock: Clock) -> Self {
        Self { clusters, machines, clock, expected: BTreeSet::new(), only_expected: false }
    }

    /// These clusters must exist to be ready: a cluster that was just created may not have
    /// reached the informer yet.
    #[must_use]
    pub fn expecting(mut self, clusters: impl IntoIterator<Item = ObjectKey>) -> Self {
        self.expected.extend(clusters);
        self
    }

    /// Looks only at these clusters, which must also exist to be ready.
    #[must_use]
    pub fn only(mut self, clusters: Vec<ObjectKey>) -> Self {
        self.only_expected = true;
        self.expecting(clusters)
    }

    /// Waits until every Cluster there is is Available and all its Machines are Running.
    ///
    /// # Errors
    /// [`WaitError`] after `limit`, naming what is missing.
    pub async fn wait(&self, limit: Duration) -> Result<(), WaitError> {
        let ready = self.clock.timeout(limit, self.wait_for_ever()).await;
        ready.map_err(|_| WaitError {
            limit,
            waiting: self.waiting(usize::MAX),
            total: self.total(),
        })
    }

    /// Waits until there is no Cluster.
    ///
    /// # Errors
    /// [`WaitError`] after `limit`.
    pub async fn wait_gone(&self, limit: Duration) -> Result<(), WaitError> {
        let mut version = self.clusters.version();
        let gone = self.clock.timeout(limit, async {
            while !self.selected().is_empty() && version.changed().await.is_ok() {}
        });
        gone.await.map_err(|_| {
            let left = self.selected();
            let name = |cluster: &Arc<Cluster>| {
                (ObjectKey::of(&**cluster).name, "is still there".to_owned())
            };
            WaitError { limit, waiting: left.iter().map(name).collect(), total: left.len() }
        })
    }

    /// How many clusters are ready, and of how many.
    pub fn progress(&self) -> (usize, usize) {
        let total = self.total();
        (total.saturating_sub(self.waiting(usize::MAX).len()), total)
    }

    async fn wait_for_ever(&self) {
        let (mut clusters, mut machines) = (self.clusters.version(), self.machines.version());
        while !self.waiting(1).is_empty() {
            tokio::select! {
                _ = clusters.changed() => {}
                _ = machines.changed() => {}
            }
            self.clock.sleep(SETTLE).await;
            clusters.mark_unchanged();
            machines.mark_unchanged();
        }
    }

    /// The first clusters, at most `limit`, that are not ready, each with the reason.
    fn waiting(&self, limit: usize) -> Vec<(String, String)> {
        let clusters = self.selected();
        let found: BTreeSet<ObjectKey> =
            clusters.iter().map(|cluster| ObjectKey::of(&**cluster)).collect();
        let absent = self.expected.iter().filter(|key| !found.contains(key));
        let absent = absent.map(|key| (key.name.clone(), "does not exist".to_owned()));
        let waits = clusters.iter().filter_map(|cluster| {
            let why = not_available(cluster).or_else(|| self.machine_not_running(cluster))?;
            Some((ObjectKey::of(&**cluster).name, why))
        });
        absent.chain(waits).take(limit).collect()
    }

    fn selected(&self) -> Vec<Arc<Cluster>> {
        let mut clusters = self.clusters.list();
        if self.only_expected {
            clusters.retain(|cluster| self.expected.contains(&ObjectKey::of(&**cluster)));
        }
        clusters
    }

    fn total(&self) -> usize {
        if self.only_expected { self.expected.len() } else { self.clusters.len() }
    }

    fn machine_not_running(&self, cluster: &Arc<Cluster>) -> Option<String> {
        let namespace = cluster.metadata.namespace.as_deref().unwrap_or_default();
        let name = cluster.metadata.name.as_deref().unwrap_or_default();
        let machines = self.machines.by_index(MACHINES_BY_CLUSTER, &format!("{namespace}/{name}"));
        machines.iter().find_map(|machine| {
            let phase = machine.status.as_ref().map_or("", |status| status.phase.as_str());
            (phase != "Running").then(|| {
                let name = machine.metadata.name.as_deref().unwrap_or_default();
                format!("machine {name} is {}", if phase.is_empty() { "Pending" } else { phase })
            })
        })
    }
}

/// Index of Machines by `namespace/cluster`.
const MACHINES_BY_CLUSTER: &str = "playground-cluster";

/// Registers the index that [`Readiness`] needs, before the informer starts.
pub fn index_machines(machines: &Informer<Machine>) {
    machines.add_index(MACHINES_BY_CLUSTER, |machine| {
        let namespace = machine.metadata.namespace.as_deref().unwrap_or_default();
        vec![format!("{namespace}/{}", machine.spec.cluster_name)]
    });
}

fn not_available(cluster: &Arc<Cluster>) -> Option<String> {
    let conditions = cluster.status.as_ref().map_or(&[][..], |status| status.conditions.as_slice());
    match conditions::get(conditions, "Available") {
        Some(condition) if condition.status == "True" => None,
        Some(condition) if condition.message.is_empty() => Some(condition.reason.clone()),
        Some(condition) => Some(condition.message.clone()),
        None => Some("not reconciled yet".to_owned()),
    }
}
