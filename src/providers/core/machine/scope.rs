//! What a reconcile of a Machine has read and found out.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;

use super::super::externals::Lookup;
use super::super::probe::{MACHINE_GRACE, Probe};
use super::super::{Context, GROUP, owned, soonest, v1beta1_status};
use crate::api::conditions::V1Beta1Condition;
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet, MachineStatus};
use crate::client::ObjectKey;
use crate::contract::conditions::{self, set_v1beta1};
use crate::contract::{labels, owners};
use crate::runtime::Outcome;

/// State of one reconcile of a Machine.
pub(super) struct Scope {
    /// The Machine as it shall be.
    pub machine: Machine,
    /// Its key.
    pub key: ObjectKey,
    /// The Cluster.
    pub cluster: Arc<Cluster>,
    /// Key of the Cluster.
    pub cluster_key: ObjectKey,
    /// The MachineSet that owns the Machine.
    pub set: Option<Arc<MachineSet>>,
    /// The MachineDeployment above it.
    pub deployment: Option<Arc<MachineDeployment>>,
    /// Bootstrap object.
    pub bootstrap: Lookup,
    /// Infrastructure object.
    pub infrastructure: Lookup,
    /// The Node, if one has the provider id.
    pub node: Option<Arc<Node>>,
    /// The Node could not be looked for: the workload cluster does not answer.
    pub is_node_unreadable: bool,
    /// Connection to the workload cluster.
    pub probe: Probe,
    /// Reason and message of the Deleting condition.
    pub deleting: Option<(&'static str, String)>,
    /// Reason and message of the Updating condition.
    pub updating: Option<(&'static str, String)>,
}

impl Scope {
    /// Reads what the caches know.
    pub(super) fn read(context: &Context, machine: &Machine, cluster: Arc<Cluster>) -> Self {
        let key = ObjectKey::of(machine);
        let cluster_key = ObjectKey::of(&*cluster);
        let set = owners::owner(&machine.metadata, GROUP, "MachineSet")
            .and_then(|owner| context.sets.get(&key.namespace, &owner.name));
        let deployment = set
            .as_ref()
            .and_then(|set| set.metadata.labels.as_ref()?.get(labels::DEPLOYMENT_NAME))
            .and_then(|name| context.deployments.get(&key.namespace, name));
        Self {
            machine: machine.clone(),
            probe: context.probe(&cluster_key),
            key,
            cluster,
            cluster_key,
            set,
            deployment,
            bootstrap: Lookup::Undefined,
            infrastructure: Lookup::Undefined,
            node: None,
            is_node_unreadable: false,
            deleting: None,
            updating: None,
        }
    }

    /// The status to write.
    pub(super) fn status(&mut self) -> &mut MachineStatus {
        self.machine.status.get_or_insert_default()
    }

    /// Sets a v1beta1 condition.
    pub(super) fn set_v1beta1(&mut self, condition: V1Beta1Condition, now: Timestamp) {
        set_v1beta1(&mut v1beta1_status(&mut self.status().deprecated).conditions, condition, now);
    }

    /// Whether the Machine is being deleted.
    pub(super) fn is_deleting(&self) -> bool {
        self.machine.metadata.deletion_timestamp.is_some()
    }

    /// Whether the bootstrap data exists.
    pub(super) fn is_bootstrap_data_created(&self) -> bool {
        let status = self.machine.status.as_ref();
        status
            .and_then(|status| status.initialization.as_ref())
            .is_some_and(|done| done.bootstrap_data_secret_created == Some(true))
    }

    /// Whether the infrastructure was provisioned.
    pub(super) fn is_infrastructure_provisioned(&self) -> bool {
        let status = self.machine.status.as_ref();
        status
            .and_then(|status| status.initialization.as_ref())
            .is_some_and(|done| done.infrastructure_provisioned == Some(true))
    }

    /// Name of the Node, if it is known.
    pub(super) fn node_name(&self) -> Option<&str> {
        let node = self.machine.status.as_ref().and_then(|status| status.node_ref.as_ref());
        node.map(|node| node.name.as_str()).filter(|name| !name.is_empty())
    }

    /// When the Cluster's control plane was initialised, if it is.
    pub(super) fn control_plane_initialized_since(&self) -> Option<Timestamp> {
        let status = self.cluster.status.as_ref()?;
        conditions::get(&status.conditions, "ControlPlaneInitialized")
            .filter(|condition| condition.status == "True")
            .map(|condition| condition.last_transition_time.0)
    }

    /// When a fact that depends on time alone changes next: the end of the connection's grace, or
    /// of the time that a deletion usually takes.
    pub(super) fn next_look(&self, now: Timestamp) -> Outcome {
        let grace = match self.probe.down_for(now) {
            Some(down) if !self.probe.is_connected && down < MACHINE_GRACE => {
                Outcome::RequeueAfter(MACHINE_GRACE - down)
            }
            Some(_) | None => Outcome::Done,
        };
        let said = self.is_deleting().then(|| owned::next_change([&self.machine], now));
        soonest(grace, said.unwrap_or(Outcome::Done))
    }
}
