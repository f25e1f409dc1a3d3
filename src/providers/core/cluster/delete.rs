//! Deletion of a Cluster: workers, then control plane, then infrastructure.
//! (CAPI v1.14: cluster_controller.go, reconcileDelete)

use super::super::externals::Lookup;
use super::super::owned::shortened;
use super::super::{remove_finalizer, v1beta1_status};
use super::{ClusterReconciler, Scope, owns};
use crate::api::core::{Machine, MachineDeployment, MachineSet};
use crate::api::pools::MachinePool;
use crate::api::runtime::OK_TO_DELETE;
use crate::client::{ObjectKey, Propagation};
use crate::contract::conditions::set_v1beta1_false;
use crate::contract::{labels, machines};
use crate::runtime::{EventType, ReconcileError};

const LOGS: &str = "Please check controller logs for errors";

impl ClusterReconciler {
    /// Deletes what comes next and says what is being waited for; every step ends with a watch.
    pub(super) async fn reconcile_delete(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        if scope.cluster.spec.topology.is_defined()
            && self.context.extensions.is_in_use()
            && !labels::has_annotation(&scope.cluster.metadata, OK_TO_DELETE)
        {
            let message = "Waiting for BeforeClusterDelete hook";
            scope.deleting = Some(("WaitingForBeforeDeleteHook", message.to_owned()));
            return Ok(());
        }
        if let Err(error) = self.delete_owned_workers(scope).await {
            scope.deleting = Some(("InternalError", LOGS.to_owned()));
            return Err(error);
        }
        let pending = pending_workers(scope);
        if !pending.is_empty() {
            let message: Vec<String> = pending.iter().map(|line| format!("* {line}")).collect();
            scope.deleting = Some(("WaitingForWorkersDeletion", message.join("\n")));
            return Ok(());
        }
        let control_plane = scope.control_plane.clone();
        let reason = "WaitingForControlPlaneDeletion";
        if !self.delete_external(scope, &control_plane, "ControlPlaneReady", reason).await? {
            return Ok(());
        }
        let infrastructure = scope.infrastructure.clone();
        let reason = "WaitingForInfrastructureDeletion";
        if !self.delete_external(scope, &infrastructure, "InfrastructureReady", reason).await? {
            return Ok(());
        }
        scope.deleting = Some(("DeletionCompleted", "Deletion completed".to_owned()));
        remove_finalizer(&mut scope.cluster.metadata, labels::CLUSTER_FINALIZER);
        let message = format!("Cluster {} has been deleted", scope.key.name);
        self.recorder.event(&scope.cluster, EventType::Normal, "Deleted", message);
        Ok(())
    }

    async fn delete_owned_workers(&self, scope: &Scope) -> Result<(), ReconcileError> {
        let client = &self.context.client;
        for pool in &scope.pools {
            let metadata = &pool.metadata;
            if owns(&scope.cluster, metadata) && metadata.deletion_timestamp.is_none() {
                client.delete::<MachinePool>(&ObjectKey::of(&**pool), Propagation::Default).await?;
            }
        }
        for deployment in &scope.deployments {
            let metadata = &deployment.metadata;
            if owns(&scope.cluster, metadata) && metadata.deletion_timestamp.is_none() {
                let key = ObjectKey::of(&**deployment);
                client.delete::<MachineDeployment>(&key, Propagation::Default).await?;
            }
        }
        for set in &scope.sets {
            let metadata = &set.metadata;
            if owns(&scope.cluster, metadata) && metadata.deletion_timestamp.is_none() {
                client.delete::<MachineSet>(&ObjectKey::of(&**set), Propagation::Default).await?;
            }
        }
        let control_plane = scope
            .control_plane_machines
            .iter()
            .filter(|_| scope.cluster.spec.control_plane_ref.is_none());
        for machine in scope.worker_machines.iter().chain(control_plane) {
            if owns(&scope.cluster, &machine.metadata) && !machines::is_deleting(machine) {
                let key = ObjectKey::of(&**machine);
                client.delete::<Machine>(&key, Propagation::Default).await?;
            }
        }
        Ok(())
    }

    /// Deletes a provider object; true once it is gone (or was never there).
    async fn delete_external(
        &self,
        scope: &mut Scope,
        lookup: &Lookup,
        v1beta1_type: &str,
        reason: &'static str,
    ) -> Result<bool, ReconcileError> {
        match lookup {
            Lookup::Undefined => Ok(true),
            Lookup::Unreadable => {
                scope.deleting = Some(("InternalError", LOGS.to_owned()));
                Ok(false)
            }
            Lookup::Missing => {
                let now = self.context.clock.now();
                let conditions = &mut v1beta1_status(&mut scope.status().deprecated).conditions;
                set_v1beta1_false(conditions, v1beta1_type, "Deleted", "Info", "", now);
                Ok(true)
            }
            Lookup::Found(external) => {
                if let Err(error) = external.delete(&self.context.client).await {
                    scope.deleting = Some(("InternalError", LOGS.to_owned()));
                    return Err(error);
                }
                let kind = &external.kind.resource.kind;
                scope.deleting = Some((reason, format!("Waiting for {kind} to be deleted")));
                Ok(false)
            }
        }
    }
}

/// Names of what must go before the control plane may.
fn pending_workers(scope: &Scope) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |title: &str, names: Vec<&str>| {
        if !names.is_empty() {
            lines.push(format!("{title}: {}", shortened(&names, 5)));
        }
    };
    if scope.cluster.spec.control_plane_ref.is_none() {
        let machines = &scope.control_plane_machines;
        add("Control plane Machines", machines.iter().map(|m| machines::name(m)).collect());
    }
    let name = |metadata: &'_ k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
        metadata.name.clone().unwrap_or_default()
    };
    let deployments: Vec<String> = scope.deployments.iter().map(|d| name(&d.metadata)).collect();
    add("MachineDeployments", deployments.iter().map(String::as_str).collect());
    let sets: Vec<String> = scope.sets.iter().map(|set| name(&set.metadata)).collect();
    add("MachineSets", sets.iter().map(String::as_str).collect());
    let pools: Vec<String> = scope.pools.iter().map(|pool| name(&pool.metadata)).collect();
    add("MachinePools", pools.iter().map(String::as_str).collect());
    add("Worker Machines", scope.worker_machines.iter().map(|m| machines::name(m)).collect());
    lines
}
