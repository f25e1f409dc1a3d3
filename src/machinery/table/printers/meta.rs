//! Cells that every kind can have.

use serde_json::Value;

use super::{text, time};

pub(in super::super) fn name(object: &Value, _: i64) -> Value {
    text(object, "/metadata/name").into()
}

pub(in super::super) fn age(object: &Value, now_seconds: i64) -> Value {
    super::age(time(object, "/metadata/creationTimestamp"), now_seconds).into()
}

/// The creation time itself, for kinds without columns of their own.
pub(in super::super) fn created_at(object: &Value, _: i64) -> Value {
    object.pointer("/metadata/creationTimestamp").cloned().unwrap_or_default()
}
