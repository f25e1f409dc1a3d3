//! Status of a definition: accepted names, conditions.
//!
//! Upstream, three controllers share this work: the naming controller accepts names that nobody
//! else of the group has, the establishing controller marks what is served, and one more judges the
//! approval of Kubernetes' own groups. Each writes on its own, and so do the steps here.
//! (kubernetes 1.36: apiextensions-apiserver pkg/controller/{status,establish,apiapproval})

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{key, rewrite};
use crate::apiserver::ApiServer;
use crate::machinery::crd::{Approval, approval, is_protected_group};
use crate::machinery::managed_fields::{self, Writer};
use crate::machinery::status::quote;
use crate::store::{Entry, RangeQuery};

/// Who owns what is written here: in a real cluster the controllers are part of that program.
const MANAGER: &str = "kube-apiserver";

/// Names that are taken in a group.
#[derive(Default)]
pub(super) struct Taken {
    /// Plural, singular and short names.
    resources: BTreeSet<String>,
    /// Kinds and list kinds.
    kinds: BTreeSet<String>,
}

impl Taken {
    /// The accepted names of all definitions of a group.
    pub(super) fn of_group(server: &ApiServer, group: &str) -> Self {
        let mut taken = Self::default();
        for (_, object) in definitions(server, group) {
            let names = &object["status"]["acceptedNames"];
            let text = |field: &str| names[field].as_str().unwrap_or_default().to_owned();
            taken.resources.extend([text("plural"), text("singular")]);
            let short = names["shortNames"].as_array().into_iter().flatten();
            taken.resources.extend(short.filter_map(Value::as_str).map(str::to_owned));
            taken.kinds.extend([text("kind"), text("listKind")]);
        }
        taken
    }
}

/// The definitions of a group, as they are stored.
pub(super) fn definitions(server: &ApiServer, group: &str) -> Vec<(Arc<Entry>, Value)> {
    let Some(key) = key(server) else { return Vec::new() };
    let query = RangeQuery { resource: &key, namespace: None, after: None, at: None, limit: 0 };
    let of_group = |entry: &Entry| {
        entry.meta.name.split_once('.').is_some_and(|(_, entry_group)| entry_group == group)
    };
    // The latest state is always known.
    let page = server.store().range(query, of_group);
    let entries = page.into_iter().flat_map(|page| page.entries);
    entries
        .map(|entry| {
            let object = serde_json::from_slice(&entry.raw).unwrap_or_default();
            (entry, object)
        })
        .collect()
}

/// The states through which a definition's status goes until nothing is left to say; none if that
/// is so already. `taken` is asked for only if names are to be accepted.
pub(super) fn steps(object: &Value, taken: impl FnOnce() -> Taken, now: &str) -> Vec<Value> {
    let mut steps: Vec<Value> = Vec::new();
    let mut status = object["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    if !is_same_names(&object["spec"]["names"], &status["acceptedNames"])
        && let Some(named) = accept_names(object, &status, &taken(), now)
    {
        status = named;
        steps.push(status.clone());
    }
    if is_true(&status, "NamesAccepted") && !is_true(&status, "Established") {
        let message = "the initial names have been accepted";
        set_condition(&mut status, ["Established", "True", "InitialNamesAccepted", message], now);
        steps.push(status.clone());
    }
    let group = object["spec"]["group"].as_str().unwrap_or_default();
    if is_protected_group(group) {
        let judged = judge_approval(&object["metadata"]["annotations"]);
        let condition = [judged.0, judged.1, judged.2, &judged.3];
        if !has_condition(&status, condition) {
            set_condition(&mut status, condition, now);
            steps.push(status);
        }
    }
    steps
}

/// Stores the states of a definition one after the other. Whoever writes in between has its own
/// states stored after its own write.
pub(super) fn write(server: &ApiServer, entry: &Arc<Entry>, object: &Value, steps: &[Value]) {
    let Some(key) = key(server) else { return };
    let Some(resource) = server.resolve(&key.group, "v1", &key.plural) else { return };
    let now = format!("{:.0}", server.clock().now());
    let writer = Writer {
        manager: MANAGER,
        subresource: "status",
        api_version: &resource.api_version,
        now: &now,
        reset: &[],
    };
    let schema = resource.definition.schema.root();
    let mut entry = entry.clone();
    let mut object = object.clone();
    for status in steps {
        let before = object.clone();
        object["status"] = status.clone();
        managed_fields::update(&before, &mut object, &writer, schema);
        let Some(draft) = rewrite(&entry, object.clone()) else { return };
        match server.store().update(&key, entry.revision, draft) {
            Ok(event) => entry = event.entry.clone(),
            Err(_) => return,
        }
    }
}

/// The status with as many of the definition's names accepted as nobody else has; `None` if it
/// says so already.
fn accept_names(object: &Value, status: &Value, taken: &Taken, now: &str) -> Option<Value> {
    let wanted = &object["spec"]["names"];
    let accepted = &status["acceptedNames"];
    let mut names = accepted.as_object().cloned().unwrap_or_default();
    let mut conflict: Option<(&str, String)> = None;
    let text = |names: &Value, field: &str| names[field].as_str().unwrap_or_default().to_owned();
    let mut consider = |field: &str, reason: &'static str, taken: &BTreeSet<String>| {
        let (new, old) = (text(wanted, field), text(accepted, field));
        if new != old && taken.contains(&new) {
            conflict = Some((reason, in_use(&new)));
        } else {
            put(&mut names, field, &wanted[field]);
        }
    };
    consider("plural", "PluralConflict", &taken.resources);
    consider("singular", "SingularConflict", &taken.resources);
    let short = short_conflict(wanted, accepted, taken);
    consider("kind", "KindConflict", &taken.kinds);
    consider("listKind", "ListKindConflict", &taken.kinds);
    match short {
        None => put(&mut names, "shortNames", &wanted["shortNames"]),
        // A conflict of kinds, which is found later, is reported instead.
        Some(message) => {
            if !conflict.as_ref().is_some_and(|(reason, _)| reason.contains("Kind")) {
                conflict = Some(("ShortNamesConflict", message));
            }
        }
    }
    put(&mut names, "categories", &wanted["categories"]);
    let names = Value::Object(names);
    let (value, reason, message) = match &conflict {
        Some((reason, message)) => ("False", *reason, message.as_str()),
        None => ("True", "NoConflicts", "no conflicts found"),
    };
    let accepted_condition = ["NamesAccepted", value, reason, message];
    if names == *accepted && has_condition(status, accepted_condition) {
        return None;
    }
    let mut status = status.clone();
    status["acceptedNames"] = names;
    set_condition(&mut status, accepted_condition, now);
    if !is_true(&status, "Established") {
        if conflict.is_none() {
            let message = "the initial names have been accepted";
            set_condition(&mut status, ["Established", "False", "Installing", message], now);
        } else if condition(&status, "Established").is_none() {
            let message = "not all names are accepted";
            set_condition(&mut status, ["Established", "False", "NotAccepted", message], now);
        }
    }
    Some(status)
}

/// What is wrong with the short names that are new.
fn short_conflict(wanted: &Value, accepted: &Value, taken: &Taken) -> Option<String> {
    let list = |names: &Value| -> Vec<String> {
        let names = names["shortNames"].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let ours = list(accepted);
    let mut messages: Vec<String> = Vec::new();
    for name in list(wanted) {
        if !ours.contains(&name) && taken.resources.contains(&name) {
            let message = in_use(&name);
            if !messages.contains(&message) {
                messages.push(message);
            }
        }
    }
    match messages.len() {
        0 => None,
        1 => messages.pop(),
        _ => Some(format!("[{}]", messages.join(", "))),
    }
}

fn in_use(name: &str) -> String {
    format!("{} is already in use", quote(name))
}

fn put(names: &mut Map<String, Value>, field: &str, value: &Value) {
    let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    if is_empty {
        names.remove(field);
    } else {
        names.insert(field.to_owned(), value.clone());
    }
}

/// Whether names are equal for Go: absent and empty are one.
fn is_same_names(left: &Value, right: &Value) -> bool {
    let fields = ["plural", "singular", "kind", "listKind"];
    let lists = ["shortNames", "categories"];
    let text = |names: &Value, field: &str| names[field].as_str().unwrap_or_default().to_owned();
    let list = |names: &Value, field: &str| names[field].as_array().cloned().unwrap_or_default();
    fields.iter().all(|field| text(left, field) == text(right, field))
        && lists.iter().all(|field| list(left, field) == list(right, field))
}

/// Type, status, reason and message of the condition about a group of Kubernetes' own.
fn judge_approval(annotations: &Value) -> (&'static str, &'static str, &'static str, String) {
    let (status, reason, message) = match approval(annotations) {
        Approval::Invalid(why) => ("False", "InvalidAnnotation", why),
        Approval::Missing(why) => ("False", "MissingAnnotation", why),
        Approval::Approved(why) => ("True", "ApprovedAnnotation", why),
        Approval::Bypassed(why) => ("False", "UnapprovedAnnotation", why),
    };
    ("KubernetesAPIApprovalPolicyConformant", status, reason, message)
}

/// The condition of a type.
pub(super) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// Whether a condition is true.
pub(super) fn is_true(status: &Value, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition["status"] == "True")
}

fn has_condition(status: &Value, [kind, value, reason, message]: [&str; 4]) -> bool {
    condition(status, kind).is_some_and(|old| {
        old["status"] == value && old["reason"] == reason && old["message"] == message
    })
}

/// Sets a condition (type, status, reason, message); its time moves with its status.
pub(super) fn set_condition(
    object_status: &mut Value,
    [kind, value, reason, message]: [&str; 4],
    now: &str,
) {
    if !object_status["conditions"].is_array() {
        object_status["conditions"] = json!([]);
    }
    let Some(conditions) = object_status["conditions"].as_array_mut() else { return };
    let new = json!({
        "lastTransitionTime": now,
        "message": message,
        "reason": reason,
        "status": value,
        "type": kind,
    });
    match conditions.iter_mut().find(|condition| condition["type"] == kind) {
        None => conditions.push(new),
        Some(old) => {
            let since = old["lastTransitionTime"].clone();
            let is_same = old["status"] == value && since.is_string();
            *old = new;
            if is_same {
                old["lastTransitionTime"] = since;
            }
        }
    }
}
