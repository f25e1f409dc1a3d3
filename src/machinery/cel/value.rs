//! Values at run time. JSON is read where it lies and converted when it is looked at, by its
//! schema if it has one (kubernetes 1.36: apiserver/pkg/cel/common/valuesunstructured.go).

use std::ops::Deref;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::Value;

use super::error::EvalError;
use super::json::{self, Shape};
use super::library::Object;

/// A value. Borrows the JSON and the schema it was made from.
#[derive(Clone, Debug)]
pub enum Val<'a> {
    /// `null`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint`.
    Uint(u64),
    /// `double`.
    Double(f64),
    /// `string`.
    String(Text<'a>),
    /// `bytes`.
    Bytes(Arc<[u8]>),
    /// `duration`, in nanoseconds.
    Duration(i64),
    /// `timestamp`.
    Timestamp(Timestamp),
    /// `list`.
    List(List<'a>),
    /// `map`, and objects with declared fields.
    Map(Map<'a>),
    /// A type, by name.
    Type(Arc<str>),
    /// `optional_type`.
    Optional(Option<Arc<Val<'a>>>),
    /// A value of a library type, e.g. a quantity.
    Object(Arc<Object>),
    /// Data without a schema inside data with one; it can only be compared.
    Unknown(&'a Value),
}

/// A string, borrowed or shared.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// Lies in JSON.
    Borrowed(&'a str),
    /// Was made.
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// A list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// JSON, with the list's shape.
    Json(&'a [Value], Shape<'a>),
    /// Made values.
    Values(Arc<Vec<Val<'a>>>),
}

/// A map.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// JSON, with the map's shape.
    Json(&'a serde_json::Map<String, Value>, Shape<'a>),
    /// Made entries.
    Values(Arc<Entries<'a>>),
}

/// Entries of a made map, in order of insertion.
pub type Entries<'a> = IndexMap<Key<'a>, Val<'a>>;

/// A key of a map. Whole numbers are one key whatever their type is.
#[derive(Clone, Debug)]
pub enum Key<'a> {
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint`.
    Uint(u64),
    /// `string`.
    String(Text<'a>),
}

impl Key<'_> {
    fn number(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some((*number).into()),
            Self::Uint(number) => Some((*number).into()),
            Self::Bool(_) | Self::String(_) => None,
        }
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(one), Self::Bool(two)) => one == two,
            (Self::String(one), Self::String(two)) => **one == **two,
            _ => self.number().is_some() && self.number() == other.number(),
        }
    }
}
impl Eq for Key<'_> {}

impl std::hash::Hash for Key<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Bool(value) => value.hash(state),
            Self::String(text) => (**text).hash(state),
            Self::Int(_) | Self::Uint(_) => self.number().hash(state),
        }
    }
}

impl<'a> From<Key<'a>> for Val<'a> {
    fn from(key: Key<'a>) -> Self {
        match key {
            Key::Bool(value) => Self::Bool(value),
            Key::Int(value) => Self::Int(value),
            Key::Uint(value) => Self::Uint(value),
            Key::String(text) => Self::String(text),
        }
    }
}

impl<'a> Val<'a> {
    /// A string of its own.
    pub fn text(text: &str) -> Self {
        Self::String(Text::Shared(text.into()))
    }

    /// A made list.
    pub fn list(values: Vec<Val<'a>>) -> Self {
        Self::List(List::Values(Arc::new(values)))
    }

    /// A made map.
    pub fn map(entries: Entries<'a>) -> Self {
        Self::Map(Map::Values(Arc::new(entries)))
    }

    /// JSON without a schema.
    pub fn json(value: &'a Value) -> Self {
        json::natural(value)
    }

    pub(super) fn object(object: Object) -> Self {
        Self::Object(Arc::new(object))
    }

    pub(super) fn some(value: Val<'a>) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// The string, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The type's name, as `type(x)` gives it.
    pub(super) fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Object(object) => object.type_name(),
            Self::Unknown(_) => "unknown",
        }
    }

    /// The value as a key.
    pub(super) fn key(&self) -> Option<Key<'a>> {
        Some(match self {
            Self::Bool(value) => Key::Bool(*value),
            Self::Int(value) => Key::Int(*value),
            Self::Uint(value) => Key::Uint(*value),
            Self::String(text) => Key::String(text.clone()),
            Self::Double(value) if value.fract() == 0.0 && value.abs() < 9e18 => {
                Key::Int(*value as i64)
            }
            _ => return None,
        })
    }

    /// Size for costs: characters, bytes, items or entries; one for everything else.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::String(text) => text.chars().count() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::List(list) => list.len() as u64,
            Self::Map(map) => map.len() as u64,
            Self::Optional(Some(value)) => value.size(),
            Self::Object(object) => object.size(),
            _ => 1,
        }
    }

    /// Whether this is the zero value of its type (`optional.ofNonZeroValue`).
    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(value) => !value,
            Self::Int(value) | Self::Duration(value) => *value == 0,
            Self::Uint(value) => *value == 0,
            Self::Double(value) => *value == 0.0,
            Self::String(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Map(map) => map.is_empty(),
            Self::Optional(value) => value.is_none(),
            Self::Timestamp(_) | Self::Type(_) | Self::Object(_) | Self::Unknown(_) => false,
        }
    }
}

impl<'a> List<'a> {
    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(items, _) => items.len(),
            Self::Values(values) => values.len(),
        }
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at an index.
    pub fn get(&self, index: usize) -> Option<Result<Val<'a>, EvalError>> {
        match self {
            Self::Json(items, shape) => Some(json::convert(items.get(index)?, shape.item())),
            Self::Values(values) => values.get(index).cloned().map(Ok),
        }
    }

    /// All items.
    pub fn iter(&self) -> impl Iterator<Item = Result<Val<'a>, EvalError>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// All items, or the first error.
    pub(super) fn values(&self) -> Result<Vec<Val<'a>>, EvalError> {
        self.iter().collect()
    }
}

impl<'a> Map<'a> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(map, _) => map.len(),
            Self::Values(entries) => entries.len(),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field or key; `None` if it is not there.
    pub fn get(&self, key: &Key<'_>) -> Option<Result<Val<'a>, EvalError>> {
        match (self, key) {
            (Self::Json(map, shape), Key::String(name)) => json::field(map, *shape, name),
            (Self::Json(..), _) => None,
            (Self::Values(entries), key) => entries.get(&KeyRef(key)).cloned().map(Ok),
        }
    }

    /// All keys, in order.
    pub(super) fn keys(&self) -> Vec<Key<'a>> {
        match self {
            Self::Json(map, shape) => json::keys(map, *shape),
            Self::Values(entries) => entries.keys().cloned().collect(),
        }
    }
}

/// A key of any lifetime, to look entries up by.
struct KeyRef<'k>(&'k Key<'k>);

impl std::hash::Hash for KeyRef<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl indexmap::Equivalent<Key<'_>> for KeyRef<'_> {
    fn equivalent(&self, key: &Key<'_>) -> bool {
        self.0 == key
    }
}
