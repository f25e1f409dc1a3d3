//! Merging an applied configuration into the live object (structured-merge-diff `typed/merge.go`).

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value};

use super::shape::{Ownership, Shape};
use crate::machinery::field_path::PathElement;

/// Merges `config` into `live`; at least one is given. `None` if nothing is left, as when lists
/// and maps merge to nothing.
pub(super) fn merge(
    live: Option<&Value>,
    config: Option<&Value>,
    shape: Shape<'_>,
) -> Option<Value> {
    let (only, ownership) = match (live, config) {
        (None, None) => return None,
        (Some(value), None) | (None, Some(value)) => (value, shape.ownership(value)),
        (Some(live), Some(config)) => {
            let (old, new) = (shape.ownership(live), shape.ownership(config));
            (config, if config.is_null() { old } else { new })
        }
    };
    let is_bare = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    };
    if ownership == Ownership::Leaf || (is_bare(live) && is_bare(config)) {
        return Some(only.clone());
    }
    if live.is_none() || config.is_none() {
        return Some(only.clone());
    }
    match ownership {
        Ownership::Leaf => Some(only.clone()),
        Ownership::Map => merge_fields(live, config, shape),
        Ownership::List => merge_items(live, config, shape),
    }
}

fn merge_fields(live: Option<&Value>, config: Option<&Value>, shape: Shape<'_>) -> Option<Value> {
    let old = live.and_then(Value::as_object);
    let new = config.and_then(Value::as_object);
    let mut out = Map::new();
    for (name, value) in old.into_iter().flatten() {
        let change = new.and_then(|new| new.get(name));
        if let Some(merged) = merge(Some(value), change, shape.child(name)) {
            out.insert(name.clone(), merged);
        }
    }
    for (name, value) in new.into_iter().flatten() {
        if !old.is_some_and(|old| old.contains_key(name)) {
            out.insert(name.clone(), value.clone());
        }
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

type Indexed<'v> = (Vec<PathElement>, BTreeMap<PathElement, Option<&'v Value>>);

/// Items by path element; an element that occurs twice has no single item.
fn index<'v>(list: Option<&'v Value>, shape: Shape<'_>) -> Indexed<'v> {
    let mut order = Vec::new();
    let mut items = BTreeMap::new();
    for item in list.and_then(Value::as_array).into_iter().flatten() {
        let Ok(element) = shape.element(item) else { continue };
        let seen = items.contains_key(&element);
        items.insert(element.clone(), (!seen).then_some(item));
        order.push(element);
    }
    (order, items)
}

/// The configuration's order wins; live items that it does not name keep their place relative to
/// the shared items around them.
fn merge_items(live: Option<&Value>, config: Option<&Value>, shape: Shape<'_>) -> Option<Value> {
    let (old_order, old) = index(live, shape);
    let (new_order, new) = index(config, shape);
    let old_values: Vec<&Value> = live
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|item| shape.element(item).is_ok())
        .collect();
    let mut shared: VecDeque<&PathElement> =
        new_order.iter().filter(|element| old.contains_key(*element)).collect();
    let mut next_shared = shared.pop_front();
    let mut merged: BTreeMap<&PathElement, ()> = BTreeMap::new();
    let mut out = Vec::with_capacity(old_order.len().max(new_order.len()));
    let item_shape = shape.item();
    let both = |element: &PathElement| {
        let was = old.get(element).copied().flatten();
        let is = new.get(element).copied().flatten();
        merge(was, is, item_shape)
    };
    let (mut l, mut r) = (0, 0);
    while l < old_order.len() || r < new_order.len() {
        if let (Some(was), Some(is)) = (old_order.get(l), new_order.get(r)) {
            if was == is {
                merged.insert(is, ());
                out.extend(both(is));
                (l, r) = (l + 1, r + 1);
                next_shared = shared.pop_front();
                continue;
            }
            if new.contains_key(was) && next_shared.is_some_and(|next| next != was) {
                l += 1;
                continue;
            }
        }
        if let Some(was) = old_order.get(l) {
            if !new.contains_key(was) {
                out.extend(merge(Some(old_values[l]), None, item_shape));
                l += 1;
                continue;
            }
            if merged.contains_key(was) {
                l += 1;
            }
        }
        if let Some(is) = new_order.get(r) {
            merged.insert(is, ());
            out.extend(both(is));
            r += 1;
            if next_shared == Some(is) {
                next_shared = shared.pop_front();
            }
        }
    }
    (!out.is_empty()).then_some(Value::Array(out))
}
