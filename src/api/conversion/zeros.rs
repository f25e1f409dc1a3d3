//! What Go leaves out and what it always writes, told from schemas.

use serde_json::{Value, json};

use super::fields::is_zero;
use crate::machinery::schema::{Node, NodeType};

/// Removes zeros that the schema does not accept: fields of the hub are pointers exactly where zero
/// means something, so that Go writes no other zeros. What is left of a spoke's object is valid
/// where the spoke's was.
pub(super) fn tidy(node: Node<'_>, value: &mut Value) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let Some(child) = node.child(name) else { return true };
            tidy(child, value);
            !is_zero(value) || child.accepts(value)
        }),
        Value::Array(list) => {
            let Some(items) = node.items() else { return };
            list.iter_mut().for_each(|item| tidy(items, item));
        }
        _ => {}
    }
}

/// Fills in zeros of required fields: in Go these are no pointers, and always written.
pub(super) fn complete(node: Node<'_>, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in node.required() {
                let Some(child) = node.property(name).filter(|_| !fields.contains_key(&**name))
                else {
                    continue;
                };
                if let Some(zero) = zero(child) {
                    fields.insert((**name).to_owned(), zero);
                }
            }
            for (name, value) in fields {
                if let Some(child) = node.child(name) {
                    complete(child, value);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = node.items() else { return };
            list.iter_mut().for_each(|item| complete(items, item));
        }
        _ => {}
    }
}

/// The zero of a node's type, if it has one that is no null.
fn zero(node: Node<'_>) -> Option<Value> {
    match node.node_type() {
        NodeType::Object => Some(json!({})),
        NodeType::String if node.format() == Some("date-time") => None,
        NodeType::String => Some(json!("")),
        NodeType::Integer | NodeType::Number => Some(json!(0)),
        NodeType::Boolean => Some(json!(false)),
        NodeType::Array | NodeType::Any | NodeType::IntOrString => None,
    }
}
