//! The shim: a Secret that owns infrastructure cluster and control plane until the Cluster refers
//! to them, so that they are not left behind if that fails.
//! (CAPI v1.14: internal/topology/clustershim, reconcileClusterShim)

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use super::desired::Desired;
use super::scope::Scope;
use super::tree;
use crate::api::core::Cluster;
use crate::client::{Client, ObjectKey, Propagation};
use crate::contract::owners;
use crate::runtime::ReconcileError;

/// Name of a Cluster's shim.
pub(super) fn name(cluster: &Cluster) -> String {
    format!("{}-shim", cluster.metadata.name.as_deref().unwrap_or_default())
}

/// Makes the shim before anything that it shall own, and deletes it once the Cluster owns all.
///
/// # Errors
/// A request failed.
pub(super) async fn reconcile(
    client: &Client,
    scope: &Scope,
    desired: &mut Desired,
) -> Result<(), ReconcileError> {
    let key = ObjectKey::new(scope.namespace(), name(&scope.cluster));
    let current = (&scope.current.infrastructure, &scope.current.control_plane);
    let (Some(infrastructure), Some(control_plane)) = current else {
        let shim = ensure(client, scope, &key).await?;
        let owner = owners::owner_of(&shim);
        let state = &mut desired.state;
        for object in [&mut state.infrastructure, &mut state.control_plane].into_iter().flatten() {
            own(object, &owner);
        }
        return Ok(());
    };
    let both = [infrastructure, control_plane];
    let cluster_owns_all =
        both.iter().all(|object| tree::owner(object, "Cluster", scope.name()).is_some());
    let shim_owns_any =
        both.iter().any(|object| tree::owner(object, "Secret", &key.name).is_some());
    if cluster_owns_all && shim_owns_any {
        client.delete::<Secret>(&key, Propagation::Default).await?;
    }
    Ok(())
}

async fn ensure(client: &Client, scope: &Scope, key: &ObjectKey) -> Result<Secret, ReconcileError> {
    let mut shim =
        Secret { type_: Some("cluster.x-k8s.io/secret".to_owned()), ..Secret::default() };
    shim.metadata.name = Some(key.name.clone());
    shim.metadata.namespace = Some(key.namespace.clone());
    shim.metadata.owner_references = Some(vec![owners::owner_of(&scope.cluster)]);
    match client.create(&shim).await {
        Ok(created) => Ok(created),
        Err(error) if error.is_already_exists() => {
            let found = client.get::<Secret>(key).await?;
            found.ok_or_else(|| {
                ReconcileError::Other("failed to read the cluster shim object".to_owned())
            })
        }
        Err(error) => {
            Err(ReconcileError::Other(format!("failed to create the cluster shim object: {error}")))
        }
    }
}

fn own(object: &mut Value, owner: &OwnerReference) {
    let mut all = tree::owners(object);
    match all.iter_mut().find(|held| held.kind == owner.kind && held.name == owner.name) {
        Some(held) => held.clone_from(owner),
        None => all.push(owner.clone()),
    }
    tree::set(object, &["metadata", "ownerReferences"], json!(all));
}
