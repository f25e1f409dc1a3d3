//! OpenAPI v3 documents, one a group and version, as kubectl and Helm read them: `explain` looks
//! for paths and kinds, `apply` for merge keys, every write for the `fieldValidation` parameter.
//!
//! A document is made anew by each call; whoever serves it keeps the bytes.

pub mod v2;
pub mod v2_protobuf;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::builtin;
use super::definition::{Origin, ResourceDefinition};
use super::schema::{Schema, component_reference};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

// What `kubectl explain` shows of the fields that all objects have.
const API_VERSION: &str = "Version of the schema of this object: group and version of its kind.";
const KIND: &str = "Name of the kind of this object, in CamelCase. Cannot be changed.";
const METADATA: &str = "Standard metadata of an object: names, labels, annotations, owners.";
const LIST_METADATA: &str = "Standard metadata of a list: its version and how to go on reading.";

/// The document of one group and version with these resources. `/openapi/v3` lists it as
/// `apis/<group>/<version>`, or `api/<version>` for the core group.
pub fn group_version_document(
    group: &str,
    version: &str,
    definitions: &[&ResourceDefinition],
) -> Value {
    let mut components = Components::default();
    for shape in [OBJECT_META, LIST_META, DELETE_OPTIONS, STATUS, PATCH] {
        components.shape(shape);
    }
    let mut paths = Map::new();
    for definition in definitions {
        let component = components.kind(definition);
        resource_paths(definition, &component, &mut paths);
        if definition.subresources.scale.is_some() {
            components.shape(SCALE);
        }
    }
    let base = base_path(group, version);
    paths.insert(
        format!("{base}/"),
        json!({ "get": { "responses": { "200": { "description": "OK" } } } }),
    );
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "unversioned" },
        "paths": paths,
        "components": { "schemas": components.schemas },
    })
}

/// The name of a kind in `components.schemas`: that of the Go type for built-in kinds, for others
/// the reversed group, version and kind (`io.x-k8s.cluster.v1beta2.Machine`).
pub fn component_name(definition: &ResourceDefinition) -> String {
    if let Some(name) = definition.schema.component_name() {
        return name.to_owned();
    }
    let group: Vec<&str> = definition.group.rsplit('.').collect();
    format!("{}.{}.{}", group.join("."), definition.version, definition.kind)
}

#[derive(Default)]
struct Components {
    schemas: BTreeMap<String, Value>,
}

impl Components {
    /// Adds a shape of Kubernetes itself and those below it.
    fn shape(&mut self, name: &str) {
        if let Some(schema) = builtin::shape(name) {
            self.named(schema);
        }
    }

    fn named(&mut self, schema: &Schema) {
        for shape in schema.components() {
            let name = shape.component_name().unwrap_or_default();
            if !self.schemas.contains_key(name) {
                self.schemas.insert(name.to_owned(), shape.to_openapi());
            }
        }
    }

    /// Adds a kind and its list kind; returns the kind's component name.
    fn kind(&mut self, definition: &ResourceDefinition) -> String {
        let name = component_name(definition);
        match definition.origin {
            Origin::BuiltIn => self.named(&definition.schema),
            Origin::Custom => {
                self.schemas.insert(name.clone(), custom_schema(definition));
            }
        }
        if let Some(Value::Object(schema)) = self.schemas.get_mut(&name) {
            let kinds = json!([kind_of(definition, &definition.kind)]);
            schema.insert("x-kubernetes-group-version-kind".into(), kinds);
        }
        self.schemas.insert(format!("{name}List"), list_schema(definition, &name));
        name
    }
}

/// A custom resource's schema with the types that kube-apiserver gives its common fields.
fn custom_schema(definition: &ResourceDefinition) -> Value {
    let mut schema = definition.schema.to_openapi();
    complete(&mut schema);
    with_common_fields(&mut schema);
    put_selectable(definition, &mut schema);
    schema
}

fn with_common_fields(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    properties["apiVersion"] = json!({ "type": "string", "description": API_VERSION });
    properties["kind"] = json!({ "type": "string", "description": KIND });
    properties["metadata"] = json!({
        "description": METADATA,
        "allOf": [component_reference(OBJECT_META)],
    });
}

/// Says below the root what custom schemas leave to be understood: what embedded resources have in
/// common, and that an integer or a string is one of both.
fn complete(node: &mut Value) {
    let Some(map) = node.as_object_mut() else { return };
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(complete);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(child) = map.get_mut(keyword) {
            complete(child);
        }
    }
    let is_said = map.contains_key("anyOf") || map.contains_key("allOf");
    if map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) && !is_said {
        map.insert("anyOf".to_owned(), json!([{ "type": "integer" }, { "type": "string" }]));
    }
    if map.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
        let required = map.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            for name in ["kind", "apiVersion"] {
                if !required.iter().any(|known| known == name) {
                    required.push(name.into());
                }
            }
        }
        with_common_fields(node);
    }
}

fn put_selectable(definition: &ResourceDefinition, schema: &mut Value) {
    if definition.selectable_fields.is_empty() {
        return;
    }
    let fields = definition.selectable_fields.iter();
    let fields: Vec<Value> = fields.map(|path| json!({ "fieldPath": path })).collect();
    schema["x-kubernetes-selectable-fields"] = fields.into();
}

fn list_schema(definition: &ResourceDefinition, item: &str) -> Value {
    let (kind, plural) = (&definition.kind, &definition.plural);
    let items = format!(
        "List of {plural}. More info: https://git.k8s.io/community/contributors/devel/\
         sig-architecture/api-conventions.md"
    );
    let mut schema = json!({
        "type": "object",
        "description": format!("{} is a list of {kind}", definition.list_kind),
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string", "description": API_VERSION },
            "kind": { "type": "string", "description": KIND },
            "metadata": {
                "description": LIST_METADATA,
                "allOf": [component_reference(LIST_META)],
            },
            "items": {
                "type": "array",
                "description": items,
                "items": { "allOf": [component_reference(item)] },
            },
        },
        "x-kubernetes-group-version-kind": [kind_of(definition, &definition.list_kind)],
    });
    if definition.origin == Origin::Custom {
        put_selectable(definition, &mut schema);
    }
    schema
}

fn kind_of(definition: &ResourceDefinition, kind: &str) -> Value {
    json!({ "group": definition.group, "kind": kind, "version": definition.version })
}

fn base_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

fn resource_paths(
    definition: &ResourceDefinition,
    component: &str,
    paths: &mut Map<String, Value>,
) {
    let base = base_path(&definition.group, &definition.version);
    let list = format!("{component}List");
    let everywhere = format!("{base}/{}", definition.plural);
    let scope = if definition.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{base}{scope}/{}", definition.plural);
    let operation = |action, body, answer| Operation { definition, action, body, answer }.render();
    let item = |parameters: &[&str]| -> Vec<Value> {
        let namespace = definition.namespaced.then_some("namespace");
        parameters.iter().copied().chain(namespace).map(path_parameter).collect()
    };
    if definition.namespaced {
        let get = operation("list", Body::None, &list);
        paths.insert(everywhere, json!({ "get": get }));
    }
    paths.insert(
        collection.clone(),
        json!({
            "get": operation("list", Body::None, &list),
            "post": operation("post", Body::Object(component), component),
            "delete": operation("deletecollection", Body::Delete, STATUS),
            "parameters": item(&[]),
        }),
    );
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "get": operation("get", Body::None, component),
            "put": operation("put", Body::Object(component), component),
            "patch": operation("patch", Body::Patch, component),
            "delete": operation("delete", Body::Delete, STATUS),
            "parameters": item(&["name"]),
        }),
    );
    let status = definition.subresources.status.then_some(("status", component));
    let scale = definition.subresources.scale.as_ref().map(|_| ("scale", SCALE));
    for (subresource, schema) in status.into_iter().chain(scale) {
        paths.insert(
            format!("{collection}/{{name}}/{subresource}"),
            json!({
                "get": operation("get", Body::None, schema),
                "put": operation("put", Body::Object(schema), schema),
                "patch": operation("patch", Body::Patch, schema),
                "parameters": item(&["name"]),
            }),
        );
    }
}

/// What a request carries.
#[derive(Clone, Copy)]
enum Body<'a> {
    None,
    Object(&'a str),
    Patch,
    Delete,
}

/// One method on one path.
struct Operation<'a> {
    definition: &'a ResourceDefinition,
    action: &'a str,
    body: Body<'a>,
    answer: &'a str,
}

impl Operation<'_> {
    fn render(&self) -> Value {
        let answer = json!({
            "description": "OK",
            "content": { "application/json": { "schema": component_reference(self.answer) } },
        });
        let kind = if self.answer == SCALE {
            json!({ "group": "autoscaling", "kind": "Scale", "version": "v1" })
        } else {
            kind_of(self.definition, &self.definition.kind)
        };
        let mut operation = json!({
            "responses": { "200": answer },
            "x-kubernetes-action": self.action,
            "x-kubernetes-group-version-kind": kind,
        });
        let (parameters, types, schema): (&[&str], &[&str], &str) = match self.body {
            Body::None if self.action == "list" => (
                &[
                    "fieldSelector",
                    "labelSelector",
                    "limit",
                    "continue",
                    "resourceVersion",
                    "watch",
                ],
                &[],
                "",
            ),
            Body::None => (&[], &[], ""),
            Body::Object(schema) => {
                (&["dryRun", "fieldManager", "fieldValidation"], &["application/json"], schema)
            }
            Body::Patch => {
                (&["dryRun", "fieldManager", "fieldValidation", "force"], self.patch_types(), PATCH)
            }
            Body::Delete => {
                let parameters = &["dryRun", "gracePeriodSeconds", "propagationPolicy"];
                (parameters, &["application/json"], DELETE_OPTIONS)
            }
        };
        if !parameters.is_empty() {
            operation["parameters"] = parameters.iter().copied().map(query_parameter).collect();
        }
        if !types.is_empty() {
            let content = types.iter().map(|media| {
                ((*media).to_owned(), json!({ "schema": component_reference(schema) }))
            });
            let content: Map<String, Value> = content.collect();
            operation["requestBody"] = json!({ "content": content });
        }
        operation
    }

    /// Strategic merge is for built-in kinds only.
    fn patch_types(&self) -> &'static [&'static str] {
        match self.definition.origin {
            Origin::BuiltIn => &[
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ],
            Origin::Custom => &[
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
            ],
        }
    }
}

fn path_parameter(name: &str) -> Value {
    json!({ "in": "path", "name": name, "required": true, "schema": { "type": "string" } })
}

fn query_parameter(name: &str) -> Value {
    let kind = match name {
        "limit" | "gracePeriodSeconds" => "integer",
        "watch" | "force" => "boolean",
        _ => "string",
    };
    json!({ "in": "query", "name": name, "schema": { "type": kind } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core_document() -> Value {
        let all = builtin::definitions();
        let core: Vec<&ResourceDefinition> = all.iter().filter(|d| d.group.is_empty()).collect();
        group_version_document("", "v1", &core)
    }

    /// Every `$ref` of a document.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    found.push(target.trim_start_matches("#/components/schemas/").to_owned());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_of_every_document_resolves() {
        let all = builtin::definitions();
        let mut groups: Vec<_> = all.iter().map(|d| (d.group.clone(), d.version.clone())).collect();
        groups.dedup();
        for (group, version) in groups {
            let of: Vec<_> = all.iter().filter(|d| d.group == group).collect();
            let document = group_version_document(&group, &version, &of);
            let mut found = Vec::new();
            references(&document, &mut found);
            for name in found {
                assert!(document["components"]["schemas"][&name].is_object(), "{group}: {name}");
            }
        }
    }

    #[test]
    fn patch_declares_field_validation_with_its_kind() {
        let document = core_document();
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
        let kind = json!({ "group": "", "kind": "Pod", "version": "v1" });
        assert_eq!(patch["x-kubernetes-group-version-kind"], kind);
        let parameters = patch["parameters"].as_array().expect("parameters");
        assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"));
        assert_eq!(patch["x-kubernetes-action"], "patch");
    }

    #[test]
    fn merge_keys_reach_the_document() {
        let document = core_document();
        let spec = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"];
        let containers = &spec["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
        let pod = &document["components"]["schemas"]["io.k8s.api.core.v1.Pod"];
        assert_eq!(pod["x-kubernetes-group-version-kind"][0]["kind"], "Pod");
    }

    #[test]
    fn custom_kinds_have_reversed_names_and_real_metadata() {
        let crd = json!({
            "metadata": { "name": "widgets.example.com" },
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": { "plural": "widgets", "kind": "Widget" },
                "versions": [{ "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": { "type": "object" } } }],
            },
        });
        let definitions = crate::machinery::crd::definitions_of(&crd).expect("valid");
        let document = group_version_document("example.com", "v1", &[&definitions[0]]);
        let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
        let target = format!("#/components/schemas/{OBJECT_META}");
        assert_eq!(widget["properties"]["metadata"]["allOf"][0]["$ref"], target);
        assert!(document["paths"]["/apis/example.com/v1/widgets"]["get"].is_object());
        assert!(document["components"]["schemas"]["com.example.v1.WidgetList"].is_object());
    }
}
