//! What is accepted in pods with a warning. (kubernetes 1.36: pkg/api/pod/warnings.go)

use serde_json::Value;

use super::annotations::APP_ARMOR;
use super::containers_of;
use crate::apiserver::strategy::Change;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::resources::amounts;
use crate::apiserver::write::Target;

/// Labels of nodes that have new names.
const NODE_LABELS: [(&str, &str); 6] = [
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ("failure-domain.kubernetes.io/region", "topology.kubernetes.io/region"),
];
/// Volumes that do nothing any more.
const VOLUMES: [(&str, &str); 8] = [
    ("glusterfs", "deprecated in v1.25, this feature will be removed in a future release"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
];
const GIT_REPO: &str = "deprecated in v1.11, and disabled by default in v1.33+";

/// Warnings of a written pod; of a change, only where the spec changed.
pub(in crate::apiserver::strategy) fn of_pod(pod: &Value, old: Option<&Value>) -> Vec<String> {
    let spec = &pod["spec"];
    if old.is_some_and(|old| old["spec"] == *spec) {
        return Vec::new();
    }
    of_spec(spec, &pod["metadata"], "spec", old.is_none())
}

/// Warnings of a template at `path`.
pub(in crate::apiserver::strategy) fn of_template(
    template: &Value,
    path: &str,
    old: Option<&Value>,
) -> Vec<String> {
    if old.is_some_and(|old| old["spec"] == template["spec"]) {
        return Vec::new();
    }
    of_spec(&template["spec"], &template["metadata"], &format!("{path}.spec"), false)
}

/// Warnings of a workload's template at `path`, whenever anything of the workload's spec changes.
pub(in crate::apiserver::strategy) fn of_workload(change: &Change<'_>, path: &str) -> Vec<String> {
    let is_changed = change.old.is_none_or(|old| old["spec"] != change.new["spec"]);
    let template = path.split('.').fold(change.new, |value, name| &value[name]);
    match change.target {
        Target::Main if is_changed => of_template(template, path, None),
        _ => Vec::new(),
    }
}

fn of_spec(spec: &Value, metadata: &Value, path: &str, is_new_pod: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    selectors(&mut warnings, spec, path);
    if is_new_pod || metadata["annotations"].is_object() {
        profiles(&mut warnings, metadata);
    }
    for (index, alias) in items(&spec["hostAliases"]).enumerate() {
        let ip = text(alias, "ip");
        let Some(parsed) = formats::parse_ip(ip) else { continue };
        if parsed.to_string() != ip && parsed.is_ipv4() {
            warnings.push(format!(
                "{path}.hostAliases[{index}].ip: non-standard IP address {ip:?} is invalid: use \
                 {:?}",
                parsed.to_string()
            ));
        }
    }
    for (index, secret) in items(&spec["imagePullSecrets"]).enumerate() {
        let name = text(secret, "name");
        if name.trim().is_empty() {
            warnings.push(format!(
                "{path}.imagePullSecrets[{index}].name: invalid empty name {name:?}"
            ));
        }
    }
    volumes(&mut warnings, spec, path);
    containers(&mut warnings, spec, path);
    if let Some(seconds) = spec["terminationGracePeriodSeconds"].as_i64()
        && seconds < 0
    {
        warnings.push(format!(
            "{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and \
             will be treated as 1"
        ));
    }
    warnings
}

fn deprecated(key: &str) -> Option<&'static str> {
    NODE_LABELS.iter().find(|(old, _)| *old == key).map(|(_, new)| *new)
}

fn selectors(warnings: &mut Vec<String>, spec: &Value, path: &str) {
    for key in spec["nodeSelector"].as_object().into_iter().flat_map(|it| it.keys()) {
        if let Some(new) = deprecated(key) {
            warnings.push(format!(
                "{path}.nodeSelector[{key}]: deprecated since v1.14; use \"{new}\" instead"
            ));
        }
    }
    let required =
        &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    for (term, selector) in items(&required["nodeSelectorTerms"]).enumerate() {
        for (index, expression) in items(&selector["matchExpressions"]).enumerate() {
            if let Some(new) = deprecated(text(expression, "key")) {
                warnings.push(format!(
                    "{path}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.\
                     nodeSelectorTerms[{term}].matchExpressions[{index}].key: {} is deprecated \
                     since v1.14; use \"{new}\" instead",
                    text(expression, "key")
                ));
            }
        }
    }
    for (index, constraint) in items(&spec["topologySpreadConstraints"]).enumerate() {
        let key = text(constraint, "topologyKey");
        if let Some(new) = deprecated(key) {
            warnings.push(format!(
                "{path}.topologySpreadConstraints[{index}].topologyKey: {key} is deprecated since \
                 v1.14; use \"{new}\" instead"
            ));
        }
        if constraint["labelSelector"].is_null() {
            warnings.push(format!(
                "{path}.topologySpreadConstraints[{index}].labelSelector: a null labelSelector \
                 results in matching no pod"
            ));
        }
    }
}

fn profiles(warnings: &mut Vec<String>, metadata: &Value) {
    for key in metadata["annotations"].as_object().into_iter().flat_map(|it| it.keys()) {
        if key.starts_with(APP_ARMOR) {
            warnings.push(format!(
                "metadata.annotations[{key}]: deprecated since v1.30; use the \"appArmorProfile\" \
                 field instead"
            ));
        }
        if key == "scheduler.alpha.kubernetes.io/critical-pod" {
            warnings.push(format!(
                "metadata.annotations[{key}]: non-functional in v1.16+; use the \
                 \"priorityClassName\" field instead"
            ));
        }
        let pod = key == "seccomp.security.alpha.kubernetes.io/pod";
        if pod || key.starts_with("container.seccomp.security.alpha.kubernetes.io/") {
            warnings.push(format!(
                "metadata.annotations[{key}]: non-functional in v1.27+; use the \
                 \"seccompProfile\" field instead"
            ));
        }
    }
}

fn volumes(warnings: &mut Vec<String>, spec: &Value, path: &str) {
    for (index, volume) in items(&spec["volumes"]).enumerate() {
        if volume["gitRepo"].is_object() {
            warnings.push(format!("{path}.volumes[{index}].gitRepo: {GIT_REPO}"));
        }
        for (source, what) in VOLUMES {
            if volume[source].is_object() {
                warnings.push(format!("{path}.volumes[{index}].{source}: {what}"));
            }
        }
        if volume["ephemeral"]["volumeClaimTemplate"]["spec"]["resources"]["requests"]["storage"]
            .as_str()
            .is_some_and(is_fractional)
        {
            warnings.push(fractional(
                &format!(
                    "{path}.volumes[{index}].ephemeral.volumeClaimTemplate.spec.resources.\
                     requests[storage]"
                ),
                text(
                    &volume["ephemeral"]["volumeClaimTemplate"]["spec"]["resources"]["requests"],
                    "storage",
                ),
            ));
        }
    }
}

/// Whether an amount of bytes is not whole.
pub(in crate::apiserver::strategy) fn is_fractional(amount: &str) -> bool {
    crate::machinery::quantity::Quantity::parse(amount)
        .is_ok_and(|amount| amount.milli_value() % 1_000 != 0)
}

/// The warning about an amount of bytes that is not whole.
pub(in crate::apiserver::strategy) fn fractional(path: &str, amount: &str) -> String {
    format!("{path}: fractional byte value {amount:?} is invalid, must be an integer")
}

fn containers(warnings: &mut Vec<String>, spec: &Value, path: &str) {
    for (list, index, container) in containers_of(spec) {
        let path = format!("{path}.{list}[{index}]");
        for kind in ["limits", "requests"] {
            for (name, amount) in amounts(&container["resources"][kind]) {
                let bytes = matches!(name, "memory" | "ephemeral-storage");
                if bytes && amount.milli_value() % 1_000 != 0 {
                    let place = format!("{path}.resources.{kind}[{name}]");
                    warnings.push(fractional(&place, &amount.to_string()));
                }
            }
        }
        let variables: Vec<&str> =
            items(&container["env"]).map(|variable| text(variable, "name")).collect();
        for (index, name) in variables.iter().enumerate() {
            if variables[..index].contains(name) {
                warnings.push(format!(
                    "{path}.env[{index}]: hides previous definition of {name:?}, which may be \
                     dropped when using apply"
                ));
            }
        }
        ports(warnings, &path, container);
    }
}

fn ports(warnings: &mut Vec<String>, path: &str, container: &Value) {
    let ports: Vec<&Value> = items(&container["ports"]).collect();
    let same = |one: &Value, two: &Value, fields: &[&str]| {
        fields.iter().all(|field| one[*field] == two[*field])
    };
    for (index, port) in ports.iter().enumerate() {
        let before = ports[..index]
            .iter()
            .position(|other| same(other, port, &["containerPort", "protocol"]));
        if let Some(before) = before
            && same(ports[before], port, &["hostPort", "hostIP", "containerPort", "protocol"])
        {
            warnings.push(format!(
                "{path}.ports[{index}]: duplicate port definition with {path}.ports[{before}]"
            ));
        }
    }
}
