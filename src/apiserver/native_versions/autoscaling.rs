//! Autoscalers of `autoscaling/v1`: a target for CPU, and everything else in annotations.
//! (kubernetes 1.36: pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/annotations.go)

use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// CPU use that is aimed at if nothing is said.
const DEFAULT_UTILIZATION: i64 = 80;

/// To `autoscaling/v2`. Annotations that are no JSON are dropped, as upstream drops them.
pub(in crate::apiserver) fn inward(scaler: &mut Value) {
    let target = take(scaler, "spec", "targetCPUUtilizationPercentage");
    let mut metrics: Vec<Value> = target.as_ref().map(cpu_metric).into_iter().collect();
    let others = annotation(scaler, METRICS);
    metrics.extend(others.as_ref().and_then(Value::as_array).into_iter().flatten().map(newer));
    if metrics.is_empty() {
        metrics.push(cpu_metric(&DEFAULT_UTILIZATION.into()));
    }
    scaler["spec"]["metrics"] = metrics.into();
    if let Some(behavior) = annotation(scaler, BEHAVIOR) {
        scaler["spec"]["behavior"] = with_names(&behavior, &lower);
    }
    let current = take(scaler, "status", "currentCPUUtilizationPercentage");
    if let Some(current) = current {
        let resource = json!({"name": "cpu", "current": {"averageUtilization": current}});
        scaler["status"]["currentMetrics"] = json!([{"type": "Resource", "resource": resource}]);
    }
    if let Some(Value::Array(current)) = annotation(scaler, CURRENT_METRICS) {
        scaler["status"]["currentMetrics"] = current.iter().map(newer).collect();
    }
    if let Some(conditions @ Value::Array(_)) = annotation(scaler, CONDITIONS) {
        scaler["status"]["conditions"] = conditions;
    }
    let annotations = scaler.get_mut("metadata").and_then(|it| it.get_mut("annotations"));
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else { return };
    for name in [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR] {
        annotations.remove(name);
    }
    if annotations.is_empty() {
        take(scaler, "metadata", "annotations");
    }
}

/// To `autoscaling/v1`.
pub(super) fn outward(scaler: &mut Value) {
    let metrics = take(scaler, "spec", "metrics").unwrap_or_default();
    let metrics = metrics.as_array().map_or(&[][..], Vec::as_slice);
    let cpu = metrics.iter().find(|metric| is_cpu(metric));
    let target = cpu.map(|metric| &metric["resource"]["target"]["averageUtilization"]);
    if let Some(target) = target.filter(|target| !target.is_null()) {
        scaler["spec"]["targetCPUUtilizationPercentage"] = target.clone();
    }
    let has_target = |metric: &&Value| {
        is_cpu(metric) && !metric["resource"]["target"]["averageUtilization"].is_null()
    };
    let others: Vec<Value> = metrics.iter().filter(|m| !has_target(m)).map(older).collect();
    annotate(scaler, METRICS, others.into());
    if let Some(behavior) = take(scaler, "spec", "behavior") {
        annotate(scaler, BEHAVIOR, internal_behavior(&behavior));
    }
    let current = take(scaler, "status", "currentMetrics").unwrap_or_default();
    let current = current.as_array().map_or(&[][..], Vec::as_slice);
    let used = current.iter().filter(|metric| is_cpu(metric));
    let mut used = used.map(|metric| &metric["resource"]["current"]["averageUtilization"]);
    if let Some(used) = used.rfind(|used| !used.is_null()) {
        scaler["status"]["currentCPUUtilizationPercentage"] = used.clone();
    }
    let current: Vec<Value> = current.iter().map(older).collect();
    annotate(scaler, CURRENT_METRICS, current.into());
    if let Some(conditions) = take(scaler, "status", "conditions") {
        annotate(scaler, CONDITIONS, conditions);
    }
}

/// Removes a field of a part of the object.
fn take(scaler: &mut Value, part: &str, name: &str) -> Option<Value> {
    let part = scaler.get_mut(part)?.as_object_mut()?;
    part.remove(name).filter(|value| !value.is_null())
}

fn annotation(scaler: &Value, name: &str) -> Option<Value> {
    serde_json::from_str(scaler["metadata"]["annotations"][name].as_str()?).ok()
}

/// Keeps a value in an annotation unless it is empty.
fn annotate(scaler: &mut Value, name: &str, value: Value) {
    if value.as_array().is_some_and(Vec::is_empty) {
        return;
    }
    let metadata = &mut scaler["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    metadata["annotations"][name] = value.to_string().into();
}

fn is_cpu(metric: &Value) -> bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
}

fn cpu_metric(utilization: &Value) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": utilization});
    json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
}

/// The sources of a metric: field, and whether it names a metric and not a resource.
const SOURCES: [(&str, bool); 5] = [
    ("object", true),
    ("pods", true),
    ("resource", false),
    ("containerResource", false),
    ("external", true),
];

/// A metric of v2 (or its status) as v1 has it in an annotation.
fn older(metric: &Value) -> Value {
    let mut out = json!({"type": metric["type"]});
    for (field, has_metric) in SOURCES {
        let Some(source) = metric.get(field).filter(|source| source.is_object()) else { continue };
        let mut old = Map::new();
        let mut put = |name: &str, value: &Value| {
            if !value.is_null() {
                old.insert(name.to_owned(), value.clone());
            }
        };
        let (prefix, amounts) = match source.get("current") {
            Some(current) => ("current", current),
            None => ("target", &source["target"]),
        };
        if field == "object" {
            put("target", &source["describedObject"]);
            put("averageValue", &amounts["averageValue"]);
        } else {
            put(&format!("{prefix}AverageValue"), &amounts["averageValue"]);
        }
        put(&format!("{prefix}Value"), &amounts["value"]);
        put(&format!("{prefix}AverageUtilization"), &amounts["averageUtilization"]);
        if has_metric {
            put("metricName", &source["metric"]["name"]);
            let selector = if field == "external" { "metricSelector" } else { "selector" };
            put(selector, &source["metric"]["selector"]);
        } else {
            put("name", &source["name"]);
            put("container", &source["container"]);
        }
        out[field] = Value::Object(old);
    }
    out
}

/// The reverse of [`older`].
fn newer(metric: &Value) -> Value {
    let mut out = json!({"type": metric["type"]});
    for (field, has_metric) in SOURCES {
        let Some(source) = metric.get(field).filter(|source| source.is_object()) else { continue };
        let is_status =
            source.as_object().into_iter().flatten().any(|(name, _)| name.starts_with("current"));
        let prefix = if is_status { "current" } else { "target" };
        let mut amounts = Map::new();
        let names = ["Value", "AverageValue", "AverageUtilization"];
        for (name, kind) in names.iter().zip(["Value", "AverageValue", "Utilization"]) {
            let object_average = field == "object" && *name == "AverageValue";
            let given = match object_average {
                true => &source["averageValue"],
                false => &source[format!("{prefix}{name}")],
            };
            // An object's value is a struct in v1, so that zero stands for none.
            let empty = field == "object" && *name == "Value" && *given == "0";
            if given.is_null() || (empty && !source["averageValue"].is_null()) {
                continue;
            }
            let lower = name[..1].to_lowercase() + &name[1..];
            amounts.insert(lower, given.clone());
            if !is_status {
                amounts.insert("type".to_owned(), kind.into());
            }
        }
        let mut new = json!({ prefix: amounts });
        if has_metric {
            new["metric"] = json!({"name": source["metricName"]});
            let selector = if field == "external" { "metricSelector" } else { "selector" };
            if source[selector].is_object() {
                new["metric"]["selector"] = source[selector].clone();
            }
        } else {
            new["name"] = source["name"].clone();
            if field == "containerResource" {
                new["container"] = source["container"].clone();
            }
        }
        if field == "object" {
            new["describedObject"] = source["target"].clone();
        }
        out[field] = new;
    }
    out
}

/// Scaling behaviour as upstream writes it into the annotation: a Go struct without JSON names.
fn internal_behavior(behavior: &Value) -> Value {
    let mut out = with_names(behavior, &upper);
    for direction in ["ScaleUp", "ScaleDown"] {
        let rules = &mut out[direction];
        if rules.is_object() {
            for name in ["StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance"] {
                // Reading a missing field through a mutable index writes null, which Go writes.
                let _ = &mut rules[name];
            }
        }
    }
    out
}

/// A copy with other names of fields, without nulls if names become lower case.
fn with_names(value: &Value, name: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            members.map(|(key, value)| (name(key), with_names(value, name))).collect()
        }
        Value::Array(items) => items.iter().map(|item| with_names(item, name)).collect(),
        other => other.clone(),
    }
}

fn upper(name: &str) -> String {
    let mut chars = name.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

fn lower(name: &str) -> String {
    let mut chars = name.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What v2 → v1 → v2 makes of an autoscaler.
    fn round_trip(newer: &Value) -> Value {
        let mut scaler = newer.clone();
        outward(&mut scaler);
        assert!(scaler["spec"].get("metrics").is_none(), "{scaler}");
        inward(&mut scaler);
        scaler
    }

    #[test]
    fn a_cpu_target_is_a_field_and_defaults_to_eighty() {
        let mut scaler = json!({"metadata": {}, "spec": {"maxReplicas": 3}, "status": {}});
        inward(&mut scaler);
        assert_eq!(scaler["spec"]["metrics"], json!([cpu_metric(&80.into())]));
        outward(&mut scaler);
        let spec = json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 80});
        assert_eq!(scaler["spec"], spec);
        assert_eq!(scaler["metadata"], json!({}));
    }

    #[test]
    fn everything_else_survives_in_annotations() {
        let selector = json!({"matchLabels": {"a": "b"}});
        let scaler = json!({
            "metadata": {"name": "h", "annotations": {"mine": "x"}},
            "spec": {
                "maxReplicas": 5,
                "metrics": [
                    {"type": "Resource", "resource": {
                        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                    {"type": "Resource", "resource": {
                        "name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                    {"type": "Pods", "pods": {
                        "metric": {"name": "m", "selector": selector},
                        "target": {"type": "AverageValue", "averageValue": "5"}}},
                    {"type": "Object", "object": {
                        "describedObject": {"kind": "Service", "name": "s", "apiVersion": "v1"},
                        "metric": {"name": "o"}, "target": {"type": "Value", "value": "7"}}},
                    {"type": "External", "external": {
                        "metric": {"name": "e", "selector": selector},
                        "target": {"type": "AverageValue", "averageValue": "3"}}},
                    {"type": "ContainerResource", "containerResource": {
                        "name": "cpu", "container": "c",
                        "target": {"type": "Utilization", "averageUtilization": 20}}},
                ],
                "behavior": {"scaleUp": {
                    "selectPolicy": "Max",
                    "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}},
            },
            "status": {
                "currentMetrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "current": {"averageUtilization": 9, "averageValue": "10m"}}}],
                "conditions": [{"type": "AbleToScale", "status": "True"}],
            },
        });
        assert_eq!(round_trip(&scaler), scaler);
    }

    #[test]
    fn behaviour_is_written_with_go_names() {
        let rules = json!({"selectPolicy": "Min", "policies": []});
        let mut scaler =
            json!({"metadata": {}, "spec": {"behavior": {"scaleDown": rules}}, "status": {}});
        outward(&mut scaler);
        let text = scaler["metadata"]["annotations"][BEHAVIOR].as_str().expect("an annotation");
        let written: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(written["ScaleDown"]["SelectPolicy"], "Min");
        assert!(written["ScaleDown"]["Tolerance"].is_null());
    }
}
