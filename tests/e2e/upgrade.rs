//! An upgrade of a control plane, seen from inside the workload cluster.

use std::time::Duration;

use capim::api::controlplane::KubeadmControlPlane;
use capim::api::core::Machine;
use capim::client::{Client, ObjectKey};
use capim::playground::sample::{SampleCluster, Startup};
use capim::playground::{Manifest, Playground, apply_manifests};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::core::ObjectMeta;
use kube::runtime::wait::await_condition;
use serde_json::json;

use crate::support::virtual_playground;

const LIMIT: Duration = Duration::from_secs(600);
const PROVIDER: &str = "capi-kubeadmcontrolplane";

/// Cluster `a` with three control plane machines of 1.34, which take their time to start, and the
/// client of its workload cluster.
async fn create(playground: &Playground) -> Client {
    let sample = SampleCluster {
        name: "a".to_owned(),
        namespace: "default".to_owned(),
        control_planes: 3,
        workers: 0,
        version: "v1.34.0".to_owned(),
        startup: Startup::in_memory(),
    };
    let wrap = |object| Manifest::made(object, "sample");
    let manifests: Vec<Manifest> = sample.manifests().into_iter().map(wrap).collect();
    apply_manifests(playground.client(), "default", &manifests).await.unwrap();
    let key = ObjectKey::new("default", "a");
    playground.readiness().expecting([key.clone()]).wait(LIMIT).await.unwrap();
    playground.connections().get(&key).unwrap().client
}

fn system(name: &str) -> ObjectKey {
    ObjectKey::new("kube-system", name)
}

/// When the control plane provider wrote an object for the last time.
fn written(metadata: &ObjectMeta) -> Timestamp {
    let mut fields = metadata.managed_fields.iter().flatten();
    let entry = fields.rfind(|entry| entry.manager.as_deref() == Some(PROVIDER));
    entry.expect("the provider wrote it").time.as_ref().unwrap().0
}

async fn configuration(workload: &Client) -> (ConfigMap, String) {
    let map: ConfigMap = workload.get(&system("kubeadm-config")).await.unwrap().unwrap();
    let text = map.data.as_ref().unwrap()["ClusterConfiguration"].clone();
    (map, text)
}

async fn upgrade(playground: &Playground) {
    let key = ObjectKey::new("default", "a-cp");
    let patch = json!({"spec": {
        "version": "v1.35.1",
        "kubeadmConfigSpec": {"clusterConfiguration": {"dns": {"imageTag": "v1.14.2"}}},
    }});
    playground.client().merge_patch::<KubeadmControlPlane>(&key, "", &patch).await.unwrap();
}

/// Waits for CoreDNS' new image, which comes last.
async fn wait_for_coredns(playground: &Playground, workload: &Client) {
    let deployments = Api::<Deployment>::namespaced(workload.kube().clone(), "kube-system");
    let is_upgraded = |deployment: Option<&Deployment>| {
        let spec =
            deployment.and_then(|deployment| deployment.spec.as_ref()?.template.spec.as_ref());
        let image = spec.and_then(|spec| spec.containers[0].image.as_deref());
        image == Some("registry.k8s.io/coredns/coredns:v1.14.2")
    };
    // A workload cluster keeps a short history: a watch that lags begins anew.
    let upgraded = async {
        while await_condition(deployments.clone(), "coredns", is_upgraded).await.is_err() {}
    };
    playground.clock().timeout(LIMIT, upgraded).await.expect("CoreDNS is upgraded");
}

#[tokio::test(start_paused = true)]
async fn configuration_comes_first_and_addons_come_last() {
    let playground = virtual_playground(7).await;
    let workload = create(&playground).await;
    let (_, before) = configuration(&workload).await;
    assert!(before.contains("kubernetesVersion: v1.34.0\n"), "{before}");
    assert!(before.contains("certSANs:\n  - localhost\n"), "{before}");
    assert!(before.contains("ControlPlaneKubeletLocalMode: true\n"), "{before}");
    upgrade(&playground).await;
    wait_for_coredns(&playground, &workload).await;

    let (map, after) = configuration(&workload).await;
    assert!(after.contains("kubernetesVersion: v1.35.1\n"), "{after}");
    assert!(after.contains("dns:\n  imageTag: v1.14.2\n"), "{after}");
    let machines: Vec<Machine> = playground.client().list("default", "").await.unwrap();
    assert_eq!(machines.len(), 3);
    assert!(machines.iter().all(|machine| machine.spec.version == "v1.35.1"));
    let pods: Vec<Pod> = workload.list("kube-system", "component=kube-apiserver").await.unwrap();
    let images = pods.iter().map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone());
    let images: Vec<Option<String>> = images.collect();
    assert_eq!(images, vec![Some("registry.k8s.io/kube-apiserver:v1.35.1".to_owned()); 3]);

    let newest =
        machines.iter().map(|machine| machine.metadata.creation_timestamp.clone().unwrap());
    let newest = newest.map(|time| time.0).max().unwrap();
    let proxy: DaemonSet = workload.get(&system("kube-proxy")).await.unwrap().unwrap();
    assert_eq!(proxy.metadata.generation, Some(2), "one change");
    assert!(written(&proxy.metadata) > newest, "kube-proxy follows the last machine");
    let image = proxy.spec.unwrap().template.spec.unwrap().containers[0].image.clone();
    assert_eq!(image.as_deref(), Some("registry.k8s.io/kube-proxy:v1.35.1"));
    let coredns: ConfigMap = workload.get(&system("coredns")).await.unwrap().unwrap();
    assert!(coredns.data.unwrap().contains_key("Corefile-backup"));
    assert!(written(&map.metadata) >= newest, "the image of CoreDNS is noted with its upgrade");
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_waits_for_kubeadms_configuration() {
    let playground = virtual_playground(7).await;
    let workload = create(&playground).await;
    let (mut map, _) = configuration(&workload).await;
    let key = system("kubeadm-config");
    let patch = json!({"data": {"ClusterConfiguration": "kind: Nonsense\n"}});
    workload.merge_patch::<ConfigMap>(&key, "", &patch).await.unwrap();
    let machines = || playground.client().list::<Machine>("default", "");
    let mut before: Vec<String> =
        machines().await.unwrap().into_iter().filter_map(|m| m.metadata.name).collect();
    upgrade(&playground).await;
    // The rollout shows in the conditions, and nothing is made while it cannot go on.
    let control_planes =
        Api::<KubeadmControlPlane>::namespaced(playground.client().kube().clone(), "default");
    let is_rolling = |kcp: Option<&KubeadmControlPlane>| {
        let status = kcp.and_then(|kcp| kcp.status.as_ref());
        status.is_some_and(|status| {
            let conditions = &status.conditions;
            conditions.iter().any(|c| c.type_ == "RollingOut" && c.status == "True")
        })
    };
    let rolling = await_condition(control_planes, "a-cp", is_rolling);
    playground.clock().timeout(LIMIT, rolling).await.expect("a rollout begins").unwrap();
    playground.clock().sleep(Duration::from_secs(30)).await;
    let mut after: Vec<String> =
        machines().await.unwrap().into_iter().filter_map(|m| m.metadata.name).collect();
    before.sort();
    after.sort();
    assert_eq!(before, after);
    let patch = json!({"data": map.data.take()});
    workload.merge_patch::<ConfigMap>(&key, "", &patch).await.unwrap();
    wait_for_coredns(&playground, &workload).await;
    assert!(configuration(&workload).await.1.contains("kubernetesVersion: v1.35.1\n"));
    playground.stop().await;
}
