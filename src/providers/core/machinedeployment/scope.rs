//! What a reconcile of a MachineDeployment has read and found out.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::Context;
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineDeploymentStatus, MachineSet};
use crate::client::ObjectKey;
use crate::contract::selector;
use crate::runtime::Outcome;

/// State of one reconcile of a MachineDeployment.
pub(super) struct Scope {
    /// The MachineDeployment as it shall be.
    pub deployment: MachineDeployment,
    /// Its key.
    pub key: ObjectKey,
    /// The Cluster.
    pub cluster: Arc<Cluster>,
    /// Key of the Cluster.
    pub cluster_key: ObjectKey,
    /// MachineSets that the deployment controls, by name; `None` before they are read.
    pub sets: Option<Vec<Arc<MachineSet>>>,
    /// Name of the MachineSet of the present template, if there is one.
    pub current: Option<String>,
    /// The MachineSets were brought in line, so that the v1beta1 status can be computed.
    pub is_rolled_out: bool,
    /// Machines that the selector matches, by name.
    pub machines: Vec<Arc<Machine>>,
    /// The bootstrap template does not exist.
    pub is_bootstrap_template_missing: bool,
    /// The infrastructure template does not exist.
    pub is_infrastructure_template_missing: bool,
}

impl Scope {
    /// Reads what the caches know.
    pub(super) fn read(
        context: &Context,
        deployment: &MachineDeployment,
        cluster: Arc<Cluster>,
    ) -> Self {
        let cluster_key = ObjectKey::of(&*cluster);
        let mut machines = context.machines_of(&cluster_key);
        let wanted = &deployment.spec.selector;
        machines.retain(|machine| selector::matches(wanted, machine.metadata.labels.as_ref()));
        Self {
            deployment: deployment.clone(),
            key: ObjectKey::of(deployment),
            cluster,
            cluster_key,
            sets: None,
            current: None,
            is_rolled_out: false,
            machines,
            is_bootstrap_template_missing: false,
            is_infrastructure_template_missing: false,
        }
    }

    /// The status to write.
    pub(super) fn status(&mut self) -> &mut MachineDeploymentStatus {
        self.deployment.status.get_or_insert_default()
    }

    /// Whether the MachineDeployment is being deleted.
    pub(super) fn is_deleting(&self) -> bool {
        self.deployment.metadata.deletion_timestamp.is_some()
    }

    /// MachineSets of the deployment; none before they are read.
    pub(super) fn sets(&self) -> &[Arc<MachineSet>] {
        self.sets.as_deref().unwrap_or_default()
    }

    /// Uid of the MachineDeployment.
    pub(super) fn uid(&self) -> &str {
        self.deployment.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Wanted Machines; the webhook has set them.
    pub(super) fn replicas(&self) -> i32 {
        self.deployment.spec.replicas.unwrap_or(0)
    }

    /// When `spec.rollout.after` comes.
    pub(super) fn next_look(&self, now: Timestamp) -> Outcome {
        let rollout = self.deployment.spec.rollout.as_ref();
        let after = rollout.and_then(|rollout| rollout.after.as_ref());
        match after
            .and_then(|after| std::time::Duration::try_from(after.0.duration_since(now)).ok())
        {
            Some(left) if !left.is_zero() => Outcome::RequeueAfter(left),
            Some(_) | None => Outcome::Done,
        }
    }
}
