//! A Cluster's conditions against recordings of upstream.

use serde_json::json;

use super::super::super::probe::Probe;
use super::*;
use crate::client::ObjectKey;

fn scope(cluster: serde_json::Value) -> Scope {
    Scope {
        cluster: serde_json::from_value(cluster).unwrap(),
        key: ObjectKey::new("ns", "bar"),
        infrastructure: Lookup::Missing,
        control_plane: Lookup::Missing,
        deployments: Vec::new(),
        awaits_workers: None,
        sets: Vec::new(),
        pools: Vec::new(),
        control_plane_machines: Vec::new(),
        worker_machines: Vec::new(),
        class: None,
        probe: Probe { is_connected: false, last_success: None },
        deleting: None,
    }
}

fn new_cluster() -> serde_json::Value {
    json!({
        "metadata": {"name": "bar", "namespace": "ns", "generation": 1},
        "spec": {
            "controlPlaneRef": {"apiGroup": "c", "kind": "KubeadmControlPlane", "name": "bar"},
            "infrastructureRef": {"apiGroup": "i", "kind": "DevCluster", "name": "bar"}
        }
    })
}

fn condition(scope: &Scope, type_: &str) -> (String, String, String) {
    let status = scope.cluster.status.as_ref().unwrap();
    let condition = conditions::get(&status.conditions, type_).unwrap();
    (condition.status.clone(), condition.reason.clone(), condition.message.clone())
}

fn check(scope: &Scope, type_: &str, status: &str, reason: &str, message: &str) {
    let expected = (status.to_owned(), reason.to_owned(), message.to_owned());
    assert_eq!(condition(scope, type_), expected, "{type_}");
}

#[test]
fn workers_that_nobody_looked_at_are_not_available() {
    let mut scope = scope(new_cluster());
    let deployment = json!({"metadata": {"name": "md"}, "spec": {"replicas": 1}});
    scope.deployments.push(Arc::new(serde_json::from_value(deployment).unwrap()));
    let before = scope.cluster.clone();
    compute(&mut scope, &before, true, Timestamp::UNIX_EPOCH);
    check(
        &scope,
        "WorkersAvailable",
        "Unknown",
        "AvailableUnknown",
        "* MachineDeployment md: Condition Available not yet reported",
    );
    let unknown = "* MachineDeployment md: Condition RollingOut not yet reported";
    check(&scope, "RollingOut", "Unknown", "RollingOutUnknown", unknown);
}

#[test]
fn a_new_cluster_does_not_say_that_nothing_happens_before_its_workers_came() {
    let mut scope = scope(new_cluster());
    scope.awaits_workers = Some(std::time::Duration::from_secs(1));
    let before = scope.cluster.clone();
    compute(&mut scope, &before, true, Timestamp::UNIX_EPOCH);
    let rollups = ["RollingOut", "ScalingUp", "ScalingDown"];
    let held = scope.status().conditions.clone();
    assert!(rollups.iter().all(|type_| conditions::get(&held, type_).is_none()));
    scope.awaits_workers = None;
    compute(&mut scope, &before, true, Timestamp::UNIX_EPOCH);
    check(&scope, "RollingOut", "False", "NotRollingOut", "");
    scope.awaits_workers = Some(std::time::Duration::from_secs(1));
    compute(&mut scope, &before, true, Timestamp::UNIX_EPOCH);
    check(&scope, "RollingOut", "False", "NotRollingOut", "");
}

#[test]
fn a_cluster_without_its_parts_says_what_is_missing() {
    let mut scope = scope(new_cluster());
    let deployment = json!({"metadata": {"name": "md"}, "spec": {"replicas": 1}});
    scope.deployments.push(Arc::new(serde_json::from_value(deployment).unwrap()));
    let before = scope.cluster.clone();
    compute(&mut scope, &before, true, Timestamp::UNIX_EPOCH);
    assert_eq!(scope.status().deprecated, None);
    check(
        &scope,
        "RemoteConnectionProbe",
        "False",
        "ProbeFailed",
        "Remote connection not established yet",
    );
    check(
        &scope,
        "InfrastructureReady",
        "False",
        "ObjectDoesNotExist",
        "DevCluster does not exist",
    );
    check(
        &scope,
        "ControlPlaneInitialized",
        "Unknown",
        "ObjectDoesNotExist",
        "KubeadmControlPlane does not exist",
    );
    check(
        &scope,
        "WorkersAvailable",
        "Unknown",
        "AvailableUnknown",
        "* MachineDeployment md: Condition Available not yet reported",
    );
    check(
        &scope,
        "RollingOut",
        "Unknown",
        "RollingOutUnknown",
        "* MachineDeployment md: Condition RollingOut not yet reported",
    );
    check(&scope, "ControlPlaneMachinesReady", "True", "NoReplicas", "");
    assert_eq!(condition(&scope, "Available").1, "NotAvailable");
    let status = scope.cluster.status.unwrap();
    assert_eq!(status.phase, "Provisioning");
    assert_eq!(status.workers.unwrap().desired_replicas, Some(1));
    let types: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
    assert_eq!(types.len(), 16);
    assert_eq!((types[0], types[15]), ("Available", "Deleting"));
}

#[test]
fn the_probe_outlives_the_connection_by_its_grace() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut scope = scope(new_cluster());
    let before = scope.cluster.clone();
    scope.probe = Probe { is_connected: true, last_success: Some(at(100)) };
    compute(&mut scope, &before, true, at(100));
    check(&scope, "RemoteConnectionProbe", "True", "ProbeSucceeded", "");
    scope.probe.is_connected = false;
    compute(&mut scope, &before, true, at(149));
    check(&scope, "RemoteConnectionProbe", "True", "ProbeSucceeded", "");
    compute(&mut scope, &before, true, at(150));
    check(
        &scope,
        "RemoteConnectionProbe",
        "False",
        "ProbeFailed",
        "Remote connection probe failed, probe last succeeded at 1970-01-01T00:01:40Z",
    );
}

#[test]
fn a_cluster_that_is_gone_but_for_itself_only_names_its_deletion() {
    let mut cluster = new_cluster();
    cluster["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z");
    cluster["status"]["initialization"] =
        json!({"infrastructureProvisioned": true, "controlPlaneInitialized": true});
    let mut scope = scope(cluster);
    scope.probe = Probe { is_connected: true, last_success: Some(Timestamp::UNIX_EPOCH) };
    scope.deleting = Some(("DeletionCompleted", "Deletion completed".to_owned()));
    let before = scope.cluster.clone();
    compute(&mut scope, &before, true, Timestamp::UNIX_EPOCH);
    check(&scope, "InfrastructureReady", "False", "ObjectDeleted", "DevCluster has been deleted");
    check(&scope, "Available", "False", "NotAvailable", "* Deleting: Deletion completed");
}

#[test]
fn a_spec_change_counts_as_observed_at_once() {
    let mut scope = scope(new_cluster());
    let before = scope.cluster.clone();
    scope.cluster.spec.control_plane_endpoint =
        Some(crate::api::core::ApiEndpoint { host: "h".into(), port: Some(1) });
    compute(&mut scope, &before, true, Timestamp::UNIX_EPOCH);
    let status = scope.cluster.status.unwrap();
    assert_eq!(status.observed_generation, Some(2));
    assert!(status.conditions.iter().all(|c| c.observed_generation == Some(2)));
}
