//! `cluster.x-k8s.io/v1beta2`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::conditions::{Condition, Deprecated, is_absent};
use super::topology::Topology;

api_struct! {
    /// `ContractVersionedObjectReference`: names an object of a provider; the version is found by the contract label of its CRD.
    ContractRef {
        /// API group.
        api_group: String,
        /// Kind.
        kind: String,
        /// Name; same namespace as the referrer.
        name: String,
    }
}
api_struct! {
    /// Labels and annotations that a template hands on.
    TemplateMeta {
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Annotations.
        annotations: BTreeMap<String, String>,
    }
}
api_struct! {
    /// Address of a control plane.
    ApiEndpoint {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: Option<i32>,
    }
}
api_struct! {
    /// CIDR blocks.
    NetworkRanges {
        /// Blocks.
        cidr_blocks: Vec<String>,
    }
}
api_struct! {
    /// Network of a workload cluster.
    ClusterNetwork {
        /// Port of the API servers.
        api_server_port: Option<i32>,
        /// Service addresses.
        services: Option<NetworkRanges>,
        /// Pod addresses.
        pods: Option<NetworkRanges>,
        /// DNS domain.
        service_domain: String,
    }
}
api_struct! {
    /// An extra condition that counts for readiness or availability.
    ConditionGate {
        /// Condition type.
        condition_type: String,
        /// `Positive` (default) or `Negative`.
        polarity: String,
    }
}
/// A workload cluster.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cluster {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: ClusterSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<ClusterStatus>,
}

namespaced_kind!(Cluster, "cluster.x-k8s.io", "v1beta2", "clusters");

api_struct! {
    /// Desired state of a Cluster.
    ClusterSpec {
        /// Stops reconciliation of the cluster and all it owns.
        paused: Option<bool>,
        /// Network.
        cluster_network: Option<ClusterNetwork>,
        /// Where the API server answers.
        control_plane_endpoint: Option<ApiEndpoint>,
        /// Control plane provider object.
        control_plane_ref: Option<ContractRef>,
        /// Infrastructure provider object.
        infrastructure_ref: Option<ContractRef>,
        /// Managed topology.
        topology: Topology,
        /// Extra conditions for Available.
        availability_gates: Vec<ConditionGate>,
    }
}
api_struct! {
    /// Observed state of a Cluster.
    ClusterStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Milestones, never taken back.
        initialization: Option<ClusterInitialization>,
        /// Control plane counters.
        control_plane: Option<ReplicaCounts>,
        /// Worker counters.
        workers: Option<ReplicaCounts>,
        /// Failure domains of the infrastructure.
        failure_domains: Vec<FailureDomain>,
        /// Pending, Provisioning, Provisioned, Deleting, Failed or Unknown.
        phase: String,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// The v1beta1 conditions and counters.
        deprecated: Option<Deprecated>,
    }
}
api_struct! {
    /// Milestones of a Cluster.
    ClusterInitialization {
        /// The infrastructure cluster was provisioned.
        infrastructure_provisioned: Option<bool>,
        /// The control plane answered once.
        control_plane_initialized: Option<bool>,
    }
}
api_struct! {
    /// Counters over machines.
    ReplicaCounts {
        /// Desired.
        desired_replicas: Option<i32>,
        /// Existing.
        replicas: Option<i32>,
        /// Up to date.
        up_to_date_replicas: Option<i32>,
        /// Ready.
        ready_replicas: Option<i32>,
        /// Available.
        available_replicas: Option<i32>,
        /// Versions in use with their replica counts.
        versions: Vec<StatusVersion>,
    }
}
api_struct! {
    /// A Kubernetes version and how many replicas run it.
    StatusVersion {
        /// Version.
        version: String,
        /// Replicas.
        replicas: Option<i32>,
    }
}
api_struct! {
    /// A failure domain.
    FailureDomain {
        /// Name.
        name: String,
        /// Suitable for control planes.
        control_plane: Option<bool>,
        /// Provider attributes.
        attributes: BTreeMap<String, String>,
    }
}
/// A machine that becomes a Node.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Machine {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: MachineSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<MachineStatus>,
}

namespaced_kind!(Machine, "cluster.x-k8s.io", "v1beta2", "machines");

api_struct! {
    /// Desired state of a Machine.
    MachineSpec {
        /// Cluster it belongs to.
        cluster_name: String,
        /// Where the bootstrap data comes from.
        bootstrap: Bootstrap,
        /// Infrastructure machine.
        infrastructure_ref: ContractRef,
        /// Kubernetes version.
        version: String,
        /// Provider id; equals the Node's.
        #[serde(rename = "providerID")]
        provider_id: String,
        /// Failure domain.
        failure_domain: String,
        /// Seconds of readiness until available.
        min_ready_seconds: Option<i32>,
        /// Extra conditions for Ready.
        readiness_gates: Vec<ConditionGate>,
        /// Deletion timeouts.
        deletion: Option<MachineDeletion>,
        /// Taints for the Node.
        taints: Vec<MachineTaint>,
    }
}
api_struct! {
    /// Source of bootstrap data.
    Bootstrap {
        /// Bootstrap provider object.
        config_ref: Option<ContractRef>,
        /// Secret with the data.
        data_secret_name: Option<String>,
    }
}
api_struct! {
    /// Deletion timeouts in seconds; 0 waits for ever.
    MachineDeletion {
        /// Drain.
        node_drain_timeout_seconds: Option<i32>,
        /// Volume detach.
        node_volume_detach_timeout_seconds: Option<i32>,
        /// Node deletion; default 10.
        node_deletion_timeout_seconds: Option<i32>,
    }
}
api_struct! {
    /// A taint that is propagated to the Node.
    MachineTaint {
        /// Key.
        key: String,
        /// Value.
        value: Option<String>,
        /// Effect.
        effect: String,
        /// `Always` or `OnInitialization`.
        propagation: String,
    }
}
api_struct! {
    /// Observed state of a Machine.
    MachineStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Milestones, never taken back.
        initialization: Option<MachineInitialization>,
        /// The Node.
        node_ref: Option<NodeRef>,
        /// The Node's `status.nodeInfo`.
        node_info: Option<Value>,
        /// Last phase change.
        last_updated: Option<Time>,
        /// Failure domain in use.
        failure_domain: String,
        /// Addresses.
        addresses: Vec<MachineAddress>,
        /// Phase.
        phase: String,
        /// Expiry of the control plane certificates.
        certificates_expiry_date: Option<Time>,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// Times of deletion steps.
        deletion: Option<MachineDeletionStatus>,
        /// The v1beta1 conditions and counters.
        deprecated: Option<Deprecated>,
    }
}
api_struct! {
    /// Milestones of a Machine.
    MachineInitialization {
        /// The infrastructure machine was provisioned.
        infrastructure_provisioned: Option<bool>,
        /// The bootstrap data exists.
        bootstrap_data_secret_created: Option<bool>,
    }
}
api_struct! {
    /// Names a Node.
    NodeRef {
        /// Node name.
        name: String,
    }
}
api_struct! {
    /// An address of a machine.
    MachineAddress {
        /// Hostname, ExternalIP, InternalIP, ExternalDNS or InternalDNS.
        #[serde(rename = "type")]
        type_: String,
        /// Address.
        address: String,
    }
}
api_struct! {
    /// When the steps of a deletion began.
    MachineDeletionStatus {
        /// Drain.
        node_drain_start_time: Option<Time>,
        /// Volume detach.
        wait_for_node_volume_detach_start_time: Option<Time>,
        /// Pre-drain hooks.
        wait_for_pre_drain_hook_start_time: Option<Time>,
        /// Pre-terminate hooks.
        wait_for_pre_terminate_hook_start_time: Option<Time>,
    }
}
api_struct! {
    /// Template of machines.
    MachineTemplateSpec {
        /// Labels and annotations.
        metadata: TemplateMeta,
        /// Spec.
        spec: MachineSpec,
    }
}
api_struct! {
    /// How machines are named.
    MachineNaming {
        /// Go template; empty for the default.
        template: String,
    }
}
/// A set of equal machines.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineSet {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: MachineSetSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<MachineSetStatus>,
}

namespaced_kind!(MachineSet, "cluster.x-k8s.io", "v1beta2", "machinesets");

api_struct! {
    /// Desired state of a MachineSet.
    MachineSetSpec {
        /// Cluster it belongs to.
        cluster_name: String,
        /// Desired machines; default 1.
        replicas: Option<i32>,
        /// Which machines count.
        selector: LabelSelector,
        /// Template.
        template: MachineTemplateSpec,
        /// Naming.
        machine_naming: Option<MachineNaming>,
        /// Deletion order.
        deletion: Option<MachineSetDeletion>,
    }
}
api_struct! {
    /// How machines are chosen for deletion.
    MachineSetDeletion {
        /// Random, Newest or Oldest.
        order: String,
    }
}
api_struct! {
    /// Observed state of a MachineSet.
    MachineSetStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Selector in string form.
        selector: String,
        /// Existing.
        replicas: Option<i32>,
        /// Ready.
        ready_replicas: Option<i32>,
        /// Available.
        available_replicas: Option<i32>,
        /// Up to date.
        up_to_date_replicas: Option<i32>,
        /// Versions in use with their replica counts.
        versions: Vec<StatusVersion>,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// The v1beta1 conditions and counters.
        deprecated: Option<Deprecated>,
    }
}
/// Declarative updates of MachineSets.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineDeployment {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: MachineDeploymentSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<MachineDeploymentStatus>,
}

namespaced_kind!(MachineDeployment, "cluster.x-k8s.io", "v1beta2", "machinedeployments");

api_struct! {
    /// Desired state of a MachineDeployment.
    MachineDeploymentSpec {
        /// Cluster it belongs to.
        cluster_name: String,
        /// Desired machines; default 1.
        replicas: Option<i32>,
        /// Rollout.
        rollout: Option<MachineDeploymentRollout>,
        /// Which machines count.
        selector: LabelSelector,
        /// Template.
        template: MachineTemplateSpec,
        /// Naming.
        machine_naming: Option<MachineNaming>,
        /// Remediation limits.
        remediation: Option<RemediationLimits>,
        /// Deletion order.
        deletion: Option<MachineSetDeletion>,
        /// Stops rollouts.
        paused: Option<bool>,
    }
}
api_struct! {
    /// Limits of remediation.
    RemediationLimits {
        /// Machines that may be remediated at once; a number or a percentage of the replicas.
        max_in_flight: Option<IntOrString>,
    }
}
api_struct! {
    /// How changes roll out.
    MachineDeploymentRollout {
        /// Roll out after this time.
        after: Option<Time>,
        /// Strategy.
        strategy: Option<RolloutStrategy>,
    }
}
api_struct! {
    /// Strategy of a rollout.
    RolloutStrategy {
        /// RollingUpdate or OnDelete.
        #[serde(rename = "type")]
        type_: String,
        /// Limits.
        rolling_update: Option<RollingUpdate>,
    }
}
api_struct! {
    /// Limits of a rolling update.
    RollingUpdate {
        /// Machines that may be missing; default 0.
        max_unavailable: Option<IntOrString>,
        /// Machines above the desired number; default 1.
        max_surge: Option<IntOrString>,
    }
}
api_struct! {
    /// Observed state of a MachineDeployment.
    MachineDeploymentStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Selector in string form.
        selector: String,
        /// Existing.
        replicas: Option<i32>,
        /// Ready.
        ready_replicas: Option<i32>,
        /// Available.
        available_replicas: Option<i32>,
        /// Up to date.
        up_to_date_replicas: Option<i32>,
        /// Versions in use with their replica counts.
        versions: Vec<StatusVersion>,
        /// ScalingUp, ScalingDown, Running, Failed or Unknown.
        phase: String,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// The v1beta1 conditions and counters.
        deprecated: Option<Deprecated>,
    }
}
