//! The OpenAPI v2 document of everything that is served, for clients that do not know v3.
//!
//! It is made from the v3 documents: references and parameters look different, and what v2 cannot
//! say, or clients of v2 cannot read, is left out. (kubernetes 1.36: apiextensions-apiserver
//! pkg/controller/openapi/v2/conversion.go, kube-openapi pkg/openapiconv)

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::group_version_document;
use crate::machinery::definition::ResourceDefinition;

const V3_PREFIX: &str = "#/components/schemas/";
const V2_PREFIX: &str = "#/definitions/";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const KINDS: &str = "x-kubernetes-group-version-kind";

/// One document for all of these resources.
pub fn document(definitions: &[&ResourceDefinition]) -> Value {
    let mut groups: BTreeMap<(&str, &str), Vec<&ResourceDefinition>> = BTreeMap::new();
    for definition in definitions {
        groups.entry((&definition.group, &definition.version)).or_default().push(definition);
    }
    let mut paths = Map::new();
    let mut shapes: BTreeMap<String, Value> = BTreeMap::new();
    for ((group, version), definitions) in groups {
        let mut document = group_version_document(group, version, &definitions);
        if let Value::Object(schemas) = document["components"]["schemas"].take() {
            for (name, value) in schemas {
                shapes.entry(name).or_insert_with_key(|name| named(name, value));
            }
        }
        if let Value::Object(found) = document["paths"].take() {
            paths.extend(found.into_iter().map(|(path, item)| (path, path_item(item))));
        }
    }
    json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "definitions": shapes,
        "securityDefinitions": {
            "BearerToken": {
                "description": "Bearer Token authentication",
                "in": "header",
                "name": "authorization",
                "type": "apiKey",
            },
        },
        "security": [{ "BearerToken": [] }],
    })
}

/// A shape under its name. Types that are two types at once are strings in v2.
fn named(name: &str, value: Value) -> Value {
    match name {
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString" => {
            json!({ "type": "string", "format": "int-or-string" })
        }
        "io.k8s.apimachinery.pkg.api.resource.Quantity" => json!({ "type": "string" }),
        _ => {
            let kinds = value.get(KINDS).cloned();
            let is_open = value[PRESERVE] == true;
            match kinds {
                // kubectl would refuse unknown fields if any were known.
                Some(kinds) if is_open => json!({ "type": "object", KINDS: kinds }),
                _ => schema(value),
            }
        }
    }
}

fn schema(value: Value) -> Value {
    let Value::Object(mut map) = value else { return value };
    unfold_reference(&mut map);
    if let Some(Value::String(target)) = map.get_mut("$ref") {
        *target = target.replacen(V3_PREFIX, V2_PREFIX, 1);
    }
    required(&mut map);
    for keyword in ["allOf", "anyOf", "oneOf", "not"] {
        map.remove(keyword);
    }
    // Clients of v2 do not cope with what lies below values of any type.
    let is_nullable = map.remove("nullable").is_some();
    let is_open = map.get(PRESERVE) == Some(&Value::Bool(true));
    if is_nullable || is_open {
        map.remove("items");
        map.remove("properties");
    }
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_bare_list = kind == "array" && !map.contains_key("items");
    if is_nullable || is_bare_list || (is_open && kind == "object") {
        map.remove("type");
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        for property in properties.values_mut() {
            *property = schema(property.take());
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(child) = map.get_mut(keyword) {
            *child = schema(child.take());
        }
    }
    Value::Object(map)
}

/// Version 3 wraps references to say more about them; version 2 says it beside them.
fn unfold_reference(map: &mut Map<String, Value>) {
    let Some(Value::Array(all)) = map.get("allOf") else { return };
    if let [Value::Object(only)] = &all[..]
        && let Some(target) = only.get("$ref").cloned()
    {
        map.insert("$ref".to_owned(), target);
    }
}

/// What may be null need not be there for clients that know no null.
fn required(map: &mut Map<String, Value>) {
    let is_nullable = |value: Option<&Value>| value.is_some_and(|it| it["nullable"] == true);
    if is_nullable(map.get("additionalProperties")) {
        map.remove("required");
        return;
    }
    let properties = map.get("properties").cloned().unwrap_or_default();
    let Some(Value::Array(names)) = map.get_mut("required") else { return };
    names.retain(|name| !is_nullable(name.as_str().and_then(|name| properties.get(name))));
    if names.is_empty() {
        map.remove("required");
    }
}

fn path_item(item: Value) -> Value {
    let Value::Object(item) = item else { return item };
    let item = item.into_iter().map(|(name, value)| {
        let value = match name.as_str() {
            "parameters" => parameters(value),
            _ => operation(value),
        };
        (name, value)
    });
    Value::Object(item.collect())
}

fn operation(operation: Value) -> Value {
    let Value::Object(mut operation) = operation else { return operation };
    let mut list = match operation.remove("parameters") {
        Some(parameters_) => parameters(parameters_),
        None => json!([]),
    };
    let mut consumes = vec![Value::from("*/*")];
    if let Some(Value::Object(content)) =
        operation.remove("requestBody").map(|mut body| body["content"].take())
    {
        let of_body = content.values().next().map(|it| schema(it["schema"].clone()));
        consumes = content.keys().cloned().map(Value::from).collect();
        let is_delete = operation.get("x-kubernetes-action") == Some(&json!("delete"));
        let mut body = json!({ "in": "body", "name": "body", "schema": of_body });
        if !is_delete {
            body["required"] = true.into();
        }
        if let Some(list) = list.as_array_mut() {
            list.insert(0, body);
        }
    }
    if let Some(Value::Object(responses)) = operation.get_mut("responses") {
        for response in responses.values_mut() {
            let content = response.as_object_mut().and_then(|it| it.remove("content"));
            let first =
                content.as_ref().and_then(Value::as_object).and_then(|it| it.values().next());
            if let Some(first) = first {
                response["schema"] = schema(first["schema"].clone());
            }
        }
        responses.insert("401".to_owned(), json!({ "description": "Unauthorized" }));
    }
    if list.as_array().is_some_and(|list| !list.is_empty()) {
        operation.insert("parameters".to_owned(), list);
    }
    operation.insert("consumes".to_owned(), consumes.into());
    operation.insert("produces".to_owned(), json!(["application/json", "application/yaml"]));
    operation.insert("schemes".to_owned(), json!(["https"]));
    Value::Object(operation)
}

/// In version 2, parameters of paths and queries have a type instead of a schema.
fn parameters(mut list: Value) -> Value {
    for parameter in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(Value::Object(schema)) = parameter.remove("schema") {
            parameter.extend(schema);
        }
        parameter.insert("uniqueItems".to_owned(), true.into());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::builtin;

    fn check(v3: Value, v2: Value) {
        assert_eq!(schema(v3.clone()), v2, "{v3}");
    }

    #[test]
    fn what_v2_cannot_say_is_left_out() {
        let string = json!({ "type": "string" });
        check(json!({ "type": "string", "nullable": true }), json!({}));
        check(
            json!({ "type": "object", PRESERVE: true, "properties": { "a": string } }),
            json!({ PRESERVE: true }),
        );
        check(
            json!({ "type": "object", "required": ["a", "b"],
                "properties": { "a": { "type": "string", "nullable": true }, "b": string } }),
            json!({ "type": "object", "required": ["b"], "properties": { "a": {}, "b": string } }),
        );
        check(
            json!({ "description": "d", "allOf": [{ "$ref": "#/components/schemas/x.Y" }] }),
            json!({ "description": "d", "$ref": "#/definitions/x.Y" }),
        );
        check(json!({ "type": "array" }), json!({}));
    }

    #[test]
    fn every_reference_of_the_document_resolves() {
        let all = builtin::definitions();
        let document = document(&all.iter().collect::<Vec<_>>());
        let mut pending = vec![&document];
        let mut found = 0;
        while let Some(value) = pending.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(target)) = map.get("$ref") {
                        let name = target.strip_prefix(V2_PREFIX).expect("a definition");
                        assert!(document["definitions"][name].is_object(), "{name}");
                        found += 1;
                    }
                    pending.extend(map.values());
                }
                Value::Array(list) => pending.extend(list),
                _ => {}
            }
        }
        assert!(found > 1000, "{found} references");
    }

    #[test]
    fn operations_take_bodies_as_parameters() {
        let all = builtin::definitions();
        let document = document(&all.iter().collect::<Vec<_>>());
        let path = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"];
        let post = &path["post"];
        assert_eq!(post["parameters"][0]["in"], "body");
        let target = "#/definitions/io.k8s.api.apps.v1.Deployment";
        assert_eq!(post["parameters"][0]["schema"]["$ref"], target);
        assert_eq!(post["responses"]["200"]["schema"]["$ref"], target);
        assert_eq!(post["x-kubernetes-action"], "post");
        assert_eq!(path["parameters"][0]["type"], "string");
        let container = &document["definitions"]["io.k8s.api.core.v1.PodSpec"];
        let containers = &container["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    }
}
