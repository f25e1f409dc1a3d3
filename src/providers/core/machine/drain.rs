//! Emptying a Machine's Node before it goes. (CAPI v1.14: core/reconcilers/machine/drain)
//!
//! Mirror Pods and Pods of DaemonSets stay; all others are evicted at once. MachineDrainRules are
//! not looked at.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::EvictParams;
use serde_json::json;

use super::super::owned::shortened;
use super::MachineReconciler;
use crate::client::{Client, ClientError, ObjectKey};
use crate::contract::owners;
use crate::runtime::ReconcileError;

const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
const BUDGET: &str = "annot evict pod as it would violate the pod's disruption budget.";

/// What is still on a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remaining {
    /// Pods that are being deleted.
    deleting: Vec<String>,
    /// Pods that could not be evicted, by message.
    failed: BTreeMap<String, Vec<String>>,
    /// Whether Pods were told to go just now.
    is_new: bool,
}

impl Remaining {
    /// Whether the Node is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.deleting.is_empty() && self.failed.is_empty()
    }

    /// Whether all that is left was told to go just now.
    pub(super) fn was_just_evicted(&self) -> bool {
        self.is_new && self.failed.is_empty()
    }

    /// The Deleting condition's message.
    pub(super) fn message(&self, started: Timestamp) -> String {
        let started = started.round(jiff::Unit::Second).unwrap_or(started);
        let mut message = format!("Drain not completed yet (started at {started}):");
        if !self.deleting.is_empty() {
            message.push_str(&format!(
                "\n* {}: deletionTimestamp set, but still not removed from the Node",
                pods(&self.deleting)
            ));
        }
        for (failure, names) in self.failed.iter().take(5) {
            let failure = if failure.get(1..).is_some_and(|rest| rest.starts_with(BUDGET)) {
                format!("c{}", &failure[1..])
            } else {
                format!("failed to evict Pod, {failure}")
            };
            message.push_str(&format!("\n* {}: {failure}", pods(names)));
        }
        let others: usize = self.failed.values().skip(5).map(Vec::len).sum();
        match others {
            0 => {}
            1 => message.push_str("\n* 1 Pod with other issues"),
            count => message.push_str(&format!("\n* {count} Pods with other issues")),
        }
        message
    }
}

fn pods(names: &[String]) -> String {
    let noun = if names.len() == 1 { "Pod" } else { "Pods" };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("{noun} {}", shortened(&names, 3))
}

impl MachineReconciler {
    /// Cordons a Node and evicts its Pods; answers what is left.
    ///
    /// # Errors
    /// A request other than an eviction failed.
    pub(super) async fn drain(
        &self,
        client: &Client,
        node: &Node,
    ) -> Result<Remaining, ReconcileError> {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let is_cordoned =
            node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
        if !is_cordoned {
            let patch = json!({ "spec": { "unschedulable": true } });
            client.merge_patch::<Node>(&ObjectKey::new("", name), "", &patch).await?;
        }
        let mut remaining = Remaining::default();
        let mut evicted = false;
        for pod in client.list::<Pod>("", "").await?.iter().filter(|pod| must_go(pod, name)) {
            let key = ObjectKey::of(pod);
            if pod.metadata.deletion_timestamp.is_some() {
                remaining.deleting.push(key.to_string());
                continue;
            }
            match evict(client, &key).await {
                Ok(()) => evicted = true,
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    let names = remaining.failed.entry(error.to_string()).or_default();
                    names.push(key.to_string());
                }
            }
        }
        remaining.is_new = evicted;
        if evicted {
            // Pods that never ran are gone at once; what is still there takes its time.
            let left = client.list::<Pod>("", "").await?;
            let left = left
                .iter()
                .filter(|pod| must_go(pod, name) && pod.metadata.deletion_timestamp.is_some());
            remaining.deleting = left.map(|pod| ObjectKey::of(pod).to_string()).collect();
        }
        Ok(remaining)
    }
}

async fn evict(client: &Client, key: &ObjectKey) -> Result<(), ClientError> {
    let pods = kube::Api::<Pod>::namespaced(client.kube().clone(), &key.namespace);
    pods.evict(&key.name, &EvictParams::default()).await?;
    Ok(())
}

/// Whether a Pod is to be evicted from a Node.
pub(super) fn must_go(pod: &Pod, node: &str) -> bool {
    let is_here = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
    let annotations = pod.metadata.annotations.as_ref();
    let is_mirror = annotations.is_some_and(|held| held.contains_key(MIRROR_ANNOTATION))
        || owners::controller(&pod.metadata, "", "Node").is_some();
    let is_daemon = owners::controller(&pod.metadata, "apps", "DaemonSet").is_some();
    is_here && !is_mirror && !is_daemon
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_and_daemon_pods_stay() {
        let pod = |patch: serde_json::Value| -> Pod {
            let mut pod = json!({ "metadata": {}, "spec": { "nodeName": "n", "containers": [] } });
            crate::machinery::patch::merge::apply(&mut pod, &patch);
            serde_json::from_value(pod).unwrap()
        };
        let owner = |kind: &str, version: &str| {
            json!({ "metadata": { "ownerReferences": [
                { "kind": kind, "apiVersion": version, "name": "x", "uid": "u", "controller": true }
            ] } })
        };
        assert!(must_go(&pod(json!({})), "n"));
        assert!(!must_go(&pod(json!({})), "other"));
        assert!(!must_go(&pod(owner("DaemonSet", "apps/v1")), "n"));
        assert!(!must_go(&pod(owner("Node", "v1")), "n"));
        assert!(must_go(&pod(owner("ReplicaSet", "apps/v1")), "n"));
        let mirror = json!({ "metadata": { "annotations": { MIRROR_ANNOTATION: "x" } } });
        assert!(!must_go(&pod(mirror), "n"));
    }

    #[test]
    fn the_message_tells_what_holds_a_drain() {
        let mut remaining = Remaining::default();
        assert!(remaining.is_empty());
        remaining.deleting.push("ns/a".into());
        let budget = "Cannot evict pod as it would violate the pod's disruption budget.";
        remaining.failed.insert(budget.into(), vec!["ns/b".into(), "ns/c".into()]);
        assert_eq!(
            remaining.message(Timestamp::UNIX_EPOCH),
            "Drain not completed yet (started at 1970-01-01T00:00:00Z):\n\
             * Pod ns/a: deletionTimestamp set, but still not removed from the Node\n\
             * Pods ns/b, ns/c: cannot evict pod as it would violate the pod's disruption budget."
        );
    }
}
