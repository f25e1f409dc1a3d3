//! The numbers of one client: counters by verb and resource, a window for the rate, and a
//! histogram fine enough to read percentiles from.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::RwLock;

use super::report::{ClientErrors, ClientLatency, ClientRequests, VerbCounts};
use crate::machinery::printable::printable;
use crate::store::ResourceKey;

/// Verbs that are told apart; the last stands for all others.
const VERBS: [&str; 9] =
    ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "other"];
/// Full seconds that the rate is of.
const WINDOW: u64 = 10;
/// Places of seconds, the one that is counted in and more than the window.
const SECONDS: usize = 16;
/// Buckets of a power of two.
const PARTS: usize = 4;
/// From 1 µs to 2^37 µs, which is more than a day.
const BUCKETS: usize = 36 * PARTS;

/// Counts by verb.
type ByVerb = [AtomicU64; VERBS.len()];

/// One client.
pub(super) struct ClientCounts {
    program: String,
    user: String,
    is_in_process: bool,
    /// By resource. Written once a resource, read once a request.
    resources: RwLock<HashMap<Arc<ResourceKey>, ByVerb>>,
    /// What names no served resource.
    elsewhere: ByVerb,
    client_errors: AtomicU64,
    server_errors: AtomicU64,
    watches: AtomicUsize,
    /// Milliseconds of the server's clock.
    first_seen: AtomicU64,
    last_seen: AtomicU64,
    recent: Recent,
    latencies: Latencies,
}

impl ClientCounts {
    pub(super) fn new(program: &str, user: &str, is_in_process: bool) -> Self {
        Self {
            program: program.to_owned(),
            user: user.to_owned(),
            is_in_process,
            resources: RwLock::default(),
            elsewhere: ByVerb::default(),
            client_errors: AtomicU64::new(0),
            server_errors: AtomicU64::new(0),
            watches: AtomicUsize::new(0),
            first_seen: AtomicU64::new(u64::MAX),
            last_seen: AtomicU64::new(0),
            recent: Recent::default(),
            latencies: Latencies::default(),
        }
    }

    /// Counts a request.
    pub(super) fn count(&self, verb: &str, resource: Option<&Arc<ResourceKey>>, now: Duration) {
        let index = VERBS.iter().position(|known| *known == verb).unwrap_or(VERBS.len() - 1);
        match resource {
            None => add(&self.elsewhere[index]),
            Some(resource) => self.count_resource(index, resource),
        }
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.first_seen.fetch_min(millis, Ordering::Relaxed);
        self.last_seen.fetch_max(millis, Ordering::Relaxed);
        self.recent.count(now.as_secs());
    }

    fn count_resource(&self, verb: usize, resource: &Arc<ResourceKey>) {
        if let Some(counts) = self.resources.read().get(resource) {
            add(&counts[verb]);
            return;
        }
        // What is served bounds the map.
        add(&self.resources.write().entry(resource.clone()).or_default()[verb]);
    }

    /// Counts an answer; `took` is of those that have an end.
    pub(super) fn answered(&self, code: u16, took: Option<Duration>) {
        match code {
            400..500 => add(&self.client_errors),
            500.. => add(&self.server_errors),
            _ => {}
        }
        if let Some(took) = took {
            self.latencies.observe(took);
        }
    }

    pub(super) fn watch_begins(&self) {
        self.watches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn watch_ends(&self) {
        self.watches.fetch_sub(1, Ordering::Relaxed);
    }

    /// All requests.
    pub(super) fn total(&self) -> u64 {
        let resources = self.resources.read();
        resources.values().chain([&self.elsewhere]).flatten().map(get).sum()
    }

    /// What is told of it.
    pub(super) fn report(&self, now: Timestamp, elapsed: Duration) -> ClientRequests {
        let mut resources: Vec<VerbCounts> = self
            .resources
            .read()
            .iter()
            .map(|(key, counts)| VerbCounts::of(&key.group, &key.plural, &told(counts)))
            .chain([VerbCounts::of("", "", &told(&self.elsewhere))])
            .filter(|counts| counts.total() > 0)
            .collect();
        let place = |counts: &VerbCounts| (counts.resource.clone(), counts.group.clone());
        resources.sort_by_key(place);
        let age = |millis: &AtomicU64| {
            let then = Duration::from_millis(millis.load(Ordering::Relaxed));
            now - elapsed.saturating_sub(then)
        };
        ClientRequests::new(ClientRequests {
            metadata: Default::default(),
            program: printable(&self.program),
            user: printable(&self.user),
            in_process: self.is_in_process,
            requests: resources.iter().map(VerbCounts::total).sum(),
            requests_per_second: self.recent.rate(elapsed),
            errors: ClientErrors {
                client: get(&self.client_errors),
                server: get(&self.server_errors),
            },
            open_watches: self.watches.load(Ordering::Relaxed),
            latency: ClientLatency {
                p50_seconds: self.latencies.quantile(0.5),
                p99_seconds: self.latencies.quantile(0.99),
            },
            first_seen: age(&self.first_seen),
            last_seen: age(&self.last_seen),
            resources,
        })
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn told(counts: &ByVerb) -> Vec<(&'static str, u64)> {
    VERBS.into_iter().zip(counts.iter().map(get)).collect()
}

/// Requests of the last seconds: a ring of places, each the second it is of and a count.
#[derive(Default)]
struct Recent([AtomicU64; SECONDS]);

/// Low bits of a place hold the count, high bits the second.
const COUNT_BITS: u32 = 24;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

impl Recent {
    fn count(&self, second: u64) {
        let place = &self.0[second as usize % SECONDS];
        // The closure always answers, so it cannot fail.
        let _ = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            let count = if held >> COUNT_BITS == second { held & COUNT_MAX } else { 0 };
            Some(second << COUNT_BITS | (count + 1).min(COUNT_MAX))
        });
    }

    /// Requests a second in the last full seconds.
    fn rate(&self, elapsed: Duration) -> f64 {
        let now = elapsed.as_secs();
        let window = now.saturating_sub(WINDOW)..now;
        let counted: u64 = self
            .0
            .iter()
            .map(get)
            .filter(|held| window.contains(&(held >> COUNT_BITS)))
            .map(|held| held & COUNT_MAX)
            .sum();
        counted as f64 / now.clamp(1, WINDOW) as f64
    }
}

/// How long answers took, in microseconds: four buckets a power of two.
struct Latencies([AtomicU64; BUCKETS]);

impl Default for Latencies {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Latencies {
    fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        add(&self.0[bucket(micros)]);
    }

    /// The middle of the bucket that so much of all answers reaches, in seconds.
    fn quantile(&self, part: f64) -> Option<f64> {
        let counts: Vec<u64> = self.0.iter().map(get).collect();
        let total: u64 = counts.iter().sum();
        let wanted = ((total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let found = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        let (from, to) = (bound(found), bound(found + 1));
        Some((from + to) as f64 / 2.0 / 1e6)
    }
}

/// The bucket of a number of microseconds.
fn bucket(micros: u64) -> usize {
    if micros < PARTS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    let part = (micros >> (power - 2)) as usize % PARTS;
    ((power - 1) * PARTS + part).min(BUCKETS - 1)
}

/// The least number of microseconds of a bucket.
fn bound(bucket: usize) -> u64 {
    if bucket < PARTS {
        return bucket as u64;
    }
    let (power, part) = (bucket / PARTS + 1, bucket % PARTS);
    ((PARTS + part) as u64) << (power - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for micros in (0..5_000).chain([1 << 20, (1 << 36) + 12_345]) {
            let it = bucket(micros);
            assert!(bound(it) <= micros && micros < bound(it + 1), "{micros} in {it}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_what_was_observed() {
        let latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        for _ in 0..99 {
            latencies.observe(Duration::from_micros(100));
        }
        latencies.observe(Duration::from_secs(2));
        let near = |part, expected: f64| {
            let found = latencies.quantile(part).unwrap();
            assert!((found / expected - 1.0).abs() < 0.15, "{part}: {found}");
        };
        near(0.5, 100e-6);
        near(0.99, 100e-6);
        near(1.0, 2.0);
    }

    #[test]
    fn the_rate_is_of_the_last_ten_seconds() {
        let client = ClientCounts::new("x", "y", false);
        for second in 0..30 {
            for _ in 0..3 {
                client.count("get", None, Duration::from_secs(second));
            }
        }
        let rate = |second| client.recent.rate(Duration::from_secs(second));
        assert!((rate(30) - 3.0).abs() < 1e-9);
        assert!((rate(35) - 1.5).abs() < 1e-9);
        assert!(rate(40).abs() < 1e-9);
    }

    #[test]
    fn counts_are_told_by_resource_and_verb() {
        let client = ClientCounts::new("x\u{202e}", "y", true);
        let pods = Arc::new(ResourceKey { group: "".into(), plural: "pods".into() });
        for verb in ["get", "get", "list", "frobnicate"] {
            client.count(verb, Some(&pods), Duration::from_secs(5));
        }
        client.count("get", None, Duration::from_secs(7));
        client.answered(404, Some(Duration::from_millis(1)));
        client.answered(503, None);
        client.watch_begins();
        let now = Timestamp::from_second(1_000).unwrap();
        let told = client.report(now, Duration::from_secs(10));
        assert_eq!((told.requests, client.total(), told.open_watches), (5, 5, 1));
        assert_eq!((told.errors.client, told.errors.server), (1, 1));
        assert_eq!(told.program, "x\u{fffd}");
        assert_eq!(told.last_seen, Timestamp::from_second(997).unwrap());
        assert_eq!(told.first_seen, Timestamp::from_second(995).unwrap());
        let pods = &told.resources[1];
        assert_eq!((&*pods.resource, pods.verbs["get"], pods.verbs["other"]), ("pods", 2, 1));
        assert_eq!(told.resources[0].verbs["get"], 1, "outside of resources");
        assert!(!pods.verbs.contains_key("watch"), "nothing is told of what was not asked");
    }
}
