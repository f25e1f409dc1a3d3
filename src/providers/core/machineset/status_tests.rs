//! A MachineSet's conditions against recordings of upstream.

use std::sync::Arc;

use serde_json::json;

use super::super::scope::ReadyNodes;
use super::*;
use crate::client::ObjectKey;
use crate::contract::conditions;

fn scope(replicas: i32, machines: Option<Vec<Machine>>) -> Scope {
    let set: MachineSet = serde_json::from_value(json!({
        "metadata": {"name": "ms", "namespace": "NS", "generation": 1},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"b": "2", "a": "1"}},
            "template": {"metadata": {"labels": {"a": "1"}}, "spec": {}}
        }
    }))
    .unwrap();
    Scope {
        set,
        key: ObjectKey::new("NS", "ms"),
        cluster: Arc::default(),
        cluster_key: ObjectKey::new("NS", "c"),
        deployment: None,
        machines: machines.map(|machines| machines.into_iter().map(Arc::new).collect()),
        ready_nodes: ReadyNodes::default(),
        is_bootstrap_template_missing: false,
        is_infrastructure_template_missing: false,
        preflight: Vec::new(),
        creation_failure: None,
    }
}

fn run(scope: &mut Scope) {
    let before = scope.set.clone();
    compute(scope, &before, true, Timestamp::UNIX_EPOCH);
}

fn check(scope: &Scope, type_: &str, status: &str, reason: &str, message: &str) {
    let held = scope.set.status.as_ref().unwrap();
    let condition = conditions::get(&held.conditions, type_).unwrap();
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_str(), condition.message.as_str()),
        (status, reason, message),
        "{type_}"
    );
}

#[test]
fn a_failed_preflight_check_blocks_scaling_up() {
    let mut scope = scope(1, Some(Vec::new()));
    let failure = "KubeadmControlPlane NS/bar-cp is provisioning (\"ControlPlaneIsStable\" preflight check failed)";
    scope.preflight.push(failure.to_owned());
    scope.creation_failure = Some(("PreflightCheckFailed", failure.to_owned()));
    run(&mut scope);
    check(
        &scope,
        "ScalingUp",
        "True",
        "ScalingUp",
        &format!("Scaling up from 0 to 1 replicas is blocked because:\n* {failure}"),
    );
    check(&scope, "MachinesReady", "True", "NoReplicas", "");
    let status = scope.set.status.unwrap();
    assert_eq!(status.selector, "a=1,b=2");
    let v1beta1 = status.deprecated.unwrap().v1beta1.unwrap();
    let ready = v1beta1::get(&v1beta1.conditions, "Ready").unwrap();
    assert_eq!((ready.severity.as_str(), ready.message.as_str()), ("Error", failure));
    let resized = v1beta1::get(&v1beta1.conditions, "Resized").unwrap();
    assert_eq!(resized.message, "Scaling up MachineSet to 1 replicas (actual 0)");
}

#[test]
fn machines_that_nobody_has_read_are_unknown() {
    let mut scope = scope(1, None);
    run(&mut scope);
    let message = "Please check controller logs for errors";
    check(&scope, "ScalingUp", "Unknown", "InternalError", message);
    assert_eq!(scope.set.status.unwrap().replicas, None);
}

#[test]
fn all_machines_ready_means_resized() {
    let mut machine = Machine::default();
    machine.metadata.labels = Some([("a".to_owned(), "1".to_owned())].into());
    let status = machine.status.get_or_insert_default();
    for type_ in ["Ready", "Available", "UpToDate"] {
        let new = New::yes(type_, type_);
        conditions::set(&mut status.conditions, new, None, Timestamp::UNIX_EPOCH);
    }
    let mut scope = scope(1, Some(vec![machine]));
    scope.ready_nodes = ReadyNodes { ready: 1, available: 1 };
    run(&mut scope);
    check(&scope, "ScalingUp", "False", "NotScalingUp", "");
    check(&scope, "MachinesReady", "True", "Ready", "");
    let status = scope.set.status.unwrap();
    assert_eq!((status.ready_replicas, status.up_to_date_replicas), (Some(1), Some(1)));
    let v1beta1 = status.deprecated.unwrap().v1beta1.unwrap();
    assert!(v1beta1::is_true(&v1beta1.conditions, "Resized"));
    assert_eq!(v1beta1.fully_labeled_replicas, Some(1));
}
