//! Kinds of the group `apps`. (kubernetes 1.36: pkg/apis/apps/{v1/defaults.go,validation})

use serde_json::{Value, json};

use super::fields::{items, put};
use super::pod_spec::{check_selector, check_spec, template_owner};
use super::{Change, NONE, Rules};
use crate::machinery::status::Cause;

const DEPLOYMENT: Rules = Rules {
    default: default_deployment,
    initial_status: || Some(json!({})),
    validate: |change| {
        let mut causes = validate(change);
        causes.extend(check_strategy(change.new));
        causes
    },
    ..NONE
};

const REPLICA_SET: Rules = Rules {
    default: default_replica_set,
    initial_status: || Some(json!({"replicas": 0})),
    validate,
    ..NONE
};

const STATEFUL_SET: Rules = Rules {
    default: default_stateful_set,
    initial_status: || Some(json!({"availableReplicas": 0, "replicas": 0})),
    validate,
    ..NONE
};

const DAEMON_SET: Rules = Rules {
    default: default_daemon_set,
    initial_status: || {
        Some(json!({
            "currentNumberScheduled": 0,
            "desiredNumberScheduled": 0,
            "numberMisscheduled": 0,
            "numberReady": 0,
        }))
    },
    validate,
    ..NONE
};

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "DaemonSet" => &DAEMON_SET,
        "Deployment" => &DEPLOYMENT,
        "ReplicaSet" => &REPLICA_SET,
        "StatefulSet" => &STATEFUL_SET,
        _ => &NONE,
    }
}

fn default_deployment(object: &mut Value) {
    let spec = template_owner(object);
    put(spec, "replicas", 1);
    put(spec, "revisionHistoryLimit", 10);
    put(spec, "progressDeadlineSeconds", 600);
    let strategy = put(spec, "strategy", json!({}));
    put(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = put(strategy, "rollingUpdate", json!({}));
        put(rolling, "maxSurge", "25%");
        put(rolling, "maxUnavailable", "25%");
    }
}

fn default_replica_set(object: &mut Value) {
    put(template_owner(object), "replicas", 1);
}

fn default_daemon_set(object: &mut Value) {
    let spec = template_owner(object);
    put(spec, "revisionHistoryLimit", 10);
    let strategy = put(spec, "updateStrategy", json!({}));
    put(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = put(strategy, "rollingUpdate", json!({}));
        put(rolling, "maxSurge", 0);
        put(rolling, "maxUnavailable", 1);
    }
}

fn default_stateful_set(object: &mut Value) {
    let spec = template_owner(object);
    put(spec, "replicas", 1);
    put(spec, "revisionHistoryLimit", 10);
    put(spec, "podManagementPolicy", "OrderedReady");
    let strategy = put(spec, "updateStrategy", json!({}));
    put(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        put(put(strategy, "rollingUpdate", json!({})), "partition", 0);
    }
}

/// Checks selector and pod template. Specs that do not change are not checked again.
fn validate(change: &Change<'_>) -> Vec<Cause> {
    let (new, old, mut causes) = (change.new, change.old, Vec::new());
    if old.is_some_and(|old| old["spec"] == new["spec"]) {
        return causes;
    }
    check_selector(new, old, &mut causes);
    let claims: Vec<&str> = items(&new["spec"]["volumeClaimTemplates"])
        .filter_map(|claim| claim["metadata"]["name"].as_str())
        .collect();
    let template = &new["spec"]["template"]["spec"];
    check_spec(template, "spec.template.spec", &claims, &mut causes);
    causes
}

fn check_strategy(deployment: &Value) -> Option<Cause> {
    let strategy = &deployment["spec"]["strategy"];
    if strategy["type"] != "Recreate" || strategy["rollingUpdate"].is_null() {
        return None;
    }
    let why = "may not be specified when strategy `type` is 'Recreate'";
    Some(Cause::forbidden("spec.strategy.rollingUpdate", why))
}
