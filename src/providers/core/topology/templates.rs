//! Deletes templates with the last of the MachineDeployments and MachineSets that use them, by
//! finalizers of their own. (CAPI v1.14: core/reconcilers/topology/{machinedeployment,machineset})

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::{Context, GROUP, ensure_finalizer, index, remove_finalizer};
use super::engine::is_owned;
use super::kinds::core_resource;
use super::labels;
use crate::api::core::{Cluster, ContractRef, MachineDeployment, MachineSet, MachineSpec};
use crate::client::{ObjectKey, Propagation};
use crate::contract::{self, owners, paused};
use crate::runtime::{
    Change, Controller, Manager, Outcome, ReconcileError, Reconciler, patch_object,
};

/// Adds both controllers.
pub(super) fn add(manager: &Manager, context: &Arc<Context>) {
    let reconciler = Arc::new(DeploymentTemplates(context.clone()));
    let deployments = context.deployments.clone();
    let controller = Controller::new("topology/machinedeployment", reconciler)
        .watches(&context.deployments, |change: &Change<MachineDeployment>| {
            own_key(change, |object| &object.metadata)
        })
        .watches(&context.clusters, move |change: &Change<Cluster>| {
            let all = unpaused(change).map(|key| deployments.by_index(index::CLUSTER, &key));
            all.into_iter().flatten().map(|object| ObjectKey::of(&*object)).collect()
        });
    manager.add(controller);
    let reconciler = Arc::new(SetTemplates(context.clone()));
    let sets = context.sets.clone();
    let controller = Controller::new("topology/machineset", reconciler)
        .watches(&context.sets, |change: &Change<MachineSet>| {
            own_key(change, |object| &object.metadata)
        })
        .watches(&context.clusters, move |change: &Change<Cluster>| {
            let all = unpaused(change).map(|key| sets.by_index(index::CLUSTER, &key));
            all.into_iter().flatten().map(|object| ObjectKey::of(&*object)).collect()
        });
    manager.add(controller);
}

/// The object itself, if it is a topology's and its metadata changed.
fn own_key<K: kube::Resource>(
    change: &Change<K>,
    metadata: fn(&K) -> &ObjectMeta,
) -> Vec<ObjectKey> {
    let facts = |object: &K| {
        let held = metadata(object);
        (held.finalizers.clone(), held.annotations.clone(), held.deletion_timestamp.is_some())
    };
    let object = change.object();
    if !is_owned(metadata(object)) {
        return Vec::new();
    }
    if let (Some(old), Some(new)) = (&change.old, &change.new)
        && facts(old) == facts(new)
    {
        return Vec::new();
    }
    vec![ObjectKey::of(&**object)]
}

/// The Cluster, if it is no longer paused.
fn unpaused(change: &Change<Cluster>) -> Option<String> {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return None };
    let is_paused = |cluster: &Cluster| paused::is_paused(Some(cluster), &cluster.metadata);
    (is_paused(old) && !is_paused(new)).then(|| ObjectKey::of(&**new).to_string())
}

struct DeploymentTemplates(Arc<Context>);

impl Reconciler for DeploymentTemplates {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.0;
        let Some(before) = context.deployments.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let cluster = context.cluster(&before.metadata, &before.spec.cluster_name);
        let mut after = (*before).clone();
        match step(&before.metadata, cluster.as_deref(), labels::DEPLOYMENT_FINALIZER) {
            Step::Nothing => return Ok(Outcome::Done),
            Step::Add => ensure_finalizer(&mut after.metadata, labels::DEPLOYMENT_FINALIZER),
            Step::Delete => {
                let in_use = in_use(context, None, key).await?;
                delete_unused(context, &in_use, key, &before.spec.template.spec).await?;
                let resource = core_resource("MachineHealthCheck");
                context.client.delete_dynamic(&resource, key, Propagation::Default).await?;
                remove_finalizer(&mut after.metadata, labels::DEPLOYMENT_FINALIZER);
            }
        }
        patch_object(&context.client, &*before, &after).await?;
        Ok(Outcome::Done)
    }
}

struct SetTemplates(Arc<Context>);

impl Reconciler for SetTemplates {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let context = &self.0;
        let Some(before) = context.sets.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let cluster = context.cluster(&before.metadata, &before.spec.cluster_name);
        let mut after = (*before).clone();
        match step(&before.metadata, cluster.as_deref(), labels::SET_FINALIZER) {
            Step::Nothing => return Ok(Outcome::Done),
            Step::Add => ensure_finalizer(&mut after.metadata, labels::SET_FINALIZER),
            Step::Delete => {
                let owner = owners::owner(&before.metadata, GROUP, "MachineDeployment");
                let Some(owner) = owner else {
                    return Err(ReconcileError::Other(format!(
                        "could not calculate MachineDeployment name for MachineSet {key}"
                    )));
                };
                let deployment = ObjectKey::new(key.namespace.as_str(), owner.name.as_str());
                let held = context.client.get::<MachineDeployment>(&deployment).await?;
                let in_use = in_use(context, held.as_ref(), &deployment).await?;
                delete_unused(context, &in_use, key, &before.spec.template.spec).await?;
                remove_finalizer(&mut after.metadata, labels::SET_FINALIZER);
            }
        }
        patch_object(&context.client, &*before, &after).await?;
        Ok(Outcome::Done)
    }
}

/// What is to be done about an object.
enum Step {
    Nothing,
    /// Add the finalizer.
    Add,
    /// Delete its templates, then remove the finalizer.
    Delete,
}

fn step(metadata: &ObjectMeta, cluster: Option<&Cluster>, finalizer: &str) -> Step {
    // News of a Cluster wake all its objects, also those that no topology owns.
    let Some(cluster) = cluster.filter(|_| is_owned(metadata)) else { return Step::Nothing };
    let is_held = metadata.finalizers.iter().flatten().any(|held| held == finalizer);
    let is_deleting = metadata.deletion_timestamp.is_some();
    match (is_held, is_deleting) {
        (false, false) => Step::Add,
        (true, true) if !paused::is_paused(Some(cluster), metadata) => Step::Delete,
        (false | true, false | true) => Step::Nothing,
    }
}

/// Templates that a MachineDeployment and its MachineSets need, unless they are being deleted. The
/// server is asked: a MachineSet that was just made must not lose its templates.
async fn in_use(
    context: &Context,
    deployment: Option<&MachineDeployment>,
    key: &ObjectKey,
) -> Result<BTreeSet<String>, ReconcileError> {
    let selector = format!("{}={}", contract::labels::DEPLOYMENT_NAME, key.name);
    let sets = context.client.list::<MachineSet>(&key.namespace, &selector).await?;
    let sets = sets.iter().filter(|set| set.metadata.deletion_timestamp.is_none());
    let mut all: BTreeSet<String> =
        sets.flat_map(|set| references(&set.spec.template.spec)).map(|it| id(&it)).collect();
    let deployment =
        deployment.filter(|deployment| deployment.metadata.deletion_timestamp.is_none());
    if let Some(deployment) = deployment {
        all.extend(references(&deployment.spec.template.spec).iter().map(id));
    }
    Ok(all)
}

fn references(spec: &MachineSpec) -> Vec<ContractRef> {
    let all = spec.bootstrap.config_ref.iter().chain([&spec.infrastructure_ref]);
    all.filter(|reference| !reference.name.is_empty()).cloned().collect()
}

fn id(reference: &ContractRef) -> String {
    format!("{}/{}/{}", reference.api_group, reference.kind, reference.name)
}

async fn delete_unused(
    context: &Context,
    in_use: &BTreeSet<String>,
    key: &ObjectKey,
    spec: &MachineSpec,
) -> Result<(), ReconcileError> {
    for reference in references(spec).iter().filter(|reference| !in_use.contains(&id(reference))) {
        let kind = context.externals.kind(reference)?;
        let template = ObjectKey::new(key.namespace.as_str(), reference.name.as_str());
        context.client.delete_dynamic(&kind.resource, &template, Propagation::Default).await?;
    }
    Ok(())
}
