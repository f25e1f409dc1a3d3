//! `LimitRanger`: what containers get by default, and bounds of what pods and claims ask for.
//! (kubernetes 1.36: plugin/pkg/admission/limitranger)

use serde_json::{Value, json};

use super::limits_check::{check_claim, check_pod};
use super::{NOTHING, Plugin, all, forbidden, has_any};
use crate::apiserver::admission::attributes::Attributes;
use crate::apiserver::route::Call;
use crate::machinery::status::Status;

/// Of new pods.
pub(super) const POD: Plugin =
    Plugin { name: "LimitRanger", needed, admit: set_defaults, approve: approve_pod };

/// Of claims.
pub(super) const CLAIM: Plugin =
    Plugin { name: "LimitRanger", needed, approve: approve_claim, ..NOTHING };

const LIMITS: (&str, &str) = ("", "limitranges");
/// Where it is written what was set.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

fn needed(call: &Call<'_>, _object: &Value) -> bool {
    has_any(call.server, LIMITS.0, LIMITS.1)
}

/// All limits of the request's namespace.
fn limits(attributes: &Attributes<'_>) -> Vec<Value> {
    let ranges = all(attributes.call.server, LIMITS, &attributes.namespace);
    let limits = |range: &Value| range["spec"]["limits"].as_array().cloned().unwrap_or_default();
    ranges.iter().flat_map(limits).collect()
}

fn set_defaults(
    attributes: &Attributes<'_>,
    pod: &mut Value,
    _old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let mut notes = Vec::new();
    let limits = limits(attributes);
    for limit in limits.iter().filter(|limit| limit["type"] == "Container") {
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else {
                continue;
            };
            for container in containers {
                let name = container["name"].as_str().unwrap_or_default().to_owned();
                let kinds =
                    [("requests", "defaultRequest", "request"), ("limits", "default", "limit")];
                for (field, source, noun) in kinds {
                    let set = fill(container, field, &limit[source]);
                    if !set.is_empty() {
                        notes.push(format!("{} {noun} for {what} {name}", set.join(", ")));
                    }
                }
            }
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        pod["metadata"]["annotations"][ANNOTATION] = note.into();
    }
    Ok(())
}

/// Fills in amounts that a container lacks; their names.
fn fill(container: &mut Value, field: &str, defaults: &Value) -> Vec<String> {
    let mut set = Vec::new();
    for (name, amount) in defaults.as_object().into_iter().flatten() {
        if container["resources"][field].get(name.as_str()).is_some() {
            continue;
        }
        if !container["resources"].is_object() {
            container["resources"] = json!({});
        }
        container["resources"][field][name.as_str()] = amount.clone();
        set.push(name.clone());
    }
    set.sort();
    if let Some(resources) = container["resources"].as_object_mut() {
        resources.retain(|_, value| !value.is_null());
    }
    set
}

fn approve_pod(
    attributes: &Attributes<'_>,
    pod: &Value,
    _old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let limits = limits(attributes);
    refuse(attributes, pod, limits.iter().flat_map(|limit| check_pod(limit, pod)).collect())
}

fn approve_claim(
    attributes: &Attributes<'_>,
    claim: &Value,
    _old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let limits = limits(attributes);
    refuse(attributes, claim, limits.iter().flat_map(|limit| check_claim(limit, claim)).collect())
}

fn refuse(
    attributes: &Attributes<'_>,
    object: &Value,
    mut why: Vec<String>,
) -> Result<(), Box<Status>> {
    match why.len() {
        0 => Ok(()),
        1 => Err(forbidden(attributes, object, &why.swap_remove(0))),
        _ => Err(forbidden(attributes, object, &format!("[{}]", why.join(", ")))),
    }
}
