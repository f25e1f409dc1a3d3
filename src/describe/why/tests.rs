use std::time::Duration;

use serde_json::json;

use super::*;
use crate::describe::Reference;

fn object(kind: &str, name: &str, conditions: &[(&str, &str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(type_, status, reason)| {
            json!({"type": type_, "status": status, "reason": reason,
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        })
        .collect();
    json!({"kind": kind, "metadata": {"name": name, "namespace": "ns", "uid": name},
        "spec": {}, "status": {"conditions": conditions}})
}

fn reference(kind: &str, name: &str) -> Value {
    json!({"apiGroup": "g", "kind": kind, "name": name})
}

/// A cluster whose first control plane machine boots.
fn sources() -> Sources {
    let mut cluster = object(
        "Cluster",
        "c",
        &[
            ("Available", "False", "NotAvailable"),
            ("InfrastructureReady", "True", "Ready"),
            ("ControlPlaneInitialized", "False", "NotInitialized"),
        ],
    );
    cluster["spec"]["controlPlaneRef"] = reference("KubeadmControlPlane", "cp");
    let mut control_plane = object(
        "KubeadmControlPlane",
        "cp",
        &[("Available", "False", "NotAvailable"), ("Initialized", "False", "NotInitialized")],
    );
    control_plane["spec"]["replicas"] = json!(3);
    let mut machine = object(
        "Machine",
        "cp-1",
        &[("Ready", "False", "NotReady"), ("InfrastructureReady", "False", "NotReady")],
    );
    machine["metadata"]["labels"] = json!({"cluster.x-k8s.io/control-plane": ""});
    machine["spec"]["infrastructureRef"] = reference("DevMachine", "cp-1");
    let mut infrastructure = object(
        "DevMachine",
        "cp-1",
        &[
            ("Ready", "False", "NotReady"),
            ("VMProvisioned", "False", "WaitingForStartupTimeout"),
            ("NodeProvisioned", "False", "WaitingForVMProvisioned"),
        ],
    );
    infrastructure["spec"]["backend"]["inMemory"] = json!({
        "vm": {"provisioning": {"startupDuration": "10s", "startupJitter": "0.2"}},
        "node": {"provisioning": {"startupDuration": "2s"}},
    });
    let worker = object(
        "Machine",
        "w-1",
        &[("Ready", "False", "NotReady"), ("BootstrapConfigReady", "False", "NotReady")],
    );
    let mut worker = worker;
    worker["spec"]["bootstrap"]["configRef"] = reference("KubeadmConfig", "w-1");
    let config = object(
        "KubeadmConfig",
        "w-1",
        &[("Ready", "False", "NotReady"), ("DataSecretAvailable", "False", "NotAvailable")],
    );
    let mut config = config;
    config["status"]["conditions"][1]["message"] =
        "Waiting for Cluster control plane to be initialized".into();
    let referenced = [control_plane, infrastructure, config].map(|object| {
        let key = reference(
            object["kind"].as_str().unwrap_or_default(),
            object["metadata"]["name"].as_str().unwrap_or_default(),
        );
        (Reference::of(&key).unwrap(), object)
    });
    Sources {
        cluster,
        machines: vec![machine, worker],
        referenced: referenced.into_iter().collect(),
        ..Sources::default()
    }
}

fn chain(explanation: &Explanation) -> Vec<String> {
    let line = |step: &Step| {
        let condition = step.condition.as_ref().map(|it| it.type_.as_str()).unwrap_or_default();
        format!("{}/{} {condition}", step.subject.kind, step.subject.name)
    };
    explanation.steps.iter().map(line).collect()
}

#[test]
fn the_chain_leads_to_the_machine_that_boots_and_says_how_long() {
    let sources = sources();
    let now = "2026-01-01T00:00:04Z".parse().unwrap();
    let explanation = explain(&sources, &sources.cluster, now);
    assert_eq!(
        chain(&explanation),
        [
            "Cluster/c ControlPlaneInitialized",
            "KubeadmControlPlane/cp Initialized",
            "Machine/cp-1 InfrastructureReady",
            "DevMachine/cp-1 VMProvisioned",
        ]
    );
    let seconds = Duration::from_secs;
    let remaining = explanation.steps[3].remaining;
    assert_eq!(remaining, Some(Remaining { least: seconds(6), most: seconds(8) }));
    assert_eq!(
        explanation.next,
        [
            "the Node starts in 2.0s",
            "Machine cp-1 becomes Ready",
            "KubeadmControlPlane cp has 1 of 3 machines ready",
        ]
    );
}

#[test]
fn a_worker_that_waits_for_the_control_plane_leads_there() {
    let sources = sources();
    let explanation = explain(&sources, &sources.machines[1], Timestamp::UNIX_EPOCH);
    assert_eq!(
        chain(&explanation),
        [
            "Machine/w-1 BootstrapConfigReady",
            "KubeadmConfig/w-1 DataSecretAvailable",
            "KubeadmControlPlane/cp Initialized",
            "Machine/cp-1 InfrastructureReady",
            "DevMachine/cp-1 VMProvisioned",
        ]
    );
}

#[test]
fn a_healthy_object_has_no_chain_and_a_paused_one_a_short_one() {
    let mut sources = sources();
    sources.cluster = object("Cluster", "c", &[("Available", "True", "Available")]);
    let explanation = explain(&sources, &sources.cluster, Timestamp::UNIX_EPOCH);
    assert!(explanation.healthy && explanation.steps.is_empty());
    sources.cluster =
        object("Cluster", "c", &[("Available", "False", "x"), ("Paused", "True", "Paused")]);
    let explanation = explain(&sources, &sources.cluster, Timestamp::UNIX_EPOCH);
    assert_eq!(chain(&explanation), ["Cluster/c Paused"]);
    assert_eq!(explanation.next, ["nothing, until Cluster c is resumed"]);
}

#[test]
fn hostile_objects_end_the_chain() {
    let sources = Sources::default();
    for odd in [json!(null), json!([1]), json!({"kind": "Machine", "status": {"conditions": {}}})] {
        let explanation = explain(&sources, &odd, Timestamp::MAX);
        assert!(explanation.steps.len() <= 1);
    }
}
