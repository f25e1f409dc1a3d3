//! One row renderer a kind: object in, cells out. Shared by the dashboard and `capim get`.

mod client;
mod cluster;
mod kcp;
mod machine;

pub use client::{ClientRow, latency, rate};
pub use cluster::{ClusterRow, ClusterState};
pub use kcp::{KcpRow, KcpState};
pub use machine::{MachineRow, MachineState};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::conditions::Condition;

/// How bad a state is; sorts rows, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Failed.
    Failed,
    /// Worse than it was.
    Degraded,
    /// Something is going on.
    Busy,
    /// Nothing to see.
    Calm,
}

/// `namespace/name`, or only the name in namespace `default`.
pub(super) fn display_name(metadata: &ObjectMeta) -> String {
    let name = metadata.name.as_deref().unwrap_or_default();
    match metadata.namespace.as_deref() {
        None | Some("default") => name.to_owned(),
        Some(namespace) => format!("{namespace}/{name}"),
    }
}

pub(super) fn created(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

pub(super) fn is_true(conditions: &[Condition], type_: &str) -> bool {
    crate::contract::conditions::is_true(conditions, type_)
}

/// The message of a condition that is not True, on one line; its reason if it has none.
pub(super) fn why_not(conditions: &[Condition], type_: &str) -> String {
    match crate::contract::conditions::get(conditions, type_) {
        Some(condition) if condition.status == "True" => String::new(),
        Some(condition) if condition.message.is_empty() => {
            super::text::printable(&condition.reason)
        }
        Some(condition) => sentence(&condition.message),
        None => String::new(),
    }
}

/// Conditions that are True while machines come and go. (CAPI v1.14: api/core/v1beta2)
const MOVES: [&str; 4] = ["RollingOut", "ScalingUp", "ScalingDown", "Remediating"];

/// Whether machines come and go.
pub(super) fn is_moving(conditions: &[Condition]) -> bool {
    MOVES.iter().any(|type_| is_true(conditions, type_))
}

/// What is said of machines that come and go.
pub(super) fn moving_why(conditions: &[Condition]) -> String {
    let all = MOVES.iter().filter_map(|it| crate::contract::conditions::get(conditions, it));
    let moving = all.into_iter().find(|condition| condition.status == "True");
    moving.map(|condition| sentence(&condition.message)).unwrap_or_default()
}

/// A condition's message on one line; what stands below a name follows it.
pub(super) fn sentence(message: &str) -> String {
    super::text::one_line(message).replace(":; ", ": ")
}

/// Whether a condition was True before it became what it is: it has changed since the object's
/// first conditions were set. Those are set together, and keep their time until they change.
pub(super) fn was_true_before(
    conditions: &[Condition],
    type_: &str,
    metadata: &ObjectMeta,
) -> bool {
    const START_SECONDS: i64 = 3;
    let changed = |condition: &Condition| condition.last_transition_time.0;
    let Some(condition) = crate::contract::conditions::get(conditions, type_) else { return false };
    let others = conditions.iter().filter(|other| other.type_ != type_).map(changed);
    let first = others.min().into_iter().chain(created(metadata)).max();
    first.is_some_and(|first| changed(condition).as_second() > first.as_second() + START_SECONDS)
}
