//! Conditions and counters: each version calls its own what the other one calls the other's.
//!
//! The hub has the newer ones at the top and the older ones in `deprecated.v1beta1`; spokes have the
//! older ones at the top and the newer ones in `v1beta2`. Neither kind is made from the other.

use serde_json::{Value, json};

use super::fields::{self, Fields, ensure, get, put, take};
use super::values::intend_bool;

/// What the status of a kind says in both ways.
pub(super) struct Families {
    /// What stands at the top of the older version's status beside `conditions`.
    pub(super) old: &'static [&'static str],
    /// Counters among these, which Go always writes.
    pub(super) old_counters: &'static [&'static str],
    /// What stands at the top of the newer version's status beside `conditions`.
    pub(super) new: &'static [&'static str],
    /// Whether `deprecated.v1beta1` is there even if it says nothing.
    pub(super) is_always_there: bool,
}

/// A kind with conditions alone.
pub(super) const CONDITIONS: Families =
    Families { old: &[], old_counters: &[], new: &[], is_always_there: false };
/// A kind that can fail, too.
pub(super) const FAILURES: Families =
    Families { old: &["failureReason", "failureMessage"], ..CONDITIONS };

impl Families {
    /// Turns the status of a spoke into the hub's.
    pub(super) fn up(&self, object: &mut Fields) {
        if self.is_always_there {
            ensure(object, "status");
        }
        let Some(status) = fields::object(object, "status") else { return };
        let mut old = Fields::new();
        for name in self.old.iter().chain(&["conditions"]) {
            if let Some(value) = take(status, name) {
                old.insert((*name).to_owned(), value);
            }
        }
        fields::always(&mut old, self.old_counters, &json!(0));
        if let Some(mut new) = fields::take_object(status, "v1beta2") {
            for name in self.new.iter().chain(&["conditions"]) {
                if let Some(value) = take(&mut new, name) {
                    put(status, name, value);
                }
            }
        }
        if self.is_always_there || !old.is_empty() {
            put(status, "deprecated.v1beta1", old.into());
        }
    }

    /// Turns the status of the hub into a spoke's.
    pub(super) fn down(&self, object: &mut Fields) {
        let Some(status) = fields::object(object, "status") else { return };
        let mut new = Fields::new();
        for name in self.new.iter().chain(&["conditions"]) {
            if let Some(value) = take(status, name) {
                new.insert((*name).to_owned(), value);
            }
        }
        let mut deprecated = fields::take_object(status, "deprecated").unwrap_or_default();
        let mut old = fields::take_object(&mut deprecated, "v1beta1").unwrap_or_default();
        for name in self.old.iter().chain(&["conditions"]) {
            if let Some(value) = take(&mut old, name) {
                put(status, name, value);
            }
        }
        if !new.is_empty() {
            put(status, "v1beta2", new.into());
        }
    }
}

/// Moves booleans of a spoke's status into the hub's `initialization`.
pub(super) fn initialization_up(
    object: &mut Fields,
    names: &[(&str, &str)],
    restored: Option<&Value>,
) {
    let Some(status) = fields::object(object, "status") else { return };
    let mut initialization = Fields::new();
    for (from, to) in names {
        if let Some(value) = take(status, from) {
            initialization.insert((*to).to_owned(), value);
        }
        let restored = restored.and_then(|it| it.pointer(&format!("/status/initialization/{to}")));
        intend_bool(&mut initialization, to, restored);
    }
    if !initialization.is_empty() {
        put(status, "initialization", initialization.into());
    }
}

/// Moves booleans of the hub's `initialization` into a spoke's status, which always says them.
pub(super) fn initialization_down(object: &mut Fields, names: &[(&str, &str)]) {
    let status = ensure(object, "status");
    let initialization = fields::take_object(status, "initialization").unwrap_or_default();
    for (to, from) in names {
        let is_done = get(&initialization, from) == Some(&Value::Bool(true));
        put(status, to, is_done.into());
    }
}
