//! Strategic merge patch for built-in kinds (apimachinery `strategicpatch`, the server's half).
//!
//! Lists merge by the schema's merge keys; directives: `$patch: replace|delete`, `$retainKeys`,
//! `$setElementOrder/x` and `$deleteFromPrimitiveList/x`. Directives never reach the object.
//! `metadata` has its own fixed merge keys, so that every kind merges it alike.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::machinery::schema::Node;
use crate::machinery::status::{Result, Status};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";

/// Applies a strategic merge patch. A patch that does not fit answers 500 without a reason, as
/// kube-apiserver does; the object is then left half changed, so apply to a copy.
pub fn apply(current: &mut Value, patch: &Value, schema: Node<'_>) -> Result<()> {
    let (Value::Object(original), Value::Object(patch)) = (&mut *current, patch) else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    merge_map(original, patch.clone(), Shape::Root(schema))
}

/// What the merge needs to know of a value's type.
#[derive(Clone, Copy)]
enum Shape<'a> {
    /// A whole object.
    Root(Node<'a>),
    /// `metadata` of a whole object.
    Metadata,
    /// A value with a schema.
    Node(Node<'a>),
    /// A value that the schema does not know.
    Unknown,
}

/// How a list merges.
struct ListStrategy<'a> {
    item: Shape<'a>,
    merges: bool,
    merge_key: Option<&'a str>,
}

impl<'a> Shape<'a> {
    fn child(self, name: &str) -> Self {
        match self {
            Shape::Root(_) if name == "metadata" => Shape::Metadata,
            Shape::Root(node) | Shape::Node(node) => {
                node.child(name).map_or(Shape::Unknown, Shape::Node)
            }
            Shape::Metadata | Shape::Unknown => Shape::Unknown,
        }
    }

    fn list(self, name: &str) -> ListStrategy<'a> {
        match (self, name) {
            (Shape::Metadata, "ownerReferences") => {
                ListStrategy { item: Shape::Unknown, merges: true, merge_key: Some("uid") }
            }
            (Shape::Metadata, "finalizers") => {
                ListStrategy { item: Shape::Unknown, merges: true, merge_key: None }
            }
            _ => match self.child(name) {
                Shape::Node(node) => ListStrategy {
                    item: node.items().map_or(Shape::Unknown, Shape::Node),
                    merges: node.patch_merges(),
                    merge_key: node.patch_merge_key(),
                },
                _ => ListStrategy { item: Shape::Unknown, merges: false, merge_key: None },
            },
        }
    }
}

fn merge_map(
    original: &mut Map<String, Value>,
    mut patch: Map<String, Value>,
    shape: Shape<'_>,
) -> Result<()> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                *original = patch;
                return Ok(());
            }
            Some("delete") => {
                original.clear();
                return Ok(());
            }
            _ => return Err(unknown_directive(&patch)),
        }
    }
    retain_keys(original, &mut patch)?;
    apply_element_orders(original, &mut patch, shape)?;
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM_LIST) {
            delete_from_list(original, list, &value);
            continue;
        }
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        match (original.get_mut(&key), value) {
            (Some(Value::Object(current)), Value::Object(change)) => {
                merge_map(current, change, shape.child(&key))?;
            }
            (Some(Value::Array(current)), Value::Array(change)) => {
                let strategy = shape.list(&key);
                if strategy.merges {
                    *current = merge_list(std::mem::take(current), change, &strategy)?;
                } else {
                    *current = change;
                }
            }
            (_, value) => match without_directives(value) {
                Some(value) => drop(original.insert(key, value)),
                None => drop(original.remove(&key)),
            },
        }
    }
    Ok(())
}

fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<()> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let invalid = || Status::bad_request("invalid patch format of retainKeys");
    let keys = keys.as_array().ok_or_else(invalid)?;
    let is_listed = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    let is_directive =
        |name: &str| name.starts_with(DELETE_FROM_LIST) || name.starts_with(ELEMENT_ORDER);
    let strange = patch
        .iter()
        .any(|(name, value)| !value.is_null() && !is_directive(name) && !is_listed(name));
    if strange {
        return Err(invalid());
    }
    original.retain(|name, _| is_listed(name));
    Ok(())
}

/// Handles each `$setElementOrder/x` together with the list `x`, which leaves the patch.
fn apply_element_orders(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    shape: Shape<'_>,
) -> Result<()> {
    let directives: Vec<String> =
        patch.keys().filter(|key| key.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let invalid = || Status::bad_request("invalid patch format of setElementOrder list");
        let Some(order) = patch.remove(&directive) else { continue };
        let Value::Array(order) = order else { return Err(invalid()) };
        let key = &directive[ELEMENT_ORDER.len()..];
        let change = match patch.get(key) {
            Some(Value::Null) => continue,
            Some(Value::Array(_)) => match patch.remove(key) {
                Some(Value::Array(change)) => Some(change),
                _ => None,
            },
            Some(_) => return Err(invalid()),
            None => None,
        };
        let strategy = shape.list(key);
        if let Some(change) = &change {
            check_order(change, &order, strategy.merge_key)?;
        }
        let live = match original.get(key) {
            Some(Value::Array(live)) => Some(live.clone()),
            Some(Value::Null) | None => None,
            Some(_) => return Err(invalid()),
        };
        let merged = match (live.clone(), change) {
            (None, None) => continue,
            (Some(live), None) => live,
            (None, Some(change)) => change.into_iter().filter_map(without_directives).collect(),
            (Some(live), Some(change)) if strategy.merges => merge_list(live, change, &strategy)?,
            (Some(_), Some(change)) => change,
        };
        let ordered = put_in_order(merged, &order, &live.unwrap_or_default(), strategy.merge_key)?;
        original.insert(key.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

/// The patch list must be a subsequence of the order list, deletions aside.
fn check_order(change: &[Value], order: &[Value], merge_key: Option<&str>) -> Result<()> {
    if order.is_empty() || change.is_empty() {
        return Ok(());
    }
    let mut places = order.iter();
    for item in change.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        let key = identity(item, merge_key)?;
        let mut found = false;
        for place in places.by_ref() {
            if identity(place, merge_key)? == key {
                found = true;
                break;
            }
        }
        if !found {
            let (change, order) = (go_list(change), go_list(order));
            return Err(Status::unknown(format!(
                "The order in patch list:\n{change}\n doesn't match $setElementOrder list:\n{order}\n"
            )));
        }
    }
    Ok(())
}

fn merge_list(
    live: Vec<Value>,
    change: Vec<Value>,
    strategy: &ListStrategy<'_>,
) -> Result<Vec<Value>> {
    if live.is_empty() && change.is_empty() {
        return Ok(live);
    }
    let items = || live.iter().chain(&change);
    if items().any(Value::is_array) {
        // Lists of lists are not merged.
        return Err(Status::unprocessable());
    }
    let objects = items().filter(|item| item.is_object()).count();
    if objects == 0 {
        let mut merged = live.clone();
        for item in &change {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return put_in_order(merged, &change, &live, None);
    }
    if objects < items().count() {
        let lists = format!("[{} {}]", go_list(&live), go_list(&change));
        return Err(Status::unknown(format!("list element types are not identical: {lists}")));
    }
    let Some(key) = strategy.merge_key else {
        return Err(Status::unknown("cannot merge lists without merge key"));
    };
    let (live, change) = apply_item_directives(live, change, key)?;
    let mut merged = live.clone();
    for item in &change {
        let wanted = identity(item, Some(key))?;
        let found = merged.iter_mut().find(|candidate| candidate.get(key) == Some(wanted));
        match (found, item) {
            (Some(Value::Object(current)), Value::Object(change)) => {
                merge_map(current, change.clone(), strategy.item)?;
            }
            _ => merged.extend(without_directives(item.clone())),
        }
    }
    put_in_order(merged, &change, &live, Some(key))
}

/// Carries out `$patch` directives of list items and takes them out of the patch.
fn apply_item_directives(
    mut live: Vec<Value>,
    change: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>)> {
    let mut plain = Vec::with_capacity(change.len());
    let mut replace = false;
    for item in change {
        let Some(directive) = item.get(DIRECTIVE) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let gone = identity(&item, Some(key))?;
                live.retain(|candidate| candidate.get(key) != Some(gone));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(Status::unknown("merging lists cannot yet be specified in the patch"));
            }
            _ => return Err(unknown_directive(item.as_object().unwrap_or(&Map::new()))),
        }
    }
    if replace { Ok((Vec::new(), plain)) } else { Ok((live, plain)) }
}

/// Orders a merged list: items named in `order` in that order, the server's own items where they
/// stood relative to them.
fn put_in_order(
    merged: Vec<Value>,
    order: &[Value],
    live: &[Value],
    merge_key: Option<&str>,
) -> Result<Vec<Value>> {
    let mut ranked = Vec::with_capacity(merged.len());
    for item in merged {
        let key = identity(&item, merge_key)?;
        let place = |list: &[Value]| {
            list.iter().position(|other| match merge_key {
                Some(name) => other.get(name) == Some(key),
                None => other == key,
            })
        };
        let (ordered, lived) = (place(order), place(live));
        ranked.push((ordered, lived, item));
    }
    let (mut named, mut own): (Vec<_>, Vec<_>) = ranked.into_iter().partition(|r| r.0.is_some());
    named.sort_by_key(|(place, _, _)| *place);
    own.sort_by(|(_, a, _), (_, b, _)| match (a, b) {
        (Some(a), Some(b)) => a.cmp(b),
        _ => Ordering::Equal,
    });
    let mut out = Vec::with_capacity(named.len() + own.len());
    let mut named = named.into_iter().peekable();
    for (_, lived, item) in own {
        let goes_first =
            |other: Option<usize>| matches!((lived, other), (Some(l), Some(o)) if l < o);
        while let Some((_, _, next)) = named.next_if(|(_, other, _)| !goes_first(*other)) {
            out.push(next);
        }
        out.push(item);
    }
    out.extend(named.map(|(_, _, item)| item));
    Ok(out)
}

fn delete_from_list(original: &mut Map<String, Value>, key: &str, gone: &Value) {
    if gone.is_null() {
        original.remove(key);
        return;
    }
    if let (Some(Value::Array(list)), Some(gone)) = (original.get_mut(key), gone.as_array()) {
        list.retain(|item| !gone.contains(item));
    }
}

fn identity<'v>(item: &'v Value, merge_key: Option<&str>) -> Result<&'v Value> {
    let Some(key) = merge_key else { return Ok(item) };
    item.get(key).ok_or_else(|| {
        let shown = go_value(item);
        Status::unknown(format!("map: {shown} does not contain declared merge key: {key}"))
    })
}

/// An added value without nulls and directives; `None` if the value itself was a directive.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let is_directive = |key: &str| {
                key == RETAIN_KEYS
                    || key.starts_with(ELEMENT_ORDER)
                    || key.starts_with(DELETE_FROM_LIST)
            };
            let kept = map
                .into_iter()
                .filter(|(key, value)| !value.is_null() && !is_directive(key))
                .filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => Some(list.into_iter().filter_map(without_directives).collect()),
        scalar => Some(scalar),
    }
}

fn unknown_directive(patch: &Map<String, Value>) -> Box<Status> {
    let directive = patch.get(DIRECTIVE).map(go_value).unwrap_or_default();
    Status::unknown(format!("unknown patch type: {directive} in map: {}", go_map(patch)))
}

/// Shows a value as Go's `%v` does, which is what kube-apiserver's messages contain.
fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(list) => go_list(list),
        Value::Object(map) => go_map(map),
    }
}

fn go_list(list: &[Value]) -> String {
    let items: Vec<String> = list.iter().map(go_value).collect();
    format!("[{}]", items.join(" "))
}

fn go_map(map: &Map<String, Value>) -> String {
    let items: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", go_value(v))).collect();
    format!("map[{}]", items.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::machinery::schema::Schema;

    fn schema() -> Schema {
        let named = json!({"type": "object", "properties": {
            "name": {"type": "string"}, "image": {"type": "string"}, "args": {"type": "array", "items": {"type": "string"}},
            "emptyDir": {"type": "object"}, "configMap": {"type": "object", "additionalProperties": {"type": "string"}},
        }});
        let merging = |key: &str| {
            json!({"type": "array", "items": named.clone(), "x-kubernetes-patch-strategy": "merge",
                   "x-kubernetes-patch-merge-key": key})
        };
        Schema::from_openapi(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "containers": merging("name"),
                "volumes": merging("name"),
                "tolerations": {"type": "array", "items": named},
                "nodeSelector": {"type": "object", "additionalProperties": {"type": "string"}},
                "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys", "properties": {
                    "type": {"type": "string"},
                    "rollingUpdate": {"type": "object", "additionalProperties": {"type": "string"}},
                }},
            }},
        }}))
        .unwrap()
    }

    fn apply_to(live: Value, patch: Value) -> Result<Value> {
        let schema = schema();
        let mut value = live;
        apply(&mut value, &patch, schema.root())?;
        Ok(value)
    }

    fn check(live: Value, patch: Value, result: Value) {
        assert_eq!(apply_to(live, patch.clone()).unwrap(), result, "{patch}");
    }

    fn containers(list: Value) -> Value {
        json!({"spec": {"containers": list}})
    }

    #[test]
    fn lists_merge_by_key_and_new_items_come_first() {
        check(
            containers(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])),
            containers(json!([{"name": "c", "image": "3"}, {"name": "b", "image": "2"}])),
            containers(json!([
                {"name": "c", "image": "3"}, {"name": "a", "image": "1"}, {"name": "b", "image": "2"}
            ])),
        );
    }

    #[test]
    fn lists_without_strategy_are_replaced() {
        check(
            json!({"spec": {"tolerations": [{"name": "a"}]}}),
            json!({"spec": {"tolerations": [{"name": "b"}]}}),
            json!({"spec": {"tolerations": [{"name": "b"}]}}),
        );
    }

    #[test]
    fn item_directives_delete_and_replace() {
        let live = || containers(json!([{"name": "a"}, {"name": "b"}]));
        check(
            live(),
            containers(json!([{"name": "a", "$patch": "delete"}])),
            containers(json!([{"name": "b"}])),
        );
        check(
            live(),
            containers(json!([{"$patch": "replace"}, {"name": "z"}])),
            containers(json!([{"name": "z"}])),
        );
    }

    #[test]
    fn map_directives_replace_and_delete() {
        let live = || json!({"spec": {"nodeSelector": {"a": "1", "b": "2"}}});
        check(
            live(),
            json!({"spec": {"nodeSelector": {"$patch": "replace", "c": "3"}}}),
            json!({"spec": {"nodeSelector": {"c": "3"}}}),
        );
        check(
            live(),
            json!({"spec": {"nodeSelector": {"$patch": "delete"}}}),
            json!({"spec": {"nodeSelector": {}}}),
        );
        check(live(), json!({"spec": {"nodeSelector": null}}), json!({"spec": {}}));
    }

    #[test]
    fn retain_keys_drops_the_rest() {
        let live = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "1"}}}});
        check(
            live.clone(),
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
            json!({"spec": {"strategy": {"type": "Recreate"}}}),
        );
        let error =
            apply_to(live, json!({"spec": {"strategy": {"$retainKeys": ["x"], "type": "y"}}}));
        let error = error.unwrap_err();
        let refused = (error.code, &*error.message);
        assert_eq!(refused, (400, "invalid patch format of retainKeys"));
    }

    #[test]
    fn element_order_sorts_and_keeps_server_items_in_place() {
        check(
            containers(json!([{"name": "a"}, {"name": "own"}, {"name": "b"}])),
            json!({"spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}],
                "containers": [{"name": "c"}],
            }}),
            containers(json!([{"name": "own"}, {"name": "b"}, {"name": "c"}, {"name": "a"}])),
        );
        let error = apply_to(
            containers(json!([{"name": "a"}])),
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}],
                            "containers": [{"name": "a", "image": "i:3"}]}}),
        );
        assert_eq!(
            error.unwrap_err().message,
            "The order in patch list:\n[map[image:i:3 name:a]]\n doesn't match $setElementOrder list:\n[map[name:b]]\n"
        );
    }

    #[test]
    fn metadata_merges_finalizers_and_owners() {
        let live =
            json!({"metadata": {"finalizers": ["a", "b"], "ownerReferences": [{"uid": "1"}]}});
        check(
            live.clone(),
            json!({"metadata": {"finalizers": ["c"], "ownerReferences": [{"uid": "1", "name": "x"}]}}),
            json!({"metadata": {"finalizers": ["c", "a", "b"], "ownerReferences": [{"uid": "1", "name": "x"}]}}),
        );
        check(
            live,
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"],
                                "ownerReferences": [{"uid": "1", "$patch": "delete"}]}}),
            json!({"metadata": {"finalizers": ["b"], "ownerReferences": []}}),
        );
    }

    #[test]
    fn added_values_carry_no_nulls_or_directives() {
        check(
            json!({}),
            json!({"spec": {"nodeSelector": {"a": null, "b": "1"},
                            "strategy": {"$patch": "delete"}, "$setElementOrder/containers": []}}),
            json!({"spec": {"nodeSelector": {"b": "1"}}}),
        );
    }

    #[test]
    fn errors_are_upstreams() {
        let error = apply_to(containers(json!([])), containers(json!([{"image": "noname"}])));
        let error = error.unwrap_err();
        assert_eq!(
            error.message,
            "map: map[image:noname] does not contain declared merge key: name"
        );
        assert_eq!((error.code, error.reason.as_str()), (500, ""));
        assert_eq!(
            apply_to(json!({}), json!({"$patch": "bogus"})).unwrap_err().message,
            "unknown patch type: bogus in map: map[$patch:bogus]"
        );
    }
}
