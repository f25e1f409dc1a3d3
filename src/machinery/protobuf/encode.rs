//! Kubernetes' JSON as Kubernetes' protobuf: the way of answers.
//!
//! The text is read once, member by member, and written as it is read; there is no tree in between.
//! Members that a message does not have are left out, as are nulls. Zeros are written if the JSON
//! has them, so that what Go keeps behind a pointer stays; what the JSON lacks is not written, which
//! every decoder takes for zero. Members of embedded messages are written one by one, as messages
//! with one field each, which decoders merge.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::plan::{Field, Kind, Message};
use super::{MAGIC, message_name};
use crate::machinery::moment::Moment;
use crate::machinery::tables::messages::FieldShape;

/// Why an object has no protobuf form.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It is of no built-in kind.
    #[error("no message for kind \"{kind}\" of \"{api_version}\"")]
    UnknownKind {
        /// The object's apiVersion.
        api_version: String,
        /// The object's kind.
        kind: String,
    },
    /// The text is no object of its kind.
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
}

/// Encodes an object, a list or a Status, with its envelope.
///
/// # Errors
/// Whatever keeps the text from being an object of a kind with a message.
pub fn encode(json: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(json.len() + 64);
    write_envelope(&mut out, json)?;
    Ok(out)
}

/// Appends a watch event as a client reads it from a stream: four bytes of length and a
/// `WatchEvent`, whose object has an envelope of its own.
/// (kubernetes 1.36: apimachinery/pkg/util/framer, serializer/protobuf RawSerializer)
///
/// # Errors
/// As [`encode`].
pub fn write_event(out: &mut Vec<u8>, kind: &str, object: &[u8]) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    text(out, 1, kind);
    let written = nested(out, 2, |out| nested(out, 1, |out| write_envelope(out, object)));
    if let Err(error) = written {
        out.truncate(start);
        return Err(error);
    }
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn write_envelope(out: &mut Vec<u8>, json: &[u8]) -> Result<(), EncodeError> {
    let types = Types::of(json);
    let Some(message) = message(&types) else {
        let Types { api_version, kind } = types;
        return Err(EncodeError::UnknownKind { api_version, kind });
    };
    out.extend_from_slice(MAGIC);
    nested(out, 1, |out| {
        text(out, 1, &types.api_version);
        text(out, 2, &types.kind);
    });
    nested(out, 2, |out| {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        Members { message, out, is_whole: true }.deserialize(&mut deserializer)?;
        deserializer.end()
    })?;
    // Content encoding and type, which are empty for protobuf.
    text(out, 3, "");
    text(out, 4, "");
    Ok(())
}

fn message(types: &Types) -> Option<&'static Message> {
    let Types { api_version, kind } = types;
    let shown = match (&**api_version, &**kind) {
        ("meta.k8s.io/v1beta1", "PartialObjectMetadataList") => {
            Some("k8s.io.apimachinery.pkg.apis.meta.v1beta1.PartialObjectMetadataList")
        }
        ("meta.k8s.io/v1" | "meta.k8s.io/v1beta1", "PartialObjectMetadata") => {
            Some("k8s.io.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata")
        }
        ("meta.k8s.io/v1", "PartialObjectMetadataList") => {
            Some("k8s.io.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList")
        }
        ("", "APIVersions") => Some("k8s.io.apimachinery.pkg.apis.meta.v1.APIVersions"),
        ("v1", "APIGroupList") => Some("k8s.io.apimachinery.pkg.apis.meta.v1.APIGroupList"),
        ("v1", "APIGroup") => Some("k8s.io.apimachinery.pkg.apis.meta.v1.APIGroup"),
        ("" | "v1", "APIResourceList") => {
            Some("k8s.io.apimachinery.pkg.apis.meta.v1.APIResourceList")
        }
        ("apidiscovery.k8s.io/v2", "APIGroupDiscoveryList") => {
            Some("k8s.io.api.apidiscovery.v2.APIGroupDiscoveryList")
        }
        _ => None,
    };
    match shown {
        Some(name) => Message::named(name),
        None => Message::named(&message_name(api_version, kind)?),
    }
}

/// What an object says of its type, wherever among its members.
#[derive(Default)]
struct Types {
    api_version: String,
    kind: String,
}

impl Types {
    fn of(json: &[u8]) -> Self {
        let mut types = Self::default();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        // Reading stops with an error as soon as both are known.
        let _ = deserializer.deserialize_map(&mut types);
        types
    }
}

impl<'de> Visitor<'de> for &mut Types {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match &*name {
                "apiVersion" => self.api_version = map.next_value()?,
                "kind" => self.kind = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if !self.api_version.is_empty() && !self.kind.is_empty() {
                return Err(A::Error::custom("both are known"));
            }
        }
        Ok(())
    }
}

/// Writes the members of an object as fields of a message.
struct Members<'a> {
    message: &'static Message,
    out: &'a mut Vec<u8>,
    /// The object's own apiVersion and kind stand in the envelope.
    is_whole: bool,
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(FieldName(self.message, self.is_whole))? {
            match field {
                Some(field) => map.next_value_seed(FieldValue { field, out: self.out })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Finds the field of a member.
struct FieldName(&'static Message, bool);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(match name {
            "apiVersion" | "kind" if self.1 => None,
            _ => self.0.field(name),
        })
    }
}

/// Writes a member as the field that it is.
struct FieldValue<'a> {
    field: &'static Field,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { field, out } = self;
        let start = out.len();
        let opened: Vec<usize> = field.holders.iter().map(|number| open(out, *number)).collect();
        let begun = out.len();
        match field.shape {
            FieldShape::Single => {
                Single(field.number, field.kind, out).deserialize(deserializer)?
            }
            FieldShape::Repeated => deserializer.deserialize_any(Items(field, out))?,
            FieldShape::Map => deserializer.deserialize_any(Entries(field, out))?,
        }
        if out.len() == begun {
            out.truncate(start);
        } else {
            opened.into_iter().rev().for_each(|place| close(out, place));
        }
        Ok(())
    }
}

/// Writes the items of a list.
struct Items<'a>(&'static Field, &'a mut Vec<u8>);

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(Field { number, kind, .. }, out) = self;
        loop {
            let start = out.len();
            if items.next_element_seed(Single(*number, *kind, out))?.is_none() {
                return Ok(());
            }
            if out.len() == start {
                zero(out, *number, *kind);
            }
        }
    }
}

/// An item or value of a map that is null: Go's zero value.
fn zero(out: &mut Vec<u8>, number: u32, kind: Kind) {
    match kind {
        Kind::Integer => integer(out, number, 0),
        Kind::Double => {
            tag(out, number, 1);
            out.extend_from_slice(&[0; 8]);
        }
        _ => text(out, number, ""),
    }
}

/// Writes the entries of a map.
struct Entries<'a>(&'static Field, &'a mut Vec<u8>);

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(Field { number, kind, .. }, out) = self;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            nested(out, *number, |out| {
                text(out, 1, &key);
                let start = out.len();
                map.next_value_seed(Single(2, *kind, out))?;
                if out.len() == start {
                    zero(out, 2, *kind);
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Writes one value with the number of its field; nothing for null.
struct Single<'a>(u32, Kind, &'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Single<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self(number, kind, out) = self;
        if kind != Kind::Raw {
            return deserializer.deserialize_any(Self(number, kind, out));
        }
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        if raw != "null" {
            nested(out, number, |out| text(out, 1, raw));
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Single<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of the kind {:?}", self.1)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        let Self(number, kind, out) = self;
        match kind {
            Kind::Integer => integer(out, number, i64::from(value)),
            Kind::SchemaOrBool(_) => nested(out, number, |out| integer(out, 1, i64::from(value))),
            _ => return Err(wrong(kind, &value)),
        }
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        let Self(number, kind, out) = self;
        match kind {
            Kind::Integer => integer(out, number, value),
            Kind::IntOrString => nested(out, number, |out| {
                integer(out, 1, 0);
                integer(out, 2, value);
            }),
            Kind::Double => double(out, number, value as f64),
            Kind::Quantity => nested(out, number, |out| text(out, 1, &value.to_string())),
            _ => return Err(wrong(kind, &value)),
        }
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.visit_i64(value.cast_signed())
    }

    #[expect(clippy::cast_possible_truncation, reason = "only whole numbers are cast")]
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        match self.1 {
            Kind::Double => double(self.2, self.0, value),
            Kind::Quantity => nested(self.2, self.0, |out| text(out, 1, &value.to_string())),
            _ if value.fract() == 0.0 => return self.visit_i64(value as i64),
            kind => return Err(wrong(kind, &value)),
        }
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        let Self(number, kind, out) = self;
        match kind {
            Kind::Text => text(out, number, value),
            Kind::Bytes => {
                let place = open(out, number);
                BASE64.decode_vec(value, out).map_err(|error| E::custom(error))?;
                close(out, place);
            }
            Kind::Quantity => nested(out, number, |out| text(out, 1, value)),
            Kind::IntOrString => nested(out, number, |out| {
                integer(out, 1, 1);
                integer(out, 2, 0);
                text(out, 3, value);
            }),
            Kind::Time => {
                let time = Moment::parse(value).ok_or_else(|| E::custom("a time that is none"))?;
                nested(out, number, |out| {
                    integer(out, 1, time.seconds);
                    integer(out, 2, time.nanoseconds.into());
                });
            }
            _ => return Err(wrong(kind, &value)),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self(number, kind, out) = self;
        let members = |place, out: &mut Vec<u8>| {
            Members { message: Message::at(place), out, is_whole: false }.visit_map(map)
        };
        match kind {
            Kind::Message(place) => nested(out, number, |out| members(place, out)),
            Kind::SchemaOrArray(place) | Kind::SchemaOrTexts(place) => {
                nested(out, number, |out| nested(out, 1, |out| members(place, out)))
            }
            Kind::SchemaOrBool(place) => nested(out, number, |out| {
                integer(out, 1, 1);
                nested(out, 2, |out| members(place, out))
            }),
            _ => Err(wrong(kind, &"an object")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(number, kind, out) = self;
        let (number_of_items, kind_of_items) = match kind {
            Kind::Texts => (1, Kind::Text),
            Kind::SchemaOrTexts(_) => (2, Kind::Text),
            Kind::SchemaOrArray(place) => (2, Kind::Message(place)),
            _ => return Err(wrong(kind, &"a list")),
        };
        nested(out, number, |out| {
            while items.next_element_seed(Single(number_of_items, kind_of_items, out))?.is_some() {}
            Ok(())
        })
    }
}

fn wrong<E: serde::de::Error>(kind: Kind, value: &dyn fmt::Debug) -> E {
    E::custom(format!("{value:?} is no value of the kind {kind:?}"))
}

fn tag(out: &mut Vec<u8>, number: u32, wire_type: u64) {
    varint(out, u64::from(number) << 3 | wire_type);
}

fn integer(out: &mut Vec<u8>, number: u32, value: i64) {
    tag(out, number, 0);
    varint(out, value.cast_unsigned());
}

fn double(out: &mut Vec<u8>, number: u32, value: f64) {
    tag(out, number, 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn text(out: &mut Vec<u8>, number: u32, value: &str) {
    tag(out, number, 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

/// Writes a message as a field.
fn nested<R>(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let place = open(out, number);
    let result = write(out);
    close(out, place);
    result
}

/// Begins a field of unknown length, for which one byte is left.
fn open(out: &mut Vec<u8>, number: u32) -> usize {
    tag(out, number, 2);
    out.push(0);
    out.len()
}

/// Ends what began behind `place`: its length goes in front of it, which moves it if one byte is
/// not enough.
fn close(out: &mut Vec<u8>, place: usize) {
    let length = out.len() - place;
    if let Ok(short @ 0..0x80) = u8::try_from(length) {
        out[place - 1] = short;
        return;
    }
    let mut digits = Vec::with_capacity(10);
    varint(&mut digits, length as u64);
    out.splice(place - 1..place, digits);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
