//! Events of the core group and of `events.k8s.io`, whose fields have other names.

use serde_json::Value;

use super::{age, integer, text, time};

fn either<'v>(event: &'v Value, core: &str, events: &str) -> &'v str {
    match text(event, core) {
        "" => text(event, events),
        text => text,
    }
}

fn first_time(event: &Value) -> Option<i64> {
    time(event, "/firstTimestamp")
        .or_else(|| time(event, "/deprecatedFirstTimestamp"))
        .or_else(|| time(event, "/eventTime"))
}

pub(in super::super) fn last_seen(event: &Value, now_seconds: i64) -> Value {
    let last = match event.get("series") {
        Some(series) if series.is_object() => time(series, "/lastObservedTime"),
        _ => time(event, "/lastTimestamp")
            .or_else(|| time(event, "/deprecatedLastTimestamp"))
            .or_else(|| first_time(event)),
    };
    age(last, now_seconds).into()
}

pub(in super::super) fn first_seen(event: &Value, now_seconds: i64) -> Value {
    age(first_time(event), now_seconds).into()
}

pub(in super::super) fn count(event: &Value, _: i64) -> Value {
    if event.get("series").is_some_and(Value::is_object) {
        return integer(event, "/series/count").into();
    }
    // Events of one occurrence carry no count in the newer API.
    integer(event, "/count").max(integer(event, "/deprecatedCount")).max(1).into()
}

pub(in super::super) fn event_type(event: &Value, _: i64) -> Value {
    text(event, "/type").into()
}

pub(in super::super) fn reason(event: &Value, _: i64) -> Value {
    text(event, "/reason").into()
}

pub(in super::super) fn object(event: &Value, _: i64) -> Value {
    let kind = either(event, "/involvedObject/kind", "/regarding/kind").to_lowercase();
    match either(event, "/involvedObject/name", "/regarding/name") {
        "" => kind.into(),
        name => format!("{kind}/{name}").into(),
    }
}

pub(in super::super) fn subobject(event: &Value, _: i64) -> Value {
    either(event, "/involvedObject/fieldPath", "/regarding/fieldPath").into()
}

pub(in super::super) fn source(event: &Value, _: i64) -> Value {
    let first = |pointers: [&str; 4]| {
        pointers.into_iter().map(|pointer| text(event, pointer)).find(|text| !text.is_empty())
    };
    let component = first([
        "/source/component",
        "/deprecatedSource/component",
        "/reportingComponent",
        "/reportingController",
    ]);
    let host = first(["/source/host", "/deprecatedSource/host", "/reportingInstance", "/-"]);
    let component = component.unwrap_or_default();
    host.map_or_else(|| component.into(), |host| format!("{component}, {host}").into())
}

pub(in super::super) fn message(event: &Value, _: i64) -> Value {
    either(event, "/message", "/note").trim().into()
}
