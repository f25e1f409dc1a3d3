//! The verb create.

use axum::body::Body;
use http::Response;
use serde_json::Value;

use super::pipeline::{Target, Write};
use super::{commit, encode, kinds, metadata};
use crate::apiserver::admission::{self, Operation};
use crate::apiserver::route::Call;
use crate::apiserver::{body, conversion, random};
use crate::machinery::names;
use crate::machinery::status::Status;
use crate::store::{Draft, ResourceKey, WriteError};

/// Names drawn from a generateName before giving up. (KEP-4420)
const NAME_ATTEMPTS: usize = 8;

/// Who recorded the ownership of fields of an object that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::apiserver) enum Owner {
    /// Nobody yet: the write is an update by the request's manager.
    Update,
    /// Server-side apply has.
    Applied,
}

/// Answers a create.
pub(in crate::apiserver) async fn create(
    call: &Call<'_>,
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    let mut write = Write::new(call, Target::Main, "CreateOptions")?;
    let bytes = body::read(body).await?;
    let decoded = body::decode(call.headers, &bytes, &call.resource.definition.kind)?;
    write.text = body::is_json(call.headers).then(|| bytes.clone());
    let mut object = write.admit(decoded)?;
    set_namespace(call, &mut object)?;
    write.insert(object, Owner::Update).await
}

/// Gives an object the request's namespace, or none.
pub(super) fn set_namespace(call: &Call<'_>, object: &mut Value) -> Result<(), Box<Status>> {
    let wanted = call.namespace();
    let given = metadata::text(object, "namespace");
    if !given.is_empty() && given != wanted && !call.resource.is("", "namespaces") {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let members = metadata::members(object);
    if wanted.is_empty() {
        members.remove("namespace");
    } else {
        members.insert("namespace".to_owned(), wanted.into());
    }
    Ok(())
}

impl Write<'_> {
    /// Stores a new, normalised object.
    pub(super) async fn insert(
        &mut self,
        mut object: Value,
        owner: Owner,
    ) -> Result<Response<Body>, Box<Status>> {
        let call = self.call;
        if !metadata::text(&object, "resourceVersion").is_empty() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Status::unknown(message));
        }
        let name = metadata::text(&object, "name");
        if call.resource.definition.serving.terminating {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Status::forbidden(&call.group_resource(), name, why));
        }
        self.check_namespace(name)?;
        metadata::remove_system_fields(&mut object);
        kinds::reset(&call.resource, &mut object);
        kinds::fill_zeros(&call.resource, &mut object);
        // As upstream, clients own what they sent and what decoding filled in, not what admission
        // and strategies add.
        if owner == Owner::Update {
            self.track(None, &mut object).await?;
        }
        if self.mutate(Operation::Create, &mut object, None).await? {
            set_namespace(call, &mut object)?;
            metadata::remove_system_fields(&mut object);
            kinds::reset(&call.resource, &mut object);
            kinds::fill_zeros(&call.resource, &mut object);
        }
        metadata::set_system_fields(&call.resource, &mut object, self.now);
        let generated = metadata::text(&object, "name").is_empty()
            && !metadata::text(&object, "generateName").is_empty();
        if generated {
            draw_name(&mut object);
        }
        (call.resource.rules.drop_disabled)(&mut object);
        let given = self.given_addresses(&object);
        kinds::prepare_create(&call.resource, &mut object);
        let reserved = self.reserve(&mut object, given)?;
        if let Some(default) = call.resource.definition.strategy.defaulting(self.options.dry_run)
            && !admission::are_defaults_replaced(call, Operation::Create)
        {
            default(&mut object, None);
        }
        self.default_among(Operation::Create, &mut object, None).await?;
        self.guard(&mut object, None)?;
        self.validate(&object, None)?;
        self.approve(Operation::Create, &object, None).await?;
        let response = self.store_new(object, generated).await?;
        if let Some(reserved) = reserved.filter(|_| !self.options.dry_run) {
            reserved.keep();
        }
        Ok(response)
    }

    async fn store_new(
        &self,
        mut object: Value,
        generated: bool,
    ) -> Result<Response<Body>, Box<Status>> {
        let call = self.call;
        let store = call.server.store();
        for _ in 0..NAME_ATTEMPTS {
            let draft = encode::encode(call.resource.version(), &object)?;
            let draft = conversion::stored(call.server, &call.resource, &object, draft).await?;
            let outcome = if self.options.dry_run {
                let meta = &draft.meta;
                match store.get(&call.resource.key, &meta.namespace, &meta.name) {
                    Some(entry) => Err(WriteError::Exists(entry)),
                    None => return self.answer_trial(draft).await,
                }
            } else {
                store.create(&call.resource.key, draft)
            };
            match outcome {
                Ok(event) => {
                    commit::committed(call, &event);
                    return self.answer(201, &event.entry).await;
                }
                Err(_) if generated => draw_name(&mut object),
                Err(WriteError::Exists(entry)) => {
                    let name = metadata::text(&object, "name");
                    let mut status = Status::already_exists(&call.group_resource(), name);
                    if entry.meta.deletion_timestamp.is_some() {
                        status.message.insert_str(0, "object is being deleted: ");
                    }
                    return Err(status);
                }
                Err(WriteError::Conflict(_) | WriteError::NotFound) => break,
            }
        }
        let base = metadata::text(&object, "generateName");
        Err(Status::generate_name_conflict(&call.group_resource(), base))
    }

    /// The answer to a dry run: what would be stored, as the requested version shows it.
    async fn answer_trial(&self, draft: Draft) -> Result<Response<Body>, Box<Status>> {
        let call = self.call;
        if call.resource.is_stored() {
            return Ok(self.answer_draft(201, draft));
        }
        let tried = draft.at(0);
        let object = conversion::tree(call.server, &call.resource, &tried).await?;
        let draft = encode::encode(call.resource.version(), &object)?;
        Ok(self.answer_draft(201, draft))
    }

    /// Refuses new objects in namespaces that do not exist or are about to go.
    fn check_namespace(&self, name: &str) -> Result<(), Box<Status>> {
        let call = self.call;
        let namespace = call.namespace();
        if namespace.is_empty() || call.server.resolve("", "v1", "namespaces").is_none() {
            return Ok(());
        }
        let namespaces = ResourceKey { group: "".into(), plural: "namespaces".into() };
        let Some(entry) = call.server.store().get(&namespaces, "", namespace) else {
            let resource = crate::machinery::gvk::GroupResource::new("", "namespaces");
            return Err(Status::not_found(&resource, namespace));
        };
        if entry.meta.deletion_timestamp.is_some() {
            return Err(Status::namespace_terminating(&call.group_resource(), name, namespace));
        }
        Ok(())
    }
}

fn draw_name(object: &mut Value) {
    let name = names::generate(metadata::text(object, "generateName"), random::number());
    metadata::members(object).insert("name".to_owned(), name.into());
}
