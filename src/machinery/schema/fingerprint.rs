//! What tells schemas apart that prune or default objects differently.

use std::hash::{DefaultHasher, Hasher};

use serde_json::{Map, Value};

/// Keywords that decide what pruning and defaulting do.
const KEYWORDS: [&str; 9] = [
    "additionalProperties",
    "default",
    "items",
    "nullable",
    "properties",
    "type",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
];

/// A number that is equal for documents that say the same about an object's fields. Descriptions
/// and limits do not count: objects that were stored before those changed are shown as they are.
pub(super) fn of(document: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    schema(document, &mut hasher);
    hasher.finish()
}

fn schema(document: &Value, hasher: &mut DefaultHasher) {
    let Value::Object(document) = document else {
        hasher.write(document.to_string().as_bytes());
        return;
    };
    for keyword in KEYWORDS {
        let Some(value) = document.get(keyword) else { continue };
        hasher.write(keyword.as_bytes());
        match (keyword, value) {
            ("properties", Value::Object(properties)) => children(properties, hasher),
            ("items" | "additionalProperties", _) => schema(value, hasher),
            _ => hasher.write(value.to_string().as_bytes()),
        }
        hasher.write_u8(b';');
    }
}

fn children(properties: &Map<String, Value>, hasher: &mut DefaultHasher) {
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort_unstable();
    for name in names {
        hasher.write(name.as_bytes());
        hasher.write_u8(b':');
        schema(&properties[name], hasher);
        hasher.write_u8(b',');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changes_objects_counts() {
        let a = json!({"type": "object", "description": "a", "properties": {
            "n": {"type": "integer", "minimum": 1}, "m": {"type": "string"}}});
        let same = json!({"properties": {"m": {"type": "string", "pattern": "x"},
            "n": {"type": "integer"}}, "type": "object"});
        assert_eq!(of(&a), of(&same));
        for (pointer, value) in [
            ("/properties/n", json!({"type": "integer", "default": 1})),
            ("/properties", json!({"n": {"type": "integer"}})),
            ("/properties/n", json!({"type": "integer", "nullable": true})),
        ] {
            let mut other = a.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            assert_ne!(of(&a), of(&other), "{pointer}");
        }
    }
}
