//! Writes objects as Go's clients, and others, write them: the decoder's table, read backwards.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::special::decoder;
use super::super::{MAGIC, message_name};
use crate::machinery::builtin;
use crate::machinery::tables::messages::{FieldShape, FieldType, MessageField, Zero};

const SCHEMA: &str = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// What the wire format leaves to the writer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Fields without a value that are no pointers are written as zeros, as Go does.
    pub(super) zeros: bool,
    /// Repeated numbers share one field.
    pub(super) packed: bool,
    /// The last field comes first.
    pub(super) reversed: bool,
    /// Raw objects of built-in kinds have an envelope instead of being JSON.
    pub(super) nested_envelopes: bool,
}

impl Style {
    /// A body with its envelope; an error names the member that no field has.
    pub(super) fn body(self, object: &Value) -> Result<Vec<u8>, String> {
        let api_version = object["apiVersion"].as_str().ok_or("an object has an apiVersion")?;
        let kind = object["kind"].as_str().ok_or("an object has a kind")?;
        let name = message_name(api_version, kind).ok_or_else(|| format!("no message: {kind}"))?;
        let mut members = object.as_object().ok_or("an object")?.clone();
        members.remove("apiVersion");
        members.remove("kind");
        let raw = self.message(&name, &Value::Object(members))?;
        let mut meta = Vec::new();
        length_delimited(&mut meta, 1, api_version.as_bytes());
        length_delimited(&mut meta, 2, kind.as_bytes());
        let mut body = MAGIC.to_vec();
        length_delimited(&mut body, 1, &meta);
        length_delimited(&mut body, 2, &raw);
        length_delimited(&mut body, 3, b"");
        length_delimited(&mut body, 4, b"");
        Ok(body)
    }

    /// The bytes of one message.
    pub(super) fn message(self, name: &str, value: &Value) -> Result<Vec<u8>, String> {
        if let Some(bytes) = self.special(name, value)? {
            return Ok(bytes);
        }
        let members = value.as_object().ok_or_else(|| format!("{name} is no object: {value}"))?;
        if let Some(unknown) = members.keys().find(|member| field(name, member).is_none()) {
            return Err(format!("{name} has no field {unknown}"));
        }
        self.fields(name, members)
    }

    /// The members that are fields of a message; embedded ones see their parent's.
    fn fields(self, name: &str, members: &Map<String, Value>) -> Result<Vec<u8>, String> {
        let fields = builtin::message(name).ok_or_else(|| format!("no message {name}"))?;
        let mut fields: Vec<&MessageField> = fields.iter().collect();
        if self.reversed {
            fields.reverse();
        }
        let mut bytes = Vec::new();
        for field in fields {
            match (&field.value, members.get(&*field.name)) {
                (FieldType::Message(embedded), _) if &*field.name == "." => {
                    let embedded = self.fields(embedded, members)?;
                    if self.zeros || !embedded.is_empty() {
                        length_delimited(&mut bytes, field.number, &embedded);
                    }
                }
                (_, Some(value)) => self.field(&mut bytes, field, value)?,
                (kind, None) if self.zeros && field.shape == FieldShape::Single => {
                    self.zero(&mut bytes, field, kind)?;
                }
                (_, None) => {}
            }
        }
        Ok(bytes)
    }

    /// What Go writes for a field without a value: nothing for pointers and nil bytes.
    fn zero(self, out: &mut Vec<u8>, field: &MessageField, kind: &FieldType) -> Result<(), String> {
        match (kind, field.zero) {
            (FieldType::Scalar(kind), Zero::Omitted | Zero::Written) => match &**kind {
                "bytes" => {}
                "string" => length_delimited(out, field.number, b""),
                _ => varint_field(out, field.number, 0),
            },
            (FieldType::Message(name), Zero::Written) if decoder(name).is_some() => {
                length_delimited(out, field.number, b"");
            }
            (FieldType::Message(name), Zero::Written) => {
                length_delimited(out, field.number, &self.fields(name, &Map::new())?);
            }
            (_, Zero::Omitted | Zero::Kept) => {}
        }
        Ok(())
    }

    fn field(self, out: &mut Vec<u8>, field: &MessageField, value: &Value) -> Result<(), String> {
        let wrong = || format!("{} is {value}", field.name);
        match field.shape {
            FieldShape::Single => self.value(out, field.number, &field.value, value),
            FieldShape::Repeated => {
                let items = value.as_array().ok_or_else(wrong)?;
                match &field.value {
                    FieldType::Scalar(kind) if self.packed && is_number(kind) => {
                        let mut packed = Vec::new();
                        for item in items {
                            varint(&mut packed, number(item).ok_or_else(wrong)?);
                        }
                        length_delimited(out, field.number, &packed);
                        Ok(())
                    }
                    kind => {
                        items.iter().try_for_each(|item| self.value(out, field.number, kind, item))
                    }
                }
            }
            FieldShape::Map => {
                for (key, value) in value.as_object().ok_or_else(wrong)? {
                    let mut entry = Vec::new();
                    if self.zeros || !key.is_empty() {
                        length_delimited(&mut entry, 1, key.as_bytes());
                    }
                    self.value(&mut entry, 2, &field.value, value)?;
                    length_delimited(out, field.number, &entry);
                }
                Ok(())
            }
        }
    }

    fn value(
        self,
        out: &mut Vec<u8>,
        field: u32,
        kind: &FieldType,
        value: &Value,
    ) -> Result<(), String> {
        let wrong = || format!("{value} is no {kind:?}");
        match kind {
            FieldType::Message(name) => length_delimited(out, field, &self.message(name, value)?),
            FieldType::Scalar(kind) => match &**kind {
                "string" => {
                    length_delimited(out, field, value.as_str().ok_or_else(wrong)?.as_bytes());
                }
                "bytes" => {
                    let text = value.as_str().ok_or_else(wrong)?;
                    length_delimited(out, field, &BASE64.decode(text).map_err(|_| wrong())?);
                }
                "double" => {
                    tag(out, field, 1);
                    let number = value.as_f64().ok_or_else(wrong)?;
                    out.extend(number.to_bits().to_le_bytes());
                }
                _ => {
                    tag(out, field, 0);
                    varint(out, number(value).ok_or_else(wrong)?);
                }
            },
        }
        Ok(())
    }

    /// Messages whose JSON is not an object of their fields.
    fn special(self, name: &str, value: &Value) -> Result<Option<Vec<u8>>, String> {
        let mut out = Vec::new();
        match name.rsplit('.').next().unwrap_or_default() {
            "Time" | "MicroTime" => {
                let text = value.as_str().ok_or("a time is text")?;
                let time: Timestamp = text.parse().map_err(|_| format!("no time: {text}"))?;
                varint_field(&mut out, 1, time.as_second());
                varint_field(&mut out, 2, time.subsec_nanosecond().into());
            }
            "Quantity" => {
                length_delimited(&mut out, 1, value.as_str().ok_or("quantity")?.as_bytes());
            }
            "IntOrString" => {
                varint_field(&mut out, 1, value.is_string().into());
                varint_field(&mut out, 2, value.as_i64().unwrap_or_default());
                length_delimited(&mut out, 3, value.as_str().unwrap_or_default().as_bytes());
            }
            "FieldsV1" | "JSON" => length_delimited(&mut out, 1, value.to_string().as_bytes()),
            "RawExtension" => {
                let is_built_in = value["kind"] == "ConfigMap" && value["apiVersion"] == "v1";
                let raw = if self.nested_envelopes && is_built_in {
                    self.body(value)?
                } else {
                    value.to_string().into_bytes()
                };
                length_delimited(&mut out, 1, &raw);
            }
            "ExtraValue" | "Verbs" => strings(&mut out, 1, value)?,
            "JSONSchemaPropsOrArray" => match value.as_array() {
                Some(schemas) => {
                    for schema in schemas {
                        length_delimited(&mut out, 2, &self.message(SCHEMA, schema)?);
                    }
                }
                None => length_delimited(&mut out, 1, &self.message(SCHEMA, value)?),
            },
            "JSONSchemaPropsOrBool" => {
                varint_field(&mut out, 1, value.as_bool().unwrap_or(true).into());
                if value.is_object() {
                    length_delimited(&mut out, 2, &self.message(SCHEMA, value)?);
                }
            }
            "JSONSchemaPropsOrStringArray" if value.is_array() => strings(&mut out, 2, value)?,
            "JSONSchemaPropsOrStringArray" => {
                length_delimited(&mut out, 1, &self.message(SCHEMA, value)?);
            }
            _ => return Ok(None),
        }
        Ok(Some(out))
    }
}

/// The field that a member of a message's object is, be it one of an embedded message.
pub(super) fn field(message: &str, member: &str) -> Option<&'static MessageField> {
    let fields = builtin::message(message)?;
    fields.iter().find(|field| &*field.name == member && member != ".").or_else(|| {
        fields.iter().filter(|field| &*field.name == ".").find_map(|embedded| {
            match &embedded.value {
                FieldType::Message(name) => field(name, member),
                FieldType::Scalar(_) => None,
            }
        })
    })
}

fn strings(out: &mut Vec<u8>, field: u32, value: &Value) -> Result<(), String> {
    for item in value.as_array().ok_or("a list")? {
        length_delimited(out, field, item.as_str().ok_or("a list of strings")?.as_bytes());
    }
    Ok(())
}

fn is_number(kind: &str) -> bool {
    matches!(kind, "bool" | "int32" | "int64")
}

/// An integer or bool as the wire has it.
fn number(value: &Value) -> Option<u64> {
    value.as_bool().map(u64::from).or_else(|| value.as_i64().map(i64::cast_unsigned))
}

fn tag(out: &mut Vec<u8>, field: u32, wire_type: u64) {
    varint(out, u64::from(field) << 3 | wire_type);
}

fn varint_field(out: &mut Vec<u8>, field: u32, value: i64) {
    tag(out, field, 0);
    varint(out, value.cast_unsigned());
}

fn length_delimited(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    tag(out, field, 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
