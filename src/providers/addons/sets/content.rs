//! What a ConfigMap or Secret holds for workload clusters: its values, their hash and the objects
//! in them, in order of creation. Pure.
//! (CAPI v1.14: clusterresourceset_helpers.go, util/resource/resource.go, util/yaml/yaml.go)

use serde_json::{Map, Value};

use crate::machinery::yaml;
use crate::pki::sha256_hex;

/// Values of a resource, in order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content(pub(super) Vec<Vec<u8>>);

impl Content {
    /// The hash that bindings keep.
    pub(super) fn hash(&self) -> String {
        format!("sha256:{}", sha256_hex(self.0.iter().map(Vec::as_slice)))
    }

    /// The objects; those of each value are in order of creation.
    ///
    /// # Errors
    /// The first value that cannot be read.
    pub(super) fn objects(&self) -> Result<Vec<Value>, String> {
        let mut objects = Vec::new();
        for value in &self.0 {
            let mut found = if is_json_list(value)? { json_list(value) } else { documents(value)? };
            found.sort_by_key(|object| priority(object["kind"].as_str().unwrap_or_default()));
            objects.extend(found);
        }
        Ok(objects)
    }
}

/// How much of a value is looked at; one that is shorter is refused, as upstream's reader does.
const PEEKED_BYTES: usize = 32;

fn is_json_list(value: &[u8]) -> Result<bool, String> {
    let head = value.get(..PEEKED_BYTES).ok_or("EOF")?;
    let head = String::from_utf8_lossy(head);
    Ok(head.trim_start().starts_with('['))
}

/// Objects of a JSON list. One that cannot be read holds nothing: upstream drops the error.
fn json_list(value: &[u8]) -> Vec<Value> {
    let list: Vec<Map<String, Value>> = serde_json::from_slice(value).unwrap_or_default();
    list.into_iter().map(Value::Object).collect()
}

fn documents(value: &[u8]) -> Result<Vec<Value>, String> {
    let text = String::from_utf8_lossy(value);
    let mut objects = Vec::new();
    for document in split(&text) {
        let failed = |error: String| {
            let number = ordinal(objects.len() + 1);
            format!(
                "failed converting data to unstructured objects: failed to unmarshal the {number} \
                 yaml document: {error}"
            )
        };
        match yaml::parse(&document).map_err(failed)?.value {
            Value::Null => {}
            Value::Object(object) => objects.push(Value::Object(object)),
            other => {
                let kind = match other {
                    Value::Array(_) => "array",
                    Value::String(_) => "string",
                    Value::Bool(_) => "bool",
                    _ => "number",
                };
                return Err(failed(format!(
                    "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
                )));
            }
        }
    }
    Ok(objects)
}

/// Documents between lines that begin with `---`.
fn split(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("---") {
            Some(rest) if rest.trim().is_empty() || rest.starts_with([' ', '\t', '#']) => {
                // Content behind the dashes belongs to the document that they begin.
                documents.push(rest.to_owned());
            }
            _ => {
                if let Some(last) = documents.last_mut() {
                    last.push_str(line);
                }
            }
        }
    }
    documents.retain(|document| !document.trim().is_empty());
    documents
}

/// 1st, 2nd, 3rd, 4th.
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Kinds that others need come first; among equals the given order stays.
fn priority(kind: &str) -> i32 {
    const FIRST: [&str; 12] = [
        "Namespace",
        "CustomResourceDefinition",
        "StorageClass",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Secret",
        "ConfigMap",
        "ServiceAccount",
        "LimitRange",
        "Pod",
        "ReplicaSet",
        "Endpoint",
    ];
    let position = FIRST.iter().position(|first| *first == kind);
    position.map_or(0, |position| i32::try_from(position).unwrap_or(0) - 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(values: &[&str]) -> Result<Vec<String>, String> {
        let content = Content(values.iter().map(|value| value.as_bytes().to_vec()).collect());
        let objects = content.objects()?;
        Ok(objects.iter().map(|object| object["kind"].as_str().unwrap_or("?").to_owned()).collect())
    }

    #[test]
    fn objects_of_a_value_come_in_order_of_creation() {
        let value = "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: v1\nkind: ConfigMap\n\
                     ---\n# nothing\n---\napiVersion: v1\nkind: Namespace\n";
        let json = "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"type\": \"Opaque\"}";
        assert_eq!(
            kinds(&[value, json]).unwrap(),
            ["Namespace", "ConfigMap", "Deployment", "Secret"]
        );
        assert_eq!(priority("Pod"), -91);
    }

    #[test]
    fn json_lists_are_read_and_broken_ones_hold_nothing() {
        let list = "[{\"kind\": \"Service\"}, {\"kind\": \"Namespace\"}]";
        assert_eq!(kinds(&[list]).unwrap(), ["Namespace", "Service"]);
        assert!(kinds(&["  [{\"kind\": \"Service\"}, {\"kind\": \"Namespace"]).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert_eq!(kinds(&["kind: Short"]), Err("EOF".to_owned()));
        let error = kinds(&["kind: A\napiVersion: v1\n---\n- just a list of strings\n"]);
        let error = error.unwrap_err();
        assert!(error.contains("the 2nd yaml document"), "{error}");
        assert!(error.ends_with("type map[string]interface {}"), "{error}");
        assert!(kinds(&["a: [unclosed, and long enough to be read"]).is_err());
    }

    #[test]
    fn the_hash_is_over_all_values() {
        let content = Content(vec![b"ab".to_vec(), b"c".to_vec()]);
        assert_eq!(
            content.hash(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
