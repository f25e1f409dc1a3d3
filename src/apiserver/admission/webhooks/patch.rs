//! JSON patches of mutating webhooks, and what Go's library says when they do not apply.

use serde_json::Value;

use crate::machinery::patch::json::{JsonPatch, go_error};
use crate::machinery::status::quote;

/// The operations of a patch.
///
/// # Errors
/// What is malformed.
pub(super) fn decode(patch: &[u8]) -> Result<Vec<Value>, String> {
    let value: Value = serde_json::from_slice(patch).map_err(|error| go_error(patch, &error))?;
    let kind = match &value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(operations) if operations.iter().all(Value::is_object) => {
            return Ok(operations.clone());
        }
        Value::Array(_) => {
            return Err(
                "json: cannot unmarshal value into Go value of type jsonpatch.Operation".to_owned()
            );
        }
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Object(_) => "object",
    };
    Err(format!("json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch"))
}

/// Applies operations one after the other; the object is left as it was if one fails.
///
/// # Errors
/// What Go's library says of the operation that does not apply.
pub(super) fn apply(operations: &[Value], object: &Value) -> Result<Value, String> {
    let mut patched = object.clone();
    for operation in operations {
        let patch = JsonPatch::from_value(Value::Array(vec![operation.clone()]));
        let applied = patch.and_then(|patch| patch.apply(&mut patched));
        applied.map_err(|_| mismatch(operation))?;
    }
    if !patched.is_object() {
        return Err("Object 'Kind' is missing in the patched object".to_owned());
    }
    Ok(patched)
}

fn mismatch(operation: &Value) -> String {
    let text = |name: &str| operation[name].as_str().unwrap_or_default();
    let path = text("path");
    let missing = |name: &str| {
        format!(
            "{name} operation does not apply: doc is missing path: {}: missing value",
            quote(path)
        )
    };
    match text("op") {
        "add" => missing("add"),
        "remove" => {
            let key = path.rsplit('/').next().unwrap_or_default();
            format!(
                "error in remove for path: '{path}': Unable to remove nonexistent key: {key}: \
                 missing value"
            )
        }
        "replace" => {
            format!("replace operation does not apply: doc is missing key: {path}: missing value")
        }
        "move" => missing("move"),
        "copy" => missing("copy"),
        "test" => format!("testing value {path} failed: test failed"),
        other => format!("Unexpected kind: {other}"),
    }
}
