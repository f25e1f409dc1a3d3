//! What accepted definitions are warned of.
//!
//! (kubernetes 1.36: apiextensions-apiserver pkg/registry/customresourcedefinition/strategy.go)

use serde_json::{Map, Value};

use super::array;
use crate::machinery::schema::is_known_format;

/// Texts of warnings for a definition; of a changed one those that `old` did not deserve already.
pub fn warnings(crd: &Value, old: Option<&Value>) -> Vec<String> {
    let known = old.map(of).unwrap_or_default();
    of(crd).into_iter().filter(|warning| !known.contains(warning)).collect()
}

fn of(crd: &Value) -> Vec<String> {
    let mut formats = Vec::new();
    let mut sets = Vec::new();
    for version in array(&crd["spec"], "versions") {
        if let Value::Object(document) = &version["schema"]["openAPIV3Schema"] {
            walk(document, &mut formats, &mut sets);
        }
    }
    sets.sort_unstable();
    let mut all = formats;
    all.append(&mut sets);
    let mut seen: Vec<String> = Vec::new();
    all.retain(|warning| !seen.contains(warning) && (seen.push(warning.clone()), true).1);
    all
}

fn walk(document: &Map<String, Value>, formats: &mut Vec<String>, sets: &mut Vec<String>) {
    let text = |document: &Map<String, Value>, keyword: &str| {
        document.get(keyword).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (format, kind) = (text(document, "format"), text(document, "type"));
    if !format.is_empty() && !is_known_format(&kind, &format) {
        formats.push(format!("unrecognized format {}", Value::from(format)));
    }
    if text(document, "x-kubernetes-list-type") == "set"
        && let Some(items) = document.get("items").and_then(Value::as_object)
    {
        let kind = text(items, "type");
        if matches!(kind.as_str(), "object" | "array") {
            sets.push(format!(
                "x-kubernetes-list-type: set for items of type \"{kind}\" is not supported by \
                 server-side apply or CEL validation rules"
            ));
        }
    }
    for keyword in ["items", "additionalProperties", "not"] {
        if let Some(Value::Object(child)) = document.get(keyword) {
            walk(child, formats, sets);
        }
    }
    if let Some(Value::Object(properties)) = document.get("properties") {
        for child in properties.values().filter_map(Value::as_object) {
            walk(child, formats, sets);
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for child in document.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            if let Value::Object(child) = child {
                walk(child, formats, sets);
            }
        }
    }
}
