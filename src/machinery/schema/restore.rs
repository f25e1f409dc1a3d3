//! What Go's converter from maps to structs would refuse in the outcome of a strategic merge.
//! (kubernetes 1.36: apimachinery pkg/runtime/converter.go)

use serde_json::{Map, Value};

use super::NodeType;
use super::arena::{Arena, Index, NodeData};
use super::decode;
use super::formats::Format;

/// The converter's message for the first value that does not fit.
pub(super) fn error(arena: &Arena, root: Index, object: &Value) -> Option<String> {
    let Value::Object(map) = object else { return None };
    fields(arena, arena.node(root), map)
}

fn fields(arena: &Arena, node: &NodeData, map: &Map<String, Value>) -> Option<String> {
    map.iter().find_map(|(name, value)| value_error(arena, arena.node(node.child(name)?), value))
}

fn value_error(arena: &Arena, node: &NodeData, value: &Value) -> Option<String> {
    let is_bytes =
        node.facts.as_deref().and_then(|facts| facts.checked_format) == Some(Format::Byte);
    match (node.kind, value) {
        (_, Value::Null) => None,
        // Quantities and times read JSON.
        _ if node.name.is_some() && node.kind != NodeType::Object => {
            decode::message(arena, node, value)
        }
        (NodeType::Object, Value::Object(map)) => fields(arena, node, map),
        (NodeType::Object, other) => Some(match node.additional {
            Some(_) if node.name.is_none() => format!("cannot restore map from {}", kind(other)),
            _ => format!("cannot restore struct from: {}", kind(other)),
        }),
        (NodeType::Array, Value::Array(list)) => {
            let items = arena.node(node.items?);
            list.iter().find_map(|item| value_error(arena, items, item))
        }
        (NodeType::Array, other) => Some(format!("cannot restore slice from {}", kind(other))),
        (NodeType::String, Value::String(_)) if is_bytes => decode::message(arena, node, value)
            .map(|message| format!("error decoding from json: {message}")),
        (NodeType::String, other) if is_bytes && !other.is_string() => {
            Some(format!("cannot restore slice from {}", kind(other)))
        }
        (NodeType::String, Value::String(_)) | (NodeType::Boolean, Value::Bool(_)) => None,
        (NodeType::String, Value::Number(number)) if number.is_i64() => {
            Some("cannot convert int64 to string".to_owned())
        }
        (NodeType::Integer, Value::Number(number)) => {
            let whole = number.as_f64().is_none_or(|number| number.fract() == 0.0);
            let wanted = scalar(node);
            (!whole).then(|| format!("cannot convert float64 to {wanted}"))
        }
        (NodeType::Number, Value::Number(_)) => None,
        (NodeType::IntOrString | NodeType::Any, _) => None,
        _ => Some(format!("unrecognized type: {}", scalar(node))),
    }
}

fn scalar(node: &NodeData) -> &str {
    match node.kind {
        NodeType::Integer => {
            let format = node.facts.as_deref().and_then(|facts| facts.format.as_deref());
            format.unwrap_or("int64")
        }
        NodeType::Number => "float64",
        NodeType::Boolean => "bool",
        _ => "string",
    }
}

/// The kind of the Go value that JSON becomes.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}
