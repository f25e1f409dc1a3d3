//! A CRD's schema as its author wrote it: reading keywords as Go reads them, and reports.

use serde_json::{Map, Value};

use crate::machinery::status::{Cause, quote};

/// One node of a schema in OpenAPI v3 form.
pub(super) type Document = Map<String, Value>;

/// The text of a keyword, empty if there is none.
pub(super) fn text<'a>(document: &'a Document, keyword: &str) -> &'a str {
    document.get(keyword).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn is_true(document: &Document, keyword: &str) -> bool {
    document.get(keyword) == Some(&Value::Bool(true))
}

/// Whether a keyword has an object or list that is not empty.
pub(super) fn is_filled(document: &Document, keyword: &str) -> bool {
    document.get(keyword).is_some_and(|value| !is_zero(value))
}

/// Whether Go leaves a value out when it is empty.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Declared properties that are schemas.
pub(super) fn properties(document: &Document) -> impl Iterator<Item = (&String, &Document)> {
    let properties = document.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .filter_map(|(name, property)| Some((name, property.as_object()?)))
}

/// The branches of a node with their paths, in upstream's order.
pub(super) fn branches<'a>(
    document: &'a Document,
    path: &str,
) -> Vec<(&'static str, &'a Document, String)> {
    let mut found = Vec::new();
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let list = document.get(keyword).and_then(Value::as_array);
        for (index, branch) in list.into_iter().flatten().enumerate() {
            if let Value::Object(branch) = branch {
                found.push((keyword, branch, format!("{path}.{keyword}[{index}]")));
            }
        }
    }
    if let Some(Value::Object(branch)) = document.get("not") {
        found.push(("not", branch, format!("{path}.not")));
    }
    found
}

/// All schemas directly below a node, with the rest of their paths.
pub(super) fn children(document: &Document) -> Vec<(String, &Document)> {
    let mut found: Vec<(String, &Document)> = properties(document)
        .map(|(name, property)| (format!(".properties[{name}]"), property))
        .collect();
    for keyword in ["additionalProperties", "items"] {
        if let Some(Value::Object(child)) = document.get(keyword) {
            found.push((format!(".{keyword}"), child));
        }
    }
    let branches = branches(document, "");
    found.extend(branches.into_iter().map(|(_, branch, path)| (path, branch)));
    found
}

/// A cause with its whole path.
pub(super) fn cause(reason: &str, message: String, field: &str) -> Cause {
    Cause { reason: reason.into(), message, field: field.into() }
}

/// Causes about keywords of one node.
pub(super) struct Report<'a> {
    pub(super) path: &'a str,
    pub(super) causes: &'a mut Vec<Cause>,
}

impl Report<'_> {
    fn push(&mut self, reason: &str, keyword: &str, message: String) {
        self.causes.push(cause(reason, message, &format!("{}.{keyword}", self.path)));
    }

    pub(super) fn forbidden(&mut self, keyword: &str, why: &str) {
        self.push("FieldValueForbidden", keyword, format!("Forbidden: {why}"));
    }

    pub(super) fn required(&mut self, keyword: &str, why: &str) {
        self.push("FieldValueRequired", keyword, format!("Required value: {why}"));
    }

    pub(super) fn invalid(&mut self, keyword: &str, value: &Value, why: &str) {
        self.push("FieldValueInvalid", keyword, format!("Invalid value: {value}: {why}"));
    }

    pub(super) fn unsupported(&mut self, keyword: &str, value: &str, supported: &[&str]) {
        let supported: Vec<String> = supported.iter().map(|one| quote(one)).collect();
        let supported = supported.join(", ");
        let message = format!("Unsupported value: {}: supported values: {supported}", quote(value));
        self.push("FieldValueNotSupported", keyword, message);
    }
}
