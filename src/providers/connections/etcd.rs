//! etcd's membership, as its Pods tell it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::client::{EtcdMember, EtcdStatus};
use crate::contract::etcd::{LEADER_FROM, MEMBER_ID, MEMBER_REMOVED};

/// What etcd's Pods are called: their Node's name follows.
const POD_PREFIX: &str = "etcd-";

/// Name of the etcd Pod on a Node.
pub(super) fn pod_name(node: &str) -> String {
    format!("{POD_PREFIX}{node}")
}

/// Members and leader, from the control plane Pods of a cluster. The leader is the member that
/// took over last; without annotations it is the first one that runs.
pub(super) fn status(pods: &[Arc<Pod>]) -> EtcdStatus {
    let mut status = EtcdStatus::default();
    let mut led_from = None;
    for pod in pods {
        let Some((node, member)) = member(pod) else { continue };
        let from = annotation(pod, LEADER_FROM).map(str::to_owned);
        if status.leader_id == 0 || from > led_from {
            status.leader_id = member;
            led_from = from;
        }
        status.members.push(EtcdMember {
            id: member,
            name: node.to_owned(),
            is_learner: false,
            alarms: Vec::new(),
        });
    }
    status
}

/// Node and member id of an etcd Pod; `None` for other Pods and members that were removed.
fn member(pod: &Pod) -> Option<(&str, u64)> {
    let node = pod.metadata.name.as_deref()?.strip_prefix(POD_PREFIX)?;
    if annotation(pod, MEMBER_REMOVED).is_some() {
        return None;
    }
    if let Some(id) = annotation(pod, MEMBER_ID) {
        return Some((node, id.parse().ok()?));
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    (phase == Some("Running")).then(|| (node, id_of(node)))
}

/// A stable stand-in for an id that is not shown: FNV-1a of the name, never 0.
fn id_of(node: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    node.bytes().fold(0xcbf2_9ce4_8422_2325, step).max(1)
}

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, annotations: serde_json::Value) -> Arc<Pod> {
        let object = json!({"metadata": {"name": name, "annotations": annotations},
            "status": {"phase": "Running"}});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn members_and_leader_are_read_from_annotations() {
        let pods = [
            pod("etcd-a", json!({MEMBER_ID: "7", LEADER_FROM: "2026-01-01T00:00:00Z"})),
            pod("etcd-b", json!({MEMBER_ID: "8", LEADER_FROM: "2026-01-02T00:00:00Z"})),
            pod("etcd-c", json!({MEMBER_ID: "9", MEMBER_REMOVED: ""})),
            pod("kube-apiserver-a", json!({MEMBER_ID: "1"})),
        ];
        let status = status(&pods);
        let names: Vec<_> = status.members.iter().map(|it| (it.name.as_str(), it.id)).collect();
        assert_eq!(names, [("a", 7), ("b", 8)]);
        assert_eq!(status.leader_id, 8);
    }

    #[test]
    fn running_pods_without_annotations_are_members() {
        let status = status(&[pod("etcd-a", json!({})), pod("etcd-b", json!({}))]);
        assert_eq!(status.members.len(), 2);
        assert_eq!(status.leader_id, status.members[0].id);
        assert_ne!(status.members[0].id, status.members[1].id);
    }
}
