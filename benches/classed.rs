//! Many Clusters of one ClusterClass, and changes that touch all of them; prints JSON.
//!
//! `cargo bench --bench classed [-- N...]`, by default 1000 Clusters of one control plane and one
//! worker machine, all durations 0. Every size runs in a process of its own. Phases, each until
//! nothing is left to do:
//!
//! * `create`: from the first create until every Cluster is Available and every Machine Running;
//! * `class`: the class gets a further variable with a default that its patches use: every Cluster
//!   gets the value, a new bootstrap template and a new worker;
//! * `variable`: each Cluster gets another value: the same once more, Cluster by Cluster;
//! * `label`: the class gets a label for its workers: everything is changed in place.

use std::collections::BTreeSet;
use std::time::Duration;

use capim::api::core::{Cluster, Machine, MachineDeployment};
use capim::api::topology::ClusterClass;
use capim::client::ObjectKey;
use capim::clock::Clock;
use capim::contract::conditions;
use capim::playground::{Manifest, Playground, apply_manifests, parse_manifests};
use capim::runtime::Informer;
use serde_json::{Value, json};
use usage::{Usage, rounded};

mod playground;
mod usage;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Time after which a phase has failed.
const LIMIT: Duration = Duration::from_secs(1_800);
/// Pause between two looks at the caches.
const LOOK: Duration = Duration::from_millis(100);
const CLASS: &str = include_str!("../assets/classes/instant.yaml");
const COUNTERS: [&str; 2] = ["capim_topology_applies_total", "capim_topology_dry_runs_total"];

fn main() {
    playground::run_sizes(&[1000], run);
}

struct Bench {
    playground: Playground,
    clock: Clock,
    clusters: Informer<Cluster>,
    deployments: Informer<MachineDeployment>,
    machines: Informer<Machine>,
    size: usize,
}

async fn run(size: usize) -> Value {
    let clock = Clock::wall();
    let playground = playground::start(&clock).await;
    let manager = playground.manager();
    let (clusters, deployments) = (manager.informer(), manager.informer());
    let machines = manager.informer();
    let bench = Bench { playground, clock, clusters, deployments, machines, size };
    let result = bench.phases().await;
    bench.playground.stop().await;
    result
}

impl Bench {
    async fn phases(&self) -> Value {
        let manifests = parse_manifests("instant.yaml", CLASS).expect("the class is in order");
        let (clusters, class): (Vec<_>, Vec<_>) =
            manifests.into_iter().partition(|manifest| manifest.object["kind"] == "Cluster");
        let create = async || {
            apply_manifests(self.playground.client(), "default", &class).await.expect("applied");
            for number in 0..self.size {
                self.create(&clusters[0], number).await;
            }
        };
        let first = self.phase("create", create, Wanted::Rollout).await;
        let by_class = async || self.patch_class(add_variable).await;
        let by_class = self.phase("class", by_class, Wanted::Rollout).await;
        let by_variable = async || {
            for number in 0..self.size {
                let value = json!([{"name": "greeting", "value": "two"}]);
                let patch = json!({"spec": {"topology": {"variables": value}}});
                let key = key(number);
                let client = self.playground.client();
                client.merge_patch::<Cluster>(&key, "", &patch).await.expect("patched");
            }
        };
        let by_variable = self.phase("variable", by_variable, Wanted::Rollout).await;
        let by_label = async || {
            let label = json!({"metadata": {"labels": {LABEL: ""}}});
            self.patch_class(|spec| extend(&mut spec["workers"]["machineDeployments"][0], &label))
                .await;
        };
        let by_label = self.phase("label", by_label, Wanted::Label).await;
        let usage = Usage::now(&self.clock);
        json!({
            "bench": "classed",
            "clusters": self.size,
            "resident_mib_peak": usage.peak_mib,
            "phases": [first, by_class, by_variable, by_label],
        })
    }

    async fn create(&self, manifest: &Manifest, number: usize) {
        let mut object = manifest.object.clone();
        object["metadata"]["name"] = json!(key(number).name);
        let path = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/clusters";
        self.playground.client().create_json(path, &object).await.expect("the API accepts it");
    }

    /// Changes `spec` of the class.
    async fn patch_class(&self, change: impl FnOnce(&mut Value)) {
        let client = self.playground.client();
        let path = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/clusterclasses/instant";
        let mut class = client.get_json(path).await.expect("the class is there");
        change(&mut class["spec"]);
        let key = ObjectKey::new("default", "instant");
        let patch = json!({"spec": class["spec"]});
        client.merge_patch::<ClusterClass>(&key, "", &patch).await.expect("patched");
    }

    /// Does something and measures until all Clusters are settled and all workers are as wanted.
    async fn phase(&self, name: &str, action: impl AsyncFnOnce(), wanted: Wanted) -> Value {
        let old = self.templates();
        let before = (Usage::now(&self.clock), self.playground.server().counts(), self.counters());
        action().await;
        let acted = Usage::now(&self.clock);
        let settled = async {
            while !self.is_settled(wanted, &old) {
                self.clock.sleep(LOOK).await;
            }
        };
        self.clock.timeout(LIMIT, settled).await.expect("all Clusters settle in time");
        let after = Usage::now(&self.clock);
        let counts = self.playground.server().counts();
        let size = self.size as f64;
        let counters = self.counters();
        json!({
            "phase": name,
            "wall_seconds": rounded(after.elapsed - before.0.elapsed),
            "action_seconds": rounded(acted.elapsed - before.0.elapsed),
            "cpu_seconds": rounded(after.cpu - before.0.cpu),
            "cpu_ms_per_cluster": rounded((after.cpu - before.0.cpu) * 1e3 / size),
            "resident_mib": after.resident_mib,
            "api_writes_per_cluster": rounded((counts.writes - before.1.writes) as f64 / size),
            "noop_writes": counts.noop_writes - before.1.noop_writes,
            "conflicts": counts.conflicts - before.1.conflicts,
            "topology_applies_per_cluster": rounded((counters[0] - before.2[0]) / size),
            "topology_dry_runs_per_cluster": rounded((counters[1] - before.2[1]) / size),
        })
    }

    /// Names of the workers' bootstrap templates.
    fn templates(&self) -> BTreeSet<String> {
        self.deployments.list().iter().map(|deployment| template(deployment)).collect()
    }

    fn is_settled(&self, wanted: Wanted, old: &BTreeSet<String>) -> bool {
        let (clusters, machines) = (self.clusters.list(), self.machines.list());
        let deployments = self.deployments.list();
        let is_as_wanted = |deployment: &MachineDeployment| match wanted {
            Wanted::Rollout => !old.contains(&template(deployment)),
            Wanted::Label => deployment.spec.template.metadata.labels.contains_key(LABEL),
        };
        let is_labelled = |machine: &Machine| {
            machine.metadata.labels.as_ref().is_some_and(|held| held.contains_key(LABEL))
        };
        let labelled = machines.iter().filter(|machine| is_labelled(machine)).count();
        (clusters.len(), deployments.len(), machines.len()) == (self.size, self.size, 2 * self.size)
            && (labelled == self.size || matches!(wanted, Wanted::Rollout))
            && clusters.iter().all(|cluster| is_ready(cluster))
            && deployments.iter().all(|it| is_as_wanted(it) && is_rolled_out(it))
            && machines.iter().all(|machine| {
                machine.status.as_ref().is_some_and(|status| status.phase == "Running")
            })
    }

    fn counters(&self) -> [f64; 2] {
        let text = self.playground.manager().metrics().render();
        COUNTERS.map(|name| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
        })
    }
}

fn key(number: usize) -> ObjectKey {
    ObjectKey::new("default", format!("classed-{number:05}"))
}

/// What a phase ends with.
#[derive(Clone, Copy)]
enum Wanted {
    /// All workers are made of new templates.
    Rollout,
    /// All workers have the label.
    Label,
}

/// Label that the class gets.
const LABEL: &str = "bench";

/// Name of the bootstrap template.
fn template(deployment: &MachineDeployment) -> String {
    let reference = deployment.spec.template.spec.bootstrap.config_ref.as_ref();
    reference.map(|reference| reference.name.clone()).unwrap_or_default()
}

/// Gives a class a variable, and a patch by which workers say it before they start.
fn add_variable(spec: &mut Value) {
    let variables = json!([{
        "name": "greeting",
        "required": false,
        "schema": {"openAPIV3Schema": {
            "type": "string", "default": "one", "maxLength": 20,
            "x-kubernetes-validations": [{"rule": "self != 'never'"}],
        }},
    }]);
    let patches = json!([{
        "name": "greeting",
        "definitions": [{
            "selector": {
                "apiVersion": "bootstrap.cluster.x-k8s.io/v1beta2",
                "kind": "KubeadmConfigTemplate",
                "matchResources": {"machineDeploymentClass": {"names": ["default-worker"]}},
            },
            "jsonPatches": [{
                "op": "add",
                "path": "/spec/template/spec/preKubeadmCommands",
                "valueFrom": {"template": "- echo {{ .greeting | quote }}"},
            }],
        }],
    }]);
    extend(spec, &json!({"variables": variables, "patches": patches}));
}

fn extend(object: &mut Value, more: &Value) {
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
}

fn is_ready(cluster: &Cluster) -> bool {
    let held = cluster.status.as_ref().map_or(&[][..], |status| &status.conditions);
    ["Available", "TopologyReconciled"].iter().all(|name| conditions::is_true(held, name))
}

fn is_rolled_out(deployment: &MachineDeployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    status.observed_generation == deployment.metadata.generation
        && [status.replicas, status.up_to_date_replicas, status.available_replicas]
            .iter()
            .all(|count| *count == deployment.spec.replicas)
}
