//! Who is remediated, and when.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::*;
use crate::api::core::{Cluster, MachineDeployment, MachineSet};

fn machine(name: &str, created: i64, reason: &str) -> Arc<Machine> {
    let mut machine = Machine::default();
    machine.metadata.name = Some(name.into());
    machine.metadata.creation_timestamp = Some(Time(Timestamp::from_second(created).unwrap()));
    let status = machine.status.get_or_insert_default();
    let now = Timestamp::UNIX_EPOCH;
    for new in [New::no("HealthCheckSucceeded", "X", ""), New::no(REMEDIATED, reason, "")] {
        set(&mut status.conditions, new, None, now);
    }
    if reason == "MachineDeleting" {
        machine.metadata.deletion_timestamp = Some(Time(now));
    }
    Arc::new(machine)
}

fn scope(deployment: serde_json::Value, machines: Vec<Arc<Machine>>) -> Scope {
    let annotations = json!({"machinedeployment.clusters.x-k8s.io/revision": "2"});
    let set: MachineSet = serde_json::from_value(json!({"metadata": {"name": "ms",
        "namespace": "ns", "annotations": annotations}}))
    .unwrap();
    let deployment: Option<MachineDeployment> = serde_json::from_value(deployment).unwrap();
    let mut scope = Scope::of(&set, Arc::new(Cluster::default()), deployment.map(Arc::new));
    scope.machines = Some(machines);
    scope
}

fn deployment(revision: &str, limit: serde_json::Value) -> serde_json::Value {
    json!({"metadata": {"name": "md",
            "annotations": {"machinedeployment.clusters.x-k8s.io/revision": revision}},
        "spec": {"replicas": 4, "remediation": {"maxInFlight": limit}}})
}

fn check(deployment: serde_json::Value, now: &[&str], later: &[&str], reason: &str) {
    let mut asked = (*machine("a-asked", 1, "WaitingForRemediation")).clone();
    asked.metadata.annotations =
        Some([(labels::REMEDIATE_MACHINE.to_owned(), String::new())].into());
    let machines = vec![
        machine("b-old", 2, "WaitingForRemediation"),
        machine("c-new", 9, "WaitingForRemediation"),
        machine("d-going", 9, "MachineDeleting"),
        Arc::new(asked),
        Arc::new(Machine::default()),
    ];
    let plan = plan(&scope(deployment, machines)).unwrap();
    assert_eq!((plan.now, plan.later), (texts(now), texts(later)));
    if !later.is_empty() {
        assert_eq!(plan.reason, reason);
    }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn machines_that_were_asked_for_and_young_ones_go_first_within_the_limit() {
    check(json!(null), &["a-asked", "c-new", "b-old"], &[], "");
    check(deployment("2", json!(null)), &["a-asked", "c-new", "b-old"], &[], "");
    check(deployment("2", json!(3)), &["a-asked", "c-new"], &["b-old"], "RemediationDeferred");
    check(
        deployment("2", json!("25%")),
        &[],
        &["a-asked", "c-new", "b-old"],
        "RemediationDeferred",
    );
    check(deployment("3", json!(1)), &[], &["a-asked", "c-new", "b-old"], "CannotBeRemediated");
    let bad = deployment("2", json!("x"));
    let scope = scope(bad, vec![machine("a", 1, "WaitingForRemediation")]);
    assert!(plan(&scope).is_err());
}

#[test]
fn healed_machines_are_forgotten() {
    let mut healed = (*machine("a", 1, "WaitingForRemediation")).clone();
    assert!(!forget(&mut healed));
    let status = healed.status.as_mut().unwrap();
    let new = New::yes("HealthCheckSucceeded", "HealthCheckSucceeded");
    set(&mut status.conditions, new, None, Timestamp::UNIX_EPOCH);
    assert!(forget(&mut healed));
    assert!(conditions::get(machines::conditions_of(&healed), REMEDIATED).is_none());
    assert!(!forget(&mut healed));
}
