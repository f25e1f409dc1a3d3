//! A MachineDeployment's conditions against recordings of upstream.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::client::ObjectKey;

fn scope() -> Scope {
    let deployment: MachineDeployment = serde_json::from_value(json!({
        "metadata": {"name": "bar-md", "namespace": "NS", "generation": 1},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "rollout": {"strategy": {
                "type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}
            }}
        }
    }))
    .unwrap();
    let set: MachineSet =
        serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": {"replicas": 1}}))
            .unwrap();
    Scope {
        deployment,
        key: ObjectKey::new("NS", "bar-md"),
        cluster: Arc::default(),
        cluster_key: ObjectKey::new("NS", "bar"),
        sets: Some(vec![Arc::new(set)]),
        current: Some("s".to_owned()),
        is_rolled_out: true,
        machines: Vec::new(),
        is_bootstrap_template_missing: false,
        is_infrastructure_template_missing: false,
    }
}

fn run(scope: &mut Scope) {
    let before = scope.deployment.clone();
    compute(scope, &before, true, Timestamp::UNIX_EPOCH);
}

fn check(scope: &Scope, type_: &str, status: &str, reason: &str, message: &str) {
    let held = scope.deployment.status.as_ref().unwrap();
    let condition = conditions::get(&held.conditions, type_).unwrap();
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_str(), condition.message.as_str()),
        (status, reason, message),
        "{type_}"
    );
}

#[test]
fn a_new_deployment_does_not_know_whether_it_is_available() {
    let mut scope = scope();
    run(&mut scope);
    check(
        &scope,
        "Available",
        "Unknown",
        "WaitingForAvailableReplicasSet",
        "Waiting for status.availableReplicas set",
    );
    check(&scope, "ScalingUp", "True", "ScalingUp", "Scaling up from 0 to 1 replicas");
    let status = scope.deployment.status.unwrap();
    assert_eq!(status.phase, "ScalingUp");
    let v1beta1 = status.deprecated.unwrap().v1beta1.unwrap();
    assert_eq!(v1beta1.unavailable_replicas, Some(1));
    let available = v1beta1::get(&v1beta1.conditions, "Available").unwrap();
    assert_eq!(available.message, "Minimum availability requires 1 replicas, current 0 available");
    let set_ready = v1beta1::get(&v1beta1.conditions, "MachineSetReady").unwrap();
    assert_eq!(set_ready.reason, "WaitingForMachineSet");
}

#[test]
fn a_deployment_names_what_its_availability_lacks() {
    let mut scope = scope();
    let status = MachineSetStatus {
        replicas: Some(1),
        available_replicas: Some(0),
        ..MachineSetStatus::default()
    };
    let set = MachineSet { status: Some(status), ..MachineSet::default() };
    scope.sets = Some(vec![Arc::new(set)]);
    run(&mut scope);
    check(
        &scope,
        "Available",
        "False",
        "NotAvailable",
        "0 available replicas, at least 1 required (spec.strategy.rollout.maxUnavailable is 0, spec.replicas is 1)",
    );
    assert_eq!(scope.deployment.status.unwrap().phase, "Running");
}

#[test]
fn versions_are_named_before_other_causes_of_a_rollout() {
    let outdated = |message: &str| {
        let mut machine = crate::api::core::Machine::default();
        let new = New::no("UpToDate", "NotUpToDate", message);
        let conditions = &mut machine.status.get_or_insert_default().conditions;
        set(conditions, new, None, Timestamp::UNIX_EPOCH);
        Arc::new(machine)
    };
    let mut scope = scope();
    scope.machines = vec![
        outdated("* DevMachine is not up-to-date\n* Version v1, v2 required"),
        outdated("* Version v1, v2 required"),
    ];
    run(&mut scope);
    check(
        &scope,
        "RollingOut",
        "True",
        "RollingOut",
        "Rolling out 2 not up-to-date replicas\n* Version v1, v2 required\n* DevMachine is not up-to-date",
    );
}
