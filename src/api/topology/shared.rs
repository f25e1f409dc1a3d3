//! What classes and topologies have in common.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::core::MachineDeletion;
use crate::api::health_check::{HealthChecks, RemediationTemplateRef, RemediationTrigger};

api_struct! {
    /// How objects are named: a Go template, empty for the kind's default.
    NamingTemplate {
        /// Template.
        template: String,
    }
}
api_struct! {
    /// Health check of a class.
    HealthCheckClass {
        /// What makes a Machine unhealthy.
        checks: HealthChecks,
        /// What happens then.
        remediation: HealthCheckRemediation,
    }
}
api_struct! {
    /// Health check of a topology.
    HealthCheckTopology {
        /// Whether there is one; unset follows the class.
        enabled: Option<bool>,
        /// What makes a Machine unhealthy.
        checks: HealthChecks,
        /// What happens then.
        remediation: HealthCheckRemediation,
    }
}
api_struct! {
    /// What happens to unhealthy Machines.
    HealthCheckRemediation {
        /// Most remediations at a time; not for control planes.
        max_in_flight: Option<IntOrString>,
        /// When remediation may happen.
        trigger_if: RemediationTrigger,
        /// Template of an external remediation.
        template_ref: RemediationTemplateRef,
    }
}
api_struct! {
    /// How Machines of a MachineDeployment are deleted.
    MachineDeploymentDeletion {
        /// Random, Newest or Oldest.
        order: String,
        /// Drain.
        node_drain_timeout_seconds: Option<i32>,
        /// Volume detach.
        node_volume_detach_timeout_seconds: Option<i32>,
        /// Node deletion.
        node_deletion_timeout_seconds: Option<i32>,
    }
}

impl MachineDeploymentDeletion {
    /// The timeouts alone.
    pub fn timeouts(&self) -> MachineDeletion {
        MachineDeletion {
            node_drain_timeout_seconds: self.node_drain_timeout_seconds,
            node_volume_detach_timeout_seconds: self.node_volume_detach_timeout_seconds,
            node_deletion_timeout_seconds: self.node_deletion_timeout_seconds,
        }
    }
}

impl HealthCheckClass {
    /// Whether the class has a health check.
    pub fn is_defined(&self) -> bool {
        *self != Self::default()
    }
}

impl HealthCheckTopology {
    /// Whether the topology replaces the class's health check; `enabled` alone does not.
    pub fn is_defined(&self) -> bool {
        self.checks != HealthChecks::default()
            || self.remediation != HealthCheckRemediation::default()
    }
}
