//! The scale subresource: an `autoscaling/v1` Scale over an object's replica fields.

use axum::body::Body;
use http::Response;
use serde_json::{Map, Value, json};

use super::answer;
use super::body::{self, Decoded};
use super::conversion;
use super::route::Call;
use super::write::{Owner, PatchBody, Target, Write, check_force, check_name};
use crate::machinery::builtin;
use crate::machinery::definition::ScalePaths;
use crate::machinery::gvk::GroupResource;
use crate::machinery::managed_fields;
use crate::machinery::patch::merge;
use crate::machinery::schema;
use crate::machinery::status::{Cause, Status};

/// Answers a get.
pub(super) async fn get(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    let accepted = call.accepted()?;
    let entry = call.find().ok_or_else(|| call.not_found())?;
    let object = conversion::tree(call.server, &call.resource, &entry).await?;
    if !call.resource.is_built_in() && !has_replicas(paths(call)?, &object) {
        let path = &paths(call)?.spec_replicas;
        let why = format!("the spec replicas field \".{path}\" does not exist");
        return Err(Status::internal(why));
    }
    let scale = scale_of(paths(call)?, &object);
    Ok(answer::encoded(200, accepted.encoding, scale.to_string()))
}

/// Answers an update.
pub(super) async fn update(call: &Call<'_>, body: Body) -> Result<Response<Body>, Box<Status>> {
    let write = Write::new(call, Target::Scale, "UpdateOptions")?;
    let bytes = body::read(body).await?;
    let scale = body::decode(call.headers, &bytes, "Scale")?.value;
    if let Some(why) = misfit(&scale) {
        let message = format!("Scale in version \"v1\" cannot be handled as a Scale: {why}");
        return Err(Status::bad_request(message));
    }
    store(call, write, scale, None).await
}

/// Answers a patch.
pub(super) async fn patch(call: &Call<'_>, body: Body) -> Result<Response<Body>, Box<Status>> {
    let write = Write::new(call, Target::Scale, "PatchOptions")?;
    check_force(call)?;
    let bytes = body::read(body).await?;
    let patch = PatchBody::read(call, &bytes)?;
    let entry = call.find().ok_or_else(|| call.not_found())?;
    let object = conversion::tree(call.server, &call.resource, &entry).await?;
    let mut scale = scale_of(paths(call)?, &object);
    match patch {
        PatchBody::Json(patch) => patch.apply(&mut scale)?,
        PatchBody::Apply(decoded) => {
            return apply(call, write, decoded.value, (&object, scale)).await;
        }
        // A Scale has no lists, so the two merge patches do the same.
        PatchBody::Merge(decoded) | PatchBody::Strategic(decoded) => {
            merge::apply(&mut scale, &decoded.value);
        }
    }
    if let Some(why) = misfit(&scale) {
        let cause = Cause::invalid("patch", &scale.to_string().into(), &why);
        return Err(Status::invalid("", "", "", vec![cause]));
    }
    let is_custom = !call.resource.is_built_in();
    if is_custom && !has_replicas(paths(call)?, &object) && scale["spec"]["replicas"].is_null() {
        let path = &paths(call)?.spec_replicas;
        let why = format!("the spec replicas field \".{path}\" cannot be empty");
        return Err(Status::bad_request(why));
    }
    store(call, write, scale, None).await
}

/// Applies a configuration of a Scale: the manager shares the replicas with the managers of the
/// object.
async fn apply(
    call: &Call<'_>,
    write: Write<'_>,
    applied: Value,
    (object, mut live): (&Value, Value),
) -> Result<Response<Body>, Box<Status>> {
    write.check_applied(&applied, ("autoscaling/v1", "Scale"))?;
    let replicas = &*paths(call)?.spec_replicas;
    let owners = &object["metadata"]["managedFields"];
    live["metadata"]["managedFields"] = managed_fields::to_scale(owners, replicas);
    let mut scale = write.apply_scale(&live, &applied)?;
    let given = scale["metadata"]["managedFields"].take();
    let owners = managed_fields::to_parent(owners, &given, replicas, &call.resource.api_version);
    if let Some(metadata) = scale["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    store(call, write, scale, Some(owners)).await
}

/// Writes the replicas of a Scale into the object and answers the new Scale; `owners` is the
/// object's new `managedFields` if they are known.
async fn store(
    call: &Call<'_>,
    mut write: Write<'_>,
    scale: Value,
    owners: Option<Value>,
) -> Result<Response<Body>, Box<Status>> {
    let paths = paths(call)?;
    check_name(call, &scale)?;
    check_uid(call, &scale)?;
    let entry = call.find().ok_or_else(|| call.not_found())?;
    let scale = write.pass_scale(scale, |object| scale_of(paths, object), &entry).await?;
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        value => value.as_i64().ok_or_else(|| {
            Status::bad_request(format!("spec.replicas of a Scale must be an integer, not {value}"))
        })?,
    };
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &replicas.into(), why);
        let name = &call.info.name;
        return Err(Status::invalid("autoscaling", "Scale", name, vec![cause]));
    }
    let mut object = conversion::tree(call.server, &call.resource, &entry).await?;
    if let Some(check) = call.resource.definition.strategy.validate_scale {
        check(&scale, &object).map_err(|message| {
            let reason = "Forbidden".to_owned();
            Box::new(Status { code: 403, reason, message, details: None })
        })?;
    }
    set(&mut object, &paths.spec_replicas, replicas.into());
    let version = scale["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    object["metadata"]["resourceVersion"] = version.into();
    let mut object = write.admit(Decoded::new(object, Vec::new()))?;
    let response = match owners {
        None => write.put(object).await?,
        Some(owners) => {
            object["metadata"]["managedFields"] = owners;
            write.put_as(object, Owner::Applied).await?
        }
    };
    if !response.status().is_success() {
        return Ok(response);
    }
    let entry = call.find().ok_or_else(|| call.not_found())?;
    let object = conversion::tree(call.server, &call.resource, &entry).await?;
    Ok(answer::encoded(200, call.accepted()?.encoding, scale_of(paths, &object).to_string()))
}

/// A uid in a Scale of a built-in kind must be that of its object; elsewhere it means nothing.
fn check_uid(call: &Call<'_>, scale: &Value) -> Result<(), Box<Status>> {
    let entry = call.find().ok_or_else(|| call.not_found())?;
    let (given, wanted) = (scale["metadata"]["uid"].as_str(), &*entry.meta.uid);
    match given {
        Some(given) if call.resource.is_built_in() && !given.is_empty() && given != wanted => {
            let group = &call.resource.key.group;
            let resource =
                GroupResource::new(group, &format!("{}/scale", call.resource.key.plural));
            let why = format!(
                "Precondition failed: UID in precondition: {given}, UID in object meta: {wanted}"
            );
            Err(Status::conflict_because(&resource, &call.info.name, &why))
        }
        _ => Ok(()),
    }
}

/// What does not fit a Scale, in the words of Go's decoder.
fn misfit(scale: &Value) -> Option<String> {
    let shape = builtin::shape("io.k8s.api.autoscaling.v1.Scale")?;
    schema::validate(shape, scale).first().map(|cause| cause.message.clone())
}

fn paths<'a>(call: &'a Call<'_>) -> Result<&'a ScalePaths, Box<Status>> {
    let scale = call.resource.definition.subresources.scale.as_ref();
    scale.ok_or_else(Status::resource_not_served)
}

/// Whether an object says how many replicas it wants. (kubernetes 1.36: apiextensions-apiserver
/// pkg/registry/customresource/etcd.go)
fn has_replicas(paths: &ScalePaths, object: &Value) -> bool {
    lookup(object, &paths.spec_replicas).is_i64()
}

/// The Scale of an object.
fn scale_of(paths: &ScalePaths, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut kept = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !metadata[field].is_null() {
            kept.insert(field.to_owned(), metadata[field].clone());
        }
    }
    let number = |path: &str| lookup(object, path).as_i64().unwrap_or(0);
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": kept,
        "spec": {},
        "status": {"replicas": number(&paths.status_replicas)},
    });
    let replicas = number(&paths.spec_replicas);
    if replicas != 0 {
        scale["spec"]["replicas"] = replicas.into();
    }
    let selector = paths.label_selector.as_deref().map(|path| lookup(object, path));
    let selector = match selector {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(_)) => {
            crate::machinery::selector::format_label_selector(selector.unwrap_or(&Value::Null))
        }
        _ => String::new(),
    };
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

fn lookup<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn set(object: &mut Value, path: &str, value: Value) {
    let place = path.split('.').fold(object, |place, name| {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        &mut place[name]
    });
    *place = value;
}
