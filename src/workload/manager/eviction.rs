//! Pods that leave Nodes against their will: driven away by taints, or left without a Node.
//! (kubernetes 1.36: pkg/controller/{tainteviction,podgc})

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::site::{Site, conditions_of, delete_pod, patch, set_condition};
use super::taints::{Leave, leave};
use crate::client::ClientError;
use crate::workload::node::seconds;

/// Deletes a Pod that does not tolerate its Node's taints, or not any longer; answers when it will
/// have to go.
pub(super) async fn by_taints(
    site: &Site<'_>,
    pod: &Value,
    node: &Value,
) -> Result<Option<Duration>, ClientError> {
    let now = site.now();
    let end = match leave(&node["spec"]["taints"], &pod["spec"]["tolerations"], now) {
        Leave::Never => return Ok(None),
        Leave::At(end) => end,
    };
    if now < end {
        return Ok(Some(Duration::try_from(end.duration_since(now)).unwrap_or_default()));
    }
    let message = "Taint manager: deleting due to NoExecute taint";
    mark(site, pod, json!({}), "DeletionByTaintManager", message).await?;
    delete_pod(&site.as_manager(), pod, None).await?;
    Ok(None)
}

/// Deletes a Pod whose Node is gone: nobody will confirm that it stopped.
pub(super) async fn of_orphan(site: &Site<'_>, pod: &Value) -> Result<(), ClientError> {
    if !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        let message = "PodGC: node no longer exists";
        mark(site, pod, json!({"phase": "Failed"}), "DeletionByPodGC", message).await?;
    }
    delete_pod(&site.as_manager(), pod, Some(0)).await
}

/// Says in a Pod's status why it goes.
async fn mark(
    site: &Site<'_>,
    pod: &Value,
    mut status: Value,
    reason: &str,
    message: &str,
) -> Result<(), ClientError> {
    let mut conditions = conditions_of(pod);
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastProbeTime": null, "lastTransitionTime": seconds(site.now()),
    });
    set_condition(&mut conditions, condition);
    status["conditions"] = conditions.into();
    patch::<Pod>(&site.as_manager(), pod, "status", &json!({"status": status})).await
}
