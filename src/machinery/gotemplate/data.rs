//! Values of templates, with the Go types that they would have.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use serde_json::Value;

/// A value. Maps are shared and can be changed, as Go's are; lists and texts cannot.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// What a missing key of a map gives.
    Absent,
    /// nil.
    Nil,
    Bool(bool),
    /// int
    Int(i64),
    /// int64
    Int64(i64),
    /// uint64
    Uint(u64),
    /// float64
    Float(f64),
    Text(Rc<str>),
    List(Elements, Rc<Items>),
    Map(Elements, Rc<RefCell<Entries>>),
    Version(Rc<Version>),
}

/// Elements of a list. Templates can nest values deeper than a stack is, so they are dropped one
/// by one and not by recursion.
#[derive(Debug, Default)]
pub(super) struct Items(Vec<Data>);

/// Entries of a map; dropped as [`Items`] are.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<Rc<str>, Data>);

impl Deref for Items {
    type Target = Vec<Data>;

    fn deref(&self) -> &Vec<Data> {
        &self.0
    }
}

impl Deref for Entries {
    type Target = BTreeMap<Rc<str>, Data>;

    fn deref(&self) -> &BTreeMap<Rc<str>, Data> {
        &self.0
    }
}

impl DerefMut for Entries {
    fn deref_mut(&mut self) -> &mut BTreeMap<Rc<str>, Data> {
        &mut self.0
    }
}

impl FromIterator<Data> for Items {
    fn from_iter<I: IntoIterator<Item = Data>>(elements: I) -> Self {
        Self(elements.into_iter().collect())
    }
}

impl FromIterator<(Rc<str>, Data)> for Entries {
    fn from_iter<I: IntoIterator<Item = (Rc<str>, Data)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        release(std::mem::take(&mut self.0));
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            release(std::mem::take(&mut self.0).into_values().collect());
        }
    }
}

/// Drops values; what only they hold is taken out of them first.
fn release(mut left: Vec<Data>) {
    while let Some(data) = left.pop() {
        match data {
            Data::List(_, items) => {
                if let Some(mut items) = Rc::into_inner(items) {
                    left.append(&mut items.0);
                }
            }
            Data::Map(_, entries) => {
                if let Some(entries) = Rc::into_inner(entries) {
                    left.extend(std::mem::take(&mut entries.into_inner().0).into_values());
                }
            }
            _ => {}
        }
    }
}

/// What a list or map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elements {
    /// interface{}
    Any,
    /// string
    Text,
    /// int
    Int,
}

/// A semantic version as sprig's `semver` gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    pub(super) original: String,
    pub(super) major: u64,
    pub(super) minor: u64,
    pub(super) patch: u64,
    pub(super) prerelease: String,
    pub(super) metadata: String,
}

impl Data {
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub(super) fn list(list: Vec<Self>) -> Self {
        Self::List(Elements::Any, Rc::new(Items(list)))
    }

    pub(super) fn texts(list: impl IntoIterator<Item = String>) -> Self {
        Self::List(Elements::Text, Rc::new(list.into_iter().map(Self::text).collect()))
    }

    pub(super) fn map(map: BTreeMap<Rc<str>, Self>) -> Self {
        Self::Map(Elements::Any, Rc::new(RefCell::new(Entries(map))))
    }

    /// JSON as Go decodes it without types: every number is a float64.
    pub(super) fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Float(number.as_f64().unwrap_or_default()),
            Value::String(text) => Self::text(text),
            Value::Array(list) => Self::list(list.iter().map(Self::from_json).collect()),
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| (key.as_str().into(), value));
                Self::map(entries.map(|(key, value)| (key, Self::from_json(value))).collect())
            }
        }
    }

    /// Whether it is nil in any sense.
    pub(super) fn is_nil(&self) -> bool {
        matches!(self, Self::Absent | Self::Nil)
    }

    /// How much of it lies on its surface: bytes of a text, elements of a list or map.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(_, list) => list.len(),
            Self::Map(_, map) => map.borrow().len(),
            _ => 1,
        }
    }

    /// Truth as `if` sees it; also what sprig calls not empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Absent | Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(number) | Self::Int64(number) => *number != 0,
            Self::Uint(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(_, list) => !list.is_empty(),
            Self::Map(_, map) => !map.borrow().is_empty(),
            Self::Version(_) => true,
        }
    }

    /// Name of its Go type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Absent | Self::Nil => "interface {}",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint(_) => "uint64",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(Elements::Any, _) => "[]interface {}",
            Self::List(Elements::Text, _) => "[]string",
            Self::List(Elements::Int, _) => "[]int",
            Self::Map(Elements::Text, _) => "map[string]string",
            Self::Map(..) => "map[string]interface {}",
            Self::Version(_) => "*semver.Version",
        }
    }

    /// Name of its Go kind.
    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Self::Absent | Self::Nil => "invalid",
            Self::List(..) => "slice",
            Self::Map(..) => "map",
            Self::Version(_) => "ptr",
            other => other.type_name(),
        }
    }
}
