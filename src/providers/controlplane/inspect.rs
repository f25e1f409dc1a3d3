//! Reads the health of components off Nodes and static Pods into conditions of Machines.
//! (CAPI v1.14: controlplane/kubeadm/pkg/workload_cluster_conditions.go)

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::Value;

use super::health::{self, Aggregation};
use super::scope::{ControlPlane, ETCD_MEMBER, NODE_MARKS, OwnedMachine, Workload};
use crate::contract::conditions::{self, New, v1beta1};

const CONTROL_PLANE_ROLE: &str = "node-role.kubernetes.io/control-plane";
const INSPECTION_FAILED: &str = "InspectionFailed";

/// `UpToDate` of every Machine.
pub(super) fn set_up_to_date(control_plane: &mut ControlPlane) {
    let now = control_plane.now;
    for owned in &mut control_plane.machines {
        let lines: Vec<String> =
            owned.outdated.iter().map(|message| format!("* {message}")).collect();
        let kubelet = kubelet_version(owned);
        let new = if !lines.is_empty() {
            New::no("UpToDate", "NotUpToDate", lines.join("\n"))
        } else if owned.is_updating_in_place() {
            let updating = conditions::get(owned.conditions(), "Updating")
                .filter(|condition| condition.status == "True" && !condition.message.is_empty());
            let message = updating
                .map_or("In-place update in progress", |condition| condition.message.as_str());
            New::no("UpToDate", "Updating", format!("* {message}"))
        } else if !kubelet.is_empty() && kubelet != owned.machine.spec.version {
            let required = &owned.machine.spec.version;
            let message =
                format!("* Node.status.nodeInfo.kubeletVersion {kubelet}, {required} required");
            New::no("UpToDate", "Updating", message)
        } else {
            New::yes("UpToDate", "UpToDate")
        };
        owned.set(new, now);
    }
}

fn kubelet_version(owned: &OwnedMachine) -> String {
    let info = owned.machine.status.as_ref().and_then(|status| status.node_info.as_ref());
    let version = info.and_then(|info| info["kubeletVersion"].as_str());
    version.unwrap_or_default().to_owned()
}

/// Nothing can be known of the components: they are Unknown with one message.
pub(super) fn set_unknown(control_plane: &mut ControlPlane, message: &str) {
    set_unknown_because(control_plane, INSPECTION_FAILED, message);
}

/// The same with a reason.
pub(super) fn set_unknown_because(control_plane: &mut ControlPlane, reason: &str, message: &str) {
    control_plane.set(New::unknown("EtcdClusterHealthy", reason, message));
    control_plane.set(New::unknown("ControlPlaneComponentsHealthy", reason, message));
    let is_etcd_managed = control_plane.is_etcd_managed();
    let (pods, now) = (control_plane.pod_conditions(), control_plane.now);
    for owned in &mut control_plane.machines {
        set_machine_unknown(owned, pods, reason, message, now);
        if is_etcd_managed {
            owned.set(New::unknown(ETCD_MEMBER, reason, message), now);
        }
    }
}

fn set_machine_unknown(
    owned: &mut OwnedMachine,
    pods: &[(&'static str, &str)],
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    owned.set(New::unknown(NODE_MARKS, reason, message), now);
    for (type_, _) in pods {
        owned.set(New::unknown(type_, reason, message), now);
    }
}

/// What a Machine without a Node waits for.
pub(super) fn waits_for(owned: &OwnedMachine) -> String {
    match owned.machine.spec.provider_id.as_str() {
        "" => format!(
            "Waiting for {} to report spec.providerID",
            owned.machine.spec.infrastructure_ref.kind
        ),
        id => format!("Waiting for a Node with spec.providerID {id} to exist"),
    }
}

/// Conditions about static Pods and Nodes, of the Machines and of the control plane as a whole.
pub(super) fn set_component_conditions(control_plane: &mut ControlPlane) {
    let Some(workload) = control_plane.workload.clone() else { return };
    let (pods, now) = (control_plane.pod_conditions(), control_plane.now);
    for owned in &mut control_plane.machines {
        inspect_machine(owned, &workload, pods, now);
    }
    let mut errors = Vec::new();
    if control_plane.machines.iter().all(|owned| owned.has_node() || owned.is_deleting()) {
        for node in workload.nodes.iter().filter(|node| has_role(node)) {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            if !control_plane.machines.iter().any(|owned| owned.node_name() == name) {
                errors.push(format!(
                    "Control plane Node {name} does not have a corresponding Machine"
                ));
            }
        }
    }
    let types: Vec<&str> = pods.iter().map(|(type_, _)| *type_).collect();
    health::aggregate(
        control_plane,
        &Aggregation {
            machine_conditions: &types,
            errors,
            condition: "ControlPlaneComponentsHealthy",
            v1beta1_unhealthy: "ControlPlaneComponentsUnhealthy",
            v1beta1_unknown: "ControlPlaneComponentsUnknown",
            note: "control plane",
        },
    );
}

fn inspect_machine(
    owned: &mut OwnedMachine,
    workload: &Workload,
    pods: &'static [(&'static str, &'static str)],
    now: Timestamp,
) {
    let node = workload.node(owned.node_name()).filter(|_| owned.has_node());
    if owned.is_deleting() {
        for (type_, _) in pods {
            owned.set_v1beta1(v1beta1::no(type_, "Deleting", "Info", ""), now);
            owned.set(New::no(type_, "Deleting", "Machine is deleting"), now);
        }
        let marks = match node {
            Some(node) => node_marks(owned, node),
            None => New::no(NODE_MARKS, "Deleting", "Machine is deleting"),
        };
        owned.set(marks, now);
        return;
    }
    if !owned.has_node() {
        let message = waits_for(owned);
        set_machine_unknown(owned, pods, INSPECTION_FAILED, &message, now);
        return;
    }
    let Some(node) = node else {
        for (type_, _) in pods {
            owned.set_v1beta1(v1beta1::no(type_, "PodFailed", "Error", "Missing Node"), now);
        }
        let message = format!("Node {} does not exist", owned.node_name());
        set_machine_unknown(owned, pods, INSPECTION_FAILED, &message, now);
        return;
    };
    if is_unreachable(node) {
        for (type_, _) in pods {
            let unknown = v1beta1::unknown(type_, "PodInspectionFailed", "Node is unreachable");
            owned.set_v1beta1(unknown, now);
        }
        let message = format!("Node {} is unreachable", owned.node_name());
        set_machine_unknown(owned, pods, INSPECTION_FAILED, &message, now);
        return;
    }
    for (type_, component) in pods {
        let name = format!("{component}-{}", owned.node_name());
        let finding = if is_ready_unknown(node) {
            Finding::unknown("Node Ready condition is Unknown, Pod data might be stale")
        } else {
            match workload.pod(&name) {
                Some(pod) => pod_health(pod),
                None => Finding {
                    v1beta1_message: Some(format!("Pod {name} is missing")),
                    ..Finding::MISSING
                },
            }
        };
        finding.set(owned, type_, now);
    }
    let marks = node_marks(owned, node);
    owned.set(marks, now);
}

/// kubeadm's label and taint on a Node.
fn node_marks(owned: &OwnedMachine, node: &Node) -> New {
    let name = owned.node_name();
    let misses_label = !has_role(node);
    let misses_taint = should_have_taint(owned) && !has_taint(node);
    let message = match (misses_label, misses_taint) {
        (false, false) => return New::yes(NODE_MARKS, "Set"),
        (true, false) => format!("Node {name} does not have the {CONTROL_PLANE_ROLE} label"),
        (false, true) => {
            format!("Node {name} does not have the {CONTROL_PLANE_ROLE}:NoSchedule taint")
        }
        (true, true) => format!(
            "Node {name} does not have the {CONTROL_PLANE_ROLE} label and the \
             {CONTROL_PLANE_ROLE}:NoSchedule taint"
        ),
    };
    New::no(NODE_MARKS, "NotSet", message)
}

pub(super) fn has_role(node: &Node) -> bool {
    node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(CONTROL_PLANE_ROLE))
}

fn has_taint(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints
        .into_iter()
        .flatten()
        .any(|taint| taint.key == CONTROL_PLANE_ROLE && taint.effect == "NoSchedule")
}

/// kubeadm taints control plane Nodes unless the registration options give other taints.
fn should_have_taint(owned: &OwnedMachine) -> bool {
    let own = &owned.machine.spec.taints;
    if own.iter().any(|taint| taint.key == CONTROL_PLANE_ROLE && taint.effect == "NoSchedule") {
        return true;
    }
    let Some(config) = &owned.config else { return false };
    let join =
        config.spec.join_configuration.as_ref().filter(|join| join["controlPlane"].is_object());
    let registration = match join {
        Some(join) => &join["nodeRegistration"],
        None => match &config.spec.init_configuration {
            Some(init) => &init["nodeRegistration"],
            None => &Value::Null,
        },
    };
    match registration["taints"].as_array() {
        None => true,
        Some(taints) => taints
            .iter()
            .any(|taint| taint["key"] == CONTROL_PLANE_ROLE && taint["effect"] == "NoSchedule"),
    }
}

fn is_unreachable(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints
        .into_iter()
        .flatten()
        .any(|taint| taint.key == "node.kubernetes.io/unreachable" && taint.effect == "NoExecute")
}

fn node_ready(node: &Node) -> Option<&str> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    Some(&ready.status)
}

fn is_ready_unknown(node: &Node) -> bool {
    node_ready(node) == Some("Unknown")
}

/// Whether a Node's condition Ready is True.
pub(super) fn is_node_ready(node: &Node) -> bool {
    node_ready(node) == Some("True")
}

/// What a Pod shows, in both families.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    status: conditions::ConditionStatus,
    reason: &'static str,
    message: String,
    v1beta1_reason: &'static str,
    severity: &'static str,
    /// Where the older family says it otherwise.
    v1beta1_message: Option<String>,
}

impl Finding {
    const MISSING: Self = Self {
        status: conditions::ConditionStatus::False,
        reason: "DoesNotExist",
        message: String::new(),
        v1beta1_reason: "PodMissing",
        severity: "Error",
        v1beta1_message: None,
    };

    fn new(
        reason: &'static str,
        old: (&'static str, &'static str),
        message: impl Into<String>,
    ) -> Self {
        let (v1beta1_reason, severity) = old;
        Self { reason, message: message.into(), v1beta1_reason, severity, ..Self::MISSING }
    }

    fn running() -> Self {
        Self { status: conditions::ConditionStatus::True, ..Self::new("Running", ("", ""), "") }
    }

    fn provisioning(message: impl Into<String>) -> Self {
        Self::new("Provisioning", ("PodProvisioning", "Info"), message)
    }

    fn failed(message: impl Into<String>) -> Self {
        Self::new("Failed", ("PodFailed", "Error"), message)
    }

    fn unknown(message: &str) -> Self {
        Self {
            status: conditions::ConditionStatus::Unknown,
            ..Self::new(INSPECTION_FAILED, ("PodInspectionFailed", ""), message)
        }
    }

    fn set(self, owned: &mut OwnedMachine, type_: &'static str, now: Timestamp) {
        let message = if self.reason == Self::MISSING.reason {
            "Pod does not exist".to_owned()
        } else {
            self.message.clone()
        };
        owned.set(New::with_status(type_, self.status, self.reason, message), now);
        let old_message = self.v1beta1_message.as_deref().unwrap_or(&self.message);
        let old = match self.status {
            conditions::ConditionStatus::True => v1beta1::yes(type_),
            conditions::ConditionStatus::False => {
                v1beta1::no(type_, self.v1beta1_reason, self.severity, old_message)
            }
            conditions::ConditionStatus::Unknown => {
                v1beta1::unknown(type_, self.v1beta1_reason, old_message)
            }
        };
        owned.set_v1beta1(old, now);
    }
}

fn pod_health(pod: &Pod) -> Finding {
    let status = pod.status.clone().unwrap_or_default();
    let is = |type_: &str| {
        let conditions = status.conditions.iter().flatten();
        conditions.into_iter().any(|c| c.type_ == type_ && c.status == "True")
    };
    match status.phase.as_deref().unwrap_or_default() {
        "Pending" if !is("PodScheduled") => Finding::provisioning("Waiting to be scheduled"),
        "Pending" if !is("Initialized") => Finding::provisioning("Running init containers"),
        "Pending" => Finding::provisioning(""),
        "Running" if is("Ready") => Finding::running(),
        "Running" => unready(&status.container_statuses.unwrap_or_default()),
        "Succeeded" | "Failed" => Finding::failed("All the containers have been terminated"),
        _ => Finding::unknown("Pod is reporting Unknown status"),
    }
}

/// A running Pod that is not ready: what its containers say.
fn unready(containers: &[k8s_openapi::api::core::v1::ContainerStatus]) -> Finding {
    let waiting: Vec<&str> = containers
        .iter()
        .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
        .map(|waiting| waiting.reason.as_deref().unwrap_or_default())
        .collect();
    if !waiting.is_empty() {
        let crashed = containers.iter().any(|container| {
            let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            last.is_some_and(|terminated| terminated.exit_code != 0)
        });
        let message = waiting.join(", ");
        return if crashed { Finding::failed(message) } else { Finding::provisioning(message) };
    }
    let terminated: Vec<&str> = containers
        .iter()
        .filter_map(|container| container.state.as_ref()?.terminated.as_ref())
        .map(|terminated| terminated.reason.as_deref().unwrap_or_default())
        .collect();
    if terminated.is_empty() {
        Finding::provisioning("Waiting for startup or readiness probes")
    } else {
        Finding::failed(terminated.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    fn check(status: Value, reason: &str, message: &str) {
        let finding = pod_health(&pod(status.clone()));
        assert_eq!((finding.reason, finding.message.as_str()), (reason, message), "{status}");
    }

    #[test]
    fn pods_are_read_as_upstream_does() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        check(json!({"phase": "Running", "conditions": ready}), "Running", "");
        check(json!({"phase": "Pending"}), "Provisioning", "Waiting to be scheduled");
        let scheduled = json!([{"type": "PodScheduled", "status": "True"}]);
        let pending = json!({"phase": "Pending", "conditions": scheduled});
        check(pending, "Provisioning", "Running init containers");
        let probes = "Waiting for startup or readiness probes";
        check(json!({"phase": "Running"}), "Provisioning", probes);
        check(json!({"phase": "Failed"}), "Failed", "All the containers have been terminated");
        check(json!({"phase": "Unknown"}), "InspectionFailed", "Pod is reporting Unknown status");
        let container = |last: Value| {
            json!({"phase": "Running", "containerStatuses": [{
                "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": last}]})
        };
        check(container(json!({})), "Provisioning", "CrashLoopBackOff");
        let crashed = container(json!({"terminated": {"exitCode": 1}}));
        check(crashed, "Failed", "CrashLoopBackOff");
    }

    #[test]
    fn machine_without_node_waits_for_its_provider_id_first() {
        let mut owned = OwnedMachine::default();
        owned.machine.spec.infrastructure_ref.kind = "DevMachine".into();
        assert_eq!(waits_for(&owned), "Waiting for DevMachine to report spec.providerID");
        owned.machine.spec.provider_id = "in-memory://a".into();
        let message = "Waiting for a Node with spec.providerID in-memory://a to exist";
        assert_eq!(waits_for(&owned), message);
    }
}
