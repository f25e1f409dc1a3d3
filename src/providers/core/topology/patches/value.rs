//! Values of variables by path, like `builtin.cluster.network.pods[0]`.
//! (CAPI v1.14: patches/variables/value.go)

use std::collections::BTreeMap;

use serde_json::Value;

use crate::machinery::status::quote;

/// Why a path has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// There is nothing at the path.
    #[error("{0}")]
    NotFound(String),
    /// The path is malformed or does not fit the value.
    #[error("{0}")]
    Invalid(String),
}

/// The value at a path `name.field.list[0].field`.
pub fn variable_value(
    variables: &BTreeMap<String, Value>,
    path: &str,
) -> Result<Value, VariableError> {
    let quoted = quote(path);
    let mut parts = path.split('.');
    let name = parts.next().unwrap_or_default();
    let segment = Segment::parse(name).map_err(|error| {
        VariableError::Invalid(format!("variable {quoted} is invalid: {error}"))
    })?;
    let Some(mut value) = variables.get(segment.path) else {
        let message = format!("variable {} does not exist", quote(name));
        return Err(VariableError::NotFound(message));
    };
    value = segment.element(value, path)?;
    for part in parts {
        let segment = Segment::parse(part).map_err(|error| {
            VariableError::Invalid(format!("variable {quoted} has invalid syntax: {error}"))
        })?;
        let Some(member) = member(value, segment.path) else {
            let segment = quote(segment.path);
            let message =
                format!("variable {quoted} does not exist: failed to lookup segment {segment}");
            return Err(VariableError::NotFound(message));
        };
        value = segment.element(member, path)?;
    }
    Ok(value.clone())
}

/// A member of an object, or an element of a list by a number as its name.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(name),
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// `field` or `field[index]`.
struct Segment<'a> {
    path: &'a str,
    index: Option<usize>,
}

impl<'a> Segment<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let quoted = quote(text);
        let (start, end) = match (text.find('['), text.find(']')) {
            (None, None) => return Ok(Self { path: text, index: None }),
            (Some(start), Some(end)) if start < end => (start, end),
            _ => return Err(format!("failed to parse path segment {quoted}")),
        };
        let number = &text[start + 1..end];
        let index: i64 = number.parse().map_err(|_| {
            format!(
                "failed to parse array index in path segment {quoted}: strconv.Atoi: parsing {}: \
                 invalid syntax",
                quote(number)
            )
        })?;
        let index = usize::try_from(index)
            .map_err(|_| format!("invalid array index {index} in path segment {quoted}"))?;
        Ok(Self { path: &text[..start], index: Some(index) })
    }

    /// The element of a list that the index names, or the value itself without an index.
    fn element<'v>(&self, value: &'v Value, path: &str) -> Result<&'v Value, VariableError> {
        let Some(index) = self.index else { return Ok(value) };
        let invalid = |message: String| {
            VariableError::Invalid(format!("variable {} is invalid: {message}", quote(path)))
        };
        let Some(list) = value.as_array() else {
            let (found, segment) = (type_name(value), quote(self.path));
            return Err(invalid(format!(
                "failed to get array {segment}: value doesn't contain array; it contains {found}"
            )));
        };
        list.get(index).ok_or_else(|| invalid(format!("array does not have index {index}")))
    }
}

/// Name of a value's type as fastjson has it.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
