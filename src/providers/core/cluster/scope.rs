//! What a reconcile of a Cluster has read and found out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::externals::Lookup;
use super::super::probe::{CLUSTER_GRACE, Probe};
use super::super::{Context, index, owned, settling, soonest};
use crate::api::core::{
    Cluster, ClusterStatus, ConditionGate, Machine, MachineDeployment, MachineSet,
};
use crate::api::pools::MachinePool;
use crate::api::topology::ClusterClass;
use crate::client::ObjectKey;
use crate::contract::machines;
use crate::runtime::Outcome;

/// State of one reconcile of a Cluster.
pub(super) struct Scope {
    /// The Cluster as it shall be.
    pub cluster: Cluster,
    /// Its key.
    pub key: ObjectKey,
    /// Class of the topology.
    pub class: Option<Arc<ClusterClass>>,
    /// Infrastructure object.
    pub infrastructure: Lookup,
    /// Control plane object.
    pub control_plane: Lookup,
    /// MachineDeployments of the Cluster, by name.
    pub deployments: Vec<Arc<MachineDeployment>>,
    /// Time left in which workers may still come along with a new Cluster that has none.
    pub awaits_workers: Option<Duration>,
    /// MachineSets of the Cluster, by name.
    pub sets: Vec<Arc<MachineSet>>,
    /// MachinePools of the Cluster, by name.
    pub pools: Vec<Arc<MachinePool>>,
    /// Control plane Machines, by name.
    pub control_plane_machines: Vec<Arc<Machine>>,
    /// All other Machines, by name.
    pub worker_machines: Vec<Arc<Machine>>,
    /// Connection to the workload cluster.
    pub probe: Probe,
    /// Reason and message of the Deleting condition.
    pub deleting: Option<(&'static str, String)>,
}

impl Scope {
    /// Reads what the caches know.
    pub(super) fn read(context: &Context, cluster: &Cluster, now: Timestamp) -> Self {
        let key = ObjectKey::of(cluster);
        let value = key.to_string();
        let deployments = context.deployments.by_index(index::CLUSTER, &value);
        let sets = context.sets.by_index(index::CLUSTER, &value);
        let has_workers = !deployments.is_empty() || !sets.is_empty();
        let is_deleting = cluster.metadata.deletion_timestamp.is_some();
        let (control_plane_machines, worker_machines) = context
            .machines_of(&key)
            .into_iter()
            .partition(|machine| machines::is_control_plane(machine));
        Self {
            cluster: cluster.clone(),
            class: context.class_of(cluster),
            awaits_workers: settling(&cluster.metadata, now)
                .filter(|_| !has_workers && !is_deleting),
            deployments,
            sets,
            pools: context.pools.by_index(index::CLUSTER, &value),
            control_plane_machines,
            worker_machines,
            probe: context.probe(&key),
            infrastructure: Lookup::Undefined,
            control_plane: Lookup::Undefined,
            deleting: None,
            key,
        }
    }

    /// The status to write.
    pub(super) fn status(&mut self) -> &mut ClusterStatus {
        self.cluster.status.get_or_insert_default()
    }

    /// Whether a milestone is reached.
    pub(super) fn is_infrastructure_provisioned(&self) -> bool {
        self.initialization().is_some_and(|done| done.infrastructure_provisioned == Some(true))
    }

    /// Whether a milestone is reached.
    pub(super) fn is_control_plane_initialized(&self) -> bool {
        self.initialization().is_some_and(|done| done.control_plane_initialized == Some(true))
    }

    fn initialization(&self) -> Option<&crate::api::core::ClusterInitialization> {
        self.cluster.status.as_ref().and_then(|status| status.initialization.as_ref())
    }

    /// Conditions that count for Available beyond the usual ones: the Cluster's own, or else its
    /// class's.
    pub(super) fn availability_gates(&self) -> &[ConditionGate] {
        let own = &self.cluster.spec.availability_gates;
        let class = self.class.as_ref().filter(|_| own.is_empty());
        class.map_or(own, |class| &class.spec.availability_gates)
    }

    /// Whether the Cluster is being deleted.
    pub(super) fn is_deleting(&self) -> bool {
        self.cluster.metadata.deletion_timestamp.is_some()
    }

    /// When a fact that depends on time alone changes next: the end of the connection's grace, or
    /// of the time in which workers may come.
    pub(super) fn next_look(&self, now: Timestamp) -> Outcome {
        let grace = self
            .probe
            .down_for(now)
            .filter(|down| !self.probe.is_connected && *down < CLUSTER_GRACE)
            .map(|down| CLUSTER_GRACE - down);
        let due = grace.into_iter().chain(self.awaits_workers).min();
        let machines = self.control_plane_machines.iter().chain(&self.worker_machines);
        let said = owned::next_change(machines.map(|it| &**it), now);
        soonest(due.map_or(Outcome::Done, Outcome::RequeueAfter), said)
    }
}
