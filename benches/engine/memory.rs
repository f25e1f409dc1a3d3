//! Memory of stored objects and of watches that wait. What counts is the growth from one half of
//! the objects to all of them: by then the history that watches need is full.

use capim::api;
use capim::apiserver::Identity;
use capim::client::{Client, ObjectKey};
use capim::clock::Clock;
use capim::embed::ControlPlane;
use capim::playground::sample::{SampleCluster, Startup};
use capim::playground::{Config, Playground};
use http::Request;
use serde_json::{Value, json};

use crate::measure::{self, resident_bytes};

const OBJECTS: usize = 10_000;
const PAYLOAD_BYTES: usize = 4_000;
const WATCHES: usize = 8_000;
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

pub async fn objects() {
    let control_plane = start().await;
    let client = client(&control_plane);
    let mut sizes = Sizes::default();
    for number in 0..OBJECTS {
        sizes.at(number);
        let object = json!({
            "metadata": {"name": format!("bench-{number:05}"), "namespace": "default"},
            "data": {"payload": "x".repeat(PAYLOAD_BYTES)},
        });
        let stored =
            client.create_json(CONFIG_MAPS, &object).await.expect("the API takes ConfigMaps");
        sizes.encoded = stored.to_string().len();
    }
    sizes.print("memory of a stored ConfigMap");
    control_plane.stop().await;
}

pub async fn machines() {
    let machine = real_machine().await;
    let control_plane = start().await;
    control_plane.server().install(api::definitions::definitions());
    let client = client(&control_plane);
    let version = machine["apiVersion"].as_str().expect("a Machine has a version");
    let collection = format!("/apis/{version}/namespaces/default/machines");
    let mut sizes = Sizes::default();
    for number in 0..OBJECTS {
        sizes.at(number);
        let mut object = machine.clone();
        let name = format!("bench-{number:05}");
        object["metadata"]["name"] = name.as_str().into();
        for field in ["resourceVersion", "uid", "managedFields"] {
            object["metadata"].as_object_mut().expect("metadata").remove(field);
        }
        client.create_json(&collection, &object).await.expect("the API takes Machines");
        let status = json!({"status": machine["status"]});
        let stored: capim::api::core::Machine = client
            .merge_patch(&ObjectKey::new("default", name), "status", &status)
            .await
            .expect("the API takes their status");
        sizes.encoded = serde_json::to_string(&stored).expect("JSON").len();
    }
    sizes.print("memory of a stored Machine");
    control_plane.stop().await;
}

/// Watches in this process: nothing of a client or of TLS is in the figure.
pub async fn idle_watches() {
    let control_plane = start().await;
    let server = control_plane.server().clone();
    let mut streams = Vec::with_capacity(WATCHES);
    let mut before = 0.0;
    for number in 0..WATCHES {
        if number == WATCHES / 2 {
            before = resident_bytes();
        }
        let mut request = Request::get(format!("{CONFIG_MAPS}?watch=true&resourceVersion=1"))
            .body(axum::body::Body::empty())
            .expect("a request");
        request.extensions_mut().insert(Identity::administrator("bench"));
        let response = server.handle(request).await;
        assert!(response.status().is_success());
        let mut body = response.into_body();
        // Polled once, so that it waits.
        let waits = futures::poll!(http_body_util::BodyExt::frame(&mut body)).is_pending();
        assert!(waits, "nothing happens");
        streams.push(body);
    }
    let bytes = (resident_bytes() - before) / (WATCHES / 2) as f64;
    measure::print(&json!({"bench": "memory of an idle watch", "resident_bytes": bytes.round()}));
    drop(streams);
    control_plane.stop().await;
}

#[derive(Default)]
struct Sizes {
    half: f64,
    encoded: usize,
}

impl Sizes {
    fn at(&mut self, number: usize) {
        if number == OBJECTS / 2 {
            self.half = resident_bytes();
        }
    }

    fn print(&self, name: &str) {
        let bytes = (resident_bytes() - self.half) / (OBJECTS / 2) as f64;
        measure::print(&json!({
            "bench": name,
            "encoded_bytes": self.encoded,
            "resident_bytes": bytes.round(),
            "ratio": measure::rounded(bytes / self.encoded as f64),
        }));
    }
}

async fn start() -> ControlPlane {
    ControlPlane::builder().without_controllers().start().await.expect("the control plane starts")
}

fn client(control_plane: &ControlPlane) -> Client {
    Client::in_process(control_plane.server(), Identity::administrator("bench"), "bench")
}

/// A Machine as a playground leaves it when its cluster is ready.
async fn real_machine() -> Value {
    let clock = Clock::wall();
    let config = Config::new(clock.clone());
    let playground = Playground::start(config).await.expect("the playground starts");
    let sample = SampleCluster {
        name: "bench".to_owned(),
        namespace: "default".to_owned(),
        control_planes: 1,
        workers: 1,
        version: capim::playground::KUBERNETES_VERSION.to_owned(),
        startup: Startup::instant(),
    };
    for object in sample.manifests() {
        let kind = object["kind"].as_str().expect("samples have a kind").to_lowercase();
        let version = object["apiVersion"].as_str().expect("samples have an apiVersion");
        let path = format!("/apis/{version}/namespaces/default/{kind}s");
        playground.client().create_json(&path, &object).await.expect("the API takes samples");
    }
    let ready = playground.readiness().expecting([ObjectKey::new("default", "bench")]);
    ready.wait(std::time::Duration::from_secs(60)).await.expect("the cluster becomes ready");
    let path = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/machines";
    let list = playground.client().get_json(path).await.expect("LIST works");
    let mut machine = list["items"][0].clone();
    machine["apiVersion"] = "cluster.x-k8s.io/v1beta2".into();
    machine["kind"] = "Machine".into();
    playground.stop().await;
    machine
}
