//! The in-memory infrastructure provider: `DevCluster`, `DevMachine` and `DevMachinePool` (v1beta2)
//! and the predecessors of the first two, `InMemoryCluster` and `InMemoryMachine` (v1alpha1), one
//! implementation for both.
//!
//! A cluster gets a port of the [`Host`]; a machine walks its stages and writes Node, etcd member
//! and control plane Pods into the workload cluster. Nothing polls: a machine wakes when a stage
//! ends. (CAPI v1.14: test/infrastructure/docker/internal/controllers; v1.6:
//! test/infrastructure/inmemory/internal/controllers)

mod bootstrap_data;
mod cluster;
mod kinds;
mod machine;
mod pool;
mod pool_plan;
mod stages;
mod status;
mod template;
#[cfg(test)]
mod tests;
mod watches;

use std::sync::Arc;

use crate::api::core::{Cluster, Machine};
use crate::api::infrastructure::{DevCluster, DevMachine, InMemoryCluster, InMemoryMachine};
use crate::clock::Seed;
use crate::runtime::{Controller, Manager};
use crate::workload::Host;

use cluster::ClusterReconciler;
use kinds::{InfraCluster, InfraMachine};
use machine::MachineReconciler;

/// Objects of one kind that are reconciled at once. They share a few cores and never wait for a
/// network, so more would only queue elsewhere.
const CONCURRENCY: usize = 16;

/// Adds the controllers of all kinds to a manager. `seed` decides the jitter of every stage.
pub fn add_controllers(manager: &Manager, host: &Host, seed: Seed) {
    add_dev_controllers(manager, host, seed);
    add_pool_controllers(manager, seed);
    add_in_memory_controllers(manager, host, seed);
}

/// Adds the controllers of `DevCluster` and `DevMachine`.
pub fn add_dev_controllers(manager: &Manager, host: &Host, seed: Seed) {
    add_cluster_controller::<DevCluster>(manager, host);
    add_machine_controller::<DevMachine>(manager, host, seed);
    template::add(manager);
}

/// Adds the controller of `DevMachinePool`, whose machines are DevMachines.
pub fn add_pool_controllers(manager: &Manager, seed: Seed) {
    pool::add(manager, seed);
}

/// Adds the controllers of `InMemoryCluster` and `InMemoryMachine`.
pub fn add_in_memory_controllers(manager: &Manager, host: &Host, seed: Seed) {
    add_cluster_controller::<InMemoryCluster>(manager, host);
    add_machine_controller::<InMemoryMachine>(manager, host, seed);
}

fn add_cluster_controller<K: InfraCluster>(manager: &Manager, host: &Host) {
    let own = manager.informer::<K>();
    let clusters = manager.informer::<Cluster>();
    let reconciler = ClusterReconciler {
        client: manager.client().with_field_manager("capim"),
        clock: manager.clock().clone(),
        recorder: manager.recorder(K::EVENT_SOURCE),
        host: host.clone(),
        own: own.clone(),
        clusters: clusters.clone(),
    };
    manager.add(
        Controller::new(K::CONTROLLER, Arc::new(reconciler))
            .concurrency(CONCURRENCY)
            .for_kind(&own)
            .watches(&clusters, watches::infrastructure_of_cluster::<K>),
    );
}

fn add_machine_controller<K: InfraMachine>(manager: &Manager, host: &Host, seed: Seed) {
    let own = manager.informer::<K>();
    own.add_index(watches::BY_CLUSTER, watches::cluster_of::<K>);
    let clusters = manager.informer::<Cluster>();
    let machines = manager.informer::<Machine>();
    let reconciler = MachineReconciler {
        client: manager.client().with_field_manager("capim"),
        clock: manager.clock().clone(),
        host: host.clone(),
        seed,
        own: own.clone(),
        clusters: clusters.clone(),
        machines: machines.clone(),
        timelines: stages::Timelines::default(),
    };
    manager.add(
        Controller::new(K::CONTROLLER, Arc::new(reconciler))
            .concurrency(CONCURRENCY)
            .for_kind(&own)
            .watches(&machines, watches::infrastructure_of_machine::<K>)
            .watches(&clusters, move |change| watches::machines_of_cluster(change, &own)),
    );
}
