//! What a CRD's schema may say at all, node by node, with kube-apiserver's wording.
//!
//! (kubernetes 1.36: apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go,
//! ValidateCustomResourceDefinitionOpenAPISchema)

use serde_json::Value;

use super::document::{self, Document, Report};
use super::field_path;
use crate::machinery::status::Cause;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const RULES: &str = "x-kubernetes-validations";
const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// What holds for a node because of where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Why there may be no defaults.
    no_defaults: Option<&'a str>,
    /// Below apiVersion, kind or metadata of an object.
    is_meta: bool,
    is_root: bool,
}

/// Reports keywords that a CRD's schema cannot have, at any depth, below `path`.
pub(super) fn check(document: &Document, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let place = Place { no_defaults: None, is_meta: false, is_root: true };
    node(document, path, place, &mut causes);
    causes
}

fn node(document: &Document, path: &str, place: Place<'_>, causes: &mut Vec<Cause>) {
    let mut report = Report { path, causes };
    refused(document, place, &mut report);
    if document::is_true(document, "uniqueItems") {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        report.forbidden("uniqueItems", why);
    }
    children(document, path, place, causes);
    let mut report = Report { path, causes };
    extensions(document, &mut report);
    list_type(document, &mut report);
    map_list(document, &mut report);
    keys(document, &mut report);
    rules(document, &mut report);
}

/// Keywords that no schema may have, or not here.
fn refused(document: &Document, place: Place<'_>, report: &mut Report<'_>) {
    let kind = document::text(document, "type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        report.unsupported("type", kind, &TYPES);
    }
    if let Some(reason) = place.no_defaults
        && document.get("default").is_some_and(|value| !value.is_null())
    {
        report.forbidden("default", &format!("must not be set {reason}"));
    }
    for keyword in ["id", "additionalItems", "patternProperties", "definitions", "dependencies"] {
        if document::is_filled(document, keyword) {
            report.forbidden(keyword, &format!("{keyword} is not supported"));
        }
    }
    if document.get("$ref").is_some_and(|value| !value.is_null()) {
        report.forbidden("$ref", "$ref is not supported");
    }
    if kind == "null" {
        report.forbidden("type", "type cannot be set to null, use nullable as an alternative");
    }
    if document.get("items").and_then(Value::as_array).is_some_and(|items| !items.is_empty()) {
        report.forbidden("items", "items must be a schema object and not an array");
    }
    if place.is_meta && document::is_true(document, "x-kubernetes-embedded-resource") {
        report.forbidden(
            "x-kubernetes-embedded-resource",
            "must not be used inside of resource meta",
        );
    }
}

fn children(document: &Document, path: &str, place: Place<'_>, causes: &mut Vec<Cause>) {
    let inner = Place { is_root: false, ..place };
    if let Some(additional) = document.get("additionalProperties").filter(|it| !it.is_null()) {
        if document::properties(document).next().is_some() && *additional != Value::Bool(true) {
            let why = "additionalProperties and properties are mutual exclusive";
            Report { path, causes }.forbidden("additionalProperties", why);
        }
        if let Value::Object(values) = additional {
            let reason = "inside additionalProperties applying to object metadata";
            let no_defaults = if place.is_meta { Some(reason) } else { place.no_defaults };
            let place = Place { no_defaults, ..inner };
            node(values, &format!("{path}.additionalProperties"), place, causes);
        }
    }
    let is_resource =
        place.is_root || document::is_true(document, "x-kubernetes-embedded-resource");
    for (name, property) in document::properties(document) {
        let is_meta = is_resource && matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
        let reason = format!("in top-level {name}");
        let place = Place {
            is_meta: place.is_meta || is_meta,
            no_defaults: match is_meta && place.is_root {
                true => Some(&reason),
                false => place.no_defaults,
            },
            is_root: false,
        };
        node(property, &format!("{path}.properties[{name}]"), place, causes);
    }
    for (_, branch, path) in document::branches(document, path) {
        node(branch, &path, inner, causes);
    }
    match document.get("items") {
        Some(Value::Object(items)) => node(items, &format!("{path}.items"), inner, causes),
        Some(Value::Array(list)) => {
            for (index, items) in list.iter().enumerate() {
                if let Value::Object(items) = items {
                    node(items, &format!("{path}.items[{index}]"), inner, causes);
                }
            }
        }
        _ => {}
    }
}

fn extensions(document: &Document, report: &mut Report<'_>) {
    let kind = document::text(document, "type");
    let preserve = "x-kubernetes-preserve-unknown-fields";
    if document.get(preserve) == Some(&Value::Bool(false)) {
        report.invalid(preserve, &Value::Bool(false), "must be true or undefined");
    }
    if let Some(map_type) = document.get("x-kubernetes-map-type").and_then(Value::as_str) {
        if kind != "object" {
            let why = "must be object if x-kubernetes-map-type is specified";
            mismatch(kind, why, report);
        }
        if !matches!(map_type, "atomic" | "granular") {
            report.unsupported("x-kubernetes-map-type", map_type, &["atomic", "granular"]);
        }
    }
}

fn mismatch(kind: &str, why: &str, report: &mut Report<'_>) {
    match kind {
        "" => report.required("type", why),
        kind => report.invalid("type", &kind.into(), why),
    }
}

fn list_type(document: &Document, report: &mut Report<'_>) {
    let keyword = "x-kubernetes-list-type";
    let list_type = document.get(keyword).and_then(Value::as_str);
    let items = document.get("items").and_then(Value::as_object);
    if let Some(list_type) = list_type {
        let kind = document::text(document, "type");
        if kind != "array" {
            mismatch(kind, "must be array if x-kubernetes-list-type is specified", report);
        } else if let Some(items) = items.filter(|_| list_type == "set") {
            atomic_items(items, report);
        }
        if !matches!(list_type, "atomic" | "set" | "map") {
            report.unsupported(keyword, list_type, &["atomic", "set", "map"]);
        }
    }
    if document::is_filled(document, "x-kubernetes-list-map-keys") {
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        match list_type {
            None => report.required(keyword, why),
            Some("map") => {}
            Some(other) => report.invalid(keyword, &other.into(), why),
        }
    }
}

/// Items of a set are compared as a whole.
fn atomic_items(items: &Document, report: &mut Report<'_>) {
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let list_type = items.get("x-kubernetes-list-type").unwrap_or(&Value::Null);
    match document::text(items, "type") {
        "array" if !list_type.is_null() && *list_type != "atomic" => {
            report.invalid("items.x-kubernetes-list-type", list_type, why);
        }
        "object" if document::text(items, "x-kubernetes-map-type") != "atomic" => {
            // Upstream shows the list type here, too.
            report.invalid("items.x-kubernetes-map-type", list_type, why);
        }
        _ => {}
    }
}

fn map_list(document: &Document, report: &mut Report<'_>) {
    if document::text(document, "x-kubernetes-list-type") != "map" {
        return;
    }
    let keyword = "x-kubernetes-list-map-keys";
    if !document::is_filled(document, keyword) {
        report.required(keyword, "must not be empty if x-kubernetes-list-type is map");
    }
    let items = match document.get("items") {
        Some(Value::Object(items)) => items,
        Some(Value::Array(_)) => {
            let why = "must only have a single schema if x-kubernetes-list-type is map";
            return report.invalid("items", &Value::Null, why);
        }
        _ => {
            let why = "must have a schema if x-kubernetes-list-type is map";
            return report.required("items", why);
        }
    };
    let kind = document::text(items, "type");
    if kind != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        return report.invalid("items.type", &kind.into(), why);
    }
    let given = document.get(keyword).unwrap_or(&Value::Null);
    let mut seen: Vec<&str> = Vec::new();
    for key in given.as_array().into_iter().flatten().filter_map(Value::as_str) {
        match document::properties(items).find(|(name, _)| *name == key) {
            Some((_, property)) => {
                if matches!(document::text(property, "type"), "array" | "object") {
                    let why =
                        "must be a scalar type if parent array's x-kubernetes-list-type is map";
                    report.invalid(&format!("items.properties[{key}].type"), &kind.into(), why);
                }
            }
            None => {
                report.invalid(keyword, given, "entries must all be names of item properties");
            }
        }
        if seen.contains(&key) {
            report.invalid(keyword, given, "must not contain duplicate entries");
        }
        seen.push(key);
    }
}

/// Items of sets and maps are never null, and keys of a map are always there.
fn keys(document: &Document, report: &mut Report<'_>) {
    let list_type = document::text(document, "x-kubernetes-list-type");
    let Some(items) = document.get("items").and_then(Value::as_object) else { return };
    if !matches!(list_type, "set" | "map") {
        return;
    }
    if document::is_true(items, "nullable") {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        report.forbidden("items.nullable", &why);
    }
    if list_type == "set" {
        return;
    }
    let list = |document: &Document, keyword: &str| -> Vec<String> {
        let list = document.get(keyword).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let required = list(items, "required");
    for key in list(document, "x-kubernetes-list-map-keys") {
        let found = document::properties(items).find(|(name, _)| **name == key);
        let Some((_, property)) = found else { continue };
        let has_default = property.get("default").is_some_and(|value| !value.is_null());
        if !required.contains(&key) && !has_default {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default \
                       or be a required property";
            report.required(&format!("items.properties[{key}].default"), why);
        }
        if document::is_true(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            report.forbidden(&format!("items.properties[{key}].nullable"), why);
        }
    }
}

/// What can be said of rules without compiling them.
fn rules(document: &Document, report: &mut Report<'_>) {
    let rules = document.get(RULES).and_then(Value::as_array);
    for (number, rule) in rules.into_iter().flatten().enumerate() {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
        let at = |name: &str| format!("{RULES}[{number}].{name}");
        let has_newlines = |text: &str| text.contains(['\n', '\r']);
        let (source, message) = (text("rule"), text("message"));
        if source.trim().is_empty() {
            report.required(&at("rule"), "rule is not specified");
        } else if !message.is_empty() && message.trim().is_empty() {
            report.invalid(&at("message"), &message.into(), "must be non-empty if specified");
        } else if has_newlines(message.trim()) {
            report.invalid(&at("message"), &message.into(), "must not contain line breaks");
        } else if has_newlines(source.trim()) && message.trim().is_empty() {
            let why = "message must be specified if rule contains line breaks";
            report.required(&at("message"), why);
        }
        let expression = text("messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            let why = "messageExpression must be non-empty if specified";
            report.required(&at("messageExpression"), why);
        }
        if let Some(reason) = rule.get("reason").and_then(Value::as_str)
            && !REASONS.contains(&reason)
        {
            report.unsupported(&at("reason"), reason, &REASONS);
        }
        let path = text("fieldPath");
        if path.is_empty() {
            continue;
        }
        if path.trim().is_empty() {
            report.invalid(&at("fieldPath"), &path.into(), "must be non-empty if specified");
        }
        if has_newlines(path) {
            report.invalid(&at("fieldPath"), &path.into(), "must not contain line breaks");
        }
        if field_path::resolve(path, document, field_path::Brackets::Allowed).is_err() {
            report.invalid(&at("fieldPath"), &path.into(), "must be a valid path");
        }
    }
}
