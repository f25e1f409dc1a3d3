//! Moving fields within a tree by dotted paths.

use serde_json::{Map, Value};

/// Members of an object.
pub(super) type Fields = Map<String, Value>;

/// The value at a path; null counts as nothing, as in Go.
pub(super) fn get<'a>(fields: &'a Fields, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.');
    let mut value = fields.get(steps.next()?)?;
    for step in steps {
        value = value.get(step)?;
    }
    (!value.is_null()).then_some(value)
}

/// The object at a path.
pub(super) fn object<'a>(fields: &'a mut Fields, path: &str) -> Option<&'a mut Fields> {
    let mut steps = path.split('.');
    let mut value = fields.get_mut(steps.next()?)?;
    for step in steps {
        value = value.get_mut(step)?;
    }
    value.as_object_mut()
}

/// The object at a path, which is made if it is not there.
pub(super) fn ensure<'a>(fields: &'a mut Fields, path: &str) -> &'a mut Fields {
    let mut found = fields;
    for step in path.split('.') {
        let value = found.entry(step).or_insert_with(|| Value::Object(Map::new()));
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        found = match value {
            Value::Object(fields) => fields,
            _ => unreachable!("it was made an object"),
        };
    }
    found
}

/// Removes and returns the value at a path; null counts as nothing.
pub(super) fn take(fields: &mut Fields, path: &str) -> Option<Value> {
    let taken = match path.rsplit_once('.') {
        Some((parent, name)) => object(fields, parent)?.remove(name),
        None => fields.remove(path),
    };
    taken.filter(|value| !value.is_null())
}

/// Removes and returns the object at a path.
pub(super) fn take_object(fields: &mut Fields, path: &str) -> Option<Fields> {
    match take(fields, path)? {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// Sets the value at a path, and makes the objects above it.
pub(super) fn put(fields: &mut Fields, path: &str, value: Value) {
    match path.rsplit_once('.') {
        Some((parent, name)) => ensure(fields, parent).insert(name.to_owned(), value),
        None => fields.insert(path.to_owned(), value),
    };
}

/// Moves a value, if it is there.
pub(super) fn shift(fields: &mut Fields, from: &str, to: &str) {
    if let Some(value) = take(fields, from) {
        put(fields, to, value);
    }
}

/// Moves a value that means nothing if it is the zero of its type: Go's field is no pointer on the
/// side that is left, or on the side that is entered.
pub(super) fn shift_set(fields: &mut Fields, from: &str, to: &str) {
    if let Some(value) = take(fields, from).filter(|value| !is_zero(value)) {
        put(fields, to, value);
    }
}

/// Does something to each object in the list at a path.
pub(super) fn each(fields: &mut Fields, path: &str, mut act: impl FnMut(&mut Fields)) {
    for item in items(fields, path) {
        act(item);
    }
}

/// The objects in the list at a path.
pub(super) fn items<'a>(
    fields: &'a mut Fields,
    path: &str,
) -> impl Iterator<Item = &'a mut Fields> + use<'a> {
    let list = match path.rsplit_once('.') {
        Some((parent, name)) => object(fields, parent).and_then(|parent| parent.get_mut(name)),
        None => fields.get_mut(path),
    };
    let list = list.and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The text at a path, or nothing.
pub(super) fn text<'a>(fields: &'a Fields, path: &str) -> &'a str {
    get(fields, path).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a value is the zero of its type: what Go has of a field that was not set.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(_) => is_blank(value),
    }
}

/// Whether a struct of the hub says nothing: an object without anything but such objects. Zeros of
/// other types are pointers there, and say something.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_blank),
        _ => false,
    }
}

/// Removes the object at a path if it says nothing.
pub(super) fn drop_blank(fields: &mut Fields, path: &str) {
    if get(fields, path).is_some_and(is_blank) {
        take(fields, path);
    }
}

/// Sets a field that Go always writes, unless it is there.
pub(super) fn always(fields: &mut Fields, names: &[&str], zero: &Value) {
    for name in names {
        if fields.get(*name).is_none_or(Value::is_null) {
            fields.insert((*name).to_owned(), zero.clone());
        }
    }
}
