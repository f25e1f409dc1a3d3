//! A ClusterResourceSetBinding goes with its Cluster.
//! (CAPI v1.14: core/reconcilers/clusterresourcesetbinding)

use std::sync::Arc;

use crate::api::addons::ClusterResourceSetBinding;
use crate::api::core::Cluster;
use crate::api::runtime::OK_TO_DELETE;
use crate::client::{Client, ObjectKey, Propagation};
use crate::contract::labels::has_annotation;
use crate::contract::owners;
use crate::contract::paused::is_paused;
use crate::extensions::Extensions;
use crate::machinery::gvk::split_api_version;
use crate::runtime::{
    Change, Controller, Informer, Manager, Outcome, ReconcileError, Reconciler, patch_object,
};

const CLUSTER_GROUP: &str = "cluster.x-k8s.io";

struct BindingReconciler {
    client: Client,
    bindings: Informer<ClusterResourceSetBinding>,
    clusters: Informer<Cluster>,
    extensions: Extensions,
}

/// Adds the controller.
pub(super) fn add(manager: &Manager, extensions: &Extensions) {
    let bindings = manager.informer::<ClusterResourceSetBinding>();
    let clusters = manager.informer::<Cluster>();
    let reconciler = BindingReconciler {
        client: manager.client().with_field_manager("capi"),
        bindings: bindings.clone(),
        clusters: clusters.clone(),
        extensions: extensions.clone(),
    };
    manager.add(
        Controller::new("clusterresourcesetbinding", Arc::new(reconciler))
            .for_kind(&bindings)
            .watches(&clusters, |change: &Change<Cluster>| {
                // Only the end of a Cluster matters; its binding has its name.
                let is_ending = change
                    .new
                    .as_ref()
                    .is_none_or(|cluster| cluster.metadata.deletion_timestamp.is_some());
                if is_ending { vec![ObjectKey::of(&**change.object())] } else { Vec::new() }
            }),
    );
}

impl Reconciler for BindingReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let Some(before) = self.bindings.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        if before.metadata.deletion_timestamp.is_some() || is_paused(None, &before.metadata) {
            return Ok(Outcome::Done);
        }
        let binding = with_cluster_name(&before).map_err(ReconcileError::Other)?;
        patch_object(&self.client, &*before, &binding).await?;
        let cluster = self.clusters.get(&key.namespace, &binding.spec.cluster_name);
        if cluster.is_none_or(|cluster| self.is_ending(&cluster)) {
            self.client.delete::<ClusterResourceSetBinding>(key, Propagation::Default).await?;
        }
        Ok(Outcome::Done)
    }
}

impl BindingReconciler {
    /// Whether a Cluster is being deleted, and no hook before its deletion holds it any more.
    fn is_ending(&self, cluster: &Cluster) -> bool {
        let is_held = cluster.spec.topology.is_defined()
            && self.extensions.is_in_use()
            && !has_annotation(&cluster.metadata, OK_TO_DELETE);
        cluster.metadata.deletion_timestamp.is_some() && !is_held
    }
}

/// The binding with the Cluster in its spec. Before v1.4 an owner reference named it.
fn with_cluster_name(
    before: &ClusterResourceSetBinding,
) -> Result<ClusterResourceSetBinding, String> {
    let mut binding = before.clone();
    if binding.spec.cluster_name.is_empty() {
        let owner = owners::owner(&before.metadata, CLUSTER_GROUP, "Cluster")
            .ok_or("failed to find cluster name in ownerRefs: no cluster ownerRef")?;
        if owner.name.is_empty() {
            return Err("failed to find cluster name in ownerRefs: ref name is empty".to_owned());
        }
        binding.spec.cluster_name.clone_from(&owner.name);
    }
    let name = &binding.spec.cluster_name;
    if let Some(references) = &mut binding.metadata.owner_references {
        references.retain(|owner| {
            let group = split_api_version(&owner.api_version).0;
            group != CLUSTER_GROUP || owner.kind != "Cluster" || owner.name != *name
        });
    }
    Ok(binding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_of_an_old_binding_moves_into_its_spec() {
        let mut cluster = Cluster::default();
        cluster.metadata.name = Some("a".to_owned());
        let mut old = ClusterResourceSetBinding::default();
        assert!(with_cluster_name(&old).is_err());
        old.metadata.owner_references = Some(vec![owners::owner_of(&cluster)]);
        let new = with_cluster_name(&old).unwrap();
        assert_eq!(new.spec.cluster_name, "a");
        assert_eq!(new.metadata.owner_references, Some(Vec::new()));
        let mut plain = ClusterResourceSetBinding::default();
        plain.spec.cluster_name = "a".to_owned();
        assert_eq!(with_cluster_name(&plain).unwrap(), plain);
    }
}
