//! ResourceQuotas. (kubernetes 1.36: pkg/apis/core/validation/validation.go,
//! ValidateResourceQuota)

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::{IMMUTABLE, Path, Report};
use crate::apiserver::strategy::resources::{amounts, is_quota_resource, quantity, quota_name};
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

/// Of ResourceQuotas.
pub(super) const RULES: Rules = Rules { initial_status: || Some(json!({})), validate, ..NONE };

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
const PAIRS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];
const COMPUTE: [&str; 11] = [
    "pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "count/pods",
];

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let (spec, path) = (&change.new["spec"], Path::Root("spec"));
    if change.target != Target::Status {
        hard(&mut report, &path.field("hard"), &spec["hard"]);
        scopes(&mut report, &path.field("scopes"), spec);
        selector(&mut report, &path.field("scopeSelector"), spec);
        if let Some(old) = change.old {
            let has = |list: &Value, scope: &Value| items(list).any(|other| other == scope);
            let (new, old) = (&spec["scopes"], &old["spec"]["scopes"]);
            let same = items(new).all(|it| has(old, it)) && items(old).all(|it| has(new, it));
            if !same {
                report.invalid(path.field("scopes"), new, IMMUTABLE);
            }
        }
    }
    let path = Path::Root("status");
    for field in ["hard", "used"] {
        hard(&mut report, &path.field(field), &change.new["status"][field]);
    }
    report.into_causes()
}

fn hard(report: &mut Report, path: &Path<'_>, list: &Value) {
    for (name, amount) in amounts(list) {
        quota_name(report, &path.key(name), name);
        quantity(report, &path.key(name), name, amount);
    }
}

fn fits(scope: &str, resource: &str) -> bool {
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" => {
            COMPUTE.contains(&resource)
        }
        "BestEffort" | "CrossNamespacePodAffinity" => resource == "pods",
        "VolumeAttributesClass" => {
            matches!(resource, "persistentvolumeclaims" | "requests.storage")
        }
        _ => true,
    }
}

fn unfit<'a>(scope: &str, spec: &'a Value) -> impl Iterator<Item = &'a String> {
    let scope = scope.to_owned();
    let names = spec["hard"].as_object().into_iter().flat_map(|hard| hard.keys());
    names.filter(move |name| is_quota_resource(name) && !fits(&scope, name))
}

fn scopes(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let scopes = &spec["scopes"];
    for scope in items(scopes).filter_map(Value::as_str) {
        if !SCOPES.contains(&scope) {
            report.invalid(path, scopes, "unsupported scope");
        }
        for _ in unfit(scope, spec) {
            report.invalid(path, scopes, "unsupported scope applied to resource");
        }
    }
    for pair in PAIRS {
        if pair.iter().all(|scope| items(scopes).any(|it| it == scope)) {
            report.invalid(path, scopes, "conflicting scopes");
        }
    }
}

fn selector(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let path = path.field("matchExpressions");
    let expressions = &spec["scopeSelector"]["matchExpressions"];
    for expression in items(expressions) {
        let (scope, operator) = (text(expression, "scopeName"), text(expression, "operator"));
        if !SCOPES.contains(&scope) {
            report.invalid_text(path.field("scopeName"), scope, "unsupported scope");
        }
        for _ in unfit(scope, spec) {
            let why = "unsupported scope applied to resource";
            report.invalid(path, &spec["scopeSelector"], why);
        }
        let plain = !matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if plain && SCOPES.contains(&scope) && operator != "Exists" {
            let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                       ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                       ResourceQuotaScopeNotBestEffort or \
                       ResourceQuotaScopeCrossNamespacePodAffinity";
            report.invalid_text(path.field("operator"), operator, why);
        }
        let has_values = items(&expression["values"]).next().is_some();
        match operator {
            "In" | "NotIn" if !has_values => {
                let why = "must be at least one value when `operator` is 'In' or 'NotIn' for \
                           scope selector";
                report.required(path.field("values"), why);
            }
            "Exists" | "DoesNotExist" if has_values => {
                let why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for \
                           scope selector";
                report.invalid(path.field("values"), &expression["values"], why);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                let why = "not a valid selector operator";
                report.invalid_text(path.field("operator"), other, why);
            }
        }
    }
    for pair in PAIRS {
        let has = |scope: &&str| items(expressions).any(|it| text(it, "scopeName") == *scope);
        if pair.iter().all(has) {
            report.invalid(path, &spec["scopes"], "conflicting scopes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: Value, expected: &[&str]) {
        let quota = json!({ "spec": spec });
        let change = Change { new: &quota, old: None, target: Target::Main };
        let causes: Vec<_> = validate(&change).iter().map(ToString::to_string).collect();
        assert_eq!(causes, expected, "{quota}");
    }

    #[test]
    fn quotas_are_checked() {
        check(json!({"hard": {"pods": "10", "count/deployments.apps": "4"}}), &[]);
        check(
            json!({"hard": {"bogus": "1"}}),
            &[
                "spec.hard[bogus]: Invalid value: \"bogus\": must be a standard resource type or \
                 fully qualified",
                "spec.hard[bogus]: Invalid value: \"bogus\": must be a standard resource for quota",
            ],
        );
        check(
            json!({"hard": {"pods": "-1"}}),
            &["spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0"],
        );
        check(
            json!({"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]}),
            &["spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"],
        );
    }
}
