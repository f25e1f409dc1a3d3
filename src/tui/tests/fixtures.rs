//! Playgrounds to draw.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::{ClientRequests, EtcdReport, MemberReport, ObjectKey};
use crate::clock::Clock;
use crate::describe::{Reference, Sources as Objects};
use crate::tui::fetch::{self, Fetched, Got, ServerTable, Want};
use crate::tui::model::feed::{Changed, Changes};
use crate::tui::run::App;
use crate::tui::theme::Theme;
use crate::tui::views::Head;

/// When the pictures are taken; objects are older.
pub(super) const NOW: &str = "2026-01-01T01:00:00Z";

/// What there is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    Empty,
    One,
    Thousand,
    Problems,
    Disconnected,
}

impl Scenario {
    pub(super) const ALL: [Self; 5] =
        [Self::Empty, Self::One, Self::Thousand, Self::Problems, Self::Disconnected];
}

/// A dashboard of a scenario.
pub(super) fn app(scenario: Scenario, theme: Theme) -> App {
    let start: Timestamp = NOW.parse().unwrap();
    let mut head = Head {
        url: "https://127.0.0.1:6443".into(),
        kubeconfig: "~/.local/state/capim/config".into(),
        ..Head::default()
    };
    if scenario == Scenario::Disconnected {
        let since = "2026-01-01T00:59:20Z".parse().unwrap();
        head.disconnected = Some((since, "Connection refused (os error 111)".into()));
    }
    let mut app = App::new(Clock::virtual_from(start), head, theme);
    app.apply(changes(scenario));
    app
}

/// The objects of a scenario, made once.
pub(super) fn changes(scenario: Scenario) -> Changes {
    static MADE: [OnceLock<Changes>; 5] = [const { OnceLock::new() }; 5];
    let all = MADE[scenario as usize].get_or_init(|| made(scenario));
    Changes {
        clusters: all.clusters.clone(),
        machines: all.machines.clone(),
        control_planes: all.control_planes.clone(),
        events: all.events.clone(),
        deployments: all.deployments.clone(),
        sets: all.sets.clone(),
        classes: all.classes.clone(),
        ..Changes::default()
    }
}

fn made(scenario: Scenario) -> Changes {
    let clusters = match scenario {
        Scenario::Empty => Vec::new(),
        Scenario::One | Scenario::Disconnected => vec![healthy("demo", 0)],
        Scenario::Thousand => {
            (1..=1000).map(|number| healthy(&format!("scale-{number:05}"), number)).collect()
        }
        Scenario::Problems => troubled(),
    };
    let mut changes = Changes::default();
    for cluster in clusters {
        changes.clusters.push(typed(&cluster.cluster));
        changes.control_planes.push(typed(&cluster.control_plane));
        changes.machines.extend(cluster.machines.iter().map(typed));
        changes.deployments.push(typed(&cluster.deployment));
        changes.sets.push(typed(&cluster.set));
        changes.events.extend(cluster.events.iter().map(typed));
    }
    if scenario != Scenario::Empty {
        changes.classes.push(typed(&class()));
    }
    changes
}

fn typed<K: kube::Resource + DeserializeOwned>(object: &Value) -> (ObjectKey, Option<Arc<K>>) {
    let object: K = serde_json::from_value(object.clone()).unwrap();
    let key = ObjectKey::of(&object);
    let changed: Changed<K> = vec![(key, Some(Arc::new(object)))];
    changed.into_iter().next().unwrap()
}

/// The objects of one cluster.
#[derive(Clone)]
struct ClusterObjects {
    cluster: Value,
    control_plane: Value,
    machines: Vec<Value>,
    deployment: Value,
    set: Value,
    events: Vec<Value>,
}

fn time(second: usize) -> String {
    let start: Timestamp = "2026-01-01T00:40:00Z".parse().unwrap();
    (start + jiff::SignedDuration::from_secs(i64::try_from(second).unwrap())).to_string()
}

fn condition(type_: &str, status: &str, second: usize, message: &str) -> Value {
    let reason = match status {
        "True" => type_.to_owned(),
        _ => format!("Not{type_}"),
    };
    json!({"type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": time(second)})
}

fn owner(api_version: &str, kind: &str, name: &str) -> Value {
    json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": format!("{kind}-{name}"),
        "controller": true}])
}

const CORE: &str = "cluster.x-k8s.io/v1beta2";
const KCP: &str = "controlplane.cluster.x-k8s.io/v1beta2";
const INFRASTRUCTURE: &str = "infrastructure.cluster.x-k8s.io";

fn metadata(kind: &str, name: &str, cluster: &str, second: usize) -> Value {
    json!({"name": name, "namespace": "default", "uid": format!("{kind}-{name}"),
        "creationTimestamp": time(second), "resourceVersion": "1",
        "labels": {"cluster.x-k8s.io/cluster-name": cluster}})
}

fn machine(cluster: &str, name: &str, second: usize, owner_of: (&str, &str, &str)) -> Value {
    let mut metadata = metadata("Machine", name, cluster, second);
    let (api_version, kind, owner_name) = owner_of;
    metadata["ownerReferences"] = owner(api_version, kind, owner_name);
    let mut conditions = vec![
        condition("BootstrapConfigReady", "True", second + 1, ""),
        condition("InfrastructureReady", "True", second + 11, ""),
        condition("NodeHealthy", "True", second + 13, ""),
        condition("Ready", "True", second + 15, ""),
        condition("Available", "True", second + 15, ""),
        condition("UpToDate", "True", second, ""),
        condition("Paused", "False", second, ""),
        condition("Deleting", "False", second, ""),
    ];
    if kind == "KubeadmControlPlane" {
        metadata["labels"]["cluster.x-k8s.io/control-plane"] = json!("");
        for type_ in ["APIServerPodHealthy", "EtcdPodHealthy", "EtcdMemberHealthy"] {
            conditions.push(condition(type_, "True", second + 15, ""));
        }
    }
    json!({"apiVersion": CORE, "kind": "Machine", "metadata": metadata,
        "spec": {"clusterName": cluster, "version": "v1.36.1",
            "providerID": format!("dev:////{name}"),
            "infrastructureRef":
                {"apiGroup": INFRASTRUCTURE, "kind": "DevMachine", "name": name},
            "bootstrap": {"configRef": {"apiGroup": "bootstrap.cluster.x-k8s.io",
                "kind": "KubeadmConfig", "name": name}}},
        "status": {"phase": "Running", "nodeRef": {"name": name}, "conditions": conditions}})
}

fn counts(ready: u32, desired: u32) -> Value {
    json!({"readyReplicas": ready, "desiredReplicas": desired, "replicas": desired,
        "availableReplicas": ready, "upToDateReplicas": desired,
        "versions": [{"version": "v1.36.1", "replicas": desired}]})
}

fn workers(name: &str, kind: &str, cluster: &str, second: usize, headline: &str) -> Value {
    json!({"apiVersion": CORE, "kind": kind, "metadata": metadata(kind, name, cluster, second),
        "spec": {"clusterName": cluster, "replicas": 2, "selector": {},
            "template": {"spec": {"clusterName": cluster, "version": "v1.36.1"}}},
        "status": {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2,
            "upToDateReplicas": 2, "phase": "Running",
            "conditions": [condition(headline, "True", second + 20, "")]}})
}

/// A cluster on which nothing is wrong, made at its number of seconds.
fn healthy(name: &str, second: usize) -> ClusterObjects {
    let kcp = format!("{name}-cp");
    let deployment = format!("{name}-md-0");
    let set = format!("{deployment}-7fz9c");
    let mut deployment_object =
        workers(&deployment, "MachineDeployment", name, second, "Available");
    deployment_object["metadata"]["ownerReferences"] = owner(CORE, "Cluster", name);
    let mut set_object = workers(&set, "MachineSet", name, second, "MachinesReady");
    set_object["metadata"]["ownerReferences"] = owner(CORE, "MachineDeployment", &deployment);
    let cluster = json!({"apiVersion": CORE, "kind": "Cluster",
    "metadata": metadata("Cluster", name, name, second),
    "spec": {
        "topology": {"classRef": {"name": "in-memory"}, "version": "v1.36.1"},
        "controlPlaneEndpoint": {"host": "127.0.0.1", "port": 20001},
        "controlPlaneRef": {"apiGroup": "controlplane.cluster.x-k8s.io",
            "kind": "KubeadmControlPlane", "name": kcp},
        "infrastructureRef": {"apiGroup": INFRASTRUCTURE, "kind": "DevCluster", "name": name}},
    "status": {"phase": "Provisioned", "controlPlane": counts(1, 1), "workers": counts(2, 2),
        "conditions": [
            condition("Available", "True", second + 35, ""),
            condition("InfrastructureReady", "True", second + 1, ""),
            condition("ControlPlaneInitialized", "True", second + 16, ""),
            condition("ControlPlaneAvailable", "True", second + 17, ""),
            condition("Paused", "False", second, ""),
        ]}});
    let control_plane = json!({"apiVersion": KCP, "kind": "KubeadmControlPlane",
    "metadata": metadata("KubeadmControlPlane", &kcp, name, second),
    "spec": {"replicas": 1, "version": "v1.36.1"},
    "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1,
        "upToDateReplicas": 1, "version": "v1.36.1",
        "initialization": {"controlPlaneInitialized": true},
        "conditions": [
            condition("Initialized", "True", second + 16, ""),
            condition("Available", "True", second + 17, ""),
            condition("EtcdClusterHealthy", "True", second + 16, ""),
        ]}});
    let event = json!({"apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("{name}.1"), "namespace": "default"},
        "type": "Normal", "reason": "Provisioned", "message": "Cluster is available", "count": 1,
        "lastTimestamp": time(second + 35),
        "involvedObject":
            {"apiVersion": CORE, "kind": "Cluster", "name": name, "namespace": "default"}});
    ClusterObjects {
        cluster,
        control_plane,
        machines: vec![
            machine(name, &format!("{kcp}-x7k2m"), second + 1, (KCP, "KubeadmControlPlane", &kcp)),
            machine(name, &format!("{set}-2qk8d"), second + 17, (CORE, "MachineSet", &set)),
            machine(name, &format!("{set}-5tn2v"), second + 18, (CORE, "MachineSet", &set)),
        ],
        deployment: deployment_object,
        set: set_object,
        events: vec![event],
    }
}

/// Clusters in every state there is, one with a name that wants to steer the terminal.
fn troubled() -> Vec<ClusterObjects> {
    let member_down =
        "* Machine degraded-cp-x7k2m:\n  * EtcdMemberHealthy: etcd endpoint does not answer";
    let mut degraded = healthy("degraded", 10);
    set_condition(&mut degraded.cluster, condition("Available", "False", 1100, member_down));
    set_condition(&mut degraded.control_plane, condition("Available", "False", 1100, member_down));
    set_condition(&mut degraded.control_plane, condition("EtcdClusterHealthy", "False", 1100, ""));
    for type_ in ["EtcdMemberHealthy", "Ready"] {
        let message = "etcd endpoint does not answer";
        set_condition(&mut degraded.machines[0], condition(type_, "False", 1100, message));
    }
    degraded.events = (0..3).map(|number| warning(&degraded.machines[0], number)).collect();

    let mut provisioning = healthy("provisioning", 1170);
    let waiting = "* Machine provisioning-cp-x7k2m:\n  * InfrastructureReady: VM is starting";
    set_condition(&mut provisioning.cluster, condition("Available", "False", 1170, waiting));
    set_condition(
        &mut provisioning.cluster,
        condition("ControlPlaneInitialized", "False", 1170, ""),
    );
    provisioning.cluster["status"]["controlPlane"] = counts(0, 1);
    provisioning.cluster["status"]["workers"] = counts(0, 2);
    provisioning.control_plane["status"]["initialization"] = json!({});
    set_condition(&mut provisioning.control_plane, condition("Available", "False", 1170, waiting));
    for machine in &mut provisioning.machines {
        machine["status"]["phase"] = json!("Provisioning");
        machine["status"]["nodeRef"] = Value::Null;
        set_condition(machine, condition("InfrastructureReady", "False", 1171, "VM is starting"));
        set_condition(machine, condition("NodeHealthy", "Unknown", 1171, ""));
        set_condition(
            machine,
            condition("Ready", "False", 1171, "* InfrastructureReady: VM is starting"),
        );
    }
    let mut failed = healthy("failed", 20);
    failed.cluster["status"]["phase"] = json!("Failed");
    set_condition(
        &mut failed.cluster,
        condition("Available", "False", 30, "InfrastructureReady: quota exceeded"),
    );
    let mut deleting = healthy("deleting", 30);
    deleting.cluster["metadata"]["deletionTimestamp"] = json!(time(1150));
    deleting.cluster["metadata"]["finalizers"] = json!(["cluster.cluster.x-k8s.io"]);
    set_condition(
        &mut deleting.cluster,
        condition("Deleting", "True", 1150, "* Control plane Machines: deleting-cp-x7k2m"),
    );
    let mut paused = healthy("paused", 40);
    set_condition(&mut paused.cluster, condition("Paused", "True", 1000, ""));
    let mut scaling = healthy("scaling-漢字-é", 50);
    set_condition(
        &mut scaling.cluster,
        condition(
            "ScalingUp",
            "True",
            1100,
            "* MachineDeployment: Scaling up from 2 to 20 replicas",
        ),
    );
    scaling.cluster["status"]["workers"] = counts(2, 20);
    let mut hostile = healthy("x\u{1b}[2Jhostile\u{202e}name", 60);
    let steering = format!("\u{1b}]0;title\u{7}{}", "a long message that goes on ".repeat(12));
    set_condition(&mut hostile.cluster, condition("Available", "Unknown", 1100, &steering));
    let available = healthy("available", 70);
    vec![degraded, provisioning, failed, deleting, paused, scaling, hostile, available]
}

fn warning(machine: &Value, number: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "Event",
        "metadata": {"name": format!("warning.{number}"), "namespace": "default"},
        "type": "Warning", "reason": "EtcdMemberUnhealthy", "count": 4,
        "message": "etcd endpoint does not answer", "lastTimestamp": time(1100 + number),
        "involvedObject": {"apiVersion": CORE, "kind": "Machine",
            "name": machine["metadata"]["name"], "namespace": "default"}})
}

fn set_condition(object: &mut Value, condition: Value) {
    let conditions = object["status"]["conditions"].as_array_mut().unwrap();
    match conditions.iter_mut().find(|other| other["type"] == condition["type"]) {
        Some(other) => *other = condition,
        None => conditions.push(condition),
    }
}

fn class() -> Value {
    let variable = |name: &str, schema: Value| {
        json!({"name": name, "definitions":
            [{"from": "inline", "required": true, "schema": {"openAPIV3Schema": schema}}]})
    };
    json!({"apiVersion": CORE, "kind": "ClusterClass",
        "metadata": metadata("ClusterClass", "in-memory", "", 0),
        "spec": {
            "infrastructure": {"templateRef": {"kind": "DevClusterTemplate", "name": "in-memory"}},
            "controlPlane":
                {"templateRef": {"kind": "KubeadmControlPlaneTemplate", "name": "in-memory-cp"}},
            "workers": {"machineDeployments": [{"class": "default-worker"}]},
            "patches": [{"name": "image", "definitions": []}]},
        "status": {
            "variables": [
                variable("imageRepository", json!({"type": "string", "default": "registry.k8s.io"})),
                variable("workerCount", json!({"type": "integer"})),
            ],
            "conditions": [condition("VariablesReady", "True", 1, "")]}})
}

/// What the server would say.
pub(super) fn answer(want: &Want) -> Option<Arc<Fetched>> {
    let find = |name: &str| {
        let mut all = troubled();
        all.push(healthy("demo", 0));
        all.push(healthy("scale-00001", 1));
        all.into_iter().find(|cluster| cluster.cluster["metadata"]["name"] == name)
    };
    let got = match want {
        Want::Cluster(key) | Want::ControlPlane(key) => {
            Got::Cluster(Box::new(objects(find(&key.name)?)))
        }
        Want::Object { key, .. } => Got::Object(fetch::yaml(find(&key.name)?.cluster).unwrap()),
        Want::Table { word, .. } => Got::Table(nodes(word)),
        Want::Requests => Got::Requests(clients()),
    };
    let etcd = match want {
        Want::ControlPlane(key) if key.name == "failed" => {
            Some(Err("Secret default/failed-etcd is forbidden".to_owned()))
        }
        Want::ControlPlane(key) => Some(Ok(etcd(&key.name))),
        _ => None,
    };
    Some(Arc::new(Fetched { want: want.clone(), got: Ok(got), etcd }))
}

/// Members of every kind.
fn etcd(cluster: &str) -> EtcdReport {
    let member = |suffix: &str| MemberReport {
        name: format!("{cluster}-cp-{suffix}"),
        version: "3.6.6".into(),
        db_bytes: 5 << 20,
        ..MemberReport::default()
    };
    let silent = Some("connection refused".into());
    let members = vec![
        MemberReport { is_learner: true, ..member("5tn2v") },
        MemberReport { silent, version: String::new(), ..member("9kd4q") },
        MemberReport { alarms: vec!["NOSPACE"], ..member("b8w6z") },
        MemberReport { is_leader: true, ..member("x7k2m") },
    ];
    EtcdReport { members }
}

fn objects(cluster: ClusterObjects) -> Objects {
    let reference = |group: &str, kind: &str, name: &Value| Reference {
        group: group.into(),
        kind: kind.into(),
        name: name.as_str().unwrap().into(),
    };
    let kcp = &cluster.control_plane;
    let mut objects = Objects {
        machines: cluster.machines.clone(),
        machine_sets: vec![cluster.set.clone()],
        machine_deployments: vec![cluster.deployment.clone()],
        ..Objects::default()
    };
    let key =
        reference("controlplane.cluster.x-k8s.io", "KubeadmControlPlane", &kcp["metadata"]["name"]);
    objects.referenced.insert(key, kcp.clone());
    let infrastructure = |kind: &str, name: &Value| {
        json!({"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": kind,
            "metadata": {"name": name, "namespace": "default"},
            "status": {"conditions": [condition("Ready", "True", 1, "")]}})
    };
    let name = &cluster.cluster["metadata"]["name"];
    let key = reference(INFRASTRUCTURE, "DevCluster", name);
    objects.referenced.insert(key, infrastructure("DevCluster", name));
    for machine in &cluster.machines {
        let name = &machine["metadata"]["name"];
        let key = reference(INFRASTRUCTURE, "DevMachine", name);
        objects.referenced.insert(key, infrastructure("DevMachine", name));
    }
    objects.cluster = cluster.cluster;
    objects
}

/// Clients of a server, the text of one steering.
fn clients() -> Vec<Arc<ClientRequests>> {
    let client = |program: &str, user: &str, requests: u64, errors: (u64, u64)| {
        let watches = requests % 7;
        let name = if user.is_empty() { program.into() } else { format!("{program}@{user}") };
        let report = json!({
            "metadata": {"name": name}, "program": program, "user": user,
            "inProcess": user == "system:capim", "requests": requests,
            "requestsPerSecond": requests as f64 / 100.0,
            "errors": {"client": errors.0, "server": errors.1}, "openWatches": watches,
            "latency": {"p50Seconds": 0.0004, "p99Seconds": requests as f64 / 1e4},
            "firstSeen": "2026-01-01T00:40:00Z", "lastSeen": "2026-01-01T00:59:58Z",
            "resources": [
                {"group": "", "resource": "", "verbs": {"get": 3}},
                {"group": "cluster.x-k8s.io", "resource": "machines",
                    "verbs": {"list": 1, "watch": watches, "patch": requests}},
            ],
        });
        Arc::new(serde_json::from_value(report).unwrap())
    };
    vec![
        client("capi/v0.1.0", "system:capim", 2210, (12, 0)),
        client("kubectl/v1.36.1", "kubernetes-admin", 96, (3, 1)),
        client("argocd/\u{1b}[2J\u{202e}", "system:serviceaccount:argocd:server", 411, (0, 0)),
        client("unknown", "", 5, (5, 0)),
    ]
}

fn nodes(word: &str) -> ServerTable {
    let row = |name: &str, roles: &str| {
        let cells = [name, "Ready", roles, "19m", "v1.36.1"];
        (ObjectKey::new("", name), cells.map(str::to_owned).to_vec())
    };
    ServerTable {
        api_version: "v1".into(),
        kind: if word == "nodes" { "Node" } else { "Pod" }.into(),
        columns: ["Name", "Status", "Roles", "Age", "Version"]
            .map(|name| (name.into(), 0))
            .to_vec(),
        rows: vec![row("cp-x7k2m", "control-plane"), row("md-0-2qk8d", "<none>")],
        left_out: 0,
    }
}
