//! From a CRD's OpenAPI v3 JSON to a schema.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::arena::{Builder, Index};
use super::structural::{self, Place};
use super::{Draft, Schema, fingerprint};
use crate::machinery::status::Cause;

/// Compiles a structural schema; causes have paths below `prefix`.
pub(crate) fn compile(document: &Value, prefix: &str) -> Result<Schema, Vec<Cause>> {
    let mut compiler =
        Compiler { builder: Builder::default(), causes: Vec::new(), defaults: Vec::new() };
    let root = compiler.node(document, prefix, Place::Root);
    let Compiler { builder, mut causes, defaults } = compiler;
    let arena = Arc::new(builder.finish());
    if causes.is_empty() {
        for (path, index, value) in defaults {
            let schema = Schema::new(arena.clone(), index);
            let found = super::validate(&schema, &value);
            causes.extend(found.into_iter().map(|cause| below(&path, cause)));
        }
    }
    if !causes.is_empty() {
        return Err(causes);
    }
    Ok(Schema::new(arena, root).with_fingerprint(fingerprint::of(document)))
}

fn below(path: &str, mut cause: Cause) -> Cause {
    cause.field = match cause.field.as_str() {
        "" => path.to_owned(),
        "<nil>" => cause.field,
        inner => format!("{path}.{inner}"),
    };
    cause
}

struct Compiler {
    builder: Builder,
    causes: Vec<Cause>,
    /// Defaults with their place and node, checked when all nodes are known.
    defaults: Vec<(String, Index, Value)>,
}

const BRANCHES: [&str; 3] = ["allOf", "anyOf", "oneOf"];

impl Compiler {
    fn node(&mut self, document: &Value, path: &str, place: Place) -> Index {
        let mut draft = Draft::default();
        let Value::Object(document) = document else {
            let message = "Invalid value: must be a schema object".into();
            self.causes.push(structural::cause("FieldValueInvalid", message, path));
            return self.builder.intern(draft);
        };
        structural::check(document, path, place, &mut self.causes);
        self.set_type(document, &mut draft);
        for (keyword, value) in document {
            match keyword.as_str() {
                "type" | "x-kubernetes-int-or-string" => {}
                "properties" => self.properties(value, path, place, &mut draft),
                "items" if value.is_object() => {
                    let child = self.node(value, &format!("{path}.items"), place.items());
                    draft.items(child);
                }
                "additionalProperties" if value.is_object() => {
                    let path = format!("{path}.additionalProperties");
                    let child = self.node(value, &path, place.property());
                    draft.additional(child);
                }
                "not" => {
                    let child = self.node(value, &format!("{path}.not"), Place::Branch);
                    draft.not(child);
                }
                "allOf" | "anyOf" | "oneOf" => {
                    self.branches(keyword, value, document, path, &mut draft);
                }
                _ if structural::is_refused(keyword) || value.is_null() => {}
                _ => {
                    if !draft.set(keyword, value) {
                        structural::check_unset(keyword, value, path, &mut self.causes);
                    }
                }
            }
        }
        let index = self.builder.intern(draft);
        if let Some(default) = document.get("default").filter(|default| !default.is_null()) {
            self.defaults.push((format!("{path}.default"), index, default.clone()));
        }
        index
    }

    fn set_type(&mut self, document: &Map<String, Value>, draft: &mut Draft) {
        if is_int_or_string(document) {
            draft.set_type("int-or-string");
        } else if let Some(name) = document.get("type").and_then(Value::as_str) {
            // An unknown name has been reported by the structural check.
            draft.set_type(name);
        }
    }

    fn properties(&mut self, value: &Value, path: &str, place: Place, draft: &mut Draft) {
        let Value::Object(properties) = value else { return };
        for (name, property) in properties {
            let path = format!("{path}.properties[{name}]");
            let child = self.node(property, &path, place.property());
            draft.property(name, child);
        }
    }

    fn branches(
        &mut self,
        keyword: &str,
        value: &Value,
        parent: &Map<String, Value>,
        path: &str,
        draft: &mut Draft,
    ) {
        debug_assert!(BRANCHES.contains(&keyword), "only branches come here");
        let place = if is_int_or_string(parent) { Place::IntOrStringBranch } else { Place::Branch };
        for (number, branch) in value.as_array().into_iter().flatten().enumerate() {
            let child = self.node(branch, &format!("{path}.{keyword}[{number}]"), place);
            draft.branch(keyword, child);
        }
    }
}

fn is_int_or_string(document: &Map<String, Value>) -> bool {
    document.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
}
