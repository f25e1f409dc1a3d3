//! A thousand watchers of one resource over TLS, beside a thousand readers of a trivial stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use capim::clock::Clock;
use capim::embed::ControlPlane;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::https::{COLLECTION, OBJECTS, fill, merge_patch};
use crate::measure::{self, CLIENT, SERVER, cpu_seconds_of, micros, resident_bytes, runtime};
use crate::transport::{Asked, Connection, Server};
use crate::trivial;

const WATCHERS: usize = 1_000;
/// Streams that a server gives one connection.
const STREAMS: usize = 100;
const WRITES: usize = 100;
/// Between two writes: longer than their deliveries take.
const PAUSE: Duration = Duration::from_millis(40);

/// Where the news come from.
enum Source {
    /// Patches of objects.
    Patches(Connection),
    /// Bytes that go to all readers as they are.
    Bytes(broadcast::Sender<Bytes>, Bytes),
}

pub fn run() {
    let (server, client) = (runtime(SERVER, 2), runtime(CLIENT, 1));
    let clock = client.block_on(async { Clock::wall() });
    let started = server.spawn(ControlPlane::start());
    let control_plane =
        client.block_on(started).expect("a task").expect("the control plane starts");
    let ours = Server::of_kubeconfig(&control_plane.kubeconfig());
    let answers = client.block_on(client.spawn(fill(ours.clone()))).expect("the store is filled");
    let revision = control_plane.server().store().revision();
    let path = format!("{COLLECTION}?watch=true&resourceVersion={revision}");
    let (events, event) = (answers.events.clone(), event(&answers.object));
    let theirs = client.block_on(server.spawn(trivial::serve(answers))).expect("a task");
    let work = {
        let clock = clock.clone();
        let patches = ours.clone();
        async move {
            let source = Source::Patches(patches.connect().await);
            measured("watch", clock, &ours, &path, source).await;
        }
    };
    client.block_on(client.spawn(work)).expect("every watcher sees every write");
    let work = async move {
        let source = Source::Bytes(events, event);
        measured("trivial stream", clock, &theirs, "/watch", source).await;
    };
    client.block_on(client.spawn(work)).expect("every reader sees all bytes");
    client.block_on(control_plane.stop());
    server.shutdown_background();
}

fn event(object: &Bytes) -> Bytes {
    let mut line = br#"{"type":"MODIFIED","object":"#.to_vec();
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}

async fn measured(name: &str, clock: Clock, server: &Server, path: &str, mut source: Source) {
    let before = resident_bytes();
    let sent: Arc<Vec<AtomicU64>> = Arc::new((0..WRITES).map(|_| AtomicU64::new(0)).collect());
    let mut watchers = JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..WATCHERS.div_ceil(STREAMS) {
        let connection = server.connect().await;
        for _ in 0..STREAMS {
            let body = connection.clone().open(&Asked::get(path)).await.into_body();
            watchers.spawn(watched(clock.clone(), body, sent.clone()));
        }
        connections.push(connection);
    }
    clock.sleep(Duration::from_secs(1)).await;
    let idle = resident_bytes();
    let cpu = cpu_seconds_of(SERVER);
    for (number, sent) in sent.iter().enumerate() {
        sent.store(nanoseconds(&clock), Ordering::Release);
        source.tell(number).await;
        clock.sleep(PAUSE).await;
    }
    let mut delays = Vec::with_capacity(WATCHERS * WRITES);
    while let Some(seen) = watchers.join_next().await {
        delays.extend(seen.expect("a watcher ends well"));
    }
    let cpu = cpu_seconds_of(SERVER) - cpu;
    assert_eq!(delays.len(), WATCHERS * WRITES);
    delays.sort_unstable();
    let percentile = |share: usize| delays[(delays.len() - 1) * share / 100] as f64 / 1e6;
    measure::print(&json!({
        "bench": format!("https {name} x{WATCHERS}"),
        "deliveries": delays.len(),
        "latency_ms_p50": measure::rounded(percentile(50)),
        "latency_ms_p99": measure::rounded(percentile(99)),
        "server_cpu_us_per_delivery": micros(cpu, delays.len()),
        "resident_bytes_per_idle_stream_with_client": ((idle - before) / WATCHERS as f64).round(),
    }));
}

impl Source {
    async fn tell(&mut self, number: usize) {
        match self {
            Self::Patches(connection) => {
                connection.send(&merge_patch(number % OBJECTS)).await;
            }
            Self::Bytes(events, event) => {
                events.send(event.clone()).expect("somebody listens");
            }
        }
    }
}

fn nanoseconds(clock: &Clock) -> u64 {
    u64::try_from(clock.elapsed().as_nanos()).expect("a short bench")
}

/// Reads lines until all are there; says how long each was on its way.
async fn watched(clock: Clock, mut body: Incoming, sent: Arc<Vec<AtomicU64>>) -> Vec<u64> {
    let mut delays = Vec::with_capacity(sent.len());
    while delays.len() < sent.len() {
        let frame = body.frame().await.expect("the stream goes on").expect("the stream is whole");
        let Some(data) = frame.data_ref() else { continue };
        for _ in data.iter().filter(|byte| **byte == b'\n') {
            let then = sent[delays.len()].load(Ordering::Acquire);
            delays.push(nanoseconds(&clock) - then);
        }
    }
    delays
}
