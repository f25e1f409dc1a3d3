//! Defaults of Jobs and CronJobs. (kubernetes 1.36: pkg/apis/batch/v1/defaults.go)

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{list, put};
use crate::apiserver::strategy::pod_spec::{default_pod_spec, template_owner};

pub(super) fn job(job: &mut Value) {
    let spec = template_owner(job);
    conditions(spec);
    // A Job that says neither runs one pod; one that says how many run at once works off a queue.
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        put(spec, "completions", 1);
    }
    put(spec, "parallelism", 1);
    let per_index = !spec["backoffLimitPerIndex"].is_null();
    put(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    put(spec, "completionMode", "NonIndexed");
    put(spec, "suspend", false);
    let failed_alone = !spec["podFailurePolicy"].is_null();
    let replacement = if failed_alone { "Failed" } else { "TerminatingOrFailed" };
    put(spec, "podReplacementPolicy", replacement);
    put(spec, "manualSelector", false);
    job_labels(job);
}

/// A Job without labels has its pods'.
pub(super) fn job_labels(job: &mut Value) {
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    let none = |labels: &Value| labels.as_object().is_none_or(serde_json::Map::is_empty);
    if !none(labels) && none(&job["metadata"]["labels"]) {
        job["metadata"]["labels"] = labels.clone();
    }
}

pub(super) fn cron_job(job: &mut Value) {
    let spec = &mut job["spec"];
    put(spec, "concurrencyPolicy", "Allow");
    put(spec, "suspend", false);
    put(spec, "successfulJobsHistoryLimit", 3);
    put(spec, "failedJobsHistoryLimit", 1);
    let template = put(spec, "jobTemplate", json!({}));
    if template.is_object() {
        let spec = put(template, "spec", json!({}));
        if spec.is_object() {
            conditions(spec);
            default_pod_spec(&mut spec["template"]["spec"]);
        }
    }
}

/// A condition that fails a pod does so when it is true.
fn conditions(spec: &mut Value) {
    let Some(policy) = spec.get_mut("podFailurePolicy") else { return };
    for rule in list(policy, "rules") {
        for condition in list(rule, "onPodConditions") {
            put(condition, "status", "True");
        }
    }
}
