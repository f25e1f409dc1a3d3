//! JSON as values, by schema (kubernetes 1.36:
//! apiserver/pkg/cel/common/valuesunstructured.go) or as it is.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::error::EvalError;
use super::escaping;
use super::time;
use super::value::{Key, List, Map, Text, Val};
use crate::machinery::schema::{Node, NodeType};

/// How JSON is to be read.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// By what it is.
    Natural,
    /// By a schema.
    Node(Node<'a>),
    /// By the schema of a resource: its name and type are there whatever the schema says.
    Resource(Node<'a>),
    /// Metadata of a resource: only the name can be seen.
    ObjectMeta,
    /// A string.
    Text,
}

impl<'a> Shape<'a> {
    /// How a property's or item's value is read.
    pub(super) fn of(node: Node<'a>) -> Self {
        if node.is_embedded_resource() { Self::Resource(node) } else { Self::Node(node) }
    }

    pub(super) fn item(self) -> Self {
        match self {
            Self::Node(node) => node.items().map_or(Self::Natural, Self::of),
            _ => Self::Natural,
        }
    }

    /// The property of an object under its own name; `None` if it has none that can be seen.
    fn property(self, name: &str) -> Option<Self> {
        match self {
            Self::Natural => Some(Self::Natural),
            Self::Node(node) => match node.property(name) {
                Some(property) => Some(Self::of(property)),
                None => node.additional().map(Self::of),
            },
            Self::Resource(_) if matches!(name, "apiVersion" | "kind") => Some(Self::Text),
            Self::Resource(_) if name == "metadata" => Some(Self::ObjectMeta),
            Self::Resource(node) => node.property(name).map(Self::of),
            Self::ObjectMeta => matches!(name, "name" | "generateName").then_some(Self::Text),
            Self::Text => None,
        }
    }

    /// Whether fields are identifiers, so that their names are escaped.
    fn has_fields(self) -> bool {
        match self {
            Self::Natural | Self::Text => false,
            Self::Node(node) => node.additional().is_none(),
            Self::Resource(_) | Self::ObjectMeta => true,
        }
    }

    pub(super) fn node(self) -> Option<Node<'a>> {
        match self {
            Self::Node(node) | Self::Resource(node) => Some(node),
            Self::Natural | Self::ObjectMeta | Self::Text => None,
        }
    }
}

/// A field or a key of an object.
pub(super) fn field<'a>(
    map: &'a serde_json::Map<String, Value>,
    shape: Shape<'a>,
    name: &str,
) -> Option<Result<Val<'a>, EvalError>> {
    if !shape.has_fields() {
        return Some(convert(map.get(name)?, shape.property(name)?));
    }
    let name = escaping::unescape(name);
    Some(convert(map.get(&*name)?, shape.property(&name)?))
}

/// Keys that can be seen.
pub(super) fn keys<'a>(map: &'a serde_json::Map<String, Value>, shape: Shape<'a>) -> Vec<Key<'a>> {
    if !shape.has_fields() {
        return map.keys().map(|key| Key::String(Text::Borrowed(key))).collect();
    }
    let visible = map.keys().filter(|name| shape.property(name).is_some());
    let escaped = visible.filter_map(|name| escaping::escape(name));
    escaped.map(|name| Key::String(Text::Shared(Arc::from(&*name)))).collect()
}

/// JSON as it is.
pub(super) fn natural(value: &Value) -> Val<'_> {
    match value {
        Value::Null => Val::Null,
        Value::Bool(value) => Val::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Val::Int(number),
            None => match number.as_u64() {
                Some(number) => Val::Uint(number),
                None => Val::Double(number.as_f64().unwrap_or_default()),
            },
        },
        Value::String(text) => Val::String(Text::Borrowed(text)),
        Value::Array(items) => Val::List(List::Json(items, Shape::Natural)),
        Value::Object(map) => Val::Map(Map::Json(map, Shape::Natural)),
    }
}

/// JSON by its shape.
pub(super) fn convert<'a>(value: &'a Value, shape: Shape<'a>) -> Result<Val<'a>, EvalError> {
    let node = match shape {
        Shape::Natural => return Ok(natural(value)),
        Shape::Node(node) | Shape::Resource(node) => node,
        Shape::ObjectMeta | Shape::Text => return fixed(value, shape),
    };
    if value.is_null() {
        return match node.is_nullable() {
            true => Ok(Val::Null),
            false => Err(invalid("got null for schema with nullable=false")),
        };
    }
    match (node.node_type(), value) {
        (NodeType::IntOrString, Value::String(text)) => Ok(Val::String(Text::Borrowed(text))),
        (NodeType::IntOrString | NodeType::Integer, Value::Number(number)) => {
            number.as_i64().map(Val::Int).ok_or_else(|| invalid("expected int, got float64"))
        }
        (NodeType::Object, Value::Object(map)) => Ok(Val::Map(Map::Json(map, shape))),
        (NodeType::Array, Value::Array(items)) => Ok(Val::List(List::Json(items, shape))),
        (NodeType::String, Value::String(text)) => string(node, text),
        (NodeType::Number, Value::Number(number)) => {
            Ok(Val::Double(number.as_f64().unwrap_or_default()))
        }
        (NodeType::Boolean, Value::Bool(value)) => Ok(Val::Bool(*value)),
        (NodeType::Any, value) => Ok(Val::Unknown(value)),
        (wanted, _) => Err(invalid(match wanted {
            NodeType::Object => "expected a map for the provided schema with type=object",
            NodeType::Array => "expected an array for the provided schema with type=array",
            NodeType::IntOrString => "expected XIntOrString value to be either a string or integer",
            NodeType::Integer => "expected int",
            NodeType::Number => "expected float",
            NodeType::Boolean => "expected bool",
            NodeType::String | NodeType::Any => "expected string",
        })),
    }
}

fn fixed<'a>(value: &'a Value, shape: Shape<'a>) -> Result<Val<'a>, EvalError> {
    match (shape, value) {
        (Shape::ObjectMeta, Value::Object(map)) => Ok(Val::Map(Map::Json(map, shape))),
        (Shape::Text, Value::String(text)) => Ok(Val::String(Text::Borrowed(text))),
        (Shape::ObjectMeta, _) => {
            Err(invalid("expected a map for the provided schema with type=object"))
        }
        _ => Err(invalid("expected string")),
    }
}

fn invalid(detail: &str) -> EvalError {
    EvalError::new(format!("invalid data, {detail}"))
}

fn string<'a>(node: Node<'a>, text: &'a str) -> Result<Val<'a>, EvalError> {
    match node.format() {
        Some("duration") => time::openapi_duration(text)
            .map(Val::Duration)
            .ok_or_else(|| EvalError::new(format!("Invalid duration {text}"))),
        Some("date") => time::date(text)
            .map(Val::Timestamp)
            .ok_or_else(|| EvalError::new(format!("Invalid date formatted string {text}"))),
        Some("date-time") => text
            .parse::<Timestamp>()
            .map(Val::Timestamp)
            .map_err(|_| EvalError::new(format!("Invalid date-time formatted string {text}"))),
        Some("byte") => STANDARD
            .decode(text)
            .map(|bytes| Val::Bytes(bytes.into()))
            .map_err(|_| EvalError::new(format!("Invalid byte formatted string {text}"))),
        _ => Ok(Val::String(Text::Borrowed(text))),
    }
}
