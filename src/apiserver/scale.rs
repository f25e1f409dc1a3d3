//! The scale subresource: an `autoscaling/v1` Scale over an object's replica fields.

use axum::body::Body;
use http::Response;
use serde_json::{Map, Value, json};

use super::answer;
use super::body::{self, Decoded};
use super::conversion;
use super::negotiate;
use super::route::Call;
use super::write::{PatchBody, Target, Write};
use crate::machinery::definition::ScalePaths;
use crate::machinery::patch::json::JsonPatch;
use crate::machinery::status::{Cause, Status};

/// Answers a get.
pub(super) async fn get(call: &Call<'_>) -> Result<Response<Body>, Box<Status>> {
    let accepted = negotiate::negotiate(call.headers)?;
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
    store(call, write, scale).await
}

/// Answers a patch.
pub(super) async fn patch(call: &Call<'_>, body: Body) -> Result<Response<Body>, Box<Status>> {
    let write = Write::new(call, Target::Scale, "PatchOptions")?;
    let bytes = body::read(body).await?;
    let entry = call.find().ok_or_else(|| call.not_found())?;
    let object = conversion::tree(call.server, &call.resource, &entry).await?;
    let mut scale = scale_of(paths(call)?, &object);
    match body::media_type(call.headers).as_str() {
        "application/json-patch+json" => JsonPatch::parse(&bytes)?.apply(&mut scale)?,
        // A Scale has no lists, so the two merge patches and apply do the same.
        "application/merge-patch+json"
        | "application/strategic-merge-patch+json"
        | "application/apply-patch+yaml" => {
            let patch = body::yaml(&bytes, "Scale")?.value;
            crate::machinery::patch::merge::apply(&mut scale, &patch);
        }
        _ => drop(PatchBody::decode(call, &bytes)?),
    }
    let is_custom = !call.resource.is_built_in();
    if is_custom && !has_replicas(paths(call)?, &object) && scale["spec"]["replicas"].is_null() {
        let path = &paths(call)?.spec_replicas;
        let why = format!("the spec replicas field \".{path}\" cannot be empty");
        return Err(Status::bad_request(why));
    }
    store(call, write, scale).await
}

/// Writes the replicas of a Scale into the object and answers the new Scale.
async fn store(
    call: &Call<'_>,
    mut write: Write<'_>,
    scale: Value,
) -> Result<Response<Body>, Box<Status>> {
    let paths = paths(call)?;
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
    set(&mut object, &paths.spec_replicas, replicas.into());
    let version = scale["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    object["metadata"]["resourceVersion"] = version.into();
    let uid = scale["metadata"]["uid"].as_str().unwrap_or_default();
    object["metadata"]["uid"] = uid.into();
    let object = write.admit(Decoded::new(object, Vec::new()))?;
    let response = write.put(object).await?;
    if !response.status().is_success() {
        return Ok(response);
    }
    let entry = call.find().ok_or_else(|| call.not_found())?;
    Ok(answer::json_response(
        200,
        scale_of(paths, &conversion::tree(call.server, &call.resource, &entry).await?).to_string(),
    ))
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
