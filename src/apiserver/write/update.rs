//! The verb update, and the step that it shares with patch: replacing one version of an object by
//! another.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use serde_json::Value;

use super::create::{Owner, set_namespace};
use super::pipeline::{Target, Write};
use super::{commit, encode, generation, kinds, metadata};
use crate::apiserver::admission::{self, Operation};
use crate::apiserver::profile::Resource;
use crate::apiserver::route::Call;
use crate::apiserver::{body, conversion};
use crate::machinery::status::{Cause, Precondition, Status, quote};
use crate::store::{Draft, Entry, WriteError};

/// Times that a write without a resourceVersion starts over after a conflict.
pub(super) const ATTEMPTS: usize = 64;

/// How an attempt to replace an object ended.
pub(super) enum Outcome {
    /// With an answer.
    Answered(Response<Body>),
    /// Another write came between.
    Raced,
}

/// Answers an update.
pub(in crate::apiserver) async fn update(
    call: &Call<'_>,
    target: Target,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    let mut write = Write::new(call, target, "UpdateOptions")?;
    let bytes = body::read(body).await?;
    let decoded = body::decode(call.headers, &bytes, &call.resource.definition.kind)?;
    write.text = body::is_json(call.headers).then(|| bytes.clone());
    let object = write.admit(decoded)?;
    write.put(object).await
}

impl Write<'_> {
    /// Replaces the named object by a normalised one, or creates it where that is allowed.
    pub(in crate::apiserver) async fn put(
        &mut self,
        object: Value,
    ) -> Result<Response<Body>, Box<Status>> {
        self.put_as(object, Owner::Update).await
    }

    /// The same where ownership may have been recorded.
    pub(in crate::apiserver) async fn put_as(
        &mut self,
        mut object: Value,
        owner: Owner,
    ) -> Result<Response<Body>, Box<Status>> {
        let call = self.call;
        check_name(call, &object)?;
        set_namespace(call, &mut object)?;
        let version = metadata::text(&object, "resourceVersion").to_owned();
        for _ in 0..ATTEMPTS {
            let Some(entry) = call.find() else {
                let creates = self.target == Target::Main && creates_on_update(&call.resource);
                if creates && version.is_empty() {
                    return self.insert(object, Owner::Update).await;
                }
                return Err(call.not_found());
            };
            check_uid(call, &object, &entry)?;
            if version.is_empty() {
                self.check_unconditional()?;
            }
            check_version(call, &version, &entry)?;
            let old = conversion::tree(call.server, &call.resource, &entry).await?;
            match self.replace(&entry, &old, object.clone(), owner).await? {
                Outcome::Answered(response) => return Ok(response),
                Outcome::Raced if version.is_empty() => {}
                Outcome::Raced => return Err(conflict(call)),
            }
        }
        Err(conflict(call))
    }

    fn check_unconditional(&self) -> Result<(), Box<Status>> {
        if self.target == Target::Scale || allows_unconditional_update(&self.call.resource) {
            return Ok(());
        }
        let why = "must be specified for an update";
        let cause = Cause::invalid("metadata.resourceVersion", &0.into(), why);
        // The generic code that checks this names the resource where others name the kind.
        let resource = &self.call.resource.key;
        let name = &self.call.info.name;
        Err(Status::invalid(&resource.group, &resource.plural, name, vec![cause]))
    }

    /// Replaces `entry`, of which `old` is the tree, by `new`. Removes the object if that was what
    /// its last finalizer waited for.
    pub(super) async fn replace(
        &mut self,
        entry: &Arc<Entry>,
        old: &Value,
        mut new: Value,
        owner: Owner,
    ) -> Result<Outcome, Box<Status>> {
        let call = self.call;
        let resource = &call.resource;
        let given = self.given_addresses(&new);
        kinds::prepare_update(resource, self.target, &mut new, old);
        metadata::carry_over(&mut new, old);
        kinds::fill_zeros(resource, &mut new);
        if owner == Owner::Update {
            self.track(Some(old), &mut new).await?;
        }
        if self.mutate(Operation::Update, &mut new, Some(old)).await? {
            kinds::prepare_update(resource, self.target, &mut new, old);
            metadata::carry_over(&mut new, old);
            kinds::fill_zeros(resource, &mut new);
        }
        (resource.rules.drop_disabled)(&mut new);
        if let Some(default) = resource.definition.strategy.defaulting(self.options.dry_run)
            && self.target == Target::Main
            && !admission::are_defaults_replaced(call, Operation::Update)
        {
            default(&mut new, Some(old));
        }
        self.default_among(Operation::Update, &mut new, Some(old)).await?;
        if !matches!(self.target, Target::Status | Target::Finalize)
            && generation::is_kept(resource)
            && generation::is_changed(resource, &new, old)
        {
            raise_generation(&mut new);
        }
        let reserved = self.reserve(&mut new, given)?;
        self.guard(&mut new, Some(old))?;
        self.validate(&new, Some(old))?;
        self.approve(Operation::Update, &new, Some(old)).await?;
        let draft = encode::encode(resource.version(), &new)?;
        if is_finished(resource, &draft, &new) {
            return self.remove(entry, draft);
        }
        let draft = conversion::stored(call.server, resource, &new, draft).await?;
        if draft.equals(entry) {
            commit::count(&call.server.counters().noop_writes);
            return Ok(Outcome::Answered(self.answer(200, entry).await?));
        }
        if self.options.dry_run {
            let tried = Arc::new(draft.at(entry.revision));
            return Ok(Outcome::Answered(self.answer(200, &tried).await?));
        }
        match call.server.store().update(&resource.key, entry.revision, draft) {
            Ok(event) => {
                commit::committed(call, &event);
                if let Some(reserved) = reserved {
                    reserved.keep();
                }
                Ok(Outcome::Answered(self.answer(200, &event.entry).await?))
            }
            Err(WriteError::NotFound) => Err(call.not_found()),
            Err(WriteError::Conflict(_) | WriteError::Exists(_)) => Ok(Outcome::Raced),
        }
    }

    /// Removes an object that lost its last finalizer; the answer is the object as it was written,
    /// with its previous revision.
    fn remove(&self, entry: &Arc<Entry>, draft: Draft) -> Result<Outcome, Box<Status>> {
        let call = self.call;
        if !self.options.dry_run {
            let key = (&*entry.meta.namespace, &*entry.meta.name);
            match call.server.store().delete(&call.resource.key, key, entry.revision) {
                Ok(event) => commit::committed(call, &event),
                Err(WriteError::NotFound) => return Err(call.not_found()),
                Err(_) => return Ok(Outcome::Raced),
            }
        }
        let last = Arc::new(draft.at(entry.revision));
        Ok(Outcome::Answered(self.answer_shown(200, &last)))
    }
}

/// Whether an object waits for nothing any more and goes.
fn is_finished(resource: &Resource, draft: &Draft, object: &Value) -> bool {
    draft.meta.deletion_timestamp.is_some()
        && draft.meta.finalizers.is_empty()
        && draft.meta.deletion_grace_period_seconds.is_none_or(|seconds| seconds == 0)
        && kinds::may_go(resource, object)
}

/// Adds one to the generation.
pub(super) fn raise_generation(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    object["metadata"]["generation"] = (generation + 1).into();
}

/// A resourceVersion in the body must be a number and the object's.
pub(super) fn check_version(
    call: &Call<'_>,
    version: &str,
    entry: &Entry,
) -> Result<(), Box<Status>> {
    if version.is_empty() || version == entry.revision.to_string() {
        return Ok(());
    }
    if version.parse::<u64>().is_err() {
        let digits = version.bytes().all(|byte| byte.is_ascii_digit());
        let why = if digits { "value out of range" } else { "invalid syntax" };
        let shown = quote(version);
        return Err(Status::unknown(format!("strconv.ParseUint: parsing {shown}: {why}")));
    }
    Err(conflict(call))
}

/// 409 for a stale resourceVersion.
pub(super) fn conflict(call: &Call<'_>) -> Box<Status> {
    commit::count(&call.server.counters().conflicts);
    Status::conflict(&call.group_resource(), &call.info.name)
}

/// The body must name the object of the path.
pub(in crate::apiserver) fn check_name(call: &Call<'_>, object: &Value) -> Result<(), Box<Status>> {
    let wanted = &call.info.name;
    match metadata::text(object, "name") {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be \
             provided"
        ))),
        name if name == wanted => Ok(()),
        name => Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({wanted})"
        ))),
    }
}

/// A uid in the body must be the object's.
fn check_uid(call: &Call<'_>, object: &Value, entry: &Entry) -> Result<(), Box<Status>> {
    let wanted = metadata::text(object, "uid");
    if wanted.is_empty() || wanted == &*entry.meta.uid {
        return Ok(());
    }
    let resource = &call.resource.key;
    let mut key = String::from("/registry/");
    for part in [&*resource.group, &*resource.plural, call.namespace()] {
        if !part.is_empty() {
            key.push_str(part);
            key.push('/');
        }
    }
    key.push_str(&call.info.name);
    commit::count(&call.server.counters().conflicts);
    Err(Status::precondition_failed(
        (&call.group_resource(), &call.info.name),
        &key,
        Precondition::Uid,
        (wanted, &entry.meta.uid),
    ))
}

/// Kinds whose PUT of an absent object creates it. (kubernetes 1.36: AllowCreateOnUpdate)
fn creates_on_update(resource: &Resource) -> bool {
    if !resource.is_built_in() {
        return false;
    }
    match &*resource.key.group {
        "" => matches!(&*resource.key.plural, "events" | "endpoints" | "services" | "limitranges"),
        "events.k8s.io" => true,
        "coordination.k8s.io" | "rbac.authorization.k8s.io" | "node.k8s.io" => true,
        _ => false,
    }
}

/// Kinds that can be updated without a resourceVersion. (kubernetes 1.36: AllowUnconditionalUpdate)
fn allows_unconditional_update(resource: &Resource) -> bool {
    if !resource.is_built_in() {
        return false;
    }
    !matches!(
        (&*resource.key.group, &*resource.key.plural),
        ("coordination.k8s.io" | "admissionregistration.k8s.io" | "node.k8s.io", _)
            | ("apiextensions.k8s.io" | "apiregistration.k8s.io", _)
            | ("policy", "poddisruptionbudgets")
            | ("storage.k8s.io", "csidrivers" | "csinodes" | "volumeattachments")
            | ("storage.k8s.io", "csistoragecapacities")
    )
}
