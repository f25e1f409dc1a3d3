//! JSON patch (RFC 6902) as kube-apiserver applies it.
//!
//! kube-apiserver uses the Go library evanphx/json-patch, which is laxer than the RFC in ways that
//! clients see (checked against a recorded kube-apiserver 1.36): `replace` of an absent member
//! adds it, `test` of an absent member equals null, `copy` of an absent member copies null, and a
//! negative index counts from the end. A patch that does not apply is answered with 422 without
//! details, a body that is no list of operations with 400.

use serde_json::Value;

use crate::machinery::status::{Result, Status};

/// Most operations that one patch may have.
const OPERATIONS_MAX: usize = 10_000;

/// Bytes of JSON that all copies of one patch may add. (kubernetes 1.36:
/// apiserver/pkg/server/config.go, JSONPatchMaxCopyBytes)
const COPIED_MAX: usize = 3 * 1024 * 1024;

/// A decoded JSON patch.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPatch {
    operations: Vec<Value>,
}

/// The patch does not apply.
struct Mismatch;

impl JsonPatch {
    /// Decodes a request body. Errors are 400 (not a list) and 413 (too many operations).
    pub fn parse(body: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            Status::bad_request(format!("error decoding patch: {}", go_error(body, &error)))
        })?;
        Self::from_value(value)
    }

    /// Takes a patch that is decoded already.
    pub fn from_value(value: Value) -> Result<Self> {
        let kind = match value {
            Value::Array(operations) => {
                if operations.len() > OPERATIONS_MAX {
                    return Err(Status::request_entity_too_large(&format!(
                        "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
                        operations.len()
                    )));
                }
                return Ok(Self { operations });
            }
            Value::Null => return Ok(Self { operations: Vec::new() }),
            Value::Object(_) => "object",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
        };
        Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        )))
    }

    /// Applies all operations; on a 422 the object is left half changed, so apply to a copy.
    pub fn apply(&self, object: &mut Value) -> Result<()> {
        let mut copied = 0;
        for operation in &self.operations {
            apply_operation(object, operation, &mut copied)
                .map_err(|Mismatch| Status::unprocessable())?;
        }
        Ok(())
    }
}

/// Applies one operation; `copied` counts the bytes that copies have added.
fn apply_operation(
    object: &mut Value,
    operation: &Value,
    copied: &mut usize,
) -> std::result::Result<(), Mismatch> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str).ok_or(Mismatch);
    let value = || operation.get("value").cloned().unwrap_or_default();
    let path = Pointer::parse(text("path")?)?;
    match text("op")? {
        "add" => path.add(object, value()),
        "replace" => path.replace(object, value()),
        "remove" => path.remove(object).map(drop),
        "test" => {
            let found = path.get(object)?.unwrap_or(&Value::Null);
            let wanted = operation.get("value").unwrap_or(&Value::Null);
            if found == wanted { Ok(()) } else { Err(Mismatch) }
        }
        "move" => {
            let moved = Pointer::parse(text("from")?)?.remove(object)?;
            path.add(object, moved)
        }
        "copy" => {
            let pointer = Pointer::parse(text("from")?)?;
            let value = pointer.get(object)?.unwrap_or(&Value::Null);
            *copied += size(value, COPIED_MAX - *copied).ok_or(Mismatch)?;
            let value = value.clone();
            path.add(object, value)
        }
        _ => Err(Mismatch),
    }
}

/// Length of a value as JSON, or `None` if that is more than `limit`.
fn size(value: &Value, limit: usize) -> Option<usize> {
    struct Counter {
        left: usize,
    }
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let left = self.left.checked_sub(bytes.len());
            self.left = left.ok_or(std::io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter { left: limit };
    serde_json::to_writer(&mut counter, value).ok()?;
    Some(limit - counter.left)
}

/// A JSON pointer to a member: the container's path and the member's key.
struct Pointer {
    container: Vec<String>,
    key: String,
}

impl Pointer {
    /// What stands before the first slash is ignored, as the Go library does; a pointer to the
    /// whole document is refused.
    fn parse(text: &str) -> std::result::Result<Self, Mismatch> {
        let decode = |part: &str| part.replace("~1", "/").replace("~0", "~");
        let mut parts: Vec<String> = text.split('/').skip(1).map(decode).collect();
        let key = parts.pop().ok_or(Mismatch)?;
        Ok(Self { container: parts, key })
    }

    fn container<'a>(&self, object: &'a mut Value) -> std::result::Result<&'a mut Value, Mismatch> {
        let mut current = object;
        for part in &self.container {
            current = match current {
                Value::Object(map) => map.get_mut(part).ok_or(Mismatch)?,
                Value::Array(list) => {
                    let index = existing_index(part, list.len())?;
                    list.get_mut(index).ok_or(Mismatch)?
                }
                _ => return Err(Mismatch),
            };
        }
        Ok(current)
    }

    fn get<'a>(&self, object: &'a Value) -> std::result::Result<Option<&'a Value>, Mismatch> {
        let mut current = object;
        for part in &self.container {
            current = match current {
                Value::Object(map) => map.get(part).ok_or(Mismatch)?,
                Value::Array(list) => &list[existing_index(part, list.len())?],
                _ => return Err(Mismatch),
            };
        }
        match current {
            Value::Object(map) => Ok(map.get(&self.key)),
            Value::Array(list) => Ok(Some(&list[existing_index(&self.key, list.len())?])),
            _ => Err(Mismatch),
        }
    }

    fn add(&self, object: &mut Value, value: Value) -> std::result::Result<(), Mismatch> {
        match self.container(object)? {
            Value::Object(map) => {
                map.insert(self.key.clone(), value);
                Ok(())
            }
            Value::Array(list) if self.key == "-" => {
                list.push(value);
                Ok(())
            }
            Value::Array(list) => {
                // Adding goes between items, so there is one place more than there are items.
                let index = existing_index(&self.key, list.len() + 1)?;
                list.insert(index, value);
                Ok(())
            }
            _ => Err(Mismatch),
        }
    }

    fn replace(&self, object: &mut Value, value: Value) -> std::result::Result<(), Mismatch> {
        match self.container(object)? {
            Value::Object(map) => {
                map.insert(self.key.clone(), value);
                Ok(())
            }
            Value::Array(list) => {
                let index = existing_index(&self.key, list.len())?;
                list[index] = value;
                Ok(())
            }
            _ => Err(Mismatch),
        }
    }

    fn remove(&self, object: &mut Value) -> std::result::Result<Value, Mismatch> {
        match self.container(object)? {
            Value::Object(map) => map.remove(&self.key).ok_or(Mismatch),
            Value::Array(list) => {
                let index = existing_index(&self.key, list.len())?;
                Ok(list.remove(index))
            }
            _ => Err(Mismatch),
        }
    }
}

fn existing_index(text: &str, length: usize) -> std::result::Result<usize, Mismatch> {
    let index: i64 = text.parse().map_err(|_| Mismatch)?;
    let length = length as i64;
    let index = if index < 0 { index + length } else { index };
    if (0..length).contains(&index) { Ok(index as usize) } else { Err(Mismatch) }
}

/// Says what is wrong with a JSON text in the words of Go's `encoding/json`, which clients and
/// tests compare.
pub fn go_error(body: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() || body.trim_ascii().is_empty() {
        return "unexpected end of JSON input".to_owned();
    }
    let message = error.to_string();
    if message.starts_with("recursion limit exceeded") {
        return "exceeded max depth".to_owned();
    }
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1));
    let rest = line.and_then(|line| line.get(error.column().saturating_sub(1)..)).unwrap_or(&[]);
    let offending = rest.first().copied().unwrap_or_default();
    let place = if message.starts_with("trailing characters") {
        "after top-level value"
    } else if message.starts_with("key must be a string")
        || (message.starts_with("trailing comma") && offending == b'}')
    {
        "looking for beginning of object key string"
    } else if message.starts_with("expected `:`") {
        "after object key"
    } else if message.starts_with("expected `,` or `}`") {
        "after object key:value pair"
    } else if message.starts_with("expected `,` or `]`") {
        "after array element"
    } else {
        "looking for beginning of value"
    };
    format!("invalid character {} {place}", quote_first(rest))
}

/// The first character of a text as Go's decoder quotes it, or its first byte, if it is none.
fn quote_first(text: &[u8]) -> String {
    let byte = text.first().copied().unwrap_or_default();
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80.. => match first_character(text) {
            Some(character) if character.is_control() || character == '\u{ad}' => {
                format!("'\\u{:04x}'", u32::from(character))
            }
            Some(character) => format!("'{character}'"),
            None => format!("'\\x{byte:02x}'"),
        },
        _ => format!("'{}'", char::from(byte)),
    }
}

/// The character that a text begins with, if its first bytes are UTF-8.
fn first_character(text: &[u8]) -> Option<char> {
    let start = &text[..text.len().min(4)];
    let valid = match std::str::from_utf8(start) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&start[..error.valid_up_to()]).ok()?,
    };
    valid.chars().next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({"metadata": {"labels": {"a/b": "c"}, "finalizers": ["x", "y"]}, "data": {"k": "v"}})
    }

    fn apply(patch: Value) -> Result<Value> {
        let mut value = object();
        JsonPatch::from_value(patch)?.apply(&mut value)?;
        Ok(value)
    }

    #[test]
    fn copies_are_bounded_before_they_are_made() {
        let mut patch = vec![json!({"op": "add", "path": "/data/x", "value": "x".repeat(1000)})];
        for index in 0..40 {
            patch.push(json!({"op": "copy", "from": "/data", "path": format!("/data/c{index}")}));
        }
        assert_eq!(apply(patch.into()).unwrap_err().code, 422);
    }

    #[test]
    fn operations_that_apply() {
        for (patch, pointer, expected) in [
            (json!([{"op": "add", "path": "/data/n", "value": 1}]), "/data/n", json!(1)),
            (json!([{"op": "replace", "path": "/data/none", "value": 1}]), "/data/none", json!(1)),
            (json!([{"op": "test", "path": "/data/none", "value": null}]), "/data/k", json!("v")),
            (
                json!([{"op": "copy", "from": "/data/zz", "path": "/data/k"}]),
                "/data/k",
                json!(null),
            ),
            (
                json!([{"op": "remove", "path": "/metadata/labels/a~1b"}]),
                "/metadata/labels",
                json!({}),
            ),
            (
                json!([{"op": "move", "from": "/data/k", "path": "/data/l"}]),
                "/data",
                json!({"l": "v"}),
            ),
            (
                json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "z"}]),
                "/metadata/finalizers",
                json!(["x", "y", "z"]),
            ),
            (
                json!([{"op": "add", "path": "/metadata/finalizers/0", "value": "z"}]),
                "/metadata/finalizers",
                json!(["z", "x", "y"]),
            ),
            (
                json!([{"op": "remove", "path": "/metadata/finalizers/-1"}]),
                "/metadata/finalizers",
                json!(["x"]),
            ),
        ] {
            let value = apply(patch.clone()).unwrap();
            assert_eq!(value.pointer(pointer), Some(&expected), "{patch}");
        }
    }

    #[test]
    fn operations_that_do_not_apply_are_422() {
        for patch in [
            json!([{"op": "test", "path": "/data/k", "value": "zz"}]),
            json!([{"op": "test", "path": "/data/none", "value": "zz"}]),
            json!([{"op": "remove", "path": "/data/none"}]),
            json!([{"op": "add", "path": "/none/x", "value": "x"}]),
            json!([{"op": "move", "from": "/data/zz", "path": "/data/k"}]),
            json!([{"op": "bogus", "path": "/data/k"}]),
            json!([{"op": "add", "path": "data", "value": 1}]),
            json!([{"op": "add", "path": "", "value": {}}]),
            json!([{"op": "add", "path": "/metadata/finalizers/9", "value": "x"}]),
            json!([{"op": "remove", "path": "/metadata/finalizers/2"}]),
        ] {
            let error = apply(patch.clone()).unwrap_err();
            assert_eq!(*error, *Status::unprocessable(), "{patch}");
        }
    }

    #[test]
    fn bodies_that_are_no_patch_are_400() {
        let message = |body: &[u8]| JsonPatch::parse(body).unwrap_err().message;
        assert_eq!(
            message(br#"{"op": "add"}"#),
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
        assert_eq!(
            message(b"garbage"),
            "error decoding patch: invalid character 'g' looking for beginning of value"
        );
        assert_eq!(message(b"["), "error decoding patch: unexpected end of JSON input");
        assert_eq!(
            JsonPatch::from_value(vec![json!({}); OPERATIONS_MAX + 1].into()).unwrap_err().code,
            413
        );
    }
}
