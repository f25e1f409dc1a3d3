//! Causes about a definition, as they are found.

use serde_json::Value;

use crate::machinery::names;
use crate::machinery::status::{Cause, quote};

/// Causes in the order in which upstream reports them.
#[derive(Default)]
pub(super) struct Report {
    pub(super) causes: Vec<Cause>,
}

impl Report {
    pub(super) fn push(&mut self, reason: &str, field: &str, message: String) {
        self.causes.push(Cause { reason: reason.into(), message, field: field.into() });
    }

    pub(super) fn required(&mut self, field: &str, why: &str) {
        let message = match why {
            "" => "Required value".to_owned(),
            why => format!("Required value: {why}"),
        };
        self.push("FieldValueRequired", field, message);
    }

    pub(super) fn forbidden(&mut self, field: &str, why: &str) {
        self.push("FieldValueForbidden", field, format!("Forbidden: {why}"));
    }

    /// `value` is JSON.
    pub(super) fn invalid(&mut self, field: &str, value: &str, why: &str) {
        self.push("FieldValueInvalid", field, format!("Invalid value: {value}: {why}"));
    }

    pub(super) fn unsupported(&mut self, field: &str, value: &str, supported: &[&str]) {
        let supported: Vec<String> = supported.iter().map(|one| quote(one)).collect();
        let supported = supported.join(", ");
        let message = format!("Unsupported value: {}: supported values: {supported}", quote(value));
        self.push("FieldValueNotSupported", field, message);
    }

    /// Reports a name that is no DNS-1035 label; `before` precedes what is wrong.
    pub(super) fn label(&mut self, field: &str, value: &str, checked: &str, before: &str) {
        let wrong = names::check_label_1035(checked);
        if !wrong.is_empty() {
            let why = format!("{before}{}", wrong.join(","));
            self.invalid(field, &Value::from(value).to_string(), &why);
        }
    }
}
