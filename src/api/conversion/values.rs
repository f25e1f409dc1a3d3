//! Single values that have another form in each version.

use serde_json::{Map, Value, json};

use super::fields::{self, Fields, is_zero, put, take};
use crate::api::definitions;
use crate::machinery::duration;
use crate::machinery::gvk::{join_api_version, split_api_version};

/// What a conversion fails with: a text for people.
pub(super) type Outcome = Result<(), String>;

/// `metav1.Duration` as whole seconds, at most those of an int32.
/// (CAPI v1.14: api/core/v1beta2/conversion.go, ConvertToSeconds)
pub(super) fn seconds(duration: &Value) -> Result<Value, String> {
    let Value::String(text) = duration else {
        return Err(format!("json: cannot unmarshal {duration} into Go value of type string"));
    };
    let seconds = duration::parse_nanoseconds(text)? / 1_000_000_000;
    Ok(seconds.clamp(i32::MIN.into(), i32::MAX.into()).into())
}

/// Seconds as `metav1.Duration`.
pub(super) fn duration(seconds: &Value) -> Value {
    let seconds = seconds.as_i64().unwrap_or_default();
    let magnitude = std::time::Duration::from_secs(seconds.unsigned_abs());
    let sign = if seconds < 0 { "-" } else { "" };
    format!("{sign}{}", duration::format(magnitude)).into()
}

/// Moves a duration to where its seconds are.
pub(super) fn seconds_at(all: &mut Fields, from: &str, to: &str) -> Outcome {
    if let Some(value) = take(all, from) {
        put(all, to, seconds(&value)?);
    }
    Ok(())
}

/// Moves seconds to where their duration is.
pub(super) fn duration_at(all: &mut Fields, from: &str, to: &str) {
    if let Some(value) = take(all, from) {
        put(all, to, duration(&value));
    }
}

/// The node timeouts of machines: `nodeDrainTimeout` and its like -> `deletion`.
const TIMEOUTS: [(&str, &str); 3] = [
    ("nodeDrainTimeout", "deletion.nodeDrainTimeoutSeconds"),
    ("nodeVolumeDetachTimeout", "deletion.nodeVolumeDetachTimeoutSeconds"),
    ("nodeDeletionTimeout", "deletion.nodeDeletionTimeoutSeconds"),
];

/// Moves the timeouts of a machine into `<prefix>deletion`.
pub(super) fn timeouts_up(all: &mut Fields, prefix: &str) -> Outcome {
    for (from, to) in TIMEOUTS {
        seconds_at(all, from, &format!("{prefix}{to}"))?;
    }
    Ok(())
}

/// Moves the timeouts of a machine out of `<prefix>deletion`, which goes if nothing else is in it.
pub(super) fn timeouts_down(all: &mut Fields, prefix: &str) {
    for (to, from) in TIMEOUTS {
        duration_at(all, &format!("{prefix}{from}"), to);
    }
    fields::drop_blank(all, &format!("{prefix}deletion"));
}

/// A boolean becomes a pointer: false is kept only if it was there before on purpose.
/// (CAPI v1.14: api/core/v1beta2/conversion.go, Convert_bool_To_Pointer_bool)
pub(super) fn intend_bool(all: &mut Fields, name: &str, restored: Option<&Value>) {
    match all.get(name) {
        Some(Value::Bool(true)) => {}
        _ if restored == Some(&Value::Bool(false)) => {
            all.insert(name.to_owned(), false.into());
        }
        _ => drop(all.remove(name)),
    }
}

/// A number becomes a pointer: zero is kept only if it was there before on purpose.
pub(super) fn intend_number(all: &mut Fields, name: &str, restored: Option<&Value>) {
    let is_set = all.get(name).is_some_and(|value| !is_zero(value));
    if is_set {
        return;
    }
    match restored.filter(|value| value.as_i64() == Some(0)) {
        Some(zero) => drop(all.insert(name.to_owned(), zero.clone())),
        None => drop(all.remove(name)),
    }
}

/// Moves a naming strategy: `{template}` under another name, if it says something.
pub(super) fn naming(all: &mut Fields, from: &str, to: &str) {
    if let Some(naming) = fields::take_object(all, from)
        && let Some(template) = naming.get("template").filter(|value| !is_zero(value))
    {
        put(all, to, json!({ "template": template }));
    }
}

/// Arguments by name as a list, sorted.
/// (CAPI v1.14: api/bootstrap/kubeadm/v1beta2/conversion.go, ConvertToArgs)
pub(super) fn arguments_up(all: &mut Fields, name: &str) {
    if let Some(Value::Object(map)) = all.get_mut(name) {
        let arguments = std::mem::take(map).into_iter();
        let arguments = arguments.map(|(name, value)| json!({ "name": name, "value": value }));
        all[name] = arguments.collect();
    }
}

/// A list of arguments by name; of several with one name the last one stays.
pub(super) fn arguments_down(all: &mut Fields, name: &str) {
    if let Some(Value::Array(list)) = all.get(name) {
        let argument = |argument: &Value| {
            let name = argument["name"].as_str().unwrap_or_default().to_owned();
            let value = argument["value"].as_str().unwrap_or_default();
            (name, Value::from(value))
        };
        all[name] = list.iter().map(argument).collect::<Map<_, _>>().into();
    }
}

/// Failure domains by name as a list, sorted by name.
pub(super) fn domains_up(all: &mut Fields, name: &str) {
    if let Some(Value::Object(map)) = all.get_mut(name) {
        let domains = std::mem::take(map).into_iter().map(|(name, domain)| {
            let is_control_plane = domain["controlPlane"] == true;
            let mut out = json!({ "name": name, "controlPlane": is_control_plane });
            if let Some(attributes) = domain.get("attributes").filter(|it| !it.is_null()) {
                out["attributes"] = attributes.clone();
            }
            out
        });
        all[name] = domains.collect();
    }
}

/// A list of failure domains by name.
pub(super) fn domains_down(all: &mut Fields, name: &str) {
    if let Some(Value::Array(list)) = all.get(name) {
        let domain = |domain: &Value| {
            let mut out = Map::new();
            if domain["controlPlane"] == true {
                out.insert("controlPlane".to_owned(), true.into());
            }
            if let Some(attributes) = domain.get("attributes").filter(|it| !it.is_null()) {
                out.insert("attributes".to_owned(), attributes.clone());
            }
            (domain["name"].as_str().unwrap_or_default().to_owned(), Value::Object(out))
        };
        all[name] = list.iter().map(domain).collect::<Map<_, _>>().into();
    }
}

/// Turns an ObjectReference into a reference by group and kind, whose version the contract says.
/// (CAPI v1.14: core/webhooks/conversion/common.go)
pub(super) fn reference_up(all: &mut Fields, path: &str) -> Outcome {
    let Some(reference) = fields::take_object(all, path) else { return Ok(()) };
    let api_version = fields::text(&reference, "apiVersion");
    if api_version.matches('/').count() > 1 {
        return Err(format!(
            "failed to convert object: failed to parse apiVersion: unexpected GroupVersion string: \
             {api_version}"
        ));
    }
    let mut out = Map::new();
    let (group, _) = split_api_version(api_version);
    let parts = [
        ("apiGroup", group),
        ("kind", fields::text(&reference, "kind")),
        ("name", fields::text(&reference, "name")),
    ];
    for (name, value) in parts.iter().filter(|(_, value)| !value.is_empty()) {
        out.insert((*name).to_owned(), (*value).into());
    }
    if !out.is_empty() {
        put(all, path, out.into());
    }
    Ok(())
}

/// Turns a reference by group and kind into an ObjectReference. The version is the one that fulfils
/// the contract, of kinds that are not Cluster API's own v1beta1.
pub(super) fn reference_down(all: &mut Fields, path: &str, namespace: &str) {
    let Some(reference) = fields::take_object(all, path) else { return };
    let group = fields::text(&reference, "apiGroup");
    let kind = fields::text(&reference, "kind");
    if group.is_empty() && kind.is_empty() && fields::text(&reference, "name").is_empty() {
        return;
    }
    let version = definitions::contract_version(group, kind).unwrap_or("v1beta1");
    let mut out = json!({
        "apiVersion": join_api_version(group, version),
        "kind": kind,
        "name": fields::text(&reference, "name"),
    });
    if !namespace.is_empty() {
        out["namespace"] = namespace.into();
    }
    put(all, path, out);
}

/// Turns an ObjectReference into one with apiVersion, kind and name alone, somewhere else.
pub(super) fn template_up(all: &mut Fields, from: &str, to: &str) {
    let Some(reference) = fields::take_object(all, from) else { return };
    let parts = ["apiVersion", "kind", "name"].into_iter().filter_map(|name| {
        let value = reference.get(name).filter(|value| !is_zero(value))?;
        Some((name.to_owned(), value.clone()))
    });
    let out: Map<_, _> = parts.collect();
    if !out.is_empty() {
        put(all, to, out.into());
    }
}

/// Turns a reference with apiVersion, kind and name into an ObjectReference somewhere else.
pub(super) fn template_down(all: &mut Fields, from: &str, to: &str, namespace: &str) {
    let Some(mut reference) = fields::take_object(all, from) else { return };
    if reference.values().all(is_zero) {
        return;
    }
    if !namespace.is_empty() {
        reference.insert("namespace".to_owned(), namespace.into());
    }
    put(all, to, reference.into());
}
