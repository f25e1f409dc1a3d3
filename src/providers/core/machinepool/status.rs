//! Counters, phase and conditions of a MachinePool. Pure.
//! (CAPI v1.14: machinepool_controller_status.go, reconcilePhase)
//!
//! Upstream sets no condition of the new family but `Paused` on MachinePools.

use jiff::Timestamp;

use super::super::{generation_after, v1beta1_status};
use super::scope::Scope;
use crate::api::core::StatusVersion;
use crate::api::pools::MachinePool;
use crate::contract::conditions::{self, v1beta1};
use crate::contract::{labels, machines, paused};

/// Sets condition `Paused`.
pub(super) fn set_paused(scope: &mut Scope, now: Timestamp) {
    let condition = paused::condition(Some(&scope.cluster), "MachinePool", &scope.pool.metadata);
    let generation = scope.pool.metadata.generation;
    conditions::set(&mut scope.status().conditions, condition, generation, now);
}

/// Sets everything in the status that follows from the rest.
pub(super) fn compute(scope: &mut Scope, before: &MachinePool, is_ok: bool, now: Timestamp) {
    set_replicas(scope);
    let phase = phase(&scope.pool);
    phase.clone_into(&mut scope.status().phase);
    const TYPES: &[&str] = &["BootstrapReady", "InfrastructureReady", "ReplicasReady"];
    let old = v1beta1_status(&mut scope.status().deprecated);
    let options = v1beta1::SummaryOptions { types: TYPES, count_steps_of: None };
    if let Some(ready) = v1beta1::summary(&old.conditions, options) {
        conditions::set_v1beta1(&mut old.conditions, ready, now);
    }
    if is_ok && !scope.is_waiting {
        let is_spec_changed = scope.pool.spec != before.spec;
        let generation = generation_after(&before.metadata, is_spec_changed);
        scope.status().observed_generation = generation;
    }
}

fn set_replicas(scope: &mut Scope) {
    let Some(infrastructure) = &scope.infrastructure else { return };
    if infrastructure.object.status.infrastructure_machine_kind.is_empty() {
        let versions = versions_of_nodes(scope);
        let wanted = scope.pool.spec.replicas;
        let status = scope.status();
        status.ready_replicas = status.replicas;
        status.available_replicas = status.replicas;
        status.up_to_date_replicas = wanted;
        status.versions = versions;
        return;
    }
    let with = |type_: &str| {
        let true_ones = scope
            .machines
            .iter()
            .filter(|machine| conditions::is_true(machines::conditions_of(machine), type_));
        Some(i32::try_from(true_ones.count()).unwrap_or(i32::MAX))
    };
    let (ready, available, up_to_date) = (with("Ready"), with("Available"), with("UpToDate"));
    let versions = machines::versions(&scope.machines);
    let status = scope.status();
    status.ready_replicas = ready;
    status.available_replicas = available;
    status.up_to_date_replicas = up_to_date;
    status.versions = versions;
}

/// Versions of the pool's Nodes, for pools without Machines.
fn versions_of_nodes(scope: &Scope) -> Vec<StatusVersion> {
    let Some(nodes) = &scope.nodes else { return Vec::new() };
    let known = scope.pool.status.as_ref().map_or(&[][..], |status| &status.node_refs);
    let versions = known.iter().filter_map(|known| {
        let node = nodes.values().find(|node| node.metadata.name.as_ref() == Some(&known.name))?;
        let info = node.status.as_ref()?.node_info.as_ref()?;
        Some(StatusVersion { version: info.kubelet_version.clone(), replicas: Some(1) })
    });
    machines::aggregate_versions(versions)
}

/// The phase that follows from the rest of the status; the present one if nothing says otherwise.
fn phase(pool: &MachinePool) -> &'static str {
    if pool.metadata.deletion_timestamp.is_some() {
        return "Deleting";
    }
    let empty = Default::default();
    let status = pool.status.as_ref().unwrap_or(&empty);
    let done = status.initialization.clone().unwrap_or_default();
    let is_provisioned = done.infrastructure_provisioned == Some(true);
    let ready = status.deprecated.as_ref().and_then(|old| old.v1beta1.as_ref());
    let ready = ready.and_then(|old| old.ready_replicas).unwrap_or(0);
    if let Some(wanted) = pool.spec.replicas.filter(|_| is_provisioned) {
        let is_scaled_by_others = is_managed_by_autoscaler(pool);
        return match wanted.cmp(&ready) {
            std::cmp::Ordering::Equal => "Running",
            std::cmp::Ordering::Greater | std::cmp::Ordering::Less if is_scaled_by_others => {
                "Scaling"
            }
            std::cmp::Ordering::Greater => "ScalingUp",
            std::cmp::Ordering::Less => "ScalingDown",
        };
    }
    if !status.node_refs.is_empty() {
        return "Provisioned";
    }
    if done.bootstrap_data_secret_created == Some(true) && !is_provisioned {
        return "Provisioning";
    }
    known_phase(&status.phase)
}

/// A phase as it was written; `Pending` if there is none yet.
fn known_phase(phase: &str) -> &'static str {
    const PHASES: [&str; 9] = [
        "Provisioning",
        "Provisioned",
        "Running",
        "ScalingUp",
        "ScalingDown",
        "Scaling",
        "Deleting",
        "Failed",
        "Unknown",
    ];
    PHASES.into_iter().find(|known| *known == phase).unwrap_or("Pending")
}

/// Whether an autoscaler decides about the replicas. (CAPI v1.14: util/annotations)
fn is_managed_by_autoscaler(pool: &MachinePool) -> bool {
    let annotations = pool.metadata.annotations.as_ref();
    let value = annotations.and_then(|held| held.get(labels::REPLICAS_MANAGED_BY));
    value.is_some_and(|value| value != "false")
}

#[cfg(test)]
pub(super) fn phase_of(pool: &MachinePool) -> &'static str {
    phase(pool)
}
