//! Schemas of variables as schemas of custom resources.
//! (CAPI v1.14: internal/topology/variables/schema.go)

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::machinery::schema::{self, Schema};
use crate::machinery::status::{Cause, quote};

/// Name of the property that holds a variable where an object is needed around it.
pub(super) const WRAPPER: &str = "variableValue";

/// Keywords that hold schemas by name or number.
const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// The schema as a CustomResourceDefinition would have it: without `x-metadata`, and without what
/// means nothing.
pub(super) fn converted(schema: &Value) -> Value {
    let Some(map) = schema.as_object() else { return schema.clone() };
    let mut made = Map::new();
    for (keyword, value) in map {
        let converted = match keyword.as_str() {
            "x-metadata" | "description" => continue,
            "x-kubernetes-preserve-unknown-fields" if *value == Value::Bool(false) => continue,
            "properties" => {
                let Some(properties) = value.as_object() else { continue };
                let properties =
                    properties.iter().map(|(name, one)| (name.clone(), converted(one)));
                Value::Object(properties.collect())
            }
            "items" | "additionalProperties" | "not" => converted(value),
            list if LISTS.contains(&list) => {
                Value::Array(value.as_array().into_iter().flatten().map(converted).collect())
            }
            _ => value.clone(),
        };
        made.insert(keyword.clone(), converted);
    }
    Value::Object(made)
}

/// A variable's schema, alone and within an object.
pub(super) struct Compiled {
    /// For values as they are.
    pub(super) bare: Schema,
    /// For [`wrapped`] values.
    pub(super) wrapped: Schema,
}

/// Schemas that are kept; when there are more, all are compiled anew.
const COMPILED_MAX: usize = 1_000;

/// Compiled schemas by what they were compiled of, so that the Clusters of a class share them and
/// the programs of their rules. Read and written by every check of a value, locked for a look.
static COMPILED: LazyLock<Mutex<HashMap<Value, Arc<Compiled>>>> = LazyLock::new(Mutex::default);

/// Compiles a schema, once for all values; it was checked when the class was written.
pub(super) fn compile(schema: &Value) -> Arc<Compiled> {
    if let Some(known) = COMPILED.lock().get(schema) {
        return known.clone();
    }
    let document = converted(schema);
    let compiled = Arc::new(Compiled {
        bare: schema::compile(&document),
        wrapped: schema::compile(&wrap_schema(document)),
    });
    let mut all = COMPILED.lock();
    if all.len() >= COMPILED_MAX {
        all.clear();
    }
    all.insert(schema.clone(), compiled.clone());
    compiled
}

/// The schema of an object with the variable in it.
pub(super) fn wrap_schema(document: Value) -> Value {
    json!({"type": "object", "properties": {WRAPPER: document}})
}

/// An object with the value in it.
pub(super) fn wrap(value: &Value) -> Value {
    json!({WRAPPER: value})
}

/// A value as it is written, empty for null.
pub(super) fn raw(value: &Value) -> String {
    if value.is_null() { String::new() } else { value.to_string() }
}

/// Puts what upstream shows in place of the value that a cause complains of.
pub(super) fn showing(mut cause: Cause, shown: &str) -> Cause {
    for start in ["Invalid value: ", "Unsupported value: ", "Duplicate value: ", "Too many: "] {
        let Some(rest) = cause.message.strip_prefix(start) else { continue };
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let known = values.next().is_some_and(|value| value.is_ok());
        let end = if known { values.byte_offset() } else { rest.find(": ").unwrap_or(rest.len()) };
        let detail = &rest[end..];
        // Names in details are relative to the value; its own name is nothing.
        let detail = match detail.strip_prefix(":  in body ") {
            Some(detail) => format!(": {detail}"),
            None => detail.to_owned(),
        };
        cause.message = format!("{start}{}{detail}", quote(shown));
        break;
    }
    cause
}

/// The path of something within a value.
pub(super) fn below(path: &str, inner: &str) -> String {
    match inner {
        "" | "<nil>" => path.to_owned(),
        inner if inner.starts_with('[') => format!("{path}{inner}"),
        inner => format!("{path}.{inner}"),
    }
}
