//! Provisions clusters (one control plane and one worker machine, all durations 0) and prints JSON:
//! from the first create until every Cluster is Available, every Machine Running and every Node
//! Ready.
//!
//! `cargo bench --bench provisioning [-- N...]`, by default 100 and 1000 clusters. Every size runs
//! in a process of its own, so that memory figures do not mix.

use std::time::Duration;

use capim::apiserver::Counts;
use capim::client::ObjectKey;
use capim::clock::Clock;
use capim::playground::Playground;
use capim::playground::sample::{SampleCluster, Startup};
use serde_json::{Value, json};
use usage::{Usage, rounded};

mod playground;
mod usage;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Time after which a run has failed.
const LIMIT: Duration = Duration::from_secs(600);
/// How long the idle playground is watched.
const IDLE: Duration = Duration::from_secs(10);

fn main() {
    playground::run_sizes(&[100, 1000], provision);
}

async fn provision(size: usize) -> Value {
    let clock = Clock::wall();
    let playground = playground::start(&clock).await;
    let at_start = Usage::now(&clock);
    for number in 1..=size {
        create(&playground, number).await;
    }
    let created = Usage::now(&clock);
    let created_clusters =
        (1..=size).map(|number| ObjectKey::new("default", format!("scale-{number:05}")));
    playground
        .readiness()
        .expecting(created_clusters)
        .wait(LIMIT)
        .await
        .expect("all clusters become ready");
    let ready = Usage::now(&clock);
    let counts = playground.server().counts();
    let nodes = ready_nodes(&playground, size).await;
    assert_eq!(nodes, 2 * size, "every Machine has a Ready Node");
    let idle_before = (Usage::now(&clock), playground.server().counts());
    clock.sleep(IDLE).await;
    let idle_after = (Usage::now(&clock), playground.server().counts());
    let result = json!({
        "bench": "provisioning",
        "clusters": size,
        "wall_seconds": rounded(ready.elapsed - at_start.elapsed),
        "create_seconds": rounded(created.elapsed - at_start.elapsed),
        "cpu_seconds": rounded(ready.cpu - at_start.cpu),
        "cpu_ms_per_cluster": rounded((ready.cpu - at_start.cpu) * 1e3 / size as f64),
        "resident_mib_at_start": at_start.resident_mib,
        "resident_mib": ready.resident_mib,
        "resident_mib_peak": ready.peak_mib,
        "resident_kib_per_cluster": rounded((ready.resident_mib - at_start.resident_mib) * 1024.0 / size as f64),
        "api_writes_per_cluster": rounded(counts.writes as f64 / size as f64),
        "noop_writes": counts.noop_writes,
        "conflicts": counts.conflicts,
        "writes_by_resource": writes_by_resource(&counts, size),
        "idle_seconds": rounded(idle_after.0.elapsed - idle_before.0.elapsed),
        "idle_cpu_percent_of_a_core":
            rounded((idle_after.0.cpu - idle_before.0.cpu) * 100.0 / (idle_after.0.elapsed - idle_before.0.elapsed)),
        "idle_writes": idle_after.1.writes - idle_before.1.writes,
    });
    playground.stop().await;
    result
}

async fn create(playground: &Playground, number: usize) {
    let sample = SampleCluster {
        name: format!("scale-{number:05}"),
        namespace: "default".to_owned(),
        control_planes: 1,
        workers: 1,
        version: capim::playground::KUBERNETES_VERSION.to_owned(),
        startup: Startup::instant(),
    };
    for object in sample.manifests() {
        let path = collection_path(&object);
        playground
            .client()
            .create_json(&path, &object)
            .await
            .expect("the API accepts sample manifests");
    }
}

fn collection_path(object: &Value) -> String {
    let plural =
        format!("{}s", object["kind"].as_str().expect("samples have a kind").to_lowercase());
    format!(
        "/apis/{}/namespaces/default/{plural}",
        object["apiVersion"].as_str().expect("samples have an apiVersion")
    )
}

async fn ready_nodes(playground: &Playground, size: usize) -> usize {
    let mut ready = 0;
    for number in 1..=size {
        let key = ObjectKey::new("default", format!("scale-{number:05}"));
        let remote = playground.connections().get(&key).expect("a ready cluster can be reached");
        let nodes: Vec<k8s_openapi::api::core::v1::Node> =
            remote.client.list("", "").await.expect("a ready cluster lists its nodes");
        let is_ready = |node: &k8s_openapi::api::core::v1::Node| {
            let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
        };
        ready += nodes.iter().filter(|node| is_ready(node)).count();
    }
    ready
}

/// Successful writes by resource, per cluster, largest first.
fn writes_by_resource(counts: &Counts, size: usize) -> Value {
    let mut sums = std::collections::BTreeMap::<String, u64>::new();
    for ((verb, resource, code), count) in &counts.requests {
        if !["get", "list", "watch"].contains(verb) && *code < 300 {
            *sums.entry(format!("{verb} {resource}")).or_default() += count;
        }
    }
    sums.into_iter()
        .map(|(name, count)| (name, json!(rounded(count as f64 / size as f64))))
        .collect()
}
