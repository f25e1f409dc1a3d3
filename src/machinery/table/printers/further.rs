//! Autoscalers, quotas, flow control, admission policies, devices.

use serde_json::Value;

use super::workloads::{container_images, container_names};
use super::{fields, integer, is_deleting, items, labels, text, text_or};

/// Metrics of an autoscaler that are shown.
const METRICS_MAX: usize = 2;

pub(in super::super) fn reference(scaler: &Value, _: i64) -> Value {
    let target = "/spec/scaleTargetRef";
    let [kind, name] = ["kind", "name"].map(|field| text(scaler, &format!("{target}/{field}")));
    format!("{kind}/{name}").into()
}

pub(in super::super) fn component_status(component: &Value, _: i64) -> Value {
    match text(component, "/conditions/0/status") {
        "True" => "Healthy".into(),
        "False" => "Unhealthy".into(),
        _ => "Unknown".into(),
    }
}

pub(in super::super) fn component_message(component: &Value, _: i64) -> Value {
    text(component, "/conditions/0/message").into()
}

pub(in super::super) fn component_error(component: &Value, _: i64) -> Value {
    text(component, "/conditions/0/error").into()
}

/// Current and wanted values, of both versions.
pub(in super::super) fn targets(scaler: &Value, _: i64) -> Value {
    if let Some(percent) =
        scaler.pointer("/spec/targetCPUUtilizationPercentage").and_then(Value::as_i64)
    {
        let current = scaler.pointer("/status/currentCPUUtilizationPercentage");
        let current = current.and_then(Value::as_i64);
        let current = current.map_or_else(|| "<unknown>".to_owned(), |used| format!("{used}%"));
        return format!("cpu: {current}/{percent}%").into();
    }
    let (metrics, current) =
        (items(scaler, "/spec/metrics"), items(scaler, "/status/currentMetrics"));
    if metrics.is_empty() {
        return "<none>".into();
    }
    let shown: Vec<String> = metrics
        .iter()
        .enumerate()
        .take(METRICS_MAX)
        .map(|(index, metric)| target(metric, current.get(index).unwrap_or(&Value::Null)))
        .collect();
    let list = shown.join(", ");
    match metrics.len().saturating_sub(METRICS_MAX) {
        0 => list.into(),
        more => format!("{list} + {more} more...").into(),
    }
}

fn target(metric: &Value, status: &Value) -> String {
    let field = match text(metric, "/type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".to_owned(),
    };
    let wanted = &metric[field]["target"];
    let current = &status[field]["current"];
    let amount = |name: &str| {
        let known = current[name].as_str().unwrap_or("<unknown>");
        format!("{known}/{}", wanted[name].as_str().unwrap_or_default())
    };
    let average = wanted["averageValue"].is_string();
    let shown = match field {
        "pods" => amount("averageValue"),
        "external" | "object" if average => format!("{} (avg)", amount("averageValue")),
        "external" | "object" => amount("value"),
        _ if average => amount("averageValue"),
        _ => {
            let percent = |value: &Value, unknown: &str| {
                value.as_i64().map_or_else(|| unknown.to_owned(), |used| format!("{used}%"))
            };
            let used = percent(&current["averageUtilization"], "<unknown>");
            format!("{used}/{}", percent(&wanted["averageUtilization"], "<auto>"))
        }
    };
    match metric[field]["name"].as_str() {
        Some(name) => format!("{name}: {shown}"),
        None => shown,
    }
}

pub(in super::super) fn min_pods(scaler: &Value, _: i64) -> Value {
    let least = scaler.pointer("/spec/minReplicas").and_then(Value::as_i64);
    least.map_or_else(|| "<unset>".into(), |least| least.to_string().into())
}

pub(in super::super) fn max_pods(scaler: &Value, _: i64) -> Value {
    integer(scaler, "/spec/maxReplicas").into()
}

pub(in super::super) fn current_pods(scaler: &Value, _: i64) -> Value {
    integer(scaler, "/status/currentReplicas").into()
}

pub(in super::super) fn plain_selector(controller: &Value, _: i64) -> Value {
    labels(fields(controller, "/spec/selector")).into()
}

pub(in super::super) fn template_containers(template: &Value, _: i64) -> Value {
    container_names(items(template, "/template/spec/containers")).into()
}

pub(in super::super) fn template_images(template: &Value, _: i64) -> Value {
    container_images(items(template, "/template/spec/containers")).into()
}

pub(in super::super) fn template_labels(template: &Value, _: i64) -> Value {
    labels(fields(template, "/template/metadata/labels")).into()
}

pub(in super::super) fn quota_requests(quota: &Value, _: i64) -> Value {
    amounts(quota, |name| !name.starts_with("limits"))
}

pub(in super::super) fn quota_limits(quota: &Value, _: i64) -> Value {
    amounts(quota, |name| name.starts_with("limits"))
}

/// Used and allowed amounts of some resources, by name.
fn amounts(quota: &Value, wanted: fn(&str) -> bool) -> Value {
    let mut list: Vec<String> = fields(quota, "/status/hard")
        .into_iter()
        .flatten()
        .filter(|(name, _)| wanted(name))
        .map(|(name, hard)| {
            let used = quota["status"]["used"][name].as_str().unwrap_or("0");
            format!("{name}: {used}/{}", hard.as_str().unwrap_or_default())
        })
        .collect();
    list.sort_unstable();
    list.join(", ").into()
}

pub(in super::super) fn driver_name(class: &Value, _: i64) -> Value {
    text(class, "/driverName").into()
}

pub(in super::super) fn capacity_class(capacity: &Value, _: i64) -> Value {
    text(capacity, "/storageClassName").into()
}

pub(in super::super) fn capacity(capacity: &Value, _: i64) -> Value {
    text_or(capacity, "/capacity", "<unset>")
}

pub(in super::super) fn priority_level(schema: &Value, _: i64) -> Value {
    text(schema, "/spec/priorityLevelConfiguration/name").into()
}

pub(in super::super) fn precedence(schema: &Value, _: i64) -> Value {
    integer(schema, "/spec/matchingPrecedence").into()
}

pub(in super::super) fn distinguisher(schema: &Value, _: i64) -> Value {
    text_or(schema, "/spec/distinguisherMethod/type", "<none>")
}

pub(in super::super) fn missing_level(schema: &Value, _: i64) -> Value {
    let conditions = items(schema, "/status/conditions");
    let dangling = conditions.iter().find(|condition| condition["type"] == "Dangling");
    dangling.map_or_else(|| "?".into(), |condition| text(condition, "/status").into())
}

pub(in super::super) fn level_type(level: &Value, _: i64) -> Value {
    text(level, "/spec/type").into()
}

/// A number of a limited level.
fn limit(level: &Value, pointer: &str) -> Value {
    let number = level.pointer(pointer).and_then(Value::as_i64);
    number.map_or_else(|| "<none>".into(), Value::from)
}

pub(in super::super) fn shares(level: &Value, _: i64) -> Value {
    limit(level, "/spec/limited/nominalConcurrencyShares")
}

pub(in super::super) fn queues(level: &Value, _: i64) -> Value {
    limit(level, "/spec/limited/limitResponse/queuing/queues")
}

pub(in super::super) fn hand_size(level: &Value, _: i64) -> Value {
    limit(level, "/spec/limited/limitResponse/queuing/handSize")
}

pub(in super::super) fn queue_length(level: &Value, _: i64) -> Value {
    limit(level, "/spec/limited/limitResponse/queuing/queueLengthLimit")
}

/// `services/default/kubernetes`, with the group behind the resource if there is one.
pub(in super::super) fn parent(address: &Value, _: i64) -> Value {
    let part = |field: &str| text(address, &format!("/spec/parentRef/{field}"));
    let mut shown = String::new();
    for text in [part("group"), part("resource"), part("namespace"), part("name")] {
        if !text.is_empty() {
            if !shown.is_empty() {
                shown.push('/');
            }
            shown.push_str(text);
        }
    }
    if shown.is_empty() { "<none>".into() } else { shown.into() }
}

pub(in super::super) fn blocks(cidr: &Value, _: i64) -> Value {
    let blocks: Vec<&str> = items(cidr, "/spec/cidrs").iter().filter_map(Value::as_str).collect();
    blocks.join(",").into()
}

pub(in super::super) fn validations(policy: &Value, _: i64) -> Value {
    items(policy, "/spec/validations").len().into()
}

pub(in super::super) fn mutations(policy: &Value, _: i64) -> Value {
    items(policy, "/spec/mutations").len().into()
}

pub(in super::super) fn parameter_kind(policy: &Value, _: i64) -> Value {
    match policy.pointer("/spec/paramKind") {
        Some(kind) if kind.is_object() => {
            format!("{}/{}", text(kind, "/apiVersion"), text(kind, "/kind")).into()
        }
        _ => "<unset>".into(),
    }
}

pub(in super::super) fn policy_name(binding: &Value, _: i64) -> Value {
    text(binding, "/spec/policyName").into()
}

pub(in super::super) fn parameter(binding: &Value, _: i64) -> Value {
    match binding.pointer("/spec/paramRef") {
        Some(parameter) if parameter.is_object() => match text(parameter, "/namespace") {
            "" => text(parameter, "/name").into(),
            namespace => format!("{namespace}/{}", text(parameter, "/name")).into(),
        },
        _ => "<unset>".into(),
    }
}

pub(in super::super) fn claim_state(claim: &Value, _: i64) -> Value {
    let mut states = Vec::new();
    if is_deleting(claim) {
        states.push("deleted");
    }
    if fields(claim, "/status/allocation").is_none() {
        if !is_deleting(claim) {
            states.push("pending");
        }
    } else {
        states.push("allocated");
        if !items(claim, "/status/reservedFor").is_empty() {
            states.push("reserved");
        }
    }
    states.join(",").into()
}

pub(in super::super) fn slice_node(slice: &Value, _: i64) -> Value {
    text(slice, "/spec/nodeName").into()
}

pub(in super::super) fn slice_driver(slice: &Value, _: i64) -> Value {
    text(slice, "/spec/driver").into()
}

pub(in super::super) fn slice_pool(slice: &Value, _: i64) -> Value {
    text(slice, "/spec/pool/name").into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metrics_show_what_is_and_what_is_wanted() {
        let cpu = json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"averageUtilization": 80}}});
        let pods = json!({"type": "Pods", "pods": {"target": {"averageValue": "5"}}});
        let used = json!({"type": "Resource", "resource": {
            "name": "cpu", "current": {"averageUtilization": 10}}});
        let scaler = json!({
            "spec": {"metrics": [cpu, pods, cpu]}, "status": {"currentMetrics": [used]},
        });
        assert_eq!(targets(&scaler, 0), "cpu: 10%/80%, <unknown>/5 + 1 more...");
        let older = json!({"spec": {"targetCPUUtilizationPercentage": 50}});
        assert_eq!(targets(&older, 0), "cpu: <unknown>/50%");
        assert_eq!(targets(&json!({}), 0), "<none>");
        assert_eq!(
            (min_pods(&json!({}), 0), max_pods(&json!({}), 0)),
            ("<unset>".into(), 0.into())
        );
    }

    #[test]
    fn quotas_show_requests_and_limits_apart() {
        let quota = json!({"status": {
            "hard": {"limits.cpu": "4", "pods": "10", "cpu": "2"}, "used": {"pods": "3"}}});
        assert_eq!(quota_requests(&quota, 0), "cpu: 0/2, pods: 3/10");
        assert_eq!(quota_limits(&quota, 0), "limits.cpu: 0/4");
    }

    #[test]
    fn claims_addresses_and_levels_say_their_state() {
        assert_eq!(claim_state(&json!({}), 0), "pending");
        let claim = json!({"status": {"allocation": {}, "reservedFor": [{}]}});
        assert_eq!(claim_state(&claim, 0), "allocated,reserved");
        let of = json!({"resource": "services", "namespace": "d", "name": "s"});
        assert_eq!(parent(&json!({"spec": {"parentRef": of}}), 0), "services/d/s");
        assert_eq!(shares(&json!({}), 0), "<none>");
        assert_eq!(missing_level(&json!({}), 0), "?");
    }
}
