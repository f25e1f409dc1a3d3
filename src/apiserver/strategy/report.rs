//! What is wrong with an object: causes, and the paths that they name.
//!
//! A path is linked on the stack and costs nothing until a cause shows it: thousands of simulated
//! Pods and Nodes pass these checks without an allocation.

use std::fmt;

use serde_json::Value;

use crate::machinery::status::{Cause, quote};

/// One step of a path and all before it, in kube-apiserver's notation:
/// `spec.containers[0].resources.limits[cpu]`.
#[derive(Clone, Copy, Debug)]
pub(in crate::apiserver) enum Path<'a> {
    /// Where the path begins, e.g. `spec.template`.
    Root(&'a str),
    /// A field of an object.
    Field(&'a Path<'a>, &'a str),
    /// An item of a list.
    Index(&'a Path<'a>, usize),
    /// An entry of a map.
    Key(&'a Path<'a>, &'a str),
}

impl<'a> Path<'a> {
    /// The field `name` below.
    pub(in crate::apiserver) fn field(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    /// The item `index` below.
    pub(in crate::apiserver) fn index(&'a self, index: usize) -> Path<'a> {
        Path::Index(self, index)
    }

    /// The entry `key` below.
    pub(in crate::apiserver) fn key(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self, key)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(path) => f.write_str(path),
            Path::Field(Path::Root(""), name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Key(parent, key) => write!(f, "{parent}[{key}]"),
        }
    }
}

/// Collects causes.
#[derive(Debug, Default)]
pub(in crate::apiserver) struct Report {
    causes: Vec<Cause>,
}

impl Report {
    /// Takes in causes that were found elsewhere.
    pub(in crate::apiserver) fn extend(&mut self, causes: impl IntoIterator<Item = Cause>) {
        self.causes.extend(causes);
    }

    /// The causes, in the order in which they were found.
    pub(in crate::apiserver) fn into_causes(self) -> Vec<Cause> {
        self.causes
    }

    /// How many causes were found.
    pub(in crate::apiserver) fn len(&self) -> usize {
        self.causes.len()
    }

    /// A field must be there; `why` may be empty.
    pub(in crate::apiserver) fn required(&mut self, path: impl fmt::Display, why: &str) {
        self.causes.push(Cause::required(path.to_string(), why));
    }

    /// A value is wrong; texts are shown in quotes, the rest as JSON.
    pub(in crate::apiserver) fn invalid(
        &mut self,
        path: impl fmt::Display,
        value: &Value,
        why: &str,
    ) {
        self.causes.push(Cause::invalid(path.to_string(), value, why));
    }

    /// A text is wrong.
    pub(in crate::apiserver) fn invalid_text(
        &mut self,
        path: impl fmt::Display,
        text: &str,
        why: &str,
    ) {
        self.shown(path, &quote(text), why);
    }

    /// A text is wrong for each of the reasons.
    pub(in crate::apiserver) fn invalid_texts<T: AsRef<str>>(
        &mut self,
        path: impl fmt::Display,
        text: &str,
        reasons: impl IntoIterator<Item = T>,
    ) {
        let field = path.to_string();
        for why in reasons {
            self.invalid_text(&field, text, why.as_ref());
        }
    }

    /// A number is wrong.
    pub(in crate::apiserver) fn invalid_number(
        &mut self,
        path: impl fmt::Display,
        number: i64,
        why: &str,
    ) {
        self.shown(path, &number.to_string(), why);
    }

    /// A value is wrong that is shown in a form of its own.
    pub(in crate::apiserver) fn shown(&mut self, path: impl fmt::Display, shown: &str, why: &str) {
        self.causes.push(Cause {
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {shown}: {why}"),
            field: path.to_string(),
        });
    }

    /// A field must not be there, or not change.
    pub(in crate::apiserver) fn forbidden(&mut self, path: impl fmt::Display, why: &str) {
        self.causes.push(Cause::forbidden(path.to_string(), why));
    }

    /// A text is none of those supported, which are given in the order in which they are shown.
    pub(in crate::apiserver) fn unsupported(
        &mut self,
        path: impl fmt::Display,
        text: &str,
        supported: &[&str],
    ) {
        self.causes.push(Cause::not_supported(path.to_string(), &text.into(), supported));
    }

    /// A value in a form of its own is none of those supported.
    pub(in crate::apiserver) fn unsupported_shown(
        &mut self,
        path: impl fmt::Display,
        shown: &str,
        supported: &[&str],
    ) {
        let supported: Vec<String> = supported.iter().map(|value| quote(value)).collect();
        let supported = supported.join(", ");
        self.causes.push(Cause {
            reason: "FieldValueNotSupported".to_owned(),
            message: format!("Unsupported value: {shown}: supported values: {supported}"),
            field: path.to_string(),
        });
    }

    /// A value is none of those supported.
    pub(in crate::apiserver) fn unsupported_value(
        &mut self,
        path: impl fmt::Display,
        value: &Value,
        supported: &[&str],
    ) {
        self.causes.push(Cause::not_supported(path.to_string(), value, supported));
    }

    /// A text occurs twice.
    pub(in crate::apiserver) fn duplicate(&mut self, path: impl fmt::Display, text: &str) {
        self.causes.push(Cause::duplicate(path.to_string(), &text.into()));
    }

    /// A value occurs twice.
    pub(in crate::apiserver) fn duplicate_value(&mut self, path: impl fmt::Display, value: &Value) {
        self.causes.push(Cause::duplicate(path.to_string(), value));
    }

    /// A value occurs twice that is shown in a form of its own.
    pub(in crate::apiserver) fn duplicate_shown(&mut self, path: impl fmt::Display, shown: &str) {
        self.causes.push(Cause {
            reason: "FieldValueDuplicate".to_owned(),
            message: format!("Duplicate value: {shown}"),
            field: path.to_string(),
        });
    }

    /// A text names nothing that is there; `why` may be empty.
    pub(in crate::apiserver) fn not_found(
        &mut self,
        path: impl fmt::Display,
        text: &str,
        why: &str,
    ) {
        let separator = if why.is_empty() { "" } else { ": " };
        self.causes.push(Cause {
            reason: "FieldValueNotFound".to_owned(),
            message: format!("Not found: {}{separator}{why}", quote(text)),
            field: path.to_string(),
        });
    }

    /// Something is wrong that is no single value.
    pub(in crate::apiserver) fn invalid_whole(&mut self, path: impl fmt::Display, why: &str) {
        self.causes.push(Cause {
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {why}"),
            field: path.to_string(),
        });
    }

    /// Refuses a list that is longer than it may be; says whether it is.
    pub(in crate::apiserver) fn too_many(
        &mut self,
        path: impl fmt::Display,
        count: usize,
        max: usize,
    ) -> bool {
        if count > max {
            self.causes.push(Cause {
                reason: "FieldValueTooMany".to_owned(),
                message: format!("Too many: {count}: must have at most {max} items"),
                field: path.to_string(),
            });
        }
        count > max
    }

    /// Something is longer than so many bytes.
    pub(in crate::apiserver) fn too_long(&mut self, path: impl fmt::Display, bytes_max: usize) {
        self.causes.push(Cause::too_long(path.to_string(), bytes_max));
    }

    /// Refuses a text that is there and is none of those supported.
    pub(in crate::apiserver) fn one_of(
        &mut self,
        path: impl fmt::Display,
        value: &Value,
        supported: &[&str],
    ) {
        if let Some(text) = value.as_str()
            && !supported.contains(&text)
        {
            self.unsupported(path, text, supported);
        }
    }

    /// Like [`Self::one_of`], but the text must be there.
    pub(in crate::apiserver) fn must_be_one_of(
        &mut self,
        path: impl fmt::Display,
        value: &Value,
        supported: &[&str],
    ) {
        match value.as_str().unwrap_or_default() {
            "" => self.required(path, ""),
            _ => self.one_of(path, value, supported),
        }
    }

    /// Refuses negative numbers.
    pub(in crate::apiserver) fn not_negative(&mut self, path: impl fmt::Display, value: &Value) {
        if let Some(number) = value.as_i64()
            && number < 0
        {
            self.invalid_number(path, number, NEGATIVE);
        }
    }

    /// Refuses a text field that is absent or empty; true if it is there.
    pub(in crate::apiserver) fn has_text(
        &mut self,
        parent: &Path<'_>,
        object: &Value,
        name: &str,
    ) -> bool {
        let is_there = object[name].as_str().is_some_and(|text| !text.is_empty());
        if !is_there {
            self.required(parent.field(name), "");
        }
        is_there
    }
}

/// Why negative numbers are refused.
pub(in crate::apiserver) const NEGATIVE: &str = "must be greater than or equal to 0";
/// Why numbers that are not positive are refused.
pub(in crate::apiserver) const NOT_POSITIVE: &str = "must be greater than zero";
/// Why a change is refused.
pub(in crate::apiserver) const IMMUTABLE: &str = "field is immutable";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_kube_apiservers() {
        let root = Path::Root("spec");
        let (list, limits) = (root.field("containers"), "limits");
        let item = list.index(2);
        let resources = item.field("resources");
        assert_eq!(
            resources.field(limits).key("cpu").to_string(),
            "spec.containers[2].resources.limits[cpu]"
        );
        assert_eq!(Path::Root("").field("stream").to_string(), "stream");
    }

    #[test]
    fn causes_are_worded_as_upstream() {
        let mut report = Report::default();
        let path = Path::Root("a");
        report.invalid_text(path, "x\"", "must be y");
        report.not_found(path, "v", "");
        report.one_of(path, &json!("X"), &["A", "B"]);
        report.not_negative(path, &json!(-1));
        let messages: Vec<_> = report.into_causes().into_iter().map(|it| it.message).collect();
        assert_eq!(
            messages,
            [
                "Invalid value: \"x\\\"\": must be y",
                "Not found: \"v\"",
                "Unsupported value: \"X\": supported values: \"A\", \"B\"",
                "Invalid value: -1: must be greater than or equal to 0",
            ]
        );
    }
}
