//! How long the in-memory backend still takes for a stage of a machine's start.
//!
//! The draw of the jitter is the provider's secret (it depends on the seed), so that the end is
//! known within the jitter only.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::super::object::Condition;
use crate::machinery::duration;

/// Bounds of the time until a stage ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Without any jitter.
    pub least: Duration,
    /// With all of it.
    pub most: Duration,
}

/// Stages by condition, with their field in the behaviour.
pub(super) const STAGES: [(&str, &str, &str); 4] = [
    ("VMProvisioned", "vm", "VM"),
    ("NodeProvisioned", "node", "Node"),
    ("EtcdProvisioned", "etcd", "etcd member"),
    ("APIServerProvisioned", "apiServer", "API server"),
];

/// Time that a running stage still takes.
pub(super) fn of(object: &Value, condition: &Condition, now: Timestamp) -> Option<Remaining> {
    if condition.reason != "WaitingForStartupTimeout" {
        return None;
    }
    let (_, field, _) = STAGES.iter().find(|(type_, ..)| *type_ == condition.type_)?;
    let length = length(object, field)?;
    let elapsed = now.duration_since(condition.since?);
    let elapsed = Duration::try_from(elapsed).unwrap_or_default();
    Some(Remaining {
        least: length.least.saturating_sub(elapsed),
        most: length.most.saturating_sub(elapsed),
    })
}

/// Bounds of a stage's length, as the object's behaviour has it.
pub(super) fn length(object: &Value, field: &str) -> Option<Remaining> {
    let spec = &object["spec"];
    let behaviour = match &spec["backend"]["inMemory"] {
        Value::Null => &spec["behaviour"],
        behaviour => behaviour,
    };
    let provisioning = &behaviour[field]["provisioning"];
    let least = duration::parse(provisioning["startupDuration"].as_str()?).ok()?;
    let jitter = match &provisioning["startupJitter"] {
        Value::String(text) => text.parse::<f64>().ok()?,
        Value::Null => 0.0,
        number => number.as_f64()?,
    };
    let extra = Duration::try_from_secs_f64(least.as_secs_f64() * jitter).unwrap_or_default();
    Some(Remaining { least, most: least.saturating_add(extra) })
}
