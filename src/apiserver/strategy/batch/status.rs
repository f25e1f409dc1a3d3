//! Status of Jobs. What was wrong before may stay so: only changes are checked.
//! (kubernetes 1.36: pkg/apis/batch/validation, pkg/registry/batch/job/strategy.go)

use serde_json::Value;

use super::indexes;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::Report;

const CONDITIONS: &str = "status.conditions";

fn has(job: &Value, kind: &str) -> bool {
    items(&job["status"]["conditions"]).any(|it| it["type"] == kind && it["status"] == "True")
}

fn is_finished(job: &Value) -> bool {
    has(job, "Complete") || has(job, "Failed")
}

/// Checks a changed status.
pub(super) fn check(job: &Value, old: &Value, report: &mut Report) {
    let status = &job["status"];
    let counts = ["active", "succeeded", "failed", "ready", "terminating"];
    report.fields_not_negative(status, "status", &counts);
    uncounted(&status["uncountedTerminatedPods"], report);
    conditions(job, old, report);
    times(job, old, report);
    if is_finished(job) {
        finished(job, old, report);
    }
    completed_indexes(job, old, report);
    let count = |status: &Value, field: &str| status[field].as_i64().unwrap_or(0);
    if status["ready"] != old["status"]["ready"] && count(status, "ready") > count(status, "active")
    {
        let why = "cannot set more ready pods than active";
        report.invalid("status.ready", &status["ready"], why);
    }
    for field in ["failed", "succeeded"] {
        let elastic = field == "succeeded" && job["spec"]["completionMode"] == "Indexed";
        if !elastic && count(status, field) < count(&old["status"], field) {
            let why = format!("cannot decrease the {field} counter");
            report.invalid(format!("status.{field}"), &count(status, field).into(), &why);
        }
    }
}

fn uncounted(pods: &Value, report: &mut Report) {
    let mut seen = Vec::new();
    for list in ["succeeded", "failed"] {
        for (index, uid) in items(&pods[list]).enumerate() {
            let path = format!("status.uncountedTerminatedPods.{list}[{index}]");
            if *uid == "" {
                report.invalid(path, uid, "must not be empty");
            } else if seen.contains(&uid) {
                report.duplicate_value(path, uid);
            } else {
                seen.push(uid);
            }
        }
    }
}

fn conditions(job: &Value, old: &Value, report: &mut Report) {
    let changed = |kind: &str| has(job, kind) != has(old, kind);
    let is = |kind: &str| has(job, kind);
    let ends_changed = changed("Complete") || changed("Failed");
    let wrong = [
        (
            is("Complete") && is("Failed") && ends_changed,
            "cannot set Complete=True and Failed=true conditions",
        ),
        (
            is("Complete")
                && is("FailureTarget")
                && (changed("Complete") || changed("FailureTarget")),
            "cannot set Complete=True and FailureTarget=true conditions",
        ),
        (
            is("Failed") && !is("FailureTarget") && changed("Failed"),
            "cannot set Failed=True condition without the FailureTarget=true condition",
        ),
        (
            is("Complete") && !is("SuccessCriteriaMet") && changed("Complete"),
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ),
        (
            is("SuccessCriteriaMet") && is("Failed"),
            "cannot set SuccessCriteriaMet=True and Failed=true conditions",
        ),
        (
            is("SuccessCriteriaMet") && is("FailureTarget"),
            "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
        ),
        (
            !job["spec"]["successPolicy"].is_null() && is("Complete") && !is("SuccessCriteriaMet"),
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        ),
    ];
    for (_, why) in wrong.iter().filter(|(wrong, _)| *wrong) {
        report.invalid_whole(CONDITIONS, why);
    }
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if has(old, kind) && !has(job, kind) {
            let why = format!("cannot disable the terminal {kind}=True condition");
            report.invalid_whole(CONDITIONS, &why);
        }
    }
    if has(old, "SuccessCriteriaMet") && !is("SuccessCriteriaMet") {
        report.invalid_whole(CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition");
    }
}

fn times(job: &Value, old: &Value, report: &mut Report) {
    let (status, before) = (&job["status"], &old["status"]);
    let (start, done) = (&status["startTime"], &status["completionTime"]);
    let path = "status.completionTime";
    let done_changed = *done != before["completionTime"];
    let complete_changed = has(job, "Complete") != has(old, "Complete");
    if !done.is_null() && !has(job, "Complete") && (done_changed || complete_changed) {
        let why = "cannot set completionTime when there is no Complete=True condition";
        report.invalid(path, done, why);
    }
    if done.is_null() && has(job, "Complete") && (done_changed || complete_changed) {
        report.required(path, "completionTime is required for Complete jobs");
    }
    // Times of one form compare as texts.
    if !start.is_null()
        && !done.is_null()
        && text(status, "completionTime") < text(status, "startTime")
    {
        report.invalid(path, done, "completionTime cannot be set before startTime");
    }
    if !done.is_null() && !before["completionTime"].is_null() && done_changed {
        report.invalid(path, done, "completionTime cannot be mutated");
    }
    let suspended = job["spec"]["suspend"] == true;
    if !before["startTime"].is_null() && *start != before["startTime"] && !suspended {
        let why = "startTime cannot be removed for unsuspended job";
        report.required("status.startTime", why);
    }
}

fn finished(job: &Value, old: &Value, report: &mut Report) {
    let status = &job["status"];
    let now = !is_finished(old);
    let changed = |field: &str| now || status[field] != old["status"][field];
    for field in ["active", "terminating"] {
        if status[field].as_i64().unwrap_or(0) > 0 && changed(field) {
            let why = format!("{field}>0 is invalid for finished job");
            report.invalid(format!("status.{field}"), &status[field], &why);
        }
    }
    if status["startTime"].is_null() && changed("startTime") {
        report.required("status.startTime", "startTime is required for finished job");
    }
    let uncounted = &status["uncountedTerminatedPods"];
    let some = |list: &str| items(&uncounted[list]).next().is_some();
    if (some("succeeded") || some("failed")) && changed("uncountedTerminatedPods") {
        let why = "uncountedTerminatedPods needs to be empty for finished job";
        report.invalid("status.uncountedTerminatedPods", uncounted, why);
    }
}

fn completed_indexes(job: &Value, old: &Value, report: &mut Report) {
    let status = &job["status"];
    let completions = job["spec"]["completions"].as_i64();
    let is_indexed = job["spec"]["completionMode"] == "Indexed";
    for (field, others) in [
        (
            "completedIndexes",
            (!is_indexed).then_some(
                "cannot set non-empty completedIndexes when non-indexed completion mode",
            ),
        ),
        (
            "failedIndexes",
            job["spec"]["backoffLimitPerIndex"]
                .is_null()
                .then_some("cannot set non-null failedIndexes when backoffLimitPerIndex is null"),
        ),
    ] {
        let Some(list) = status[field].as_str() else { continue };
        if status[field] == old["status"][field] {
            continue;
        }
        let path = format!("status.{field}");
        if let Some(completions) = completions
            && let Err(why) = indexes::count(list, completions)
        {
            let why = format!("error parsing {field}: {why}");
            report.invalid(path.as_str(), &list.into(), &why);
        }
        if let Some(why) = others
            && (field == "failedIndexes" || !list.is_empty())
        {
            report.invalid(path, &list.into(), why);
        }
    }
}
