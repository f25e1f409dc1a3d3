//! Reconciles MachineSets. (CAPI v1.14: core/reconcilers/machineset)

mod create;
mod in_place;
mod machines;
mod preflight;
mod remediation;
mod scale;
mod scope;
mod status;

use std::sync::Arc;
use std::time::Duration;

use super::{Context, GROUP, index};
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet};
use crate::client::ObjectKey;
use crate::contract::object::ContractObject;
use crate::contract::{conditions, labels, owners, paused, selector};
use crate::runtime::{
    Change, Controller, EventRecorder, Informer, Manager, Outcome, ReconcileError, Reconciler,
    patch_object,
};

use scope::Scope;

/// How long a MachineSet waits before it looks at what only the v1beta1 conditions of a Machine
/// say. They pass through states within moments that upstream's MachineSets, which look at most
/// once a second, never see.
const OLDER_NEWS_DELAY: Duration = Duration::from_secs(1);

/// Adds the MachineSet controller with its watches.
pub(super) fn add(manager: &Manager, context: &Arc<Context>) {
    let reconciler = Arc::new(MachineSetReconciler {
        context: context.clone(),
        recorder: manager.recorder("machineset-controller"),
    });
    let (of_machine, of_machine_later) = (context.sets.clone(), context.sets.clone());
    let of_cluster = context.sets.clone();
    let of_deployment = context.sets.clone();
    let controller = Controller::new("machineset", reconciler)
        .for_kind(&context.sets)
        .watches(&context.machines, move |change| {
            if super::owned::is_older_change(change) {
                return Vec::new();
            }
            machine_to_sets(&of_machine, change)
        })
        .watches_after(OLDER_NEWS_DELAY, &context.machines, &context.clock, move |change| {
            if !super::owned::is_older_change(change) {
                return Vec::new();
            }
            machine_to_sets(&of_machine_later, change)
        })
        .watches(&context.clusters, move |change| cluster_to_sets(&of_cluster, change))
        .watches(&context.deployments, move |change: &Change<MachineDeployment>| {
            let deployment = ObjectKey::of(&**change.object()).to_string();
            keys(&of_deployment.by_index(index::DEPLOYMENT, &deployment))
        });
    let clusters = context.clusters.clone();
    let sets = context.sets.clone();
    let controller = context.externals.watch(controller, move |object, change| {
        external_to_sets(&clusters, &sets, object, change)
    });
    manager.add(controller);
}

fn keys(sets: &[Arc<MachineSet>]) -> Vec<ObjectKey> {
    sets.iter().map(|set| ObjectKey::of(&**set)).collect()
}

/// The controlling MachineSet of a Machine, or those that may adopt it.
fn machine_to_sets(sets: &Informer<MachineSet>, change: &Change<Machine>) -> Vec<ObjectKey> {
    if !super::owned::is_shown_change(change) {
        return Vec::new();
    }
    let mut found = sets_of(sets, change.object());
    if let Some(old) = change.old.as_ref().filter(|_| change.new.is_some()) {
        // A Machine that was handed over is missed by the set that it came from.
        let before = sets_of(sets, old);
        found.extend(before.into_iter().filter(|set| !found.contains(set)).collect::<Vec<_>>());
    }
    found
}

fn sets_of(sets: &Informer<MachineSet>, machine: &Machine) -> Vec<ObjectKey> {
    let namespace = machine.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(owner) = owners::controlling(&machine.metadata) {
        return match owners::controller(&machine.metadata, GROUP, "MachineSet") {
            Some(_) => vec![ObjectKey::new(namespace, owner.name.as_str())],
            None => Vec::new(),
        };
    }
    let cluster = index::of_cluster(&machine.metadata, &machine.spec.cluster_name);
    let candidates = sets.by_index(index::CLUSTER, &cluster);
    candidates
        .iter()
        .filter(|set| selector::matches(&set.spec.selector, machine.metadata.labels.as_ref()))
        .map(|set| ObjectKey::of(&**set))
        .collect()
}

fn cluster_to_sets(sets: &Informer<MachineSet>, change: &Change<Cluster>) -> Vec<ObjectKey> {
    let looked_at = |cluster: &Cluster| {
        let initialized = cluster.status.as_ref().is_some_and(|status| {
            conditions::is_true(&status.conditions, "ControlPlaneInitialized")
        });
        let spec = &cluster.spec;
        // Preflight checks ask which version a topology goes to, and by which step.
        let version = (spec.topology.version.clone(), cluster.metadata.annotations.clone());
        (spec.paused, spec.control_plane_ref.clone(), initialized, version)
    };
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && looked_at(old) == looked_at(new)
    {
        return Vec::new();
    }
    let cluster = ObjectKey::of(&**change.object()).to_string();
    keys(&sets.by_index(index::CLUSTER, &cluster))
}

/// MachineSets whose template appeared, went or changed owners, or whose control plane changed
/// version.
fn external_to_sets(
    clusters: &Informer<Cluster>,
    sets: &Informer<MachineSet>,
    object: &str,
    change: &Change<ContractObject>,
) -> Vec<ObjectKey> {
    let versions = |object: &ContractObject| {
        let status = &object.status;
        (object.spec.version.clone(), status.version.clone(), status.versions.clone())
    };
    let (is_template_news, is_other_version) = match (&change.old, &change.new) {
        (Some(old), Some(new)) => {
            let shown = |object: &ContractObject| {
                let metadata = &object.metadata;
                // An annotation of a template says which preflight checks are left out.
                let is_template = object.kind.ends_with("Template");
                let annotations = metadata.annotations.clone().filter(|_| is_template);
                (metadata.owner_references.clone(), annotations)
            };
            (shown(old) != shown(new), versions(old) != versions(new))
        }
        (None, _) | (_, None) => (true, true),
    };
    let mut found = Vec::new();
    if is_template_news {
        found.extend(keys(&sets.by_index(index::EXTERNAL, object)));
    }
    if is_other_version {
        for cluster in clusters.by_index(index::EXTERNAL, object) {
            let cluster = ObjectKey::of(&*cluster).to_string();
            found.extend(keys(&sets.by_index(index::CLUSTER, &cluster)));
        }
    }
    found
}

struct MachineSetReconciler {
    context: Arc<Context>,
    recorder: EventRecorder,
}

impl Reconciler for MachineSetReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.context;
        let Some(before) = context.sets.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let Some(cluster) = context.cluster(&before.metadata, &before.spec.cluster_name) else {
            // The Cluster's appearance wakes its MachineSets.
            return Ok(Outcome::Done);
        };
        let mut scope = Scope::read(context, &before, cluster);
        super::ensure_finalizer(&mut scope.set.metadata, labels::MACHINE_SET_FINALIZER);
        let now = context.clock.now();
        let outcome = if paused::is_paused(Some(&scope.cluster), &before.metadata) {
            status::set_paused(&mut scope, now);
            Ok(Outcome::Done)
        } else {
            let outcome = self.phases(&mut scope).await;
            status::compute(&mut scope, &before, outcome.is_ok(), now);
            let machines = scope.machines().iter().map(|it| &**it);
            outcome.map(|()| super::owned::next_change(machines, now))
        };
        patch_object(&context.client, &*before, &scope.set).await?;
        outcome
    }
}

impl MachineSetReconciler {
    /// All phases run even if one fails, so that a missing template does not stop the rest.
    async fn phases(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        if let Some(name) = scope.lost_deployment() {
            // Its appearance wakes the MachineSet.
            return Err(ReconcileError::Other(format!(
                "failed to retrieve owner MachineDeployment for MachineSet {}: \
                 machinedeployments.{GROUP} {name:?} not found",
                scope.key
            )));
        }
        adopt(scope);
        let templates = self.own_templates(scope).await;
        self.adopt_machines(scope).await;
        if scope.is_deleting() {
            return templates.and(self.reconcile_delete(scope).await);
        }
        let remediated = self.remediate(scope).await;
        let updated = self.update_machines(scope).await;
        let started = match &updated {
            Ok(()) => self.start_updates(scope).await,
            Err(_) => Ok(()),
        };
        let scaled = self.reconcile_replicas(scope).await;
        templates.and(remediated).and(updated).and(started).and(scaled)
    }
}

/// Stand-alone MachineSets belong to their Cluster; selector and template name the Cluster.
fn adopt(scope: &mut Scope) {
    let name = scope.set.spec.cluster_name.clone();
    let metadata = &mut scope.set.metadata;
    super::set_label(metadata, labels::CLUSTER_NAME, &name);
    let has_owner = owners::owner(metadata, GROUP, "MachineDeployment").is_some()
        || owners::owner(metadata, GROUP, "Cluster").is_some();
    let is_of_deployment =
        metadata.labels.iter().flatten().any(|(label, _)| label == labels::DEPLOYMENT_NAME);
    if !has_owner && !is_of_deployment {
        super::own_by_cluster(metadata, &scope.cluster);
    }
    let spec = &mut scope.set.spec;
    let label = labels::CLUSTER_NAME.to_owned();
    spec.selector
        .match_labels
        .get_or_insert_with(Default::default)
        .insert(label.clone(), name.clone());
    spec.template.metadata.labels.insert(label, name);
}
