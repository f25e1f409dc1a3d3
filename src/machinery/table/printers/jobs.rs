//! Jobs and cron jobs.

use serde_json::Value;

use super::workloads::{container_images, container_names};
use super::{age, integer, is_deleting, items, text, text_or, time};
use crate::machinery::duration as durations;
use crate::machinery::selector::format_label_selector;

pub(in super::super) fn status(job: &Value, _: i64) -> Value {
    let conditions = items(job, "/status/conditions");
    let has = |kind: &&str| {
        conditions.iter().any(|condition| {
            text(condition, "/type") == *kind && text(condition, "/status") == "True"
        })
    };
    if let Some(done) = ["Complete", "Failed"].into_iter().find(has) {
        return done.into();
    }
    if is_deleting(job) {
        return "Terminating".into();
    }
    let state = ["Suspended", "FailureTarget", "SuccessCriteriaMet"].into_iter().find(has);
    state.unwrap_or("Running").into()
}

pub(in super::super) fn completions(job: &Value, _: i64) -> Value {
    let succeeded = integer(job, "/status/succeeded");
    if let Some(completions) = job.pointer("/spec/completions").and_then(Value::as_i64) {
        return format!("{succeeded}/{completions}").into();
    }
    match integer(job, "/spec/parallelism") {
        parallelism if parallelism > 1 => format!("{succeeded}/1 of {parallelism}").into(),
        _ => format!("{succeeded}/1").into(),
    }
}

pub(in super::super) fn duration(job: &Value, now_seconds: i64) -> Value {
    match (time(job, "/status/startTime"), time(job, "/status/completionTime")) {
        (None, _) => "".into(),
        (Some(start), end) => durations::human(end.unwrap_or(now_seconds) - start).into(),
    }
}

pub(in super::super) fn schedule(job: &Value, _: i64) -> Value {
    text(job, "/spec/schedule").into()
}

pub(in super::super) fn time_zone(job: &Value, _: i64) -> Value {
    text_or(job, "/spec/timeZone", "<none>")
}

pub(in super::super) fn suspend(job: &Value, _: i64) -> Value {
    match job.pointer("/spec/suspend").and_then(Value::as_bool) {
        None => "<unset>".into(),
        Some(true) => "True".into(),
        Some(false) => "False".into(),
    }
}

pub(in super::super) fn active(job: &Value, _: i64) -> Value {
    items(job, "/status/active").len().into()
}

pub(in super::super) fn last_schedule(job: &Value, now_seconds: i64) -> Value {
    match time(job, "/status/lastScheduleTime") {
        None => "<none>".into(),
        last => age(last, now_seconds).into(),
    }
}

pub(in super::super) fn cron_containers(job: &Value, _: i64) -> Value {
    container_names(items(job, "/spec/jobTemplate/spec/template/spec/containers")).into()
}

pub(in super::super) fn cron_images(job: &Value, _: i64) -> Value {
    container_images(items(job, "/spec/jobTemplate/spec/template/spec/containers")).into()
}

pub(in super::super) fn cron_selector(job: &Value, _: i64) -> Value {
    let selector = job.pointer("/spec/jobTemplate/spec/selector").unwrap_or(&Value::Null);
    format_label_selector(selector).into()
}
