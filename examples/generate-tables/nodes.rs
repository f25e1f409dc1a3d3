//! OpenAPI schema nodes as lines of a table.

use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use capim::machinery::tables::KEYWORDS;
use serde_json::{Map, Value};

/// Subtrees shorter than this many bytes of JSON are repeated rather than shared.
const PART_BYTES_MIN: usize = 90;

/// Writes nodes; equal subtrees that occur more than once become parts.
#[derive(Default)]
pub struct Writer {
    occurrences: HashMap<String, u32>,
    names: HashMap<String, String>,
    /// Part blocks, each after those it refers to.
    pub parts: String,
}

impl Writer {
    /// Counts the subtrees of a schema; must be called for all before the first `block`.
    pub fn count(&mut self, node: &Value) {
        let count = self.occurrences.entry(node.to_string()).or_default();
        *count += 1;
        if *count == 1 {
            children(node).iter().for_each(|child| self.count(child.1));
        }
    }

    /// The lines of a block's root node, which is called `name` in names of parts.
    pub fn block(&mut self, node: &Value, name: &str) -> Result<String> {
        let mut out = String::new();
        self.node(node, "=", name, 1, &mut out)?;
        Ok(out)
    }

    fn node(
        &mut self,
        node: &Value,
        role: &str,
        name: &str,
        depth: usize,
        out: &mut String,
    ) -> Result<()> {
        let indent = " ".repeat(depth);
        let key = node.to_string();
        let shared = self.occurrences.get(&key).is_some_and(|count| *count > 1);
        if role != "=" && shared && key.len() >= PART_BYTES_MIN {
            let part = self.part(node, key, name)?;
            writeln!(out, "{indent}{role} &{part}")?;
            return Ok(());
        }
        self.inline(node, role, name, depth, out)
    }

    fn part(&mut self, node: &Value, key: String, name: &str) -> Result<String> {
        if let Some(known) = self.names.get(&key) {
            return Ok(known.clone());
        }
        let mut lines = String::new();
        self.inline(node, "=", name, 1, &mut lines)?;
        write!(self.parts, "part {name}\n{lines}")?;
        self.names.insert(key, name.to_owned());
        Ok(name.to_owned())
    }

    fn inline(
        &mut self,
        node: &Value,
        role: &str,
        name: &str,
        depth: usize,
        out: &mut String,
    ) -> Result<()> {
        let node_map = node.as_object().with_context(|| format!("{name} is not an object"))?;
        let facts = facts(node_map).with_context(|| name.to_owned())?;
        writeln!(out, "{}{role} {facts}", " ".repeat(depth))?;
        let required: Vec<&str> = required(node_map);
        for (role, child) in children(node) {
            let mark = role.strip_prefix('.').is_some_and(|name| required.contains(&name));
            let step = role.trim_start_matches(['|', '!']);
            let name =
                format!("{name}{}{step}", if step.starts_with(['.', '[', '{']) { "" } else { "." });
            let role = if mark { format!("{role}*") } else { role };
            self.node(child, &role, &name, depth + 1, out)?;
        }
        Ok(())
    }
}

/// Children with their roles in a table.
fn children(node: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    let Some(node) = node.as_object() else { return found };
    if reference(node).is_some() {
        return found;
    }
    for (name, child) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        found.push((format!(".{name}"), child));
    }
    for (keyword, role) in [("additionalProperties", "{}"), ("items", "[]"), ("not", "!")] {
        if let Some(child) = node.get(keyword).filter(|child| child.is_object()) {
            found.push((role.to_owned(), child));
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let list = node.get(keyword).and_then(Value::as_array);
        found.extend(list.into_iter().flatten().map(|child| (format!("|{keyword}"), child)));
    }
    found
}

fn required(node: &Map<String, Value>) -> Vec<&str> {
    let list = node.get("required").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The component that a node refers to, directly or as the only `allOf`.
fn reference(node: &Map<String, Value>) -> Option<&str> {
    let direct = node.get("$ref");
    let wrapped = || match node.get("allOf")?.as_array()?.as_slice() {
        [only] => only.get("$ref"),
        _ => None,
    };
    direct.or_else(wrapped)?.as_str()?.strip_prefix("#/components/schemas/")
}

/// Type and facts of one node.
fn facts(node: &Map<String, Value>) -> Result<String> {
    let mut out = match reference(node) {
        Some(name) => format!("&{name}"),
        None if node.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true))
            || node.get("format").and_then(Value::as_str) == Some("int-or-string") =>
        {
            "int-or-string".to_owned()
        }
        None => node.get("type").and_then(Value::as_str).unwrap_or("any").to_owned(),
    };
    let is_reference = out.starts_with('&');
    for (keyword, value) in node {
        match keyword.as_str() {
            "$ref"
            | "type"
            | "properties"
            | "items"
            | "not"
            | "anyOf"
            | "oneOf"
            | "allOf"
            | "x-kubernetes-int-or-string" => continue,
            "additionalProperties" if value.is_object() => continue,
            "required" if is_reference => continue,
            _ => {}
        }
        let (short, value) = match keyword.as_str() {
            "required" => ("required", unlisted(node)),
            _ => {
                let known = KEYWORDS.iter().find(|(_, long)| long == keyword);
                let Some((short, _)) = known else { bail!("unknown keyword {keyword}") };
                (*short, value.clone())
            }
        };
        match &value {
            Value::Array(list) if list.is_empty() && short == "required" => {}
            Value::Bool(true) => write!(out, " {short}")?,
            Value::String(text) if is_word(text) => write!(out, " {short}={text}")?,
            value => write!(out, " {short}={value}")?,
        }
    }
    Ok(out)
}

/// Required fields that are not properties of the same node.
fn unlisted(node: &Map<String, Value>) -> Value {
    let properties = node.get("properties").and_then(Value::as_object);
    let listed = |name: &&str| properties.is_some_and(|all| all.contains_key(*name));
    let rest: Vec<&str> = required(node).into_iter().filter(|name| !listed(name)).collect();
    rest.into()
}

fn is_word(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/,".contains(&byte));
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    plain && starts && text != "true" && text != "false"
}

/// Checks that a table's schema says the same as its source.
pub fn compare(name: &str, source: &Value, parsed: &Value) -> Result<()> {
    let (source, parsed) = (canonical(source), canonical(parsed));
    if source != parsed {
        bail!("{name} differs after parsing:\n{source}\n{parsed}");
    }
    Ok(())
}

/// The node with sorted keys and sorted `required`, bare references, and without what means
/// nothing.
pub fn canonical(node: &Value) -> Value {
    match node {
        Value::Object(map) if map.len() == 1 && reference(map).is_some() => {
            Value::from(reference(map))
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_unstable_by_key(|(name, _)| *name);
            let entries = entries.into_iter().map(|(name, value)| {
                let mut value = canonical(value);
                if let Some(list) = value.as_array_mut().filter(|_| name == "required") {
                    list.sort_unstable_by_key(Value::to_string);
                }
                (name.clone(), value)
            });
            let mut map: Map<String, Value> = entries.collect();
            map.retain(|name, value| {
                name != "properties" || value.as_object().is_none_or(|map| !map.is_empty())
            });
            Value::Object(map)
        }
        Value::Array(list) => list.iter().map(canonical).collect(),
        other => other.clone(),
    }
}
