//! A change as other versions of the kind see it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::{Comparison, compare};
use super::shape::Shape;
use super::typecheck;
use crate::machinery::schema::Schema;

/// A change in other versions, by apiVersion.
pub type Others = BTreeMap<String, Elsewhere>;

/// What a change is in another version of the kind.
#[derive(Debug)]
pub struct Elsewhere {
    pub(super) comparison: Comparison,
}

impl Elsewhere {
    /// Compares the object before and after the change, both converted to the other version, of
    /// which `schema` is the schema.
    ///
    /// # Errors
    /// What does not fit the schema.
    pub fn new(before: Value, after: Value, schema: Schema) -> Result<Self, String> {
        let shape = Shape::Object(schema.root());
        for object in [&before, &after] {
            if let Some(complaints) = typecheck::complaints(object, shape) {
                return Err(complaints);
            }
        }
        Ok(Self { comparison: compare(&before, &after, schema.root()) })
    }
}

/// The apiVersions other than `own` that entries of a `managedFields` list were written in.
pub fn other_versions(list: Option<&Value>, own: &str) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for entry in list.and_then(Value::as_array).into_iter().flatten() {
        let version = entry.get("apiVersion").and_then(Value::as_str).unwrap_or(own);
        if version != own && !versions.iter().any(|known| known == version) {
            versions.push(version.to_owned());
        }
    }
    versions
}
