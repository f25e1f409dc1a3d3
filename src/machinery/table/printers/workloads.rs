//! Deployments, stateful sets, daemon sets, replica sets and controller revisions.

use serde_json::Value;

use super::{fields, integer, items, labels, text};
use crate::machinery::gvk::split_api_version;
use crate::machinery::selector::{LabelSelector, format_label_selector};

pub(in super::super) fn ready_replicas(set: &Value, _: i64) -> Value {
    let (ready, desired) = (integer(set, "/status/readyReplicas"), integer(set, "/spec/replicas"));
    format!("{ready}/{desired}").into()
}

pub(in super::super) fn updated_replicas(set: &Value, _: i64) -> Value {
    integer(set, "/status/updatedReplicas").into()
}

pub(in super::super) fn available_replicas(set: &Value, _: i64) -> Value {
    integer(set, "/status/availableReplicas").into()
}

pub(in super::super) fn replicas_desired(set: &Value, _: i64) -> Value {
    integer(set, "/spec/replicas").into()
}

pub(in super::super) fn replicas_current(set: &Value, _: i64) -> Value {
    integer(set, "/status/replicas").into()
}

pub(in super::super) fn replicas_ready(set: &Value, _: i64) -> Value {
    integer(set, "/status/readyReplicas").into()
}

pub(in super::super) fn scheduled_desired(set: &Value, _: i64) -> Value {
    integer(set, "/status/desiredNumberScheduled").into()
}

pub(in super::super) fn scheduled_current(set: &Value, _: i64) -> Value {
    integer(set, "/status/currentNumberScheduled").into()
}

pub(in super::super) fn daemons_ready(set: &Value, _: i64) -> Value {
    integer(set, "/status/numberReady").into()
}

pub(in super::super) fn daemons_updated(set: &Value, _: i64) -> Value {
    integer(set, "/status/updatedNumberScheduled").into()
}

pub(in super::super) fn daemons_available(set: &Value, _: i64) -> Value {
    integer(set, "/status/numberAvailable").into()
}

pub(in super::super) fn node_selector(set: &Value, _: i64) -> Value {
    labels(fields(set, "/spec/template/spec/nodeSelector")).into()
}

pub(in super::super) fn containers(set: &Value, _: i64) -> Value {
    container_names(items(set, "/spec/template/spec/containers")).into()
}

pub(in super::super) fn images(set: &Value, _: i64) -> Value {
    container_images(items(set, "/spec/template/spec/containers")).into()
}

/// A Deployment's selector, which unlike others prints nothing if it is empty.
pub(in super::super) fn selector(set: &Value, _: i64) -> Value {
    let selector = set.pointer("/spec/selector").unwrap_or(&Value::Null);
    match LabelSelector::from_label_selector(selector) {
        Ok(selector) => selector.to_string().into(),
        Err(_) => "<invalid>".into(),
    }
}

pub(in super::super) fn formatted_selector(set: &Value, _: i64) -> Value {
    format_label_selector(set.pointer("/spec/selector").unwrap_or(&Value::Null)).into()
}

pub(in super::super) fn revision_controller(revision: &Value, _: i64) -> Value {
    let owners = items(revision, "/metadata/ownerReferences");
    let controller = owners.iter().find(|o| o.get("controller") == Some(&Value::Bool(true)));
    let Some(owner) = controller else { return "<none>".into() };
    let (group, _) = split_api_version(text(owner, "/apiVersion"));
    let dot = if group.is_empty() { "" } else { "." };
    let kind = format!("{}{dot}{group}", text(owner, "/kind")).to_lowercase();
    format!("{kind}/{}", text(owner, "/name")).into()
}

pub(in super::super) fn revision(revision: &Value, _: i64) -> Value {
    integer(revision, "/revision").into()
}

pub(super) fn container_names(containers: &[Value]) -> String {
    let names: Vec<&str> = containers.iter().map(|c| text(c, "/name")).collect();
    names.join(",")
}

pub(super) fn container_images(containers: &[Value]) -> String {
    let images: Vec<&str> = containers.iter().map(|c| text(c, "/image")).collect();
    images.join(",")
}
