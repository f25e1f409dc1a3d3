//! Looking after a Node: a silent kubelet, the taints that follow, and what becomes of its Pods.
//! (kubernetes 1.36: pkg/controller/nodelifecycle, pkg/controller/podgc)

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::chores::Chore;
use super::eviction;
use super::site::{
    NODES, Site, condition, conditions_of, is_mirror, is_true, key_of, patch, set_condition,
};
use crate::client::ClientError;
use crate::workload::cluster::Kubelet;
use crate::workload::node::seconds;

/// How long a Node may be silent. (`--node-monitor-grace-period`)
const GRACE: SignedDuration = SignedDuration::from_secs(50);
/// How long a Node has to be gone until its Pods go, too. (podgc: quarantineTime)
const QUARANTINE: Duration = Duration::from_secs(40);
/// Reason of the conditions of a silent Node.
const SILENT: &str = "NodeStatusUnknown";

const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Conditions that a kubelet reports beside Ready, and the taints of those that are True.
const PRESSURES: [(&str, &str); 3] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
];

/// Brings a Node one step further, and has its Pods looked at.
pub(super) async fn look_after(
    site: &Site<'_>,
    name: &str,
) -> Result<Option<Duration>, ClientError> {
    let Some(node) = site.get(&NODES, ("", name)) else {
        return leave_behind(site, name).await;
    };
    let Some(kubelet) = site.kubelet(name) else { return Ok(None) };
    let wait = match kubelet.stopped {
        Some(_) => silence(site, &node, &kubelet).await?,
        None => {
            speak(site, &node).await?;
            None
        }
    };
    // Conditions that were just written bring the Node here again.
    if let Some(taints) = taints(&node, site.now()) {
        let patch_ = json!({
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": taints},
        });
        patch::<Node>(&site.as_manager(), &node, "", &patch_).await?;
    }
    for pod in site.pods_of(name).iter().filter(|pod| !is_mirror(pod)) {
        let key = key_of(pod);
        site.add(Chore::Pod(key.namespace, key.name));
    }
    Ok(wait)
}

/// A kubelet that is gone: after the grace period nobody knows how its Node is.
async fn silence(
    site: &Site<'_>,
    node: &Value,
    kubelet: &Kubelet,
) -> Result<Option<Duration>, ClientError> {
    let now = site.now();
    let end = kubelet.renewed(now) + GRACE;
    if now < end {
        return Ok(Some(Duration::try_from(end.duration_since(now)).unwrap_or_default()));
    }
    if condition(node, "Ready").is_some_and(|ready| ready["status"] == "Unknown") {
        return Ok(None);
    }
    let name = key_of(node).name;
    for pod in site.pods_of(&name).iter().filter(|pod| is_true(pod, "Ready")) {
        report_ready(site, pod, "False").await?;
    }
    let mut conditions = conditions_of(node);
    for kind in PRESSURES.map(|(kind, _)| kind).into_iter().chain(["Ready"]) {
        let known = condition(node, kind);
        let heartbeat = known.map_or(Value::Null, |known| known["lastHeartbeatTime"].clone());
        let condition = json!({
            "type": kind, "status": "Unknown", "reason": SILENT,
            "message": "Kubelet stopped posting node status.",
            "lastHeartbeatTime": heartbeat, "lastTransitionTime": seconds(now),
        });
        set_condition(&mut conditions, condition);
    }
    let status = json!({"status": {"conditions": conditions}});
    patch::<Node>(&site.as_manager(), node, "status", &status).await?;
    Ok(None)
}

/// A kubelet that runs: its Node is fine, and so are its static Pods.
async fn speak(site: &Site<'_>, node: &Value) -> Result<(), ClientError> {
    if condition(node, "Ready").is_none_or(|ready| ready["reason"] != SILENT) {
        return Ok(());
    }
    for pod in site.pods_of(&key_of(node).name) {
        if is_mirror(&pod) && is_true(&pod, "ContainersReady") && !is_true(&pod, "Ready") {
            report_ready(site, &pod, "True").await?;
        }
    }
    let mut conditions = conditions_of(node);
    for condition in site.node_conditions().as_array().into_iter().flatten() {
        set_condition(&mut conditions, condition.clone());
    }
    let status = json!({"status": {"conditions": conditions}});
    patch::<Node>(&site.as_kubelet(), node, "status", &status).await
}

async fn report_ready(site: &Site<'_>, pod: &Value, status: &str) -> Result<(), ClientError> {
    let mut conditions = conditions_of(pod);
    let mut ready = condition(pod, "Ready").cloned().unwrap_or_else(|| json!({"type": "Ready"}));
    ready["status"] = status.into();
    ready["lastTransitionTime"] = seconds(site.now()).into();
    set_condition(&mut conditions, ready);
    let patch_ = json!({"status": {"conditions": conditions}});
    patch::<Pod>(&site.as_manager(), pod, "status", &patch_).await
}

/// A Node's taints as its state wants them; `None` if they are right. Taints that drive Pods away
/// get the time from which their tolerations count.
fn taints(node: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let held = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let wanted = wanted(node);
    let is_own = |taint: &Value| {
        let own = [UNSCHEDULABLE, NOT_READY, UNREACHABLE];
        let own = own.into_iter().chain(PRESSURES.map(|(_, key)| key));
        own.into_iter().any(|key| taint["key"] == key)
    };
    let is = |taint: &Value, (key, effect): &(&str, &str)| {
        taint["key"] == *key && taint["effect"] == *effect
    };
    let mut taints: Vec<Value> = held
        .iter()
        .filter(|taint| !is_own(taint) || wanted.iter().any(|wanted| is(taint, wanted)))
        .cloned()
        .collect();
    for taint in &mut taints {
        if taint["effect"] == NO_EXECUTE && taint["timeAdded"].is_null() {
            taint["timeAdded"] = seconds(now).into();
        }
    }
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| is(taint, &(key, effect))) {
            taints.push(json!({"key": key, "effect": effect, "timeAdded": seconds(now)}));
        }
    }
    (taints != held).then_some(taints)
}

/// Keys and effects of the taints that a Node's state wants.
fn wanted(node: &Value) -> Vec<(&'static str, &'static str)> {
    let mut wanted = Vec::new();
    if node["spec"]["unschedulable"] == true {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    for (kind, key) in PRESSURES {
        if is_true(node, kind) {
            wanted.push((key, NO_SCHEDULE));
        }
    }
    match condition(node, "Ready").and_then(|ready| ready["status"].as_str()) {
        Some("False") => wanted.extend([(NOT_READY, NO_SCHEDULE), (NOT_READY, NO_EXECUTE)]),
        Some("Unknown") => wanted.extend([(UNREACHABLE, NO_SCHEDULE), (UNREACHABLE, NO_EXECUTE)]),
        _ => {}
    }
    wanted
}

/// Without its Node a mirror goes at once, the other Pods after a while.
async fn leave_behind(site: &Site<'_>, name: &str) -> Result<Option<Duration>, ClientError> {
    let pods = site.pods_of(name);
    for pod in pods.iter().filter(|pod| is_mirror(pod)) {
        super::site::delete_pod(&site.as_manager(), pod, Some(0)).await?;
    }
    if pods.iter().any(|pod| !is_mirror(pod)) {
        site.plan(Chore::Orphans(name.to_owned()), QUARANTINE);
    }
    Ok(None)
}

/// Removes the Pods of a Node that did not come back.
pub(super) async fn remove_orphans(
    site: &Site<'_>,
    name: &str,
) -> Result<Option<Duration>, ClientError> {
    if site.get(&NODES, ("", name)).is_none() {
        for pod in site.pods_of(name) {
            eviction::of_orphan(site, &pod).await?;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, unschedulable: bool, taints: Value) -> Value {
        json!({
            "spec": {"unschedulable": unschedulable, "taints": taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        })
    }

    fn keys(taints: Option<Vec<Value>>) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let taints = taints.unwrap_or_default();
        taints.iter().map(|it| format!("{}:{}", text(&it["key"]), text(&it["effect"]))).collect()
    }

    #[test]
    fn taints_follow_the_state_of_a_node() {
        let now = Timestamp::UNIX_EPOCH;
        let own = json!([{"key": "a", "effect": "NoSchedule"}]);
        assert_eq!(taints(&node("True", false, own.clone()), now), None);
        assert_eq!(
            keys(taints(&node("Unknown", true, own.clone()), now)),
            [
                "a:NoSchedule",
                "node.kubernetes.io/unschedulable:NoSchedule",
                "node.kubernetes.io/unreachable:NoSchedule",
                "node.kubernetes.io/unreachable:NoExecute"
            ]
        );
        let unreachable = taints(&node("Unknown", false, own.clone()), now).unwrap();
        assert_eq!(unreachable[2]["timeAdded"], "1970-01-01T00:00:00Z");
        assert_eq!(
            keys(taints(&node("False", false, json!(unreachable)), now)),
            [
                "a:NoSchedule",
                "node.kubernetes.io/not-ready:NoSchedule",
                "node.kubernetes.io/not-ready:NoExecute"
            ]
        );
        assert_eq!(keys(taints(&node("True", false, json!(unreachable)), now)), ["a:NoSchedule"]);
    }
}
