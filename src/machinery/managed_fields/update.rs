//! Field ownership of writes that are not apply: what a writer changes becomes its own.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::Writer;
use super::compare::{Comparison, compare};
use super::entries::{self, Entry, Operation};
use super::field_set::FieldSet;
use super::others::{Elsewhere, Others};
use crate::machinery::field_path::PathElement;
use crate::machinery::schema::Node;

/// Sets `after.metadata.managedFields` for a create (`before` is null), update or patch.
///
/// Fields that were added or changed belong to the writer (operation `Update`) and to nobody else;
/// fields that are gone belong to nobody. The writer's time moves only if it took something.
/// Entries come from `after` if the client sent any and else from `before`; an empty list (or one
/// empty entry) resets ownership. Through a subresource, the client's entries are ignored. An
/// object without any entry stays untracked until it is applied to or created.
///
/// Server-owned metadata is never owned, nor is what the write cannot set ([`Writer::reset`]).
pub fn update(before: &Value, after: &mut Value, writer: &Writer<'_>, schema: Node<'_>) {
    update_across(before, after, writer, (schema, &Others::new()));
}

/// The same where entries may have been written in `others` than the schema's version.
pub fn update_across(
    before: &Value,
    after: &mut Value,
    writer: &Writer<'_>,
    versions: (Node<'_>, &Others),
) {
    let sent = take_managed_fields(after);
    let stored = before.pointer("/metadata/managedFields");
    let list = if writer.subresource.is_empty() {
        choose(sent, stored)
    } else {
        // A patch sends back what it found; taking that saves a copy.
        let same = sent.filter(|sent| Some(sent) == stored);
        let list = same.or_else(|| stored.cloned()).unwrap_or_default();
        entries::decode(list).unwrap_or_default()
    };
    record(before, after, writer, versions, list);
}

/// The same for a write that does not touch the entries: `held` is what the stored object has;
/// neither object contains it.
pub fn update_held(
    before: &Value,
    held: Value,
    after: &mut Value,
    writer: &Writer<'_>,
    versions: (Node<'_>, &Others),
) {
    let list = entries::decode(held).unwrap_or_default();
    record(before, after, writer, versions, list);
}

fn record(
    before: &Value,
    after: &mut Value,
    writer: &Writer<'_>,
    versions: (Node<'_>, &Others),
    mut list: Vec<Entry>,
) {
    if list.is_empty() && is_stored(before) {
        return;
    }
    own_changes(before, after, writer, versions, &mut list);
    entries::cap_updates(&mut list);
    put_managed_fields(after, entries::encode(list));
}

/// Whether a client asks to forget all ownership: its list is empty or has one empty entry.
pub fn reset_requested(managed_fields: &Value) -> bool {
    match managed_fields.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(entry)]) => entry.is_empty(),
        _ => false,
    }
}

fn choose(sent: Option<Value>, stored: Option<&Value>) -> Vec<Entry> {
    if sent.as_ref().is_some_and(reset_requested) {
        return Vec::new();
    }
    // What a patch sends back unchanged was checked when it came.
    if sent.as_ref() != stored && sent.as_ref().is_some_and(|sent| !entries::has_paths(sent)) {
        return entries::decode(stored.cloned().unwrap_or_default()).unwrap_or_default();
    }
    match entries::decode(sent.unwrap_or_default()) {
        Ok(list) if !list.is_empty() => list,
        _ => entries::decode(stored.cloned().unwrap_or_default()).unwrap_or_default(),
    }
}

/// Moves changed fields to the writer's entry.
pub(super) fn own_changes(
    before: &Value,
    after: &Value,
    writer: &Writer<'_>,
    (schema, others): (Node<'_>, &Others),
    list: &mut Vec<Entry>,
) {
    let mut comparison = compare_unmanaged(before, after, schema);
    if !comparison.is_empty() && !writer.reset.is_empty() {
        comparison.exclude(&writer.reset_fields());
    }
    let Comparison { removed, modified, added } = comparison;
    let mut taken = modified;
    taken.extend(&added);
    if taken.is_empty() && removed.is_empty() {
        return;
    }
    for entry in list.iter_mut() {
        match others.get(&entry.api_version) {
            None => {
                taken.subtract_from(&mut entry.fields);
                removed.subtract_from(&mut entry.fields);
            }
            Some(Elsewhere { comparison }) => {
                for set in [&comparison.modified, &comparison.added, &comparison.removed] {
                    set.subtract_from(&mut entry.fields);
                }
            }
        }
    }
    let owned = taken.difference(&UNOWNED);
    if !owned.is_empty() {
        let own = Entry::of(writer, Operation::Update);
        let entry = match list.iter().position(|entry| entry.is_same_manager(&own)) {
            Some(position) => &mut list[position],
            None => {
                list.push(own);
                let last = list.len() - 1;
                &mut list[last]
            }
        };
        owned.add_to(&mut entry.fields);
        entry.time = writer.time();
    }
    list.retain(|entry| !entry.fields.is_empty());
}

/// Compares without the stored object's `managedFields`; `after` has none any more.
fn compare_unmanaged(before: &Value, after: &Value, schema: Node<'_>) -> Comparison {
    let mut comparison = compare(before, after, schema);
    // The list is one leaf that was removed; nobody owns it, so it only has to be forgotten.
    let path = [PathElement::field("metadata"), PathElement::field("managedFields")];
    if comparison.removed.contains(&path) {
        let mut ours = FieldSet::default();
        ours.insert(&path);
        comparison.removed = comparison.removed.difference(&ours);
    }
    comparison
}

/// Metadata and type fields that no manager owns (apimachinery `stripmeta.go`).
pub(super) static UNOWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    const META: [&str; 9] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let metadata = PathElement::field("metadata");
    let mut set = FieldSet::default();
    set.insert(&[PathElement::field("apiVersion")]);
    set.insert(&[PathElement::field("kind")]);
    set.insert(std::slice::from_ref(&metadata));
    for name in META {
        set.insert(&[metadata.clone(), PathElement::field(name)]);
    }
    set
});

fn is_stored(before: &Value) -> bool {
    before.pointer("/metadata/uid").and_then(Value::as_str).is_some_and(|uid| !uid.is_empty())
}

pub(super) fn take_managed_fields(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

pub(super) fn put_managed_fields(object: &mut Value, list: Option<Value>) {
    let (Some(list), Value::Object(object)) = (list, object) else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        metadata.insert("managedFields".to_owned(), list);
    }
}
