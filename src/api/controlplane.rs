//! `controlplane.cluster.x-k8s.io/v1beta2`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::bootstrap::KubeadmConfigSpec;
use super::conditions::{Condition, Deprecated, is_absent};
use super::core::{
    ConditionGate, ContractRef, MachineDeletion, MachineNaming, MachineTaint, RolloutStrategy,
    StatusVersion, TemplateMeta,
};

/// A control plane made by kubeadm.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeadmControlPlane {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: KubeadmControlPlaneSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<KubeadmControlPlaneStatus>,
}

namespaced_kind!(
    KubeadmControlPlane,
    "controlplane.cluster.x-k8s.io",
    "v1beta2",
    "kubeadmcontrolplanes"
);

api_struct! {
    /// Desired state of a KubeadmControlPlane.
    KubeadmControlPlaneSpec {
        /// Desired machines; default 1.
        replicas: Option<i32>,
        /// Kubernetes version.
        version: String,
        /// Template of machines.
        machine_template: KcpMachineTemplate,
        /// Template of KubeadmConfigs.
        kubeadm_config_spec: KubeadmConfigSpec,
        /// Rollout.
        rollout: Option<KcpRollout>,
        /// Remediation limits.
        remediation: Option<KcpRemediation>,
        /// Naming.
        machine_naming: Option<MachineNaming>,
    }
}
api_struct! {
    /// Template of control plane machines.
    KcpMachineTemplate {
        /// Labels and annotations.
        metadata: TemplateMeta,
        /// Spec.
        spec: KcpMachineTemplateSpec,
    }
}
api_struct! {
    /// Spec of control plane machines.
    KcpMachineTemplateSpec {
        /// Infrastructure machine template.
        infrastructure_ref: ContractRef,
        /// Extra conditions for Ready.
        readiness_gates: Vec<ConditionGate>,
        /// Deletion timeouts.
        deletion: Option<MachineDeletion>,
        /// Taints for the Nodes.
        taints: Vec<MachineTaint>,
    }
}
api_struct! {
    /// How changes roll out.
    KcpRollout {
        /// Renewal before expiry.
        before: Option<KcpRolloutBefore>,
        /// Roll out after this time.
        after: Option<Time>,
        /// Strategy; only maxSurge counts.
        strategy: Option<RolloutStrategy>,
    }
}
api_struct! {
    /// Renewal before expiry.
    KcpRolloutBefore {
        /// Days before expiry.
        certificates_expiry_days: Option<i32>,
    }
}
api_struct! {
    /// Limits of remediation.
    KcpRemediation {
        /// Attempts.
        max_retry: Option<i32>,
        /// Pause between attempts.
        retry_period_seconds: Option<i32>,
        /// Healthy time that resets the count.
        min_healthy_period_seconds: Option<i32>,
    }
}
api_struct! {
    /// Observed state of a KubeadmControlPlane.
    KubeadmControlPlaneStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Milestones.
        initialization: Option<KcpInitialization>,
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
        /// Lowest version in use.
        version: String,
        /// Versions in use with their replica counts.
        versions: Vec<StatusVersion>,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// Last remediation.
        last_remediation: Option<KcpLastRemediation>,
        /// The v1beta1 conditions and counters.
        deprecated: Option<Deprecated>,
    }
}
api_struct! {
    /// Milestones of a control plane.
    KcpInitialization {
        /// The first API server answered.
        control_plane_initialized: Option<bool>,
    }
}
api_struct! {
    /// Last remediation.
    KcpLastRemediation {
        /// Machine that was remediated.
        machine: String,
        /// When.
        time: Option<Time>,
        /// Attempt.
        retry_count: Option<i32>,
    }
}
