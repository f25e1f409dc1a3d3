//! Binding pods to nodes: `pods/binding` and the collection `bindings`.
//! (kubernetes 1.36: pkg/registry/core/pod/storage/storage.go, BindingREST)

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use super::update::{ATTEMPTS, conflict};
use super::{commit, encode, metadata};
use crate::apiserver::admission::subresources;
use crate::apiserver::options::WriteOptions;
use crate::apiserver::request::RequestInfo;
use crate::apiserver::route::Call;
use crate::apiserver::{answer, body};
use crate::machinery::gvk::{GroupResource, GroupVersionKind};
use crate::machinery::status::{Cause, Status};
use crate::store::WriteError;

/// Whether a request creates a binding that names its pod itself.
pub(in crate::apiserver) fn is_bindings(info: &RequestInfo) -> bool {
    info.group.is_empty()
        && info.version == "v1"
        && info.resource == "bindings"
        && info.verb == "create"
        && info.subresource.is_empty()
        && !info.namespace.is_empty()
}

/// Answers the creation of a binding for the pod that the path names, or for the one that the
/// binding names if the path names none. `call` is a call for pods.
///
/// # Errors
/// 400 for what is no binding of this pod, 404 without such a pod, 409 for a pod that is bound, is
/// being deleted or is not to be scheduled.
pub(in crate::apiserver) async fn bind(
    call: &Call<'_>,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    let options = WriteOptions::parse(call.info, "CreateOptions")?;
    let bytes = body::read(body).await?;
    let mut binding = body::decode(call.headers, &bytes, "Binding")?.value;
    if binding["kind"].as_str().is_some_and(|kind| !matches!(kind, "" | "Binding")) {
        return Err(Status::bad_request(format!("not a Binding object: {binding}")));
    }
    let name = metadata::text(&binding, "name");
    if !call.info.name.is_empty() && name != call.info.name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    check_target(&binding["target"])?;
    let mut warnings = Vec::new();
    // `bindings` is a resource of its own, which webhooks are not asked about.
    if !call.info.name.is_empty() {
        let kind = GroupVersionKind::new("", "v1", "Binding");
        let given = (binding, options.dry_run);
        binding = subresources::created(call, &kind, given, &mut warnings).await?;
        check_target(&binding["target"])?;
    }
    let name = metadata::text(&binding, "name");
    for _ in 0..ATTEMPTS {
        let pods = call.group_resource();
        let store = call.server.store();
        let Some(entry) = store.get(&call.resource.key, call.namespace(), name) else {
            return Err(Status::not_found(&pods, name));
        };
        check_preconditions(&binding, &entry.meta.uid, entry.revision, (&pods, name))?;
        let mut pod = encode::decode(&entry)?;
        assign(&mut pod, &binding, &metadata::timestamp(call.server.clock().now())).map_err(
            |why| {
                let resource = GroupResource::new("", "pods/binding");
                Status::conflict_because(&resource, name, &why)
            },
        )?;
        let draft = encode::encode(call.resource.version(), &pod)?;
        if options.dry_run {
            return Ok(success(&warnings));
        }
        match store.update(&call.resource.key, entry.revision, draft) {
            Ok(event) => {
                commit::committed(call, &event);
                return Ok(success(&warnings));
            }
            Err(WriteError::NotFound) => return Err(Status::not_found(&pods, name)),
            Err(WriteError::Conflict(_) | WriteError::Exists(_)) => {}
        }
    }
    Err(conflict(call))
}

/// 201 without an object, with warnings.
pub(super) fn success(warnings: &[String]) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    let mut response = answer::negotiable(201, status.to_string());
    answer::warn(&mut response, warnings);
    response
}

/// kube-apiserver answers these without a status of their own.
fn check_target(target: &Value) -> Result<(), Box<Status>> {
    let text = |field: &str| target[field].as_str().unwrap_or_default();
    let mut causes = Vec::new();
    if !matches!(text("kind"), "" | "Node") {
        let kind = Value::from(text("kind"));
        causes.push(Cause::not_supported("target.kind", &kind, &["Node", "<empty>"]));
    }
    if text("name").is_empty() {
        causes.push(Cause::required("target.name", ""));
    }
    match causes.len() {
        0 => Ok(()),
        1 => Err(Status::unknown(causes[0].to_string())),
        _ => {
            let all: Vec<String> = causes.iter().map(ToString::to_string).collect();
            Err(Status::unknown(format!("[{}]", all.join(", "))))
        }
    }
}

fn check_preconditions(
    binding: &Value,
    uid: &str,
    revision: u64,
    (pods, name): (&GroupResource, &str),
) -> Result<(), Box<Status>> {
    let wanted = metadata::text(binding, "uid");
    if !wanted.is_empty() && wanted != uid {
        let why = format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        );
        return Err(Status::conflict_because(pods, name, &why));
    }
    let wanted = metadata::text(binding, "resourceVersion");
    if !wanted.is_empty() && wanted != revision.to_string() {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {wanted}, ResourceVersion in \
             object meta: {revision}"
        );
        return Err(Status::conflict_because(pods, name, &why));
    }
    Ok(())
}

/// Puts a pod on a node.
///
/// # Errors
/// Why the pod cannot be put there.
fn assign(pod: &mut Value, binding: &Value, now: &str) -> Result<(), String> {
    let name = metadata::text(pod, "name").to_owned();
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        return Err(format!("pod {name} is already assigned to node {node:?}"));
    }
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    pod["spec"]["nodeName"] = binding["target"]["name"].clone();
    for (key, value) in binding["metadata"]["annotations"].as_object().into_iter().flatten() {
        pod["metadata"]["annotations"][key] = value.clone();
    }
    for (key, value) in binding["metadata"]["labels"].as_object().into_iter().flatten() {
        if pod["metadata"]["labels"][key].is_null() {
            pod["metadata"]["labels"][key] = value.clone();
        }
    }
    let condition = json!({
        "type": "PodScheduled", "status": "True",
        "lastProbeTime": null, "lastTransitionTime": now,
    });
    set_condition(pod, condition);
    Ok(())
}

/// Adds a condition or replaces the one of its type.
pub(super) fn set_condition(pod: &mut Value, condition: Value) {
    let conditions = &mut pod["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return };
    match list.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) => *known = condition,
        None => list.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_bound_once() {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {}, "status": {}});
        let binding = json!({"target": {"name": "n"}});
        assert_eq!(assign(&mut pod, &binding, "2020-01-01T00:00:00Z"), Ok(()));
        assert_eq!(pod["status"]["conditions"][0]["type"], "PodScheduled");
        assert_eq!(
            assign(&mut pod, &binding, "").unwrap_err(),
            "pod p is already assigned to node \"n\""
        );
        let mut gated =
            json!({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "a"}]}});
        assert_eq!(
            assign(&mut gated, &binding, "").unwrap_err(),
            "pod p has non-empty .spec.schedulingGates"
        );
    }
}
