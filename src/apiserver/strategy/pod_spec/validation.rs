//! What is checked of pod specs.

use serde_json::{Map, Value};

use crate::apiserver::strategy::fields::{items, one_of, text};
use crate::machinery::names;
use crate::machinery::quantity::Quantity;
use crate::machinery::status::Cause;

const DNS_POLICIES: &[&str] = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];

/// The selector is there, stays, and selects the template's pods.
pub(in crate::apiserver::strategy) fn check_selector(
    new: &Value,
    old: Option<&Value>,
    causes: &mut Vec<Cause>,
) {
    let selector = &new["spec"]["selector"];
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
        return;
    }
    if old.is_some_and(|old| old["spec"]["selector"] != *selector) {
        causes.push(Cause::invalid("spec.selector", selector, "field is immutable"));
    }
    let labels = &new["spec"]["template"]["metadata"]["labels"];
    let mut wanted = selector["matchLabels"].as_object().into_iter().flatten();
    if wanted.any(|(name, value)| labels.get(name) != Some(value)) {
        let shown = if labels.is_null() { Value::Object(Map::new()) } else { labels.clone() };
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", &shown, why));
    }
}

/// Checks a pod spec; `claims` names volumes that the owner makes itself.
pub(in crate::apiserver::strategy) fn check_spec(
    spec: &Value,
    path: &str,
    claims: &[&str],
    causes: &mut Vec<Cause>,
) {
    let mut volumes = claims.to_vec();
    for (index, volume) in items(&spec["volumes"]).enumerate() {
        let path = format!("{path}.volumes[{index}]");
        let name = text(volume, "name");
        check_volume(volume, &path, causes);
        if volumes.contains(&name) && !claims.contains(&name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
        }
        volumes.push(name);
    }
    let mut taken = Vec::new();
    if items(&spec["containers"]).next().is_none() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    for field in ["containers", "initContainers"] {
        for (index, container) in items(&spec[field]).enumerate() {
            let path = format!("{path}.{field}[{index}]");
            check_container(container, &path, &volumes, causes);
            let name = text(container, "name");
            if taken.contains(&name) && !name.is_empty() {
                causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
            }
            taken.push(name);
        }
    }
    one_of(&spec["dnsPolicy"], &format!("{path}.dnsPolicy"), DNS_POLICIES, causes);
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64()
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let why = "must be between 1 and 2147483647, inclusive";
        let field = format!("{path}.activeDeadlineSeconds");
        causes.push(Cause::invalid(field, &seconds.into(), why));
    }
}

fn check_volume(volume: &Value, path: &str, causes: &mut Vec<Cause>) {
    check_name(volume, path, causes);
    let sources = volume.as_object().into_iter().flatten();
    let sources: Vec<&str> = sources
        .filter(|(name, value)| *name != "name" && !value.is_null())
        .map(|(name, _)| name.as_str())
        .collect();
    // emptyDir is looked at first; of the others at most one stands beside it in practice.
    let first = sources.iter().find(|name| **name == "emptyDir").or(sources.first());
    for source in sources.iter().filter(|name| Some(*name) != first) {
        let why = "may not specify more than 1 volume type";
        causes.push(Cause::forbidden(format!("{path}.{source}"), why));
    }
    if volume["hostPath"].is_object() && text(&volume["hostPath"], "path").is_empty() {
        causes.push(Cause::required(format!("{path}.hostPath.path"), ""));
    }
}

fn check_container(container: &Value, path: &str, volumes: &[&str], causes: &mut Vec<Cause>) {
    check_name(container, path, causes);
    if text(container, "image").is_empty() {
        causes.push(Cause::required(format!("{path}.image"), ""));
    }
    let field = format!("{path}.imagePullPolicy");
    one_of(&container["imagePullPolicy"], &field, PULL_POLICIES, causes);
    for (index, port) in items(&container["ports"]).enumerate() {
        let path = format!("{path}.ports[{index}]");
        match port["containerPort"].as_i64() {
            None | Some(0) => causes.push(Cause::required(format!("{path}.containerPort"), "")),
            Some(1..=65535) => {}
            Some(number) => {
                let why = "must be between 1 and 65535, inclusive";
                let field = format!("{path}.containerPort");
                causes.push(Cause::invalid(field, &number.into(), why));
            }
        }
        one_of(&port["protocol"], &format!("{path}.protocol"), PROTOCOLS, causes);
    }
    for (index, variable) in items(&container["env"]).enumerate() {
        let path = format!("{path}.env[{index}]");
        if text(variable, "name").is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        if !text(variable, "value").is_empty() && !variable["valueFrom"].is_null() {
            let why = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(format!("{path}.valueFrom"), &"".into(), why));
        }
    }
    for (index, mount) in items(&container["volumeMounts"]).enumerate() {
        let name = text(mount, "name");
        if !volumes.contains(&name) {
            causes.push(Cause {
                reason: "FieldValueNotFound".to_owned(),
                message: format!("Not found: {name:?}"),
                field: format!("{path}.volumeMounts[{index}].name"),
            });
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let handled = HANDLERS.iter().any(|handler| container[probe][*handler].is_object());
        if container[probe].is_object() && !handled {
            let field = format!("{path}.{probe}");
            causes.push(Cause::required(field, "must specify a handler type"));
        }
    }
    check_resources(&container["resources"], path, causes);
}

/// Requests are within limits.
fn check_resources(resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let (Some(request), Some(limit)) = (request.as_str(), resources["limits"][name].as_str())
        else {
            continue;
        };
        let (Ok(wanted), Ok(most)) = (Quantity::parse(request), Quantity::parse(limit)) else {
            continue;
        };
        if wanted.milli_value() > most.milli_value() {
            let why = format!("must be less than or equal to {name} limit of {limit}");
            let field = format!("{path}.resources.requests");
            causes.push(Cause::invalid(field, &request.into(), &why));
        }
    }
}

/// A name that is a DNS label.
fn check_name(object: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (name, field) = (text(object, "name"), format!("{path}.name"));
    if name.is_empty() {
        causes.push(Cause::required(field, ""));
        return;
    }
    for why in names::check_label(name) {
        causes.push(Cause::invalid(field.clone(), &name.into(), &why));
    }
}
