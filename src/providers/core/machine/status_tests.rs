//! A Machine's conditions against recordings of upstream.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{NodeCondition, NodeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::super::super::externals::{External, Lookup};
use super::super::super::probe::Probe;
use super::*;
use crate::api::core::Cluster;
use crate::client::ObjectKey;
use crate::contract::versions::{Contract, ContractKind};

fn external(kind: &str, object: Value) -> Lookup {
    Lookup::Found(External {
        object: Arc::new(serde_json::from_value(object).unwrap()),
        kind: Arc::new(ContractKind {
            resource: kube::core::ApiResource {
                group: "g".into(),
                version: "v1".into(),
                api_version: "g/v1".into(),
                kind: kind.into(),
                plural: String::new(),
            },
            contract: Contract::V1Beta2,
        }),
    })
}

/// A worker Machine whose Cluster is provisioned but has no control plane yet.
fn scope() -> Scope {
    let machine: Machine = serde_json::from_value(json!({
        "metadata": {"name": "m", "namespace": "ns", "generation": 1},
        "spec": {
            "clusterName": "c", "version": "v1.34.0",
            "bootstrap": {"configRef": {"apiGroup": "g", "kind": "KubeadmConfig", "name": "m"}},
            "infrastructureRef": {"apiGroup": "g", "kind": "DevMachine", "name": "m"}
        }
    }))
    .unwrap();
    let cluster: Cluster = serde_json::from_value(json!({
        "metadata": {"name": "c", "namespace": "ns"},
        "status": {"initialization": {"infrastructureProvisioned": true}}
    }))
    .unwrap();
    Scope {
        key: ObjectKey::new("ns", "m"),
        cluster_key: ObjectKey::new("ns", "c"),
        machine,
        cluster: Arc::new(cluster),
        set: None,
        deployment: None,
        bootstrap: external("KubeadmConfig", json!({})),
        infrastructure: external("DevMachine", json!({})),
        node: None,
        is_node_unreadable: false,
        probe: Probe { is_connected: false, last_success: None },
        deleting: None,
        updating: None,
    }
}

fn run(scope: &mut Scope, now: Timestamp) -> Outcome {
    let before = scope.machine.clone();
    compute(scope, &before, true, now)
}

fn condition(scope: &Scope, type_: &str) -> (String, String, String) {
    let condition = conditions::get(machines::conditions_of(&scope.machine), type_).unwrap();
    (condition.status.clone(), condition.reason.clone(), condition.message.clone())
}

fn strings(status: &str, reason: &str, message: &str) -> (String, String, String) {
    (status.to_owned(), reason.to_owned(), message.to_owned())
}

#[test]
fn a_new_machine_waits_for_everything() {
    let mut scope = scope();
    run(&mut scope, Timestamp::UNIX_EPOCH);
    assert_eq!(
        condition(&scope, "Ready"),
        strings(
            "False",
            "NotReady",
            "* BootstrapConfigReady: KubeadmConfig status.initialization.dataSecretCreated is false\n\
             * InfrastructureReady: DevMachine status.initialization.provisioned is false\n\
             * NodeHealthy: Waiting for Cluster control plane to be initialized"
        )
    );
    assert_eq!(condition(&scope, "Available"), strings("False", "NotReady", ""));
    let status = scope.machine.status.as_ref().unwrap();
    assert_eq!(status.phase, "Pending");
    let types: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
    assert_eq!(
        types,
        [
            "Available",
            "Ready",
            "BootstrapConfigReady",
            "InfrastructureReady",
            "NodeHealthy",
            "NodeReady",
            "Updating",
            "Paused",
            "Deleting"
        ]
    );
}

#[test]
fn a_running_machine_is_available_after_min_ready_seconds() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut scope = scope();
    let ready = json!({"status": {"conditions": [
        {"type": "Ready", "status": "True", "reason": "Ready", "lastTransitionTime": "1970-01-01T00:00:05Z"}
    ]}});
    scope.bootstrap = external("KubeadmConfig", ready.clone());
    scope.infrastructure = external("DevMachine", ready);
    let mut cluster = (*scope.cluster).clone();
    let status = cluster.status.get_or_insert_default();
    set(&mut status.conditions, New::yes("ControlPlaneInitialized", "Initialized"), None, at(1));
    scope.cluster = Arc::new(cluster);
    scope.probe = Probe { is_connected: true, last_success: Some(at(10)) };
    let node_condition = |type_: &str, status: &str| NodeCondition {
        type_: type_.into(),
        status: status.into(),
        last_transition_time: Some(Time(at(7))),
        ..NodeCondition::default()
    };
    scope.node = Some(Arc::new(Node {
        status: Some(NodeStatus {
            conditions: Some(vec![
                node_condition("Ready", "True"),
                node_condition("MemoryPressure", "False"),
                node_condition("DiskPressure", "False"),
                node_condition("PIDPressure", "False"),
            ]),
            ..NodeStatus::default()
        }),
        ..Node::default()
    }));
    scope.machine.spec.min_ready_seconds = Some(30);
    assert_eq!(run(&mut scope, at(10)), Outcome::RequeueAfter(Duration::from_secs(30)));
    assert_eq!(condition(&scope, "Available"), strings("False", "WaitingForMinReadySeconds", ""));
    assert_eq!(condition(&scope, "NodeReady"), strings("True", "NodeReady", ""));
    let since = conditions::get(machines::conditions_of(&scope.machine), "NodeReady");
    assert_eq!(since.unwrap().last_transition_time, Time(at(7)));
    assert_eq!(run(&mut scope, at(40)), Outcome::Done);
    assert_eq!(condition(&scope, "Available"), strings("True", "Available", ""));
}

#[test]
fn a_deleted_machine_tells_its_stage() {
    let mut scope = scope();
    scope.machine.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    let done = scope.status().initialization.get_or_insert_default();
    done.infrastructure_provisioned = Some(true);
    done.bootstrap_data_secret_created = Some(true);
    scope.bootstrap = Lookup::Missing;
    scope.infrastructure = Lookup::Missing;
    scope.status().node_ref = Some(crate::api::core::NodeRef { name: "n".into() });
    let mut cluster = (*scope.cluster).clone();
    let new = New::yes("ControlPlaneInitialized", "Initialized");
    set(&mut cluster.status.get_or_insert_default().conditions, new, None, Timestamp::UNIX_EPOCH);
    scope.cluster = Arc::new(cluster);
    scope.probe = Probe { is_connected: true, last_success: Some(Timestamp::UNIX_EPOCH) };
    scope.deleting = Some(("DeletionCompleted", "Deletion completed".to_owned()));
    run(&mut scope, Timestamp::UNIX_EPOCH);
    assert_eq!(
        condition(&scope, "Ready"),
        strings(
            "False",
            "NotReady",
            "* Deleting: Machine deletion in progress, stage: DeletionCompleted"
        )
    );
    assert_eq!(
        condition(&scope, "InfrastructureReady"),
        strings("False", "ObjectDeleted", "DevMachine has been deleted")
    );
    assert_eq!(
        condition(&scope, "NodeHealthy"),
        strings("False", "NodeDeleted", "Node n has been deleted")
    );
    assert_eq!(scope.machine.status.unwrap().phase, "Deleting");
}

#[test]
fn control_plane_components_speak_with_one_voice() {
    let lines = ["* NodeHealthy: x", "* APIServerPodHealthy: w", "* SchedulerPodHealthy: w"];
    let grouped = group_control_plane_components(lines.map(str::to_owned).to_vec());
    assert_eq!(grouped, ["* NodeHealthy: x", "* Control plane components: w"]);
    let lines = ["* APIServerPodHealthy: w".to_owned(), "* SchedulerPodHealthy: v".to_owned()];
    assert_eq!(group_control_plane_components(lines.to_vec()), lines);
}
