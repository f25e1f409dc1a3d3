//! What a reconcile of a topology has read and computed. (CAPI v1.14: exp/topology/scope)

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::blueprint::Blueprint;
use super::hooks::Answers;
use super::labels;
use super::tracker::UpgradeTracker;
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet};
use crate::api::pools::MachinePool;
use crate::api::topology::Topology;

/// State of one reconcile.
pub(super) struct Scope {
    /// The Cluster as read, with what this reconcile has changed.
    pub cluster: Cluster,
    /// The Cluster as read, with what this reconcile has written.
    pub written: Cluster,
    /// Its topology, with variables defaulted by the class.
    pub topology: Topology,
    /// Class and templates.
    pub blueprint: Arc<Blueprint>,
    /// What exists.
    pub current: ClusterState,
    /// How far an upgrade has come.
    pub tracker: UpgradeTracker,
    /// What extensions said.
    pub answers: Answers,
}

/// Objects of a topology, as they are or as they shall be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ClusterState {
    /// Infrastructure cluster.
    pub infrastructure: Option<Value>,
    /// Control plane.
    pub control_plane: Option<Value>,
    /// Infrastructure template of the control plane's Machines.
    pub control_plane_template: Option<Value>,
    /// Health check of the control plane's Machines.
    pub control_plane_health_check: Option<Value>,
    /// MachineDeployments by name within the topology.
    pub machine_deployments: IndexMap<String, WorkersState>,
    /// MachinePools by name within the topology.
    pub machine_pools: IndexMap<String, WorkersState>,
}

/// A MachineDeployment or MachinePool with what belongs to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct WorkersState {
    /// The MachineDeployment or MachinePool.
    pub object: Value,
    /// Bootstrap template; of a MachinePool the bootstrap configuration. Absent while the workers
    /// are being deleted.
    pub bootstrap: Option<Value>,
    /// Infrastructure template; of a MachinePool the infrastructure object.
    pub infrastructure: Option<Value>,
    /// Health check; MachinePools have none.
    pub health_check: Option<Value>,
}

/// The workers of a Cluster as they were last seen.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkerMachines {
    /// MachineDeployments of the topology, by name.
    pub deployments: Vec<Arc<MachineDeployment>>,
    /// MachinePools of the topology, by name.
    pub pools: Vec<Arc<MachinePool>>,
    /// MachineSets of the Cluster, by name.
    pub sets: Vec<Arc<MachineSet>>,
    /// Machines of the Cluster.
    pub machines: Vec<Arc<Machine>>,
}

impl Scope {
    /// A scope in which nothing of the topology is known to exist yet.
    pub(super) fn new(cluster: &Cluster, blueprint: Arc<Blueprint>) -> Self {
        Self {
            tracker: UpgradeTracker::new(concurrency(cluster)),
            cluster: cluster.clone(),
            written: cluster.clone(),
            topology: cluster.spec.topology.clone(),
            blueprint,
            current: ClusterState::default(),
            answers: Answers::default(),
        }
    }

    /// Name of the Cluster.
    pub(super) fn name(&self) -> &str {
        self.cluster.metadata.name.as_deref().unwrap_or_default()
    }

    /// Namespace of the Cluster.
    pub(super) fn namespace(&self) -> &str {
        self.cluster.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Whether the Cluster refers to neither infrastructure nor control plane yet.
    pub(super) fn is_being_created(&self) -> bool {
        is_being_created(&self.cluster)
    }
}

/// Whether a Cluster refers to neither infrastructure nor control plane yet.
pub(super) fn is_being_created(cluster: &Cluster) -> bool {
    cluster.spec.infrastructure_ref.is_none() && cluster.spec.control_plane_ref.is_none()
}

/// How many workers may be upgraded at a time.
fn concurrency(cluster: &Cluster) -> usize {
    let annotations = cluster.metadata.annotations.as_ref();
    annotations
        .and_then(|held| held.get(labels::UPGRADE_CONCURRENCY))
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
}
