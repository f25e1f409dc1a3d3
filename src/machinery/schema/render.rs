//! A schema back as OpenAPI v3 JSON.

use serde_json::{Map, Value, json};

use super::arena::{Arena, Facts, Index, NodeData};
use super::{ListType, NodeType};

/// The schema with named shapes below the root as references.
pub(super) fn to_openapi(arena: &Arena, root: Index) -> Value {
    Value::Object(object(arena, arena.node(root)))
}

/// A `$ref` to a component.
pub(crate) fn component_reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn child(arena: &Arena, index: Index) -> Value {
    let node = arena.node(index);
    match &node.name {
        Some(name) => component_reference(name),
        None => Value::Object(object(arena, node)),
    }
}

fn property(arena: &Arena, index: Index) -> Value {
    let rendered = child(arena, index);
    if arena.node(index).name.is_some() { json!({ "allOf": [rendered] }) } else { rendered }
}

fn object(arena: &Arena, node: &NodeData) -> Map<String, Value> {
    let mut out = Map::new();
    let facts = node.facts.as_deref();
    if let Some(target) = facts.and_then(|facts| facts.alias_of) {
        out.insert("allOf".into(), json!([child(arena, target)]));
        if node.atomic_map && !arena.node(target).atomic_map {
            out.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
    } else {
        structure(arena, node, &mut out);
    }
    if let Some(facts) = facts {
        limits(facts, &mut out);
        annotations(facts, &mut out);
        branches(arena, facts, &mut out);
    }
    out
}

fn structure(arena: &Arena, node: &NodeData, out: &mut Map<String, Value>) {
    let mut flag = |name: &str, value: bool| {
        if value {
            out.insert(name.to_owned(), true.into());
        }
    };
    flag("nullable", node.nullable);
    flag("x-kubernetes-preserve-unknown-fields", node.preserve_unknown);
    flag("x-kubernetes-embedded-resource", node.embedded_resource);
    let anonymous = node.name.is_none();
    flag("x-kubernetes-int-or-string", anonymous && node.kind == NodeType::IntOrString);
    if let Some(name) = type_keyword(node.kind) {
        out.insert("type".into(), name.into());
    }
    if node.atomic_map {
        out.insert("x-kubernetes-map-type".into(), "atomic".into());
    }
    if let Some(list_type) = node.list_type {
        let name = match list_type {
            ListType::Atomic => "atomic",
            ListType::Set => "set",
            ListType::Map => "map",
        };
        out.insert("x-kubernetes-list-type".into(), name.into());
    }
    if !node.properties.is_empty() {
        let properties = node.properties.iter();
        let properties: Map<String, Value> =
            properties.map(|(name, index)| (name.to_string(), property(arena, *index))).collect();
        out.insert("properties".into(), properties.into());
    }
    if let Some(values) = node.additional {
        out.insert("additionalProperties".into(), child(arena, values));
    } else if let Some(allowed) = node.additional_bool {
        out.insert("additionalProperties".into(), allowed.into());
    }
    if let Some(items) = node.items {
        out.insert("items".into(), child(arena, items));
    }
    if !node.required.is_empty() {
        out.insert("required".into(), json!(node.required));
    }
}

fn type_keyword(kind: NodeType) -> Option<&'static str> {
    Some(match kind {
        NodeType::Any | NodeType::IntOrString => return None,
        NodeType::Object => "object",
        NodeType::Array => "array",
        NodeType::String => "string",
        NodeType::Integer => "integer",
        NodeType::Number => "number",
        NodeType::Boolean => "boolean",
    })
}

fn limits(facts: &Facts, out: &mut Map<String, Value>) {
    let numbers = [
        ("minimum", &facts.minimum),
        ("maximum", &facts.maximum),
        ("multipleOf", &facts.multiple_of),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            out.insert(name.into(), Value::Number(number.clone()));
        }
    }
    let counts = [
        ("minLength", facts.min_length),
        ("maxLength", facts.max_length),
        ("minItems", facts.min_items),
        ("maxItems", facts.max_items),
        ("minProperties", facts.min_properties),
        ("maxProperties", facts.max_properties),
    ];
    for (name, count) in counts {
        if let Some(count) = count {
            out.insert(name.into(), count.into());
        }
    }
    let flags = [
        ("exclusiveMinimum", facts.exclusive_minimum),
        ("exclusiveMaximum", facts.exclusive_maximum),
        ("uniqueItems", facts.unique_items),
    ];
    for (name, _) in flags.into_iter().filter(|(_, set)| *set) {
        out.insert(name.into(), true.into());
    }
    if !facts.enumeration.is_empty() {
        out.insert("enum".into(), json!(facts.enumeration));
    }
    if let Some(pattern) = &facts.pattern {
        out.insert("pattern".into(), pattern.source().into());
    }
}

fn annotations(facts: &Facts, out: &mut Map<String, Value>) {
    let texts = [
        ("format", &facts.format),
        ("description", &facts.description),
        ("x-kubernetes-patch-merge-key", &facts.patch_merge_key),
        ("x-kubernetes-patch-strategy", &facts.patch_strategy),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            out.insert(name.into(), (&**text).into());
        }
    }
    if !facts.list_map_keys.is_empty() {
        out.insert("x-kubernetes-list-map-keys".into(), json!(facts.list_map_keys));
    }
    if facts.granular_map {
        out.insert("x-kubernetes-map-type".into(), "granular".into());
    }
    for (name, value) in
        [("default", &facts.default), ("x-kubernetes-validations", &facts.validations)]
    {
        if let Some(value) = value {
            out.insert(name.into(), value.clone());
        }
    }
    for (name, value) in &facts.annotations {
        out.insert(name.to_string(), value.clone());
    }
}

fn branches(arena: &Arena, facts: &Facts, out: &mut Map<String, Value>) {
    let lists = [("allOf", &facts.all_of), ("anyOf", &facts.any_of), ("oneOf", &facts.one_of)];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        let list: Vec<Value> = list.iter().map(|index| child(arena, *index)).collect();
        out.insert(name.into(), list.into());
    }
    if let Some(not) = facts.not {
        out.insert("not".into(), child(arena, not));
    }
}
