//! MachinePools (`cluster.x-k8s.io/v1beta2`) and their infrastructure
//! (`infrastructure.cluster.x-k8s.io/v1beta2`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::conditions::{Condition, Deprecated, is_absent};
use super::core::{MachineTemplateSpec, StatusVersion};
use super::infrastructure::Behaviour;

/// A number of equal machines that the infrastructure makes itself.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachinePool {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: MachinePoolSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<MachinePoolStatus>,
}

namespaced_kind!(MachinePool, "cluster.x-k8s.io", "v1beta2", "machinepools");

api_struct! {
    /// Desired state of a MachinePool.
    MachinePoolSpec {
        /// Cluster it belongs to.
        cluster_name: String,
        /// Desired machines; default 1.
        replicas: Option<i32>,
        /// Template; its bootstrap and infrastructure are those of the pool as a whole.
        template: MachineTemplateSpec,
        /// Provider ids of the machines, from the infrastructure.
        #[serde(rename = "providerIDList")]
        provider_id_list: Vec<String>,
        /// Failure domains to use.
        failure_domains: Vec<String>,
    }
}
api_struct! {
    /// Observed state of a MachinePool.
    MachinePoolStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Milestones.
        initialization: Option<MachinePoolInitialization>,
        /// Nodes, in order of their provider ids.
        node_refs: Vec<PoolNodeRef>,
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
        /// Phase.
        phase: String,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// The v1beta1 conditions and counters.
        deprecated: Option<Deprecated>,
    }
}
api_struct! {
    /// Milestones of a MachinePool.
    MachinePoolInitialization {
        /// The infrastructure is ready.
        infrastructure_provisioned: Option<bool>,
        /// The bootstrap data exists.
        bootstrap_data_secret_created: Option<bool>,
    }
}
api_struct! {
    /// Names a Node of a MachinePool.
    PoolNodeRef {
        /// `v1`.
        api_version: String,
        /// `Node`.
        kind: String,
        /// Name.
        name: String,
        /// Uid.
        uid: String,
    }
}
/// Infrastructure of a MachinePool.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DevMachinePool {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: DevMachinePoolSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<DevMachinePoolStatus>,
}

namespaced_kind!(DevMachinePool, "infrastructure.cluster.x-k8s.io", "v1beta2", "devmachinepools");

api_struct! {
    /// Desired state of a DevMachinePool.
    DevMachinePoolSpec {
        /// Id of the pool.
        #[serde(rename = "providerID")]
        provider_id: String,
        /// Ids of its machines.
        #[serde(rename = "providerIDList")]
        provider_id_list: Vec<String>,
        /// What simulates the machines.
        backend: PoolBackend,
    }
}
api_struct! {
    /// Backend of a DevMachinePool.
    PoolBackend {
        /// The in-memory backend, which upstream does not have.
        in_memory: Option<Behaviour>,
        /// The docker backend, which capim does not run.
        docker: Option<Value>,
    }
}
api_struct! {
    /// Observed state of a DevMachinePool.
    DevMachinePoolStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// All machines were there once.
        ready: Option<bool>,
        /// Existing machines.
        replicas: Option<i32>,
        /// Kind of the infrastructure of its machines.
        infrastructure_machine_kind: String,
    }
}
