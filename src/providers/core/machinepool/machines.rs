//! Machines that show the machines of a pool.
//! (CAPI v1.14: machinepool_controller_phases.go, reconcileMachines)

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::externals::External;
use super::{MachinePoolReconciler, Scope};
use crate::api::core::{Bootstrap, ContractRef, Machine, MachineSpec, MachineStatus};
use crate::contract::conditions::{self, New};
use crate::contract::object::ContractObject;
use crate::contract::{labels, machines, owners};
use crate::runtime::{ReconcileError, patch_object};

impl MachinePoolReconciler {
    /// Makes a Machine for every infrastructure machine of the pool and keeps it up.
    pub(super) async fn reconcile_machines(
        &self,
        scope: &Scope,
        infrastructure: &External,
    ) -> Result<(), ReconcileError> {
        let kind = &infrastructure.object.status.infrastructure_machine_kind;
        if kind.is_empty() {
            // Pools of this kind have no machines that could be shown.
            return Ok(());
        }
        let group = &infrastructure.kind.resource.group;
        let value = scope.pool_value();
        let shown = self.context.externals.of_pool(group, kind, &value)?;
        let existing = self.context.machines.by_index(super::index::POOL, &value);
        // One that fails does not keep the others from being seen.
        let mut result = Ok(());
        for object in shown {
            let machine = existing
                .iter()
                .find(|machine| machine.spec.infrastructure_ref.name == object.name());
            let wanted = wanted(scope, (group, kind), &object, machine);
            let applied = self.applied.apply(&wanted, machine.map(|machine| &**machine)).await;
            result = result.and(applied.map(|_| ()));
        }
        result
    }

    /// Machines of a pool are up to date until they are deleted.
    pub(super) async fn set_machines_up_to_date(
        &self,
        scope: &Scope,
    ) -> Result<(), ReconcileError> {
        let now = self.context.clock.now();
        for before in &scope.machines {
            let mut machine = Machine::clone(before);
            let condition = if machines::is_deleting(before) {
                New::no("UpToDate", "NotUpToDate", "Machine is being deleted")
            } else {
                New::yes("UpToDate", "UpToDate")
            };
            let generation = machine.metadata.generation;
            let status: &mut MachineStatus = machine.status.get_or_insert_default();
            conditions::set(&mut status.conditions, condition, generation, now);
            patch_object(&self.context.client, &**before, &machine).await?;
        }
        Ok(())
    }
}

/// The Machine of an infrastructure machine. Its version is the one that its Node tells.
fn wanted(
    scope: &Scope,
    (group, kind): (&str, &str),
    object: &ContractObject,
    existing: Option<&Arc<Machine>>,
) -> Machine {
    let template = &scope.pool.spec.template.metadata;
    let mut held = template.labels.clone();
    held.insert(labels::POOL_NAME.to_owned(), scope.label());
    held.insert(labels::CLUSTER_NAME.to_owned(), scope.pool.spec.cluster_name.clone());
    let name =
        existing.map_or_else(|| object.name().to_owned(), |it| machines::name(it).to_owned());
    let annotations = (!template.annotations.is_empty()).then(|| template.annotations.clone());
    let node = scope.nodes.as_ref().and_then(|nodes| nodes.get(&object.spec.provider_id));
    let info = node.and_then(|node| node.status.as_ref()).and_then(|it| it.node_info.as_ref());
    Machine {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(scope.key.namespace.clone()),
            labels: Some(held),
            annotations,
            owner_references: Some(vec![owners::controller_of(&scope.pool)]),
            ..ObjectMeta::default()
        },
        spec: MachineSpec {
            cluster_name: scope.pool.spec.cluster_name.clone(),
            bootstrap: Bootstrap { data_secret_name: Some(String::new()), ..Bootstrap::default() },
            infrastructure_ref: ContractRef {
                api_group: group.to_owned(),
                kind: kind.to_owned(),
                name: object.name().to_owned(),
            },
            version: info.map(|info| info.kubelet_version.clone()).unwrap_or_default(),
            ..MachineSpec::default()
        },
        status: None,
    }
}
