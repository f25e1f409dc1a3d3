//! Definitions of variables in ClusterClasses.
//! (CAPI v1.14: internal/topology/variables/clusterclass_variable_validation.go)

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::BUILTIN;
use super::schema::{self, WRAPPER};
use crate::api::topology::ClusterClassVariable;
use crate::machinery::cel;
use crate::machinery::names;
use crate::machinery::schema as schemas;
use crate::machinery::status::{Cause, quote};

/// Bytes that all annotations of an object may have.
const ANNOTATIONS_MAX: usize = 256 * 1024;
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Checks the variables of a class; `path` is that of the list.
pub fn validate_definitions(variables: &[ClusterClassVariable], path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut names = BTreeSet::new();
    for variable in variables {
        if !names.insert(&variable.name) {
            let at = format!("{path}[{}].name", variable.name);
            let detail = format!(
                "variable name must be unique. Variable with name {} is defined more than once",
                quote(&variable.name)
            );
            causes.push(Cause::invalid(at, &json!(variable.name), &detail));
        }
    }
    for variable in variables {
        let path = format!("{path}[{}]", variable.name);
        causes.extend(validate_name(&variable.name, &format!("{path}.name")));
        let metadata = json!(variable.deprecated_v1beta1_metadata);
        causes.extend(validate_metadata(&metadata, &format!("{path}.deprecatedV1Beta1Metadata")));
        let at = format!("{path}.schema.openAPIV3Schema");
        let written = &variable.schema.open_api_v3_schema;
        causes.extend(validate_all_metadata(written, &at));
        causes.extend(validate_schema(written, &at));
    }
    causes
}

fn validate_name(name: &str, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if name.is_empty() {
        causes.push(Cause::required(path, "variable name must be defined"));
    }
    if name == BUILTIN {
        let detail = format!("{} is a reserved variable name", quote(BUILTIN));
        causes.push(Cause::invalid(path, &json!(name), &detail));
    }
    if name.contains('.') {
        let detail = "variable name cannot contain \".\"";
        causes.push(Cause::invalid(path, &json!(name), detail));
    }
    causes
}

/// Checks labels and annotations below `path`.
pub(crate) fn validate_metadata(metadata: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let map = |field: &str| metadata[field].as_object().cloned().unwrap_or_default();
    let at = format!("{path}.labels");
    for (key, value) in &map("labels") {
        for error in names::check_label_key(key) {
            causes.push(Cause::invalid(at.as_str(), &json!(key), &error));
        }
        for error in names::check_label_value(value.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid(at.as_str(), value, &error));
        }
    }
    let at = format!("{path}.annotations");
    let mut size = 0;
    for (key, value) in &map("annotations") {
        size += key.len() + value.as_str().unwrap_or_default().len();
        for error in names::check_label_key(&key.to_lowercase()) {
            causes.push(Cause::invalid(at.as_str(), &json!(key), &error));
        }
    }
    if size > ANNOTATIONS_MAX {
        causes.push(Cause::too_long(at.as_str(), ANNOTATIONS_MAX));
    }
    causes
}

/// Checks `x-metadata` of all nodes.
fn validate_all_metadata(node: &Value, path: &str) -> Vec<Cause> {
    let mut causes = validate_metadata(&node["x-metadata"], &format!("{path}.x-metadata"));
    for (child, path) in children(node, path) {
        causes.extend(validate_all_metadata(child, &path));
    }
    causes
}

/// The schemas right below one that describe parts of values.
fn children<'a>(node: &'a Value, path: &str) -> Vec<(&'a Value, String)> {
    let mut found = Vec::new();
    if let Some(values) = node.get("additionalProperties") {
        found.push((values, format!("{path}.additionalProperties")));
    }
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        found.push((property, format!("{path}.properties[{name}]")));
    }
    if let Some(items) = node.get("items") {
        found.push((items, format!("{path}.items")));
    }
    found
}

fn validate_schema(written: &Value, path: &str) -> Vec<Cause> {
    let document = schema::converted(written);
    let wrapped = schema::wrap_schema(document.clone());
    let wrapper = format!("{path}.properties[{WRAPPER}]");
    let unwrapped = |mut cause: Cause| {
        if let Some(rest) = cause.field.strip_prefix(&wrapper) {
            cause.field = format!("{path}{rest}");
        }
        cause
    };
    let no_document = Map::new();
    let structure = schemas::check(wrapped.as_object().unwrap_or(&no_document), path);
    let mut causes: Vec<Cause> =
        structure.into_iter().map(unwrapped).filter_map(as_upstream).collect();
    causes.extend(validate_nodes(&document, path));
    if !causes.is_empty() {
        return causes;
    }
    let rules = cel::rules::check(&schemas::compile(&wrapped), path);
    causes.extend(rules.into_iter().map(unwrapped));
    if causes.is_empty() {
        causes.extend(validate_defaults(&document, path));
    }
    causes
}

/// Upstream's own form of what CustomResourceDefinitions are told.
fn as_upstream(mut cause: Cause) -> Option<Cause> {
    if cause.message.ends_with("additionalProperties and properties are mutual exclusive") {
        let field = cause.field.strip_suffix(".additionalProperties");
        cause.field = field.unwrap_or(&cause.field).to_owned();
        cause.message =
            "Forbidden: additionalProperties and properties are mutually exclusive".to_owned();
    }
    // CustomResourceDefinitions may not ask for unique items, variables may.
    (!cause.message.contains("uniqueItems cannot be set to true")).then_some(cause)
}

/// Types, examples and enumerated values, node by node.
fn validate_nodes(node: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let kind = node["type"].as_str().unwrap_or_default();
    if !kind.is_empty() && !TYPES.contains(&kind) {
        // The structural check has said so.
        return causes;
    }
    let compiled = schemas::compile(node);
    let mut check = |value: &Value, at: String| {
        let found = schemas::validate(&compiled, value).into_iter();
        causes.extend(found.map(|mut cause| {
            cause.field = schema::below(&at, &cause.field);
            cause
        }));
    };
    if let Some(example) = node.get("example").filter(|example| !example.is_null()) {
        check(example, format!("{path}.example"));
    }
    for (index, value) in node["enum"].as_array().into_iter().flatten().enumerate() {
        if !value.is_null() {
            check(value, format!("{path}.enum[{index}]"));
        }
    }
    for (child, path) in children(node, path) {
        causes.extend(validate_nodes(child, &path));
    }
    causes
}

/// What rules say against defaults.
fn validate_defaults(document: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (path, compiled, value) in schemas::defaults(document, path) {
        let found = cel::rules::evaluate(&compiled, &value, None, &[]).causes.into_iter();
        causes.extend(found.map(|mut cause| {
            cause.field = schema::below(&path, &cause.field);
            cause
        }));
    }
    causes
}
