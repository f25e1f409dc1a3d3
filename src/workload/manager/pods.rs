//! Looking after a Pod: its kubelet's next step, and taints that drive it away.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::pod_life::{self, Step};
use super::site::{NODES, PODS, Site, delete_pod, is_deleting, is_mirror, node_of, patch};
use super::{addresses, eviction};
use crate::client::ClientError;

/// Brings a Pod one step further.
pub(super) async fn look_after(
    site: &Site<'_>,
    namespace: &str,
    name: &str,
) -> Result<Option<Duration>, ClientError> {
    let Some(pod) = site.get(&PODS, (namespace, name)) else { return Ok(None) };
    let Some(node) = node_of(&pod).filter(|_| !is_mirror(&pod)) else { return Ok(None) };
    let now = site.now();
    if let Some(kubelet) = site.kubelet(node).filter(|kubelet| kubelet.stopped.is_none()) {
        let status = match pod_life::step(&pod, now) {
            Step::Rest => None,
            Step::Wait(wait) => return Ok(Some(wait)),
            Step::Remove => {
                delete_pod(&site.as_kubelet(), &pod, Some(0)).await?;
                return Ok(None);
            }
            Step::Start => addresses::address_of(site, &pod, &kubelet)
                .map(|address| pod_life::started(&pod, &kubelet, address, now)),
            Step::Report(status) => Some(status),
        };
        if let Some(status) = status {
            patch::<Pod>(&site.as_kubelet(), &pod, "status", &json!({"status": status})).await?;
            // The commit of this write brings the Pod here again.
            return Ok(None);
        }
    }
    match site.get(&NODES, ("", node)) {
        Some(node) if !is_deleting(&pod) => eviction::by_taints(site, &pod, &node).await,
        _ => Ok(None),
    }
}
