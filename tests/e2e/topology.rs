//! A managed topology, with kubectl.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{capim, repository, texts, tool};

/// Takes a Cluster over two minors and records what happens to its parts on the way.
const UPGRADE: &str = r#"
set -e
kubectl apply -f class.yaml
kubectl wait cluster/instant-1 --for=condition=Available --timeout=90s
kubectl wait machinedeployments --all --for=jsonpath='{.status.availableReplicas}'=2 --timeout=90s
FIELDS='{.metadata.resourceVersion} {.kind} {.metadata.name} {.metadata.generation}'
kubectl get kubeadmcontrolplanes -w \
    -o jsonpath="$FIELDS"' {.spec.version} {.status.version}{"\n"}' >control-planes &
CONTROL_PLANES=$!
kubectl get machinedeployments -w \
    -o jsonpath="$FIELDS"' {.spec.template.spec.version} {.status.observedGeneration} {.status.replicas} {.status.upToDateReplicas} {.status.availableReplicas}{"\n"}' >workers &
WORKERS=$!
until [ -s control-planes ] && [ -s workers ]; do sleep 0.1; done
kubectl patch cluster instant-1 --type merge -p '{"spec":{"topology":{"version":"v1.35.0"}}}'
kubectl wait machinedeployments --all --for=jsonpath='{.spec.template.spec.version}'=v1.35.0 --timeout=150s
kubectl wait cluster/instant-1 --for=condition=TopologyReconciled --timeout=90s
kubectl wait machinedeployments --all --for=jsonpath='{.status.upToDateReplicas}'=2 --timeout=90s
kubectl get cluster instant-1 -o json >cluster
kubectl get machines -o jsonpath='{range .items[*]}{.spec.version}{"\n"}{end}' >machines
kill $CONTROL_PLANES $WORKERS
"#;

/// The instant class with versions to go through, and a Cluster at the oldest with two
/// MachineDeployments.
fn class() -> String {
    let text = std::fs::read_to_string(repository("assets/classes/instant.yaml")).unwrap();
    let replace = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let text = replace(
        text,
        "  name: instant\nspec:\n",
        "  name: instant\nspec:\n  kubernetesVersions: [v1.33.0, v1.34.0, v1.35.0]\n",
    );
    let text = replace(text, "version: v1.36.1", "version: v1.33.0");
    replace(
        text,
        "- {class: default-worker, name: md-0, replicas: 1}",
        "- {class: default-worker, name: md-0, replicas: 2}\n        \
         - {class: default-worker, name: md-1, replicas: 2}",
    )
}

/// Lines of the recordings, in the order in which the server wrote.
fn recorded(texts: [&str; 2]) -> Vec<Vec<String>> {
    let lines = texts.into_iter().flat_map(str::lines);
    let split = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut all: Vec<Vec<String>> = lines.map(split).collect();
    all.sort_by_key(|line| line[0].parse::<u64>().unwrap());
    all
}

#[test]
fn an_upgrade_over_two_minors_goes_control_plane_first_and_one_deployment_at_a_time() {
    if tool("kubectl").is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("class.yaml"), class()).unwrap();
    let output = capim(state.path())
        .args(["up", "--headless", "--api-port", "0", "--", "sh", "-c", UPGRADE])
        .current_dir(state.path())
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let read = |name: &str| std::fs::read_to_string(state.path().join(name)).unwrap();
    let all = recorded([&read("control-planes"), &read("workers")]);

    let (mut control_planes, mut running) = (Vec::new(), String::new());
    // Version of each MachineDeployment, and whether as many Machines as it wants have it; its
    // status may still count one that has just gone.
    let mut workers: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
    let mut order = Vec::new();
    for line in &all {
        let version = line[4].as_str();
        if line[1] == "KubeadmControlPlane" {
            if control_planes.last() != Some(&version) {
                control_planes.push(version);
            }
            running.clone_from(&line[5]);
            continue;
        }
        let is_done = line[3] == line[5] && line[7] == "2";
        let name = line[2].as_str();
        if workers.get(name).is_some_and(|(held, _)| *held != version) {
            assert_eq!(running, version, "the control plane runs what workers take up: {line:?}");
            let others = workers.iter().filter(|(other, _)| **other != name);
            for (other, (_, is_done)) in others {
                assert!(is_done, "{other} is still busy when {name} begins: {all:#?}");
            }
            order.push(version);
        }
        workers.insert(name, (version, is_done));
    }
    assert_eq!(control_planes, ["v1.33.0", "v1.34.0", "v1.35.0"]);
    // Workers may be three minors behind, so they take one step.
    assert_eq!(order, ["v1.35.0", "v1.35.0"]);
    assert!(read("machines").lines().all(|version| version == "v1.35.0"), "{}", read("machines"));
    let cluster: Value = serde_json::from_str(&read("cluster")).unwrap();
    let annotations = cluster["metadata"]["annotations"].to_string();
    assert!(!annotations.contains("upgrade-step"), "{annotations}");
}
