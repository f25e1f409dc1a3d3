//! What a round trip through Go's types does to a definition: defaults come, empty values go.
//!
//! (kubernetes 1.36: apiextensions-apiserver pkg/apis/apiextensions/v1/{types,defaults}.go)

use serde_json::{Map, Value};

/// Keywords of schemas that are left out when empty. Others are pointers in Go and stay.
const SCHEMA: [&str; 22] = [
    "id",
    "$schema",
    "description",
    "type",
    "format",
    "title",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "pattern",
    "uniqueItems",
    "enum",
    "required",
    "allOf",
    "oneOf",
    "anyOf",
    "properties",
    "patternProperties",
    "nullable",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
];
const VERSION: [&str; 3] = ["deprecated", "additionalPrinterColumns", "selectableFields"];
const COLUMN: [&str; 3] = ["format", "description", "priority"];
const NAMES: [&str; 4] = ["singular", "listKind", "shortNames", "categories"];
const RULE: [&str; 4] = ["message", "messageExpression", "fieldPath", "reason"];

/// Leaves out what Go leaves out, and fills in ports of webhooks.
pub(super) fn normalise(crd: &mut Value) {
    let Some(spec) = crd.get_mut("spec").and_then(Value::as_object_mut) else { return };
    drop_zeros(spec, &["preserveUnknownFields"]);
    if let Some(Value::Object(names)) = spec.get_mut("names") {
        drop_zeros(names, &NAMES);
    }
    let service = spec.get_mut("conversion").and_then(|conversion| {
        conversion.get_mut("webhook")?.get_mut("clientConfig")?.get_mut("service")
    });
    if let Some(Value::Object(service)) = service {
        service.entry("port").or_insert_with(|| 443.into());
    }
    for version in objects(spec.get_mut("versions")) {
        drop_zeros(version, &VERSION);
        for column in objects(version.get_mut("additionalPrinterColumns")) {
            drop_zeros(column, &COLUMN);
        }
        let document = version.get_mut("schema").and_then(|it| it.get_mut("openAPIV3Schema"));
        if let Some(Value::Object(document)) = document {
            schema(document);
        }
    }
}

fn schema(document: &mut Map<String, Value>) {
    drop_zeros(document, &SCHEMA);
    document.retain(|_, value| !value.is_null());
    for rule in objects(document.get_mut("x-kubernetes-validations")) {
        drop_zeros(rule, &RULE);
    }
    for keyword in ["properties", "patternProperties", "definitions", "dependencies"] {
        if let Some(Value::Object(children)) = document.get_mut(keyword) {
            children.values_mut().filter_map(Value::as_object_mut).for_each(schema);
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf", "items"] {
        objects(document.get_mut(keyword)).for_each(schema);
    }
    for keyword in ["items", "additionalProperties", "not", "additionalItems"] {
        if let Some(Value::Object(child)) = document.get_mut(keyword) {
            schema(child);
        }
    }
}

fn objects(list: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn drop_zeros(object: &mut Map<String, Value>, names: &[&str]) {
    object.retain(|name, value| !(names.contains(&name.as_str()) && is_zero(value)));
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}
