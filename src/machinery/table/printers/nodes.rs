//! Nodes.

use serde_json::Value;

use super::{fields, items, text, text_or};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";

pub(in super::super) fn status(node: &Value, _: i64) -> Value {
    let ready = items(node, "/status/conditions").iter().rfind(|c| text(c, "/type") == "Ready");
    let mut status = match ready {
        None => "Unknown".to_owned(),
        Some(condition) if text(condition, "/status") == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
    };
    if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        status.push_str(",SchedulingDisabled");
    }
    status.into()
}

pub(in super::super) fn roles(node: &Value, _: i64) -> Value {
    let labels = fields(node, "/metadata/labels");
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".into() } else { roles.join(",").into() }
}

pub(in super::super) fn version(node: &Value, _: i64) -> Value {
    text(node, "/status/nodeInfo/kubeletVersion").into()
}

pub(in super::super) fn internal_ip(node: &Value, _: i64) -> Value {
    address(node, "InternalIP")
}

pub(in super::super) fn external_ip(node: &Value, _: i64) -> Value {
    address(node, "ExternalIP")
}

fn address(node: &Value, kind: &str) -> Value {
    let found = items(node, "/status/addresses").iter().find(|a| text(a, "/type") == kind);
    found.map_or_else(|| "<none>".into(), |address| text(address, "/address").into())
}

pub(in super::super) fn os_image(node: &Value, _: i64) -> Value {
    text_or(node, "/status/nodeInfo/osImage", "<unknown>")
}

pub(in super::super) fn kernel_version(node: &Value, _: i64) -> Value {
    let kernel = text(node, "/status/nodeInfo/kernelVersion");
    let architecture = text(node, "/status/nodeInfo/architecture");
    match (kernel, architecture) {
        ("", _) => "<unknown>".into(),
        (kernel, "") => kernel.into(),
        (kernel, architecture) => format!("{kernel} ({architecture})").into(),
    }
}

pub(in super::super) fn container_runtime(node: &Value, _: i64) -> Value {
    text_or(node, "/status/nodeInfo/containerRuntimeVersion", "<unknown>")
}
