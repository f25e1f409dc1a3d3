//! Messages whose JSON is not an object of their fields.

use serde_json::Value;

use super::message::{Walk, bytes, int32, text, varint};
use super::wire::{Reader, Wire};
use super::{Error, MAGIC};
use crate::machinery::moment::Moment;

/// Decodes a message at a depth.
pub(super) type Decoder = fn(&mut Walk, &[u8], usize) -> Result<Value, Error>;

const META: &str = "k8s.io.apimachinery.pkg.apis.meta.v1.";
const EXTENSIONS: &str = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.";
const SCHEMA: &str = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// The decoder of a message that has one of its own.
pub(super) fn decoder(name: &str) -> Option<Decoder> {
    if let Some(name) = name.strip_prefix(META) {
        return match name {
            "Time" => Some(time),
            "MicroTime" => Some(micro_time),
            "FieldsV1" => Some(raw),
            "Verbs" => Some(items),
            _ => None,
        };
    }
    if let Some(name) = name.strip_prefix(EXTENSIONS) {
        return match name {
            "JSON" => Some(raw),
            "JSONSchemaPropsOrArray" => Some(schema_or_array),
            "JSONSchemaPropsOrBool" => Some(schema_or_bool),
            "JSONSchemaPropsOrStringArray" => Some(schema_or_strings),
            _ => None,
        };
    }
    match name {
        "k8s.io.apimachinery.pkg.api.resource.Quantity" => Some(quantity),
        "k8s.io.apimachinery.pkg.util.intstr.IntOrString" => Some(int_or_string),
        "k8s.io.apimachinery.pkg.runtime.RawExtension" => Some(raw),
        _ => name.ends_with(".ExtraValue").then_some(items as Decoder),
    }
}

/// Seconds; nanoseconds are not part of the type. An empty message is Go's zero time.
/// (kubernetes 1.36: apimachinery/pkg/apis/meta/v1/time_proto.go)
fn time(_: &mut Walk, message: &[u8], _: usize) -> Result<Value, Error> {
    if message.is_empty() {
        return Ok(Value::Null);
    }
    let (seconds, _) = seconds_and_nanos(message)?;
    if seconds == ZERO_TIME {
        return Ok(Value::Null);
    }
    let moment = Moment { seconds, nanoseconds: 0 };
    Ok(moment.in_seconds().ok_or(OUT_OF_RANGE)?.into())
}

fn micro_time(_: &mut Walk, message: &[u8], _: usize) -> Result<Value, Error> {
    if message.is_empty() {
        return Ok(Value::Null);
    }
    let (seconds, nanos) = seconds_and_nanos(message)?;
    if (seconds, nanos) == (ZERO_TIME, 0) {
        return Ok(Value::Null);
    }
    // As Go's time.Unix does, nanoseconds of more than a second and of less than none are carried.
    let carried = seconds.checked_add(i64::from(nanos).div_euclid(1_000_000_000));
    let seconds = carried.ok_or(OUT_OF_RANGE)?;
    let nanoseconds = nanos.rem_euclid(1_000_000_000).unsigned_abs();
    Ok(Moment { seconds, nanoseconds }.in_microseconds().ok_or(OUT_OF_RANGE)?.into())
}

/// Go's zero time, the beginning of the year 1, as a Unix time; its JSON is null.
const ZERO_TIME: i64 = -62_135_596_800;

const OUT_OF_RANGE: Error = Error::Malformed("a time out of range");

fn seconds_and_nanos(message: &[u8]) -> Result<(i64, i32), Error> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        match number {
            1 => seconds = varint(value)?.cast_signed(),
            2 => nanos = int32(varint(value)?),
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

/// Text of a quantity; an empty one is zero.
fn quantity(_: &mut Walk, message: &[u8], _: usize) -> Result<Value, Error> {
    let text = match first(message)? {
        Some(value) => text(value)?,
        None => "",
    };
    Ok(if text.is_empty() { "0" } else { text }.into())
}

fn int_or_string(_: &mut Walk, message: &[u8], _: usize) -> Result<Value, Error> {
    let (mut is_text, mut number_value, mut text_value) = (false, 0, "");
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        match number {
            1 => is_text = varint(value)? == 1,
            2 => number_value = int32(varint(value)?),
            3 => text_value = text(value)?,
            _ => {}
        }
    }
    Ok(if is_text { text_value.into() } else { number_value.into() })
}

/// Bytes that are JSON, or an envelope again; none are null.
fn raw(walk: &mut Walk, message: &[u8], depth: usize) -> Result<Value, Error> {
    let raw = match first(message)? {
        Some(value) => bytes(value)?,
        None => &[],
    };
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    if raw.starts_with(MAGIC) {
        return walk.envelope(raw, depth + 1);
    }
    serde_json::from_slice(raw).map_err(|_| Error::Malformed("a raw value is not JSON"))
}

/// A named list of strings.
fn items(_: &mut Walk, message: &[u8], _: usize) -> Result<Value, Error> {
    strings(message, 1)
}

fn schema_or_array(walk: &mut Walk, message: &[u8], depth: usize) -> Result<Value, Error> {
    let (mut schema, mut list) = (None, Vec::new());
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        match number {
            1 => schema = Some(walk.message(SCHEMA, bytes(value)?, depth + 1)?),
            2 => list.push(walk.message(SCHEMA, bytes(value)?, depth + 1)?),
            _ => {}
        }
    }
    Ok(if list.is_empty() { schema.unwrap_or(Value::Null) } else { list.into() })
}

fn schema_or_bool(walk: &mut Walk, message: &[u8], depth: usize) -> Result<Value, Error> {
    let (mut allows, mut schema) = (false, None);
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        match number {
            1 => allows = varint(value)? != 0,
            2 => schema = Some(walk.message(SCHEMA, bytes(value)?, depth + 1)?),
            _ => {}
        }
    }
    Ok(schema.unwrap_or(allows.into()))
}

fn schema_or_strings(walk: &mut Walk, message: &[u8], depth: usize) -> Result<Value, Error> {
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        if number == 1 {
            return walk.message(SCHEMA, bytes(value)?, depth + 1);
        }
    }
    strings(message, 2)
}

/// All strings of one field number.
fn strings(message: &[u8], wanted: u32) -> Result<Value, Error> {
    let mut list = Vec::new();
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        if number == wanted {
            list.push(text(value)?.into());
        }
    }
    Ok(Value::Array(list))
}

/// The last value of field 1.
fn first(message: &[u8]) -> Result<Option<Wire<'_>>, Error> {
    let mut found = None;
    let mut reader = Reader::new(message);
    while let Some((number, value)) = reader.field()? {
        if number == 1 {
            found = Some(value);
        }
    }
    Ok(found)
}
