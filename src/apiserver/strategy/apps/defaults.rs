//! Defaults of the group's kinds. (kubernetes 1.36: pkg/apis/apps/v1/defaults.go)

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{list, put};
use crate::apiserver::strategy::pod_spec::template_owner;

/// Holds the number of a DaemonSet's template, which `apps/v1` has no field for.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) fn deployment(object: &mut Value) {
    let spec = template_owner(object);
    put(spec, "replicas", 1);
    put(spec, "revisionHistoryLimit", 10);
    put(spec, "progressDeadlineSeconds", 600);
    let strategy = put(spec, "strategy", json!({}));
    if type_of(strategy) == "RollingUpdate" {
        let rolling = put(strategy, "rollingUpdate", json!({}));
        put(rolling, "maxSurge", "25%");
        put(rolling, "maxUnavailable", "25%");
    }
}

pub(super) fn replica_set(object: &mut Value) {
    put(template_owner(object), "replicas", 1);
}

pub(super) fn daemon_set(object: &mut Value) {
    let spec = template_owner(object);
    put(spec, "revisionHistoryLimit", 10);
    let strategy = put(spec, "updateStrategy", json!({}));
    if type_of(strategy) == "RollingUpdate" {
        let rolling = put(strategy, "rollingUpdate", json!({}));
        put(rolling, "maxSurge", 0);
        put(rolling, "maxUnavailable", 1);
    }
    let annotations = &mut object["metadata"]["annotations"];
    put(annotations, TEMPLATE_GENERATION, "0");
}

pub(super) fn stateful_set(object: &mut Value) {
    let spec = template_owner(object);
    put(spec, "replicas", 1);
    put(spec, "revisionHistoryLimit", 10);
    put(spec, "podManagementPolicy", "OrderedReady");
    let strategy = put(spec, "updateStrategy", json!({}));
    if type_of(strategy) == "RollingUpdate" {
        let rolling = put(strategy, "rollingUpdate", json!({}));
        put(rolling, "partition", 0);
        put(rolling, "maxUnavailable", 1);
    }
    let retention = put(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    put(retention, "whenDeleted", "Retain");
    put(retention, "whenScaled", "Retain");
    for claim in list(spec, "volumeClaimTemplates") {
        put(claim, "apiVersion", "v1");
        put(claim, "kind", "PersistentVolumeClaim");
        put(put(claim, "spec", json!({})), "volumeMode", "Filesystem");
        put(put(claim, "status", json!({})), "phase", "Pending");
    }
}

/// A strategy's type, after an empty one became a rolling update.
fn type_of(strategy: &mut Value) -> String {
    if strategy["type"] == "" {
        strategy["type"] = Value::Null;
    }
    put(strategy, "type", "RollingUpdate").as_str().unwrap_or_default().to_owned()
}

/// Numbers a DaemonSet's template.
pub(super) fn set_template_generation(set: &mut Value, generation: i64) {
    let annotations = put(&mut set["metadata"], "annotations", json!({}));
    if annotations.is_object() {
        annotations[TEMPLATE_GENERATION] = generation.to_string().into();
    }
}

/// Keeps the number of a DaemonSet's template, or raises it if the template changed.
pub(super) fn follow_template(new: &mut Value, old: &Value) {
    let before = old["metadata"]["annotations"][TEMPLATE_GENERATION].as_str();
    let before: i64 = before.and_then(|text| text.parse().ok()).unwrap_or(0);
    let changed = new["spec"]["template"] != old["spec"]["template"];
    set_template_generation(new, before + i64::from(changed));
}
