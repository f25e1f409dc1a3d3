//! Kinds of the group `policy`. (kubernetes 1.36: pkg/apis/policy/{v1/defaults.go,validation})

use serde_json::Value;

use super::internal;
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

const BUDGET: Rules = Rules { validate, ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "PodDisruptionBudget" => &BUDGET,
        _ => &NONE,
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    if change.target == Target::Status {
        let counts = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
        report.fields_not_negative(&change.new["status"], "status", &counts);
        return report.into_causes();
    }
    let spec = &change.new["spec"];
    let (available, unavailable) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    if !available.is_null() && !unavailable.is_null() {
        let shown = internal::shown("PodDisruptionBudgetSpec", spec);
        report.shown("spec", &shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for (value, path) in [(available, "spec.minAvailable"), (unavailable, "spec.maxUnavailable")] {
        if *value != Value::Null {
            report.int_or_percent(value, path);
            report.at_most_all(value, path);
        }
    }
    report.selector(&spec["selector"], "spec.selector");
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    report.field_one_of(spec, "spec", "unhealthyPodEvictionPolicy", &policies);
    report.into_causes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: Value, expected: &[&str]) {
        let budget = json!({"metadata": {"name": "b"}, "spec": spec});
        let change = Change { new: &budget, old: None, target: Target::Main };
        let said: Vec<String> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn budgets_are_one_amount() {
        check(json!({"minAvailable": "50%", "selector": {}}), &[]);
        check(
            json!({"maxUnavailable": "101%"}),
            &["spec.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"],
        );
        check(
            json!({"minAvailable": -1, "maxUnavailable": 1}),
            &[
                "spec: Invalid value: {\"MinAvailable\":-1,\"Selector\":null,\"MaxUnavailable\":1,\
                 \"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be \
                 both set",
                "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
            ],
        );
    }
}
