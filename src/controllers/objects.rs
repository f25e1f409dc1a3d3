//! Objects of any kind, written through the client.

use kube::api::{Api, DeleteParams, DynamicObject, Preconditions, PropagationPolicy};
use kube::core::ApiResource;
use serde_json::Value;

use crate::apiserver::ApiServer;
use crate::client::{Client, ClientError, ObjectKey};
use crate::machinery::gvk::join_api_version;
use crate::store::{ObjectRef, ResourceKey};

/// How the client calls a resource; `None` when it is no longer served.
pub(super) fn api_resource(server: &ApiServer, key: &ResourceKey) -> Option<ApiResource> {
    let resources = server.resources();
    let definition = resources
        .definitions
        .iter()
        .find(|definition| definition.group == key.group && definition.plural == key.plural)?;
    Some(ApiResource {
        group: definition.group.to_string(),
        version: definition.version.to_string(),
        api_version: join_api_version(&definition.group, &definition.version),
        kind: definition.kind.to_string(),
        plural: definition.plural.to_string(),
    })
}

/// Deletes an object if it still has this uid. An object that is gone, or another one by now, is
/// no error.
pub(super) async fn delete(
    client: &Client,
    resource: &ApiResource,
    object: &ObjectRef,
    uid: &str,
    policy: PropagationPolicy,
) -> Result<(), ClientError> {
    let parameters = DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    let api: Api<DynamicObject> = if object.namespace.is_empty() {
        Api::all_with(client.kube().clone(), resource)
    } else {
        Api::namespaced_with(client.kube().clone(), &object.namespace, resource)
    };
    match api.delete(&object.name, &parameters).await.map_err(ClientError::from) {
        Err(error) if !matches!(error.code(), Some(404 | 409)) => Err(error),
        _ => Ok(()),
    }
}

/// Merge patch of an object's metadata. An object that is gone is no error.
pub(super) async fn patch(
    client: &Client,
    resource: &ApiResource,
    object: &ObjectRef,
    patch: &Value,
) -> Result<(), ClientError> {
    let key = ObjectKey::new(&*object.namespace, &*object.name);
    match client.merge_patch_dynamic(resource, &key, "", patch).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
