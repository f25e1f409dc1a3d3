//! Status of a definition: accepted names, conditions, stored versions.

use serde_json::{Value, json};

use super::{GROUP, PLURAL, rewrite};
use crate::apiserver::ApiServer;
use crate::machinery::managed_fields::{self, Writer};
use crate::store::Entry;

/// Who owns what is written here: in a real cluster the controllers are part of that program.
const MANAGER: &str = "kube-apiserver";

/// Why a definition's names are not accepted: the reason and the message of its condition.
pub(super) type Conflict = (&'static str, String);

/// Looks for another resource of the group that has one of the definition's names. The first one
/// that came keeps them.
pub(super) fn conflict(server: &ApiServer, object: &Value) -> Option<Conflict> {
    let spec = &object["spec"];
    let names = &spec["names"];
    let text = |name: &str| names[name].as_str().unwrap_or_default();
    let (group, plural) = (spec["group"].as_str().unwrap_or_default(), text("plural"));
    let resources = server.resources();
    let others = || {
        let of_group = resources.definitions.iter().filter(|other| &*other.group == group);
        of_group.filter(|other| &*other.plural != plural)
    };
    let taken = |name: &str| {
        others().any(|other| {
            let is_name = |other: &std::sync::Arc<str>| !name.is_empty() && &**other == name;
            is_name(&other.plural)
                || is_name(&other.singular)
                || other.short_names.iter().any(is_name)
        })
    };
    let in_use =
        |name: &str| format!("{} is already in use", crate::machinery::status::quote(name));
    if taken(plural) {
        return Some(("PluralConflict", in_use(plural)));
    }
    if taken(text("singular")) {
        return Some(("SingularConflict", in_use(text("singular"))));
    }
    let short_names = names["shortNames"].as_array().into_iter().flatten();
    if let Some(short) = short_names.filter_map(Value::as_str).find(|name| taken(name)) {
        return Some(("ShortNamesConflict", in_use(short)));
    }
    let kind_taken = |kind: &str| {
        others()
            .any(|other| !kind.is_empty() && (&*other.kind == kind || &*other.list_kind == kind))
    };
    if kind_taken(text("kind")) {
        return Some(("KindConflict", in_use(text("kind"))));
    }
    if kind_taken(text("listKind")) {
        return Some(("ListKindConflict", in_use(text("listKind"))));
    }
    None
}

/// Stores the status that follows from the spec, if it is not there yet.
pub(super) fn write(server: &ApiServer, entry: &Entry, mut object: Value) {
    let Some(resource) = server.resolve(GROUP, "v1", PLURAL) else { return };
    let conflict = conflict(server, &object);
    let now = format!("{:.0}", server.clock().now());
    let status = status(&object, conflict, &now);
    if object["status"] == status {
        return;
    }
    let before = object.clone();
    object["status"] = status;
    let writer = Writer {
        manager: MANAGER,
        subresource: "status",
        api_version: &resource.api_version,
        now: &now,
    };
    let schema = resource.definition.schema.root();
    managed_fields::update(&before, &mut object, &writer, schema);
    if let Some(draft) = rewrite(entry, object) {
        // Whoever wrote in between has had its own status written after its own write.
        let _ = server.store().update(&resource.key, entry.revision, draft);
    }
}

/// The status of `object` as it should be. Times of conditions that do not change stay.
pub(super) fn status(object: &Value, conflict: Option<Conflict>, now: &str) -> Value {
    let before = &object["status"];
    let condition = |kind: &str, status: bool, reason: &str, message: &str| {
        let status = if status { "True" } else { "False" };
        let old = before["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|old| old["type"] == kind && old["status"] == status);
        match old {
            // Reason and message of an unchanged status stay, too: `InitialNamesAccepted` is
            // what the first acceptance was.
            Some(old) if status == "True" => old.clone(),
            old => {
                let since = old.and_then(|old| old["lastTransitionTime"].as_str()).unwrap_or(now);
                json!({
                    "lastTransitionTime": since,
                    "message": message,
                    "reason": reason,
                    "status": status,
                    "type": kind,
                })
            }
        }
    };
    let was_established = before["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|old| old["type"] == "Established" && old["status"] == "True");
    let mut status = before.clone();
    if !status.is_object() {
        status = json!({});
    }
    let conditions = match conflict {
        None => {
            status["acceptedNames"] = object["spec"]["names"].clone();
            let message = "the initial names have been accepted";
            [
                condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
                condition("Established", true, "InitialNamesAccepted", message),
            ]
        }
        Some((reason, message)) => [
            condition("NamesAccepted", false, reason, &message),
            // What was once established is served under its old names.
            condition("Established", was_established, "NotAccepted", "not all names are accepted"),
        ],
    };
    status["conditions"] = Value::from(conditions.to_vec());
    status
}
