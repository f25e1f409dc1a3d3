//! What upstream's end-to-end tests do to every object of a cluster: take owner references and
//! finalizers away, give owners an old version, and see that nobody writes once all is well.
//! (CAPI v1.14: test/framework/{ownerreference,finalizers,resourceversion}_helpers.go)

use std::collections::BTreeMap;
use std::time::Duration;

use capim::api::core::Cluster;
use capim::client::ObjectKey;
use capim::playground::{Playground, apply_manifests, read_manifests};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::support::{repository, virtual_playground};

const CORE: &str = "cluster.x-k8s.io/v1beta2";
const ADDONS: &str = "addons.cluster.x-k8s.io/v1beta2";
const BOOTSTRAP: &str = "bootstrap.cluster.x-k8s.io/v1beta2";
const CONTROL_PLANE: &str = "controlplane.cluster.x-k8s.io/v1beta2";
const INFRASTRUCTURE: &str = "infrastructure.cluster.x-k8s.io/v1beta2";

/// A cluster of a class, one with a MachinePool, and one with add-ons.
const CLUSTERS: [(&str, &str); 3] = [
    ("instant-1", "assets/classes/instant.yaml"),
    ("pool", "examples/machine-pool.yaml"),
    ("addons", "examples/cluster-resource-set.yaml"),
];

const KINDS: [(&str, &str); 21] = [
    (CORE, "Cluster"),
    (CORE, "ClusterClass"),
    (CORE, "MachineDeployment"),
    (CORE, "MachineSet"),
    (CORE, "Machine"),
    (CORE, "MachinePool"),
    (CORE, "MachineHealthCheck"),
    (ADDONS, "ClusterResourceSet"),
    (ADDONS, "ClusterResourceSetBinding"),
    (BOOTSTRAP, "KubeadmConfig"),
    (BOOTSTRAP, "KubeadmConfigTemplate"),
    (CONTROL_PLANE, "KubeadmControlPlane"),
    (CONTROL_PLANE, "KubeadmControlPlaneTemplate"),
    (INFRASTRUCTURE, "DevCluster"),
    (INFRASTRUCTURE, "DevClusterTemplate"),
    (INFRASTRUCTURE, "DevMachine"),
    (INFRASTRUCTURE, "DevMachineTemplate"),
    (INFRASTRUCTURE, "DevMachinePool"),
    (INFRASTRUCTURE, "DevMachinePoolTemplate"),
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
];

/// Owners that a kind may have, sorted; `*` marks the controller.
fn owners_of(kind: &str, name: &str) -> Vec<Vec<&'static str>> {
    let is_classed = name.starts_with("instant");
    match kind {
        "Cluster" | "ClusterClass" | "ClusterResourceSet" => vec![vec![]],
        "MachineDeployment" | "MachinePool" | "MachineHealthCheck" => vec![vec!["Cluster"]],
        "MachineSet" => vec![vec!["MachineDeployment*"]],
        "Machine" => vec![vec!["MachineSet*"], vec!["MachinePool*"], vec!["KubeadmControlPlane*"]],
        "ClusterResourceSetBinding" | "ConfigMap" => vec![vec!["ClusterResourceSet"]],
        "Secret" if name == "calico-credentials" => vec![vec!["ClusterResourceSet"]],
        "Secret" => vec![vec!["KubeadmControlPlane*"], vec!["KubeadmConfig*"]],
        "KubeadmControlPlane" | "DevCluster" if is_classed => vec![vec!["Cluster*"]],
        "KubeadmControlPlane" | "DevCluster" => vec![vec!["Cluster"]],
        // A topology would add its Cluster to what a MachinePool refers to.
        "KubeadmConfig" => vec![vec!["Machine*"], vec!["MachinePool*"]],
        "DevMachine" => vec![vec!["Machine*"], vec!["DevMachinePool", "Machine*"]],
        "DevMachinePool" => vec![vec!["MachinePool*"]],
        "KubeadmConfigTemplate" | "DevMachineTemplate" => {
            vec![vec!["Cluster"], vec!["ClusterClass"]]
        }
        _ => vec![vec!["ClusterClass"]],
    }
}

/// Finalizers of a kind, sorted.
fn finalizers_of(kind: &str, name: &str) -> Vec<&'static str> {
    let is_classed = name.starts_with("instant");
    match kind {
        "Cluster" => vec!["cluster.cluster.x-k8s.io"],
        "Machine" => vec!["machine.cluster.x-k8s.io"],
        "MachineSet" if is_classed => {
            vec!["cluster.x-k8s.io/machineset", "machineset.topology.cluster.x-k8s.io"]
        }
        "MachineSet" => vec!["cluster.x-k8s.io/machineset"],
        "MachineDeployment" if is_classed => {
            vec![
                "cluster.x-k8s.io/machinedeployment",
                "machinedeployment.topology.cluster.x-k8s.io",
            ]
        }
        "MachineDeployment" => vec!["cluster.x-k8s.io/machinedeployment"],
        "MachinePool" => vec!["machinepool.cluster.x-k8s.io"],
        "ClusterResourceSet" => vec!["addons.cluster.x-k8s.io"],
        "KubeadmControlPlane" => vec!["kubeadm.controlplane.cluster.x-k8s.io"],
        "DevCluster" => vec!["dockercluster.infrastructure.cluster.x-k8s.io"],
        "DevMachine" => vec!["dockermachine.infrastructure.cluster.x-k8s.io"],
        "DevMachinePool" => vec!["dockermachinepool.infrastructure.cluster.x-k8s.io"],
        _ => vec![],
    }
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let plural = kind.to_lowercase() + if kind.ends_with('s') { "es" } else { "s" };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural,
    }
}

fn is_part_of_a_cluster(kind: &str, name: &str) -> bool {
    kind != "ConfigMap" || name == "calico-addon"
}

/// Metadata of all objects by kind and name.
type Graph = BTreeMap<(String, String), (ApiResource, Value)>;

async fn graph(playground: &Playground) -> Graph {
    let mut graph = Graph::new();
    for (api_version, kind) in KINDS {
        let resource = resource(api_version, kind);
        let objects = playground.client().list_dynamic(&resource, "default", "").await.unwrap();
        for mut object in objects {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            if is_part_of_a_cluster(kind, &name) {
                let entry = (resource.clone(), object["metadata"].take());
                graph.insert((kind.to_owned(), name), entry);
            }
        }
    }
    graph
}

/// Everything in a graph that is not as upstream expects it.
fn wrong(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((kind, name), (_, metadata)) in graph {
        let list = |field: &str| metadata[field].as_array().cloned().unwrap_or_default();
        let mut owners = Vec::new();
        for owner in list("ownerReferences") {
            let star = if owner["controller"] == true { "*" } else { "" };
            owners.push(format!("{}{star}", owner["kind"].as_str().unwrap()));
            let current = owner["apiVersion"].as_str().unwrap();
            if !current.ends_with("/v1beta2") {
                wrong.push(format!("{kind} {name}: owner of version {current}"));
            }
        }
        owners.sort();
        if !owners_of(kind, name).iter().any(|allowed| *allowed == owners) {
            wrong.push(format!("{kind} {name}: owners {owners:?}"));
        }
        let mut finalizers = list("finalizers");
        finalizers.sort_by_key(Value::to_string);
        if json!(finalizers) != json!(finalizers_of(kind, name)) {
            wrong.push(format!("{kind} {name}: finalizers {finalizers:?}"));
        }
    }
    wrong
}

async fn until_all_is_well(playground: &Playground, what: &str) -> Graph {
    let clock = playground.clock();
    for _ in 0..60 {
        let graph = graph(playground).await;
        if wrong(&graph).is_empty() {
            return graph;
        }
        clock.sleep(Duration::from_secs(5)).await;
    }
    panic!("{what}: {:#?}", wrong(&graph(playground).await))
}

async fn pause(playground: &Playground, is_paused: bool) {
    let patch = json!({"spec": {"paused": is_paused}});
    for (name, _) in CLUSTERS {
        let key = ObjectKey::new("default", name);
        playground.client().merge_patch::<Cluster>(&key, "", &patch).await.unwrap();
    }
    playground.clock().sleep(Duration::from_secs(10)).await;
}

/// Changes the metadata of every object while all clusters are paused.
async fn tamper(playground: &Playground, change: impl Fn(&Value) -> Value) {
    pause(playground, true).await;
    for ((_, name), (resource, metadata)) in graph(playground).await {
        let patch = json!({"metadata": change(&metadata)});
        let key = ObjectKey::new("default", name);
        playground.client().merge_patch_dynamic(&resource, &key, "", &patch).await.unwrap();
    }
    pause(playground, false).await;
    // Upstream waits for nobody's resync either.
    for kind in [(CORE, "ClusterClass", "instant"), (ADDONS, "ClusterResourceSet", "calico")] {
        let now = playground.clock().now().to_string();
        let patch = json!({"metadata": {"annotations": {"cluster.x-k8s.io/modifiedAt": now}}});
        let key = ObjectKey::new("default", kind.2);
        let resource = resource(kind.0, kind.1);
        playground.client().merge_patch_dynamic(&resource, &key, "", &patch).await.unwrap();
    }
}

fn of_old_version(metadata: &Value) -> Value {
    let mut owners = metadata["ownerReferences"].as_array().cloned().unwrap_or_default();
    for owner in &mut owners {
        let group = owner["apiVersion"].as_str().unwrap().split('/').next().unwrap().to_owned();
        owner["apiVersion"] = format!("{group}/v1alpha1").into();
    }
    json!({"ownerReferences": owners})
}

#[tokio::test(start_paused = true)]
async fn clusters_recover_from_lost_owners_and_finalizers_and_then_rest() {
    let playground = virtual_playground(19).await;
    for (name, file) in CLUSTERS {
        let manifests = read_manifests(&[repository(file)]).unwrap();
        apply_manifests(playground.client(), "default", &manifests).await.unwrap();
        let key = ObjectKey::new("default", name);
        let limit = Duration::from_secs(900);
        playground.readiness().expecting([key]).wait(limit).await.unwrap();
    }
    let before = until_all_is_well(&playground, "from the start").await;
    assert!(before.len() > 50, "{}", before.len());
    tamper(&playground, |_| json!({"ownerReferences": []})).await;
    until_all_is_well(&playground, "without owners").await;
    tamper(&playground, |_| json!({"finalizers": []})).await;
    until_all_is_well(&playground, "without finalizers").await;
    tamper(&playground, of_old_version).await;
    let after = until_all_is_well(&playground, "with owners of an old version").await;
    let identity = |graph: &Graph| {
        graph.iter().map(|(key, (_, it))| (key.clone(), it["uid"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(identity(&after), identity(&before), "nothing was made anew");

    playground.clock().sleep(Duration::from_secs(300)).await;
    // The token of a pool is rotated so that the pool can grow.
    let is_token = |name: &str| name == "pool-mp-0";
    let versions = |mut graph: Graph| {
        graph.retain(|(kind, name), _| {
            !is_token(name) || !["KubeadmConfig", "Secret"].contains(&kind.as_str())
        });
        let version = |it: &Value| it["resourceVersion"].clone();
        graph.into_iter().map(|(key, (_, it))| (key, version(&it))).collect::<Vec<_>>()
    };
    let resting = versions(graph(&playground).await);
    playground.clock().sleep(Duration::from_secs(2 * 3600)).await;
    let now = versions(graph(&playground).await);
    let written: Vec<_> = resting.iter().zip(&now).filter(|(a, b)| a != b).collect();
    assert!(written.is_empty() && resting.len() == now.len(), "written: {written:#?}");
    playground.stop().await;
}
