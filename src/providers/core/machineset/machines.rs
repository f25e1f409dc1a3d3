//! Templates and Machines of a MachineSet: owning, adopting, updating in place.
//! (CAPI v1.14: machineset_controller.go)

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::SET_MANAGER;
use super::super::applied::HandedOn;
use super::super::owned::elapsed;
use super::scope::ReadyNodes;
use super::{MachineSetReconciler, Scope};
use crate::api::core::{ContractRef, Machine, MachineTemplateSpec};
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
            Ok(false) if !scope.is_deleting() && is_current => {
                let missing = self.context.externals.missing(reference, &scope.key.namespace)?;
                Err(ReconcileError::Other(missing))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads the Machines of the set and adopts those that match and have no controller.
    pub(super) async fn adopt_machines(&self, scope: &mut Scope) {
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

    /// Brings what changes in place to Machines that exist and to their objects: labels,
    /// annotations, timeouts, readiness, taints. Labels and annotations that leave the template
    /// leave the Machines.
    pub(super) async fn update_machines(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let handed_on = handed_on(scope);
        let mut machines = scope.machines().to_vec();
        let mut result = Ok(());
        for machine in &mut machines {
            if let Err(error) = self.update_machine(scope, machine, &handed_on).await {
                result = Err(error);
                break;
            }
        }
        scope.machines = Some(machines);
        result
    }

    async fn update_machine(
        &self,
        scope: &Scope,
        machine: &mut Arc<Machine>,
        handed_on: &HandedOn,
    ) -> Result<(), ReconcileError> {
        let context = &self.context;
        if machines::is_deleting(machine) {
            // Only what matters for the way out.
            let mut wanted = (**machine).clone();
            set_in_place(&scope.set.spec.template, &mut wanted);
            let deletion = wanted.spec.deletion.get_or_insert_default();
            // The webhook's default: nothing to patch if the template says nothing.
            deletion.node_deletion_timeout_seconds.get_or_insert(10);
            if let Patched::Changed(answer) =
                patch_object(&context.client, &**machine, &wanted).await?
            {
                *machine = Arc::new(answer.decode()?);
            }
            return Ok(());
        }
        let wanted = existing_machine(scope, machine, handed_on);
        if let Some(applied) = context.set_applied.apply(&wanted, Some(&**machine)).await? {
            *machine = Arc::new(applied);
        }
        let namespace = &scope.key.namespace;
        let spec = &machine.spec;
        let references =
            std::iter::once(&spec.infrastructure_ref).chain(&spec.bootstrap.config_ref);
        for reference in references {
            let external = context.externals.need(&context.client, reference, namespace).await?;
            if !external.object.is_deleting() {
                context.set_metadata.hand_on(&external, handed_on, SET_MANAGER).await?;
            }
        }
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

/// Labels and annotations of the set's Machines and of their objects.
pub(super) fn handed_on(scope: &Scope) -> HandedOn {
    let template = &scope.set.spec.template.metadata;
    let mut wanted = template.labels.clone();
    wanted.insert(labels::SET_NAME.to_owned(), names::label_value(&scope.key.name));
    let held = scope.set.metadata.labels.as_ref();
    if let Some(deployment) = held.and_then(|held| held.get(labels::DEPLOYMENT_NAME)) {
        wanted.insert(labels::DEPLOYMENT_NAME.to_owned(), deployment.clone());
    }
    HandedOn { labels: wanted, annotations: template.annotations.clone() }
}

/// A Machine as the set wants it, without a name and without references to its objects.
pub(super) fn desired_machine(scope: &Scope, handed_on: &HandedOn) -> Machine {
    let set = &scope.set;
    let mut machine = Machine::default();
    let metadata = &mut machine.metadata;
    metadata.namespace = Some(scope.key.namespace.clone());
    metadata.owner_references = Some(vec![owners::controller_of(set)]);
    metadata.finalizers = Some(vec![labels::MACHINE_FINALIZER.to_owned()]);
    metadata.labels = Some(handed_on.labels.clone());
    let annotations = &handed_on.annotations;
    metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
    machine.spec = set.spec.template.spec.clone();
    machine.spec.cluster_name.clone_from(&set.spec.cluster_name);
    machine.spec.infrastructure_ref = ContractRef::default();
    machine.spec.bootstrap.config_ref = None;
    machine
}

/// A Machine that exists, as the set wants it: what needs a new Machine stays as it is.
pub(super) fn existing_machine(scope: &Scope, held: &Machine, handed_on: &HandedOn) -> Machine {
    let mut wanted = desired_machine(scope, handed_on);
    wanted.metadata.name.clone_from(&held.metadata.name);
    wanted.metadata.uid.clone_from(&held.metadata.uid);
    wanted.metadata.finalizers.clone_from(&held.metadata.finalizers);
    super::super::ensure_finalizer(&mut wanted.metadata, labels::MACHINE_FINALIZER);
    wanted.spec.bootstrap.config_ref.clone_from(&held.spec.bootstrap.config_ref);
    wanted.spec.infrastructure_ref.clone_from(&held.spec.infrastructure_ref);
    wanted.spec.version.clone_from(&held.spec.version);
    wanted.spec.failure_domain.clone_from(&held.spec.failure_domain);
    wanted
}

/// Fields that change in place, other than labels and annotations.
fn set_in_place(template: &MachineTemplateSpec, machine: &mut Machine) {
    let spec = &mut machine.spec;
    spec.readiness_gates.clone_from(&template.spec.readiness_gates);
    spec.min_ready_seconds = template.spec.min_ready_seconds;
    spec.taints.clone_from(&template.spec.taints);
    spec.deletion.clone_from(&template.spec.deletion);
}
