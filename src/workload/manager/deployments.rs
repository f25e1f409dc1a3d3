//! Deployments: how many of their Pods there are, and how many are available.
//! (kubernetes 1.36: pkg/controller/deployment/sync.go, calculateStatus)
//!
//! Pods that a Deployment's selector finds count, whoever made them; nothing is rolled out.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::site::{
    DEPLOYMENTS, PODS, Site, condition, conditions_of, is_deleting, is_true, patch, selects,
    set_condition,
};
use crate::client::ClientError;
use crate::workload::node::seconds;

/// Writes the status of all Deployments of a namespace.
pub(super) async fn count(
    site: &Site<'_>,
    namespace: &str,
) -> Result<Option<Duration>, ClientError> {
    if site.count(&DEPLOYMENTS) == 0 {
        return Ok(None);
    }
    let deployments = site.list(&DEPLOYMENTS, Some(namespace));
    if deployments.is_empty() {
        return Ok(None);
    }
    let pods = site.list(&PODS, Some(namespace));
    for deployment in deployments.iter().filter(|deployment| !is_deleting(deployment)) {
        if let Some(status) = status(deployment, &pods, site.now()) {
            let patch_ = json!({"status": status});
            patch::<Deployment>(&site.as_manager(), deployment, "status", &patch_).await?;
        }
    }
    Ok(None)
}

/// A merge patch of a Deployment's status; `None` if that says so already.
fn status(deployment: &Value, pods: &[Value], now: Timestamp) -> Option<Value> {
    let selector = &deployment["spec"]["selector"];
    let own: Vec<&Value> = pods
        .iter()
        .filter(|pod| {
            let has_ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
            !is_deleting(pod) && !has_ended && selects(selector, pod)
        })
        .collect();
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let number = own.len() as u64;
    let ready = own.iter().filter(|pod| is_true(pod, "Ready")).count() as u64;
    let is_available = ready >= wanted.saturating_sub(unavailable(deployment, wanted));
    let (state, reason, message) = if is_available {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let mut conditions = conditions_of(deployment);
    if condition(deployment, "Available").is_none_or(|known| known["status"] != state) {
        let now = seconds(now);
        let condition = json!({
            "type": "Available", "status": state, "reason": reason, "message": message,
            "lastTransitionTime": now, "lastUpdateTime": now,
        });
        set_condition(&mut conditions, condition);
    }
    let some = |count: u64| if count == 0 { Value::Null } else { count.into() };
    let status = json!({
        "availableReplicas": some(ready),
        "conditions": conditions,
        "observedGeneration": deployment["metadata"]["generation"].as_i64().unwrap_or(0),
        "readyReplicas": some(ready),
        "replicas": some(number),
        "unavailableReplicas": some(wanted.max(number).saturating_sub(ready)),
        "updatedReplicas": some(number),
    });
    let held = &deployment["status"];
    let is_right =
        status.as_object().into_iter().flatten().all(|(field, value)| &held[field] == value);
    (!is_right).then_some(status)
}

/// Replicas that may be missing: a number or a share, rounded down.
fn unavailable(deployment: &Value, replicas: u64) -> u64 {
    let limit = &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"];
    match limit.as_str().and_then(|text| text.strip_suffix('%')?.parse::<u64>().ok()) {
        Some(percent) => replicas.saturating_mul(percent) / 100,
        None => limit.as_u64().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_counts_the_pods_that_it_selects() {
        let mut deployment = json!({
            "metadata": {"generation": 1},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}},
                     "strategy": {"rollingUpdate": {"maxUnavailable": "50%"}}},
        });
        let now = Timestamp::UNIX_EPOCH;
        let nothing = status(&deployment, &[], now).unwrap();
        assert_eq!(nothing["unavailableReplicas"], 2);
        assert_eq!(nothing["conditions"][0]["reason"], "MinimumReplicasUnavailable");
        let pod = json!({
            "metadata": {"labels": {"a": "b"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let one = status(&deployment, std::slice::from_ref(&pod), now).unwrap();
        assert_eq!((&one["replicas"], &one["readyReplicas"]), (&json!(1), &json!(1)));
        assert_eq!(one["conditions"][0]["status"], "True");
        deployment["status"] = one;
        assert_eq!(status(&deployment, &[pod], now), None);
    }
}
