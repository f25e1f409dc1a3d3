//! What a reconcile of a MachineHealthCheck has read and found out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{Context, v1beta1_status};
use super::targets::{Target, Verdict, is_skipped};
use crate::api::conditions::V1Beta1Condition;
use crate::api::core::Cluster;
use crate::api::health_check::{
    MachineHealthCheck, MachineHealthCheckStatus, RemediationTemplateRef, RemediationTrigger,
};
use crate::client::ObjectKey;
use crate::contract::conditions::{self, New, set, set_v1beta1};
use crate::contract::{labels, machines, selector};

/// State of one reconcile of a MachineHealthCheck.
pub(super) struct Scope {
    /// The MachineHealthCheck as it shall be.
    pub check: MachineHealthCheck,
    /// Its key.
    pub key: ObjectKey,
    /// The Cluster.
    pub cluster: Arc<Cluster>,
    /// Key of the Cluster.
    pub cluster_key: ObjectKey,
    /// Machines that are healthy.
    pub healthy: Vec<Target>,
    /// Machines that are not.
    pub unhealthy: Vec<Target>,
    /// When time alone may make another Machine unhealthy.
    pub next: Option<Duration>,
}

impl Scope {
    /// A scope with nothing found out yet.
    pub(super) fn new(check: &MachineHealthCheck, cluster: Arc<Cluster>) -> Self {
        Self {
            check: check.clone(),
            key: ObjectKey::of(check),
            cluster_key: ObjectKey::of(&*cluster),
            cluster,
            healthy: Vec::new(),
            unhealthy: Vec::new(),
            next: None,
        }
    }

    /// The status to write.
    pub(super) fn status(&mut self) -> &mut MachineHealthCheckStatus {
        self.check.status.get_or_insert_default()
    }

    /// Sets a metav1 condition.
    pub(super) fn set(&mut self, new: New, now: Timestamp) {
        let generation = self.check.metadata.generation;
        set(&mut self.status().conditions, new, generation, now);
    }

    /// Sets a v1beta1 condition.
    pub(super) fn set_v1beta1(&mut self, condition: V1Beta1Condition, now: Timestamp) {
        set_v1beta1(&mut v1beta1_status(&mut self.status().deprecated).conditions, condition, now);
    }

    /// When remediation is allowed.
    pub(super) fn trigger(&self) -> RemediationTrigger {
        let remediation = self.check.spec.remediation.as_ref();
        remediation.and_then(|remediation| remediation.trigger_if.clone()).unwrap_or_default()
    }

    /// The template of remediation objects, if another provider remediates.
    pub(super) fn template(&self) -> Option<RemediationTemplateRef> {
        let remediation = self.check.spec.remediation.as_ref();
        let template = remediation.and_then(|remediation| remediation.template_ref.clone());
        template.filter(|template| *template != RemediationTemplateRef::default())
    }

    /// Whether Nodes can be looked at: the control plane is initialised.
    pub(super) fn is_initialized(&self) -> bool {
        self.cluster.status.as_ref().is_some_and(|status| {
            conditions::is_true(&status.conditions, "ControlPlaneInitialized")
        })
    }

    /// Finds the Machines that are checked, checks them and counts.
    pub(super) fn check_targets(&mut self, context: &Context, now: Timestamp) {
        let targets = self.targets(context);
        let mut names: Vec<String> =
            targets.iter().map(|target| machines::name(&target.before).to_owned()).collect();
        names.sort_unstable();
        let total = i32::try_from(targets.len()).unwrap_or(i32::MAX);
        for mut target in targets {
            match target.check(&self.check, &self.cluster, now) {
                Verdict::Healthy => self.healthy.push(target),
                Verdict::Unhealthy => self.unhealthy.push(target),
                Verdict::Pending(next) => {
                    self.next = self.next.into_iter().chain([next]).min();
                }
                Verdict::Unknown => {}
            }
        }
        let healthy = i32::try_from(self.healthy.len()).unwrap_or(i32::MAX);
        let status = self.status();
        status.expected_machines = Some(total);
        status.targets = names;
        status.current_healthy = Some(healthy);
    }

    fn targets(&self, context: &Context) -> Vec<Target> {
        let wanted = &self.check.spec.selector;
        let is_initialized = self.is_initialized();
        let mut targets = Vec::new();
        for machine in context.machines_of(&self.cluster_key) {
            let held = machine.metadata.labels.as_ref();
            let is_labelled = held.and_then(|held| held.get(labels::CLUSTER_NAME))
                == Some(&self.check.spec.cluster_name);
            if !is_labelled || !selector::matches(wanted, held) || is_skipped(&machine) {
                continue;
            }
            let mut target = Target::new(machine);
            let node = target.before.status.as_ref().and_then(|status| status.node_ref.as_ref());
            let node = node.map(|node| node.name.clone()).filter(|name| !name.is_empty());
            if let Some(name) = node.filter(|_| is_initialized) {
                target.node = context.remote.node(&self.cluster_key, &name);
                target.is_node_missing = target.node.is_none();
            }
            targets.push(target);
        }
        targets
    }
}
