//! All that one reconcile of a KubeadmControlPlane has read, and what it changes in memory.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::api::bootstrap::KubeadmConfig;
use crate::api::conditions::{Condition, V1Beta1Condition};
use crate::api::controlplane::{KubeadmControlPlane, KubeadmControlPlaneStatus};
use crate::api::core::{Cluster, Machine};
use crate::client::{EtcdStatus, ObjectKey};
use crate::contract::conditions::{self, New, v1beta1};
use crate::contract::{labels, machines};

/// API group of this provider.
pub(super) const GROUP: &str = "controlplane.cluster.x-k8s.io";
/// Kind of this provider.
pub(super) const KIND: &str = "KubeadmControlPlane";
/// Hook that holds a Machine until its etcd member is gone.
pub(super) const PRE_TERMINATE_HOOK: &str =
    "pre-terminate.delete.hook.machine.cluster.x-k8s.io/kcp-cleanup";

/// Annotation of a control plane: a Machine was deleted to be remediated and has no successor yet.
pub(super) const REMEDIATION_IN_PROGRESS: &str =
    "controlplane.cluster.x-k8s.io/remediation-in-progress";
/// Annotation of a Machine: which one it replaces.
pub(super) const REMEDIATION_FOR: &str = "controlplane.cluster.x-k8s.io/remediation-for";

/// Conditions of Machines that KCP sets out of static Pods.
pub(super) const POD_CONDITIONS: [(&str, &str); 4] = [
    ("APIServerPodHealthy", "kube-apiserver"),
    ("ControllerManagerPodHealthy", "kube-controller-manager"),
    ("SchedulerPodHealthy", "kube-scheduler"),
    ("EtcdPodHealthy", "etcd"),
];
/// Condition of Machines about their etcd member.
pub(super) const ETCD_MEMBER: &str = "EtcdMemberHealthy";
/// Condition of Machines about kubeadm's marks on the Node.
pub(super) const NODE_MARKS: &str = "NodeKubeadmLabelsAndTaintsSet";

/// The template that an infrastructure machine was cloned from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClonedFrom {
    /// Name.
    pub(super) name: String,
    /// `Kind.group`.
    pub(super) group_kind: String,
}

impl ClonedFrom {
    /// Reads an infrastructure machine's annotations.
    pub(super) fn of(metadata: &ObjectMeta) -> Option<Self> {
        let annotations = metadata.annotations.as_ref()?;
        Some(Self {
            name: annotations.get(labels::CLONED_FROM_NAME)?.clone(),
            group_kind: annotations.get(labels::CLONED_FROM_GROUP_KIND)?.clone(),
        })
    }
}

/// A Machine of the control plane with what belongs to it.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnedMachine {
    /// As read.
    pub(super) before: Arc<Machine>,
    /// As wanted.
    pub(super) machine: Machine,
    /// Its KubeadmConfig.
    pub(super) config: Option<Arc<KubeadmConfig>>,
    /// Template of its infrastructure machine, if known.
    pub(super) cloned_from: Option<ClonedFrom>,
    /// Why it is not up to date; empty if it is.
    pub(super) outdated: Vec<String>,
}

impl OwnedMachine {
    pub(super) fn name(&self) -> &str {
        machines::name(&self.machine)
    }

    pub(super) fn is_deleting(&self) -> bool {
        machines::is_deleting(&self.machine)
    }

    /// Name of the Node; empty while there is none.
    pub(super) fn node_name(&self) -> &str {
        let node = self.machine.status.as_ref().and_then(|status| status.node_ref.as_ref());
        node.map_or("", |node| &node.name)
    }

    pub(super) fn has_node(&self) -> bool {
        !self.node_name().is_empty()
    }

    pub(super) fn conditions(&self) -> &[Condition] {
        machines::conditions_of(&self.machine)
    }

    pub(super) fn v1beta1_conditions(&self) -> &[V1Beta1Condition] {
        let deprecated = self.machine.status.as_ref().and_then(|status| status.deprecated.as_ref());
        deprecated.and_then(|d| d.v1beta1.as_ref()).map_or(&[], |status| &status.conditions)
    }

    pub(super) fn is_true(&self, type_: &str) -> bool {
        conditions::is_true(self.conditions(), type_)
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.machine.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether the Machine changes in place: its owner said so, or the hook is still to be called.
    pub(super) fn is_updating_in_place(&self) -> bool {
        let hooks = self.annotation("runtime.cluster.x-k8s.io/pending-hooks").unwrap_or_default();
        self.annotation("in-place-updates.internal.cluster.x-k8s.io/update-in-progress").is_some()
            || hooks.split(',').any(|hook| hook == "UpdateMachine")
    }

    pub(super) fn set(&mut self, new: New, now: Timestamp) {
        let generation = self.machine.metadata.generation;
        let status = self.machine.status.get_or_insert_default();
        conditions::set(&mut status.conditions, new, generation, now);
    }

    pub(super) fn set_v1beta1(&mut self, new: V1Beta1Condition, now: Timestamp) {
        let status = self.machine.status.get_or_insert_default();
        let v1beta1 = status.deprecated.get_or_insert_default().v1beta1.get_or_insert_default();
        conditions::set_v1beta1(&mut v1beta1.conditions, new, now);
    }
}

/// What the workload cluster showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Workload {
    /// Nodes with the control plane label, and those of the Machines.
    pub(super) nodes: Vec<Arc<Node>>,
    /// Control plane Pods of these Nodes.
    pub(super) pods: Vec<Arc<Pod>>,
    /// etcd.
    pub(super) etcd: EtcdStatus,
}

impl Workload {
    pub(super) fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| node.metadata.name.as_deref() == Some(name))
    }

    pub(super) fn pod(&self, name: &str) -> Option<&Arc<Pod>> {
        self.pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(name))
    }
}

/// Why the next operation has to wait. (CAPI v1.14: preflight.go)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Preflight {
    /// The topology's version is not here yet.
    pub(super) topology_version_mismatch: bool,
    /// A certificate is missing.
    pub(super) certificate_missing: bool,
    /// A machine is being deleted.
    pub(super) has_deleting_machine: bool,
    /// Components are not healthy.
    pub(super) components_not_healthy: bool,
    /// etcd is not healthy.
    pub(super) etcd_not_healthy: bool,
    /// What is wrong with which machine, for the Event.
    pub(super) failures: Vec<String>,
}

impl Preflight {
    pub(super) fn is_passed(&self) -> bool {
        *self == Self::default()
    }
}

/// A KubeadmControlPlane with all it stands on.
#[derive(Clone, Debug, Default)]
pub(super) struct ControlPlane {
    /// As wanted.
    pub(super) kcp: KubeadmControlPlane,
    /// Owner.
    pub(super) cluster: Arc<Cluster>,
    /// Its Machines, oldest first.
    pub(super) machines: Vec<OwnedMachine>,
    /// Number of Machines of the Cluster that are none of the control plane's, with their names.
    pub(super) workers: Vec<String>,
    /// The workload cluster, as soon as it is looked at.
    pub(super) workload: Option<Workload>,
    /// kubeadm has finished in the workload cluster.
    pub(super) has_kubeadm_config: bool,
    /// etcd's members were read, and they match Machines and Nodes.
    pub(super) members_match: bool,
    /// The infrastructure template is gone.
    pub(super) is_template_missing: bool,
    /// Why the next operation has to wait.
    pub(super) preflight: Preflight,
    /// Reason and message of `Deleting`.
    pub(super) deleting: (&'static str, String),
    /// When a remediation that had to be put off may be tried again.
    pub(super) again: Option<Timestamp>,
    /// Time of this reconcile.
    pub(super) now: Timestamp,
}

impl ControlPlane {
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey::of(&self.kcp)
    }

    pub(super) fn cluster_key(&self) -> ObjectKey {
        ObjectKey::of(&*self.cluster)
    }

    pub(super) fn is_deleting(&self) -> bool {
        self.kcp.metadata.deletion_timestamp.is_some()
    }

    pub(super) fn desired_replicas(&self) -> usize {
        usize::try_from(self.kcp.spec.replicas.unwrap_or(1)).unwrap_or(0)
    }

    /// `kubeadmConfigSpec.clusterConfiguration`.
    pub(super) fn cluster_configuration(&self) -> &Value {
        self.kcp.spec.kubeadm_config_spec.cluster_configuration.as_ref().unwrap_or(&Value::Null)
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.kcp.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether a Machine was deleted to be remediated and its successor is still to be made.
    pub(super) fn is_remediating(&self) -> bool {
        self.annotation(REMEDIATION_IN_PROGRESS).is_some()
    }

    pub(super) fn is_etcd_managed(&self) -> bool {
        self.cluster_configuration()["etcd"]["external"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
    }

    /// Pod conditions and components that count for this control plane.
    pub(super) fn pod_conditions(&self) -> &'static [(&'static str, &'static str)] {
        if self.is_etcd_managed() { &POD_CONDITIONS } else { &POD_CONDITIONS[..3] }
    }

    pub(super) fn machine_mut(&mut self, name: &str) -> Option<&mut OwnedMachine> {
        self.machines.iter_mut().find(|owned| owned.name() == name)
    }

    pub(super) fn is_infrastructure_provisioned(&self) -> bool {
        let status = self.cluster.status.as_ref();
        status
            .and_then(|status| status.initialization.as_ref())
            .is_some_and(|milestones| milestones.infrastructure_provisioned == Some(true))
    }

    /// `host:port` of the control plane, if both are known.
    pub(super) fn endpoint(&self) -> Option<String> {
        let endpoint = self.cluster.spec.control_plane_endpoint.as_ref()?;
        let port = endpoint.port.filter(|port| *port != 0)?;
        match endpoint.host.as_str() {
            "" => None,
            host if host.contains(':') => Some(format!("[{host}]:{port}")),
            host => Some(format!("{host}:{port}")),
        }
    }

    /// The first API server has answered once.
    pub(super) fn is_initialized(&self) -> bool {
        let status = self.kcp.status.as_ref();
        status
            .and_then(|status| status.initialization.as_ref())
            .is_some_and(|milestones| milestones.control_plane_initialized == Some(true))
    }

    pub(super) fn status(&mut self) -> &mut KubeadmControlPlaneStatus {
        self.kcp.status.get_or_insert_default()
    }

    pub(super) fn conditions(&self) -> &[Condition] {
        self.kcp.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    pub(super) fn is_true(&self, type_: &str) -> bool {
        conditions::is_true(self.conditions(), type_)
    }

    pub(super) fn set(&mut self, new: New) {
        let (generation, now) = (self.kcp.metadata.generation, self.now);
        conditions::set(&mut self.status().conditions, new, generation, now);
    }

    pub(super) fn v1beta1_conditions(&self) -> &[V1Beta1Condition] {
        let deprecated = self.kcp.status.as_ref().and_then(|status| status.deprecated.as_ref());
        deprecated.and_then(|d| d.v1beta1.as_ref()).map_or(&[], |status| &status.conditions)
    }

    pub(super) fn is_v1beta1_true(&self, type_: &str) -> bool {
        v1beta1::is_true(self.v1beta1_conditions(), type_)
    }

    pub(super) fn set_v1beta1(&mut self, new: V1Beta1Condition) {
        let now = self.now;
        let v1beta1 = self.status().deprecated.get_or_insert_default();
        let v1beta1 = v1beta1.v1beta1.get_or_insert_default();
        conditions::set_v1beta1(&mut v1beta1.conditions, new, now);
    }

    /// etcd's members, if etcd could be asked: through the Node of a Machine that stays, and only
    /// while it has a leader.
    pub(super) fn members(&self) -> Option<&EtcdStatus> {
        let workload = self.workload.as_ref()?;
        let is_reachable = self.machines.iter().any(|machine| {
            machine.has_node()
                && !machine.is_deleting()
                && workload.node(machine.node_name()).is_some()
        });
        let has_leader =
            workload.etcd.members.iter().any(|member| member.id == workload.etcd.leader_id);
        (self.is_etcd_managed() && is_reachable && has_leader).then_some(&workload.etcd)
    }
}

/// A time and what follows it, as far as times go: objects may hold the last one there is.
pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `a, b, c, ... (2 more)`.
pub(super) fn listed(names: &[String], limit: usize) -> String {
    if names.len() <= limit {
        return names.join(", ");
    }
    format!("{}, ... ({} more)", names[..limit].join(", "), names.len() - limit)
}
