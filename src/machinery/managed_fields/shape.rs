//! How a value is owned: as one leaf, field by field, or item by item.
//!
//! Wraps the schema tree with what it does not say: `metadata` of every object is ObjectMeta, a
//! value without a schema is owned by its JSON form (objects field by field, lists as one).

use serde_json::{Map, Value};

use crate::machinery::field_path::PathElement;
use crate::machinery::meta::OBJECT_META_FIELDS;
use crate::machinery::schema::{ListType, Node, NodeType};

/// What is known of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<'a> {
    /// A whole object: apiVersion, kind and metadata besides what the schema says.
    Object(Node<'a>),
    /// A value with a schema.
    Node(Node<'a>),
    /// `metadata` of an object.
    ObjectMeta,
    /// `metadata.labels` and `metadata.annotations`.
    StringMap,
    /// `metadata.finalizers`.
    Finalizers,
    /// `metadata.ownerReferences`.
    OwnerReferences,
    /// One owner for all of it.
    Leaf,
    /// No schema: decided by the value.
    Untyped,
}

/// How a value is owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// As a whole.
    Leaf,
    /// Field by field.
    Map,
    /// Item by item: a set or a keyed list.
    List,
}

/// Fields of Kubernetes' own kinds that are structs by value (`default: {}` in its OpenAPI).
const VALUE_STRUCTS: [&str; 35] = [
    "acceptedNames",
    "backend",
    "clientConfig",
    "conditions",
    "current",
    "daemonEndpoints",
    "deprecatedSource",
    "describedObject",
    "involvedObject",
    "jobTemplate",
    "kubeletEndpoint",
    "lastState",
    "loadBalancer",
    "metadata",
    "metric",
    "names",
    "nodeInfo",
    "podAffinityTerm",
    "podSelector",
    "port",
    "preference",
    "regarding",
    "resources",
    "roleRef",
    "scaleTargetRef",
    "source",
    "spec",
    "state",
    "status",
    "strategy",
    "target",
    "template",
    "updateStrategy",
    "user",
    "userInfo",
];

impl<'a> Shape<'a> {
    fn node(node: Node<'a>) -> Self {
        if node.is_embedded_resource() { Shape::Object(node) } else { Shape::Node(node) }
    }

    /// How a value of this shape is owned. A null has the ownership that its type has; a value of
    /// another JSON type than the schema's is a leaf.
    pub(super) fn ownership(self, value: &Value) -> Ownership {
        let matching = |ownership: Ownership, fits: bool| {
            if fits || value.is_null() { ownership } else { Ownership::Leaf }
        };
        match self {
            Shape::Object(_) | Shape::ObjectMeta | Shape::StringMap => {
                matching(Ownership::Map, value.is_object())
            }
            Shape::Finalizers | Shape::OwnerReferences => {
                matching(Ownership::List, value.is_array())
            }
            Shape::Leaf => Ownership::Leaf,
            Shape::Untyped if value.is_object() => Ownership::Map,
            Shape::Untyped => Ownership::Leaf,
            Shape::Node(node) => match node.node_type() {
                NodeType::Any if value.is_object() && !node.is_atomic_map() => Ownership::Map,
                NodeType::Object if !node.is_atomic_map() => {
                    matching(Ownership::Map, value.is_object())
                }
                NodeType::Array if node.list_type() != ListType::Atomic => {
                    matching(Ownership::List, value.is_array())
                }
                NodeType::Any
                | NodeType::Object
                | NodeType::Array
                | NodeType::String
                | NodeType::Integer
                | NodeType::Number
                | NodeType::Boolean
                | NodeType::IntOrString => Ownership::Leaf,
            },
        }
    }

    /// The shape of a field.
    pub(super) fn child(self, name: &str) -> Self {
        match self {
            Shape::Object(node) => match name {
                "apiVersion" | "kind" => Shape::Leaf,
                "metadata" => Shape::ObjectMeta,
                _ => node.child(name).map_or(Shape::Untyped, Self::node),
            },
            Shape::Node(node) => node.child(name).map_or(Shape::Untyped, Self::node),
            Shape::ObjectMeta => match name {
                "labels" | "annotations" => Shape::StringMap,
                "finalizers" => Shape::Finalizers,
                "ownerReferences" => Shape::OwnerReferences,
                _ => Shape::Leaf,
            },
            Shape::StringMap | Shape::Finalizers | Shape::OwnerReferences | Shape::Leaf => {
                Shape::Leaf
            }
            Shape::Untyped => Shape::Untyped,
        }
    }

    /// Whether a field is declared by name, as a struct's field is and a map's key is not.
    pub(super) fn declares(self, name: &str) -> bool {
        match self {
            Shape::Object(_) if matches!(name, "apiVersion" | "kind" | "metadata") => true,
            Shape::Object(node) | Shape::Node(node) => node.property(name).is_some(),
            Shape::ObjectMeta => OBJECT_META_FIELDS.contains(&name),
            Shape::StringMap
            | Shape::Finalizers
            | Shape::OwnerReferences
            | Shape::Leaf
            | Shape::Untyped => false,
        }
    }

    /// Whether a field may be there at all: declared, a map's key, or preserved.
    pub(super) fn allows(self, name: &str) -> bool {
        match self {
            Shape::Object(node) | Shape::Node(node) => {
                self.declares(name)
                    || node.additional().is_some()
                    || node.preserves_unknown()
                    || node.node_type() == NodeType::Any
            }
            Shape::ObjectMeta => self.declares(name),
            Shape::StringMap
            | Shape::Finalizers
            | Shape::OwnerReferences
            | Shape::Leaf
            | Shape::Untyped => true,
        }
    }

    /// The shape of a list's items.
    pub(super) fn item(self) -> Self {
        match self {
            Shape::Node(node) => node.items().map_or(Shape::Untyped, Self::node),
            Shape::Untyped | Shape::Object(_) | Shape::ObjectMeta => Shape::Untyped,
            Shape::Finalizers | Shape::OwnerReferences | Shape::StringMap | Shape::Leaf => {
                Shape::Leaf
            }
        }
    }

    /// Whether an absent field of a built-in kind counts as an empty one: Go always writes structs
    /// that are no pointers, and required lists and maps, so nobody owns those themselves, only
    /// what is in them.
    pub(super) fn is_always_present(self, name: &str) -> bool {
        let (Shape::Object(node) | Shape::Node(node)) = self else { return false };
        let Some(child) = node.property(name) else { return false };
        match child.node_type() {
            NodeType::Object if VALUE_STRUCTS.contains(&name) => true,
            NodeType::String => matches!(name, "reportingComponent" | "reportingInstance"),
            NodeType::Object | NodeType::Array => {
                node.required().iter().any(|required| **required == *name)
            }
            _ => false,
        }
    }

    /// The path element of a list item; the error completes `element N: `
    /// (structured-merge-diff `typed/helpers.go`).
    pub(super) fn element(self, item: &Value) -> Result<PathElement, String> {
        let uid: [Box<str>; 1];
        let (keys, node): (&[Box<str>], Option<Node<'_>>) = match self {
            Shape::OwnerReferences => {
                uid = ["uid".into()];
                (&uid, None)
            }
            Shape::Node(node) if node.list_type() == ListType::Map => {
                (node.list_map_keys(), node.items())
            }
            _ => return set_element(item),
        };
        let Value::Object(fields) = item else {
            let what = if item.is_null() { "a null element" } else { "non-map elements" };
            return Err(format!("associative list with keys may not have {what}"));
        };
        let mut found = Map::new();
        for key in keys {
            let default = || node?.property(key)?.default_value().cloned();
            if let Some(value) = fields.get(&**key).cloned().or_else(default) {
                found.insert(key.to_string(), value);
            }
        }
        if found.is_empty() {
            let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                keys.join(" ")
            ));
        }
        Ok(PathElement::key(found))
    }
}

fn set_element(item: &Value) -> Result<PathElement, String> {
    let what = match item {
        Value::Object(_) => "associative list without keys has an element that's a map type",
        Value::Array(_) => "not supported: associative list with lists as elements",
        Value::Null => "associative list without keys has an element that's an explicit null",
        scalar => return Ok(PathElement::value(scalar)),
    };
    Err(what.to_owned())
}
