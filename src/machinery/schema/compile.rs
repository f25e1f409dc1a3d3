//! From a CRD's OpenAPI v3 JSON to a schema.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::arena::{Arena, Builder, Index};
use super::document::{self, Document};
use super::{Draft, Schema, fingerprint, openapi_rules, pruning, structural};
use crate::machinery::status::Cause;

/// Compiles a schema; what it says beyond structure is kept or ignored.
pub(crate) fn compile(document: &Value) -> Schema {
    let (arena, root, _) = build(document, "");
    Schema::new(arena, root).with_fingerprint(fingerprint::of(document))
}

/// What is wrong with a CRD's schema, with paths below `prefix`, in kube-apiserver's order.
pub(crate) fn check(document: &Document, prefix: &str) -> Vec<Cause> {
    let structural = structural::check(document, prefix);
    let mut causes = match &structural {
        Ok(found) if found.is_empty() => wrong_defaults(document, prefix),
        Ok(found) => found.clone(),
        Err(_) => Vec::new(),
    };
    causes.extend(openapi_rules::check(document, prefix));
    if let Err(why) = structural
        && causes.is_empty()
    {
        let message = format!("Invalid value: \"\": {why}");
        causes.push(document::cause("FieldValueInvalid", message, prefix));
    }
    causes
}

/// All defaults of a schema: their places below `prefix`, the schemas that they are defaults of.
pub(crate) fn defaults(document: &Value, prefix: &str) -> Vec<(String, Schema, Value)> {
    let (arena, _, defaults) = build(document, prefix);
    let with_schema = |(path, index, value)| (path, Schema::new(arena.clone(), index), value);
    defaults.into_iter().map(with_schema).collect()
}

/// Defaults must fit their schema. Those below metadata are refused elsewhere.
fn wrong_defaults(document: &Document, prefix: &str) -> Vec<Cause> {
    let (arena, _, defaults) = build(&Value::Object(document.clone()), prefix);
    let mut causes = Vec::new();
    for (path, index, value) in defaults {
        let mut pruned = value.clone();
        pruning::prune_value(&arena, index, &mut pruned);
        if pruned != value {
            let message = format!("Invalid value: {value}: must not have unknown fields");
            causes.push(document::cause("FieldValueInvalid", message, &path));
        }
        let schema = Schema::new(arena.clone(), index);
        let found = super::validate(&schema, &value);
        causes.extend(found.into_iter().map(|cause| below(&path, cause)));
    }
    causes
}

/// Defaults with their places and nodes.
type Defaults = Vec<(String, Index, Value)>;

fn build(document: &Value, prefix: &str) -> (Arc<Arena>, Index, Defaults) {
    let mut compiler = Compiler { builder: Builder::default(), defaults: Vec::new() };
    let root = compiler.node(document, prefix);
    (Arc::new(compiler.builder.finish()), root, compiler.defaults)
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
    /// Checked when all nodes are known.
    defaults: Defaults,
}

const BRANCHES: [&str; 3] = ["allOf", "anyOf", "oneOf"];

impl Compiler {
    fn node(&mut self, document: &Value, path: &str) -> Index {
        let mut draft = Draft::default();
        let Value::Object(document) = document else { return self.builder.intern(draft) };
        self.set_type(document, &mut draft);
        for (keyword, value) in document {
            match keyword.as_str() {
                "type" | "x-kubernetes-int-or-string" => {}
                "properties" => self.properties(value, path, &mut draft),
                "items" if value.is_object() => {
                    let child = self.node(value, &format!("{path}.items"));
                    draft.items(child);
                }
                "additionalProperties" if value.is_object() => {
                    let child = self.node(value, &format!("{path}.additionalProperties"));
                    draft.additional(child);
                }
                "not" => {
                    let child = self.node(value, &format!("{path}.not"));
                    draft.not(child);
                }
                "allOf" | "anyOf" | "oneOf" => self.branches(keyword, value, path, &mut draft),
                _ if value.is_null() => {}
                _ => {
                    // What is not understood has been reported, or means nothing.
                    draft.set(keyword, value);
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

    fn properties(&mut self, value: &Value, path: &str, draft: &mut Draft) {
        let Value::Object(properties) = value else { return };
        for (name, property) in properties {
            let path = format!("{path}.properties[{name}]");
            let child = self.node(property, &path);
            draft.property(name, child);
        }
    }

    fn branches(&mut self, keyword: &str, value: &Value, path: &str, draft: &mut Draft) {
        debug_assert!(BRANCHES.contains(&keyword), "only branches come here");
        for (number, branch) in value.as_array().into_iter().flatten().enumerate() {
            let child = self.node(branch, &format!("{path}.{keyword}[{number}]"));
            draft.branch(keyword, child);
        }
    }
}

fn is_int_or_string(document: &Map<String, Value>) -> bool {
    document.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
}
