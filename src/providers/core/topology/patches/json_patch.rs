//! Patches on a template, with the messages of the library that upstream uses.
//! (evanphx/json-patch v5.9: v5/patch.go)

use serde_json::Value;

use super::{GeneratedPatch, PatchType};
use crate::machinery::patch::merge;
use crate::machinery::status::quote;

/// Most operations of one patch.
const OPERATIONS_MAX: usize = 10_000;
/// Most values and bytes of texts that the copies of one patch make.
const COPIED_MAX: usize = 4 << 20;
/// Most levels of a patched object; documents have no more.
const DEPTH_MAX: usize = 120;
const MISSING: &str = "missing value";

/// What a patch makes of an object; `None` if the patch is empty.
pub(super) fn apply(object: &Value, patch: &GeneratedPatch) -> Result<Option<Value>, String> {
    match patch.patch_type {
        PatchType::Json => {
            let failed =
                |what: &str, error: String| format!("error {what} json patch (RFC6902): {error}");
            let operations = decode(&patch.patch).map_err(|error| failed("decoding", error))?;
            if operations.is_empty() {
                return Ok(None);
            }
            let mut patched = object.clone();
            let mut copied = 0;
            for operation in &operations {
                run(&mut patched, operation, &mut copied)
                    .map_err(|error| failed("applying", error))?;
            }
            if is_deeper(&patched, DEPTH_MAX) {
                let error = format!("the object is nested deeper than {DEPTH_MAX} levels");
                return Err(failed("applying", error));
            }
            Ok(Some(patched))
        }
        PatchType::JsonMerge => {
            if patch.patch.is_empty() || patch.patch == b"{}" {
                return Ok(None);
            }
            let patch: Value =
                serde_json::from_slice(&patch.patch)
                    .ok()
                    .filter(Value::is_object)
                    .ok_or("error applying json merge patch (RFC7386): Invalid JSON Patch")?;
            let mut patched = object.clone();
            merge::apply(&mut patched, &patch);
            Ok(Some(patched))
        }
    }
}

fn decode(patch: &[u8]) -> Result<Vec<Value>, String> {
    let patch: Value =
        serde_json::from_slice(patch).map_err(|_| "invalid state detected".to_owned())?;
    let operations = match patch {
        Value::Null => Vec::new(),
        Value::Array(operations) => operations,
        _ => return Err("json: cannot unmarshal into Go value of type jsonpatch.Patch".to_owned()),
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(format!("the patch has more than {OPERATIONS_MAX} operations"));
    }
    for operation in &operations {
        check(operation).map_err(|error| format!("invalid operation {operation}: {error}"))?;
    }
    Ok(operations)
}

fn check(operation: &Value) -> Result<(), String> {
    let missing = |field: &str, comma: &str| {
        format!("failed to decode '{field}': operation{comma} missing {field} field: {MISSING}")
    };
    match operation["op"].as_str() {
        Some("add" | "replace") if operation.get("value").is_none() => {
            return Err(missing("value", ","));
        }
        Some("move" | "copy") if !operation["from"].is_string() => {
            return Err(missing("from", ","));
        }
        Some("add" | "replace" | "move" | "copy" | "remove" | "test") => {}
        _ => return Err("unsupported operation".to_owned()),
    }
    if operation["path"].is_string() { Ok(()) } else { Err(missing("path", "")) }
}

/// Runs one operation; `copied` counts what copies have made.
fn run(object: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), String> {
    let text = |field: &str| operation[field].as_str().unwrap_or_default();
    let path = text("path");
    let value = &operation["value"];
    match text("op") {
        "add" => add(object, path, value.clone()),
        "remove" => {
            remove(object, path, "remove operation does not apply: doc is missing path: ", true)
                .map(drop)
        }
        "replace" => replace(object, path, value.clone()),
        "test" => test(object, path, value),
        "move" => {
            let missing = "move operation does not apply: doc is missing from path: ";
            let moved = remove(object, text("from"), missing, false)?;
            let at = find(object, path).ok_or_else(|| {
                format!(
                    "move operation does not apply: doc is missing destination path: {path}: \
                     {MISSING}"
                )
            })?;
            insert(at, moved).map_err(|e| format!("error in move for path: '{path}': {e}"))
        }
        _ => copy(object, text("from"), path, copied),
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    let at = find(object, path).ok_or_else(|| {
        let path = format!("\"{path}\"");
        format!("add operation does not apply: doc is missing path: {path}: {MISSING}")
    })?;
    insert(at, value).map_err(|error| format!("error in add for path: '{path}': {error}"))
}

fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    let missing = |what: &str| {
        format!("replace operation does not apply: doc is missing {what}: {path}: {MISSING}")
    };
    let mut at = find(object, path).ok_or_else(|| missing("path"))?;
    let held = at.held().map_err(|_| missing("key"))?;
    *held.ok_or_else(|| missing("key"))? = value;
    Ok(())
}

fn remove(object: &mut Value, path: &str, missing: &str, is_quoted: bool) -> Result<Value, String> {
    let at = find(object, path).ok_or_else(|| {
        let quotes = if is_quoted { "\"" } else { "" };
        format!("{missing}{quotes}{path}{quotes}: {MISSING}")
    })?;
    let operation = if is_quoted { "remove" } else { "move" };
    let at_path = if is_quoted { path.to_owned() } else { at.key.clone() };
    at.take().map_err(|error| format!("error in {operation} for path: '{at_path}': {error}"))
}

fn test(object: &mut Value, path: &str, wanted: &Value) -> Result<(), String> {
    let failed = || format!("testing value {path} failed: test failed");
    if path.is_empty() {
        return if object == wanted { Ok(()) } else { Err(failed()) };
    }
    let mut at = find(object, path).ok_or_else(|| {
        format!("test operation does not apply: is missing path: {path}: {MISSING}")
    })?;
    let held = at.held().map_err(|error| format!("error in test for path: '{path}': {error}"))?;
    let held = held.map_or(Value::Null, |value| value.clone());
    if held == *wanted { Ok(()) } else { Err(failed()) }
}

fn copy(object: &mut Value, from: &str, path: &str, copied: &mut usize) -> Result<(), String> {
    let mut at = find(object, from).ok_or_else(|| {
        format!("copy operation does not apply: doc is missing from path: \"{from}\": {MISSING}")
    })?;
    let key = at.key.clone();
    let failed = |error: String| format!("error in copy for from: '{from}': {error}");
    let held = at.held().map_err(failed)?;
    let held =
        held.ok_or_else(|| failed(format!("unable to get nonexistent key: {key}: {MISSING}")))?;
    *copied += size(held);
    if *copied > COPIED_MAX {
        return Err(format!(
            "Unable to complete the copy, the accumulated size increase of copy is {copied}, \
             exceeding the limit {COPIED_MAX}"
        ));
    }
    let value = held.clone();
    let at = find(object, path).ok_or_else(|| {
        format!("copy operation does not apply: doc is missing destination path: {path}: {MISSING}")
    })?;
    insert(at, value).map_err(|error| format!("error while adding value during copy: {error}"))
}

/// Whether a value has more levels.
fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(list) => levels == 0 || list.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(map) => levels == 0 || map.values().any(|item| is_deeper(item, levels - 1)),
        _ => false,
    }
}

/// Values in a value, and bytes of their texts.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// A member: what holds it and its key there.
struct Place<'a> {
    container: &'a mut Value,
    key: String,
}

fn find<'a>(object: &'a mut Value, path: &str) -> Option<Place<'a>> {
    let mut parts: Vec<String> = path.split('/').skip(1).map(decoded).collect();
    let key = parts.pop()?;
    let mut container = object;
    for part in parts {
        container = match container {
            Value::Object(map) => map.get_mut(&part)?,
            Value::Array(list) => {
                let index = existing(&part, list.len()).ok()?;
                list.get_mut(index)?
            }
            _ => return None,
        };
    }
    (container.is_object() || container.is_array()).then_some(Place { container, key })
}

fn decoded(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

impl<'a> Place<'a> {
    fn held(&mut self) -> Result<Option<&mut Value>, String> {
        match self.container {
            Value::Object(map) => Ok(map.get_mut(&self.key)),
            Value::Array(list) => {
                let index = existing(&self.key, list.len())?;
                Ok(list.get_mut(index))
            }
            _ => Ok(None),
        }
    }

    fn take(self) -> Result<Value, String> {
        let Self { container, key } = self;
        match container {
            Value::Object(map) => map
                .remove(&key)
                .ok_or_else(|| format!("unable to remove nonexistent key: {key}: {MISSING}")),
            Value::Array(list) => {
                let index = existing(&key, list.len())?;
                Ok(list.remove(index))
            }
            _ => Err(MISSING.to_owned()),
        }
    }
}

fn insert(at: Place<'_>, value: Value) -> Result<(), String> {
    let Place { container, key } = at;
    match container {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => {
            // One more than there are elements: a new one may go to the end.
            let index = existing_with(&key, list.len() + 1, |error| {
                format!("value was not a proper array index: '{key}': {error}")
            })?;
            list.insert(index, value);
        }
        _ => {}
    }
    Ok(())
}

fn existing(key: &str, length: usize) -> Result<usize, String> {
    existing_with(key, length, |error| error)
}

/// The index below `length` that a key means; negative ones count from the end.
fn existing_with(
    key: &str,
    length: usize,
    wrong: impl FnOnce(String) -> String,
) -> Result<usize, String> {
    let index: i64 = key
        .parse()
        .map_err(|_| wrong(format!("strconv.Atoi: parsing {}: invalid syntax", quote(key))))?;
    let invalid = || format!("Unable to access invalid index: {index}: invalid index referenced");
    let length = i64::try_from(length).map_err(|_| invalid())?;
    let counted = if index < 0 { index + length } else { index };
    if !(0..length).contains(&counted) {
        return Err(invalid());
    }
    usize::try_from(counted).map_err(|_| invalid())
}
