//! Requests over TLS and HTTP/2, beside those to a trivial handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use capim::clock::Clock;
use capim::embed::ControlPlane;
use http::Method;
use serde_json::json;

use crate::measure::{self, CLIENT, SERVER, cpu_seconds_of, micros, rounded, runtime};
use crate::transport::{Asked, Connection, Server};
use crate::trivial::{self, Answers};

/// Objects in the store.
pub const OBJECTS: usize = 1_000;
/// Payload of an object, about a Machine's size.
pub const PAYLOAD_BYTES: usize = 4_000;
pub const COLLECTION: &str = "/api/v1/namespaces/default/configmaps";

/// What is asked, the `number`th time.
type Ask = fn(number: usize) -> Asked;

struct Case {
    name: &'static str,
    requests: usize,
    ask: Ask,
    /// Where the trivial handler answers the same.
    trivial: &'static str,
}

const CASES: [Case; 4] = [
    Case { name: "get", requests: 10_000, ask: |n| Asked::get(path(n)), trivial: "/object" },
    Case { name: "list 1000", requests: 60, ask: |_| Asked::get(COLLECTION), trivial: "/list" },
    Case { name: "merge patch", requests: 5_000, ask: merge_patch, trivial: "/object" },
    Case { name: "apply", requests: 5_000, ask: apply, trivial: "/object" },
];

/// How long work took, and what it cost the server.
struct Cost {
    wall: f64,
    server_cpu: f64,
}

pub fn run() {
    let (server, client) = (runtime(SERVER, 2), runtime(CLIENT, 1));
    let clock = client.block_on(async { Clock::wall() });
    let started = server.spawn(ControlPlane::start());
    let control_plane =
        client.block_on(started).expect("a task").expect("the control plane starts");
    let ours = Server::of_kubeconfig(&control_plane.kubeconfig());
    let filled = client.spawn(fill(ours.clone()));
    let answers = client.block_on(filled).expect("the store takes objects");
    let theirs = client.block_on(server.spawn(trivial::serve(answers))).expect("a task");
    for streams in [1, 16] {
        for case in &CASES {
            let mut costs = Vec::new();
            for (server, is_trivial) in [(&ours, false), (&theirs, true)] {
                let work = measured(clock.clone(), server.clone(), case.asked(is_trivial), streams);
                costs.push(client.block_on(client.spawn(work)).expect("all are answered"));
            }
            case.print(streams, &costs[0], &costs[1]);
        }
    }
    client.block_on(control_plane.stop());
    server.shutdown_background();
}

impl Case {
    /// All requests, in order.
    fn asked(&self, is_trivial: bool) -> Arc<Vec<Asked>> {
        let all = (0..self.requests).map(|number| {
            let mut asked = (self.ask)(number);
            if is_trivial {
                self.trivial.clone_into(&mut asked.path);
            }
            asked
        });
        Arc::new(all.collect())
    }

    fn print(&self, streams: usize, ours: &Cost, theirs: &Cost) {
        let rate = |cost: &Cost| (self.requests as f64 / cost.wall).round();
        let cpu = |cost: &Cost| micros(cost.server_cpu, self.requests);
        measure::print(&json!({
            "bench": format!("https {}", self.name),
            "streams": streams,
            "requests_per_second": rate(ours),
            "server_cpu_us": cpu(ours),
            "trivial_requests_per_second": rate(theirs),
            "trivial_server_cpu_us": cpu(theirs),
            "rate_ratio": rounded(rate(ours) / rate(theirs)),
            "cpu_ratio": rounded(ours.server_cpu / theirs.server_cpu),
        }));
    }
}

/// Sends all requests over one connection, some at once.
async fn measured(clock: Clock, server: Server, asked: Arc<Vec<Asked>>, streams: usize) -> Cost {
    let connection = server.connect().await;
    // The first requests find caches cold.
    sent(&connection, &Arc::new(asked[..asked.len() / 10].to_vec()), streams).await;
    let (wall, cpu) = (clock.elapsed(), cpu_seconds_of(SERVER));
    sent(&connection, &asked, streams).await;
    let wall = (clock.elapsed() - wall).as_secs_f64();
    Cost { wall, server_cpu: cpu_seconds_of(SERVER) - cpu }
}

async fn sent(connection: &Connection, asked: &Arc<Vec<Asked>>, streams: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..streams {
        let (mut connection, asked, next) = (connection.clone(), asked.clone(), next.clone());
        tasks.spawn(async move {
            while let Some(asked) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                assert!(connection.send(asked).await > PAYLOAD_BYTES);
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("every request is answered");
    }
}

/// Creates the objects; the answers are what a handler of the same size gives.
pub async fn fill(server: Server) -> Answers {
    let mut connection = server.connect().await;
    for number in 0..OBJECTS {
        let created = Asked {
            method: Method::POST,
            path: COLLECTION.to_owned(),
            content_type: "application/json",
            body: config_map(number, "0"),
        };
        connection.send(&created).await;
    }
    let object = connection.read(&Asked::get(path(0))).await;
    let list = connection.read(&Asked::get(COLLECTION)).await;
    Answers::new(object, list)
}

pub fn path(number: usize) -> String {
    format!("{COLLECTION}/bench-{:04}", number % OBJECTS)
}

fn config_map(number: usize, count: &str) -> Bytes {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": format!("bench-{:04}", number % OBJECTS), "namespace": "default"},
        "data": {"payload": "x".repeat(PAYLOAD_BYTES), "count": count},
    });
    object.to_string().into()
}

pub fn merge_patch(number: usize) -> Asked {
    Asked {
        method: Method::PATCH,
        path: path(number),
        content_type: "application/merge-patch+json",
        body: json!({"data": {"count": format!("patched-{}", unique())}}).to_string().into(),
    }
}

fn apply(number: usize) -> Asked {
    Asked {
        method: Method::PATCH,
        path: format!("{}?fieldManager=applier&force=true", path(number)),
        content_type: "application/apply-patch+yaml",
        body: config_map(number, &format!("applied-{}", unique())),
    }
}

/// A number that no request had before, so that every write changes something.
fn unique() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
