//! The walk over messages, by the table of their fields.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Number, Value};

use super::wire::{Reader, Wire};
use super::{Error, MAGIC, message_name, special};
use crate::machinery::builtin;
use crate::machinery::tables::messages::{FieldShape, FieldType, MessageField, Zero};

/// Deepest nesting of messages; serde_json's limit for JSON is about the same.
pub(super) const DEPTH_MAX: usize = 100;

/// Most values of one body: what keeps three megabytes of empty messages from becoming gigabytes.
pub(super) const VALUES_MAX: usize = 1_000_000;

/// Decodes the messages of one body.
pub(super) struct Walk {
    /// Values that may still be made.
    values_left: usize,
}

impl Default for Walk {
    fn default() -> Self {
        Self { values_left: VALUES_MAX }
    }
}

impl Walk {
    /// A `runtime.Unknown` behind its magic bytes.
    pub(super) fn envelope(&mut self, body: &[u8], depth: usize) -> Result<Value, Error> {
        let body = body.strip_prefix(MAGIC).ok_or(Error::NoEnvelope)?;
        let mut raw: &[u8] = &[];
        let (mut api_version, mut kind) = (String::new(), String::new());
        let mut reader = Reader::new(body);
        while let Some((number, value)) = reader.field()? {
            match (number, value) {
                (1, Wire::Bytes(meta)) => {
                    let mut reader = Reader::new(meta);
                    while let Some((number, value)) = reader.field()? {
                        match number {
                            1 => api_version = text(value)?.to_owned(),
                            2 => text(value)?.clone_into(&mut kind),
                            _ => {}
                        }
                    }
                }
                (2, Wire::Bytes(bytes)) => raw = bytes,
                _ => {}
            }
        }
        if kind.is_empty() {
            return Err(Error::NoKind);
        }
        let Some(name) = message_name(&api_version, &kind) else {
            return Err(Error::UnknownKind { api_version, kind });
        };
        let mut object = self.message(&name, raw, depth)?;
        if let Value::Object(members) = &mut object {
            members.insert("apiVersion".to_owned(), api_version.into());
            members.insert("kind".to_owned(), kind.into());
        }
        Ok(object)
    }

    /// One message as JSON.
    pub(super) fn message(
        &mut self,
        name: &str,
        bytes: &[u8],
        depth: usize,
    ) -> Result<Value, Error> {
        if depth >= DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.count()?;
        if let Some(decode) = special::decoder(name) {
            return decode(self, bytes, depth);
        }
        let mut members = Map::new();
        self.members(name, bytes, &mut members, depth)?;
        Ok(Value::Object(members))
    }

    /// The fields of a message as members of an object, which may be its parent's.
    fn members(
        &mut self,
        name: &str,
        bytes: &[u8],
        members: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Error> {
        let fields =
            builtin::message(name).ok_or(Error::Malformed("a message without description"))?;
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.field()? {
            let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
            match field.shape {
                FieldShape::Single => self.single(field, value, members, depth)?,
                FieldShape::Repeated => {
                    let list = member(members, &field.name, Value::Array(Vec::new()));
                    if let Value::Array(list) = list {
                        self.repeated(field, value, list, depth)?;
                    }
                }
                FieldShape::Map => {
                    let map = member(members, &field.name, Value::Object(Map::new()));
                    if let Value::Object(map) = map {
                        self.entry(field, value, map, depth)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn single(
        &mut self,
        field: &MessageField,
        wire: Wire<'_>,
        members: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Error> {
        let value = match &field.value {
            FieldType::Message(name) if &*field.name == "." => {
                if depth >= DEPTH_MAX {
                    return Err(Error::TooDeep);
                }
                return self.members(name, bytes(wire)?, members, depth + 1);
            }
            FieldType::Message(name) => self.message(name, bytes(wire)?, depth + 1)?,
            FieldType::Scalar(kind) => self.scalar(kind, wire)?,
        };
        // Nulls are zero times and empty raw values, which Go's decoder takes for absent.
        let is_scalar = matches!(field.value, FieldType::Scalar(_));
        if value.is_null() || (is_scalar && field.zero == Zero::Omitted && is_zero(&value)) {
            members.remove(&*field.name);
        } else {
            members.insert(field.name.to_string(), value);
        }
        Ok(())
    }

    fn repeated(
        &mut self,
        field: &MessageField,
        wire: Wire<'_>,
        list: &mut Vec<Value>,
        depth: usize,
    ) -> Result<(), Error> {
        match (&field.value, wire) {
            (FieldType::Message(name), wire) => {
                list.push(self.message(name, bytes(wire)?, depth + 1)?);
            }
            (FieldType::Scalar(kind), Wire::Bytes(packed))
                if !matches!(&**kind, "string" | "bytes") =>
            {
                let mut reader = Reader::new(packed);
                while !reader.is_empty() {
                    let number = Wire::Varint(reader.varint()?);
                    list.push(self.scalar(kind, number)?);
                }
            }
            (FieldType::Scalar(kind), wire) => list.push(self.scalar(kind, wire)?),
        }
        Ok(())
    }

    /// One entry of a map: a message with the fields key and value, each of which may be missing.
    fn entry(
        &mut self,
        field: &MessageField,
        wire: Wire<'_>,
        map: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Error> {
        let (mut key, mut found) = ("", None);
        let mut reader = Reader::new(bytes(wire)?);
        while let Some((number, value)) = reader.field()? {
            match number {
                1 => key = text(value)?,
                2 => found = Some(value),
                _ => {}
            }
        }
        let found = found.unwrap_or(Wire::Bytes(&[]));
        let value = match &field.value {
            FieldType::Message(name) => self.message(name, bytes(found)?, depth + 1)?,
            FieldType::Scalar(kind) => self.scalar(kind, found)?,
        };
        map.insert(key.to_owned(), value);
        Ok(())
    }

    fn scalar(&mut self, kind: &str, wire: Wire<'_>) -> Result<Value, Error> {
        self.count()?;
        match (kind, wire) {
            ("string", wire) => Ok(text(wire)?.into()),
            ("bytes", wire) => Ok(BASE64.encode(bytes(wire)?).into()),
            ("bool", Wire::Varint(value)) => Ok((value != 0).into()),
            ("int32", Wire::Varint(value)) => Ok(int32(value).into()),
            ("int64", Wire::Varint(value)) => Ok(value.cast_signed().into()),
            ("double", Wire::Fixed64(value)) => double(f64::from_bits(value)),
            _ => Err(WRONG_TYPE),
        }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.values_left = self.values_left.checked_sub(1).ok_or(Error::TooLarge)?;
        Ok(())
    }
}

const WRONG_TYPE: Error = Error::Malformed("wrong wire type");

/// The bytes of a field.
pub(super) fn bytes(wire: Wire<'_>) -> Result<&[u8], Error> {
    match wire {
        Wire::Bytes(bytes) => Ok(bytes),
        Wire::Varint(_) | Wire::Fixed64(_) | Wire::Fixed32 => Err(WRONG_TYPE),
    }
}

/// The text of a field.
pub(super) fn text(wire: Wire<'_>) -> Result<&str, Error> {
    std::str::from_utf8(bytes(wire)?).map_err(|_| Error::Malformed("text is not UTF-8"))
}

/// The number of a field.
pub(super) fn varint(wire: Wire<'_>) -> Result<u64, Error> {
    match wire {
        Wire::Varint(value) => Ok(value),
        Wire::Bytes(_) | Wire::Fixed64(_) | Wire::Fixed32 => Err(WRONG_TYPE),
    }
}

/// An int32: protobuf sends negative ones with the sign extended to 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "protobuf cuts integers to their type")]
pub(super) fn int32(value: u64) -> i32 {
    value as i32
}

/// A double: Go writes whole ones without a fraction, save for those that it writes with an exponent.
#[expect(clippy::cast_possible_truncation, reason = "only what an i64 holds is cast")]
fn double(value: f64) -> Result<Value, Error> {
    /// Above this not every integer is a double.
    const WHOLE_MAX: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
    if value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
        return Ok((value as i64).into());
    }
    let number = Number::from_f64(value).map(Value::Number);
    number.ok_or(Error::Malformed("a number that JSON does not have"))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// A member that collects several fields of the same number.
fn member<'a>(members: &'a mut Map<String, Value>, name: &str, empty: Value) -> &'a mut Value {
    if !members.contains_key(name) {
        members.insert(name.to_owned(), empty);
    }
    &mut members[name]
}
