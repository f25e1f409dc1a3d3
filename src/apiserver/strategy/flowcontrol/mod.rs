//! Kinds of the group `flowcontrol.apiserver.k8s.io`.
//! (kubernetes 1.36: pkg/apis/flowcontrol/{v1/defaults.go,validation})

pub(in crate::apiserver) mod bootstrap;
mod levels;
mod schemas;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::fields::{items, put, text};
use super::report::Report;
use super::{NONE, Rules};
use crate::apiserver::bootstrap::Objects;

const FLOW_SCHEMA: Rules = Rules {
    default: default_schema,
    validate: schemas::validate,
    bootstrap: Some(Objects::FlowSchemas),
    ..NONE
};
const PRIORITY_LEVEL: Rules = Rules {
    default: default_level,
    validate: levels::validate,
    bootstrap: Some(Objects::PriorityLevels),
    ..NONE
};

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "FlowSchema" => &FLOW_SCHEMA,
        "PriorityLevelConfiguration" => &PRIORITY_LEVEL,
        _ => &NONE,
    }
}

fn default_schema(schema: &mut Value) {
    put_positive(&mut schema["spec"], "matchingPrecedence", 1000);
}

fn default_level(level: &mut Value) {
    let spec = &mut level["spec"];
    if let Some(exempt) = spec.get_mut("exempt").filter(|it| it.is_object()) {
        put(exempt, "nominalConcurrencyShares", 0);
        put(exempt, "lendablePercent", 0);
    }
    let Some(limited) = spec.get_mut("limited").filter(|it| it.is_object()) else { return };
    put(limited, "nominalConcurrencyShares", 30);
    put(limited, "lendablePercent", 0);
    let queuing = limited.get_mut("limitResponse").and_then(|it| it.get_mut("queuing"));
    if let Some(queuing) = queuing.filter(|it| it.is_object()) {
        put_positive(queuing, "queues", 64);
        put_positive(queuing, "queueLengthLimit", 50);
        put_positive(queuing, "handSize", 8);
    }
}

/// Sets a number that is absent or zero.
fn put_positive(object: &mut Value, field: &str, number: i64) {
    if object.get(field).is_some_and(|given| *given == 0) {
        object[field] = Value::Null;
    }
    put(object, field, number);
}

/// Conditions have a type, each another one.
fn conditions(status: &Value, report: &mut Report) {
    let mut seen = Vec::new();
    for (index, condition) in items(&status["conditions"]).enumerate() {
        let path = format!("status.conditions[{index}].type");
        let kind = text(condition, "type");
        if seen.contains(&kind) {
            report.duplicate_value(path.as_str(), &kind.into());
        }
        seen.push(kind);
        if kind.is_empty() {
            report.required(path, "must not be empty");
        }
    }
}
