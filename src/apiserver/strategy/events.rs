//! Kinds of the group `events.k8s.io`: the core group's events, with stricter rules.
//! (kubernetes 1.36: pkg/apis/core/validation/events.go)

use serde_json::{Value, json};

use super::checks::same;
use super::fields::text;
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::machinery::names;
use crate::machinery::status::Cause;

const EVENT: Rules = Rules { validate, ..NONE };

/// Most bytes of the fields that say who reports what.
const WORDS_MAX: usize = 128;
/// Most bytes of a note.
const NOTE_MAX: usize = 1024;

/// Fields that only their creation sets: here and as errors name them.
const FIXED: [(&str, &str); 14] = [
    ("regarding", "involvedObject"),
    ("reason", "reason"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingController", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "Event" => &EVENT,
        _ => &NONE,
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let new = change.new;
    check_reporter(new, &mut report);
    match change.old {
        None => check_new(new, &mut report),
        Some(old) => {
            if !same(&new["series"], &old["series"]) {
                check_series(new, &mut report);
            }
            for (field, name) in FIXED {
                report.immutable(&new[field], &old[field], name);
            }
        }
    }
    report.into_causes()
}

/// What every event with a time must say of who reports it, and where it lives.
fn check_reporter(event: &Value, report: &mut Report) {
    let (about, own) =
        (text(&event["regarding"], "namespace"), text(&event["metadata"], "namespace"));
    let why = "does not match event.namespace";
    let namespace = "involvedObject.namespace";
    if event["eventTime"].is_null() {
        if (about.is_empty() && own != "default") || (!about.is_empty() && about != own) {
            report.invalid(namespace, &about.into(), why);
        }
        return;
    }
    if about.is_empty() && own != "default" && own != "kube-system" {
        report.invalid(namespace, &about.into(), why);
    }
    let controller = text(event, "reportingController");
    if controller.is_empty() {
        report.required("reportingController", "");
    }
    report.invalid_texts("reportingController", controller, names::check_label_key(controller));
    for (field, name) in
        [("reportingInstance", "reportingInstance"), ("action", "action"), ("reason", "reason")]
    {
        let value = text(event, field);
        if value.is_empty() {
            report.required(name, "");
        }
        if value.len() > WORDS_MAX {
            let why = format!("can have at most {WORDS_MAX} characters");
            report.invalid(name, &"".into(), &why);
        }
    }
    if text(event, "note").len() > NOTE_MAX {
        let why = format!("can have at most {NOTE_MAX} characters");
        report.invalid("message", &"".into(), &why);
    }
}

fn check_new(event: &Value, report: &mut Report) {
    check_series(event, report);
    if event["eventTime"].is_null() {
        report.required("eventTime", "");
    }
    if !matches!(text(event, "type"), "Normal" | "Warning") {
        let why = format!("has invalid value: {}", text(event, "type"));
        report.invalid("type", &"".into(), &why);
    }
    for (field, name) in &FIXED[3..7] {
        let value = &event[*field];
        if !value.is_null() && *value != 0 && *value != json!({}) {
            report.invalid(*name, &"".into(), "needs to be unset");
        }
    }
}

fn check_series(event: &Value, report: &mut Report) {
    let series = &event["series"];
    if series.is_null() {
        return;
    }
    if series["count"].as_i64().unwrap_or(0) < 2 {
        report.invalid("series.count", &"".into(), "should be at least 2");
    }
    if series["lastObservedTime"].is_null() {
        report.required("series.lastObservedTime", "");
    }
}
