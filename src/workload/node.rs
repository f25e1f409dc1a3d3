//! The Node of a machine, as its kubelet would have registered it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::pods::Component;

/// Label and taint of control plane Nodes.
const CONTROL_PLANE_ROLE: &str = "node-role.kubernetes.io/control-plane";

/// Taint with which the bootstrap provider lets workers register; the Machine controller takes it
/// away. (CAPI v1.14: kubeadmconfig_controller.go, joinWorker)
const UNINITIALIZED: &str = "node.cluster.x-k8s.io/uninitialized";

/// Seconds for which a kubelet's Lease is valid, and between its renewals.
const LEASE_SECONDS: i64 = 40;
pub(super) const RENEWAL_SECONDS: i64 = 10;

/// What a Node depends on.
pub(super) struct NodeFacts<'a> {
    /// Node name.
    pub(super) name: &'a str,
    /// Provider id.
    pub(super) provider_id: &'a str,
    /// Kubernetes version, with `v`.
    pub(super) version: &'a str,
    /// Whether the Node runs a control plane.
    pub(super) is_control_plane: bool,
    /// Address inside the cluster.
    pub(super) address: IpAddr,
    /// Pod CIDRs; may be empty.
    pub(super) pod_cidrs: &'a [String],
    /// Stable number that machine id, boot id and system uuid are made of.
    pub(super) identity: u64,
    /// Time of the conditions.
    pub(super) now: Timestamp,
}

/// A time as Kubernetes writes it: whole seconds.
pub(super) fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// The architecture of this machine in Go's words.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The Node with its status. Conditions as kubelet's first healthy report.
pub(super) fn node(facts: &NodeFacts<'_>) -> Value {
    let mut spec = Map::new();
    spec.insert("providerID".to_owned(), facts.provider_id.into());
    if let Some(first) = facts.pod_cidrs.first() {
        spec.insert("podCIDR".to_owned(), first.as_str().into());
        spec.insert("podCIDRs".to_owned(), json!(facts.pod_cidrs));
    }
    let taint = if facts.is_control_plane { CONTROL_PLANE_ROLE } else { UNINITIALIZED };
    spec.insert("taints".to_owned(), json!([{"key": taint, "effect": "NoSchedule"}]));
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": facts.name,
            "labels": labels(facts),
            "annotations": {
                "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock",
                "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": spec,
        "status": status(facts),
    })
}

fn labels(facts: &NodeFacts<'_>) -> Value {
    let mut labels = json!({
        "beta.kubernetes.io/arch": architecture(),
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
    });
    if facts.is_control_plane {
        labels[CONTROL_PLANE_ROLE] = "".into();
        labels["node.kubernetes.io/exclude-from-external-load-balancers"] = "".into();
    }
    labels
}

fn status(facts: &NodeFacts<'_>) -> Value {
    let identity = facts.identity;
    json!({
        "addresses": [
            {"type": "InternalIP", "address": facts.address.to_string()},
            {"type": "Hostname", "address": facts.name},
        ],
        "capacity": resources("8388608Ki", "104857600Ki"),
        "allocatable": resources("8286208Ki", "96636764160"),
        "conditions": conditions(facts.now),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "images": images(facts),
        "nodeInfo": {
            "architecture": architecture(),
            "bootID": uuid(identity, 1),
            "containerRuntimeVersion": "containerd://2.2.0",
            "kernelVersion": "6.12.0",
            "kubeProxyVersion": "",
            "kubeletVersion": facts.version,
            "machineID": uuid(identity, 2).replace('-', ""),
            "operatingSystem": "linux",
            "osImage": "capim in-memory machine",
            "systemUUID": uuid(identity, 3),
        },
    })
}

/// Images that a machine has: what kubeadm pulls for its role.
fn images(facts: &NodeFacts<'_>) -> Value {
    let version = facts.version.replace('+', "_");
    let mut images = vec![
        json!({"names": [format!("registry.k8s.io/kube-proxy:{version}")], "sizeBytes": 39_000_000}),
        json!({"names": ["registry.k8s.io/pause:3.10.1"], "sizeBytes": 320_000}),
    ];
    if facts.is_control_plane {
        let name = |component: Component| component.image(facts.version);
        let image = |component| json!({"names": [name(component)], "sizeBytes": 60_000_000});
        images.splice(0..0, Component::ALL.map(image));
    }
    images.into()
}

/// The conditions that a kubelet reports of a healthy Node.
pub(super) fn conditions(now: Timestamp) -> Value {
    let now = seconds(now);
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        })
    };
    json!([
        condition(
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available"
        ),
        condition(
            "DiskPressure",
            "False",
            "KubeletHasNoDiskPressure",
            "kubelet has no disk pressure"
        ),
        condition(
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available"
        ),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ])
}

/// The Lease of a Node, as its kubelet creates it. It is stored once: later renewals are shown to
/// who reads it.
pub(super) fn lease(name: &str, node_uid: &str, now: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": "kube-node-lease",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node_uid},
            ],
        },
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": format!("{now:.6}"),
        },
    })
}

/// Processors of every Node.
pub const CPU: &str = "4";
/// Memory of every Node, as a quantity prints it; Nodes say the same in Ki, as kubelets do.
pub const MEMORY: &str = "8Gi";

fn resources(memory: &str, storage: &str) -> Value {
    json!({
        "cpu": CPU,
        "ephemeral-storage": storage,
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": memory,
        "pods": "110",
    })
}

/// A version 4 UUID made of a number and a salt.
fn uuid(identity: u64, salt: u64) -> String {
    let low = identity.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt);
    let high = identity ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48 & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;

    use super::*;

    fn build(is_control_plane: bool) -> Node {
        let value = node(&NodeFacts {
            name: "bar-cp-1",
            provider_id: "in-memory://bar-cp-1",
            version: "v1.34.0",
            is_control_plane,
            address: IpAddr::from([172, 18, 0, 2]),
            pod_cidrs: &["192.168.0.0/24".to_owned()],
            identity: 7,
            now: "2026-01-02T03:04:05.678Z".parse().expect("a time"),
        });
        serde_json::from_value(value).expect("the shape of a Node")
    }

    #[test]
    fn a_control_plane_node_has_role_and_taint() {
        let node = build(true);
        let labels = node.metadata.labels.expect("labels");
        assert_eq!(labels["node-role.kubernetes.io/control-plane"], "");
        let taints = node.spec.expect("spec").taints.expect("taints");
        assert_eq!(taints.len(), 1, "kubeadm sets no other on a control plane");
        assert_eq!(
            (taints[0].key.as_str(), taints[0].effect.as_str()),
            ("node-role.kubernetes.io/control-plane", "NoSchedule")
        );
    }

    #[test]
    fn a_worker_node_looks_like_a_real_one() {
        let node = build(false);
        let labels = node.metadata.labels.expect("labels");
        assert_eq!(labels["kubernetes.io/hostname"], "bar-cp-1");
        assert!(!labels.contains_key("node-role.kubernetes.io/control-plane"));
        let spec = node.spec.expect("spec");
        assert_eq!(spec.provider_id.as_deref(), Some("in-memory://bar-cp-1"));
        assert_eq!(spec.pod_cidr.as_deref(), Some("192.168.0.0/24"));
        let taints = spec.taints.expect("taints");
        assert_eq!(taints[0].key, "node.cluster.x-k8s.io/uninitialized");
        let status = node.status.expect("status");
        let info = status.node_info.expect("info");
        assert_eq!(info.kubelet_version, "v1.34.0");
        assert_eq!(info.system_uuid.len(), 36);
        assert_eq!(info.machine_id.len(), 32);
        let conditions = status.conditions.expect("conditions");
        let states: Vec<(&str, &str)> = conditions
            .iter()
            .map(|condition| (condition.type_.as_str(), condition.status.as_str()))
            .collect();
        assert_eq!(
            states,
            [
                ("MemoryPressure", "False"),
                ("DiskPressure", "False"),
                ("PIDPressure", "False"),
                ("Ready", "True")
            ]
        );
        assert_eq!(status.addresses.expect("addresses")[0].address, "172.18.0.2");
        assert_eq!(status.capacity.expect("capacity")["pods"].0, "110");
    }

    #[test]
    fn object_times_are_whole_seconds() {
        let time = "2026-01-02T03:04:05.678Z".parse().expect("a time");
        assert_eq!(seconds(time), "2026-01-02T03:04:05Z");
    }
}
