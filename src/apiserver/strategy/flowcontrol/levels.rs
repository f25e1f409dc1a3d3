//! Priority levels. (kubernetes 1.36: pkg/apis/flowcontrol/validation)

use serde_json::Value;

use super::{bootstrap, conditions};
use crate::apiserver::strategy::Change;
use crate::apiserver::strategy::fields::text;
use crate::apiserver::strategy::report::Report;
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

const QUEUES_MAX: i64 = 10_000_000;
/// Bits of the hash that picks queues. (apiserver/pkg/util/shufflesharding)
const HASH_BITS: i64 = 60;

pub(super) fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let new = change.new;
    if change.target != Target::Status {
        check_spec(new, &mut report);
    }
    conditions(&new["status"], &mut report);
    report.into_causes()
}

fn check_spec(level: &Value, report: &mut Report) {
    let (spec, name) = (&level["spec"], text(&level["metadata"], "name"));
    let kind = text(spec, "type");
    if (name == "exempt") != (kind == "Exempt") {
        let why = "type must be 'Exempt' if and only if `name` is 'exempt'";
        report.invalid("spec.type", &kind.into(), why);
    }
    match kind {
        "Exempt" => {
            if !spec["limited"].is_null() {
                report.forbidden("spec.limited", "must be nil if the type is not Limited");
            }
            shares(&spec["exempt"], "spec.exempt", report);
        }
        "Limited" => {
            if !spec["exempt"].is_null() {
                report.forbidden("spec.exempt", "must be nil if the type is Limited");
            }
            match &spec["limited"] {
                Value::Null => {
                    report.required("spec.limited", "must not be empty when type is Limited");
                }
                limited => check_limited(limited, report),
            }
        }
        other => report.unsupported_value("spec.type", &other.into(), &["Exempt", "Limited"]),
    }
    let Some(fixed) = bootstrap::mandatory_level(name) else { return };
    // What the exempt level may borrow and lend is the administrator's.
    let comparable = |spec: &Value| {
        let mut spec = spec.clone();
        if name == "exempt" {
            spec["exempt"] = Value::Null;
        }
        spec
    };
    if comparable(spec) != comparable(&fixed) {
        let except = if name == "exempt" { " except the 'spec.exempt' field" } else { "" };
        let why = format!("spec of '{name}'{except} must equal the fixed value");
        report.invalid("spec", spec, &why);
    }
}

fn shares(level: &Value, path: &str, report: &mut Report) {
    let field = |name: &str| format!("{path}.{name}");
    let nominal = &level["nominalConcurrencyShares"];
    if nominal.as_i64().is_some_and(|shares| shares < 0) {
        let why = "must be a non-negative integer";
        report.invalid(field("nominalConcurrencyShares"), nominal, why);
    }
    let lendable = &level["lendablePercent"];
    if lendable.as_i64().is_some_and(|percent| !(0..=100).contains(&percent)) {
        report.invalid(field("lendablePercent"), lendable, "must be between 0 and 100, inclusive");
    }
}

fn check_limited(limited: &Value, report: &mut Report) {
    let path = "spec.limited";
    shares(limited, path, report);
    let borrowed = &limited["borrowingLimitPercent"];
    if borrowed.as_i64().is_some_and(|percent| percent < 0) {
        let why = "if specified, must be a non-negative integer";
        report.invalid(format!("{path}.borrowingLimitPercent"), borrowed, why);
    }
    let (response, path) = (&limited["limitResponse"], "spec.limited.limitResponse");
    let queuing = &response["queuing"];
    let field = format!("{path}.queuing");
    match text(response, "type") {
        "Reject" if !queuing.is_null() => {
            report.forbidden(field, "must be nil if limited.limitResponse.type is not Limited");
        }
        "Reject" => {}
        "Queue" if queuing.is_null() => {
            let why = "must not be empty if limited.limitResponse.type is Limited";
            report.required(field, why);
        }
        "Queue" => check_queuing(queuing, &field, report),
        other => {
            report.unsupported_value(format!("{path}.type"), &other.into(), &["Queue", "Reject"]);
        }
    }
}

fn check_queuing(queuing: &Value, path: &str, report: &mut Report) {
    let number = |field: &str| queuing[field].as_i64().unwrap_or(0);
    let (queues, hand) = (number("queues"), number("handSize"));
    for field in ["queueLengthLimit", "queues", "handSize"] {
        if number(field) <= 0 {
            report.invalid(format!("{path}.{field}"), &number(field).into(), "must be positive");
        }
    }
    if queues > QUEUES_MAX {
        let why = format!("must not be greater than {QUEUES_MAX}");
        report.invalid(format!("{path}.queues"), &queues.into(), &why);
    }
    if hand <= 0 {
        return;
    }
    let path = format!("{path}.handSize");
    if hand > queues {
        let why = format!("should not be greater than queues ({queues})");
        report.invalid(path, &hand.into(), &why);
    } else if entropy_bits(queues, hand) > HASH_BITS {
        let why = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater \
             than {HASH_BITS}"
        );
        report.invalid(path, &hand.into(), &why);
    }
}

/// Bits that are needed to deal a hand from a deck.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small numbers")]
fn entropy_bits(deck: i64, hand: i64) -> i64 {
    (((deck as f64).log2() * hand as f64).ceil()) as i64
}
