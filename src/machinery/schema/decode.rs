//! What Go's JSON decoder would refuse in an object of a built-in kind.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use super::NodeType;
use super::arena::{Arena, Index, NodeData};
use super::formats::Format;
use super::go_errors;
use super::path::Path;
use crate::machinery::quantity::Quantity;
use crate::machinery::status::Cause;

/// The decoder's message for one value of a type; `None` if it fits.
pub(super) fn message(arena: &Arena, node: &NodeData, value: &Value) -> Option<String> {
    let mut walk = Walk { arena, causes: Vec::new() };
    walk.value(node, value, &Path::Root, "");
    walk.causes.into_iter().next().map(|cause| cause.message)
}

pub(super) fn validate(arena: &Arena, root: Index, object: &Value) -> Vec<Cause> {
    let mut walk = Walk { arena, causes: Vec::new() };
    walk.value(arena.node(root), object, &Path::Root, "");
    walk.causes
}

struct Walk<'a> {
    arena: &'a Arena,
    causes: Vec<Cause>,
}

impl<'a> Walk<'a> {
    /// `owner` is the Go struct that has the field.
    fn value(&mut self, node: &'a NodeData, value: &Value, path: &Path<'_>, owner: &str) {
        match (node.kind, value) {
            (_, Value::Null) => {}
            (NodeType::Object, Value::Object(map)) => self.object(node, map, path, owner),
            (NodeType::Array, Value::Array(list)) => {
                let Some(items) = node.items.map(|index| self.arena.node(index)) else { return };
                for (index, item) in list.iter().enumerate() {
                    self.value(items, item, &path.item(index), owner);
                }
            }
            (NodeType::String, Value::String(text)) => self.string(node, text, path),
            (NodeType::Integer, Value::Number(number)) => {
                if !fits(node, number) {
                    self.mismatch(node, &format!("number {number}"), path, owner);
                }
            }
            (NodeType::Boolean, Value::Bool(_)) | (NodeType::Number, Value::Number(_)) => {}
            (NodeType::IntOrString, Value::String(_) | Value::Number(_)) => {}
            (NodeType::Any, Value::String(text)) => {
                if is_quantity(node)
                    && let Err(why) = Quantity::parse(text)
                {
                    self.push(why.to_string(), path);
                }
            }
            (NodeType::Any, _) => {}
            (_, value) => self.mismatch(node, go_kind(value), path, owner),
        }
    }

    fn object(
        &mut self,
        node: &'a NodeData,
        map: &Map<String, Value>,
        path: &Path<'_>,
        owner: &str,
    ) {
        let owner = node.name.as_deref().map_or(owner, short_name);
        for (name, value) in map {
            match node.property(name) {
                Some(child) => {
                    self.value(self.arena.node(child), value, &path.field(name), owner);
                }
                None => {
                    let Some(child) = node.additional else { continue };
                    self.value(self.arena.node(child), value, &path.key(name), owner);
                }
            }
        }
    }

    fn string(&mut self, node: &NodeData, text: &str, path: &Path<'_>) {
        let facts = node.facts.as_deref();
        let Some(format) = facts.and_then(|facts| facts.checked_format) else { return };
        let is_micro_time = node.name.as_deref().is_some_and(|name| name.ends_with(".MicroTime"));
        let message = match format {
            Format::Byte => {
                go_errors::base64(text).map(|at| format!("illegal base64 data at input byte {at}"))
            }
            Format::DateTime => go_errors::time(text, is_micro_time),
            _ => None,
        };
        if let Some(message) = message {
            self.push(message, path);
        }
    }

    fn mismatch(&mut self, node: &NodeData, found: &str, path: &Path<'_>, owner: &str) {
        let mut message = format!("json: cannot unmarshal {found} into Go ");
        let field = path.of_fields();
        if field.is_empty() {
            message.push_str("value");
        } else {
            // Writing to a string cannot fail.
            let _ = write!(message, "struct field {owner}.{field}");
        }
        message.push_str(" of type ");
        go_type(self.arena, node, &mut message);
        self.push(message, path);
    }

    fn push(&mut self, message: String, path: &Path<'_>) {
        let reason = "FieldValueTypeInvalid".to_owned();
        self.causes.push(Cause { reason, message, field: path.to_string() });
    }
}

fn is_quantity(node: &NodeData) -> bool {
    node.name.as_deref().is_some_and(|name| name.ends_with(".Quantity"))
}

fn fits(node: &NodeData, number: &Number) -> bool {
    let format = node.facts.as_deref().and_then(|facts| facts.checked_format);
    // Defaulting has made whole floats integers; `1.0` itself is refused by Go as well.
    match (format, number.as_i64()) {
        (Some(Format::Int32), Some(value)) => i32::try_from(value).is_ok(),
        (_, value) => value.is_some(),
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `Pod` of `io.k8s.api.core.v1.Pod`.
fn short_name(component: &str) -> &str {
    component.rsplit('.').next().unwrap_or(component)
}

fn go_type(arena: &Arena, node: &NodeData, out: &mut String) {
    let format = node.facts.as_deref().and_then(|facts| facts.format.as_deref());
    match node.kind {
        NodeType::String if format == Some("byte") => out.push_str("[]uint8"),
        NodeType::String => out.push_str("string"),
        NodeType::Integer => out.push_str(format.unwrap_or("int64")),
        NodeType::Number => out.push_str("float64"),
        NodeType::Boolean => out.push_str("bool"),
        NodeType::IntOrString => out.push_str("intstr.IntOrString"),
        NodeType::Any => out.push_str("interface {}"),
        NodeType::Array => {
            out.push_str("[]");
            if let Some(items) = node.items {
                go_type(arena, arena.node(items), out);
            }
        }
        NodeType::Object => match (node.name.as_deref(), node.additional) {
            (Some(name), _) => {
                let mut segments = name.rsplit('.');
                let (name, package) = (segments.next(), segments.next());
                out.push_str(package.unwrap_or_default());
                out.push('.');
                out.push_str(name.unwrap_or_default());
            }
            (None, Some(values)) => {
                out.push_str("map[string]");
                go_type(arena, arena.node(values), out);
            }
            (None, None) => out.push_str("map[string]interface {}"),
        },
    }
}
