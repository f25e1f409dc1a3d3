//! Declared types with bounds of their sizes, made from schemas (kubernetes 1.36:
//! apiserver/pkg/cel/common/schemas.go, apiserver/pkg/cel/types.go).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::escaping;
use super::types::{StructType, Type};
use crate::machinery::schema::{Node, NodeType};

/// Largest request that is taken into account.
const REQUEST_MAX: u64 = 3 * 1024 * 1024;
const UNBOUNDED: u64 = REQUEST_MAX - 2;
const DURATION_MAX: u64 = 32;
const DATE_TIME_MAX: u64 = 32;
const DATE_SIZE: u64 = 12;

/// A type and how large its values may be.
#[derive(Debug)]
pub struct Declared {
    /// The type.
    pub(super) kind: Type,
    /// Most items, entries or characters.
    pub(super) elements_max: u64,
    /// Least size as JSON.
    size_min: u64,
    /// Items of a list, values of a map.
    pub(super) element: Option<Arc<Declared>>,
    /// Fields of an object, by identifier.
    pub(super) fields: BTreeMap<Box<str>, Arc<Declared>>,
}

/// Sizes of no interest.
const NO_FIELDS: BTreeMap<Box<str>, Arc<Declared>> = BTreeMap::new();

impl Declared {
    /// The type of a schema's values; `None` if they cannot be seen by expressions. `name` is the
    /// name of the type.
    pub fn of(node: Node<'_>, is_resource: bool, name: &str) -> Option<Arc<Self>> {
        Some(Arc::new(declare(node, is_resource, name)?))
    }

    /// The type.
    pub fn kind(&self) -> &Type {
        &self.kind
    }

    /// How often a value of this type may be in one request.
    pub fn cardinality_max(&self) -> u64 {
        REQUEST_MAX / (self.size_min + 1)
    }

    fn simple(kind: Type, elements_max: u64, size_min: u64) -> Self {
        Self { kind, elements_max, size_min, element: None, fields: NO_FIELDS }
    }

    /// The declared type below a path of the cost estimate.
    pub(super) fn at(&self, path: &[String]) -> Option<&Declared> {
        let mut current = self;
        for step in path {
            current = match step.as_str() {
                "@items" | "@values" => current.element.as_deref()?,
                "@keys" => return matches!(current.kind, Type::Map(_)).then_some(&KEYS),
                name => current.fields.get(name)?,
            };
        }
        Some(current)
    }
}

/// Keys of maps: kube-apiserver declares no length for them (`apiservercel.StringType`).
static KEYS: Declared =
    Declared { kind: Type::String, elements_max: 0, size_min: 2, element: None, fields: NO_FIELDS };

fn declare(node: Node<'_>, is_resource: bool, name: &str) -> Option<Declared> {
    let bounds = node.bounds();
    Some(match node.node_type() {
        NodeType::IntOrString => {
            let elements_max = bounds.max_length.map_or(UNBOUNDED, |max| max.saturating_mul(4));
            Declared::simple(Type::Dyn, elements_max, 1)
        }
        NodeType::Array => {
            let items = node.items()?;
            let inner = format!("{name}.@idx");
            let element = declare(items, items.is_embedded_resource(), &inner)?;
            let fitting = UNBOUNDED / (element.size_min + 1);
            let elements_max = bounds.max_items.unwrap_or(fitting);
            container(Type::list(element.kind.clone()), element, elements_max)
        }
        NodeType::Object => return object(node, is_resource, name),
        NodeType::String => string(node),
        NodeType::Boolean => Declared::simple(Type::Bool, 0, 4),
        NodeType::Number => Declared::simple(Type::Double, 0, 1),
        NodeType::Integer => Declared::simple(Type::Int, 0, 1),
        NodeType::Any => return None,
    })
}

fn container(kind: Type, element: Declared, elements_max: u64) -> Declared {
    Declared {
        kind,
        elements_max,
        size_min: 2,
        element: Some(Arc::new(element)),
        fields: NO_FIELDS,
    }
}

fn object(node: Node<'_>, is_resource: bool, name: &str) -> Option<Declared> {
    if let Some(values) = node.additional().filter(|_| !is_resource) {
        let element = declare(values, values.is_embedded_resource(), &format!("{name}.@elem"))?;
        let fitting = UNBOUNDED / (element.size_min + 6);
        let elements_max = node.bounds().max_properties.unwrap_or(fitting);
        return Some(container(
            Type::map(Type::String, element.kind.clone()),
            element,
            elements_max,
        ));
    }
    let mut fields = BTreeMap::new();
    let mut size_min = 2;
    let hidden =
        |property: &str| is_resource && matches!(property, "apiVersion" | "kind" | "metadata");
    for (property, child) in node.properties().filter(|(property, _)| !hidden(property)) {
        let escaped = escaping::escape(property);
        let inner = format!("{name}.{}", escaped.as_deref().unwrap_or(property));
        let Some(declared) = declare(child, child.is_embedded_resource(), &inner) else { continue };
        let required = node.required().iter().any(|required| **required == *property);
        if required && child.default_value().is_none() {
            size_min += property.len() as u64 + declared.size_min + 4;
        }
        if let Some(escaped) = escaped {
            fields.insert(escaped.into(), Arc::new(declared));
        }
    }
    if is_resource {
        let text = || Arc::new(Declared::simple(Type::String, UNBOUNDED, 2));
        fields.insert("apiVersion".into(), text());
        fields.insert("kind".into(), text());
        let metadata = BTreeMap::from([("name".into(), text()), ("generateName".into(), text())]);
        fields.insert(
            "metadata".into(),
            Arc::new(structure(&format!("{name}.metadata"), metadata, 2)),
        );
    }
    Some(structure(name, fields, size_min))
}

fn structure(name: &str, fields: BTreeMap<Box<str>, Arc<Declared>>, size_min: u64) -> Declared {
    let types = fields.iter().map(|(field, declared)| (field.clone(), declared.kind.clone()));
    let kind = StructType { name: name.into(), fields: types.collect() };
    let kind = Type::Struct(Arc::new(kind));
    Declared { kind, elements_max: 0, size_min, element: None, fields }
}

fn string(node: Node<'_>) -> Declared {
    let bounds = node.bounds();
    match node.format() {
        Some("byte") => Declared::simple(Type::Bytes, bounds.max_length.unwrap_or(UNBOUNDED), 2),
        Some("duration") => Declared::simple(Type::Duration, DURATION_MAX, 3),
        Some("date") => Declared::simple(Type::Timestamp, DATE_SIZE, DATE_SIZE),
        Some("date-time") => Declared::simple(Type::Timestamp, DATE_TIME_MAX, 21),
        _ => {
            let longest = node.enumeration().iter().filter_map(Value::as_str).map(str::len).max();
            let elements_max = match (bounds.max_length, node.enumeration().is_empty()) {
                (Some(max), _) => max.saturating_mul(4),
                (None, false) => longest.unwrap_or_default() as u64,
                (None, true) => UNBOUNDED,
            };
            Declared::simple(Type::String, elements_max, 2)
        }
    }
}
