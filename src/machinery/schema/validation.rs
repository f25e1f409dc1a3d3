//! Validation of custom resources, with kube-apiserver's wording.
//!
//! (Kubernetes: apiextensions-apiserver/pkg/apiserver/validation and kube-openapi's validators)

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use super::arena::{Arena, Facts, Index, NodeData};
use super::formats::Format;
use super::path::Path;
use super::ratcheting::{correlated, is_unchanged};
use super::{ListType, Node, NodeType};
use crate::machinery::status::Cause;

pub(super) fn validate(arena: &Arena, root: Index, object: &Value) -> Vec<Cause> {
    let mut walk = Walk { arena, causes: Vec::new(), old: None };
    walk.value(arena.node(root), object, &Path::Root);
    walk.causes
}

/// As `validate`, without the errors of values that are what they were in `old`. Errors of lists
/// that are sets or maps are not reported if the old object has such errors, too.
pub(super) fn validate_update(arena: &Arena, root: Index, new: &Value, old: &Value) -> Vec<Cause> {
    let mut walk = Walk { arena, causes: Vec::new(), old: Some(Old { root, value: old }) };
    walk.value(arena.node(root), new, &Path::Root);
    let is_duplicate = |cause: &Cause| cause.reason == "FieldValueDuplicate";
    if walk.causes.iter().any(is_duplicate) && validate(arena, root, old).iter().any(is_duplicate) {
        walk.causes.retain(|cause| !is_duplicate(cause));
    }
    walk.causes
}

struct Walk<'a> {
    arena: &'a Arena,
    causes: Vec<Cause>,
    /// The value that is being looked at as it was, if that is known.
    old: Option<Old<'a>>,
}

/// A value as it was.
#[derive(Clone, Copy)]
struct Old<'a> {
    /// Its node.
    root: Index,
    value: &'a Value,
}

impl<'a> Walk<'a> {
    /// A value below the one that is being looked at; `name` or `index` says where.
    fn below(&mut self, child: Index, value: &Value, step: Step<'_>, path: &Path<'_>) {
        let node = self.arena.node(child);
        let Some(old) = self.old.take() else { return self.value(node, value, path) };
        let type_meta = |name: &str| matches!(name, "apiVersion" | "kind");
        let before = match step {
            // What an object is cannot be seen to change.
            Step::Name(name) if matches!(path, Path::Field(Path::Root, _)) && type_meta(name) => {
                None
            }
            Step::Name(name) => old.value.get(name),
            Step::Item(index) => old.item(self.arena, value, index),
        };
        // Most writes leave most of an object alone: what is found there would be dropped below.
        let is_metadata = matches!(path, Path::Field(Path::Root, "metadata"));
        if !node.unknown_below && !is_metadata && before == Some(value) {
            self.old = Some(old);
            return;
        }
        self.old = before.map(|value| Old { root: child, value });
        let known = self.causes.len();
        self.value(node, value, path);
        if self.causes.len() > known
            && let Some(before) = before
            && is_unchanged(Node { arena: self.arena, index: child }, value, before)
        {
            self.causes.truncate(known);
        }
        self.old = Some(old);
    }

    fn value(&mut self, node: &NodeData, value: &Value, path: &Path<'_>) {
        let facts = node.facts.as_deref();
        if value.is_null() && node.nullable {
            return;
        }
        if !has_type(node.kind, value) {
            self.wrong_type(node, value, path);
            if let Some(facts) = facts {
                self.enumeration(facts, value, path);
            }
            return;
        }
        if let Some(facts) = facts {
            self.scalar_facts(node.kind, facts, value, path);
        }
        match value {
            Value::Object(map) => self.object(node, map, path),
            Value::Array(list) => self.array(node, list, path),
            _ => {}
        }
        if let Some(facts) = facts {
            self.branches(facts, value, path);
        }
    }

    fn wrong_type(&mut self, node: &NodeData, value: &Value, path: &Path<'_>) {
        let found = type_name(value);
        if node.kind == NodeType::Integer && found == "number" {
            let kind = integer_format(node.facts.as_deref());
            self.unlocated(format!("Checked value must be of type integer {kind} in {path}"));
        }
        let wanted = match node.kind {
            NodeType::Any => return,
            NodeType::Object => "object",
            NodeType::Array => "array",
            NodeType::String => "string",
            NodeType::Integer => "integer",
            NodeType::Number => "number",
            NodeType::Boolean => "boolean",
            NodeType::IntOrString => "integer,string",
        };
        self.push(
            "FieldValueTypeInvalid",
            format!(
                "Invalid value: \"{found}\": {path} in body must be of type {wanted}: \"{found}\""
            ),
            path,
        );
    }

    fn scalar_facts(&mut self, kind: NodeType, facts: &Facts, value: &Value, path: &Path<'_>) {
        self.enumeration(facts, value, path);
        match value {
            Value::String(text) => self.string(facts, text, path),
            Value::Number(number) => {
                self.number_limits(facts, number, path);
                let int32 = facts.checked_format == Some(Format::Int32);
                let fits = number.as_i64().is_some_and(|number| i32::try_from(number).is_ok());
                if kind == NodeType::Integer && int32 && !fits {
                    let kind = integer_format(Some(facts));
                    self.unlocated(format!(
                        "Checked value must be of type integer {kind} in {path}"
                    ));
                }
            }
            _ => {}
        }
    }

    fn enumeration(&mut self, facts: &Facts, value: &Value, path: &Path<'_>) {
        if facts.enumeration.is_empty() || facts.enumeration.contains(value) {
            return;
        }
        let supported: Vec<String> = facts.enumeration.iter().map(quoted).collect();
        let supported = supported.join(", ");
        self.push(
            "FieldValueNotSupported",
            format!("Unsupported value: {value}: supported values: {supported}"),
            path,
        );
    }

    fn string(&mut self, facts: &Facts, text: &str, path: &Path<'_>) {
        let limited = facts.min_length.is_some() || facts.max_length.is_some();
        let length = if limited { text.chars().count() as u64 } else { 0 };
        if let Some(limit) = facts.max_length.filter(|limit| length > *limit) {
            let message = format!("Too long: may not be more than {limit} bytes");
            self.push("FieldValueTooLong", message, path);
        }
        if let Some(limit) = facts.min_length.filter(|limit| length < *limit) {
            self.invalid(&quote(text), path, format_args!("should be at least {limit} chars long"));
        }
        if let Some(pattern) = facts.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            self.invalid(&quote(text), path, format_args!("should match '{}'", pattern.source()));
        }
        if let Some(format) = facts.checked_format.filter(|format| !format.accepts(text)) {
            debug_assert!(!matches!(format, Format::Int32 | Format::Int64), "accepts any string");
            let name = facts.format.as_deref().unwrap_or_default();
            let text = quote(text);
            let message =
                format!("Invalid value: {text}: {path} in body must be of type {name}: {text}");
            self.push("FieldValueTypeInvalid", message, path);
        }
    }

    fn number_limits(&mut self, facts: &Facts, number: &Number, path: &Path<'_>) {
        let value = number.as_f64().unwrap_or_default();
        let limit_of = |limit: &Number| limit.as_f64().unwrap_or_default();
        if let Some(limit) = &facts.minimum {
            let strict = facts.exclusive_minimum;
            if value < limit_of(limit) || (strict && value <= limit_of(limit)) {
                let than = if strict { "greater than" } else { "greater than or equal to" };
                self.invalid(&number.to_string(), path, format_args!("should be {than} {limit}"));
            }
        }
        if let Some(limit) = &facts.maximum {
            let strict = facts.exclusive_maximum;
            if value > limit_of(limit) || (strict && value >= limit_of(limit)) {
                let than = if strict { "less than" } else { "less than or equal to" };
                self.invalid(&number.to_string(), path, format_args!("should be {than} {limit}"));
            }
        }
        if let Some(factor) = &facts.multiple_of {
            let quotient = value / limit_of(factor);
            if quotient != quotient.trunc() {
                let rule = format_args!("should be a multiple of {factor}");
                self.invalid(&number.to_string(), path, rule);
            }
        }
    }

    fn object(&mut self, node: &NodeData, map: &Map<String, Value>, path: &Path<'_>) {
        if let Some(facts) = node.facts.as_deref() {
            let limits = (facts.min_properties, facts.max_properties);
            self.count(map.len(), limits, "properties", path);
        }
        for (name, value) in map {
            match node.property(name) {
                Some(child) => self.below(child, value, Step::Name(name), &path.field(name)),
                None => {
                    if let Some(child) = node.additional {
                        self.below(child, value, Step::Name(name), &path.key(name));
                    }
                }
            }
        }
        for name in node.required.iter().filter(|name| !map.contains_key(&***name)) {
            self.push("FieldValueRequired", "Required value".into(), &path.field(name));
        }
    }

    fn array(&mut self, node: &NodeData, list: &[Value], path: &Path<'_>) {
        let facts = node.facts.as_deref();
        if let Some(facts) = facts {
            self.count(list.len(), (facts.min_items, facts.max_items), "items", path);
            if facts.unique_items && !duplicates(list, Value::to_string).is_empty() {
                let message = format!("Invalid value: {path} in body shouldn't contain duplicates");
                self.push("FieldValueInvalid", message, path);
            }
        }
        if let Some(items) = node.items {
            for (index, item) in list.iter().enumerate() {
                self.below(items, item, Step::Item(index), &path.item(index));
            }
        }
        match node.list_type {
            Some(ListType::Set) => self.duplicates(list, Value::to_string, path),
            Some(ListType::Map) => {
                let keys: &[Box<str>] = facts.map_or(&[], |facts| &facts.list_map_keys);
                self.duplicates(list, |item| map_keys(item, keys), path);
            }
            Some(ListType::Atomic) | None => {}
        }
    }

    fn duplicates(&mut self, list: &[Value], key: impl Fn(&Value) -> String, path: &Path<'_>) {
        for (index, key) in duplicates(list, key) {
            let message = format!("Duplicate value: {key}");
            self.push("FieldValueDuplicate", message, &path.item(index));
        }
    }

    fn count(
        &mut self,
        count: usize,
        (minimum, maximum): (Option<u64>, Option<u64>),
        noun: &str,
        path: &Path<'_>,
    ) {
        let count = count as u64;
        if let Some(limit) = maximum.filter(|limit| count > *limit) {
            let message = format!("Too many: {count}: must have at most {limit} items");
            self.push("FieldValueTooMany", message, path);
        }
        if let Some(limit) = minimum.filter(|limit| count < *limit) {
            let rule = format_args!("should have at least {limit} {noun}");
            self.invalid(&count.to_string(), path, rule);
        }
    }

    fn branches(&mut self, facts: &Facts, value: &Value, path: &Path<'_>) {
        if !facts.all_of.is_empty() {
            self.all_of(&facts.all_of, value, path);
        }
        if !facts.any_of.is_empty() {
            let (valid, best) = self.count_valid(&facts.any_of, value, path);
            if valid == 0 {
                self.unlocated(format!("\"{path}\" must validate at least one schema (anyOf)"));
                self.causes.extend(best);
            }
        }
        if !facts.one_of.is_empty() {
            let (valid, best) = self.count_valid(&facts.one_of, value, path);
            let found = match valid {
                1 => return self.not(facts, value, path),
                0 => "Found none valid".to_owned(),
                many => format!("Found {many} valid alternatives"),
            };
            let rule = "must validate one and only one schema (oneOf)";
            self.unlocated(format!("\"{path}\" {rule}. {found}"));
            if valid == 0 {
                self.causes.extend(best);
            }
        }
        self.not(facts, value, path);
    }

    fn not(&mut self, facts: &Facts, value: &Value, path: &Path<'_>) {
        let Some(branch) = facts.not else { return };
        if self.try_branch(branch, value, path).is_empty() {
            self.unlocated(format!("\"{path}\" must not validate the schema (not)"));
        }
    }

    fn all_of(&mut self, branches: &[Index], value: &Value, path: &Path<'_>) {
        let failures: Vec<Vec<Cause>> = branches
            .iter()
            .map(|branch| self.try_branch(*branch, value, path))
            .filter(|causes| !causes.is_empty())
            .collect();
        if failures.is_empty() {
            return;
        }
        let none = if failures.len() == branches.len() { ". None validated" } else { "" };
        self.unlocated(format!("\"{path}\" must validate all the schemas (allOf){none}"));
        self.causes.extend(failures.into_iter().flatten());
    }

    /// How many branches accept the value, and the causes of the one that came closest.
    fn count_valid(
        &self,
        branches: &[Index],
        value: &Value,
        path: &Path<'_>,
    ) -> (usize, Vec<Cause>) {
        let tried = branches.iter().map(|branch| self.try_branch(*branch, value, path));
        let (mut valid, mut best) = (0, Vec::new());
        for causes in tried {
            if causes.is_empty() {
                valid += 1;
            } else if best.is_empty() || causes.len() < best.len() {
                best = causes;
            }
        }
        (valid, best)
    }

    fn try_branch(&self, branch: Index, value: &Value, path: &Path<'_>) -> Vec<Cause> {
        let mut walk = Walk { arena: self.arena, causes: Vec::new(), old: None };
        walk.value(self.arena.node(branch), value, path);
        walk.causes
    }

    fn invalid(&mut self, value: &str, path: &Path<'_>, rule: std::fmt::Arguments<'_>) {
        let message = format!("Invalid value: {value}: {path} in body {rule}");
        self.push("FieldValueInvalid", message, path);
    }

    /// An error that kube-apiserver reports without a field.
    fn unlocated(&mut self, message: String) {
        self.causes.push(Cause {
            reason: "FieldValueInvalid".into(),
            message: format!("Invalid value: \"\": {message}"),
            field: "<nil>".into(),
        });
    }

    fn push(&mut self, reason: &str, message: String, path: &Path<'_>) {
        self.causes.push(Cause { reason: reason.into(), message, field: path.to_string() });
    }
}

/// From a value to one below it.
enum Step<'a> {
    Name(&'a str),
    Item(usize),
}

impl<'a> Old<'a> {
    /// The item that corresponds to one of the new list.
    fn item(&self, arena: &'a Arena, item: &Value, index: usize) -> Option<&'a Value> {
        let node = Node { arena, index: self.root };
        let list = self.value.as_array().filter(|_| node.list_type() == ListType::Map)?;
        correlated(node, list, item, index)
    }
}

fn has_type(kind: NodeType, value: &Value) -> bool {
    match kind {
        NodeType::Any => true,
        NodeType::Object => value.is_object(),
        NodeType::Array => value.is_array(),
        NodeType::String => value.is_string(),
        NodeType::Integer => is_integer(value),
        NodeType::Number => value.is_number(),
        NodeType::Boolean => value.is_boolean(),
        NodeType::IntOrString => value.is_string() || is_integer(value),
    }
}

fn is_integer(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// The JSON schema name of a value's type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn integer_format(facts: Option<&Facts>) -> String {
    match facts.and_then(|facts| facts.format.as_deref()) {
        Some(format) => format!("with format {format}"),
        None => "(default format)".to_owned(),
    }
}

fn quote(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn quoted(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("\"{value}\""), quote)
}

/// Items whose key an earlier item has, with the key.
fn duplicates(list: &[Value], key: impl Fn(&Value) -> String) -> Vec<(usize, String)> {
    if list.len() < 2 {
        return Vec::new();
    }
    let mut seen = HashSet::with_capacity(list.len());
    let keys = list.iter().map(key).enumerate();
    keys.filter(|(_, key)| !seen.insert(key.clone())).collect()
}

/// The keys of a map list's item as JSON, in the order of names.
fn map_keys(item: &Value, keys: &[Box<str>]) -> String {
    let mut names: Vec<&str> = keys.iter().map(|key| &**key).collect();
    names.sort_unstable();
    let fields = names.into_iter().filter_map(|name| Some((name, item.get(name)?)));
    let fields: Vec<String> = fields.map(|(name, v)| format!("{}:{v}", quote(name))).collect();
    format!("{{{}}}", fields.join(","))
}
