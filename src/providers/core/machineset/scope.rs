//! What a reconcile of a MachineSet has read and found out.

use std::sync::Arc;

use super::super::{Context, index};
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet, MachineSetStatus};
use crate::client::ObjectKey;
use crate::contract::labels;

/// State of one reconcile of a MachineSet.
pub(super) struct Scope {
    /// The MachineSet as it shall be.
    pub set: MachineSet,
    /// Its key.
    pub key: ObjectKey,
    /// The Cluster.
    pub cluster: Arc<Cluster>,
    /// Key of the Cluster.
    pub cluster_key: ObjectKey,
    /// The MachineDeployment that owns the MachineSet.
    pub deployment: Option<Arc<MachineDeployment>>,
    /// Machines of the set; `None` before they are read. Those made in this reconcile come with
    /// the next one, so that the status says that the set is scaling up.
    pub machines: Option<Vec<Arc<Machine>>>,
    /// Machines whose Node is Ready, and those that have been for `minReadySeconds`.
    pub ready_nodes: ReadyNodes,
    /// The bootstrap template does not exist.
    pub is_bootstrap_template_missing: bool,
    /// The infrastructure template does not exist.
    pub is_infrastructure_template_missing: bool,
    /// Why no Machine may be made now.
    pub preflight: Vec<String>,
    /// v1beta1 MachinesCreated if making a Machine failed: reason and message.
    pub creation_failure: Option<(&'static str, String)>,
}

/// Counters of the v1beta1 status, which looks at Nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReadyNodes {
    /// Ready Nodes.
    pub ready: i32,
    /// Nodes that have been ready for long enough.
    pub available: i32,
}

impl Scope {
    /// Reads what the caches know.
    pub(super) fn read(context: &Context, set: &MachineSet, cluster: Arc<Cluster>) -> Self {
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let name = deployment_name(set);
        let deployment = name.and_then(|name| context.deployments.get(namespace, name));
        Self::of(set, cluster, deployment)
    }

    /// A scope with nothing found out yet.
    pub(super) fn of(
        set: &MachineSet,
        cluster: Arc<Cluster>,
        deployment: Option<Arc<MachineDeployment>>,
    ) -> Self {
        Self {
            set: set.clone(),
            key: ObjectKey::of(set),
            cluster_key: ObjectKey::of(&*cluster),
            cluster,
            deployment,
            machines: None,
            ready_nodes: ReadyNodes::default(),
            is_bootstrap_template_missing: false,
            is_infrastructure_template_missing: false,
            preflight: Vec::new(),
            creation_failure: None,
        }
    }

    /// The MachineDeployment that the set says it belongs to, if that does not exist.
    pub(super) fn lost_deployment(&self) -> Option<&str> {
        deployment_name(&self.set).filter(|_| self.deployment.is_none())
    }

    /// The status to write.
    pub(super) fn status(&mut self) -> &mut MachineSetStatus {
        self.set.status.get_or_insert_default()
    }

    /// Whether the MachineSet is being deleted.
    pub(super) fn is_deleting(&self) -> bool {
        self.set.metadata.deletion_timestamp.is_some()
    }

    /// Machines of the set; none before they are read.
    pub(super) fn machines(&self) -> &[Arc<Machine>] {
        self.machines.as_deref().unwrap_or_default()
    }

    /// Uid of the MachineSet.
    pub(super) fn uid(&self) -> &str {
        self.set.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Machines that the set controls, and those of the Cluster that nobody controls.
    pub(super) fn candidates(&self, context: &Context) -> Vec<Arc<Machine>> {
        let mut found = context.machines.by_index(index::CONTROLLER, self.uid());
        let orphans = index::orphans_of(&self.cluster_key);
        found.extend(context.machines.by_index(index::CONTROLLER, &orphans));
        found
    }
}

fn deployment_name(set: &MachineSet) -> Option<&str> {
    set.metadata.labels.as_ref()?.get(labels::DEPLOYMENT_NAME).map(String::as_str)
}
