//! What is checked of a status. (kubernetes 1.36: pkg/apis/apps/validation)

use serde_json::Value;

use crate::apiserver::strategy::report::Report;

pub(super) fn deployment(status: &Value, old: &Value, report: &mut Report) {
    let counts = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "collisionCount",
    ];
    report.fields_not_negative(status, "status", &counts);
    let parts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    within_replicas(status, &parts, "cannot be greater than readyReplicas", report);
    not_decremented(status, old, report);
}

pub(super) fn replica_set(status: &Value, _: &Value, report: &mut Report) {
    let counts = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
    ];
    report.fields_not_negative(status, "status", &counts);
    let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    within_replicas(status, &parts, "cannot be greater than readyReplicas", report);
}

pub(super) fn stateful_set(status: &Value, old: &Value, report: &mut Report) {
    let counts = [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ];
    report.fields_not_negative(status, "status", &counts);
    let parts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    within_replicas(status, &parts, "cannot be greater than status.readyReplicas", report);
    not_decremented(status, old, report);
}

pub(super) fn daemon_set(status: &Value, old: &Value, report: &mut Report) {
    let counts = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    report.fields_not_negative(status, "status", &counts);
    not_decremented(status, old, report);
}

/// Parts of the replicas are no more than all, and no more are available than ready.
fn within_replicas(status: &Value, parts: &[&str], not_ready: &str, report: &mut Report) {
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    for part in parts.iter().filter(|part| count(part) > count("replicas")) {
        let why = "cannot be greater than status.replicas";
        report.invalid(format!("status.{part}"), &count(part).into(), why);
    }
    let available = count("availableReplicas");
    if available > count("readyReplicas") {
        report.invalid("status.availableReplicas", &available.into(), not_ready);
    }
}

fn not_decremented(status: &Value, old: &Value, report: &mut Report) {
    let (new, old) = (status["collisionCount"].as_i64(), old["collisionCount"].as_i64());
    let new = new.unwrap_or(0);
    if old.is_some_and(|old| new < old) {
        report.invalid("status.collisionCount", &new.into(), "cannot be decremented");
    }
}
