use serde_json::json;

use super::*;
use crate::describe::{Options, Sources};

const NOW: &str = "2026-01-01T01:00:00Z";

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:58:00Z"})
}

fn fake(name: &str, message: Option<&str>) -> Value {
    let condition = match message {
        None => condition("Available", "True", "Available", ""),
        Some(message) => condition("Available", "False", "NotAvailable", message),
    };
    json!({"kind": "Cluster", "metadata": {"name": name, "namespace": "ns", "uid": name},
        "status": {"conditions": [condition]}})
}

fn object(kind: &str, name: &str, owner: Option<&Value>, status: Value, spec: Value) -> Value {
    let owner = owner.map(|owner| {
        json!([{"controller": true, "kind": owner["kind"], "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"]}])
    });
    json!({"kind": kind, "spec": spec, "status": status,
        "metadata": {"name": name, "namespace": "ns", "uid": name, "ownerReferences": owner}})
}

/// Text of the rows: name, columns between bars, message.
fn text(tree: &Tree<'_>) -> Vec<String> {
    let cell = |cell: &Cell| cell.iter().map(|span| span.text.as_str()).collect::<String>();
    rows(tree, NOW.parse().unwrap(), MESSAGE_WIDTH)
        .iter()
        .map(|row| row.cells.iter().map(cell).collect::<Vec<_>>().join("|"))
        .collect()
}

fn machine(name: &str, owner: &Value, ready: Value, control_plane: bool) -> Value {
    let reference = |kind: &str| json!({"apiGroup": "g", "kind": kind, "name": name});
    let mut machine = object(
        "Machine",
        name,
        Some(owner),
        json!({"conditions": [ready]}),
        json!({"version": "v1.36.1", "infrastructureRef": reference("DevMachine"),
            "bootstrap": {"configRef": reference("KubeadmConfig")}}),
    );
    if control_plane {
        machine["metadata"]["labels"] = json!({"cluster.x-k8s.io/control-plane": ""});
    }
    machine
}

/// A cluster with one control plane machine, two good workers and two bad ones.
fn sources() -> Sources {
    let yes = || condition("Ready", "True", "Ready", "");
    let no = || condition("Ready", "False", "NotReady", "* NodeHealthy: gone");
    let reference = |kind: &str, name: &str| json!({"apiGroup": "g", "kind": kind, "name": name});
    let cluster = object(
        "Cluster",
        "c",
        None,
        json!({"conditions": [condition("Available", "False", "NotAvailable", "* a\n  * b"),
                condition("Paused", "False", "NotPaused", ""),
                condition("ScalingUp", "True", "ScalingUp", "")],
            "controlPlane": {"replicas": 1, "desiredReplicas": 1, "readyReplicas": 1},
            "workers": {"replicas": 4, "desiredReplicas": 4, "readyReplicas": 2}}),
        json!({"infrastructureRef": reference("DevCluster", "c"),
            "controlPlaneRef": reference("KubeadmControlPlane", "cp")}),
    );
    let control_plane = object(
        "KubeadmControlPlane",
        "cp",
        Some(&cluster),
        json!({"replicas": 1, "readyReplicas": 1, "upToDateReplicas": 1,
            "conditions": [condition("Available", "True", "Available", "")]}),
        json!({"replicas": 1, "version": "v1.36.1",
            "machineTemplate": {"spec": {"infrastructureRef": reference("DevMachineTemplate", "t")}}}),
    );
    let deployment = object(
        "MachineDeployment",
        "md",
        Some(&cluster),
        json!({"replicas": 4, "readyReplicas": 2}),
        json!({"replicas": 4, "template": {"spec": {"version": "v1.36.1",
            "bootstrap": {"configRef": reference("KubeadmConfigTemplate", "b")},
            "infrastructureRef": reference("DevMachineTemplate", "w")}}}),
    );
    let set = object("MachineSet", "ms", Some(&deployment), json!({}), json!({"replicas": 4}));
    let machines = vec![
        machine("cp-0", &control_plane, yes(), true),
        machine("w-1", &set, yes(), false),
        machine("w-2", &set, no(), false),
        machine("w-3", &set, yes(), false),
        machine("w-4", &set, no(), false),
    ];
    let infrastructure = |name: &str, ready: Value| {
        let key = reference_of("DevMachine", name);
        (key, object("DevMachine", name, None, json!({"conditions": [ready]}), json!({})))
    };
    let referenced = [
        (reference_of("KubeadmControlPlane", "cp"), control_plane),
        (reference_of("DevCluster", "c"), object("DevCluster", "c", None, json!({}), json!({}))),
        infrastructure("cp-0", yes()),
        infrastructure("w-2", condition("Ready", "False", "Other", "why")),
    ];
    Sources {
        cluster,
        machines,
        machine_sets: vec![set],
        machine_deployments: vec![deployment],
        referenced: referenced.into_iter().collect(),
        ..Sources::default()
    }
}

fn reference_of(kind: &str, name: &str) -> crate::describe::Reference {
    crate::describe::Reference { group: "g".into(), kind: kind.into(), name: name.into() }
}

#[test]
fn like_machines_are_grouped_and_echoes_left_out() {
    let sources = sources();
    let tree = Tree::of(&sources, Options { grouping: true, ..Options::default() });
    assert_eq!(
        text(&tree),
        [
            "Cluster ns/c|5/5||3||False|NotAvailable|2m|* a",
            "│ ||||||||  * b",
            "├─DevCluster ns/c||||||||",
            "├─KubeadmControlPlane ns/cp, v1.36.1|1/1||1|1|True|Available|2m|",
            "│ └─Machine ns/cp-0, v1.36.1|1|0|1|0|True|Ready|2m|",
            "└─Workers||||||||",
            "  └─MachineDeployment ns/md, v1.36.1|4/4||2|||||",
            "    ├─2 Machines...||0|2|0|True|Ready|2m|See w-1, w-3",
            "    └─2 Machines...||0|0|0|False|NotReady|2m|See w-2, w-4",
        ]
    );
}

#[test]
fn flags_show_sets_templates_and_what_machines_refer_to() {
    let sources = sources();
    let options = Options {
        show_machine_sets: true,
        show_templates: true,
        show_conditions: "cluster/C+,Machine/w-1".to_owned(),
        ..Options::default()
    };
    let shown = text(&Tree::of(&sources, options));
    let expected = [
        "Cluster ns/c|5/5||3||||",
        "│           ├─Available||||False|NotAvailable|2m|* a",
        "│           │ |||||||  * b",
        "│           └─ScalingUp||||True|ScalingUp|2m|",
        "├─DevCluster ns/c|||||||",
        "├─KubeadmControlPlane ns/cp, v1.36.1|1/1||1|1|True|Available|2m|",
        "│ ├─Templates|||||||",
        "│ │ └─DevMachineTemplate ns/t|||||||",
        "│ └─Machine ns/cp-0, v1.36.1|1|0|1|0|True|Ready|2m|",
        "└─Workers|||||||",
        "  └─MachineDeployment ns/md, v1.36.1|4/4||2||||",
        "    ├─Templates|||||||",
        "    │ ├─DevMachineTemplate ns/w|||||||",
        "    │ └─KubeadmConfigTemplate ns/b|||||||",
        "    └─MachineSet ns/ms|0/4||||||",
        "      ├─Machine ns/w-1, v1.36.1|1|0|1|0|||",
        "      │             └─Ready||||True|Ready|2m|",
        "      ├─Machine ns/w-2, v1.36.1|1|0|0|0|False|NotReady|2m|* NodeHealthy: gone",
        "      │ └─DevMachine ns/w-2||||False|Other|2m|why",
        "      ├─Machine ns/w-3, v1.36.1|1|0|1|0|True|Ready|2m|",
        "      └─Machine ns/w-4, v1.36.1|1|0|0|0|False|NotReady|2m|* NodeHealthy: gone",
    ];
    // Which column is which, the other test shows.
    let shown: Vec<String> = shown.iter().map(|line| line.replace('|', "")).collect();
    let expected = expected.map(|line| line.replace('|', ""));
    assert_eq!(shown, expected);
}

#[test]
fn further_lines_of_messages_keep_the_branches() {
    let (good, bad) = (|name: &str| fake(name, None), |name: &str| fake(name, Some("one\ntwo")));
    let objects = [good("root"), good("1"), bad("2"), bad("3"), bad("4"), bad("5"), good("6")];
    let mut tree = Tree::new(&objects[0], Options::default());
    let one = tree.add(Tree::ROOT, Node::object(&objects[1])).unwrap();
    let two = tree.add(one, Node::object(&objects[2])).unwrap();
    let three = tree.add(two, Node::object(&objects[3])).unwrap();
    tree.add(three, Node::object(&objects[4])).unwrap();
    tree.add(Tree::ROOT, Node::object(&objects[5])).unwrap();
    let branches: Vec<String> =
        text(&tree).iter().map(|line| line.split('|').next().unwrap().to_owned()).collect();
    assert_eq!(
        branches,
        [
            "Cluster ns/root",
            "├─Cluster ns/1",
            "│ └─Cluster ns/2",
            "│   │ ",
            "│   └─Cluster ns/3",
            "│     │ ",
            "│     └─Cluster ns/4",
            "│       ",
            "└─Cluster ns/5",
            "",
        ]
    );
}

#[test]
fn old_conditions_have_severities() {
    let mut sources = sources();
    sources.machines.truncate(1);
    sources.machines[0]["status"] = json!({"deprecated": {"v1beta1": {"conditions": [
        {"type": "Ready", "status": "False", "severity": "Warning", "reason": "R",
            "message": "m".repeat(120), "lastTransitionTime": "2026-01-01T00:59:30Z"},
        {"type": "B", "status": "True"}, {"type": "A", "status": "True"}]}}});
    let options = Options {
        family: Family::V1Beta1,
        show_conditions: "machine".to_owned(),
        ..Options::default()
    };
    let shown = text(&Tree::of(&sources, options));
    let message = "m".repeat(100);
    assert_eq!(shown[3], format!("│ └─Machine ns/cp-0, v1.36.1|False|Warning|R|30s|{message} ..."));
    assert_eq!(shown[4], "│               ├─A|True||||");
}

#[test]
fn hostile_objects_are_only_odd() {
    let sources = Sources {
        cluster: json!({"kind": 1, "metadata": [], "spec": "x", "status": {"conditions": [1, null,
            {"type": {}, "lastTransitionTime": "never"}]}}),
        machines: vec![json!(null), json!([]), json!({"metadata": {"labels": 3}})],
        machine_pools: vec![json!({"status": {"replicas": i64::MAX}, "spec": {"replicas": "a"}})],
        ..Sources::default()
    };
    for grouping in [true, false] {
        let options =
            Options { grouping, show_conditions: ",+,/,all+".into(), ..Options::default() };
        assert!(!text(&Tree::of(&sources, options)).is_empty());
    }
}
