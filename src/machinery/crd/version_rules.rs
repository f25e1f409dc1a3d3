//! Rules for single parts of a definition: names, columns, scale, selectable fields, warnings.

use serde_json::Value;

use super::report::Report;
use super::{array, text};
use crate::machinery::schema::{self, Brackets};

const COLUMN_TYPES: &str = "boolean,date,integer,number,string";
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
/// Most fields that a version can select by.
const SELECTABLE_MAX: usize = 8;
/// Longest deprecation warning.
const WARNING_MAX: usize = 256;

/// Checks names, in spec or status.
pub(super) fn names(names: &Value, path: &str, report: &mut Report) {
    for name in ["plural", "singular"] {
        let value = text(names, name);
        if !value.is_empty() {
            report.label(&format!("{path}.{name}"), value, value, "");
        }
    }
    for name in ["kind", "listKind"] {
        let value = text(names, name);
        if !value.is_empty() {
            let before = "may have mixed case, but should otherwise match: ";
            report.label(&format!("{path}.{name}"), value, &value.to_lowercase(), before);
        }
    }
    let list = |field: &str, report: &mut Report| {
        for (number, name) in array(names, field).iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            report.label(&format!("{path}.{field}[{number}]"), name, name, "");
        }
    };
    list("shortNames", report);
    let (kind, list_kind) = (text(names, "kind"), text(names, "listKind"));
    if !kind.is_empty() && kind == list_kind {
        let quoted = Value::from(list_kind).to_string();
        let why = "kind and listKind may not be the same";
        report.invalid(&format!("{path}.listKind"), &quoted, why);
    }
    list("categories", report);
}

/// Checks a version's `deprecationWarning`.
pub(super) fn deprecation(version: &Value, field: &str, report: &mut Report) {
    let Some(warning) = version["deprecationWarning"].as_str() else { return };
    let quoted = Value::from(warning).to_string();
    if version["deprecated"] != true {
        return report.invalid(field, &quoted, "can only be set for deprecated versions");
    }
    if warning.len() > WARNING_MAX {
        report.invalid(field, &quoted, "must be <= 256 characters long");
    }
    if warning.is_empty() {
        report.invalid(field, &quoted, "must not be an empty string");
    }
    let hidden = |c: char| c.is_control() || (c.is_whitespace() && c != ' ');
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| hidden(*c)) {
        let why = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index \
             {index}"
        );
        report.invalid(field, &quoted, &why);
    }
}

/// Checks a version's `additionalPrinterColumns`.
pub(super) fn columns(version: &Value, path: &str, report: &mut Report) {
    for (number, column) in array(version, "additionalPrinterColumns").iter().enumerate() {
        let at = |field: &str| format!("{path}[{number}].{field}");
        if text(column, "name").is_empty() {
            report.required(&at("name"), "");
        }
        let why = format!("must be one of {COLUMN_TYPES}");
        match text(column, "type") {
            "" => report.required(&at("type"), &why),
            "boolean" | "date" | "integer" | "number" | "string" => {}
            other => report.invalid(&at("type"), &Value::from(other).to_string(), &why),
        }
        let format = text(column, "format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let why = format!("must be one of {}", COLUMN_FORMATS.join(","));
            report.invalid(&at("format"), &Value::from(format).to_string(), &why);
        }
        match text(column, "jsonPath") {
            "" => report.required(&at("JSONPath"), ""),
            path => {
                simple_path(path, &at("JSONPath"), report);
            }
        }
    }
}

/// Reports a path that does not begin with a dot; true if it does.
fn simple_path(path: &str, field: &str, report: &mut Report) -> bool {
    if path.starts_with('.') {
        return true;
    }
    let quoted = Value::from(path).to_string();
    report.invalid(field, &quoted, "must be a simple json path starting with .");
    false
}

/// Checks a version's `subresources.scale`.
pub(super) fn scale(version: &Value, path: &str, report: &mut Report) {
    let scale = &version["subresources"]["scale"];
    if !scale.is_object() {
        return;
    }
    let paths = [
        ("specReplicasPath", &[".spec."][..], "should be a json path under .spec"),
        ("statusReplicasPath", &[".status."], "should be a json path under .status"),
        (
            "labelSelectorPath",
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
        ),
    ];
    for (name, roots, why) in paths {
        let field = format!("{path}.{name}");
        match text(scale, name) {
            "" if name == "labelSelectorPath" => {}
            "" => report.required(&field, ""),
            path => {
                if simple_path(path, &field, report)
                    && !roots.iter().any(|root| path.starts_with(root))
                {
                    report.invalid(&field, &Value::from(path).to_string(), why);
                }
            }
        }
    }
}

/// Checks a version's `selectableFields`: declared scalars, each once, not too many unless there
/// always were.
pub(super) fn selectable(version: &Value, old: Option<&Value>, path: &str, report: &mut Report) {
    let fields = array(version, "selectableFields");
    let Value::Object(document) = &version["schema"]["openAPIV3Schema"] else { return };
    let mut seen: Vec<Vec<String>> = Vec::new();
    for (number, field) in fields.iter().enumerate() {
        let json_path = text(field, "jsonPath");
        let at = format!("{path}[{number}].jsonPath");
        let quoted = Value::from(json_path).to_string();
        if json_path.is_empty() {
            report.required(&at, "");
            continue;
        }
        let (steps, node) = match schema::resolve(json_path, document, Brackets::Refused) {
            Ok(found) => found,
            Err(why) => {
                report.invalid(&at, &quoted, &format!("is an invalid path: {why}"));
                continue;
            }
        };
        if steps.first().is_some_and(|root| root == "metadata") {
            report.invalid(&at, &quoted, "must not point to fields in metadata");
        }
        let kind = node.get("type").and_then(Value::as_str).unwrap_or_default();
        if !matches!(kind, "string" | "boolean" | "integer") {
            let why = "must point to a field of type string, boolean or integer. Enum string \
                       fields and strings with formats are allowed.";
            report.invalid(&at, &quoted, why);
        }
        if seen.contains(&steps) {
            report.push("FieldValueDuplicate", &at, format!("Duplicate value: {quoted}"));
        } else {
            seen.push(steps);
        }
    }
    let were_there = old.is_some_and(|old| {
        let versions = array(&old["spec"], "versions");
        let same = versions.iter().find(|it| it["name"] == version["name"]);
        same.is_some_and(|same| same["selectableFields"] == version["selectableFields"])
    });
    if seen.len() > SELECTABLE_MAX && !were_there {
        let message = format!("Too many: {}: must have at most {SELECTABLE_MAX} items", seen.len());
        report.push("FieldValueTooMany", path, message);
    }
}
