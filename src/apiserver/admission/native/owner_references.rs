//! `OwnerReferencesPermissionEnforcement`: only who may delete an object may give it owners, and
//! only who may set an owner's finalizers may make its deletion wait. kube-apiserver has it
//! switched off by default, and so do servers here. (kubernetes 1.36: plugin/pkg/admission/gc)

use serde_json::Value;

use super::forbidden;
use crate::apiserver::admission::attributes::Attributes;
use crate::apiserver::authorization::{self, Decision};
use crate::machinery::gvk::split_api_version;
use crate::machinery::status::Status;

/// Checks the owners that a write adds or changes.
///
/// # Errors
/// 403 for owners that the sender may not name.
pub(in crate::apiserver::admission) fn check(
    attributes: &Attributes<'_>,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let is_pod_status =
        attributes.resource().is("", "pods") && attributes.subresource() == "status";
    let before = old.map(owners).unwrap_or_default();
    let after = owners(object);
    if is_pod_status || before == after {
        return Ok(());
    }
    let definition = &attributes.resource().definition;
    let deletion = authorization::Attributes {
        is_resource: true,
        verb: "delete",
        group: &definition.group,
        resource: &definition.plural,
        subresource: attributes.subresource(),
        name: &attributes.name,
        namespace: &attributes.namespace,
        path: "",
    };
    if let Some(reason) = refusal(attributes, &deletion) {
        let why = format!("cannot set an ownerRef on a resource you can't delete: {reason}, <nil>");
        return Err(forbidden(attributes, object, &why));
    }
    let is_blocking = |owner: &Value| owner["blockOwnerDeletion"] == true;
    let was_blocking =
        |owner: &Value| before.iter().any(|it| it["uid"] == owner["uid"] && is_blocking(it));
    for owner in after.iter().filter(|owner| is_blocking(owner) && !was_blocking(owner)) {
        check_blocking(attributes, object, owner)?;
    }
    Ok(())
}

fn check_blocking(
    attributes: &Attributes<'_>,
    object: &Value,
    owner: &Value,
) -> Result<(), Box<Status>> {
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let resources = attributes.call.server.resources();
    let mut all = resources.iter();
    let found = all.find(|it| *it.api_version == *api_version && *it.definition.kind == *kind);
    let Some(resource) = found else {
        let (group, version) = split_api_version(api_version);
        let dot = if group.is_empty() { "" } else { "." };
        let why = format!(
            "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for \
             APIVersion {api_version} Kind {kind}: no matches for kind \"{kind}\" in version \
             \"{group}{dot}{version}\""
        );
        return Err(forbidden(attributes, object, &why));
    };
    let finalizers = authorization::Attributes {
        is_resource: true,
        verb: "update",
        group: &resource.definition.group,
        resource: &resource.definition.plural,
        subresource: "finalizers",
        name: text("name"),
        namespace: if resource.definition.namespaced { &attributes.namespace } else { "" },
        path: "",
    };
    match refusal(attributes, &finalizers) {
        None => Ok(()),
        Some(reason) => {
            let why = format!(
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't \
                 set finalizers on: {reason}, <nil>"
            );
            Err(forbidden(attributes, object, &why))
        }
    }
}

/// Why the sender may not, if he may not.
fn refusal(attributes: &Attributes<'_>, request: &authorization::Attributes<'_>) -> Option<String> {
    let call = attributes.call;
    let Decision { is_allowed, reason } =
        authorization::decide(call.server, request, call.identity);
    (!is_allowed).then_some(reason)
}

fn owners(object: &Value) -> Vec<Value> {
    object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default()
}
