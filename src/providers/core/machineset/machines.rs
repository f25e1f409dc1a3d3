//! Templates and Machines of a MachineSet: owning, adopting, updating in place.
//! (CAPI v1.14: machineset_controller.go)

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::owned::elapsed;
use super::scope::ReadyNodes;
use super::{MachineSetReconciler, Scope};
use crate::api::core::{ContractRef, Machine, MachineDeletion};
use crate::client::{ObjectKey, Propagation};
use crate::contract::{labels, machines, names, owners, selector};
use crate::runtime::{EventType, Patched, ReconcileError, patch_object};

impl MachineSetReconciler {
    /// Makes the Cluster own the templates, and notes those that do not exist.
    pub(super) async fn own_templates(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let infrastructure = scope.set.spec.template.spec.infrastructure_ref.clone();
        let found = self
            .context
            .externals
            .own_template(&self.context.client, &scope.cluster, &infrastructure)
            .await;
        scope.is_infrastructure_template_missing = matches!(found, Ok(false));
        let infrastructure = self.missing_is_an_error(scope, &infrastructure, found);
        let Some(bootstrap) = scope.set.spec.template.spec.bootstrap.config_ref.clone() else {
            return infrastructure;
        };
        let found = self
            .context
            .externals
            .own_template(&self.context.client, &scope.cluster, &bootstrap)
            .await;
        scope.is_bootstrap_template_missing = matches!(found, Ok(false));
        infrastructure.and(self.missing_is_an_error(scope, &bootstrap, found))
    }

    /// A template may be missing while the set goes away or is an old one.
    fn missing_is_an_error(
        &self,
        scope: &Scope,
        reference: &ContractRef,
        found: Result<bool, ReconcileError>,
    ) -> Result<(), ReconcileError> {
        let revision = |metadata: &ObjectMeta| {
            metadata.annotations.as_ref().and_then(|held| held.get(labels::REVISION).cloned())
        };
        let is_current = scope
            .deployment
            .as_ref()
            .is_none_or(|owner| revision(&owner.metadata) == revision(&scope.set.metadata));
        match found {
            Ok(false) if !scope.is_deleting() && is_current => Err(ReconcileError::Other(format!(
                "failed to retrieve {} {}/{}: not found",
                reference.kind, scope.key.namespace, reference.name
            ))),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads the Machines of the set and adopts those that match and have no controller.
    pub(super) async fn adopt_machines(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let mut found = Vec::new();
        for machine in scope.candidates(&self.context) {
            if !selector::matches(&scope.set.spec.selector, machine.metadata.labels.as_ref()) {
                continue;
            }
            if owners::is_controlled_by(&machine.metadata, scope.uid()) {
                found.push(machine);
                continue;
            }
            let mut adopted = (*machine).clone();
            owners::ensure(&mut adopted.metadata, owners::controller_of(&scope.set));
            let name = machines::name(&machine);
            match patch_object(&self.context.client, &*machine, &adopted).await {
                Ok(_) => {
                    let message = format!("Adopted Machine {name:?}");
                    self.recorder.event(&scope.set, EventType::Normal, "SuccessfulAdopt", message);
                    found.push(Arc::new(adopted));
                }
                Err(error) => {
                    let message = format!("Failed to adopt Machine {name:?}: {error}");
                    self.recorder.event(&scope.set, EventType::Warning, "FailedAdopt", message);
                }
            }
        }
        found.sort_by(|a, b| machines::name(a).cmp(machines::name(b)));
        scope.ready_nodes = self.count_ready_nodes(scope, &found);
        scope.machines = Some(found);
        Ok(())
    }

    fn count_ready_nodes(&self, scope: &Scope, machines: &[Arc<Machine>]) -> ReadyNodes {
        let min_ready = scope.set.spec.template.spec.min_ready_seconds.unwrap_or(0);
        let min_ready = u64::try_from(min_ready).unwrap_or(0);
        let now = self.context.clock.now();
        let mut counts = ReadyNodes::default();
        for machine in machines {
            let node = machine
                .status
                .as_ref()
                .and_then(|status| status.node_ref.as_ref())
                .and_then(|node| self.context.remote.node(&scope.cluster_key, &node.name));
            let Some(since) = node.as_ref().and_then(|node| ready_since(node)) else { continue };
            counts.ready += 1;
            if elapsed(since, now).as_secs() >= min_ready {
                counts.available += 1;
            }
        }
        counts
    }

    /// Brings fields that change in place to Machines that exist: labels, annotations, timeouts,
    /// readiness. Labels that leave the template stay on Machines.
    pub(super) async fn update_machines(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let labels = machine_labels(scope);
        let mut updated = Vec::with_capacity(scope.machines().len());
        for machine in scope.machines() {
            let wanted = updated_machine(scope, machine, &labels);
            if wanted == **machine {
                updated.push(machine.clone());
                continue;
            }
            let patched = patch_object(&self.context.client, &**machine, &wanted).await?;
            updated.push(match patched {
                Patched::Changed(machine) => Arc::new(machine.decode()?),
                Patched::Unchanged => machine.clone(),
            });
        }
        scope.machines = Some(updated);
        Ok(())
    }

    /// Deletes the Machines; the finalizer goes with the last one.
    pub(super) async fn reconcile_delete(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        if scope.machines().is_empty() {
            super::super::remove_finalizer(&mut scope.set.metadata, labels::MACHINE_SET_FINALIZER);
            return Ok(());
        }
        for machine in scope.machines().iter().filter(|machine| !machines::is_deleting(machine)) {
            let key = ObjectKey::of(&**machine);
            self.context.client.delete::<Machine>(&key, Propagation::Default).await?;
        }
        Ok(())
    }
}

/// Since when a Node has been Ready, if it is.
fn ready_since(node: &Node) -> Option<jiff::Timestamp> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready" && condition.status == "True")?;
    Some(ready.last_transition_time.as_ref().map_or(jiff::Timestamp::UNIX_EPOCH, |time| time.0))
}

/// Labels of the set's Machines.
pub(super) fn machine_labels(scope: &Scope) -> std::collections::BTreeMap<String, String> {
    let mut wanted = scope.set.spec.template.metadata.labels.clone();
    wanted.insert(labels::SET_NAME.to_owned(), names::label_value(&scope.key.name));
    let held = scope.set.metadata.labels.as_ref();
    if let Some(deployment) = held.and_then(|held| held.get(labels::DEPLOYMENT_NAME)) {
        wanted.insert(labels::DEPLOYMENT_NAME.to_owned(), deployment.clone());
    }
    wanted
}

/// A Machine with the fields that the template changes in place.
fn updated_machine(
    scope: &Scope,
    machine: &Machine,
    wanted_labels: &std::collections::BTreeMap<String, String>,
) -> Machine {
    let template = &scope.set.spec.template;
    let mut wanted = machine.clone();
    let limits = template.spec.deletion.clone().unwrap_or_default();
    let deletion = MachineDeletion {
        // The webhook's default: nothing to patch if the template says nothing.
        node_deletion_timeout_seconds: limits.node_deletion_timeout_seconds.or(Some(10)),
        ..limits
    };
    wanted.spec.deletion = Some(deletion);
    wanted.spec.readiness_gates.clone_from(&template.spec.readiness_gates);
    wanted.spec.min_ready_seconds = template.spec.min_ready_seconds;
    wanted.spec.taints.clone_from(&template.spec.taints);
    if machines::is_deleting(machine) {
        return wanted;
    }
    let metadata = &mut wanted.metadata;
    let held = metadata.labels.get_or_insert_with(Default::default);
    held.extend(wanted_labels.iter().map(|(key, value)| (key.clone(), value.clone())));
    if !template.metadata.annotations.is_empty() {
        let held = metadata.annotations.get_or_insert_with(Default::default);
        let wanted = template.metadata.annotations.iter();
        held.extend(wanted.map(|(key, value)| (key.clone(), value.clone())));
    }
    wanted
}
