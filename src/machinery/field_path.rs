//! Path elements of server-side apply, in the form `fieldsV1` writes them: `f:spec`,
//! `k:{"name":"a"}`, `v:"x"`, `i:0`.
//!
//! An element is kept in that text form: it compares and prints without further work, and maps of
//! elements are maps of strings. Keys and values are canonical JSON (sorted keys, no spaces).

use std::fmt;

use serde_json::{Map, Value};

use super::status::quote;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathElement(Box<str>);

impl PathElement {
    /// A field of an object.
    pub fn field(name: &str) -> Self {
        Self(format!("f:{name}").into())
    }

    /// An item of a keyed list.
    pub fn key(keys: Map<String, Value>) -> Self {
        Self(format!("k:{}", Value::Object(keys)).into())
    }

    /// An item of a set.
    pub fn value(value: &Value) -> Self {
        Self(format!("v:{value}").into())
    }

    /// Reads the text form and makes it canonical; `None` for forms that are not known.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, content) = text.split_once(':')?;
        match kind {
            "f" => Some(Self(text.into())),
            "v" => Some(Self::value(&serde_json::from_str(content).ok()?)),
            "k" => Some(Self::key(serde_json::from_str(content).ok()?)),
            "i" => content.parse::<u32>().ok().map(|_| Self(text.into())),
            _ => None,
        }
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The field's name, if the element is a field.
    pub fn field_name(&self) -> Option<&str> {
        self.0.strip_prefix("f:")
    }

    /// Whether the element is an item of a keyed list or of a set.
    pub fn is_item(&self) -> bool {
        !self.0.starts_with("f:")
    }
}

impl fmt::Display for PathElement {
    /// The form of conflict messages: `.name`, `[name="a"]`, `[="x"]`, `[0]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, content) = self.0.split_once(':').unwrap_or(("f", &self.0));
        let show = |value: &Value| match value {
            Value::String(text) => quote(text),
            other => other.to_string(),
        };
        match kind {
            "f" => write!(f, ".{content}"),
            "v" => {
                let value: Value = serde_json::from_str(content).unwrap_or_default();
                write!(f, "[={}]", show(&value))
            }
            "k" => {
                let keys: Map<String, Value> = serde_json::from_str(content).unwrap_or_default();
                let parts: Vec<String> =
                    keys.iter().map(|(name, value)| format!("{name}={}", show(value))).collect();
                write!(f, "[{}]", parts.join(","))
            }
            _ => write!(f, "[{content}]"),
        }
    }
}

/// A path as conflict messages show it: `.spec.m[name="a"].v`.
pub fn display(path: &[PathElement]) -> String {
    path.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_canonical() {
        let element = PathElement::parse(r#"k:{"protocol": "TCP", "port": 80}"#).unwrap();
        assert_eq!(element.as_str(), r#"k:{"port":80,"protocol":"TCP"}"#);
        assert_eq!(PathElement::parse("x:1"), None);
        assert_eq!(PathElement::parse("."), None);
    }

    #[test]
    fn paths_show_as_in_conflicts() {
        let path = [
            PathElement::field("spec"),
            PathElement::parse(r#"k:{"name":"a"}"#).unwrap(),
            PathElement::parse(r#"v:"x""#).unwrap(),
            PathElement::parse("i:3").unwrap(),
        ];
        assert_eq!(display(&path), r#".spec[name="a"][="x"][3]"#);
    }
}
