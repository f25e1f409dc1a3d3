//! A control plane of Machines that no provider keeps: Cluster API makes its certificates and its
//! kubeconfig.

use std::time::Duration;

use capim::api::core::{Cluster, Machine};
use capim::client::ObjectKey;
use capim::playground::{Manifest, Playground, apply_manifests};
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use crate::support::virtual_playground;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn machine(name: &str, is_control_plane: bool) -> Vec<Value> {
    let reference = |group: &str, kind: &str| json!({"apiGroup": format!("{group}.cluster.x-k8s.io"), "kind": kind, "name": name});
    let metadata = json!({"name": name, "namespace": "default"});
    let mut labels = json!({"cluster.x-k8s.io/cluster-name": "a"});
    let mut config = json!({"joinConfiguration": {"nodeRegistration": {
        "kubeletExtraArgs": [{"name": "v", "value": "1"}]}}});
    if is_control_plane {
        labels["cluster.x-k8s.io/control-plane"] = "".into();
        config["clusterConfiguration"] = json!({"apiServer": {"certSANs": ["localhost"]}});
    }
    let mut labelled = metadata.clone();
    labelled["labels"] = labels;
    vec![
        json!({"apiVersion": "bootstrap.cluster.x-k8s.io/v1beta2", "kind": "KubeadmConfig",
            "metadata": metadata, "spec": config}),
        json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "DevMachine",
            "metadata": metadata, "spec": {"backend": {"inMemory": {
                "vm": {"provisioning": {"startupDuration": "5s"}}}}}}),
        json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine", "metadata": labelled,
            "spec": {"clusterName": "a", "version": "v1.34.0",
                "bootstrap": {"configRef": reference("bootstrap", "KubeadmConfig")},
                "infrastructureRef": reference("infrastructure", "DevMachine")}}),
    ]
}

async fn create(playground: &Playground) {
    let mut objects = vec![
        json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "DevCluster",
            "metadata": {"name": "a", "namespace": "default"},
            "spec": {"backend": {"inMemory": {}}}}),
        json!({"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
            "metadata": {"name": "a", "namespace": "default"},
            "spec": {"infrastructureRef": {"apiGroup": "infrastructure.cluster.x-k8s.io",
                "kind": "DevCluster", "name": "a"}}}),
    ];
    for (name, is_control_plane) in [("a-1", true), ("a-2", true), ("a-worker", false)] {
        objects.extend(machine(name, is_control_plane));
    }
    let wrap = |object| Manifest::made(object, "standalone");
    let manifests: Vec<Manifest> = objects.into_iter().map(wrap).collect();
    apply_manifests(playground.client(), "default", &manifests).await.unwrap();
}

fn owners(metadata: &ObjectMeta) -> Vec<(String, bool)> {
    let owners = metadata.owner_references.iter().flatten();
    owners.map(|owner| (owner.kind.clone(), owner.controller == Some(true))).collect()
}

#[tokio::test(start_paused = true)]
async fn machines_alone_make_a_control_plane() {
    let playground = virtual_playground(21).await;
    let client = playground.client();
    create(&playground).await;
    let is_true = |conditions: &[capim::api::conditions::Condition], type_: &str| {
        conditions.iter().any(|held| held.type_ == type_ && held.status == "True")
    };
    let done = async {
        loop {
            let cluster: Cluster = client.get(&key("a")).await.unwrap().unwrap();
            let machines: Vec<Machine> = client.list("default", "").await.unwrap();
            let running = machines.iter().filter_map(|it| it.status.as_ref());
            let running = running.filter(|it| is_true(&it.conditions, "Ready")).count();
            let initialized =
                cluster.status.is_some_and(|it| is_true(&it.conditions, "ControlPlaneInitialized"));
            if initialized && running == 3 {
                return;
            }
            playground.clock().sleep(Duration::from_secs(1)).await;
        }
    };
    let limit = Duration::from_secs(600);
    if playground.clock().timeout(limit, done).await.is_err() {
        let machines: Vec<Machine> = client.list("default", "").await.unwrap();
        let cluster: Cluster = client.get(&key("a")).await.unwrap().unwrap();
        panic!(
            "{:#?} {:#?}",
            cluster.status,
            machines.iter().map(|it| &it.status).collect::<Vec<_>>()
        );
    }
    for name in ["a-ca", "a-etcd", "a-proxy", "a-sa"] {
        let secret: Secret = client.get(&key(name)).await.unwrap().unwrap();
        assert_eq!(owners(&secret.metadata), [("KubeadmConfig".to_owned(), true)], "{name}");
        assert_eq!(secret.type_.as_deref(), Some("cluster.x-k8s.io/secret"));
    }
    // The CA may come after the Cluster's first look for it.
    playground.clock().sleep(Duration::from_secs(31)).await;
    let kubeconfig: Secret = client.get(&key("a-kubeconfig")).await.unwrap().unwrap();
    assert_eq!(owners(&kubeconfig.metadata), [("Cluster".to_owned(), false)]);
    let text = String::from_utf8(kubeconfig.data.unwrap()["value"].0.clone()).unwrap();
    assert!(text.contains("current-context: a-admin@a\n"), "{text}");
    let members = playground.connections().get(&key("a")).unwrap().etcd().members;
    assert_eq!(members.len(), 2);
    playground.stop().await;
}
