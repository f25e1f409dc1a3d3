//! Infrastructure and control plane of a Cluster: owning them and taking over what they report.
//! (CAPI v1.14: cluster_controller_phases.go)

use super::super::externals::{External, Lookup};
use super::super::v1beta1_status;
use super::{ClusterReconciler, Scope};
use crate::api::conditions::V1Beta1Condition;
use crate::api::core::{ContractRef, FailureDomain};
use crate::contract::conditions::{set_v1beta1, v1beta1};
use crate::contract::{machines, owners};
use crate::runtime::{EventType, ReconcileError};

impl ClusterReconciler {
    /// Finds and owns the infrastructure object; takes over endpoint and failure domains once it
    /// is provisioned.
    pub(super) async fn reconcile_infrastructure(
        &self,
        scope: &mut Scope,
    ) -> Result<(), ReconcileError> {
        let Some(reference) = scope.cluster.spec.infrastructure_ref.clone() else {
            if !scope.is_deleting() {
                set_infrastructure_provisioned(scope);
                self.set_v1beta1(scope, v1beta1::yes("InfrastructureReady"));
            }
            return Ok(());
        };
        scope.infrastructure = Lookup::Unreadable;
        scope.infrastructure = self.look_up(scope, &reference).await?;
        let Some(external) = scope.infrastructure.found().cloned() else {
            return missing(scope.is_deleting(), scope.is_infrastructure_provisioned(), || {
                format!("{} has been deleted after being provisioned", reference.kind)
            });
        };
        let is_provisioned = external.object.is_provisioned(external.kind.contract);
        let ready = mirror(
            scope,
            &external,
            "InfrastructureReady",
            is_provisioned,
            "WaitingForInfrastructure",
        );
        self.set_v1beta1(scope, ready);
        external.take_over_failure(&mut scope.status().deprecated);
        if external.object.is_deleting()
            || !(is_provisioned || scope.is_infrastructure_provisioned())
        {
            return Ok(());
        }
        take_over_endpoint(scope, &external);
        let domains: &[FailureDomain] = &external.object.status.failure_domains;
        scope.status().failure_domains = domains.to_vec();
        if !scope.is_infrastructure_provisioned() {
            let message =
                format!("Cluster {} InfrastructureProvisioned is now True", scope.key.name);
            self.recorder.event(&scope.cluster, EventType::Normal, "InfrastructureReady", message);
        }
        set_infrastructure_provisioned(scope);
        Ok(())
    }

    /// Finds and owns the control plane object; takes over its initialisation.
    pub(super) async fn reconcile_control_plane(
        &self,
        scope: &mut Scope,
    ) -> Result<(), ReconcileError> {
        let Some(reference) = scope.cluster.spec.control_plane_ref.clone() else {
            self.note_control_plane_of_machines(scope);
            return Ok(());
        };
        scope.control_plane = Lookup::Unreadable;
        scope.control_plane = self.look_up(scope, &reference).await?;
        let Some(external) = scope.control_plane.found().cloned() else {
            return missing(scope.is_deleting(), scope.is_control_plane_initialized(), || {
                format!("{} has been deleted after being initialized", reference.kind)
            });
        };
        let is_initialized = external.object.is_initialized(external.kind.contract);
        let ready =
            mirror(scope, &external, "ControlPlaneReady", is_initialized, "WaitingForControlPlane");
        self.set_v1beta1(scope, ready);
        external.take_over_failure(&mut scope.status().deprecated);
        if external.object.is_deleting() {
            return Ok(());
        }
        let now = self.context.clock.now();
        let conditions = &mut v1beta1_status(&mut scope.status().deprecated).conditions;
        if !v1beta1::is_true(conditions, "ControlPlaneInitialized") {
            let condition = if is_initialized {
                v1beta1::yes("ControlPlaneInitialized")
            } else {
                v1beta1::no(
                    "ControlPlaneInitialized",
                    "WaitingForControlPlaneProviderInitialized",
                    "Info",
                    "Waiting for control plane provider to indicate the control plane has been initialized",
                )
            };
            set_v1beta1(conditions, condition, now);
        }
        if !is_initialized && !scope.is_control_plane_initialized() {
            return Ok(());
        }
        take_over_endpoint(scope, &external);
        if !scope.is_control_plane_initialized() {
            let message = format!("Cluster {} ControlPlaneInitialized is now True", scope.key.name);
            self.recorder.event(
                &scope.cluster,
                EventType::Normal,
                "ControlPlaneInitialized",
                message,
            );
        }
        scope.status().initialization.get_or_insert_default().control_plane_initialized =
            Some(true);
        Ok(())
    }

    /// Without a control plane object, the first control plane Machine with a Node initialises.
    fn note_control_plane_of_machines(&self, scope: &mut Scope) {
        if scope.is_deleting() {
            return;
        }
        let has_node = scope
            .control_plane_machines
            .iter()
            .any(|machine| !machines::is_deleting(machine) && machines::has_node(machine));
        let now = self.context.clock.now();
        let conditions = &mut v1beta1_status(&mut scope.status().deprecated).conditions;
        if v1beta1::is_true(conditions, "ControlPlaneInitialized") {
            return;
        }
        let condition = if has_node {
            v1beta1::yes("ControlPlaneInitialized")
        } else {
            v1beta1::no(
                "ControlPlaneInitialized",
                "MissingNodeRef",
                "Info",
                "Waiting for the first control plane machine to have its status.nodeRef set",
            )
        };
        set_v1beta1(conditions, condition, now);
    }

    async fn look_up(
        &self,
        scope: &Scope,
        reference: &ContractRef,
    ) -> Result<Lookup, ReconcileError> {
        let found = self.context.find(reference, &scope.key.namespace).await?;
        let Some(external) = found else { return Ok(Lookup::Missing) };
        let mut wanted = external.labelled(&scope.key.name);
        let owner = if scope.cluster.spec.topology.is_defined() {
            // What a topology makes has no other controller.
            owners::controller_of(&scope.cluster)
        } else {
            owners::owner_of(&scope.cluster)
        };
        owners::ensure(&mut wanted, owner);
        external.write_ownership(&self.context.client, &wanted).await?;
        Ok(Lookup::Found(external))
    }

    fn set_v1beta1(&self, scope: &mut Scope, condition: V1Beta1Condition) {
        let now = self.context.clock.now();
        set_v1beta1(&mut v1beta1_status(&mut scope.status().deprecated).conditions, condition, now);
    }
}

fn set_infrastructure_provisioned(scope: &mut Scope) {
    scope.status().initialization.get_or_insert_default().infrastructure_provisioned = Some(true);
}

/// A missing object is an error only if it existed once and the Cluster is to stay.
fn missing(
    is_deleting: bool,
    is_milestone_reached: bool,
    error: impl FnOnce() -> String,
) -> Result<(), ReconcileError> {
    if !is_deleting && is_milestone_reached {
        return Err(ReconcileError::Other(error()));
    }
    Ok(())
}

fn mirror(
    scope: &Scope,
    external: &External,
    target: &str,
    is_milestone_reached: bool,
    waiting: &str,
) -> V1Beta1Condition {
    v1beta1::mirror(external.object.v1beta1_condition("Ready"), target, || {
        match (scope.is_deleting(), is_milestone_reached) {
            (true, _) => v1beta1::no(target, "Deleting", "Info", ""),
            (false, true) => v1beta1::yes(target),
            (false, false) => v1beta1::no(target, waiting, "Info", ""),
        }
    })
}

fn take_over_endpoint(scope: &mut Scope, external: &External) {
    let held = scope.cluster.spec.control_plane_endpoint.as_ref();
    let is_valid =
        held.is_some_and(|endpoint| !endpoint.host.is_empty() && endpoint.port.unwrap_or(0) > 0);
    if is_valid {
        return;
    }
    if let Some(endpoint) = external.object.control_plane_endpoint() {
        scope.cluster.spec.control_plane_endpoint = Some(endpoint.clone());
    }
}
