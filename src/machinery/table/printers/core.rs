//! Small kinds: namespaces, secrets, config maps, leases, budgets, priorities, webhooks and more.

use serde_json::Value;

use super::{fields, integer, items, text, text_or};
use crate::machinery::duration;

pub(in super::super) fn phase(object: &Value, _: i64) -> Value {
    text(object, "/status/phase").into()
}

pub(in super::super) fn secret_type(secret: &Value, _: i64) -> Value {
    text(secret, "/type").into()
}

pub(in super::super) fn secret_data(secret: &Value, _: i64) -> Value {
    count(secret, "/data").into()
}

pub(in super::super) fn config_map_data(map: &Value, _: i64) -> Value {
    (count(map, "/data") + count(map, "/binaryData")).into()
}

fn count(object: &Value, pointer: &str) -> usize {
    fields(object, pointer).map_or(0, serde_json::Map::len)
}

pub(in super::super) fn lease_holder(lease: &Value, _: i64) -> Value {
    text(lease, "/spec/holderIdentity").into()
}

pub(in super::super) fn min_available(budget: &Value, _: i64) -> Value {
    bound(budget, "/spec/minAvailable")
}

pub(in super::super) fn max_unavailable(budget: &Value, _: i64) -> Value {
    bound(budget, "/spec/maxUnavailable")
}

fn bound(budget: &Value, pointer: &str) -> Value {
    match budget.pointer(pointer) {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Number(number)) => number.to_string().into(),
        _ => "N/A".into(),
    }
}

pub(in super::super) fn disruptions_allowed(budget: &Value, _: i64) -> Value {
    integer(budget, "/status/disruptionsAllowed").into()
}

pub(in super::super) fn priority(class: &Value, _: i64) -> Value {
    integer(class, "/value").into()
}

pub(in super::super) fn global_default(class: &Value, _: i64) -> Value {
    (class.get("globalDefault") == Some(&Value::Bool(true))).into()
}

pub(in super::super) fn preemption_policy(class: &Value, _: i64) -> Value {
    text_or(class, "/preemptionPolicy", "PreemptLowerPriority")
}

pub(in super::super) fn webhooks(configuration: &Value, _: i64) -> Value {
    items(configuration, "/webhooks").len().into()
}

pub(in super::super) fn handler(class: &Value, _: i64) -> Value {
    text(class, "/handler").into()
}

pub(in super::super) fn signer(request: &Value, _: i64) -> Value {
    text_or(request, "/spec/signerName", "<none>")
}

pub(in super::super) fn requestor(request: &Value, _: i64) -> Value {
    text(request, "/spec/username").into()
}

pub(in super::super) fn requested_duration(request: &Value, _: i64) -> Value {
    match integer(request, "/spec/expirationSeconds") {
        0 => "<none>".into(),
        seconds => duration::human(seconds).into(),
    }
}

pub(in super::super) fn request_condition(request: &Value, _: i64) -> Value {
    let conditions = items(request, "/status/conditions");
    let has = |kind: &str| conditions.iter().any(|condition| text(condition, "/type") == kind);
    let mut status = if has("Denied") {
        "Denied".to_owned()
    } else if has("Approved") {
        "Approved".to_owned()
    } else {
        "Pending".to_owned()
    };
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !text(request, "/status/certificate").is_empty() {
        status.push_str(",Issued");
    }
    status.into()
}

pub(in super::super) fn api_service(service: &Value, _: i64) -> Value {
    match text(service, "/spec/service/name") {
        "" => "Local".into(),
        name => format!("{}/{name}", text(service, "/spec/service/namespace")).into(),
    }
}

pub(in super::super) fn api_available(service: &Value, _: i64) -> Value {
    let conditions = items(service, "/status/conditions");
    match conditions.iter().find(|condition| text(condition, "/type") == "Available") {
        None => "Unknown".into(),
        Some(condition) if text(condition, "/status") == "True" => "True".into(),
        Some(condition) => {
            format!("{} ({})", text(condition, "/status"), text(condition, "/reason")).into()
        }
    }
}
