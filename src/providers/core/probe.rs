//! When each workload cluster was last seen to answer.
//! (CAPI v1.14: controllers/clustercache, health checking)
//!
//! Upstream probes on a timer; here `ClusterCache` knows at once whether a cluster answers, so this
//! only remembers the last good moment, for the grace periods and their messages.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::client::ObjectKey;

/// How long a Cluster's RemoteConnectionProbe outlives the connection.
pub(super) const CLUSTER_GRACE: Duration = Duration::from_secs(50);
/// How long a Machine's Node conditions outlive the connection.
pub(super) const MACHINE_GRACE: Duration = Duration::from_secs(300);

/// State of the connection to a workload cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// Whether it answers now.
    pub is_connected: bool,
    /// When it last answered; `None` if it never did.
    pub last_success: Option<Timestamp>,
}

impl Probe {
    /// Time since the connection was lost; zero while it answers, `None` if it never did.
    pub(super) fn down_for(self, now: Timestamp) -> Option<Duration> {
        if self.is_connected {
            return Some(Duration::ZERO);
        }
        self.last_success.map(|last| now.duration_since(last).unsigned_abs())
    }
}

/// Last good moments, by Cluster.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Written by every reconcile that asks, removed with the Cluster; never held across an await.
    last_success: Mutex<HashMap<ObjectKey, Timestamp>>,
}

impl Probes {
    /// Records what is seen now and answers the state.
    pub(super) fn observe(&self, cluster: &ObjectKey, is_connected: bool, now: Timestamp) -> Probe {
        let mut last_success = self.last_success.lock();
        if is_connected {
            last_success.insert(cluster.clone(), now);
        }
        Probe { is_connected, last_success: last_success.get(cluster).copied() }
    }

    /// Forgets a Cluster that is gone.
    pub(super) fn forget(&self, cluster: &ObjectKey) {
        self.last_success.lock().remove(cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_counts_from_its_last_success() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let probes = Probes::default();
        let key = ObjectKey::new("ns", "a");
        assert_eq!(probes.observe(&key, false, at(1)).down_for(at(1)), None);
        probes.observe(&key, true, at(10));
        let probe = probes.observe(&key, false, at(40));
        assert_eq!(probe.down_for(at(40)), Some(Duration::from_secs(30)));
        probes.forget(&key);
        assert_eq!(probes.observe(&key, false, at(50)).last_success, None);
    }
}
