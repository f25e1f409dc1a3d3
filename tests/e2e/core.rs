//! Core controllers on the virtual clock: health checks, rollouts, what is taken away by hand, and
//! that nothing is written while nothing happens.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use capim::api::bootstrap::KubeadmConfig;
use capim::api::controlplane::KubeadmControlPlane;
use capim::api::core::{Cluster, Machine, MachineDeployment, MachineSet};
use capim::api::health_check::MachineHealthCheck;
use capim::api::infrastructure::{DevCluster, DevMachine, DevMachineTemplate};
use capim::client::{Client, ObjectKey};
use capim::playground::sample::{SampleCluster, Startup};
use capim::playground::{Manifest, Playground, apply_manifests};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret};
use kube::core::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::virtual_playground;

const LIMIT: Duration = Duration::from_secs(600);
const WORKERS: &str = "!cluster.x-k8s.io/control-plane";

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

/// Cluster `a` with one control plane machine and some workers, and a health check of the workers.
async fn create(playground: &Playground, workers: usize) {
    let sample = SampleCluster {
        name: "a".to_owned(),
        namespace: "default".to_owned(),
        control_planes: 1,
        workers: workers.try_into().unwrap(),
        version: capim::playground::KUBERNETES_VERSION.to_owned(),
        startup: Startup::in_memory(),
    };
    let check = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "MachineHealthCheck",
        "metadata": {"name": "a-md-0", "namespace": "default"},
        "spec": {
            "clusterName": "a",
            "selector": {"matchLabels": {"cluster.x-k8s.io/deployment-name": "a-md-0"}},
            "checks": {"unhealthyNodeConditions": [
                {"type": "Ready", "status": "Unknown", "timeoutSeconds": 300}]},
        },
    });
    let wrap = |object| Manifest::made(object, "sample");
    let manifests: Vec<Manifest> =
        sample.manifests().into_iter().chain([check]).map(wrap).collect();
    apply_manifests(playground.client(), "default", &manifests).await.unwrap();
    playground.readiness().expecting([key("a")]).wait(LIMIT).await.unwrap();
    settle(playground).await;
}

async fn settle(playground: &Playground) {
    playground.clock().sleep(Duration::from_secs(120)).await;
}

async fn list<K>(client: &Client) -> Vec<K>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    client.list::<K>("default", "").await.unwrap()
}

async fn workers(playground: &Playground) -> Vec<Machine> {
    playground.client().list::<Machine>("default", WORKERS).await.unwrap()
}

/// What the kinds of a cluster have that somebody might take away.
#[derive(Debug, PartialEq)]
struct Held {
    version: Option<String>,
    owners: Value,
    finalizers: Value,
}

type State = BTreeMap<String, Held>;

async fn note<K>(client: &Client, state: &mut State)
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Serialize,
{
    for object in list::<K>(client).await {
        let metadata: ObjectMeta = object.meta().clone();
        let name = format!("{} {}", K::kind(&()), metadata.name.unwrap_or_default());
        let held = Held {
            version: metadata.resource_version,
            owners: json!(metadata.owner_references.unwrap_or_default()),
            finalizers: json!(metadata.finalizers.unwrap_or_default()),
        };
        state.insert(name, held);
    }
}

async fn state(playground: &Playground) -> State {
    let client = playground.client();
    let mut state = State::new();
    note::<Cluster>(client, &mut state).await;
    note::<DevCluster>(client, &mut state).await;
    note::<KubeadmControlPlane>(client, &mut state).await;
    note::<MachineDeployment>(client, &mut state).await;
    note::<MachineSet>(client, &mut state).await;
    note::<MachineHealthCheck>(client, &mut state).await;
    note::<Machine>(client, &mut state).await;
    note::<DevMachine>(client, &mut state).await;
    note::<DevMachineTemplate>(client, &mut state).await;
    note::<KubeadmConfig>(client, &mut state).await;
    note::<Secret>(client, &mut state).await;
    note::<ConfigMap>(client, &mut state).await;
    state
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_happens() {
    let playground = virtual_playground(7).await;
    create(&playground, 2).await;
    let before = state(&playground).await;
    assert!(before.len() > 20, "{before:?}");
    playground.clock().sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(state(&playground).await, before);
    playground.stop().await;
}

async fn strip<K>(client: &Client, field: &str)
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    for object in list::<K>(client).await {
        let name = object.meta().name.clone().unwrap_or_default();
        if K::kind(&()) == "DevMachineTemplate" && name == "a-cp" {
            // The control plane provider looks after its template once in a while only.
            continue;
        }
        let patch = json!({"metadata": {field: null}});
        client.merge_patch::<K>(&key(&name), "", &patch).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn owners_and_finalizers_come_back() {
    let playground = virtual_playground(7).await;
    create(&playground, 2).await;
    let client = playground.client();
    let before = state(&playground).await;
    for field in ["ownerReferences", "finalizers"] {
        // As upstream's own test does: nothing is collected while its owner is unknown.
        let pause = |paused: bool| json!({"spec": {"paused": paused}});
        client.merge_patch::<Cluster>(&key("a"), "", &pause(true)).await.unwrap();
        settle(&playground).await;
        strip::<MachineDeployment>(client, field).await;
        strip::<MachineSet>(client, field).await;
        strip::<MachineHealthCheck>(client, field).await;
        strip::<Machine>(client, field).await;
        strip::<KubeadmControlPlane>(client, field).await;
        strip::<DevCluster>(client, field).await;
        strip::<DevMachine>(client, field).await;
        strip::<DevMachineTemplate>(client, field).await;
        strip::<KubeadmConfig>(client, field).await;
        strip::<Cluster>(client, field).await;
        client.merge_patch::<Cluster>(&key("a"), "", &pause(false)).await.unwrap();
        settle(&playground).await;
        let after = state(&playground).await;
        for (name, held) in &before {
            let now = after.get(name).unwrap_or_else(|| panic!("{name} is gone"));
            assert_eq!((&now.owners, &now.finalizers), (&held.owners, &held.finalizers), "{name}");
        }
    }
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_node_is_gone_is_replaced() {
    let playground = virtual_playground(7).await;
    create(&playground, 2).await;
    let before = workers(&playground).await;
    let node = before[0].status.as_ref().unwrap().node_ref.as_ref().unwrap().name.clone();
    let workload = playground.connections().get(&key("a")).unwrap().client;
    let gone = ObjectKey::new("", node.as_str());
    let propagation = capim::client::Propagation::Default;
    workload.delete::<Node>(&gone, propagation).await.unwrap();
    settle(&playground).await;
    let after = workers(&playground).await;
    assert_eq!(after.len(), 2);
    let names = |machines: &[Machine]| -> Vec<String> {
        machines.iter().filter_map(|machine| machine.metadata.name.clone()).collect()
    };
    assert!(!names(&after).contains(&names(&before)[0]), "{:?}", names(&after));
    assert!(names(&after).contains(&names(&before)[1]), "{:?}", names(&after));
    let check: MachineHealthCheck = playground.client().get(&key("a-md-0")).await.unwrap().unwrap();
    let status = check.status.unwrap();
    assert_eq!((status.expected_machines, status.current_healthy), (Some(2), Some(2)));
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn labels_that_leave_the_template_leave_the_machines() {
    let playground = virtual_playground(7).await;
    create(&playground, 1).await;
    let client = playground.client();
    let labels = |value: Value| {
        json!({"spec": {"template": {
            "metadata": {"labels": {"node.cluster.x-k8s.io/pool": value}},
            "spec": {"minReadySeconds": 1}}}})
    };
    let held = |metadata: &ObjectMeta| {
        metadata.labels.as_ref().and_then(|held| held.get("node.cluster.x-k8s.io/pool")).cloned()
    };
    let machine = workers(&playground).await.remove(0);
    for wanted in [Some("x".to_owned()), Some("y".to_owned()), None] {
        let patch = labels(json!(wanted));
        client.merge_patch::<MachineDeployment>(&key("a-md-0"), "", &patch).await.unwrap();
        settle(&playground).await;
        let now = workers(&playground).await;
        assert_eq!(now.len(), 1);
        assert_eq!(now[0].metadata.uid, machine.metadata.uid, "changed in place");
        assert_eq!(held(&now[0].metadata), wanted);
        let name = now[0].metadata.name.as_deref().unwrap_or_default();
        let infrastructure: DevMachine = client.get(&key(name)).await.unwrap().unwrap();
        assert_eq!(held(&infrastructure.metadata), wanted);
        let config: KubeadmConfig = client.get(&key(name)).await.unwrap().unwrap();
        assert_eq!(held(&config.metadata), wanted);
        let workload = playground.connections().get(&key("a")).unwrap().client;
        let node: Node = workload.get(&ObjectKey::new("", name)).await.unwrap().unwrap();
        assert_eq!(held(&node.metadata), wanted);
    }
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_replaces_all_machines_and_forgets_the_old_set() {
    let playground = virtual_playground(7).await;
    create(&playground, 3).await;
    let client = playground.client();
    let before: Vec<MachineSet> = list(client).await;
    let patch = json!({"spec": {
        "rollout": {"strategy": {"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}},
        "template": {"spec": {"failureDomain": "elsewhere"}}}});
    client.merge_patch::<MachineDeployment>(&key("a-md-0"), "", &patch).await.unwrap();
    settle(&playground).await;
    let after: Vec<MachineSet> = list(client).await;
    assert_eq!(after.len(), 1);
    assert_ne!(after[0].metadata.uid, before[0].metadata.uid);
    let machines = workers(&playground).await;
    assert_eq!(machines.len(), 3);
    assert!(machines.iter().all(|machine| machine.spec.failure_domain == "elsewhere"));
    let deployment: MachineDeployment = client.get(&key("a-md-0")).await.unwrap().unwrap();
    let annotations = deployment.metadata.annotations.unwrap();
    assert_eq!(annotations["machinedeployment.clusters.x-k8s.io/revision"], "2");
    playground.stop().await;
}
