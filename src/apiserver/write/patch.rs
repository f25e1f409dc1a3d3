//! The verb patch: JSON patch, merge patch, strategic merge patch and server-side apply.

use axum::body::Body;
use http::Response;
use serde_json::Value;

use super::create::{Owner, set_namespace};
use super::metadata;
use super::misfit::Misfit;
use super::pipeline::{Target, Write};
use super::update::{ATTEMPTS, Outcome, check_name, conflict};
use crate::apiserver::body::{self, Decoded};
use crate::apiserver::conversion;
use crate::apiserver::route::Call;
use crate::machinery::patch::json::{JsonPatch, go_error};
use crate::machinery::patch::{merge, strategic};
use crate::machinery::schema;
use crate::machinery::status::{Cause, Status, quote};

/// A decoded patch.
pub(in crate::apiserver) enum PatchBody {
    Json(JsonPatch),
    Merge(Decoded),
    Strategic(Decoded),
    Apply(Decoded),
}

/// Answers a patch.
pub(in crate::apiserver) async fn patch(
    call: &Call<'_>,
    target: Target,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    let mut write = Write::new(call, target, "PatchOptions")?;
    let bytes = body::read(body).await?;
    match PatchBody::decode(call, &bytes)? {
        PatchBody::Apply(decoded) => write.apply_patch(decoded).await,
        patch => write.change(&patch).await,
    }
}

impl PatchBody {
    /// Decodes a patch by the request's content type.
    ///
    /// # Errors
    /// 415 for types that the resource does not take, 400 for bodies that are no patches.
    pub(in crate::apiserver) fn decode(call: &Call<'_>, body: &[u8]) -> Result<Self, Box<Status>> {
        match body::media_type(call.headers).as_str() {
            "application/json-patch+json" => Ok(Self::Json(JsonPatch::parse(body)?)),
            "application/merge-patch+json" => Ok(Self::Merge(decode_object(body)?)),
            "application/strategic-merge-patch+json" if call.resource.is_built_in() => {
                Ok(Self::Strategic(decode_object(body)?))
            }
            "application/apply-patch+yaml" => Ok(Self::Apply(decode_yaml(body)?)),
            "application/strategic-merge-patch+json" => Err(Status::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
            ])),
            _ => {
                let mut status = Status::unsupported_media_type(&[]);
                status.message = "415: Unsupported Media Type".to_owned();
                status.details = Some(Default::default());
                Err(status)
            }
        }
    }

    /// The patched object.
    pub(in crate::apiserver) fn patched(
        &self,
        call: &Call<'_>,
        old: &Value,
    ) -> Result<Value, Box<Status>> {
        let mut new = old.clone();
        match self {
            Self::Json(patch) => patch.apply(&mut new)?,
            Self::Merge(patch) => merge::apply(&mut new, &patch.value),
            Self::Strategic(patch) => {
                strategic::apply(&mut new, &patch.value, call.resource.definition.schema.root())?;
            }
            Self::Apply(_) => return Err(Status::internal("apply is no change of an object")),
        }
        Ok(new)
    }

    /// The answer to a patch whose outcome does not fit the kind: strategic merges are decoded by
    /// another decoder of Go's, which has other words and shows the patch.
    fn explained(&self, call: &Call<'_>, old: &Value, status: Box<Status>) -> Box<Status> {
        let Self::Strategic(patch) = self else { return status };
        let Ok(new) = self.patched(call, old) else { return status };
        let Some(why) = schema::restore_error(&call.resource.definition.schema, &new) else {
            return status;
        };
        let cause = Cause {
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {}: {why}", quote(&go_text(&patch.value))),
            field: "patch".to_owned(),
        };
        Status::invalid("", "", "", vec![cause])
    }

    /// Whether the patch neither reads nor writes `managedFields`.
    fn leaves_ownership(&self) -> bool {
        match self {
            Self::Merge(patch) | Self::Strategic(patch) => {
                let metadata = patch.value.get("metadata");
                metadata.is_none_or(|metadata| {
                    metadata.as_object().is_some_and(|it| !it.contains_key("managedFields"))
                })
            }
            Self::Json(_) | Self::Apply(_) => false,
        }
    }

    fn duplicates(&self) -> Vec<String> {
        match self {
            Self::Json(_) => Vec::new(),
            Self::Merge(patch) | Self::Strategic(patch) | Self::Apply(patch) => {
                patch.duplicates.clone()
            }
        }
    }
}

/// A value as Go's `%+v` prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(go_text).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let members: Vec<String> =
                map.iter().map(|(name, value)| format!("{name}:{}", go_text(value))).collect();
            format!("map[{}]", members.join(" "))
        }
        other => other.to_string(),
    }
}

fn decode_yaml(body: &[u8]) -> Result<Decoded, Box<Status>> {
    let decoded = body::parse_yaml(body)
        .map_err(|why| Status::bad_request(format!("error decoding YAML: {why}")))?;
    if !decoded.value.is_object() {
        let message = "error decoding YAML: a configuration to apply must be an object";
        return Err(Status::bad_request(message));
    }
    Ok(decoded)
}

fn decode_object(body: &[u8]) -> Result<Decoded, Box<Status>> {
    let (value, duplicates) = crate::apiserver::duplicates::parse(body).map_err(|error| {
        Status::bad_request(format!("error decoding patch: {}", go_error(body, &error)))
    })?;
    if !value.is_object() {
        return Err(Status::bad_request(
            "error decoding patch: json: cannot unmarshal value into Go value of type \
             map[string]interface {}",
        ));
    }
    Ok(Decoded::new(value, duplicates))
}

impl Write<'_> {
    /// Changes the named object by a patch that is no apply.
    async fn change(&mut self, patch: &PatchBody) -> Result<Response<Body>, Box<Status>> {
        let call = self.call;
        self.misfit = match patch {
            PatchBody::Strategic(patch) => Misfit::Merged(patch.value.clone()),
            PatchBody::Json(_) | PatchBody::Merge(_) | PatchBody::Apply(_) => Misfit::Patched,
        };
        for _ in 0..ATTEMPTS {
            let entry = call.find().ok_or_else(|| call.not_found())?;
            let mut old = conversion::tree(call.server, &call.resource, &entry).await?;
            // Webhooks see the whole object.
            let apart = patch.leaves_ownership() && !call.server.admission().is_active();
            self.ownership = match apart {
                true => metadata::members(&mut old).remove("managedFields"),
                false => None,
            };
            let mut new = patch.patched(call, &old)?;
            let version = metadata::text(&new, "resourceVersion");
            if !version.is_empty() && version != entry.revision.to_string() {
                return Err(conflict(call));
            }
            self.warnings.clear();
            new = self
                .admit(Decoded::new(new, patch.duplicates()))
                .map_err(|status| patch.explained(call, &old, status))?;
            check_name(call, &new)?;
            set_namespace(call, &mut new)?;
            match self.replace(&entry, &old, new, Owner::Update).await? {
                Outcome::Answered(response) => return Ok(response),
                Outcome::Raced => {}
            }
        }
        Err(conflict(call))
    }

    /// Applies a configuration, creating the object if there is none.
    async fn apply_patch(&mut self, decoded: Decoded) -> Result<Response<Body>, Box<Status>> {
        let call = self.call;
        if self.options.field_manager.is_none() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
        }
        if !decoded.value["metadata"]["managedFields"].is_null() {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        let mut applied = decoded.value;
        metadata::normalise(&mut applied).map_err(Status::bad_request)?;
        for _ in 0..ATTEMPTS {
            let Some(entry) = call.find() else {
                return self.apply_new(&applied).await;
            };
            let version = metadata::text(&applied, "resourceVersion");
            if !version.is_empty() && version != entry.revision.to_string() {
                return Err(conflict(call));
            }
            let old = conversion::tree(call.server, &call.resource, &entry).await?;
            self.warnings.clear();
            let mut new = self.applied(Some(&old), &applied).await?;
            check_name(call, &new)?;
            set_namespace(call, &mut new)?;
            match self.replace(&entry, &old, new, Owner::Applied).await? {
                Outcome::Answered(response) => return Ok(response),
                Outcome::Raced => {}
            }
        }
        Err(conflict(call))
    }

    async fn apply_new(&mut self, applied: &Value) -> Result<Response<Body>, Box<Status>> {
        let call = self.call;
        if self.target != Target::Main {
            return Err(call.not_found());
        }
        let uid = metadata::text(applied, "uid");
        if !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was \
                 found"
            );
            return Err(Status::conflict_because(&call.group_resource(), &call.info.name, &why));
        }
        let mut new = self.applied(None, applied).await?;
        check_name(call, &new)?;
        set_namespace(call, &mut new)?;
        self.insert(new, Owner::Applied).await
    }

    /// Merges the configuration into the live object. What the schema does not know is refused by
    /// the merge, not pruned.
    async fn applied(
        &mut self,
        live: Option<&Value>,
        applied: &Value,
    ) -> Result<Value, Box<Status>> {
        let definition = &self.call.resource.definition;
        let text = |field: &str| applied[field].as_str().unwrap_or_default();
        let (given, kind) = (text("apiVersion"), text("kind"));
        if given != &*self.call.resource.api_version || kind != &*definition.kind {
            let group_version = if given.is_empty() { "/" } else { given };
            let shown = if given.is_empty() || given.contains('/') {
                group_version.to_owned()
            } else {
                format!("/{given}")
            };
            let message = format!("invalid object type: {shown}, Kind={kind}");
            return Err(Status::bad_request(message));
        }
        let mut new = self.apply(live, applied).await?;
        self.normalise(&mut new, Vec::new())?;
        Ok(new)
    }
}
