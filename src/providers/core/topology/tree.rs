//! Fields of objects whose kind is known only at run time.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value, json};

use super::labels::OWNED;
use crate::machinery::gvk::split_api_version;

/// Text at a pointer; empty if there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Name of an object.
pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// Namespace of an object.
pub(super) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// Kind of an object.
pub(super) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

/// API group of an object.
pub(super) fn group(object: &Value) -> &str {
    split_api_version(text(object, "/apiVersion")).0
}

/// `namespace/name`, as messages call objects.
pub(super) fn key(object: &Value) -> String {
    format!("{}/{}", namespace(object), name(object))
}

/// `Kind namespace/name`, as messages call objects.
pub(super) fn describe(object: &Value) -> String {
    format!("{} {}", kind(object), key(object))
}

/// Sets a field; what is on the way and no object is replaced by one.
pub(super) fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut at = object;
    for field in parents {
        at = fields(at).entry(*field).or_insert_with(|| json!({}));
    }
    fields(at).insert((*last).to_owned(), value);
}

/// Removes a field.
pub(super) fn remove(object: &mut Value, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut at = object;
    for field in parents {
        let Some(next) = at.get_mut(*field) else { return };
        at = next;
    }
    if let Some(fields) = at.as_object_mut() {
        fields.remove(*last);
    }
}

/// The members of an object; something else becomes an empty one.
fn fields(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(fields) => fields,
        // Just made an object.
        _ => unreachable!("the value is an object"),
    }
}

/// A map of strings at a pointer; anything else in it is left out.
pub(super) fn strings(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let map = object.pointer(pointer).and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Sets a map of strings, or removes the field if it is empty.
pub(super) fn set_strings(object: &mut Value, path: &[&str], map: &BTreeMap<String, String>) {
    if map.is_empty() {
        remove(object, path);
    } else {
        set(object, path, json!(map));
    }
}

/// Both maps; the first one wins. (CAPI v1.14: util.MergeMap)
pub(super) fn merged(
    first: &BTreeMap<String, String>,
    second: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = second.clone();
    all.extend(first.iter().map(|(key, value)| (key.clone(), value.clone())));
    all
}

/// Whether an object belongs to a managed topology.
pub(super) fn is_topology_owned(object: &Value) -> bool {
    object["metadata"]["labels"].get(OWNED).is_some()
}

/// Owner references of an object.
pub(super) fn owners(object: &Value) -> Vec<OwnerReference> {
    let owners = object.pointer("/metadata/ownerReferences").cloned();
    owners.and_then(|owners| serde_json::from_value(owners).ok()).unwrap_or_default()
}

/// The owner reference to an object of a kind and name.
pub(super) fn owner(object: &Value, kind: &str, name: &str) -> Option<OwnerReference> {
    owners(object).into_iter().find(|owner| owner.kind == kind && owner.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_made_on_the_way() {
        let mut object = json!({"spec": "text"});
        set(&mut object, &["spec", "a", "b"], json!(1));
        assert_eq!(object, json!({"spec": {"a": {"b": 1}}}));
        remove(&mut object, &["spec", "a", "b"]);
        remove(&mut object, &["spec", "x", "b"]);
        assert_eq!(object, json!({"spec": {"a": {}}}));
    }

    #[test]
    fn the_first_map_wins() {
        let map = |text: &str| -> BTreeMap<String, String> {
            text.split(',')
                .map(|pair| pair.split_once('=').unwrap())
                .map(|(a, b)| (a.into(), b.into()))
                .collect()
        };
        assert_eq!(merged(&map("a=1,b=2"), &map("b=3,c=4")), map("a=1,b=2,c=4"));
    }
}
