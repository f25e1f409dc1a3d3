//! Updates in place of a MachineSet's Machines: handing Machines to another set instead of deleting
//! them, and starting the update of those that came.
//! (CAPI v1.14: machineset_controller.go, startMoveMachines and triggerInPlaceUpdate)
//!
//! The MachineDeployment tells the old set where its surplus goes and the new one whom it takes
//! Machines from. A Machine that was handed over is not counted by the new set before the
//! MachineDeployment has acknowledged it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::machines::{existing_machine, handed_on};
use super::scale::{Order, deletion_order};
use super::{MachineSetReconciler, Scope};
use crate::api::core::{ContractRef, Machine};
use crate::client::{ObjectKey, Propagation};
use crate::contract::template::{CloneInput, clone_template};
use crate::contract::{labels, machines, owners};
use crate::extensions::{Hook, pending};
use crate::runtime::{EventType, ReconcileError, patch_object};

/// Annotations of objects that are made from a template, which an update renews.
const ORIGIN: [&str; 2] = [labels::CLONED_FROM_NAME, labels::CLONED_FROM_GROUP_KIND];

/// Items of an annotation that is a list.
pub(super) fn listed(scope: &Scope, annotation: &str) -> BTreeSet<String> {
    let annotations = scope.set.metadata.annotations.as_ref();
    let list = annotations.and_then(|held| held.get(annotation)).map_or("", String::as_str);
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Machines that came from another set and are not counted yet.
pub(super) fn unacknowledged(scope: &Scope) -> usize {
    if listed(scope, labels::RECEIVE_MACHINES_FROM).is_empty() {
        return 0;
    }
    let is_new = |machine: &&Arc<Machine>| {
        labels::has_annotation(&machine.metadata, labels::PENDING_ACKNOWLEDGE_MOVE)
    };
    scope.machines().iter().filter(is_new).count()
}

impl MachineSetReconciler {
    /// Hands Machines to another set, in the order in which they would be deleted.
    pub(super) async fn move_machines(
        &self,
        scope: &Scope,
        target: &str,
        mut count: usize,
    ) -> Result<(), ReconcileError> {
        let other = ReconcileError::Other;
        let set = self.context.sets.get(&scope.key.namespace, target).ok_or_else(|| {
            other(format!(
                "failed to get MachineSet {target}, which is the target for the move operation"
            ))
        })?;
        let held = |annotation: &str| {
            let annotations = set.metadata.annotations.as_ref();
            annotations.and_then(|held| held.get(annotation)).cloned().unwrap_or_default()
        };
        let sources = held(labels::RECEIVE_MACHINES_FROM);
        if !sources.split(',').any(|source| source == scope.key.name) {
            return Err(other(format!(
                "MachineSet {} is set to move replicas to {target}, but {target} only accepts \
                 Machines from {sources}",
                scope.key.name
            )));
        }
        let hash = set.metadata.labels.as_ref().and_then(|held| held.get(labels::TEMPLATE_HASH));
        let Some(hash) = hash.cloned() else {
            return Err(other(format!(
                "MachineSet {target} does not have the {} label",
                labels::TEMPLATE_HASH
            )));
        };
        let order = Order::of(scope.set.spec.deletion.as_ref().map_or("", |it| &it.order))?;
        for machine in deletion_order(scope.machines(), order) {
            if count == 0 {
                break;
            }
            if machines::is_deleting(&machine) {
                count -= 1;
                continue;
            }
            if machines::is_unhealthy_and_owner_remediated(&machine) {
                count -= 1;
                let key = ObjectKey::of(&*machine);
                self.context.client.delete::<Machine>(&key, Propagation::Default).await?;
                let message = format!("Deleted Machine {:?}", machines::name(&machine));
                self.recorder.event(&scope.set, EventType::Normal, "SuccessfulDelete", message);
                continue;
            }
            if pending::is_update_in_progress(&machine.metadata) || !machines::has_node(&machine) {
                continue;
            }
            count -= 1;
            let mut moved = (*machine).clone();
            let metadata = &mut moved.metadata;
            let references = metadata.owner_references.get_or_insert_with(Vec::new);
            references.retain(|owner| owner.uid != scope.uid());
            owners::ensure(metadata, owners::controller_of(&*set));
            super::super::set_label(metadata, labels::TEMPLATE_HASH, &hash);
            let annotations = metadata.annotations.get_or_insert_with(Default::default);
            annotations.insert(labels::UPDATE_IN_PROGRESS.to_owned(), String::new());
            annotations.insert(labels::PENDING_ACKNOWLEDGE_MOVE.to_owned(), String::new());
            patch_object(&self.context.client, &*machine, &moved).await?;
        }
        Ok(())
    }

    /// Starts the updates of Machines that came from another set and are acknowledged: gives them
    /// and their objects the set's template, and notes the hook.
    pub(super) async fn start_updates(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let is_waiting = |machine: &Machine| {
            labels::has_annotation(&machine.metadata, labels::UPDATE_IN_PROGRESS)
                && !pending::is_pending(&machine.metadata, Hook::UpdateMachine)
                && !machines::is_deleting(machine)
        };
        if !scope.machines().iter().any(|machine| is_waiting(machine)) {
            return Ok(());
        }
        let acknowledged = listed(scope, labels::ACKNOWLEDGED_MOVE);
        let receives = !listed(scope, labels::RECEIVE_MACHINES_FROM).is_empty();
        let mut all = scope.machines().to_vec();
        let mut result = Ok(());
        for machine in all.iter_mut().filter(|machine| is_waiting(machine)) {
            let is_new =
                labels::has_annotation(&machine.metadata, labels::PENDING_ACKNOWLEDGE_MOVE);
            if is_new && receives && !acknowledged.contains(machines::name(machine)) {
                continue;
            }
            match self.start_update(scope, machine).await {
                Ok(started) => *machine = Arc::new(started),
                Err(error) => result = Err(error),
            }
        }
        scope.machines = Some(all);
        result
    }

    async fn start_update(
        &self,
        scope: &Scope,
        machine: &Arc<Machine>,
    ) -> Result<Machine, ReconcileError> {
        let handed_on = handed_on(scope);
        let mut wanted = existing_machine(scope, machine, &handed_on);
        let template = &scope.set.spec.template.spec;
        wanted.spec.version.clone_from(&template.version);
        wanted.spec.failure_domain.clone_from(&template.failure_domain);
        let name = &machine.spec.infrastructure_ref.name;
        self.renew(scope, name, &template.infrastructure_ref).await?;
        let held = machine.spec.bootstrap.config_ref.as_ref();
        if let (Some(held), Some(reference)) = (held, &template.bootstrap.config_ref) {
            self.renew(scope, &held.name, reference).await?;
        }
        let applied = self.context.set_applied.apply(&wanted, None).await?;
        let applied = applied.unwrap_or_else(|| (**machine).clone());
        let mut started = applied.clone();
        if let Some(annotations) = &mut started.metadata.annotations {
            annotations.remove(labels::PENDING_ACKNOWLEDGE_MOVE);
        }
        pending::mark(&mut started.metadata, &[Hook::UpdateMachine]);
        patch_object(&self.context.client, &applied, &started).await?;
        let message = "Machine starting in-place update".to_owned();
        let reason = "SuccessfulStartInPlaceUpdate";
        self.recorder.event(&started, EventType::Normal, reason, message);
        Ok(started)
    }

    /// Gives an object of a Machine the spec of the set's template, and the mark of the update.
    async fn renew(
        &self,
        scope: &Scope,
        name: &str,
        reference: &ContractRef,
    ) -> Result<(), ReconcileError> {
        let kind = self.context.externals.kind(reference)?;
        let namespace = scope.key.namespace.as_str();
        let key = ObjectKey::new(namespace, reference.name.as_str());
        let Some(template) = self.context.client.get_dynamic(&kind.resource, &key).await? else {
            let missing = self.context.externals.missing(reference, namespace)?;
            return Err(ReconcileError::Other(missing));
        };
        let empty = Default::default();
        let mut object = clone_template(&CloneInput {
            template: &template,
            reference,
            namespace,
            name,
            cluster_name: &scope.set.spec.cluster_name,
            owner: None,
            labels: &empty,
            annotations: &empty,
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let mut annotations = object["metadata"]["annotations"].take();
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.retain(|name, _| ORIGIN.contains(&name.as_str()));
            annotations.insert(labels::UPDATE_IN_PROGRESS.to_owned(), json!(""));
        }
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        let reference = ContractRef { api_group: group, kind, name: name.to_owned() };
        let resource = self.context.externals.kind(&reference)?.resource.clone();
        // An object that is gone is not made anew.
        let key = ObjectKey::new(namespace, name);
        let Some(held) = self.context.client.get_dynamic(&resource, &key).await? else {
            let missing = self.context.externals.missing(&reference, namespace)?;
            return Err(ReconcileError::Other(missing));
        };
        object["metadata"] = json!({"name": name, "namespace": namespace,
            "uid": held["metadata"]["uid"], "annotations": annotations});
        self.context.set_applied.client().apply(&resource, &object).await?;
        Ok(())
    }
}
