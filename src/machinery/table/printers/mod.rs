//! Cells of the built-in kinds (Kubernetes 1.36 `pkg/printers/internalversion/printers.go`).
//!
//! A printer takes the whole object and the time in Unix seconds, and never fails: what is
//! missing prints as kubectl shows it (`<none>`, `<unknown>`, `<unset>`).

pub(super) mod core;
pub(super) mod events;
pub(super) mod further;
pub(super) mod jobs;
pub(super) mod meta;
pub(super) mod network;
pub(super) mod nodes;
pub(super) mod pods;
pub(super) mod rbac;
pub(super) mod storage;
pub(super) mod workloads;

use serde_json::{Map, Value};

use crate::machinery::duration;

/// A cell's printer.
pub(super) type Print = fn(&Value, i64) -> Value;

/// The text at a pointer, empty if there is none.
fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The text at a pointer as a cell, or a placeholder.
fn text_or(object: &Value, pointer: &str, placeholder: &str) -> Value {
    let text = text(object, pointer);
    Value::from(if text.is_empty() { placeholder } else { text })
}

/// The integer at a pointer, 0 if there is none.
fn integer(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// The items at a pointer.
fn items<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The fields at a pointer.
fn fields<'v>(object: &'v Value, pointer: &str) -> Option<&'v Map<String, Value>> {
    object.pointer(pointer).and_then(Value::as_object)
}

/// The Unix time at a pointer, in seconds.
fn time(object: &Value, pointer: &str) -> Option<i64> {
    text(object, pointer).parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// How long ago a time was, for people.
pub(super) fn age(time: Option<i64>, now_seconds: i64) -> String {
    time.map_or_else(|| "<unknown>".to_owned(), |time| duration::human(now_seconds - time))
}

/// Labels as kubectl shows them: `a=b,c=d` or `<none>`.
fn labels(labels: Option<&Map<String, Value>>) -> String {
    let pairs: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// The first items of a list and how many more there are.
fn some_of(shown: &[String], count: usize) -> String {
    let list = shown.join(",");
    if count > shown.len() { format!("{list} + {} more...", count - shown.len()) } else { list }
}

fn is_deleting(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}
