//! What makes a CRD's schema structural, with kube-apiserver's wording.
//!
//! (kubernetes 1.36: apiextensions-apiserver pkg/apiserver/schema/{convert,validation,complete}.go)

use serde_json::{Map, Value, json};

use super::document::{self, Document, Report};
use super::go_regex;
use crate::machinery::status::Cause;

/// Where a schema node stands; decides what it must and must not say.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    /// The root of a version's schema.
    Root,
    /// Items of an array.
    Item,
    /// A property, or the values of a map.
    Field,
}

/// Reports what is not structural, below `path`, in kube-apiserver's order. The error is a text for
/// a schema with keywords that no structural schema can have; other checks report those better.
pub(super) fn check(document: &Document, path: &str) -> Result<Vec<Cause>, String> {
    unsupported(document)?;
    let mut check = Check { causes: Vec::new() };
    check.invariants(document, Level::Root, path);
    check.completeness(document, Some(document), path, path);
    let mut causes = check.causes;
    causes.sort_by_cached_key(|cause| format!("{}: {}", cause.field, cause.message));
    Ok(causes)
}

/// Keywords that make a schema impossible to convert.
fn unsupported(document: &Document) -> Result<(), String> {
    for (keyword, shown) in [("id", "id"), ("$schema", "schema"), ("$ref", "$ref")] {
        if !document::text(document, keyword).is_empty() {
            return Err(format!("OpenAPIV3Schema '{shown}' is not supported"));
        }
    }
    for keyword in ["patternProperties", "dependencies"] {
        if document::is_filled(document, keyword) {
            return Err(format!("OpenAPIV3Schema '{keyword}' is not supported"));
        }
    }
    if document.get("additionalItems").is_some_and(|value| !value.is_null()) {
        return Err("OpenAPIV3Schema 'additionalItems' is not supported".to_owned());
    }
    if document::is_filled(document, "definitions") {
        return Err("OpenAPIV3Schema 'definitions' is not supported".to_owned());
    }
    if document.get("items").is_some_and(|items| items.as_array().is_some_and(|it| !it.is_empty()))
    {
        return Err("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned());
    }
    if document.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        return Err("internal error: 'x-kubernetes-preserve-unknown-fields' must be true or \
                    undefined"
            .to_owned());
    }
    document::children(document).into_iter().try_for_each(|(_, child)| unsupported(child))
}

struct Check {
    causes: Vec<Cause>,
}

impl Check {
    fn at<'a>(&'a mut self, path: &'a str) -> Report<'a> {
        Report { path, causes: &mut self.causes }
    }

    /// Checks a node of the structural part and those below.
    fn invariants(&mut self, node: &Document, level: Level, path: &str) {
        let items = node.get("items").and_then(Value::as_object);
        let kind = document::text(node, "type");
        if kind == "array" && items.is_none() {
            self.at(path).required("items", "must be specified");
        }
        if let Some(items) = items {
            self.invariants(items, Level::Item, &format!("{path}.items"));
        }
        for (name, property) in document::properties(node) {
            self.invariants(property, Level::Field, &format!("{path}.properties[{name}]"));
        }
        let additional = node.get("additionalProperties").filter(|value| !value.is_null());
        if let Some(additional) = additional {
            if level == Level::Root {
                self.at(path).forbidden("additionalProperties", "must not be used at the root");
            }
            if let Value::Object(values) = additional {
                let path = format!("{path}.additionalProperties");
                self.invariants(values, Level::Field, &path);
            }
        }
        self.extensions(node, path);
        let any_of = is_int_or_string(node.get("anyOf"));
        let first = node.get("allOf").and_then(|all| all.get(0));
        let all_of = first.is_some_and(|first| is_int_or_string(first.get("anyOf")));
        self.values(node, (any_of, all_of), path);
        self.type_of(node, level, path);
        if document::is_true(node, "x-kubernetes-embedded-resource") && additional.is_some() {
            let why = "must not be used if x-kubernetes-embedded-resource is set";
            self.at(path).forbidden("additionalProperties", why);
        }
        self.resource(node, level, path);
    }

    fn extensions(&mut self, node: &Document, path: &str) {
        let why = "must be false if x-kubernetes-int-or-string is true";
        if !document::is_true(node, "x-kubernetes-int-or-string") {
            return;
        }
        for keyword in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
            if document::is_true(node, keyword) {
                self.at(path).invalid(keyword, &Value::Bool(true), why);
            }
        }
    }

    fn type_of(&mut self, node: &Document, level: Level, path: &str) {
        let kind = document::text(node, "type");
        let free = document::is_true(node, "x-kubernetes-int-or-string")
            || document::is_true(node, "x-kubernetes-preserve-unknown-fields");
        if document::is_true(node, "x-kubernetes-embedded-resource") && kind != "object" {
            let why = "must be object if x-kubernetes-embedded-resource is true";
            match kind {
                "" => self.at(path).required("type", why),
                kind => self.at(path).invalid("type", &kind.into(), why),
            }
        } else if kind.is_empty() && !free {
            let why = match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            };
            self.at(path).required("type", why);
        }
        if level == Level::Root && !kind.is_empty() && kind != "object" {
            self.at(path).invalid("type", &kind.into(), "must be object at the root");
        }
    }

    /// Checks what is said of apiVersion, kind and metadata of a whole object.
    fn resource(&mut self, node: &Document, level: Level, path: &str) {
        let is_embedded = document::is_true(node, "x-kubernetes-embedded-resource");
        let is_resource = level == Level::Root || is_embedded;
        let property = |name: &str| node.get("properties").and_then(|all| all.get(name));
        for name in ["kind", "apiVersion"] {
            let Some(property) = property(name).and_then(Value::as_object) else { continue };
            let kind = document::text(property, "type");
            if is_resource && kind != "string" {
                let path = format!("{path}.properties[{name}]");
                self.at(&path).invalid("type", &kind.into(), "must be string");
            }
        }
        if let Some(metadata) = property("metadata").and_then(Value::as_object) {
            let kind = document::text(metadata, "type");
            let path = format!("{path}.properties[metadata]");
            if is_resource && kind != "object" {
                self.at(&path).invalid("type", &kind.into(), "must be object");
            }
            if level == Level::Root && !restricts_names_only(metadata) {
                let message = "Forbidden: must not specify anything other than name and \
                               generateName, but metadata is implicitly specified";
                let cause = document::cause("FieldValueForbidden", message.to_owned(), &path);
                self.causes.push(cause);
            }
        }
        let keeps = document::is_true(node, "x-kubernetes-preserve-unknown-fields");
        if is_embedded && !keeps && document::properties(node).next().is_none() {
            let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                       x-kubernetes-preserve-unknown-fields";
            self.at(path).required("properties", why);
        }
    }

    /// Checks what a node says of values; `skip` says that `anyOf`, or the `anyOf` of the first
    /// `allOf`, spells out an integer or a string.
    fn values(&mut self, node: &Document, skip: (bool, bool), path: &str) {
        for (keyword, branch, path) in document::branches(node, path) {
            match keyword {
                "anyOf" if skip.0 => {}
                "allOf" => {
                    let is_first = path.ends_with(".allOf[0]");
                    self.nested(branch, skip.1 && is_first, &path);
                }
                _ => self.nested(branch, false, &path),
            }
        }
        let pattern = document::text(node, "pattern");
        if let Some(error) = go_regex::error(pattern) {
            let why = format!("must be a valid regular expression, but isn't: {error}");
            self.at(path).invalid("pattern", &pattern.into(), &why);
        }
    }

    /// Checks a node below `allOf`, `anyOf`, `oneOf` or `not`.
    fn nested(&mut self, node: &Document, skip_any_of: bool, path: &str) {
        self.values(node, (skip_any_of, false), path);
        if let Some(items) = node.get("items").and_then(Value::as_object) {
            self.nested(items, false, &format!("{path}.items"));
        }
        for (name, property) in document::properties(node) {
            self.nested(property, false, &format!("{path}.properties[{name}]"));
        }
        let is_additional = match node.get("additionalProperties") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(_) => true,
        };
        let mut report = self.at(path);
        if !document::text(node, "type").is_empty() {
            report.forbidden("type", "must be empty to be structural");
        }
        if is_additional {
            report.forbidden("additionalProperties", "must be undefined to be structural");
        }
        if node.get("default").is_some_and(|value| !value.is_null()) {
            report.forbidden("default", "must be undefined to be structural");
        }
        for keyword in ["title", "description"] {
            if !document::text(node, keyword).is_empty() {
                report.forbidden(keyword, "must be empty to be structural");
            }
        }
        for keyword in [
            "nullable",
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-embedded-resource",
            "x-kubernetes-int-or-string",
        ] {
            if document::is_true(node, keyword) {
                report.forbidden(keyword, "must be false to be structural");
            }
        }
        for keyword in ["x-kubernetes-list-map-keys", "x-kubernetes-validations"] {
            if document::is_filled(node, keyword) {
                report.forbidden(keyword, "must be empty to be structural");
            }
        }
        for keyword in ["x-kubernetes-list-type", "x-kubernetes-map-type"] {
            if node.get(keyword).is_some_and(|value| !value.is_null()) {
                report.forbidden(keyword, "must be undefined to be structural");
            }
        }
        if document::properties(node).any(|(name, _)| name == "metadata") {
            let why = "must not be specified in a nested context";
            report.forbidden("properties[metadata]", why);
        }
    }

    /// Reports values that are checked without being declared: what `node` says at `path` needs its
    /// counterpart in `declared` at `place`.
    fn completeness(
        &mut self,
        node: &Document,
        declared: Option<&Document>,
        place: &str,
        path: &str,
    ) {
        for (_, branch, path) in document::branches(node, path) {
            self.nested_completeness(branch, declared, place, &path);
        }
    }

    fn nested_completeness(
        &mut self,
        node: &Document,
        declared: Option<&Document>,
        place: &str,
        path: &str,
    ) {
        let Some(declared) = declared else { return self.undeclared(place, path) };
        self.completeness(node, Some(declared), place, path);
        if let Some(items) = node.get("items").and_then(Value::as_object) {
            let declared = declared.get("items").and_then(Value::as_object);
            let (place, path) = (format!("{place}.items"), format!("{path}.items"));
            self.nested_completeness(items, declared, &place, &path);
        }
        for (name, property) in document::properties(node) {
            let declared = document::properties(declared).find(|(known, _)| *known == name);
            let place = format!("{place}.properties[{name}]");
            let path = format!("{path}.properties[{name}]");
            let declared = declared.map(|(_, property)| property);
            self.nested_completeness(property, declared, &place, &path);
        }
    }

    fn undeclared(&mut self, place: &str, path: &str) {
        let message = format!("Required value: because it is defined in {path}");
        self.causes.push(document::cause("FieldValueRequired", message, place));
    }
}

/// Whether a schema of metadata says no more than its type and restrictions of names.
fn restricts_names_only(metadata: &Map<String, Value>) -> bool {
    let known = |name: &str| matches!(name, "name" | "generateName");
    metadata.iter().all(|(keyword, value)| match keyword.as_str() {
        "type" | "default" => true,
        "properties" => value.as_object().is_some_and(|all| all.keys().all(|name| known(name))),
        _ => document::is_zero(value),
    })
}

/// Whether a list of branches says "integer or string".
fn is_int_or_string(any_of: Option<&Value>) -> bool {
    any_of.is_some_and(|any_of| *any_of == json!([{"type": "integer"}, {"type": "string"}]))
}
