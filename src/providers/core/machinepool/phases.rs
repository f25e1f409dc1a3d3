//! Bootstrap and infrastructure of a MachinePool: owning them and taking over what they report.
//! (CAPI v1.14: machinepool_controller_phases.go)

use super::super::externals::External;
use super::super::v1beta1_status;
use super::{MachinePoolReconciler, Scope};
use crate::api::conditions::V1Beta1Condition;
use crate::api::core::ContractRef;
use crate::contract::conditions::{self, v1beta1};
use crate::contract::owners;
use crate::runtime::ReconcileError;

impl MachinePoolReconciler {
    /// Finds and owns the bootstrap object; takes over the name of the data secret.
    pub(super) async fn reconcile_bootstrap(
        &self,
        scope: &mut Scope,
    ) -> Result<(), ReconcileError> {
        const READY: &str = "BootstrapReady";
        let Some(reference) = scope.pool.spec.template.spec.bootstrap.config_ref.clone() else {
            if scope.pool.spec.template.spec.bootstrap.data_secret_name.is_some() {
                set_bootstrap_created(scope, true);
                self.set_v1beta1(scope, v1beta1::yes(READY));
            }
            return Ok(());
        };
        let Some(external) = self.take(scope, &reference).await? else {
            // Its appearance wakes the pool.
            scope.is_waiting = true;
            return Ok(());
        };
        if external.object.is_deleting() {
            return Ok(());
        }
        let is_created = external.object.is_data_secret_created(external.kind.contract);
        self.set_v1beta1(scope, mirror(&external, READY, is_created, "WaitingForDataSecret"));
        set_bootstrap_created(scope, is_created);
        if !is_created {
            return Ok(());
        }
        let secret = external.object.status.data_secret_name.clone();
        if secret.is_empty() {
            return Err(ReconcileError::Other(format!(
                "retrieved empty dataSecretName from bootstrap provider for MachinePool {:?} in \
                 namespace {:?}",
                scope.key.name, scope.key.namespace
            )));
        }
        scope.pool.spec.template.spec.bootstrap.data_secret_name = Some(secret);
        Ok(())
    }

    /// Finds and owns the infrastructure; makes its machines visible and takes over provider ids
    /// and replicas.
    pub(super) async fn reconcile_infrastructure(
        &self,
        scope: &mut Scope,
    ) -> Result<(), ReconcileError> {
        const READY: &str = "InfrastructureReady";
        let reference = scope.pool.spec.template.spec.infrastructure_ref.clone();
        let Some(external) = self.take(scope, &reference).await? else {
            self.missing_infrastructure(scope, &reference);
            return Ok(());
        };
        scope.infrastructure = Some(external.clone());
        if external.object.is_deleting() {
            return Ok(());
        }
        // Pools have no contract of their own for this: it is `ready` in every version.
        let is_ready = external.object.status.ready == Some(true);
        let status = scope.status();
        status.initialization.get_or_insert_default().infrastructure_provisioned = Some(is_ready);
        self.set_v1beta1(scope, mirror(&external, READY, is_ready, "WaitingForInfrastructure"));
        if scope.nodes.is_none() {
            // The first answer of the workload cluster wakes the pool.
            scope.is_waiting = true;
            return Ok(());
        }
        self.reconcile_machines(scope, &external).await?;
        if is_ready {
            take_over(scope, &external);
        }
        Ok(())
    }

    /// The object that a reference names, owned by the pool.
    async fn take(
        &self,
        scope: &mut Scope,
        reference: &ContractRef,
    ) -> Result<Option<External>, ReconcileError> {
        let found = self.context.find(reference, &scope.key.namespace).await?;
        let Some(external) = found else { return Ok(None) };
        let mut wanted = external.labelled(&scope.pool.spec.cluster_name);
        let uid = scope.pool.metadata.uid.as_deref().unwrap_or_default();
        if let Some(other) = owners::controlling(&wanted).filter(|owner| owner.uid != uid) {
            return Err(ReconcileError::Other(format!(
                "Object {} is already owned by another {} controller {}",
                external.key(),
                other.kind,
                other.name
            )));
        }
        owners::ensure(&mut wanted, owners::controller_of(&scope.pool));
        external.write_ownership(&self.context.client, &wanted).await?;
        external.take_over_failure(&mut scope.status().deprecated);
        Ok(Some(external))
    }

    fn missing_infrastructure(&self, scope: &mut Scope, reference: &ContractRef) {
        let ContractRef { kind, name, .. } = reference;
        scope.is_waiting = true;
        if scope.is_infrastructure_provisioned() {
            let namespace = scope.key.namespace.clone();
            let old = v1beta1_status(&mut scope.status().deprecated);
            old.failure_reason = Some("InvalidConfiguration".to_owned());
            old.failure_message = Some(format!(
                "MachinePool infrastructure resource {kind} {namespace}/{name} has been deleted \
                 after being ready"
            ));
        }
        let message = format!("could not find infra reference of kind {kind} with name {name}");
        let condition =
            v1beta1::no("InfrastructureReady", "IncorrectExternalRef", "Error", &message);
        self.set_v1beta1(scope, condition);
    }

    pub(super) fn set_v1beta1(&self, scope: &mut Scope, condition: V1Beta1Condition) {
        let now = self.context.clock.now();
        let old = v1beta1_status(&mut scope.status().deprecated);
        conditions::set_v1beta1(&mut old.conditions, condition, now);
    }
}

/// Provider ids and replicas, as the infrastructure tells them.
fn take_over(scope: &mut Scope, external: &External) {
    let object = &external.object;
    if let Some(replicas) = object.status.replicas {
        scope.status().replicas = Some(replicas);
    }
    let ids = &object.spec.provider_id_list;
    if ids.is_empty() && scope.replicas() != 0 {
        return;
    }
    if scope.pool.spec.provider_id_list != *ids {
        scope.pool.spec.provider_id_list.clone_from(ids);
        let replicas = scope.replicas();
        let old = v1beta1_status(&mut scope.status().deprecated);
        old.ready_replicas = Some(0);
        old.available_replicas = Some(0);
        old.unavailable_replicas = Some(replicas);
    }
}

fn set_bootstrap_created(scope: &mut Scope, is_created: bool) {
    let initialization = scope.status().initialization.get_or_insert_default();
    initialization.bootstrap_data_secret_created = Some(is_created);
}

fn mirror(external: &External, target: &str, is_done: bool, waiting: &str) -> V1Beta1Condition {
    v1beta1::mirror(external.object.v1beta1_condition("Ready"), target, || {
        if is_done { v1beta1::yes(target) } else { v1beta1::no(target, waiting, "Info", "") }
    })
}
