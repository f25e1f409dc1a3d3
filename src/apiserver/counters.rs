//! Counts of answered requests, for benchmarks and metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::store::ResourceKey;

/// Counts of one server since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Writes that changed the store.
    pub writes: u64,
    /// Accepted writes that changed nothing.
    pub noop_writes: u64,
    /// Writes refused with 409 Conflict.
    pub conflicts: u64,
    /// Answers by verb, resource (`machines.cluster.x-k8s.io`) and HTTP status code.
    pub requests: BTreeMap<(&'static str, String, u16), u64>,
}

/// One resource, verb and code.
type Series = (&'static str, u16, Arc<ResourceKey>);

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) writes: AtomicU64,
    pub(super) noop_writes: AtomicU64,
    pub(super) conflicts: AtomicU64,
    /// Touched once a request, for a map look-up.
    requests: Mutex<BTreeMap<Series, u64>>,
}

impl Counters {
    pub(super) fn answered(&self, verb: &'static str, resource: &Arc<ResourceKey>, code: u16) {
        *self.requests.lock().entry((verb, code, resource.clone())).or_default() += 1;
    }

    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        let mut requests = BTreeMap::new();
        for ((verb, code, resource), count) in &*self.requests.lock() {
            let resource = if resource.group.is_empty() {
                resource.plural.to_string()
            } else {
                format!("{}.{}", resource.plural, resource.group)
            };
            *requests.entry((*verb, resource, *code)).or_default() += count;
        }
        Counts {
            writes: self.writes.load(Ordering::Relaxed),
            noop_writes: self.noop_writes.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            requests,
        }
    }
}
