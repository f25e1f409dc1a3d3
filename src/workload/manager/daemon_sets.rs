//! DaemonSets: on how many Nodes their Pods should run, and on how many they do.
//! (kubernetes 1.36: pkg/controller/daemon/daemon_controller.go, updateDaemonSetStatus)

use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::{Value, json};

use super::site::{DAEMON_SETS, NODES, PODS, Site, is_deleting, is_true, node_of, patch};
use super::taints;
use crate::client::ClientError;

/// Taints that Pods of DaemonSets tolerate whatever their template says.
/// (daemon/util/daemonset_util.go, AddOrUpdateDaemonPodTolerations)
const TOLERATED: [&str; 6] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
];

/// Writes the status of all DaemonSets.
pub(super) async fn count(site: &Site<'_>) -> Result<Option<Duration>, ClientError> {
    let sets = site.list(&DAEMON_SETS, None);
    if sets.is_empty() {
        return Ok(None);
    }
    let (nodes, pods) = (site.list(&NODES, None), site.list(&PODS, None));
    for set in &sets {
        let status = status(set, &nodes, &pods);
        let is_right = status
            .as_object()
            .into_iter()
            .flatten()
            .all(|(field, value)| &set["status"][field] == value);
        if !is_right && !is_deleting(set) {
            let patch_ = json!({"status": status});
            patch::<DaemonSet>(&site.as_manager(), set, "status", &patch_).await?;
        }
    }
    Ok(None)
}

/// A merge patch of a DaemonSet's status.
fn status(set: &Value, nodes: &[Value], pods: &[Value]) -> Value {
    let uid = &set["metadata"]["uid"];
    let is_own = |pod: &&Value| {
        let owners = pod["metadata"]["ownerReferences"].as_array();
        owners.into_iter().flatten().any(|it| it["controller"] == true && it["uid"] == *uid)
    };
    let own: Vec<&Value> = pods.iter().filter(is_own).collect();
    let (mut desired, mut current, mut ready, mut misscheduled) = (0_u32, 0_u32, 0_u32, 0_u32);
    for node in nodes {
        let name = node["metadata"]["name"].as_str();
        let mut here = own.iter().filter(|pod| node_of(pod) == name).peekable();
        let runs = here.peek().is_some();
        if !wants(set, node) {
            misscheduled += u32::from(runs);
            continue;
        }
        desired += 1;
        current += u32::from(runs);
        ready += u32::from(here.any(|pod| is_true(pod, "Ready")));
    }
    let some = |count: u32| if count == 0 { Value::Null } else { count.into() };
    json!({
        "currentNumberScheduled": current,
        "desiredNumberScheduled": desired,
        "numberAvailable": some(ready),
        "numberMisscheduled": misscheduled,
        "numberReady": ready,
        "numberUnavailable": some(desired - ready),
        "observedGeneration": set["metadata"]["generation"].as_i64().unwrap_or(0),
        "updatedNumberScheduled": some(current),
    })
}

/// Whether a DaemonSet's Pod is to run on a Node.
fn wants(set: &Value, node: &Value) -> bool {
    let spec = &set["spec"]["template"]["spec"];
    let labels = &node["metadata"]["labels"];
    let selected = spec["nodeSelector"].as_object().into_iter().flatten();
    if selected.into_iter().any(|(key, value)| &labels[key] != value) {
        return false;
    }
    let mut remaining = node["spec"]["taints"].clone();
    if let Some(list) = remaining.as_array_mut() {
        list.retain(|taint| !TOLERATED.iter().any(|key| taint["key"] == *key));
    }
    taints::may_run(&remaining, &spec["tolerations"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_count_unless_they_are_not_wanted() {
        let set = json!({
            "metadata": {"uid": "s", "generation": 2},
            "spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}}},
        });
        let node = |name: &str, os: &str, taint: &str| {
            json!({
                "metadata": {"name": name, "labels": {"kubernetes.io/os": os}},
                "spec": {"taints": [{"key": taint, "effect": "NoSchedule"}]},
            })
        };
        let nodes = [
            node("a", "linux", "node.kubernetes.io/unschedulable"),
            node("b", "windows", "node.kubernetes.io/not-ready"),
            node("c", "linux", "own"),
            node("d", "linux", "node.kubernetes.io/not-ready"),
        ];
        let pod = |node: &str| {
            json!({
                "metadata": {"ownerReferences": [{"uid": "s", "controller": true}]},
                "spec": {"nodeName": node},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            })
        };
        let found = status(&set, &nodes, &[pod("a"), pod("b")]);
        assert_eq!(
            found,
            json!({
                "currentNumberScheduled": 1, "desiredNumberScheduled": 2, "numberAvailable": 1,
                "numberMisscheduled": 1, "numberReady": 1, "numberUnavailable": 1,
                "observedGeneration": 2, "updatedNumberScheduled": 1,
            })
        );
    }
}
