//! The desired state of a topology. (CAPI v1.14: exp/topology/desiredstate/desired_state.go)
//!
//! Everything but the hooks of extensions is a pure function of the scope. Names of objects that
//! exist are kept; new ones get generated names.

mod cluster;
mod control_plane;
mod health_check;
mod machine_deployments;
mod machine_pools;
mod patch;
mod template;
mod versions;
mod workers;

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::hooks::Hooks;
use super::kinds::{Kinds, wrap};
use super::names::Names;
use super::scope::{ClusterState, Scope, WorkerMachines};
use crate::api::core::{Cluster, MachineSet};
use crate::clock::Seed;
use crate::runtime::ReconcileError;

/// The desired state: the Cluster and its objects.
#[derive(Clone, Debug)]
pub(super) struct Desired {
    /// The Cluster with labels, annotations and references as they shall be.
    pub cluster: Cluster,
    /// Its objects.
    pub state: ClusterState,
}

/// Computes the desired state.
pub(super) struct Generator<'a> {
    pub(super) kinds: &'a Kinds,
    pub(super) hooks: &'a Hooks,
    pub(super) seed: Seed,
}

impl Generator<'_> {
    /// The desired state; the scope's tracker and answers are filled on the way.
    ///
    /// # Errors
    /// Why it cannot be computed, in upstream's words, or a hook failed.
    pub(super) async fn generate(
        &self,
        scope: &mut Scope,
        machines: &WorkerMachines,
    ) -> Result<Desired, ReconcileError> {
        let mut state = ClusterState {
            infrastructure: Some(
                self.infrastructure(scope)
                    .map_err(|error| wrap("failed to compute InfrastructureCluster", error))?,
            ),
            control_plane_template: self.control_plane_template(scope).map_err(|error| {
                wrap("failed to compute ControlPlane InfrastructureMachineTemplate", error)
            })?,
            ..ClusterState::default()
        };
        versions::plan(scope, self.hooks).await?;
        versions::mark_upgrading(scope, machines)?;
        let version = versions::control_plane(scope, self.hooks).await;
        let in_context = |error| wrap("failed to compute ControlPlane", error);
        let version = version.map_err(|error| {
            in_context(wrap("failed to compute version of ControlPlane", error))
        })?;
        let template = state.control_plane_template.as_ref();
        let control_plane = self.control_plane(scope, template, &version).map_err(in_context)?;
        state.control_plane_health_check = health_check::of_control_plane(scope, &control_plane);
        let infrastructure = state.infrastructure.as_ref();
        let cluster = cluster::desired(scope, infrastructure, &control_plane, self.hooks);
        state.control_plane = Some(control_plane);
        state.machine_deployments = self
            .machine_deployments(scope, &machines.sets)
            .map_err(|error| wrap("failed to compute MachineDeployments", error))?;
        state.machine_pools = self
            .machine_pools(scope)
            .map_err(|error| wrap("failed to compute MachinePools", error))?;
        let mut desired = Desired { cluster, state };
        self.patch(scope, &mut desired)
            .await
            .map_err(|error| wrap("failed to apply patches", error))?;
        Ok(desired)
    }

    fn machine_deployments(
        &self,
        scope: &mut Scope,
        sets: &[Arc<MachineSet>],
    ) -> Result<IndexMap<String, super::scope::WorkersState>, ReconcileError> {
        let mut all = IndexMap::new();
        for workers in scope.topology.workers.machine_deployments.clone() {
            let name = &workers.name;
            // Taken out while the scope changes, and put back.
            let held = scope.current.machine_deployments.get_mut(name).map(std::mem::take);
            let state = self.machine_deployment(scope, &workers, held.as_ref(), sets);
            if let (Some(place), Some(held)) =
                (scope.current.machine_deployments.get_mut(name), held)
            {
                *place = held;
            }
            let state = state.map_err(|error| {
                wrap(format!("failed to compute MachineDepoyment for topology {name:?}"), error)
            })?;
            all.insert(name.clone(), state);
        }
        Ok(all)
    }

    fn machine_pools(
        &self,
        scope: &mut Scope,
    ) -> Result<IndexMap<String, super::scope::WorkersState>, ReconcileError> {
        let mut all = IndexMap::new();
        for workers in scope.topology.workers.machine_pools.clone() {
            let name = &workers.name;
            let state = self.machine_pool(scope, &workers).map_err(|error| {
                wrap(format!("failed to compute MachinePool for topology {name:?}"), error)
            })?;
            all.insert(name.clone(), state);
        }
        Ok(all)
    }

    fn names<'a>(&self, cluster: &'a Cluster) -> Names<'a> {
        Names { seed: self.seed, cluster }
    }
}

/// A naming template, or the default one.
fn template_or<'a>(given: &'a str, default: &'a str) -> &'a str {
    if given.is_empty() { default } else { given }
}

/// The error of a naming template.
fn name_error(kind: &str, error: &str) -> ReconcileError {
    ReconcileError::Other(format!("failed to generate name for {kind}: {error}"))
}

/// Name of an object that exists, or a new one.
fn keep_or(
    current: Option<&Value>,
    new: impl FnOnce() -> Result<String, ReconcileError>,
) -> Result<String, ReconcileError> {
    match current.map(super::tree::name) {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        Some(_) | None => new(),
    }
}
