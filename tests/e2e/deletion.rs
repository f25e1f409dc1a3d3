//! Deleting clusters leaves nothing behind.

use std::time::Duration;

use capim::api::core::Cluster;
use capim::client::{ObjectKey, Propagation};
use capim::clock::{Clock, Seed};
use capim::playground::sample::{SampleCluster, Startup};
use capim::playground::{Config, Manifest, Playground, apply_manifests};
use k8s_openapi::api::core::v1::Secret;

fn sample(name: &str) -> Vec<Manifest> {
    let sample = SampleCluster {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        control_planes: 3,
        workers: 2,
        version: capim::playground::KUBERNETES_VERSION.to_owned(),
        startup: Startup::instant(),
    };
    let wrap = |object| Manifest::made(object, "sample");
    sample.manifests().into_iter().map(wrap).collect()
}

#[tokio::test]
async fn deleted_clusters_leave_no_object_listener_or_port() {
    let limit = Duration::from_secs(60);
    // Ports that nobody else takes when they are free again.
    let config =
        Config { seed: Seed(1), workload_ports: 26_100..=26_199, ..Config::new(Clock::wall()) };
    let playground = Playground::start(config).await.unwrap();
    for name in ["a", "b"] {
        apply_manifests(playground.client(), "default", &sample(name)).await.unwrap();
    }
    let applied = ["a", "b"].map(|name| ObjectKey::new("default", name));
    playground.readiness().expecting(applied).wait(limit).await.unwrap();
    let ports: Vec<i32> = playground
        .sources()
        .clusters
        .list()
        .iter()
        .map(|cluster| cluster.spec.control_plane_endpoint.as_ref().unwrap().port.unwrap())
        .collect();
    assert_eq!(ports.len(), 2);
    for name in ["a", "b"] {
        let key = ObjectKey::new("default", name);
        playground.client().delete::<Cluster>(&key, Propagation::Background).await.unwrap();
    }
    playground.readiness().wait_gone(limit).await.unwrap();
    let clock = playground.clock().clone();
    let left = async {
        loop {
            let secrets: Vec<Secret> = playground.client().list("default", "").await.unwrap();
            if secrets.is_empty() && playground.sources().machines.is_empty() {
                return;
            }
            // The garbage collector works behind the last finalizer; each round is a request.
            tokio::task::yield_now().await;
        }
    };
    clock.timeout(limit, left).await.expect("secrets and machines are collected");
    for port in ports {
        let port = u16::try_from(port).unwrap();
        assert!(
            std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
            "port {port} is still open"
        );
    }
    playground.stop().await;
}
