//! Managed topologies in a whole playground, on the virtual clock.

mod faults;
mod hooks;
mod rebase;
mod scale;
mod workers;

use std::time::Duration;

use serde_json::{Value, json};

use super::{Config, Manifest, Playground, apply_manifests, plan, read_manifests};
use crate::api::core::{Cluster, Machine, MachineDeployment};
use crate::api::topology::ClusterClass;
use crate::client::{Client, ObjectKey};
use crate::clock::{Clock, Seed};
use crate::contract::conditions;

const CLOUD: &str = "assets/classes/cloud.yaml";
const INSTANT: &str = "assets/classes/instant.yaml";

struct Test {
    playground: Playground,
}

fn manifests(path: &str, change: impl Fn(&mut Value)) -> Vec<Manifest> {
    let mut all = read_manifests(&[path.into()]).unwrap();
    all.iter_mut().for_each(|manifest| change(&mut manifest.object));
    all
}

impl Test {
    async fn start() -> Self {
        let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().unwrap());
        let config = Config { seed: Seed(7), watch_events: true, ..Config::new(clock) };
        Self { playground: Playground::start(config).await.unwrap() }
    }

    fn client(&self) -> &Client {
        self.playground.client()
    }

    async fn apply(&self, manifests: &[Manifest]) {
        apply_manifests(self.client(), "default", manifests).await.unwrap();
    }

    async fn pass(&self, seconds: u64) {
        self.playground.clock().sleep(Duration::from_secs(seconds)).await;
    }

    async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        for _ in 0..3000 {
            if done().await {
                return;
            }
            self.pass(1).await;
        }
        let clusters = self.client().list::<Cluster>("", "").await.unwrap();
        let machines = names(&self.machines().await, "");
        let status = clusters.iter().map(|it| &it.status).collect::<Vec<_>>();
        panic!("not reached: {what}: {machines:#?} {status:#?}");
    }

    async fn available(&self, count: usize) {
        self.until("clusters are available", async || {
            let clusters = self.client().list::<Cluster>("", "").await.unwrap();
            let is_available = |cluster: &Cluster| {
                cluster.status.as_ref().is_some_and(|status| {
                    conditions::is_true(&status.conditions, "Available")
                        && conditions::is_true(&status.conditions, "TopologyReconciled")
                })
            };
            clusters.len() == count && clusters.iter().all(is_available)
        })
        .await;
    }

    async fn reconciled(&self, name: &str) -> (String, String) {
        let cluster: Cluster =
            self.client().get(&ObjectKey::new("default", name)).await.unwrap().unwrap();
        let conditions = cluster.status.unwrap_or_default().conditions;
        let condition = conditions::get(&conditions, "TopologyReconciled").unwrap();
        (condition.reason.clone(), condition.message.clone())
    }

    async fn machines(&self) -> Vec<Machine> {
        self.client().list::<Machine>("default", "").await.unwrap()
    }

    async fn deployments(&self) -> Vec<MachineDeployment> {
        self.client().list::<MachineDeployment>("default", "").await.unwrap()
    }

    /// Changes a class by a merge patch of its spec.
    async fn patch_class(&self, name: &str, spec: Value) {
        let key = ObjectKey::new("default", name);
        let patch = json!({ "spec": spec });
        self.client().merge_patch::<ClusterClass>(&key, "", &patch).await.unwrap();
    }

    async fn cluster(&self, name: &str) -> Cluster {
        self.client().get(&ObjectKey::new("default", name)).await.unwrap().unwrap()
    }

    async fn patch_cluster(&self, name: &str, patch: Value) {
        let key = ObjectKey::new("default", name);
        self.client().merge_patch::<Cluster>(&key, "", &patch).await.unwrap();
    }

    fn counter(&self, name: &str) -> u64 {
        let text = self.playground.manager().metrics().render();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

fn names(machines: &[Machine], part: &str) -> Vec<String> {
    let name = |machine: &Machine| machine.metadata.name.clone().unwrap_or_default();
    machines.iter().map(name).filter(|name| name.contains(part)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_classed_cluster_becomes_available_and_idles() {
    let test = Test::start().await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    test.available(1).await;
    assert_eq!(test.reconciled("instant-1").await.0, "ReconcileSucceeded");
    test.pass(30).await;
    let counters = ["capim_topology_applies_total", "capim_topology_dry_runs_total"];
    let before = counters.map(|name| test.counter(name));
    let versions = |clusters: Vec<Cluster>| {
        clusters.into_iter().map(|it| it.metadata.resource_version).collect::<Vec<_>>()
    };
    let resting = versions(test.client().list("", "").await.unwrap());
    test.pass(7200).await;
    assert_eq!(
        versions(test.client().list("", "").await.unwrap()),
        resting,
        "idle means no writes"
    );
    assert_eq!(counters.map(|name| test.counter(name)), before);
    assert!(before[0] >= 8, "{before:?}");
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_class_in_v1beta1_settles() {
    const TALK: &str = "assets/classes/in-memory-quick-start.yaml";
    let test = Test::start().await;
    test.apply(&manifests(TALK, |_| {})).await;
    test.available(1).await;
    test.pass(30).await;
    let counters = ["capim_topology_applies_total", "capim_topology_dry_runs_total"];
    let before = counters.map(|name| test.counter(name));
    test.pass(600).await;
    assert_eq!(counters.map(|name| test.counter(name)), before, "no template is rotated again");
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_variable_rolls_the_workers_that_use_it() {
    let test = Test::start().await;
    test.apply(&manifests(CLOUD, |_| {})).await;
    test.available(1).await;
    // A Cluster is available with the first of its control plane Machines.
    test.until("all machines are there", async || {
        let is_available = |machine: &Machine| {
            let status = machine.status.as_ref();
            status.is_some_and(|status| conditions::is_true(&status.conditions, "Available"))
        };
        let machines = test.machines().await;
        machines.len() == 6 && machines.iter().all(is_available)
    })
    .await;
    let before = test.machines().await;
    let value = json!([{"name": "vmStartupDuration", "value": "30s"}, {"name": "workerTaints", "value": true}]);
    test.patch_cluster("cloud-1", json!({"spec": {"topology": {"variables": value}}})).await;
    test.until("workers are replaced", async || {
        let now = test.machines().await;
        let old = names(&before, "-md-0-").into_iter().chain(names(&before, "-spot-"));
        let all = names(&now, "");
        all.len() == before.len() && old.into_iter().all(|name| !all.contains(&name))
    })
    .await;
    let control_plane = |machines: &[Machine]| -> Vec<String> {
        let all = names(machines, "").into_iter();
        all.filter(|name| !name.contains("-md-0-") && !name.contains("-spot-")).collect()
    };
    assert_eq!(control_plane(&test.machines().await), control_plane(&before));
    // The taint concerns the bootstrap template of the spot workers alone.
    let before = test.machines().await;
    let value = json!([{"name": "vmStartupDuration", "value": "30s"}, {"name": "workerTaints", "value": false}]);
    test.patch_cluster("cloud-1", json!({"spec": {"topology": {"variables": value}}})).await;
    test.until("spot workers are replaced", async || {
        let all = names(&test.machines().await, "");
        all.len() == before.len() && names(&before, "-spot-").iter().all(|name| !all.contains(name))
    })
    .await;
    let now = test.machines().await;
    assert_eq!(names(&now, "-md-0-"), names(&before, "-md-0-"));
    assert_eq!(control_plane(&now), control_plane(&before));
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_over_two_minors_takes_the_control_plane_through_both_and_workers_one_by_one() {
    let test = Test::start().await;
    let at = |version: &'static str| {
        move |object: &mut Value| {
            if object["kind"] == "Cluster" {
                object["spec"]["topology"]["version"] = json!(version);
                object["spec"]["topology"]["controlPlane"]["replicas"] = json!(1);
            }
        }
    };
    test.apply(&manifests(CLOUD, at("v1.33.0"))).await;
    test.available(1).await;
    test.apply(&manifests(CLOUD, at("v1.35.0"))).await;
    let mut seen: Vec<String> = Vec::new();
    let (mut messages, mut together) = (Vec::new(), 0);
    test.until("all is at v1.35.0", async || {
        let machines = test.machines().await;
        let control_plane = machines.iter().filter(|machine| {
            !machine.metadata.name.as_deref().unwrap_or_default().contains("-md-0-")
                && !machine.metadata.name.as_deref().unwrap_or_default().contains("-spot-")
        });
        for machine in control_plane {
            if !seen.contains(&machine.spec.version) {
                seen.push(machine.spec.version.clone());
            }
        }
        let (reason, message) = test.reconciled("cloud-1").await;
        if messages.last() != Some(&message) {
            messages.push(message);
        }
        let deployments = test.deployments().await;
        let is_upgrading = |deployment: &&MachineDeployment| {
            let version = &deployment.spec.template.spec.version;
            let labels = deployment.spec.selector.match_labels.clone().unwrap_or_default();
            let own = machines.iter().filter(|machine| {
                let held = machine.metadata.labels.clone().unwrap_or_default();
                labels.iter().all(|(key, value)| held.get(key) == Some(value))
            });
            own.into_iter().any(|machine| machine.spec.version != *version)
        };
        together = together.max(deployments.iter().filter(is_upgrading).count());
        reason == "ReconcileSucceeded"
            && machines.iter().all(|machine| machine.spec.version == "v1.35.0")
    })
    .await;
    assert_eq!(seen, ["v1.33.0", "v1.34.0", "v1.35.0"]);
    assert_eq!(together, 1, "one MachineDeployment at a time");
    assert!(
        messages
            .iter()
            .any(|it| it
                .contains("KubeadmControlPlane upgrading to version v1.34.0 (v1.35.0 pending)")),
        "{messages:#?}"
    );
    let cluster: Cluster =
        test.client().get(&ObjectKey::new("default", "cloud-1")).await.unwrap().unwrap();
    let annotations = cluster.metadata.annotations.unwrap_or_default();
    assert!(!annotations.keys().any(|key| key.contains("upgrade-step")), "{annotations:?}");
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_class_stops_its_own_clusters_and_says_so() {
    let test = Test::start().await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    test.apply(&manifests(CLOUD, |_| {})).await;
    test.available(2).await;
    let class = ObjectKey::new("default", "cloud");
    let patch = json!([{
        "name": "broken",
        "definitions": [{
            "selector": {
                "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2",
                "kind": "DevMachineTemplate",
                "matchResources": {"controlPlane": true}
            },
            "jsonPatches": [{"op": "remove", "path": "/spec/template/spec/nowhere"}]
        }]
    }]);
    let patch = json!({"spec": {"patches": patch}});
    test.client()
        .merge_patch::<crate::api::topology::ClusterClass>(&class, "", &patch)
        .await
        .unwrap();
    test.pass(5).await;
    let (reason, message) = test.reconciled("cloud-1").await;
    assert_eq!(reason, "ReconcileFailed");
    assert!(message.contains("broken"), "{message}");
    let before = test.machines().await.len();
    test.patch_cluster(
        "instant-1",
        json!({"spec": {"topology": {"controlPlane": {"replicas": 3}}}}),
    )
    .await;
    test.until("the other cluster scales", async || test.machines().await.len() == before + 2)
        .await;
    assert_eq!(test.reconciled("instant-1").await.0, "ReconcileSucceeded");
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn workers_that_leave_the_topology_go_with_their_templates() {
    let test = Test::start().await;
    test.apply(&manifests(INSTANT, |_| {})).await;
    test.available(1).await;
    let workers = Value::Null;
    test.patch_cluster("instant-1", json!({"spec": {"topology": {"workers": workers}}})).await;
    test.until("the workers are gone", async || test.deployments().await.is_empty()).await;
    test.pass(10).await;
    let resource = |group: &str, kind: &str| kube::core::ApiResource {
        group: format!("{group}.cluster.x-k8s.io"),
        version: "v1beta2".into(),
        api_version: format!("{group}.cluster.x-k8s.io/v1beta2"),
        kind: kind.into(),
        plural: format!("{}s", kind.to_lowercase()),
    };
    for resource in [
        resource("bootstrap", "KubeadmConfigTemplate"),
        resource("infrastructure", "DevMachineTemplate"),
    ] {
        let left = test
            .client()
            .list_dynamic(&resource, "default", "topology.cluster.x-k8s.io/deployment-name")
            .await
            .unwrap();
        assert_eq!(left, Vec::<Value>::new());
    }
    test.playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_tells_what_would_happen_and_does_nothing() {
    let test = Test::start().await;
    let clock = test.playground.clock().clone();
    test.apply(&manifests(CLOUD, |_| {})).await;
    test.available(1).await;
    let plan_of = async |change: &dyn Fn(&mut Value)| {
        let only_cluster = |manifest: &Manifest| manifest.object["kind"] == "Cluster";
        let mut all = manifests(CLOUD, change);
        all.retain(only_cluster);
        plan::plan(test.client(), &clock, "default", &all).await.unwrap()
    };
    let same = plan_of(&|_| {}).await;
    assert!(same.is_empty(), "{same:#?}");
    let before = test.machines().await.len();
    let changed = plan_of(&|object| {
        if object["kind"] == "Cluster" {
            object["spec"]["topology"]["variables"][0]["value"] = json!("10s");
        }
    })
    .await;
    let steps: Vec<(&str, &str, Option<i64>)> = changed.clusters[0]
        .steps
        .iter()
        .map(|step| (step.action.as_str(), step.kind.as_str(), step.rolls))
        .collect();
    assert_eq!(
        steps,
        [
            ("create", "DevMachineTemplate", None),
            ("patch", "MachineDeployment", Some(2)),
            ("create", "DevMachineTemplate", None),
            ("patch", "MachineDeployment", Some(1)),
        ],
        "{changed:#?}"
    );
    test.pass(60).await;
    assert_eq!(test.machines().await.len(), before);
    let api = plan::empty_api(&clock).await.unwrap();
    let all = plan::plan(&api, &clock, "default", &manifests(INSTANT, |_| {})).await.unwrap();
    let kinds: Vec<&str> = all.clusters[0].steps.iter().map(|step| step.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "DevCluster",
            "MachineHealthCheck",
            "DevMachineTemplate",
            "KubeadmControlPlane",
            "DevMachineTemplate",
            "KubeadmConfigTemplate",
            "MachineDeployment",
            "MachineHealthCheck",
        ],
        "{all:#?}"
    );
    test.playground.stop().await;
}
