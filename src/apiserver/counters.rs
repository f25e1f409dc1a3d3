//! Counts of answered requests, for benchmarks, metrics and the limits of flow control.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::profile::Resource;
use super::request::RequestInfo;
use super::server::ApiServer;
use crate::store::ResourceKey;

/// Watches that one server serves at once; kube-apiserver has no such number, but asks each watch
/// for a share of its concurrency.
const WATCHES_MAX: usize = 10_000;

/// Upper bounds of the request durations that are told apart, in seconds.
/// (kubernetes 1.36: endpoints/metrics/metrics.go, requestLatencies)
pub(super) const DURATION_BOUNDS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];

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

/// What a request was for, as far as metrics tell requests apart: names of served resources and a
/// few constants, so that clients cannot make up new ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) verb: &'static str,
    pub(super) resource: Arc<ResourceKey>,
    pub(super) version: Arc<str>,
    pub(super) subresource: &'static str,
    /// `resource`, `namespace` or `cluster`.
    pub(super) scope: &'static str,
}

/// How long requests took.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    /// Requests up to each of [`DURATION_BOUNDS`] that are above the bound before it, and the rest.
    pub(super) buckets: [u64; DURATION_BOUNDS.len() + 1],
    pub(super) sum: f64,
}

/// One resource in one version.
type Watched = (Arc<ResourceKey>, Arc<str>);

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) writes: AtomicU64,
    pub(super) noop_writes: AtomicU64,
    pub(super) conflicts: AtomicU64,
    /// Requests that were refused for want of capacity.
    pub(super) dropped: AtomicU64,
    /// Requests that panicked.
    pub(super) panics: AtomicU64,
    /// Requests from outside that are being answered, watches apart.
    pub(super) reading: AtomicUsize,
    pub(super) writing: AtomicUsize,
    /// Touched once a request, for a map look-up.
    requests: Mutex<BTreeMap<(Subject, u16), u64>>,
    /// Touched once a request from outside.
    durations: Mutex<BTreeMap<Subject, Histogram>>,
    /// Touched at the begin and end of a watch.
    watches: Mutex<BTreeMap<Watched, usize>>,
    watching: AtomicUsize,
}

impl Subject {
    /// What a request for a served resource is for.
    pub(super) fn of(info: &RequestInfo, resource: &Resource) -> Self {
        let scope = match (info.name.is_empty(), info.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        };
        Self {
            verb: info.verb,
            resource: resource.key.clone(),
            version: resource.definition.version.clone(),
            subresource: known_subresource(&info.subresource),
            scope,
        }
    }
}

fn known_subresource(name: &str) -> &'static str {
    const KNOWN: [&str; 14] = [
        "",
        "status",
        "scale",
        "finalize",
        "approval",
        "token",
        "eviction",
        "binding",
        "log",
        "exec",
        "attach",
        "portforward",
        "proxy",
        "ephemeralcontainers",
    ];
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("other")
}

impl Counters {
    pub(super) fn answered(&self, info: &RequestInfo, resource: &Resource, code: u16) {
        let subject = Subject::of(info, resource);
        *self.requests.lock().entry((subject, code)).or_default() += 1;
    }

    pub(super) fn measured(&self, subject: Subject, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = DURATION_BOUNDS.partition_point(|bound| *bound < seconds);
        let mut durations = self.durations.lock();
        let histogram = durations.entry(subject).or_default();
        histogram.buckets[bucket] += 1;
        histogram.sum += seconds;
    }

    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        let mut requests = BTreeMap::new();
        for ((subject, code), count) in &*self.requests.lock() {
            let resource = &subject.resource;
            let resource = if resource.group.is_empty() {
                resource.plural.to_string()
            } else {
                format!("{}.{}", resource.plural, resource.group)
            };
            *requests.entry((subject.verb, resource, *code)).or_default() += count;
        }
        Counts {
            writes: self.writes.load(Ordering::Relaxed),
            noop_writes: self.noop_writes.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            requests,
        }
    }

    /// All answers, in a fixed order.
    pub(super) fn requests(&self) -> Vec<((Subject, u16), u64)> {
        self.requests.lock().iter().map(|(series, count)| (series.clone(), *count)).collect()
    }

    /// All durations, in a fixed order.
    pub(super) fn durations(&self) -> Vec<(Subject, Histogram)> {
        let durations = self.durations.lock();
        durations.iter().map(|(subject, histogram)| (subject.clone(), histogram.clone())).collect()
    }

    /// Watches that are open, by resource and version.
    pub(super) fn watches(&self) -> Vec<(Watched, usize)> {
        self.watches.lock().iter().map(|(watched, count)| (watched.clone(), *count)).collect()
    }
}

/// An open watch; counted until it is dropped.
pub(super) struct WatchGuard {
    server: ApiServer,
    watched: Watched,
}

impl WatchGuard {
    /// Counts a watch; `None` when the server has as many as it serves.
    pub(super) fn begin(server: &ApiServer, resource: &Resource) -> Option<Self> {
        let counters = server.counters();
        if counters.watching.fetch_add(1, Ordering::Relaxed) >= WATCHES_MAX {
            counters.watching.fetch_sub(1, Ordering::Relaxed);
            Counters::add(&counters.dropped);
            return None;
        }
        let watched = (resource.key.clone(), resource.definition.version.clone());
        *counters.watches.lock().entry(watched.clone()).or_default() += 1;
        Some(Self { server: server.clone(), watched })
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let counters = self.server.counters();
        counters.watching.fetch_sub(1, Ordering::Relaxed);
        let mut watches = counters.watches.lock();
        if let Some(count) = watches.get_mut(&self.watched) {
            *count -= 1;
            if *count == 0 {
                watches.remove(&self.watched);
            }
        }
    }
}
