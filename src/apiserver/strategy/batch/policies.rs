//! Pod failure and success policies of Jobs. (kubernetes 1.36: pkg/apis/batch/validation)

use serde_json::Value;

use super::indexes;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::Report;
use crate::machinery::names;

const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const CONDITIONS_MAX: usize = 20;
const INDEXES_MAX: usize = 64 * 1024;
const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const STATUSES: &[&str] = &["False", "True", "Unknown"];

/// What pods fail the Job.
pub(super) fn failure(spec: &Value, path: &str, report: &mut Report) {
    let path = format!("{path}.podFailurePolicy.rules");
    let rules = &spec["podFailurePolicy"]["rules"];
    report.too_many(&path, items(rules).count(), RULES_MAX);
    for (index, rule) in items(rules).enumerate() {
        let path = format!("{path}[{index}]");
        action(spec, rule, &path, report);
        let (codes, conditions) = (&rule["onExitCodes"], &rule["onPodConditions"]);
        let has_conditions = items(conditions).next().is_some();
        if !codes.is_null() {
            exit_codes(spec, codes, &format!("{path}.onExitCodes"), report);
        }
        pod_conditions(conditions, &format!("{path}.onPodConditions"), report);
        if !codes.is_null() && has_conditions {
            let why = "specifying both OnExitCodes and OnPodConditions is not supported";
            report.invalid_whole(path, why);
        } else if codes.is_null() && !has_conditions {
            let why = "specifying one of OnExitCodes and OnPodConditions is required";
            report.invalid_whole(path, why);
        }
    }
}

/// `valid values: ["a" "b"]`, as Go prints a list.
fn valid_values(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("valid values: [{}]", quoted.join(" "))
}

fn action(spec: &Value, rule: &Value, path: &str, report: &mut Report) {
    let path = format!("{path}.action");
    match text(rule, "action") {
        "" => report.required(path, &valid_values(ACTIONS)),
        "FailIndex" if spec["backoffLimitPerIndex"].is_null() => {
            report.invalid(path, &rule["action"], "requires the backoffLimitPerIndex to be set");
        }
        action if !ACTIONS.contains(&action) => {
            report.unsupported_value(path, &action.into(), ACTIONS)
        }
        _ => {}
    }
}

fn exit_codes(spec: &Value, codes: &Value, path: &str, report: &mut Report) {
    let operator = text(codes, "operator");
    let field = format!("{path}.operator");
    match operator {
        "" => report.required(field, &valid_values(OPERATORS)),
        other if !OPERATORS.contains(&other) => {
            report.unsupported_value(field, &other.into(), OPERATORS);
        }
        _ => {}
    }
    let pod = &spec["template"]["spec"];
    let mut containers = items(&pod["containers"]).chain(items(&pod["initContainers"]));
    if let Some(name) = codes["containerName"].as_str()
        && !containers.any(|container| container["name"] == name)
    {
        let why = "must be one of the container or initContainer names in the pod template";
        report.invalid(format!("{path}.containerName"), &name.into(), why);
    }
    let values: Vec<i64> = items(&codes["values"]).filter_map(Value::as_i64).collect();
    let path = format!("{path}.values");
    if values.is_empty() {
        report.invalid(path.as_str(), &codes["values"], "at least one value is required");
    }
    report.too_many(&path, values.len(), EXIT_CODES_MAX);
    for (index, value) in values.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if operator == "In" && *value == 0 {
            report.invalid(path.as_str(), &0.into(), "must not be 0 for the In operator");
        }
        if values[..index].contains(value) {
            report.duplicate_value(path, &(*value).into());
        }
    }
    if !values.is_sorted() {
        report.invalid(path, &codes["values"], "must be ordered");
    }
}

fn pod_conditions(conditions: &Value, path: &str, report: &mut Report) {
    report.too_many(path, items(conditions).count(), CONDITIONS_MAX);
    for (index, condition) in items(conditions).enumerate() {
        let path = format!("{path}[{index}]");
        let kind = text(condition, "type");
        report.invalid_texts(format!("{path}.type"), kind, names::check_label_key(kind));
        let field = format!("{path}.status");
        match text(condition, "status") {
            "" => report.required(field, &valid_values(STATUSES)),
            other if !STATUSES.contains(&other) => {
                report.unsupported_value(field, &other.into(), STATUSES);
            }
            _ => {}
        }
    }
}

/// What pods make an indexed Job a success before all are done.
pub(super) fn success(spec: &Value, path: &str, report: &mut Report) {
    let policy = &spec["successPolicy"];
    let path = format!("{path}.successPolicy");
    if spec["completionMode"] != "Indexed" {
        return report.invalid(path, policy, "requires indexed completion mode");
    }
    let path = format!("{path}.rules");
    let count = items(&policy["rules"]).count();
    if count == 0 {
        let why = "at least one rules must be specified when the successPolicy is specified";
        report.required(path.as_str(), why);
    }
    report.too_many(&path, count, RULES_MAX);
    let completions = spec["completions"].as_i64().unwrap_or(0);
    for (index, rule) in items(&policy["rules"]).enumerate() {
        success_rule(rule, completions, &format!("{path}[{index}]"), report);
    }
}

fn success_rule(rule: &Value, completions: i64, path: &str, report: &mut Report) {
    let indexes = rule["succeededIndexes"].as_str();
    let count = rule["succeededCount"].as_i64();
    if indexes.is_none() && count.is_none() {
        let why = "at least one of succeededCount or succeededIndexes must be specified";
        report.required(path, why);
    }
    let mut total = 0;
    if let Some(indexes) = indexes {
        let field = format!("{path}.succeededIndexes");
        report.text_within(&field, indexes.len(), INDEXES_MAX);
        match indexes::count(indexes, completions) {
            Ok(count) => total = count,
            Err(why) => {
                let why = format!("error parsing succeededIndexes: {why}");
                report.invalid(field, &indexes.into(), &why);
            }
        }
    }
    report.field_not_negative(rule, path, "succeededCount");
    let Some(count) = count else { return };
    let field = format!("{path}.succeededCount");
    if count > completions {
        let why = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        report.invalid(field.as_str(), &count.into(), &why);
    }
    if indexes.is_some() && count > total {
        let why = format!(
            "must be less than or equal to {total} (the number of indexes in the specified \
             succeededIndexes field)"
        );
        report.invalid(field, &count.into(), &why);
    }
}
