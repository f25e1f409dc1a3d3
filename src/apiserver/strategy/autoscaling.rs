//! Kinds of the group `autoscaling`, in both versions.
//! (kubernetes 1.36: pkg/apis/autoscaling/{v2/defaults.go,validation})

use serde_json::{Value, json};

use super::checks::quantity_sign;
use super::fields::{items, put, text};
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::apiserver::native_versions::newer_autoscaler;
use crate::apiserver::write::Target;
use crate::machinery::names;
use crate::machinery::status::Cause;

const V2: Rules = Rules { default: default_v2, validate, ..NONE };
const V1: Rules = Rules { default: default_v1, validate: validate_v1, ..NONE };

const STABILIZATION_MAX: i64 = 3600;
const PERIOD_MAX: i64 = 1800;
const SOURCES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

/// The rules of a kind in a version.
pub(super) fn rules(kind: &str, version: &str) -> &'static Rules {
    match (kind, version) {
        ("HorizontalPodAutoscaler", "v1") => &V1,
        ("HorizontalPodAutoscaler", _) => &V2,
        _ => &NONE,
    }
}

fn default_v1(scaler: &mut Value) {
    put(&mut scaler["spec"], "minReplicas", 1);
}

fn default_v2(scaler: &mut Value) {
    let spec = &mut scaler["spec"];
    put(spec, "minReplicas", 1);
    if items(&spec["metrics"]).next().is_none() && spec.is_object() {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let resource = json!({"name": "cpu", "target": target});
        spec["metrics"] = json!([{"type": "Resource", "resource": resource}]);
    }
    let behavior = &mut spec["behavior"];
    if !behavior.is_object() {
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|name, value| name != "behavior" || !value.is_null());
        }
        return;
    }
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    let up = put(behavior, "scaleUp", json!({}));
    put(up, "stabilizationWindowSeconds", 0);
    put(up, "selectPolicy", "Max");
    put(up, "policies", json!([pods, percent]));
    let down = put(behavior, "scaleDown", json!({}));
    put(down, "selectPolicy", "Max");
    put(down, "policies", json!([percent]));
}

/// The older version is checked in the form in which it is stored.
fn validate_v1(change: &Change<'_>) -> Vec<Cause> {
    let inward = |object: &Value| {
        let mut object = object.clone();
        newer_autoscaler(&mut object);
        object
    };
    let (new, old) = (inward(change.new), change.old.map(inward));
    validate(&Change { new: &new, old: old.as_ref(), target: change.target })
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let spec = &change.new["spec"];
    if change.target == Target::Status {
        let counts = ["currentReplicas", "desiredReplicas"];
        report.fields_not_negative(&change.new["status"], "status", &counts);
        return report.into_causes();
    }
    let had_none = change.old.is_some_and(|old| old["spec"]["minReplicas"] == 0);
    replicas(spec, i64::from(!had_none), &mut report);
    reference(&spec["scaleTargetRef"], "spec.scaleTargetRef", &mut report);
    for (index, metric) in items(&spec["metrics"]).enumerate() {
        check_metric(metric, &format!("spec.metrics[{index}]"), &mut report);
    }
    let outside = |metric: &Value| matches!(text(metric, "type"), "Object" | "External");
    if spec["minReplicas"] == 0 && !items(&spec["metrics"]).any(outside) {
        let why = "must specify at least one Object or External metric to support scaling to zero \
                   replicas";
        report.forbidden("spec.metrics", why);
    }
    for direction in ["scaleUp", "scaleDown"] {
        let rules = &spec["behavior"][direction];
        if !rules.is_null() {
            scaling_rules(rules, &format!("spec.behavior.{direction}"), &mut report);
        }
    }
    report.into_causes()
}

fn replicas(spec: &Value, least: i64, report: &mut Report) {
    let (min, max) = (spec["minReplicas"].as_i64(), spec["maxReplicas"].as_i64().unwrap_or(0));
    if let Some(min) = min
        && min < least
    {
        let why = format!("must be greater than or equal to {least}");
        report.invalid("spec.minReplicas", &min.into(), &why);
    }
    if max < 1 {
        report.invalid("spec.maxReplicas", &max.into(), "must be greater than 0");
    }
    if min.is_some_and(|min| max < min) {
        let why = "must be greater than or equal to `minReplicas`";
        report.invalid("spec.maxReplicas", &max.into(), why);
    }
}

fn reference(reference: &Value, path: &str, report: &mut Report) {
    for field in ["kind", "name"] {
        let path = format!("{path}.{field}");
        report.name(&path, text(reference, field), names::check_path_segment);
    }
}

fn scaling_rules(rules: &Value, path: &str, report: &mut Report) {
    let field = |name: &str| format!("{path}.{name}");
    if let Some(seconds) = rules["stabilizationWindowSeconds"].as_i64() {
        let path = field("stabilizationWindowSeconds");
        if seconds < 0 {
            report.invalid(path, &seconds.into(), "must be greater than or equal to zero");
        } else if seconds > STABILIZATION_MAX {
            let why = format!("must be less than or equal to {STABILIZATION_MAX}");
            report.invalid(path, &seconds.into(), &why);
        }
    }
    report.field_one_of(rules, path, "selectPolicy", &["Disabled", "Max", "Min"]);
    if items(&rules["policies"]).next().is_none() {
        report.required(field("policies"), "must specify at least one Policy");
    }
    for (index, policy) in items(&rules["policies"]).enumerate() {
        let path = format!("{path}.policies[{index}]");
        if !matches!(text(policy, "type"), "Pods" | "Percent") {
            let path = format!("{path}.type");
            report.unsupported_value(path, &text(policy, "type").into(), &["Percent", "Pods"]);
        }
        for name in ["value", "periodSeconds"] {
            let number = policy[name].as_i64().unwrap_or(0);
            if number <= 0 {
                let path = format!("{path}.{name}");
                report.invalid(path, &number.into(), "must be greater than zero");
            }
        }
        let period = policy["periodSeconds"].as_i64().unwrap_or(0);
        if period > PERIOD_MAX {
            let why = format!("must be less than or equal to {PERIOD_MAX}");
            report.invalid(format!("{path}.periodSeconds"), &period.into(), &why);
        }
    }
    if quantity_sign(&rules["tolerance"]).is_some_and(|sign| sign < 0) {
        let why = "must be greater than or equal to 0";
        report.invalid(field("tolerance"), &rules["tolerance"], why);
    }
}

fn check_metric(metric: &Value, path: &str, report: &mut Report) {
    let kind = text(metric, "type");
    if kind.is_empty() {
        report.required(format!("{path}.type"), "must specify a metric source type");
    }
    if !SOURCES.contains(&kind) {
        report.unsupported_value(format!("{path}.type"), &kind.into(), SOURCES);
    }
    let fields = ["object", "external", "pods", "resource", "containerResource"];
    let present: Vec<&str> =
        fields.into_iter().filter(|field| metric[*field].is_object()).collect();
    if let Some(first) = present.first() {
        let path = format!("{path}.{first}");
        source(first, &metric[*first], &path, report);
    }
    let expected = match kind {
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        "External" => "external",
        "ContainerResource" => "containerResource",
        _ => {
            report.unsupported_value(format!("{path}.type"), &kind.into(), SOURCES);
            ""
        }
    };
    if !expected.is_empty() && !metric[expected].is_object() {
        let why = "must populate information for the given metric source";
        report.required(format!("{path}.{expected}"), why);
    }
    if present.len() != 1 {
        for other in present.iter().filter(|field| **field != expected) {
            let why = "must populate the given metric source only";
            report.forbidden(format!("{path}.{other}"), why);
        }
    }
}

/// One source of a metric, by the field that holds it.
fn source(kind: &str, source: &Value, path: &str, report: &mut Report) {
    let target = &source["target"];
    if kind == "object" {
        reference(&source["describedObject"], &format!("{path}.describedObject"), report);
    }
    if matches!(kind, "object" | "external" | "pods") {
        let name = text(&source["metric"], "name");
        let field = format!("{path}.metric.name");
        match name {
            "" => report.required(field, "must specify a metric name"),
            _ => report.invalid_texts(&field, name, names::check_path_segment(name)),
        }
    } else if text(source, "name").is_empty() {
        report.required(format!("{path}.name"), "must specify a resource name");
    }
    if kind == "containerResource" {
        let container = text(source, "container");
        let field = format!("{path}.container");
        match container {
            "" => report.required(field, "must specify a container"),
            _ => report.invalid_texts(&field, container, names::check_label(container)),
        }
    }
    let path = format!("{path}.target");
    check_target(target, &path, report);
    let has = |field: &str| !target[field].is_null();
    match kind {
        "object" if !has("value") && !has("averageValue") => {
            let why = "must set either a target value or averageValue";
            report.required(format!("{path}.averageValue"), why);
        }
        "external" if !has("value") && !has("averageValue") => {
            let why = "must set either a target value for metric or a per-pod target";
            report.required(format!("{path}.averageValue"), why);
        }
        "external" if has("value") && has("averageValue") => {
            let why = "may not set both a target value for metric and a per-pod target";
            report.forbidden(format!("{path}.value"), why);
        }
        "pods" if !has("averageValue") => {
            let why = "must specify a positive target averageValue";
            report.required(format!("{path}.averageValue"), why);
        }
        "resource" | "containerResource" => {
            let (used, raw) = (has("averageUtilization"), has("averageValue"));
            if !used && !raw {
                let why = "must set either a target raw value or a target utilization";
                report.required(format!("{path}.averageUtilization"), why);
            } else if used && raw {
                let why = "may not set both a target raw value and a target utilization";
                report.forbidden(format!("{path}.averageValue"), why);
            }
        }
        _ => {}
    }
}

fn check_target(target: &Value, path: &str, report: &mut Report) {
    let kind = text(target, "type");
    if kind.is_empty() {
        report.required(format!("{path}.type"), "must specify a metric target type");
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let why = "must be either Utilization, Value, or AverageValue";
        report.invalid(format!("{path}.type"), &kind.into(), why);
    }
    for field in ["value", "averageValue"] {
        if quantity_sign(&target[field]).is_some_and(|sign| sign <= 0) {
            report.invalid(format!("{path}.{field}"), &target[field], "must be positive");
        }
    }
    if target["averageUtilization"].as_i64().is_some_and(|percent| percent < 1) {
        let (path, value) = (format!("{path}.averageUtilization"), &target["averageUtilization"]);
        report.invalid(path, value, "must be greater than 0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: &str, spec: Value, expected: &[&str]) {
        let mut scaler = json!({"metadata": {"name": "h"}, "spec": spec, "status": {}});
        let rules = rules("HorizontalPodAutoscaler", version);
        (rules.default)(&mut scaler);
        let change = Change { new: &scaler, old: None, target: Target::Main };
        let said: Vec<String> = (rules.validate)(&change).iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn both_versions_are_checked_alike() {
        let target = json!({"kind": "Deployment", "name": "d"});
        check("v1", json!({"maxReplicas": 3, "scaleTargetRef": target}), &[]);
        check("v2", json!({"maxReplicas": 3, "scaleTargetRef": target}), &[]);
        check(
            "v1",
            json!({"maxReplicas": 0, "scaleTargetRef": {"kind": "D"},
                "targetCPUUtilizationPercentage": 0}),
            &[
                "spec.maxReplicas: Invalid value: 0: must be greater than 0",
                "spec.maxReplicas: Invalid value: 0: must be greater than or equal to \
                 `minReplicas`",
                "spec.scaleTargetRef.name: Required value",
                "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be \
                 greater than 0",
            ],
        );
    }

    #[test]
    fn metrics_say_one_thing() {
        let target = json!({"kind": "Deployment", "name": "d"});
        let metrics = json!([{"type": "Pods", "resource": {"name": "cpu", "target": {}}}]);
        check(
            "v2",
            json!({"maxReplicas": 3, "scaleTargetRef": target, "metrics": metrics}),
            &[
                "spec.metrics[0].resource.target.type: Required value: must specify a metric \
                 target type",
                "spec.metrics[0].resource.target.type: Invalid value: \"\": must be either \
                 Utilization, Value, or AverageValue",
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set \
                 either a target raw value or a target utilization",
                "spec.metrics[0].pods: Required value: must populate information for the given \
                 metric source",
            ],
        );
    }

    #[test]
    fn behaviour_is_filled_in() {
        let mut scaler = json!({"spec": {"behavior": {"scaleDown": {"selectPolicy": "Min"}}}});
        default_v2(&mut scaler);
        let behavior = &scaler["spec"]["behavior"];
        assert_eq!(behavior["scaleDown"]["selectPolicy"], "Min");
        assert_eq!(behavior["scaleDown"]["policies"].as_array().map(Vec::len), Some(1));
        assert_eq!(behavior["scaleUp"]["policies"].as_array().map(Vec::len), Some(2));
    }
}
