//! The verb patch: JSON patch, merge patch, strategic merge patch and server-side apply.

use axum::body::Body;
use http::Response;
use serde_json::Value;

use super::create::{Owner, set_namespace};
use super::metadata;
use super::misfit::Misfit;
use super::pipeline::{Target, Write};
use super::update::{ATTEMPTS, Outcome, check_name, check_version, conflict};
use crate::apiserver::body::{self, Decoded};
use crate::apiserver::conversion;
use crate::apiserver::options::FieldValidation;
use crate::apiserver::route::Call;
use crate::machinery::patch::json::{JsonPatch, go_error};
use crate::machinery::patch::{merge, strategic};
use crate::machinery::schema;
use crate::machinery::status::{Cause, Status, quote};
use crate::machinery::yaml;

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
    check_force(call)?;
    let bytes = body::read(body).await?;
    match PatchBody::read(call, &bytes)? {
        PatchBody::Apply(decoded) => write.apply_patch(decoded).await,
        patch => write.change(&patch).await,
    }
}

/// Only an apply can be forced.
pub(in crate::apiserver) fn check_force(call: &Call<'_>) -> Result<(), Box<Status>> {
    let is_apply = body::media_type(call.headers) == "application/apply-patch+yaml";
    if is_apply || call.info.parameter("force").is_none() {
        return Ok(());
    }
    let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
    Err(Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]))
}

impl PatchBody {
    /// Decodes a patch by the request's content type. A patch is looked at where there is an object
    /// that it can change; only an apply makes one. (kubernetes 1.36: endpoints/handlers/patch.go)
    ///
    /// # Errors
    /// 415 for types that the resource does not take, 404 for bodies that are no patches of an
    /// object that is not there, 400 or 413 for others.
    pub(in crate::apiserver) fn read(call: &Call<'_>, body: &[u8]) -> Result<Self, Box<Status>> {
        let is_apply = body::media_type(call.headers) == "application/apply-patch+yaml";
        Self::decode(call, body).map_err(|refused| {
            let is_early = is_apply || refused.code == 415;
            if is_early || call.find().is_some() { refused } else { call.not_found() }
        })
    }

    /// Decodes a patch by the request's content type.
    ///
    /// # Errors
    /// 415 for types that the resource does not take, 400 for bodies that are no patches.
    fn decode(call: &Call<'_>, body: &[u8]) -> Result<Self, Box<Status>> {
        match body::media_type(call.headers).as_str() {
            "application/json-patch+json" => Ok(Self::Json(JsonPatch::parse(body)?)),
            "application/merge-patch+json" => Ok(Self::Merge(decode_merge(body)?)),
            "application/strategic-merge-patch+json" if call.resource.is_built_in() => {
                Ok(Self::Strategic(decode_map(body).map_err(Status::bad_request)?))
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
    let given = match &decoded.value {
        Value::Null | Value::Object(_) => return Ok(decoded),
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    };
    Err(Status::bad_request(format!(
        "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal \
         {given} into Go value of type map[string]interface {{}}"
    )))
}

/// A merge patch; nothing at all is none.
fn decode_merge(body: &[u8]) -> Result<Decoded, Box<Status>> {
    if body.trim_ascii() == b"null" {
        return Err(Status::bad_request("Invalid JSON Patch"));
    }
    decode_map(body).map_err(|why| Status::bad_request(format!("error decoding patch: {why}")))
}

/// Reads an object as Go reads a map: null is an empty one.
fn decode_map(body: &[u8]) -> Result<Decoded, String> {
    let (mut value, duplicates) =
        crate::apiserver::duplicates::parse(body).map_err(|error| go_error(body, &error))?;
    let given = match &value {
        Value::Object(_) => return Ok(Decoded::new(value, duplicates)),
        Value::Null => {
            value = Value::Object(serde_json::Map::new());
            return Ok(Decoded::new(value, duplicates));
        }
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    };
    Err(format!("json: cannot unmarshal {given} into Go value of type map[string]interface {{}}"))
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
            check_version(call, metadata::text(&new, "resourceVersion"), &entry)?;
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
        let Decoded { value: mut applied, duplicates, .. } = decoded;
        let resource = &call.resource;
        self.check_applied(&applied, (&resource.api_version, &resource.definition.kind))?;
        metadata::normalise(&mut applied).map_err(Status::bad_request)?;
        for _ in 0..ATTEMPTS {
            let Some(entry) = call.find() else {
                return self.apply_new(&applied, &duplicates).await;
            };
            check_version(call, metadata::text(&applied, "resourceVersion"), &entry)?;
            let old = conversion::tree(call.server, &call.resource, &entry).await?;
            self.warnings.clear();
            let mut new = self.applied(Some(&old), &applied, &duplicates).await?;
            check_name(call, &new)?;
            set_namespace(call, &mut new)?;
            match self.replace(&entry, &old, new, Owner::Applied).await? {
                Outcome::Answered(response) => return Ok(response),
                Outcome::Raced => {}
            }
        }
        Err(conflict(call))
    }

    async fn apply_new(
        &mut self,
        applied: &Value,
        duplicates: &[String],
    ) -> Result<Response<Body>, Box<Status>> {
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
        let mut new = self.applied(None, applied, duplicates).await?;
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
        duplicates: &[String],
    ) -> Result<Value, Box<Status>> {
        let mut new = self.apply(live, applied).await?;
        let text = |field| metadata::text(applied, field);
        self.misfit = Misfit::Applied(format!("{}/{}", text("namespace"), text("name")));
        self.normalise(&mut new, Vec::new())?;
        self.report_repeated(duplicates)?;
        Ok(new)
    }

    /// Checks what an apply needs before anything is merged: a manager, no ownership of the
    /// configuration's own, the right apiVersion and kind.
    pub(in crate::apiserver) fn check_applied(
        &self,
        applied: &Value,
        (api_version, wanted): (&str, &str),
    ) -> Result<(), Box<Status>> {
        if self.options.field_manager.is_none() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
        }
        let text = |field: &str| applied[field].as_str().unwrap_or_default();
        let (given, kind) = (text("apiVersion"), text("kind"));
        if given == api_version && kind == wanted {
            return match &applied["metadata"]["managedFields"] {
                Value::Null => Ok(()),
                _ => Err(Status::bad_request("metadata.managedFields must be nil")),
            };
        }
        let shown = match given {
            "" => "/".to_owned(),
            _ if given.contains('/') => given.to_owned(),
            _ => format!("/{given}"),
        };
        Err(Status::bad_request(format!("invalid object type: {shown}, Kind={kind}")))
    }

    /// Refuses or mentions keys of the configuration that were set again; the last one counts.
    fn report_repeated(&mut self, repeated: &[String]) -> Result<(), Box<Status>> {
        if repeated.is_empty() {
            return Ok(());
        }
        let why = format!("error converting YAML to JSON: {}", yaml::strict_error(repeated));
        match self.options.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => self.warnings.push(why.replace('\n', " ")),
            FieldValidation::Strict => {
                return Err(Status::bad_request(format!("error strict decoding YAML: {why}")));
            }
        }
        Ok(())
    }
}
