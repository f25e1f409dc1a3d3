//! What is checked of custom resources beside their schema: objects that are embedded in them, the
//! numbers that their Scale shows, the names of finalizers.
//! (kubernetes 1.36: apiextensions-apiserver pkg/apiserver/schema/objectmeta,
//! pkg/registry/customresource/{strategy,validator}.go)

use serde_json::{Map, Value, json};

use super::metadata;
use super::pipeline::Target;
use crate::apiserver::strategy::report::{Path, Report};
use crate::machinery::definition::ScalePaths;
use crate::machinery::names;
use crate::machinery::schema::{Node, Schema};
use crate::machinery::status::{Cause, quote};

/// Checks the types of what embedded objects have by nature and brings their metadata into form.
///
/// # Errors
/// What kube-apiserver's decoder says about the first that does not fit.
pub(super) fn coerce(schema: &Schema, object: &mut Value) -> Result<(), String> {
    match schema.has_embedded_resources() {
        true => coerce_value(schema.root(), object, &Path::Root("")),
        false => Ok(()),
    }
}

fn coerce_value(node: Node<'_>, value: &mut Value, path: &Path<'_>) -> Result<(), String> {
    match value {
        Value::Object(members) => {
            if node.is_embedded_resource() {
                coerce_embedded(members, path)?;
            }
            for (name, value) in members {
                if let Some((below, path)) = child(node, name, path) {
                    coerce_value(below, value, &path)?;
                }
            }
            Ok(())
        }
        Value::Array(list) => {
            let Some(items) = node.items() else { return Ok(()) };
            let mut each = list.iter_mut().enumerate();
            each.try_for_each(|(index, item)| coerce_value(items, item, &path.index(index)))
        }
        _ => Ok(()),
    }
}

/// What lies under a name, and where.
fn child<'n, 'p>(
    node: Node<'n>,
    name: &'p str,
    path: &'p Path<'p>,
) -> Option<(Node<'n>, Path<'p>)> {
    match node.property(name) {
        Some(property) => Some((property, path.field(name))),
        None => node.additional().map(|values| (values, path.key(name))),
    }
}

fn coerce_embedded(members: &mut Map<String, Value>, path: &Path<'_>) -> Result<(), String> {
    for name in ["apiVersion", "kind"] {
        if let Some(value) = members.get(name).filter(|value| !value.is_string()) {
            return Err(format!("{}: Invalid value: {value}: must be a string", path.field(name)));
        }
    }
    let Some(given) = members.get_mut("metadata") else { return Ok(()) };
    let shown = given.to_string();
    let mut holder = json!({"metadata": given.take()});
    metadata::normalise(&mut holder).map_err(|why| {
        let (field, why) = (path.field("metadata"), metadata_error(&why));
        format!("{field}: Invalid value: {shown}: {why}")
    })?;
    *given = holder["metadata"].take();
    Ok(())
}

/// The error of Go's decoder for metadata that are decoded alone.
pub(super) fn metadata_error(why: &str) -> String {
    why.replace("Go struct field ObjectMeta.metadata of", "Go value of")
        .replace("ObjectMeta.metadata.", "ObjectMeta.")
}

/// What is wrong with embedded objects.
pub(super) fn validate_embedded(schema: &Schema, object: &Value) -> Vec<Cause> {
    let mut report = Report::default();
    if schema.has_embedded_resources() {
        validate_value(schema.root(), object, &Path::Root(""), &mut report);
    }
    report.into_causes()
}

fn validate_value(node: Node<'_>, value: &Value, path: &Path<'_>, report: &mut Report) {
    match value {
        Value::Object(members) => {
            if node.is_embedded_resource() {
                embedded(value, path, report);
            }
            for (name, value) in members {
                if let Some((below, path)) = child(node, name, path) {
                    validate_value(below, value, &path, report);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = node.items() else { return };
            for (index, item) in list.iter().enumerate() {
                validate_value(items, item, &path.index(index), report);
            }
        }
        _ => {}
    }
}

fn embedded(object: &Value, path: &Path<'_>, report: &mut Report) {
    for name in ["apiVersion", "kind"] {
        let field = path.field(name);
        let Some(given) = object.get(name) else {
            report.required(field, "");
            continue;
        };
        let text = given.as_str().unwrap_or_default();
        if text.is_empty() {
            report.invalid_text(field, text, "must not be empty");
        } else if name == "apiVersion" && text.matches('/').count() > 1 {
            report.invalid_text(field, text, &format!("unexpected GroupVersion string: {text}"));
        } else if name == "kind" {
            let wrong = names::check_label_1035(&text.to_lowercase());
            if !wrong.is_empty() {
                let wrong = wrong.join(",");
                let why = format!("may have mixed case, but should otherwise match: {wrong}");
                report.invalid_text(field, text, &why);
            }
        }
    }
    if object.get("metadata").is_some_and(|metadata| !metadata.is_null()) {
        let mut causes = Vec::new();
        embedded_metadata(object, &mut causes);
        report.extend(causes.into_iter().map(|mut cause| {
            cause.field = format!("{path}.{}", cause.field);
            cause
        }));
    }
}

fn embedded_metadata(object: &Value, causes: &mut Vec<Cause>) {
    let text = |field| metadata::text(object, field);
    for why in names::check_path_segment(text("name")) {
        causes.push(Cause::invalid("metadata.name", &text("name").into(), &why));
    }
    let namespace = text("namespace");
    if !namespace.is_empty() {
        for why in names::check_label(namespace) {
            causes.push(Cause::invalid("metadata.namespace", &namespace.into(), &why));
        }
    }
    metadata::check_whole(object, causes);
}

/// What is wrong with what an object's Scale shows.
pub(super) fn validate_scale(paths: &ScalePaths, object: &Value, target: Target) -> Vec<Cause> {
    let mut report = Report::default();
    if target != Target::Status {
        replicas(&paths.spec_replicas, object, &mut report);
    }
    replicas(&paths.status_replicas, object, &mut report);
    if let Some(path) = &paths.label_selector
        && let Some(why) = misfit(path, object, "string")
    {
        report.invalid_text(format!(".{path}"), "", &why);
    }
    report.into_causes()
}

fn replicas(path: &str, object: &Value, report: &mut Report) {
    let field = format!(".{path}");
    if let Some(why) = misfit(path, object, "int64") {
        return report.invalid_number(field, 0, &why);
    }
    let number = path.split('.').fold(object, |value, name| &value[name]).as_i64().unwrap_or(0);
    if number < 0 {
        report.invalid_number(field, number, "should be a non-negative integer");
    } else if number > i64::from(i32::MAX) {
        let why = format!("should be less than or equal to {}", i32::MAX);
        report.invalid_number(field, number, &why);
    }
}

/// Why a path does not lead to a value of a type; where it leads nowhere, nothing is wrong.
fn misfit(path: &str, object: &Value, wanted: &str) -> Option<String> {
    let mut value = object;
    for name in path.split('.') {
        let Value::Object(members) = value else {
            return Some(accessor_error(path, value, "map[string]interface{}"));
        };
        value = members.get(name)?;
    }
    match (value, wanted) {
        (Value::String(_), "string") => None,
        (Value::Number(number), "int64") if number.is_i64() => None,
        _ => Some(accessor_error(path, value, wanted)),
    }
}

fn accessor_error(path: &str, value: &Value, wanted: &str) -> String {
    let (shown, given) = match value {
        Value::Null => ("<nil>".to_owned(), "<nil>"),
        Value::Bool(value) => (value.to_string(), "bool"),
        Value::Number(number) if number.is_i64() => (number.to_string(), "int64"),
        Value::Number(number) => (number.to_string(), "float64"),
        Value::String(text) => (text.clone(), "string"),
        Value::Array(_) => (value.to_string(), "[]interface {}"),
        Value::Object(_) => (value.to_string(), "map[string]interface {}"),
    };
    format!(".{path} accessor error: {shown} is of the type {given}, expected {wanted}")
}

/// What is odd about the finalizers that a write adds.
pub(super) fn finalizer_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(metadata::finalizers).unwrap_or_default();
    let mut added = metadata::finalizers(new);
    added.retain(|name| !before.contains(name));
    added.sort_unstable();
    added.dedup();
    let mut warnings = Vec::new();
    for name in added {
        let mut warn = |why: &str| {
            warnings.push(format!("metadata.finalizers: {}: {why}", quote(name)));
        };
        for why in names::check_label_key(name) {
            warn(&why);
        }
        if name.contains('/') || metadata::is_standard_finalizer(name) {
            continue;
        }
        warn(match name.contains('.') {
            true => {
                "prefer a domain-qualified finalizer name including a path (/) to avoid \
                 accidental conflicts with other finalizer writers"
            }
            false => {
                "prefer a domain-qualified finalizer name to avoid accidental conflicts with other \
                 finalizer writers"
            }
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let embedded = json!({"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true});
        Schema::from_openapi(&json!({"type": "object", "properties": {
            "one": embedded.clone(),
            "all": {"type": "array", "items": embedded.clone()},
            "by": {"type": "object", "additionalProperties": embedded},
        }}))
        .expect("a schema")
    }

    #[test]
    fn embedded_objects_are_objects() {
        let check = |object: Value, expected: &[&str]| {
            let causes = validate_embedded(&schema(), &object);
            let found: Vec<String> = causes.iter().map(ToString::to_string).collect();
            assert_eq!(found.len(), expected.len(), "{object}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{object}: {found}");
            }
        };
        let good = json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "A_"}});
        check(json!({"one": good, "all": [good], "by": {"x": good}}), &[]);
        check(
            json!({"one": {}, "all": [{"apiVersion": "a/b/c", "kind": "a_b"}]}),
            &[
                "all[0].apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string",
                "all[0].kind: Invalid value: \"a_b\": may have mixed case, but should otherwise",
                "one.apiVersion: Required value",
                "one.kind: Required value",
            ],
        );
        check(
            json!({"by": {"x": {"apiVersion": "v1", "kind": "", "metadata":
                {"name": "a/b", "labels": {"a b": ""}}}}}),
            &[
                "by[x].kind: Invalid value: \"\": must not be empty",
                "by[x].metadata.name: Invalid value: \"a/b\": may not contain '/'",
                "by[x].metadata.labels: Invalid value: \"a b\": name part",
            ],
        );
    }

    #[test]
    fn embedded_objects_are_decoded() {
        let check = |one: Value, expected: &str| {
            let mut object = json!({ "one": one });
            assert_eq!(coerce(&schema(), &mut object).unwrap_err(), expected);
        };
        check(json!({"kind": 1}), "one.kind: Invalid value: 1: must be a string");
        check(
            json!({"metadata": "x"}),
            "one.metadata: Invalid value: \"x\": json: cannot unmarshal string into Go value of \
             type v1.ObjectMeta",
        );
        check(
            json!({"metadata": {"name": 1}}),
            "one.metadata: Invalid value: {\"name\":1}: json: cannot unmarshal number into Go \
             struct field ObjectMeta.name of type string",
        );
        let mut object = json!({"one": {"metadata": {"creationTimestamp": null, "name": "a"}}});
        coerce(&schema(), &mut object).expect("it fits");
        assert_eq!(object, json!({"one": {"metadata": {"name": "a"}}}));
    }

    #[test]
    fn what_a_scale_shows_is_a_number() {
        let paths = ScalePaths {
            spec_replicas: "spec.n".into(),
            status_replicas: "status.n".into(),
            label_selector: Some("status.s".into()),
        };
        let check = |object: Value, target, expected: &[&str]| {
            let causes = validate_scale(&paths, &object, target);
            let found: Vec<String> = causes.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{object}");
        };
        let wrong = json!({"spec": {"n": -1}, "status": {"n": 2147483648_i64, "s": 1}});
        let status = [
            ".status.n: Invalid value: 2147483648: should be less than or equal to 2147483647",
            ".status.s: Invalid value: \"\": .status.s accessor error: 1 is of the type int64, \
             expected string",
        ];
        let spec = ".spec.n: Invalid value: -1: should be a non-negative integer";
        check(wrong.clone(), Target::Main, &[spec, status[0], status[1]]);
        check(wrong, Target::Status, &status);
        check(json!({}), Target::Main, &[]);
        check(
            json!({"spec": {"n": "x"}}),
            Target::Main,
            &[".spec.n: Invalid value: 0: .spec.n accessor error: x is of the type string, \
               expected int64"],
        );
    }

    #[test]
    fn odd_finalizers_are_mentioned_once() {
        let with = |names: &[&str]| json!({"metadata": {"finalizers": names}});
        let new = with(&["x", "a.b/c", "orphan", "a.b"]);
        let warnings = finalizer_warnings(&new, None);
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].starts_with("metadata.finalizers: \"a.b\": prefer a domain-qualified"));
        assert!(warnings[0].contains("including a path (/)"));
        assert!(!warnings[1].contains("including a path (/)"));
        assert!(finalizer_warnings(&new, Some(&with(&["a.b", "x"]))).is_empty());
    }
}
