//! The core provider: Cluster, ClusterClass, Machine, MachineSet, MachineDeployment, MachinePool,
//! MachineHealthCheck, managed topologies and ExtensionConfig.
//! (CAPI v1.14: core/reconcilers)
//!
//! Each kind has a folder: `mod.rs` names the watches and the phases of a reconcile, `scope.rs` is
//! what was read, `status.rs` computes counters and both condition families as a pure function of
//! the scope. A reconcile works on a copy and writes the difference once, at its end. Nothing
//! polls: every fact that can change has a watch; only facts that depend on time are requeued.

mod applied;
mod cluster;
mod clusterclass;
mod extensionconfig;
mod externals;
mod index;
mod machine;
mod machinedeployment;
mod machinehealthcheck;
mod machinepool;
mod machineset;
mod owned;
mod probe;
mod scaled;
mod template;
pub mod topology;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::conditions::{Deprecated, V1Beta1Status};
use crate::api::core::{Cluster, ContractRef, Machine, MachineDeployment, MachineSet};
use crate::api::drain::MachineDrainRule;
use crate::api::health_check::MachineHealthCheck;
use crate::api::pools::MachinePool;
use crate::api::topology::ClusterClass;
use crate::client::{Client, ObjectKey};
use crate::clock::{Clock, Seed};
use crate::contract::versions::ContractVersions;
use crate::extensions::Extensions;
use crate::runtime::{Informer, Manager, Outcome, ReconcileError, RemoteInformers};

use applied::Applied;
use externals::{External, Externals};
use probe::Probes;

/// Group of the core kinds.
const GROUP: &str = "cluster.x-k8s.io";
/// Field manager of MachineSets.
const SET_MANAGER: &str = "capi-machineset";

/// Adds the controllers of the core provider. `versions` must already hold every provider
/// kind that objects will refer to: a kind that is added later is reported as unknown. `seed`
/// makes generated names repeat from run to run.
pub fn add_controllers(
    manager: &Manager,
    remote: &RemoteInformers,
    versions: &ContractVersions,
    seed: Seed,
    extensions: &Extensions,
) {
    let context = Arc::new(Context::new(manager, remote, versions, seed, extensions));
    cluster::add(manager, &context);
    machine::add(manager, &context);
    machineset::add(manager, &context);
    machinedeployment::add(manager, &context);
    machinehealthcheck::add(manager, &context);
    clusterclass::add(manager, &context, versions);
    topology::add(manager, &context, versions);
    extensionconfig::add(manager, &context);
    machinepool::add(manager, &context);
}

/// What the reconcilers share.
struct Context {
    client: Client,
    clock: Clock,
    seed: Seed,
    remote: RemoteInformers,
    externals: Externals,
    probes: Probes,
    /// Applies what MachineSets want of Machines, and makes their objects.
    set_applied: Applied,
    /// Applies labels and annotations of the objects of their Machines.
    set_metadata: Applied,
    /// Applies what MachineDeployments want of MachineSets.
    deployment_applied: Applied,
    extensions: Extensions,
    clusters: Informer<Cluster>,
    machines: Informer<Machine>,
    sets: Informer<MachineSet>,
    deployments: Informer<MachineDeployment>,
    health_checks: Informer<MachineHealthCheck>,
    drain_rules: Informer<MachineDrainRule>,
    pools: Informer<MachinePool>,
    classes: Informer<ClusterClass>,
}

impl Context {
    fn new(
        manager: &Manager,
        remote: &RemoteInformers,
        versions: &ContractVersions,
        seed: Seed,
        extensions: &Extensions,
    ) -> Self {
        let context = Self {
            client: manager.client().clone(),
            clock: manager.clock().clone(),
            seed,
            remote: remote.clone(),
            externals: Externals::new(manager, versions),
            probes: Probes::default(),
            set_applied: Applied::new(manager.client(), SET_MANAGER),
            set_metadata: Applied::new(manager.client(), "capi-machineset-metadata"),
            deployment_applied: Applied::new(manager.client(), "capi-machinedeployment"),
            extensions: extensions.clone(),
            clusters: manager.informer(),
            machines: manager.informer(),
            sets: manager.informer(),
            deployments: manager.informer(),
            health_checks: manager.informer(),
            drain_rules: manager.informer(),
            pools: manager.informer(),
            classes: manager.informer(),
        };
        index::register(&context);
        context
    }

    /// The Cluster that an object names.
    fn cluster(&self, metadata: &ObjectMeta, name: &str) -> Option<Arc<Cluster>> {
        self.clusters.get(metadata.namespace.as_deref().unwrap_or_default(), name)
    }

    /// The class of a Cluster's topology, if both exist.
    fn class_of(&self, cluster: &Cluster) -> Option<Arc<ClusterClass>> {
        let class = cluster.class_key()?;
        self.classes.get(class.0, class.1)
    }

    /// The provider object that a reference names.
    async fn find(
        &self,
        reference: &ContractRef,
        namespace: &str,
    ) -> Result<Option<External>, ReconcileError> {
        self.externals.get(&self.client, reference, namespace).await
    }

    /// Machines of a Cluster, by name.
    fn machines_of(&self, cluster: &ObjectKey) -> Vec<Arc<Machine>> {
        self.machines.by_index(index::CLUSTER, &cluster.to_string())
    }

    /// Whether a workload cluster answers, and since when it did not.
    fn probe(&self, cluster: &ObjectKey) -> probe::Probe {
        let is_connected =
            self.remote.clusters().get(cluster).is_some() && self.remote.is_synced(cluster);
        self.probes.observe(cluster, is_connected, self.clock.now())
    }
}

/// The v1beta1 part of a status, made on first use.
fn v1beta1_status(deprecated: &mut Option<Deprecated>) -> &mut V1Beta1Status {
    deprecated
        .get_or_insert_with(Deprecated::default)
        .v1beta1
        .get_or_insert_with(V1Beta1Status::default)
}

/// Generation that an object will have once its spec is written: the API server counts one up for
/// each write that changes the spec, and the status is written after it.
fn generation_after(metadata: &ObjectMeta, is_spec_changed: bool) -> Option<i64> {
    metadata.generation.map(|generation| generation + i64::from(is_spec_changed))
}

/// How long an object that is new may wait for those it refers to, which often come with it, one
/// by one. Upstream's controllers look at an object at most once a second, and twice before they
/// report: the same order of applying must not show what theirs does not. (CAPI v1.14:
/// util/controller/controller.go, feature gate ReconcilerRateLimiting)
const SETTLING: Duration = Duration::from_secs(2);

/// Time left until a missing reference of an object is worth telling; `None` once it is.
fn settling(metadata: &ObjectMeta, now: Timestamp) -> Option<Duration> {
    let created = metadata.creation_timestamp.as_ref()?.0;
    let age = Duration::try_from(now.duration_since(created)).unwrap_or_default();
    SETTLING.checked_sub(age).filter(|left| !left.is_zero())
}

/// The outcome that asks for the earlier look.
fn soonest(a: Outcome, b: Outcome) -> Outcome {
    match (a, b) {
        (Outcome::RequeueAfter(a), Outcome::RequeueAfter(b)) => Outcome::RequeueAfter(a.min(b)),
        (Outcome::Done, other) | (other, Outcome::Done) => other,
    }
}

/// Adds a finalizer if it is missing; an object that is being deleted gets none any more.
fn ensure_finalizer(metadata: &mut ObjectMeta, finalizer: &str) {
    if metadata.deletion_timestamp.is_some() {
        return;
    }
    let held = metadata.finalizers.get_or_insert_with(Vec::new);
    if !held.iter().any(|present| present == finalizer) {
        held.push(finalizer.to_owned());
    }
}

/// Removes a finalizer.
fn remove_finalizer(metadata: &mut ObjectMeta, finalizer: &str) {
    if let Some(held) = &mut metadata.finalizers {
        held.retain(|present| present != finalizer);
    }
}

/// Sets a label.
fn set_label(metadata: &mut ObjectMeta, label: &str, value: &str) {
    metadata.labels.get_or_insert_with(Default::default).insert(label.to_owned(), value.to_owned());
}

/// Adds the plain owner reference to a Cluster.
fn own_by_cluster(metadata: &mut ObjectMeta, cluster: &Cluster) {
    crate::contract::owners::ensure(metadata, crate::contract::owners::owner_of(cluster));
}

#[cfg(test)]
mod extension_tests;

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn an_object_settles_two_seconds_after_its_creation() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        let metadata =
            ObjectMeta { creation_timestamp: Some(Time(at(10_000))), ..ObjectMeta::default() };
        assert_eq!(settling(&metadata, at(10_500)), Some(Duration::from_millis(1_500)));
        assert_eq!(settling(&metadata, at(12_000)), None);
        assert_eq!(settling(&metadata, at(99_000)), None);
    }
}
