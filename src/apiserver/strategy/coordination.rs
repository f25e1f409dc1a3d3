//! Kinds of the group `coordination.k8s.io`. (kubernetes 1.36: pkg/registry/coordination/lease)

use serde_json::Value;

use super::{Change, NONE, Rules};
use crate::machinery::status::Cause;

const LEASE: Rules = Rules { drop_disabled, validate, ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "Lease" => &LEASE,
        _ => &NONE,
    }
}

/// Fields of coordinated leader election.
fn drop_disabled(lease: &mut Value) {
    if let Some(spec) = lease["spec"].as_object_mut() {
        for field in ["strategy", "preferredHolder"] {
            spec.remove(field);
        }
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &change.new["spec"];
    if let Some(seconds) = spec["leaseDurationSeconds"].as_i64()
        && seconds <= 0
    {
        let field = "spec.leaseDurationSeconds";
        causes.push(Cause::invalid(field, &seconds.into(), "must be greater than 0"));
    }
    if let Some(transitions) = spec["leaseTransitions"].as_i64()
        && transitions < 0
    {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.leaseTransitions", &transitions.into(), why));
    }
    causes
}
