//! Requests and watches through in-process clients, and requests through a `kube::Client` over TLS.

use std::time::Duration;

use capim::client::{Client, ObjectKey};
use capim::clock::Clock;
use capim::playground::{Config, Playground};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use crate::measure::{self, cpu_seconds, micros};

/// Objects in the store while requests are measured.
const OBJECTS: usize = 1_000;
/// Requests a measurement.
const REQUESTS: usize = 5_000;
/// Requests at once in the concurrent measurements.
const AT_ONCE: usize = 16;
/// Watchers of the fan-out, and writes that each of them sees.
const WATCHERS: usize = 100;
const WATCHED_WRITES: usize = 1_000;
/// Payload of an object, about a Machine's size.
const PAYLOAD_BYTES: usize = 4_000;

pub async fn run() {
    let directory = std::env::temp_dir().join(format!("capim-bench-{}", std::process::id()));
    let kubeconfig = directory.join("kubeconfig");
    let clock = Clock::wall();
    let config = Config { kubeconfig: Some(kubeconfig.clone()), ..Config::new(clock.clone()) };
    let playground = Playground::start(config).await.expect("the playground starts");
    let local = playground.client().clone();
    let remote =
        Client::from_kubeconfig_file(&kubeconfig, "bench").await.expect("the kubeconfig works");
    let bench = Bench { clock };
    bench.create(&local).await;
    for (name, client) in [("in_process", &local), ("tls", &remote)] {
        bench.requests(name, client, 1).await;
        bench.requests(name, client, AT_ONCE).await;
        bench.lists(name, client).await;
    }
    bench.fan_out(&local).await;
    playground.stop().await;
    let _ = std::fs::remove_dir_all(directory);
}

struct Bench {
    clock: Clock,
}

impl Bench {
    async fn measure<F: Future>(&self, name: String, operations: usize, work: F) -> F::Output {
        let (wall, cpu) = (self.clock.elapsed(), cpu_seconds());
        let output = work.await;
        measure::print(&json!({
            "bench": name,
            "operations": operations,
            "wall_us": micros((self.clock.elapsed() - wall).as_secs_f64(), operations),
            "cpu_us": micros(cpu_seconds() - cpu, operations),
        }));
        output
    }

    async fn create(&self, client: &Client) {
        let work = async {
            for number in 0..OBJECTS {
                let object = json!({
                    "metadata": {"name": name(number), "namespace": "default"},
                    "data": {"payload": "x".repeat(PAYLOAD_BYTES), "count": "0"},
                });
                let path = "/api/v1/namespaces/default/configmaps";
                client.create_json(path, &object).await.expect("the API accepts a ConfigMap");
            }
        };
        self.measure("in_process create".to_owned(), OBJECTS, work).await;
    }

    async fn requests(&self, transport: &str, client: &Client, at_once: usize) {
        let get = self.spread(at_once, |number| {
            let client = client.clone();
            async move {
                let found: Option<ConfigMap> =
                    client.get(&key(number % OBJECTS)).await.expect("GET works");
                assert!(found.is_some());
            }
        });
        self.measure(format!("{transport} get x{at_once}"), REQUESTS, get).await;
        let patch = self.spread(at_once, |number| {
            let client = client.clone();
            let value = format!("{transport}-{at_once}-{number}");
            async move {
                let patch = json!({"data": {"count": value}});
                client
                    .merge_patch::<ConfigMap>(&key(number % OBJECTS), "", &patch)
                    .await
                    .expect("PATCH works");
            }
        });
        self.measure(format!("{transport} merge patch x{at_once}"), REQUESTS, patch).await;
    }

    async fn spread<W: Future<Output = ()> + Send + 'static>(
        &self,
        at_once: usize,
        work: impl Fn(usize) -> W,
    ) {
        use futures::StreamExt;
        let works = futures::stream::iter((0..REQUESTS).map(work));
        works.buffer_unordered(at_once).collect::<()>().await;
    }

    async fn lists(&self, transport: &str, client: &Client) {
        const LISTS: usize = 20;
        let work = async {
            for _ in 0..LISTS {
                let list = client
                    .get_json("/api/v1/namespaces/default/configmaps")
                    .await
                    .expect("LIST works");
                assert!(list["items"].as_array().is_some_and(|items| items.len() >= OBJECTS));
            }
        };
        self.measure(format!("{transport} list {OBJECTS}"), LISTS, work).await;
    }

    /// Every watcher is a raw stream of lines; what is measured is encoding once and handing out.
    async fn fan_out(&self, client: &Client) {
        let mut watchers = tokio::task::JoinSet::new();
        let at = client.get_json("/api/v1/configmaps?limit=1").await.expect("LIST works");
        let version =
            at["metadata"]["resourceVersion"].as_str().expect("a list has a version").to_owned();
        let work = async {
            for _ in 0..WATCHERS {
                let path = format!("/api/v1/configmaps?watch=true&resourceVersion={version}");
                let client = client.clone();
                watchers
                    .spawn(async move { client.count_watch_lines(&path, WATCHED_WRITES).await });
            }
            for number in 0..WATCHED_WRITES {
                let patch = json!({"data": {"count": format!("watched-{number}")}});
                client
                    .merge_patch::<ConfigMap>(&key(number % OBJECTS), "", &patch)
                    .await
                    .expect("PATCH works");
            }
            while let Some(seen) = watchers.join_next().await {
                assert_eq!(
                    seen.expect("a watcher ends well").expect("a watch stays open"),
                    WATCHED_WRITES
                );
            }
        };
        let limit = Duration::from_secs(120);
        let work = async {
            self.clock.timeout(limit, work).await.expect("every watcher sees every write")
        };
        self.measure(
            format!("in_process watch delivery x{WATCHERS}"),
            WATCHERS * WATCHED_WRITES,
            work,
        )
        .await;
    }
}

fn name(number: usize) -> String {
    format!("bench-{number:04}")
}

fn key(number: usize) -> ObjectKey {
    ObjectKey::new("default", name(number))
}
