//! `Cluster.spec.topology`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::shared::{HealthCheckTopology, MachineDeploymentDeletion};
use crate::api::core::{
    Cluster, ConditionGate, MachineDeletion, MachineTaint, RolloutStrategy, TemplateMeta,
};

api_struct! {
    /// How a Cluster is made from its class.
    Topology {
        /// The class.
        class_ref: ClassRef,
        /// Kubernetes version.
        version: String,
        /// Control plane.
        control_plane: ControlPlaneTopology,
        /// Workers.
        workers: WorkersTopology,
        /// Values for the class's variables.
        variables: Vec<ClusterVariable>,
    }
}
api_struct! {
    /// Names a ClusterClass.
    ClassRef {
        /// Name.
        name: String,
        /// Namespace; the Cluster's if empty.
        namespace: String,
    }
}
api_struct! {
    /// Value of a variable.
    ClusterVariable {
        /// Name.
        name: String,
        /// Any JSON.
        value: Value,
    }
}
api_struct! {
    /// Variables that differ for one part of the topology.
    VariableOverrides {
        /// Values in place of the Cluster's.
        overrides: Vec<ClusterVariable>,
    }
}
api_struct! {
    /// Control plane of a topology.
    ControlPlaneTopology {
        /// Labels and annotations on the control plane and its Machines.
        metadata: TemplateMeta,
        /// Desired machines; unset where the control plane knows no replicas.
        replicas: Option<i32>,
        /// Rollout.
        rollout: ControlPlaneRollout,
        /// Health check.
        health_check: HealthCheckTopology,
        /// Deletion timeouts.
        deletion: MachineDeletion,
        /// Taints in place of the class's.
        taints: Vec<MachineTaint>,
        /// Readiness gates in place of the class's.
        readiness_gates: Vec<ConditionGate>,
        /// Variables that differ here.
        variables: VariableOverrides,
    }
}
api_struct! {
    /// Rollout of a control plane.
    ControlPlaneRollout {
        /// Roll out after this time.
        after: Option<Time>,
    }
}
api_struct! {
    /// Workers of a topology.
    WorkersTopology {
        /// MachineDeployments.
        machine_deployments: Vec<MachineDeploymentTopology>,
        /// MachinePools.
        machine_pools: Vec<MachinePoolTopology>,
    }
}
api_struct! {
    /// A MachineDeployment of a topology.
    MachineDeploymentTopology {
        /// Labels and annotations on the MachineDeployment and its Machines.
        metadata: TemplateMeta,
        /// Class within the ClusterClass.
        class: String,
        /// Name within the topology.
        name: String,
        /// Failure domain in place of the class's.
        failure_domain: String,
        /// Desired machines; unset leaves them to an autoscaler.
        replicas: Option<i32>,
        /// Health check.
        health_check: HealthCheckTopology,
        /// Deletion order and timeouts.
        deletion: MachineDeploymentDeletion,
        /// Taints in place of the class's.
        taints: Vec<MachineTaint>,
        /// Seconds of readiness until available.
        min_ready_seconds: Option<i32>,
        /// Readiness gates in place of the class's.
        readiness_gates: Vec<ConditionGate>,
        /// Rollout.
        rollout: MachineDeploymentTopologyRollout,
        /// Variables that differ here.
        variables: VariableOverrides,
    }
}
api_struct! {
    /// Rollout of a MachineDeployment.
    MachineDeploymentTopologyRollout {
        /// Roll out after this time.
        after: Option<Time>,
        /// Strategy in place of the class's; unset if its type is empty.
        strategy: RolloutStrategy,
    }
}
api_struct! {
    /// A MachinePool of a topology.
    MachinePoolTopology {
        /// Labels and annotations on the MachinePool and its Machines.
        metadata: TemplateMeta,
        /// Class within the ClusterClass.
        class: String,
        /// Name within the topology.
        name: String,
        /// Failure domains in place of the class's.
        failure_domains: Vec<String>,
        /// Deletion timeouts.
        deletion: MachineDeletion,
        /// Taints in place of the class's.
        taints: Vec<MachineTaint>,
        /// Seconds of readiness until available.
        min_ready_seconds: Option<i32>,
        /// Desired machines; unset leaves them to an autoscaler.
        replicas: Option<i32>,
        /// Variables that differ here.
        variables: VariableOverrides,
    }
}

impl Topology {
    /// Whether the Cluster is managed by a class.
    pub fn is_defined(&self) -> bool {
        *self != Self::default()
    }
}

impl Cluster {
    /// Namespace and name of the Cluster's class, if it has one. The namespace is the Cluster's
    /// unless the reference names another.
    pub fn class_key(&self) -> Option<(&str, &str)> {
        if !self.spec.topology.is_defined() {
            return None;
        }
        let class = &self.spec.topology.class_ref;
        let own = self.metadata.namespace.as_deref().unwrap_or_default();
        let namespace = if class.namespace.is_empty() { own } else { &class.namespace };
        Some((namespace, &class.name))
    }
}
