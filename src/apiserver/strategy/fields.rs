//! Reading and filling in fields of trees.

use serde_json::{Value, json};

use crate::machinery::status::Cause;

/// Sets a field that is absent and returns it. Values that hold no fields, which validation
/// refuses, are left alone.
pub(super) fn put<'a>(
    object: &'a mut Value,
    field: &str,
    value: impl Into<Value>,
) -> &'a mut Value {
    if object.is_null() {
        *object = json!({});
    }
    if !object.is_object() {
        return object;
    }
    let place = &mut object[field];
    if place.is_null() {
        *place = value.into();
    }
    place
}

/// The items of a list field; none if it is absent.
pub(super) fn list<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}

/// Removes a field.
pub(super) fn remove(object: &mut Value, field: &str) {
    if let Some(members) = object.as_object_mut() {
        members.remove(field);
    }
}

/// A text field, `""` if absent.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The items of a list; none if it is absent.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// 422 for a text that is none of those supported.
pub(super) fn one_of(value: &Value, field: &str, supported: &[&str], causes: &mut Vec<Cause>) {
    if let Some(text) = value.as_str()
        && !supported.contains(&text)
    {
        causes.push(Cause::not_supported(field, value, supported));
    }
}
