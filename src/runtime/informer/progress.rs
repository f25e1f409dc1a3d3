//! How far a copy has come, in resourceVersions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The last resourceVersion that a copy contains, and who waits for a later one. Waiters are kept
/// in order of what they wait for, so that an event wakes only those that it concerns.
#[derive(Default)]
pub(crate) struct Progress {
    /// Written by the reflector.
    seen: AtomicU64,
    /// Set by the reflector after the first full list.
    synced: AtomicBool,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    /// (resourceVersion, arrival) -> to be woken. Version 0 waits for the first list.
    by_version: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    arrivals: u64,
}

/// Waiters after which those that gave up are looked for.
const PRUNE_FROM: usize = 256;

impl Progress {
    /// Whether `resource_version` is in the copy.
    pub(crate) fn has_seen(&self, resource_version: u64) -> bool {
        self.is_synced() && self.seen.load(Ordering::Acquire) >= resource_version
    }

    /// Whether the first full list is in the copy.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Waits until `resource_version` is in the copy.
    pub(crate) async fn wait_for(&self, resource_version: u64) {
        let woken = {
            let mut waiters = self.waiters.lock();
            // Under the lock, so that no advance can slip between the look and the wait.
            if self.has_seen(resource_version) {
                return;
            }
            let (sender, receiver) = oneshot::channel();
            waiters.insert(resource_version, sender);
            receiver
        };
        // The sender cannot go away before it has sent: `self` holds it.
        let _ = woken.await;
    }

    /// Waits for the first full list.
    pub(crate) async fn synced(&self) {
        self.wait_for(0).await;
    }

    /// A full list is in the copy.
    pub(super) fn listed(&self, resource_version: u64) {
        self.seen.store(resource_version, Ordering::Release);
        self.synced.store(true, Ordering::Release);
        self.wake(resource_version);
    }

    /// An event or bookmark is in the copy.
    pub(super) fn advance(&self, resource_version: u64) {
        self.seen.store(resource_version, Ordering::Release);
        self.wake(resource_version);
    }

    fn wake(&self, resource_version: u64) {
        let woken = {
            let mut waiters = self.waiters.lock();
            if waiters.by_version.is_empty() {
                return;
            }
            let later = waiters.by_version.split_off(&(resource_version.saturating_add(1), 0));
            std::mem::replace(&mut waiters.by_version, later)
        };
        for waiter in woken.into_values() {
            // A waiter that gave up is not missed.
            let _ = waiter.send(());
        }
    }
}

impl Waiters {
    fn insert(&mut self, resource_version: u64, waiter: oneshot::Sender<()>) {
        if self.by_version.len() >= PRUNE_FROM && self.arrivals.is_multiple_of(64) {
            self.by_version.retain(|_, waiter| !waiter.is_closed());
        }
        self.arrivals += 1;
        self.by_version.insert((resource_version, self.arrivals), waiter);
    }
}
