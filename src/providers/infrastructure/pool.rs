//! Reconciles the infrastructure of MachinePools: every replica is a DevMachine, for which core
//! makes a Machine.
//! (CAPI v1.14: devmachinepool_controller.go, backends/docker/dockermachinepool_backend.go)
//!
//! Upstream simulates pools with containers only. Here a replica is its DevMachine and nothing
//! else; the rules of scaling and rolling out are upstream's.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pool_plan::{self, Replica};
use super::watches::label;
use crate::api::core::{Cluster, Machine};
use crate::api::infrastructure::DevMachine;
use crate::api::pools::{DevMachinePool, MachinePool};
use crate::client::{Client, ObjectKey, Propagation};
use crate::clock::{Clock, Seed};
use crate::contract::conditions::merge::{Reasons, Summary};
use crate::contract::conditions::{self, New, v1beta1};
use crate::contract::names::label_value;
use crate::contract::{labels, owners, paused};
use crate::runtime::{
    Change, Controller, Informer, Manager, Outcome, ReconcileError, Reconciler, patch_object,
};

const FINALIZER: &str = "dockermachinepool.infrastructure.cluster.x-k8s.io";
const REPLICAS_READY: &str = "ReplicasReady";
const GROUP: &str = "infrastructure.cluster.x-k8s.io";

/// Annotation of a pool's DevMachines: the Kubernetes version that they were made for.
pub(super) const VERSION: &str = "capim.dev/pool-version";
/// Annotation of a pool's DevMachines: the failure domain that they were put into.
pub(super) const FAILURE_DOMAIN: &str = "capim.dev/pool-failure-domain";

/// Index of DevMachines by `namespace/cluster/pool`.
const BY_POOL: &str = "infrastructure-pool";
/// Index of DevMachinePools by `namespace/cluster`.
const BY_CLUSTER: &str = "infrastructure-pool-cluster";

struct PoolReconciler {
    client: Client,
    clock: Clock,
    seed: Seed,
    own: Informer<DevMachinePool>,
    pools: Informer<MachinePool>,
    clusters: Informer<Cluster>,
    machines: Informer<Machine>,
    replicas: Informer<DevMachine>,
}

/// Adds the controller of `DevMachinePool`.
pub(super) fn add(manager: &Manager, seed: Seed) {
    let own = manager.informer::<DevMachinePool>();
    own.add_index(BY_CLUSTER, super::watches::cluster_of::<DevMachinePool>);
    let replicas = manager.informer::<DevMachine>();
    replicas.add_index(BY_POOL, |machine| pool_value(&machine.metadata).into_iter().collect());
    let (pools, clusters) = (manager.informer::<MachinePool>(), manager.informer::<Cluster>());
    let machines = manager.informer::<Machine>();
    let reconciler = PoolReconciler {
        client: manager.client().with_field_manager("devmachinepool-controller"),
        clock: manager.clock().clone(),
        seed,
        own: own.clone(),
        pools: pools.clone(),
        clusters: clusters.clone(),
        machines: machines.clone(),
        replicas: replicas.clone(),
    };
    let of_cluster = own.clone();
    let controller = Controller::new("devmachinepool", Arc::new(reconciler))
        .for_kind(&own)
        .watches(&pools, |change: &Change<MachinePool>| {
            let pool = change.object();
            let reference = &pool.spec.template.spec.infrastructure_ref;
            let is_ours = reference.kind == "DevMachinePool" && reference.api_group == GROUP;
            is_ours.then(|| in_namespace(&pool.metadata, &reference.name)).into_iter().collect()
        })
        .watches(&replicas, |change: &Change<DevMachine>| {
            let metadata = &change.object().metadata;
            let owner = owners::owner(metadata, GROUP, "DevMachinePool");
            owner.map(|owner| in_namespace(metadata, &owner.name)).into_iter().collect()
        })
        .watches(&clusters, move |change: &Change<Cluster>| {
            let cluster = change.object();
            let is_relevant = match (&change.old, &change.new) {
                (Some(old), Some(new)) => old.spec.paused != new.spec.paused,
                (None, _) | (_, None) => true,
            };
            if !is_relevant {
                return Vec::new();
            }
            let found = of_cluster.by_index(BY_CLUSTER, &ObjectKey::of(&**cluster).to_string());
            found.iter().map(|pool| ObjectKey::of(&**pool)).collect()
        });
    manager.add(controller);
}

fn in_namespace(metadata: &ObjectMeta, name: &str) -> ObjectKey {
    ObjectKey::new(metadata.namespace.clone().unwrap_or_default(), name)
}

/// Value of [`BY_POOL`] of an object that carries the labels of a pool.
fn pool_value(metadata: &ObjectMeta) -> Option<String> {
    let (cluster, pool) =
        (label(metadata, labels::CLUSTER_NAME)?, label(metadata, labels::POOL_NAME)?);
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    Some(format!("{namespace}/{cluster}/{pool}"))
}

/// What a reconcile works on.
struct Scope {
    pool: Arc<MachinePool>,
    cluster: Arc<Cluster>,
    /// The pool's DevMachines, by name.
    replicas: Vec<Arc<DevMachine>>,
    before: Arc<DevMachinePool>,
    after: DevMachinePool,
}

impl Reconciler for PoolReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let Some(before) = self.own.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let is_deleting = before.metadata.deletion_timestamp.is_some();
        let Some(mut scope) = self.scope(&before) else {
            // Without a MachinePool there is nothing to delete either.
            if is_deleting {
                let mut after = DevMachinePool::clone(&before);
                remove_finalizer(&mut after);
                patch_object(&self.client, &*before, &after).await?;
            }
            return Ok(Outcome::Done);
        };
        if paused::is_paused(Some(&scope.cluster), &before.metadata) {
            return Ok(Outcome::Done);
        }
        let result = if is_deleting {
            self.reconcile_delete(&mut scope).await
        } else {
            self.reconcile_normal(&mut scope).await
        };
        self.summarise(&mut scope);
        patch_object(&self.client, &*scope.before, &scope.after).await?;
        result.map(|()| Outcome::Done)
    }
}

impl PoolReconciler {
    /// Everything that is read; the owner's and the Cluster's appearance wake the pool.
    fn scope(&self, before: &Arc<DevMachinePool>) -> Option<Scope> {
        let namespace = before.metadata.namespace.as_deref().unwrap_or_default();
        let owner = owners::owner(&before.metadata, "cluster.x-k8s.io", "MachinePool")?;
        let pool = self.pools.get(namespace, &owner.name)?;
        let cluster = self.clusters.get(namespace, &pool.spec.cluster_name)?;
        let value = format!("{namespace}/{}/{}", pool.spec.cluster_name, label_value(&owner.name));
        Some(Scope {
            replicas: self.replicas.by_index(BY_POOL, &value),
            pool,
            cluster,
            before: before.clone(),
            after: DevMachinePool::clone(before),
        })
    }

    async fn reconcile_normal(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        add_finalizer(&mut scope.after);
        let status = scope.after.status.get_or_insert_default();
        "DevMachine".clone_into(&mut status.infrastructure_machine_kind);
        if let Some(message) = unsupported(&scope.before) {
            self.set(scope, New::no(REPLICAS_READY, "DockerBackendNotSupported", message));
            return Ok(());
        }
        if scope.pool.spec.template.spec.bootstrap.data_secret_name.is_none() {
            // The bootstrap data come with the MachinePool.
            return Ok(());
        }
        for replica in &scope.replicas {
            self.keep_owned(scope, replica).await?;
        }
        let wanted = usize::try_from(scope.pool.spec.replicas.unwrap_or(1)).unwrap_or(0);
        let version = &scope.pool.spec.template.spec.version;
        let replicas: Vec<Replica> =
            scope.replicas.iter().map(|replica| self.replica(replica)).collect();
        let plan = pool_plan::plan(&replicas, wanted, version);
        for _ in 0..plan.create {
            let machine = self.new_replica(scope);
            self.client.create(&machine).await?;
            scope.replicas.push(Arc::new(machine));
        }
        for name in plan.delete {
            self.delete_replica(scope, &name).await?;
        }
        self.report(scope, wanted);
        Ok(())
    }

    /// A DevMachine as the plan sees it.
    fn replica(&self, machine: &Arc<DevMachine>) -> Replica {
        let status = machine.status.as_ref();
        let done = status.and_then(|status| status.initialization.as_ref());
        let old = status.and_then(|status| status.deprecated.as_ref());
        let old = old.and_then(|old| old.v1beta1.as_ref()).map_or(&[][..], |old| &old.conditions);
        let owner = self.owner(machine);
        let has = |metadata: &ObjectMeta| labels::has_annotation(metadata, labels::DELETE_MACHINE);
        Replica {
            name: machine.metadata.name.clone().unwrap_or_default(),
            version: annotation(&machine.metadata, VERSION).unwrap_or_default().to_owned(),
            is_ready: done.is_some_and(|done| done.provisioned == Some(true))
                || v1beta1::is_true(old, "Ready"),
            is_deleting: machine.metadata.deletion_timestamp.is_some()
                || owner.as_ref().is_some_and(|it| it.metadata.deletion_timestamp.is_some()),
            goes_first: has(&machine.metadata) || owner.is_some_and(|it| has(&it.metadata)),
        }
    }

    /// The Machine that shows a DevMachine.
    fn owner(&self, machine: &DevMachine) -> Option<Arc<Machine>> {
        let owner = owners::owner(&machine.metadata, "cluster.x-k8s.io", "Machine")?;
        let namespace = machine.metadata.namespace.as_deref().unwrap_or_default();
        self.machines.get(namespace, &owner.name)
    }

    fn new_replica(&self, scope: &Scope) -> DevMachine {
        let metadata = &scope.before.metadata;
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let parts =
            [namespace.as_str(), "DevMachinePool", &text(&metadata.name)].map(str::to_owned);
        let (name, random) = self.free_name(&namespace, &parts, scope);
        let mut machine = DevMachine::default();
        machine.metadata.name = Some(name);
        machine.metadata.namespace = Some(namespace);
        machine.metadata.owner_references = Some(vec![owners::owner_of(&*scope.before)]);
        machine.metadata.labels = Some(pool_labels(scope));
        let version = scope.pool.spec.template.spec.version.clone();
        let mut annotations = vec![(VERSION.to_owned(), version)];
        let domains = &scope.pool.spec.failure_domains;
        if !domains.is_empty() {
            let domain = domains[random as usize % domains.len()].clone();
            annotations.push((FAILURE_DOMAIN.to_owned(), domain));
        }
        machine.metadata.annotations = Some(annotations.into_iter().collect());
        let behaviour = scope.before.spec.backend.in_memory.clone();
        machine.spec.backend.in_memory = Some(behaviour.unwrap_or_default());
        machine
    }

    /// A name that no DevMachine has, the same in every run with the same seed. Neither has a Machine
    /// that still is to go with the DevMachine that it had.
    fn free_name(&self, namespace: &str, parts: &[String; 3], scope: &Scope) -> (String, u64) {
        let uid = scope.before.metadata.uid.clone().unwrap_or_default();
        let mut attempt = scope.replicas.len();
        loop {
            let stage = attempt.to_string();
            let random = self.seed.number(&[&parts[0], &parts[1], &parts[2], &uid, &stage]);
            let name = pool_plan::name(random);
            let is_new = scope.replicas.iter().all(|it| it.metadata.name.as_ref() != Some(&name));
            let is_free = self.replicas.get(namespace, &name).is_none()
                && self.machines.get(namespace, &name).is_none();
            if is_new && is_free {
                return (name, random);
            }
            attempt += 1;
        }
    }

    /// Labels and owner of a replica come back when somebody took them.
    async fn keep_owned(
        &self,
        scope: &Scope,
        replica: &Arc<DevMachine>,
    ) -> Result<(), ReconcileError> {
        let mut machine = DevMachine::clone(replica);
        let owner = owners::owner_of(&*scope.before);
        if !owners::has(&machine.metadata, &owner) {
            owners::ensure(&mut machine.metadata, owner);
        }
        machine.metadata.labels.get_or_insert_default().extend(pool_labels(scope));
        patch_object(&self.client, &**replica, &machine).await?;
        Ok(())
    }

    /// Deletes a replica by its Machine, so that the Node is drained. A replica that has none yet
    /// is left until it has, unless the pool goes: then nobody makes one any more.
    async fn delete_replica(&self, scope: &Scope, name: &str) -> Result<(), ReconcileError> {
        let found =
            scope.replicas.iter().find(|it| it.metadata.name.as_deref() == Some(name)).cloned();
        let Some(replica) = found else { return Ok(()) };
        if let Some(machine) = self.owner(&replica) {
            if machine.metadata.deletion_timestamp.is_none() {
                let key = ObjectKey::of(&*machine);
                self.client.delete::<Machine>(&key, Propagation::Default).await?;
            }
        } else if scope.before.metadata.deletion_timestamp.is_some() {
            let key = ObjectKey::of(&*replica);
            self.client.delete::<DevMachine>(&key, Propagation::Default).await?;
        }
        Ok(())
    }

    async fn reconcile_delete(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        if scope.replicas.is_empty() {
            remove_finalizer(&mut scope.after);
            return Ok(());
        }
        let staying = scope.replicas.iter().filter(|it| it.metadata.deletion_timestamp.is_none());
        let names: Vec<String> = staying.filter_map(|it| it.metadata.name.clone()).collect();
        for name in names {
            self.delete_replica(scope, &name).await?;
        }
        Ok(())
    }

    /// Provider ids and replicas. What was ready once stays so, as upstream has it.
    fn report(&self, scope: &mut Scope, wanted: usize) {
        let mut ids: Vec<String> =
            scope.replicas.iter().map(|replica| replica.spec.provider_id.clone()).collect();
        ids.retain(|id| !id.is_empty());
        ids.sort_unstable();
        let is_complete = ids.len() == wanted && scope.replicas.len() == wanted;
        let replicas = i32::try_from(scope.replicas.len()).unwrap_or(i32::MAX);
        scope.after.spec.provider_id_list = ids;
        if scope.after.spec.provider_id.is_empty() {
            let name = scope.before.metadata.name.as_deref().unwrap_or_default();
            let cluster = scope.cluster.metadata.name.as_deref().unwrap_or_default();
            scope.after.spec.provider_id = format!("dev:////{cluster}-dmp-{name}");
        }
        let status = scope.after.status.get_or_insert_default();
        status.replicas = Some(replicas);
        status.ready = Some(status.ready == Some(true) || is_complete);
        if is_complete {
            self.set(scope, New::yes(REPLICAS_READY, "Ready"));
        }
    }

    fn set(&self, scope: &mut Scope, new: New) {
        let is_spec_changed = scope.after.spec != scope.before.spec;
        let generation =
            scope.before.metadata.generation.map(|number| number + i64::from(is_spec_changed));
        let now = self.clock.now();
        let status = scope.after.status.get_or_insert_default();
        conditions::set(&mut status.conditions, new, generation, now);
    }

    fn summarise(&self, scope: &mut Scope) {
        let reasons = Reasons { issue: "NotReady", unknown: "ReadyUnknown", info: "Ready" };
        let summary = Summary { types: &[REPLICAS_READY], reasons, ..Summary::default() };
        let status = scope.after.status.get_or_insert_default();
        let ready = summary.of(&status.conditions).named("Ready");
        self.set(scope, ready);
    }
}

fn pool_labels(scope: &Scope) -> std::collections::BTreeMap<String, String> {
    let name = scope.pool.metadata.name.as_deref().unwrap_or_default();
    [
        (labels::CLUSTER_NAME.to_owned(), scope.pool.spec.cluster_name.clone()),
        (labels::POOL_NAME.to_owned(), label_value(name)),
    ]
    .into()
}

/// Value of an annotation.
pub(super) fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// Why a pool cannot be simulated, if it cannot.
fn unsupported(pool: &DevMachinePool) -> Option<&'static str> {
    let backend = &pool.spec.backend;
    (backend.docker.is_some() && backend.in_memory.is_none()).then_some(
        "spec.backend.docker is set, but capim simulates machines in memory only; \
         use spec.backend.inMemory",
    )
}

fn add_finalizer(pool: &mut DevMachinePool) {
    let finalizers = pool.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
}

fn remove_finalizer(pool: &mut DevMachinePool) {
    if let Some(finalizers) = &mut pool.metadata.finalizers {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
}
