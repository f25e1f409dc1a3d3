//! Server-side apply: merges a configuration into the live object by field ownership
//! (structured-merge-diff `merge/update.go`, KEP-555).

use serde_json::{Map, Value};

use super::Writer;
use super::compare::{Comparison, compare};
use super::entries::{self, Entry, Operation};
use super::field_set::FieldSet;
use super::last_applied;
use super::merge::merge;
use super::others::Others;
use super::remove::remove;
use super::shape::Shape;
use super::typecheck;
use super::update::{UNOWNED, own_changes, put_managed_fields, take_managed_fields};
use crate::machinery::field_path;
use crate::machinery::gvk::split_api_version;
use crate::machinery::schema::Node;
use crate::machinery::status::{Cause, Result, Status};

/// What happens to fields that another manager owns with another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Answer 409.
    No,
    /// Take them.
    Yes,
}

const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Applies `config` and returns the merged object with its new `managedFields`; `live` is `None`
/// for a create. What the writer applied before, does not apply now and nobody else owns is
/// removed. If nothing changes, the result equals `live`, times included.
///
/// # Errors
/// 400 if the configuration carries managedFields, 409 with `FieldManagerConflict` causes, 500
/// (as upstream) if the configuration does not fit the schema or live ownership is malformed.
pub fn apply(
    live: Option<&Value>,
    config: &Value,
    writer: &Writer<'_>,
    force: Force,
    (schema, others): (Node<'_>, &Others),
) -> Result<Value> {
    let shape = Shape::Object(schema);
    let config = checked_config(config, shape)?;
    let mut object = live.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let stored = take_managed_fields(&mut object);
    let mut list = entries::decode(stored.unwrap_or_default())
        .map_err(|error| Status::unknown(format!("failed to decode managed fields: {error}")))?;
    if list.is_empty() && live.is_some() {
        let earlier = Writer { manager: BEFORE_FIRST_APPLY, ..*writer };
        own_changes(&Value::Null, &object, &earlier, (schema, others), &mut list);
    }

    let merged = merge(Some(&object), Some(&config), shape).unwrap_or_default();
    let mut own = Entry::of(writer, Operation::Apply);
    let last = match list.iter().position(|entry| entry.is_same_manager(&own)) {
        None => None,
        Some(position) => {
            let last = list.remove(position);
            own.time = last.time;
            Some(FieldSet::from_json(&Value::Object(last.fields)))
        }
    };
    let reset = writer.reset_fields();
    let set = FieldSet::from_value(&config, shape).recursive_difference(&reset);
    let mut managers: Vec<(Entry, FieldSet)> = list.into_iter().map(with_fields).collect();

    let mut result = match last {
        Some(last) if !last.is_empty() => {
            let owned = managers.iter().fold(set.clone(), |mut all, (_, set)| {
                all.extend(set);
                all
            });
            // Pruning takes an emptied map with it; a configuration may ask for an empty one.
            let pruned = prune(&merged, &last, &owned, shape);
            merge(Some(&pruned), Some(&config), shape).unwrap_or(pruned)
        }
        _ => merged,
    };
    let comparison = compare(&object, &result, schema);
    let uncontested = || match writer.manager {
        last_applied::KUBECTL => last_applied::uncontested(&object, writer.api_version, schema),
        _ => None,
    };
    let mut contested = comparison.clone();
    contested.exclude(&reset);
    settle(&mut managers, (&contested, others), force, uncontested)?;

    own.fields = match set.difference(&UNOWNED).to_json() {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if !comparison.is_empty() || live.is_none() {
        own.time = writer.time();
    }
    let entries = managers.into_iter().map(|(entry, set)| Entry {
        fields: set.to_json().as_object().cloned().unwrap_or_default(),
        ..entry
    });
    put_managed_fields(&mut result, entries::encode(entries.chain([own]).collect()));
    if writer.manager == last_applied::KUBECTL {
        last_applied::refresh(&mut result, &config);
    }
    Ok(result)
}

/// An entry, and its fields as a set.
fn with_fields(entry: Entry) -> (Entry, FieldSet) {
    let set = FieldSet::from_json(&Value::Object(entry.fields.clone()));
    (entry, set)
}

/// The configuration without a null creationTimestamp, which Go clients send and nobody means.
fn checked_config(config: &Value, shape: Shape<'_>) -> Result<Value> {
    let metadata = config.get("metadata");
    if metadata.and_then(|metadata| metadata.get("managedFields")).is_some_and(|f| !f.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    if let Some(complaints) = typecheck::complaints(config, shape) {
        let text =
            |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (group, version) = split_api_version(text("/apiVersion"));
        return Err(Status::unknown(format!(
            "failed to create typed patch object ({}/{}; {group}/{version}, Kind={}): {complaints}",
            text("/metadata/namespace"),
            text("/metadata/name"),
            text("/kind"),
        )));
    }
    let mut config = config.clone();
    if let Some(Value::Object(metadata)) = config.get_mut("metadata") {
        metadata.retain(|name, value| {
            !(matches!(name.as_str(), "creationTimestamp" | "managedFields") && value.is_null())
        });
    }
    Ok(config)
}

/// Removes what the writer applied last time and neither it nor anybody else owns now.
///
/// First everything of the last set goes, with the structs that held it; then owned items come
/// back; then items that the last set did not name itself.
fn prune(merged: &Value, last: &FieldSet, owned: &FieldSet, shape: Shape<'_>) -> Value {
    let without = |set: &FieldSet| remove(merged, set, shape).unwrap_or_default();
    let all = FieldSet::from_value(merged, shape).with_named_parents(shape);
    let last = last.with_named_parents(shape);
    let paths = |value: &Value| FieldSet::from_value(value, shape).with_named_parents(shape);

    let pruned = without(&last);
    let kept = paths(&pruned).union(&owned.with_named_parents(shape));
    let pruned = without(&all.difference(&kept));
    let gone = all.difference(&paths(&pruned)).intersection(&last);
    without(&gone)
}

/// Takes changed and removed fields from the other managers, or refuses with a conflict; fields
/// that are `uncontested` are none.
fn settle(
    managers: &mut Vec<(Entry, FieldSet)>,
    (comparison, others): (&Comparison, &Others),
    force: Force,
    uncontested: impl FnOnce() -> Option<FieldSet>,
) -> Result<()> {
    let of = |entry: &Entry| others.get(&entry.api_version).map_or(comparison, |it| &it.comparison);
    let taken = |entry: &Entry| of(entry).modified.union(&of(entry).added);
    if force == Force::No {
        let mut conflicts: Vec<(String, FieldSet)> = managers
            .iter()
            .map(|(entry, set)| (entry.describe(), set.intersection(&taken(entry))))
            .filter(|(_, set)| !set.is_empty())
            .collect();
        if !conflicts.is_empty()
            && let Some(uncontested) = uncontested()
        {
            for (_, set) in &mut conflicts {
                *set = set.difference(&uncontested);
            }
            conflicts.retain(|(_, set)| !set.is_empty());
        }
        if !conflicts.is_empty() {
            conflicts.sort_by(|a, b| a.0.cmp(&b.0));
            return Err(conflict(&conflicts));
        }
    }
    for (entry, set) in managers.iter_mut() {
        *set = set.difference(&taken(entry)).difference(&of(entry).removed);
    }
    managers.retain(|(_, set)| !set.is_empty());
    Ok(())
}

/// apimachinery `managedfields/internal/conflict.go`.
fn conflict(conflicts: &[(String, FieldSet)]) -> Box<Status> {
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (manager, set) in conflicts {
        lines.push(format!("conflicts with {manager}:"));
        for path in set.paths() {
            let field = field_path::display(&path);
            lines.push(format!("- {field}"));
            causes.push(Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {manager}"),
                field,
            });
        }
    }
    let message = match &causes[..] {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
        _ => format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n")),
    };
    Status::apply_conflict(causes, message)
}
