//! Conditions of both families, and the shape of absent values.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use serde_json::Value;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

api_struct! {
    /// A condition of the v1beta1 family (`status.deprecated.v1beta1.conditions`, and the only
    /// family of the v1alpha1 `InMemory*` kinds). A severity belongs to `False` only.
    V1Beta1Condition {
        /// Condition type.
        #[serde(rename = "type")]
        type_: String,
        /// `True`, `False` or `Unknown`.
        status: String,
        /// `Error`, `Warning`, `Info` or empty.
        severity: String,
        /// Last change of `status`, `reason`, `severity` or `message`.
        last_transition_time: Option<Time>,
        /// CamelCase reason.
        reason: String,
        /// Message for people.
        message: String,
    }
}

api_struct! {
    /// `status.deprecated`.
    Deprecated {
        /// The v1beta1 remains.
        v1beta1: Option<V1Beta1Status>,
    }
}

api_struct! {
    /// `status.deprecated.v1beta1` of any kind: the union of their fields.
    V1Beta1Status {
        /// v1beta1 conditions.
        conditions: Vec<V1Beta1Condition>,
        /// Terminal failure, machine readable.
        failure_reason: Option<String>,
        /// Terminal failure, for people.
        failure_message: Option<String>,
        /// Replicas with all labels of the template (MachineSet).
        fully_labeled_replicas: Option<i32>,
        /// Ready replicas.
        ready_replicas: Option<i32>,
        /// Available replicas.
        available_replicas: Option<i32>,
        /// Unavailable replicas.
        unavailable_replicas: Option<i32>,
        /// Up-to-date replicas.
        updated_replicas: Option<i32>,
    }
}

/// Whether a field is left out when an object is written. Numbers and booleans are only left out
/// behind an `Option`.
pub trait Absent {
    /// True if the value says nothing.
    fn absent(&self) -> bool;
}

/// `skip_serializing_if` of every API struct.
pub(crate) fn is_absent<T: Absent>(value: &T) -> bool {
    value.absent()
}

impl<T> Absent for Option<T> {
    fn absent(&self) -> bool {
        self.is_none()
    }
}
impl<T> Absent for Vec<T> {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}
impl<K, V> Absent for BTreeMap<K, V> {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for String {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for Value {
    fn absent(&self) -> bool {
        self.is_null()
    }
}
macro_rules! never_absent {
    ($($t:ty),*) => { $(impl Absent for $t { fn absent(&self) -> bool { false } })* };
}
never_absent!(
    i32,
    i64,
    bool,
    LabelSelector,
    k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta
);
