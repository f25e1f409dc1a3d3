//! Structural defaulting, and what a round trip through Go's decoder does to nulls and numbers.

use serde_json::{Map, Number, Value};

use super::NodeType;
use super::arena::{Arena, Index, NodeData};

pub(super) fn default(arena: &Arena, root: Index, object: &mut Value) {
    let Value::Object(map) = object else { return };
    // ObjectMeta is decoded and encoded again, so that its nulls vanish whatever the schema says.
    if let Some(Value::Object(metadata)) = map.get_mut("metadata")
        && metadata.values().any(Value::is_null)
    {
        metadata.retain(|_, value| !value.is_null());
    }
    object_defaults(arena, arena.node(root), map);
}

fn value_defaults(arena: &Arena, node: &NodeData, value: &mut Value) {
    match value {
        Value::Object(map) => object_defaults(arena, node, map),
        Value::Array(list) => {
            let Some(items) = node.items else { return };
            let items = arena.node(items);
            let default = default_of(items).filter(|_| !items.nullable);
            for item in list {
                if let (Value::Null, Some(default)) = (&*item, default) {
                    *item = default.clone();
                }
                value_defaults(arena, items, item);
            }
        }
        Value::Number(number) if number.is_f64() => {
            if let Some(whole) = integral(number) {
                *number = whole;
            }
        }
        _ => {}
    }
}

fn object_defaults(arena: &Arena, node: &NodeData, map: &mut Map<String, Value>) {
    if node.child_defaults {
        insert_defaults(arena, node, map);
    }
    let mut nulls = false;
    for (name, value) in map.iter_mut() {
        match value {
            Value::Null => nulls = true,
            Value::Object(_) | Value::Array(_) | Value::Number(_) => {
                if let Some(child) = node.child(name) {
                    value_defaults(arena, arena.node(child), value);
                } else if node.kind != NodeType::Object || node.keeps_unknown() {
                    normalize(value);
                }
            }
            _ => {}
        }
    }
    if nulls {
        map.retain(|name, value| {
            let child = node.child(name).map(|index| arena.node(index));
            !value.is_null() || child.is_none_or(keeps_null)
        });
    }
}

fn insert_defaults(arena: &Arena, node: &NodeData, map: &mut Map<String, Value>) {
    for (name, index) in &node.properties {
        let child = arena.node(*index);
        let Some(default) = default_of(child) else { continue };
        match map.get_mut(&**name) {
            None => {
                map.insert(name.to_string(), default.clone());
            }
            Some(value @ Value::Null) if !child.nullable => *value = default.clone(),
            Some(_) => {}
        }
    }
    let Some(child) = node.additional.map(|index| arena.node(index)) else { return };
    let Some(default) = default_of(child).filter(|_| !child.nullable) else { return };
    for (name, value) in map.iter_mut() {
        if value.is_null() && node.property(name).is_none() {
            *value = default.clone();
        }
    }
}

fn default_of(node: &NodeData) -> Option<&Value> {
    node.facts.as_deref()?.default.as_ref()
}

fn keeps_null(node: &NodeData) -> bool {
    node.nullable || (node.kind == NodeType::Any && node.preserve_unknown)
}

/// Whole floating-point numbers as integers, anywhere below a field without a schema.
fn normalize(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = integral(number) {
                *number = whole;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(normalize),
        Value::Object(map) => map.values_mut().for_each(normalize),
        _ => {}
    }
}

/// A whole floating-point number as an integer: Go writes 1.0 as 1.
pub(super) fn integral(number: &Number) -> Option<Number> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    let exact = float.fract() == 0.0 && float.abs() < 9e15;
    exact.then(|| Number::from(float as i64))
}
