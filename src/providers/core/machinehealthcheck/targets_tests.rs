//! What makes a Machine unhealthy.

use k8s_openapi::api::core::v1::{NodeCondition, NodeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A Cluster whose control plane was initialised at second 20.
fn cluster() -> Cluster {
    let condition = |type_: &str, second: i64| {
        json!({"type": type_, "status": "True", "reason": "R", "message": "",
            "lastTransitionTime": at(second).to_string()})
    };
    serde_json::from_value(json!({"metadata": {"name": "c"}, "status": {"conditions":
        [condition("ControlPlaneInitialized", 20), condition("InfrastructureReady", 10)]}}))
    .unwrap()
}

fn check() -> MachineHealthCheck {
    serde_json::from_value(json!({"metadata": {"name": "mhc"}, "spec": {"clusterName": "c",
        "checks": {"nodeStartupTimeoutSeconds": 60,
            "unhealthyNodeConditions": [
                {"type": "Ready", "status": "False", "timeoutSeconds": 300},
                {"type": "Ready", "status": "Unknown", "timeoutSeconds": 30}],
            "unhealthyMachineConditions": [
                {"type": "Stuck", "status": "True", "timeoutSeconds": 5}]}}}))
    .unwrap()
}

fn machine() -> Machine {
    let mut machine: Machine = serde_json::from_value(json!({
        "metadata": {"name": "m", "namespace": "ns", "generation": 1}}))
    .unwrap();
    machine.metadata.creation_timestamp = Some(Time(at(15)));
    machine
}

fn node(ready: &str, since: i64) -> Arc<Node> {
    let condition = NodeCondition {
        type_: "Ready".into(),
        status: ready.into(),
        reason: Some("KubeletX".into()),
        last_transition_time: Some(Time(at(since))),
        ..NodeCondition::default()
    };
    let status = NodeStatus { conditions: Some(vec![condition]), ..NodeStatus::default() };
    Arc::new(Node { status: Some(status), ..Node::default() })
}

fn run(machine: Machine, node: Option<Arc<Node>>, now: i64) -> (Verdict, Target) {
    let mut target = Target::new(Arc::new(machine));
    target.node = node;
    let verdict = target.check(&check(), &cluster(), at(now));
    (verdict, target)
}

fn told(target: &Target) -> (String, String, String) {
    let condition = conditions::get(machines::conditions_of(&target.machine), HEALTHY).unwrap();
    let older = super::super::super::owned::v1beta1_conditions(&target.machine);
    let older = v1beta1::get(older, HEALTHY).unwrap();
    (condition.reason.clone(), condition.message.clone(), older.message.clone())
}

fn strings(reason: &str, message: &str, older: &str) -> (String, String, String) {
    (reason.to_owned(), message.to_owned(), older.to_owned())
}

#[test]
fn a_node_may_take_its_time_from_the_last_thing_it_waited_for() {
    assert_eq!(run(machine(), None, 30).0, Verdict::Pending(Duration::from_secs(51)));
    let (verdict, target) = run(machine(), None, 81);
    assert_eq!(verdict, Verdict::Unhealthy);
    let line = "Node failed to report startup in 1m0s";
    let message = format!("Health check failed:\n  * {line}");
    assert_eq!(told(&target), strings("NodeStartupTimeout", &message, line));
}

#[test]
fn workers_wait_for_the_control_plane_and_control_planes_do_not() {
    let mut early = cluster();
    early.status.as_mut().unwrap().conditions.retain(|c| c.type_ == "InfrastructureReady");
    let mut target = Target::new(Arc::new(machine()));
    assert_eq!(target.check(&check(), &early, at(999)), Verdict::Unknown);
    let mut control_plane = machine();
    control_plane.metadata.labels =
        Some([(labels::CONTROL_PLANE.to_owned(), String::new())].into());
    let mut target = Target::new(Arc::new(control_plane));
    assert_eq!(target.check(&check(), &early, at(999)), Verdict::Unhealthy);
}

#[test]
fn conditions_count_once_they_have_lasted() {
    assert_eq!(run(machine(), Some(node("True", 50)), 60).0, Verdict::Healthy);
    let pending = run(machine(), Some(node("Unknown", 50)), 60).0;
    assert_eq!(pending, Verdict::Pending(Duration::from_secs(21)));
    let (verdict, target) = run(machine(), Some(node("Unknown", 50)), 81);
    assert_eq!(verdict, Verdict::Unhealthy);
    let line = "Condition Ready on Node is reporting status Unknown with reason KubeletX for more \
                than 30s";
    let message = format!("Health check failed:\n  * {line}");
    assert_eq!(told(&target), strings("UnhealthyNode", &message, line));
}

#[test]
fn machine_and_node_failures_are_told_together() {
    let mut stuck = machine();
    let status = stuck.status.get_or_insert_default();
    set(&mut status.conditions, New::yes("Stuck", "Why"), None, at(50));
    let (verdict, target) = run(stuck, Some(node("Unknown", 50)), 90);
    assert_eq!(verdict, Verdict::Unhealthy);
    let lines = [
        "Condition Stuck on Machine is reporting status True with reason Why for more than 5s",
        "Condition Ready on Node is reporting status Unknown with reason KubeletX for more than 30s",
    ];
    let message = format!("Health check failed:\n  * {}\n  * {}", lines[0], lines[1]);
    assert_eq!(told(&target), strings("UnhealthyMachine", &message, &lines.join("; ")));
}

#[test]
fn a_node_that_is_gone_and_an_annotation_are_unhealthy_at_once() {
    let mut gone = machine();
    gone.status.get_or_insert_default().node_ref =
        Some(crate::api::core::NodeRef { name: "n".into() });
    let mut target = Target::new(Arc::new(gone));
    target.is_node_missing = true;
    assert_eq!(target.check(&check(), &cluster(), at(21)), Verdict::Unhealthy);
    let message = "Health check failed:\n  * Node n has been deleted";
    assert_eq!(told(&target), strings("NodeDeleted", message, ""));
    let mut marked = machine();
    let annotations = [(labels::REMEDIATE_MACHINE.to_owned(), String::new())];
    marked.metadata.annotations = Some(annotations.into());
    let (verdict, target) = run(marked, None, 21);
    assert_eq!(verdict, Verdict::Unhealthy);
    assert_eq!(
        told(&target),
        strings(
            "HasRemediateAnnotation",
            "Health check failed: marked for remediation via cluster.x-k8s.io/remediate-machine \
             annotation",
            "Marked for remediation via remediate-machine annotation"
        )
    );
}

#[test]
fn annotated_machines_are_left_alone() {
    let mut machine = machine();
    assert!(!is_skipped(&machine));
    let annotations = [(labels::SKIP_REMEDIATION.to_owned(), String::new())];
    machine.metadata.annotations = Some(annotations.into());
    assert!(is_skipped(&machine));
}
