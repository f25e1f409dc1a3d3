//! Taking a set of paths out of an object (structured-merge-diff `typed/remove.go`).

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use super::shape::{Ownership, Shape};
use crate::machinery::field_path::PathElement;

/// The value without the paths of the set; `None` if nothing is left of it.
pub(super) fn remove(value: &Value, set: &FieldSet, shape: Shape<'_>) -> Option<Value> {
    match shape.ownership(value) {
        Ownership::Leaf => {
            // Only scalars survive: the set has paths inside of what is one leaf.
            (!value.is_object() && !value.is_array()).then(|| value.clone())
        }
        Ownership::Map => {
            let mut out = Map::new();
            for (name, child) in value.as_object()? {
                let element = PathElement::field(name);
                if set.has_member(&element) {
                    continue;
                }
                let kept = match set.below(&element) {
                    Some(below) => remove(child, below, shape.child(name)),
                    None => Some(child.clone()),
                };
                if let Some(kept) = kept {
                    out.insert(name.clone(), kept);
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        Ownership::List => {
            let mut out = Vec::new();
            for item in value.as_array()? {
                let Ok(element) = shape.element(item) else {
                    out.push(item.clone());
                    continue;
                };
                if set.has_member(&element) {
                    continue;
                }
                match set.below(&element) {
                    Some(below) => out.extend(remove(item, below, shape.item())),
                    None => out.push(item.clone()),
                }
            }
            (!out.is_empty()).then_some(Value::Array(out))
        }
    }
}
