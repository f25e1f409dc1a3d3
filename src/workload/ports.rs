//! The ports of the workload API servers: taken by binding, given back with a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long a port that was given back stays unused, so that a client of the cluster that had it
/// does not meet another cluster at once.
pub(super) const QUARANTINE: Duration = Duration::from_secs(60);

/// Hands out ports of a range, round robin. A port belongs to whoever holds the socket bound to
/// it: one that another process has is skipped.
#[derive(Debug)]
pub(super) struct PortPool {
    range: RangeInclusive<u16>,
    /// Where the next search starts.
    cursor: u16,
    /// Ports of living clusters.
    taken: BTreeSet<u16>,
    /// Ports given back, and the clock's `elapsed` at which they may be used again.
    quarantined: BTreeMap<u16, Duration>,
}

/// Why no port was handed out.
#[derive(Debug, thiserror::Error)]
pub(super) enum PortError {
    /// All ports of the range are taken, quarantined or used by other processes.
    #[error(
        "no free port in {first}-{last}: {taken} belong to clusters, {quarantined} were given back \
         less than {} seconds ago, {foreign} are used by other processes",
        QUARANTINE.as_secs()
    )]
    Exhausted {
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
        /// Ports of living clusters.
        taken: usize,
        /// Ports in quarantine.
        quarantined: usize,
        /// Ports that could not be bound.
        foreign: usize,
    },
    /// The port that was asked for belongs to another cluster.
    #[error("port {0} belongs to another cluster")]
    Taken(u16),
    /// The socket could not be bound for another reason than the port.
    #[error("failed to bind port {port}: {source}")]
    Bind {
        /// Port tried.
        port: u16,
        /// Cause.
        source: io::Error,
    },
}

impl PortPool {
    /// A pool with all ports of the range free.
    pub(super) fn new(range: RangeInclusive<u16>) -> Self {
        Self { cursor: *range.start(), range, taken: BTreeSet::new(), quarantined: BTreeMap::new() }
    }

    /// Takes the next port that `bind` accepts. `now` is the clock's `elapsed`.
    pub(super) fn take<L>(
        &mut self,
        now: Duration,
        mut bind: impl FnMut(u16) -> io::Result<L>,
    ) -> Result<(u16, L), PortError> {
        self.quarantined.retain(|_, until| *until > now);
        let (first, last) = (*self.range.start(), *self.range.end());
        let mut foreign = 0;
        for port in (self.cursor..=last).chain(first..self.cursor) {
            if self.taken.contains(&port) || self.quarantined.contains_key(&port) {
                continue;
            }
            match bind(port) {
                Ok(listener) => {
                    self.taken.insert(port);
                    self.cursor = if port == last { first } else { port + 1 };
                    return Ok((port, listener));
                }
                Err(error) if is_occupied(&error) => foreign += 1,
                Err(source) => return Err(PortError::Bind { port, source }),
            }
        }
        let (taken, quarantined) = (self.taken.len(), self.quarantined.len());
        Err(PortError::Exhausted { first, last, taken, quarantined, foreign })
    }

    /// Takes a given port, inside or outside the range: that of a cluster which had it before a
    /// restart. The quarantine does not apply.
    pub(super) fn take_exact<L>(
        &mut self,
        port: u16,
        bind: impl FnOnce(u16) -> io::Result<L>,
    ) -> Result<L, PortError> {
        if self.taken.contains(&port) {
            return Err(PortError::Taken(port));
        }
        let listener = bind(port).map_err(|source| PortError::Bind { port, source })?;
        self.quarantined.remove(&port);
        self.taken.insert(port);
        Ok(listener)
    }

    /// Gives a port back. `now` is the clock's `elapsed`.
    pub(super) fn release(&mut self, port: u16, now: Duration) {
        if self.taken.remove(&port) {
            self.quarantined.insert(port, now + QUARANTINE);
        }
    }
}

/// Whether binding failed because of this very port.
fn is_occupied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pool: &mut PortPool, seconds: u64, occupied: &[u16]) -> Result<u16, PortError> {
        let now = Duration::from_secs(seconds);
        pool.take(now, |port| {
            if occupied.contains(&port) { Err(io::ErrorKind::AddrInUse.into()) } else { Ok(()) }
        })
        .map(|(port, ())| port)
    }

    #[test]
    fn ports_are_handed_out_in_turn_and_occupied_ones_skipped() {
        let mut pool = PortPool::new(100..=104);
        assert_eq!(take(&mut pool, 0, &[100, 102]).ok(), Some(101));
        assert_eq!(take(&mut pool, 0, &[100, 102]).ok(), Some(103));
        assert_eq!(take(&mut pool, 0, &[]).ok(), Some(104));
        assert_eq!(take(&mut pool, 0, &[]).ok(), Some(100), "the search wraps around");
    }

    #[test]
    fn a_released_port_rests_for_a_minute() {
        let mut pool = PortPool::new(100..=100);
        assert_eq!(take(&mut pool, 0, &[]).ok(), Some(100));
        pool.release(100, Duration::from_secs(10));
        let refused = take(&mut pool, 69, &[]).expect_err("still resting");
        assert_eq!(
            refused.to_string(),
            "no free port in 100-100: 0 belong to clusters, 1 were given back less than 60 seconds \
             ago, 0 are used by other processes"
        );
        assert_eq!(take(&mut pool, 70, &[]).ok(), Some(100));
    }

    #[test]
    fn a_cluster_gets_its_port_back_after_a_restart_unless_another_has_it() {
        let mut pool = PortPool::new(100..=101);
        assert!(pool.take_exact(101, |_| Ok(())).is_ok());
        assert!(matches!(pool.take_exact(101, |_| Ok(())), Err(PortError::Taken(101))));
        assert_eq!(take(&mut pool, 0, &[]).ok(), Some(100));
        assert!(matches!(take(&mut pool, 0, &[]), Err(PortError::Exhausted { taken: 2, .. })));
    }

    #[test]
    fn lack_of_descriptors_is_not_taken_for_an_occupied_port() {
        let mut pool = PortPool::new(100..=101);
        let refused =
            pool.take(Duration::ZERO, |_| Err::<(), _>(io::ErrorKind::OutOfMemory.into()));
        assert!(matches!(refused, Err(PortError::Bind { port: 100, .. })));
    }

    #[test]
    fn a_hundred_thousand_clusters_live_on_a_hundred_ports() {
        let mut pool = PortPool::new(1000..=1099);
        for cycle in 0..100_000 {
            let port = take(&mut pool, cycle, &[]).expect("old ports are free again");
            pool.release(port, Duration::from_secs(cycle));
        }
    }
}
