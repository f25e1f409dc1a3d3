//! `cluster.x-k8s.io/v1beta2`: health checks of Machines.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::conditions::{Condition, Deprecated, is_absent};

/// Tells which Machines are unhealthy and asks for their remediation.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineHealthCheck {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: MachineHealthCheckSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<MachineHealthCheckStatus>,
}

namespaced_kind!(MachineHealthCheck, "cluster.x-k8s.io", "v1beta2", "machinehealthchecks");

api_struct! {
    /// Desired state of a MachineHealthCheck.
    MachineHealthCheckSpec {
        /// Cluster it belongs to.
        cluster_name: String,
        /// Which Machines are checked.
        selector: LabelSelector,
        /// What makes a Machine unhealthy.
        checks: Option<HealthChecks>,
        /// What happens to unhealthy Machines.
        remediation: Option<HealthCheckRemediation>,
    }
}
api_struct! {
    /// What makes a Machine unhealthy.
    HealthChecks {
        /// How long a Node may take to appear; 0 for ever, default 600.
        node_startup_timeout_seconds: Option<i32>,
        /// Conditions of the Node.
        unhealthy_node_conditions: Vec<UnhealthyCondition>,
        /// Conditions of the Machine.
        unhealthy_machine_conditions: Vec<UnhealthyCondition>,
    }
}
api_struct! {
    /// A condition that means ill health once it has lasted.
    UnhealthyCondition {
        /// Condition type.
        #[serde(rename = "type")]
        type_: String,
        /// `True`, `False` or `Unknown`.
        status: String,
        /// For how long it may last.
        timeout_seconds: Option<i32>,
    }
}
api_struct! {
    /// What happens to unhealthy Machines.
    HealthCheckRemediation {
        /// When remediation is allowed.
        trigger_if: Option<RemediationTrigger>,
        /// Template of a remediation object of another provider.
        template_ref: Option<RemediationTemplateRef>,
    }
}
api_struct! {
    /// When remediation is allowed.
    RemediationTrigger {
        /// At most so many Machines are unhealthy; a number or a percentage.
        unhealthy_less_than_or_equal_to: Option<IntOrString>,
        /// As many as `[from-to]`; wins over the other one.
        unhealthy_in_range: String,
    }
}
api_struct! {
    /// Names a template of remediation objects.
    RemediationTemplateRef {
        /// Kind.
        kind: String,
        /// Name; same namespace as the health check.
        name: String,
        /// Group and version.
        api_version: String,
    }
}
api_struct! {
    /// Observed state of a MachineHealthCheck.
    MachineHealthCheckStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Machines that are checked.
        expected_machines: Option<i32>,
        /// Machines that are healthy.
        current_healthy: Option<i32>,
        /// How many more may be remediated.
        remediations_allowed: Option<i32>,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// Names of the Machines that are checked.
        targets: Vec<String>,
        /// The v1beta1 conditions.
        deprecated: Option<Deprecated>,
    }
}
