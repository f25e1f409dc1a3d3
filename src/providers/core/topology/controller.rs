//! When topologies are reconciled, and with what in hand.
//! (CAPI v1.14: core/reconcilers/topology/cluster/cluster_controller.go)

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use parking_lot::Mutex;

use super::super::{Context, index, settling};
use super::blueprint::{Blueprint, template_refs};
use super::engine::{Engine, Inputs, Parts, Pass, is_owned};
use super::events::Events;
use super::hooks::Hooks;
use super::kinds::core_resource;
use super::scope::WorkerMachines;
use super::templates;
use crate::api::conditions::Condition;
use crate::api::core::{
    Cluster, ClusterSpec, ContractRef, Machine, MachineDeployment, StatusVersion,
};
use crate::api::pools::MachinePool;
use crate::api::runtime::ExtensionConfig;
use crate::api::topology::{ClusterClass, TemplateRef};
use crate::client::ObjectKey;
use crate::contract::conditions;
use crate::contract::object::ContractObject;
use crate::contract::versions::ContractVersions;
use crate::machinery::gvk::split_api_version;
use crate::runtime::{
    Change, Controller, Informer, Manager, Outcome, Patched, ReconcileError, Reconciler,
    patch_object,
};

/// Clusters by `namespace/class`.
const CLASS: &str = "topology/class";
/// Objects of topologies by `namespace/cluster` of the Cluster that owns them.
const OWNER: &str = "topology/owner";
/// Classes by the templates that they name.
pub(in super::super) const TEMPLATE: &str = "topology/template";

/// Adds the controllers of managed topologies.
pub(in super::super) fn add(
    manager: &Manager,
    context: &Arc<Context>,
    versions: &ContractVersions,
) {
    let classes = manager.informer::<ClusterClass>();
    context.clusters.add_index(CLASS, |cluster: &Cluster| {
        let class = cluster.class_key();
        class.map(|(namespace, name)| format!("{namespace}/{name}")).into_iter().collect()
    });
    classes.add_index(TEMPLATE, class_templates);
    let health_checks =
        manager.dynamic_informer::<ContractObject>(&core_resource("MachineHealthCheck"));
    health_checks.add_index(OWNER, owning_cluster);
    context.externals.add_index(OWNER, owning_cluster);
    let engine = Engine::new(Parts {
        client: manager.client(),
        versions,
        metrics: manager.metrics(),
        events: Events(Some(manager.recorder("topology/cluster-controller"))),
        hooks: Hooks::new(manager.client(), Some(context.extensions.clone())),
        seed: context.seed,
    });
    let reconciler = Arc::new(TopologyReconciler {
        context: context.clone(),
        classes: classes.clone(),
        health_checks: health_checks.clone(),
        engine,
        settled: Mutex::default(),
        blueprints: Mutex::default(),
    });
    let of_class = context.clusters.clone();
    let of_extension = (context.clusters.clone(), classes.clone());
    let of_external = (context.clusters.clone(), classes.clone());
    let mut controller = Controller::new("topology/cluster", reconciler)
        .watches(&context.clusters, cluster_to_itself)
        .watches(&classes, move |change| {
            keys(&of_class.by_index(CLASS, &ObjectKey::of(&**change.object()).to_string()))
        })
        .watches(&manager.informer::<ExtensionConfig>(), move |change| {
            extension_to_clusters(&of_extension.0, &of_extension.1, change)
        })
        .watches(&context.deployments, deployment_to_cluster)
        .watches(&context.pools, pool_to_cluster)
        .watches(&context.machines, machine_to_cluster)
        .watches(&health_checks, |change: &Change<ContractObject>| {
            if is_external_change(change) { owners_of(change.object()) } else { Vec::new() }
        });
    controller = context.externals.watch(controller, move |object, change| {
        external_to_clusters(&of_external.0, &of_external.1, object, change)
    });
    manager.add(controller);
    templates::add(manager, context);
}

/// Index values of the templates that a class names.
fn class_templates(class: &ClusterClass) -> Vec<String> {
    let namespace = class.metadata.namespace.as_deref().unwrap_or_default();
    let all = template_refs(class).into_iter().map(|reference| {
        let (group, _) = split_api_version(&reference.api_version);
        index::external(namespace, group, &reference.kind, &reference.name)
    });
    all.collect()
}

fn keys(clusters: &[Arc<Cluster>]) -> Vec<ObjectKey> {
    clusters.iter().map(|cluster| ObjectKey::of(&**cluster)).collect()
}

/// What a topology depends on of its Cluster.
#[derive(Clone, Debug, PartialEq)]
struct ClusterFacts {
    spec: ClusterSpec,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    is_deleting: bool,
    is_initialized: bool,
    reconciled: Option<Condition>,
}

impl ClusterFacts {
    fn of(cluster: &Cluster) -> Self {
        let conditions = cluster.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let metadata = &cluster.metadata;
        Self {
            spec: cluster.spec.clone(),
            labels: metadata.labels.clone(),
            annotations: metadata.annotations.clone(),
            is_deleting: metadata.deletion_timestamp.is_some(),
            is_initialized: conditions::is_true(conditions, "ControlPlaneInitialized"),
            reconciled: conditions::get(conditions, "TopologyReconciled").cloned(),
        }
    }
}

fn is_cluster_change(change: &Change<Cluster>) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    let state = |cluster: &Cluster| {
        let held = cluster.status.as_ref().map_or(&[][..], |status| &status.conditions);
        (
            cluster.metadata.deletion_timestamp.is_some(),
            conditions::is_true(held, "ControlPlaneInitialized"),
            conditions::get(held, "TopologyReconciled").cloned(),
        )
    };
    old.spec != new.spec
        || old.metadata.labels != new.metadata.labels
        || old.metadata.annotations != new.metadata.annotations
        || state(old) != state(new)
}

fn cluster_to_itself(change: &Change<Cluster>) -> Vec<ObjectKey> {
    let cluster = change.object();
    if !cluster.spec.topology.is_defined() || !is_cluster_change(change) {
        return Vec::new();
    }
    vec![ObjectKey::of(&**cluster)]
}

fn deployment_to_cluster(change: &Change<MachineDeployment>) -> Vec<ObjectKey> {
    let deployment = change.object();
    if !is_owned(&deployment.metadata) {
        return Vec::new();
    }
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && old.spec == new.spec
        && owned_metadata(&old.metadata) == owned_metadata(&new.metadata)
    {
        return Vec::new();
    }
    vec![index::cluster_key(&deployment.metadata, &deployment.spec.cluster_name)]
}

/// What others may change about a MachinePool that is the topology's, and the versions that it
/// reports.
fn pool_to_cluster(change: &Change<MachinePool>) -> Vec<ObjectKey> {
    let pool = change.object();
    if !is_owned(&pool.metadata) {
        return Vec::new();
    }
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && old.spec == new.spec
        && owned_metadata(&old.metadata) == owned_metadata(&new.metadata)
        && pool_versions(old) == pool_versions(new)
    {
        return Vec::new();
    }
    vec![index::cluster_key(&pool.metadata, &pool.spec.cluster_name)]
}

fn pool_versions(pool: &MachinePool) -> &[StatusVersion] {
    pool.status.as_ref().map_or(&[], |status| &status.versions)
}

type Texts = Option<BTreeMap<String, String>>;

/// Metadata about which the topology has an opinion, and whether the object is going.
fn owned_metadata(held: &ObjectMeta) -> (&Texts, &Texts, &Option<Vec<OwnerReference>>, bool) {
    let is_deleting = held.deletion_timestamp.is_some();
    (&held.labels, &held.annotations, &held.owner_references, is_deleting)
}

/// An upgrade goes on when a Machine comes, goes, or runs another version.
fn machine_to_cluster(change: &Change<Machine>) -> Vec<ObjectKey> {
    let machine = change.object();
    if !is_owned(&machine.metadata) {
        return Vec::new();
    }
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && machine_versions(old) == machine_versions(new)
    {
        return Vec::new();
    }
    vec![index::cluster_key(&machine.metadata, &machine.spec.cluster_name)]
}

/// Version of a Machine and of its kubelet.
fn machine_versions(machine: &Machine) -> (&str, &str) {
    let info = machine.status.as_ref().and_then(|status| status.node_info.as_ref());
    let kubelet = info.and_then(|info| info["kubeletVersion"].as_str());
    (&machine.spec.version, kubelet.unwrap_or_default())
}

/// What a topology depends on of an object of a provider.
fn is_external_change(change: &Change<ContractObject>) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    let facts = |object: &ContractObject| {
        let (held, status) = (&object.metadata, &object.status);
        (
            (held.generation, held.labels.clone(), held.annotations.clone()),
            (held.owner_references.clone(), held.deletion_timestamp.is_some()),
            (status.version.clone(), status.versions.clone()),
        )
    };
    facts(old) != facts(new)
}

/// Clusters that own an object of a topology.
fn owners_of(object: &ContractObject) -> Vec<ObjectKey> {
    let held = &object.metadata;
    if !is_owned(held) {
        return Vec::new();
    }
    let namespace = held.namespace.as_deref().unwrap_or_default();
    let owners = held.owner_references.iter().flatten();
    let owners = owners.filter(|owner| owner.kind == "Cluster");
    owners.map(|owner| ObjectKey::new(namespace, owner.name.as_str())).collect()
}

/// Index values of the Clusters that own an object of a topology.
fn owning_cluster(object: &ContractObject) -> Vec<String> {
    owners_of(object).iter().map(ToString::to_string).collect()
}

/// Clusters that refer to an object or own it, and those whose class names it.
fn external_to_clusters(
    clusters: &Informer<Cluster>,
    classes: &Informer<ClusterClass>,
    object: &str,
    change: &Change<ContractObject>,
) -> Vec<ObjectKey> {
    if !is_external_change(change) {
        return Vec::new();
    }
    if is_owned(&change.object().metadata) {
        let mut found = owners_of(change.object());
        found.extend(keys(&clusters.by_index(index::EXTERNAL, object)));
        found.sort();
        found.dedup();
        return found;
    }
    let classes = classes.by_index(TEMPLATE, object);
    let of_class = |class: &Arc<ClusterClass>| {
        keys(&clusters.by_index(CLASS, &ObjectKey::of(&**class).to_string()))
    };
    classes.iter().flat_map(of_class).collect()
}

struct TopologyReconciler {
    context: Arc<Context>,
    classes: Informer<ClusterClass>,
    health_checks: Informer<ContractObject>,
    engine: Engine,
    /// What the last pass of a Cluster saw that left nothing to do: while all of it is the same, so
    /// is the outcome. By key; written after each pass, forgotten with the Cluster.
    settled: Mutex<HashMap<ObjectKey, Seen>>,
    /// Blueprints of classes, with the resource versions that they were made of. Written and read
    /// by every reconcile; an outdated one is replaced.
    blueprints: Mutex<HashMap<ObjectKey, MadeOf>>,
}

/// A blueprint after the resource versions that it was made of.
type MadeOf = (Vec<String>, Arc<Blueprint>);

/// When a Cluster is looked at again in which extensions have a say. (CAPI v1.14: sync period)
const RESYNC: Duration = Duration::from_secs(10 * 60);

/// Blueprints that are kept; when there are more classes, all are read anew.
const BLUEPRINTS_MAX: usize = 1000;

impl Reconciler for TopologyReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.context;
        let Some(before) = context.clusters.get(&key.namespace, &key.name) else {
            self.settled.lock().remove(key);
            return Ok(Outcome::Done);
        };
        if !before.spec.topology.is_defined() {
            return Ok(Outcome::Done);
        }
        let now = context.clock.now();
        let class =
            before.class_key().and_then(|(namespace, name)| self.classes.get(namespace, name));
        if let Some(left) = settling(&before.metadata, now)
            && before.metadata.deletion_timestamp.is_none()
            && !class.as_ref().is_some_and(|class| is_reconciled(class))
        {
            // The class comes with the Cluster; its news wakes the Cluster.
            return Ok(Outcome::RequeueAfter(left));
        }
        let inputs = self.inputs(key, class.clone()).await;
        let seen = self.seen(&before, &inputs);
        if let Some(seen) = &seen
            && self.settled.lock().get(key) == Some(seen)
        {
            return Ok(Outcome::Done);
        }
        let Pass { written, cluster, outcome } = self.engine.run(&before, inputs, now).await;
        let patched = patch_object(&context.client, &written, &cluster).await?;
        let is_settled = patched == Patched::Unchanged
            && written == *before
            && matches!(outcome, Ok(Outcome::Done));
        match seen.filter(|_| is_settled) {
            Some(seen) => self.settled.lock().insert(key.clone(), seen),
            None => self.settled.lock().remove(key),
        };
        match outcome {
            Ok(Outcome::Done) if class.is_some_and(|class| asks_extensions(&class)) => {
                Ok(Outcome::RequeueAfter(RESYNC))
            }
            outcome => outcome,
        }
    }
}

/// Everything that a pass depends on, in the states that it was seen in.
struct Seen {
    cluster: ClusterFacts,
    blueprint: Arc<Blueprint>,
    /// Of the metadata of all objects, and of versions that they report.
    hash: u64,
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.blueprint, &other.blueprint)
            && self.hash == other.hash
            && self.cluster == other.cluster
    }
}

/// Hashes what a topology can change about an object, or others can change about what is its.
fn hash_metadata(metadata: &ObjectMeta, hasher: &mut DefaultHasher) {
    (&metadata.uid, metadata.generation, metadata.deletion_timestamp.is_some()).hash(hasher);
    (&metadata.labels, &metadata.annotations).hash(hasher);
    for owner in metadata.owner_references.iter().flatten() {
        (&owner.uid, owner.controller).hash(hasher);
    }
}

impl TopologyReconciler {
    /// What a pass would depend on; `None` if the copies do not hold it all.
    fn seen(&self, cluster: &Cluster, inputs: &Inputs) -> Option<Seen> {
        let mut hasher = DefaultHasher::new();
        let key = ObjectKey::of(cluster).to_string();
        for object in self.context.externals.by_index(OWNER, &key) {
            hash_metadata(&object.metadata, &mut hasher);
            object.status.version.hash(&mut hasher);
            for shown in &object.status.versions {
                (&shown.version, shown.replicas).hash(&mut hasher);
            }
        }
        for check in self.health_checks.by_index(OWNER, &key) {
            hash_metadata(&check.metadata, &mut hasher);
        }
        for deployment in &inputs.machines.deployments {
            hash_metadata(&deployment.metadata, &mut hasher);
        }
        for pool in &inputs.machines.pools {
            hash_metadata(&pool.metadata, &mut hasher);
            for shown in pool_versions(pool) {
                (&shown.version, shown.replicas).hash(&mut hasher);
            }
        }
        for machine in inputs.machines.machines.iter().filter(|it| is_owned(&it.metadata)) {
            (&machine.metadata.name, machine_versions(machine)).hash(&mut hasher);
        }
        let blueprint = inputs.blueprint.clone()?;
        // What extensions answer is not known before they are asked.
        if asks_extensions(&blueprint.class) {
            return None;
        }
        Some(Seen { cluster: ClusterFacts::of(cluster), blueprint, hash: hasher.finish() })
    }

    async fn inputs(&self, key: &ObjectKey, class: Option<Arc<ClusterClass>>) -> Inputs {
        let context = &self.context;
        let value = key.to_string();
        let mut deployments = context.deployments.by_index(index::CLUSTER, &value);
        deployments.retain(|deployment| is_owned(&deployment.metadata));
        let blueprint = match class.as_ref().filter(|class| is_reconciled(class)) {
            Some(class) => self.blueprint(class).await,
            None => None,
        };
        let mut pools = context.pools.by_index(index::CLUSTER, &value);
        pools.retain(|pool| is_owned(&pool.metadata));
        let sets = context.sets.by_index(index::CLUSTER, &value);
        let machines = context.machines_of(key);
        let machines = WorkerMachines { deployments, pools, sets, machines };
        Inputs { class, blueprint, machines }
    }

    /// The class with its templates, shared by its Clusters; `None` if a template is missing or
    /// cannot be read, which the pass then tells.
    async fn blueprint(&self, class: &Arc<ClusterClass>) -> Option<Arc<Blueprint>> {
        let versions = self.versions(class)?;
        let key = ObjectKey::of(&**class);
        let known = self.blueprints.lock().get(&key).cloned();
        if let Some((held, blueprint)) = known
            && held == versions
        {
            return Some(blueprint);
        }
        let read = Blueprint::read(&self.engine.kinds, class).await;
        let blueprint = Arc::new(read.ok()?);
        let mut all = self.blueprints.lock();
        if all.len() >= BLUEPRINTS_MAX {
            all.clear();
        }
        all.insert(key, (versions, blueprint.clone()));
        Some(blueprint)
    }

    /// Resource versions of a class and its templates, if the copies hold them all.
    fn versions(&self, class: &ClusterClass) -> Option<Vec<String>> {
        let namespace = class.metadata.namespace.as_deref().unwrap_or_default();
        let own = class.metadata.resource_version.clone()?;
        let of_template = |reference: &TemplateRef| {
            let (group, _) = split_api_version(&reference.api_version);
            let reference = ContractRef {
                api_group: group.to_owned(),
                kind: reference.kind.clone(),
                name: reference.name.clone(),
            };
            self.context.externals.version(&reference, namespace)
        };
        let templates: Option<Vec<String>> =
            template_refs(class).into_iter().map(of_template).collect();
        let mut all = templates?;
        all.push(own);
        Some(all)
    }
}

/// Whether runtime extensions have a say in what a class makes.
pub(super) fn asks_extensions(class: &ClusterClass) -> bool {
    let spec = &class.spec;
    spec.patches.iter().any(|patch| patch.external.is_some())
        || !spec.upgrade.external.generate_upgrade_plan_extension.is_empty()
}

/// Clusters of classes in which extensions have a say, once an ExtensionConfig handles something
/// else or in another way.
fn extension_to_clusters(
    clusters: &Informer<Cluster>,
    classes: &Informer<ClusterClass>,
    change: &Change<ExtensionConfig>,
) -> Vec<ObjectKey> {
    let handlers = |config: &ExtensionConfig| {
        let status = config.status.as_ref();
        status.map(|status| status.handlers.clone()).unwrap_or_default()
    };
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && old.metadata.generation == new.metadata.generation
        && handlers(old) == handlers(new)
    {
        return Vec::new();
    }
    let classes = classes.list();
    let of_class = |class: &Arc<ClusterClass>| {
        keys(&clusters.by_index(CLASS, &ObjectKey::of(&**class).to_string()))
    };
    classes.iter().filter(|class| asks_extensions(class)).flat_map(of_class).collect()
}

/// Whether a class has been looked at and its status speaks of its spec.
fn is_reconciled(class: &ClusterClass) -> bool {
    let Some(status) = &class.status else { return false };
    conditions::get(&status.conditions, "VariablesReady").is_some()
        && status.observed_generation == class.metadata.generation
}
