//! Checks that an applied configuration fits the schema (structured-merge-diff
//! `typed/validate.go`), with its messages.

use std::collections::BTreeSet;

use serde_json::Value;

use super::shape::{Ownership, Shape};
use crate::machinery::schema::NodeType;

/// Complaints about a configuration: one line, or a list under `errors:`. `None` accepts.
pub(super) fn complaints(config: &Value, shape: Shape<'_>) -> Option<String> {
    let mut found = Vec::new();
    check(config, shape, &mut String::new(), &mut found);
    match found.len() {
        0 => None,
        1 => found.pop(),
        _ => Some(format!("errors:\n  {}", found.join("\n  "))),
    }
}

fn check(value: &Value, shape: Shape<'_>, path: &mut String, found: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    if let Some(wrong) = wrong_type(value, shape) {
        found.push(if path.is_empty() { wrong } else { format!("{path}: {wrong}") });
        return;
    }
    let length = path.len();
    match value {
        Value::Object(fields) => {
            for (name, child) in fields {
                path.push('.');
                path.push_str(name);
                if shape.allows(name) {
                    check(child, shape.child(name), path, found);
                } else {
                    found.push(format!("{path}: field not declared in schema"));
                    path.truncate(length);
                    return;
                }
                path.truncate(length);
            }
        }
        Value::Array(items) => check_items(items, value, shape, path, found),
        _ => {}
    }
}

fn check_items(
    items: &[Value],
    list: &Value,
    shape: Shape<'_>,
    path: &mut String,
    found: &mut Vec<String>,
) {
    let length = path.len();
    let keyed = shape.ownership(list) == Ownership::List;
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let shown = if keyed {
            match shape.element(item) {
                Err(wrong) => {
                    found.push(format!("{path}: element {index}: {wrong}"));
                    return;
                }
                Ok(element) => {
                    let shown = element.to_string();
                    if !seen.insert(element) {
                        found.push(format!("{path}: duplicate entries for key {shown}"));
                    }
                    shown
                }
            }
        } else {
            format!("[{index}]")
        };
        path.push_str(&shown);
        check(item, shape.item(), path, found);
        path.truncate(length);
    }
}

fn wrong_type(value: &Value, shape: Shape<'_>) -> Option<String> {
    let expected = match shape {
        Shape::Object(_) | Shape::ObjectMeta | Shape::StringMap => "map",
        Shape::Finalizers | Shape::OwnerReferences => "list",
        Shape::Leaf | Shape::Untyped => return None,
        Shape::Node(node) => match node.node_type() {
            NodeType::Any => return None,
            NodeType::Object => "map",
            NodeType::Array => "list",
            NodeType::String => "string",
            NodeType::Integer | NodeType::Number => "numeric (int or float)",
            NodeType::Boolean => "boolean",
            NodeType::IntOrString => "any scalar",
        },
    };
    let fits = match value {
        Value::Object(_) => expected == "map",
        Value::Array(_) => expected == "list",
        Value::String(_) => matches!(expected, "string" | "any scalar"),
        Value::Number(_) => matches!(expected, "numeric (int or float)" | "any scalar"),
        Value::Bool(_) => matches!(expected, "boolean" | "any scalar"),
        Value::Null => true,
    };
    if fits {
        return None;
    }
    let got = match (expected, value) {
        ("numeric (int or float)", value) => go_type(value).to_owned(),
        ("string", value) => format!("&value.valueUnstructured{{Value:{}}}", plain(value)),
        (_, value) => format!("&{{{}}}", plain(value)),
    };
    Some(format!("expected {expected}, got {got}"))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
