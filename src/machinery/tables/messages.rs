//! Protobuf messages of the built-in kinds: field numbers, names and types.
//!
//! A message is a line with its name, then one line a field: ` 1 metadata &<message>`. Types are
//! protobuf's scalars, `&<message>`, `[]<type>` for repeated fields and `{}<type>` for maps from
//! strings. A mark says what JSON does with zeros: `!` is a pointer, whose zero is a value, `+` a
//! field that JSON always has, and others have no zeros. Names are those of JSON; `.` is a
//! message whose fields stand in its parent's JSON object. Names of messages are shortened: `@` is
//! `k8s.io.api.`, `%` is `k8s.io.apimachinery.pkg.apis.meta.v1.`.

use std::collections::HashMap;

/// Prefixes of message names and their abbreviations in the table.
pub const ABBREVIATIONS: [(char, &str); 2] =
    [('%', "k8s.io.apimachinery.pkg.apis.meta.v1."), ('@', "k8s.io.api.")];

/// Fields of messages, by full message name (`k8s.io.api.core.v1.Pod`).
pub type Messages = HashMap<String, Vec<MessageField>>;

/// One field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageField {
    /// Field number.
    pub number: u32,
    /// Name in JSON; `.` if the fields of the message stand in the parent's object.
    pub name: Box<str>,
    /// What JSON does when the value is zero.
    pub zero: Zero,
    /// Whether there is one value, a list or a map from strings.
    pub shape: FieldShape,
    /// Type of the value, of an item or of a map's value.
    pub value: FieldType,
}

/// What JSON does with the zero value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    /// It leaves the field out: Go's field has `omitempty`.
    Omitted,
    /// It has the field if it was set: Go's field is a pointer.
    Kept,
    /// It always has the field: Go's field has no `omitempty`, or is a struct.
    Written,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldShape {
    /// One.
    Single,
    /// A repeated field.
    Repeated,
    /// A map from strings.
    Map,
}

/// Type of a single value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A protobuf scalar: `string`, `bytes`, `bool`, `int32`, `int64`, `double`.
    Scalar(Box<str>),
    /// A message by full name.
    Message(Box<str>),
}

/// Parses the messages of a table; a malformed line is skipped.
pub fn parse(text: &str) -> Messages {
    let mut messages = Messages::new();
    let mut current = None;
    for line in text.lines() {
        match line.strip_prefix(' ') {
            None => current = Some(messages.entry(expand(line)).or_default()),
            Some(line) => {
                if let (Some(fields), Some(field)) = (current.as_deref_mut(), field(line)) {
                    fields.push(field);
                }
            }
        }
    }
    messages
}

fn field(line: &str) -> Option<MessageField> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    let name = words.next()?.into();
    let kind = words.next()?;
    let (shape, kind) = if let Some(item) = kind.strip_prefix("[]") {
        (FieldShape::Repeated, item)
    } else if let Some(value) = kind.strip_prefix("{}") {
        (FieldShape::Map, value)
    } else {
        (FieldShape::Single, kind)
    };
    let (kind, zero) = if let Some(kind) = kind.strip_suffix('!') {
        (kind, Zero::Kept)
    } else if let Some(kind) = kind.strip_suffix('+') {
        (kind, Zero::Written)
    } else {
        (kind, Zero::Omitted)
    };
    let value = match kind.strip_prefix('&') {
        Some(message) => FieldType::Message(expand(message).into()),
        None => FieldType::Scalar(kind.into()),
    };
    Some(MessageField { number, name, zero, shape, value })
}

fn expand(name: &str) -> String {
    let prefix = ABBREVIATIONS.iter().find(|(mark, _)| name.starts_with(*mark));
    prefix.map_or_else(|| name.to_owned(), |(_, prefix)| format!("{prefix}{}", &name[1..]))
}
