//! Applies what ConfigMaps and Secrets hold to the workload clusters of all selected Clusters.
//! (CAPI v1.14: core/reconcilers/clusterresourceset)

mod apply;
mod content;
mod reconcile;
mod record;
mod scope;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::ApiResource;

use crate::api::addons::{ClusterResourceSet, ClusterResourceSetBinding};
use crate::api::core::Cluster;
use crate::client::ObjectKey;
use crate::contract::object::ContractObject;
use crate::runtime::{Change, Controller, Informer, Manager, RemoteInformers};

use reconcile::SetReconciler;

/// Index of sets by `namespace/kind/name` of what they name.
const BY_RESOURCE: &str = "addons/resource";

/// Adds the controller. Of ConfigMaps and Secrets it keeps metadata alone.
pub(super) fn add(manager: &Manager, remote: &RemoteInformers) {
    let sets = manager.informer::<ClusterResourceSet>();
    sets.add_index(BY_RESOURCE, resources_of);
    sets.add_index(scope::BY_NAMESPACE, |set| vec![namespace_of(set)]);
    let clusters = manager.informer::<Cluster>();
    clusters.add_index(scope::BY_NAMESPACE, |cluster| vec![namespace_of(cluster)]);
    let reconciler = SetReconciler {
        client: manager.client().with_field_manager("capi"),
        clock: manager.clock().clone(),
        sets: sets.clone(),
        clusters: clusters.clone(),
        bindings: manager.informer::<ClusterResourceSetBinding>(),
        remotes: remote.clusters().clone(),
    };
    let mut controller = Controller::new("clusterresourceset", Arc::new(reconciler))
        .for_kind(&sets)
        .watches(&clusters, {
            let sets = sets.clone();
            move |change: &Change<Cluster>| {
                if is_relevant(change) { selecting(&sets, change.object()) } else { Vec::new() }
            }
        });
    for resource in [ApiResource::erase::<ConfigMap>(&()), ApiResource::erase::<Secret>(&())] {
        let informer = manager.dynamic_informer::<ContractObject>(&resource);
        let sets = sets.clone();
        controller = controller.watches(&informer, move |change: &Change<ContractObject>| {
            change
                .new
                .as_ref()
                .map_or_else(Vec::new, |object| sets_of_resource(&sets, &resource.kind, object))
        });
    }
    remote.notify(controller.trigger(), move |cluster, object| {
        // Nodes and Pods say nothing about add-ons.
        if object.is_some() {
            return Vec::new();
        }
        let cluster = clusters.get(&cluster.namespace, &cluster.name);
        cluster.map_or_else(Vec::new, |cluster| selecting(&sets, &cluster))
    });
    manager.add(controller);
}

fn namespace_of<K: kube::Resource>(object: &K) -> String {
    object.meta().namespace.clone().unwrap_or_default()
}

fn resource_value(namespace: &str, kind: &str, name: &str) -> String {
    format!("{namespace}/{kind}/{name}")
}

fn resources_of(set: &ClusterResourceSet) -> Vec<String> {
    let namespace = namespace_of(set);
    let resources = set.spec.resources.iter();
    resources.map(|resource| resource_value(&namespace, &resource.kind, &resource.name)).collect()
}

/// Whether a change of a Cluster can mean work: what selects it, and its end.
fn is_relevant(change: &Change<Cluster>) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    let is_deleting = |cluster: &Cluster| cluster.metadata.deletion_timestamp.is_some();
    old.metadata.labels != new.metadata.labels || is_deleting(old) != is_deleting(new)
}

/// The sets that select a Cluster.
fn selecting(sets: &Informer<ClusterResourceSet>, cluster: &Cluster) -> Vec<ObjectKey> {
    let namespace = cluster.metadata.namespace.as_deref().unwrap_or_default();
    let neighbours = sets.by_index(scope::BY_NAMESPACE, namespace);
    let selecting = neighbours.iter().filter(|set| {
        let selector = scope::selector(set).ok().flatten();
        selector.is_some_and(|selector| scope::selects(&selector, cluster))
    });
    selecting.map(|set| ObjectKey::of(&**set)).collect()
}

/// The sets that own a ConfigMap or Secret; if there is none, those that name it.
fn sets_of_resource(
    sets: &Informer<ClusterResourceSet>,
    kind: &str,
    object: &ContractObject,
) -> Vec<ObjectKey> {
    let namespace = object.namespace();
    let references = object.metadata.owner_references.iter().flatten();
    let owners: Vec<ObjectKey> = references
        .filter(|owner| owner.kind == "ClusterResourceSet")
        .map(|owner| ObjectKey::new(namespace, &owner.name))
        .collect();
    if !owners.is_empty() {
        return owners;
    }
    let value = resource_value(namespace, kind, object.name());
    sets.by_index(BY_RESOURCE, &value).iter().map(|set| ObjectKey::of(&**set)).collect()
}
