//! Reading and filling in fields of trees.

use serde_json::{Value, json};

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

/// Sets a field that is absent or zero, where Go does not tell the two apart.
pub(super) fn fill(object: &mut Value, field: &str, value: impl Into<Value>) {
    let zero = match object.get(field) {
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        _ => false,
    };
    if zero {
        object[field] = value.into();
    } else {
        put(object, field, value);
    }
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
