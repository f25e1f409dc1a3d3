//! CustomResourceDefinitions: what their writes mean for the resources that a server serves.
//!
//! A definition is installed in the same breath in which its object is stored, so that paths,
//! discovery and OpenAPI show it before the writer has its answer. Deletion is synchronous, too:
//! instances without finalizers go with the definition; the others take it with them when the
//! last one goes. (kubernetes 1.36: apiextensions-apiserver/pkg/controller/{status,establish,
//! finalizer})

mod builtin;
mod cleanup;
mod rules;
mod status;
#[cfg(test)]
mod tests;

pub use builtin::install_builtin_crds;
pub(crate) use cleanup::{instance_deleted, mark_terminating};

use std::sync::Arc;

use serde_json::Value;

use super::ApiServer;
use super::profile::Resource;
use crate::machinery::crd;
use crate::machinery::definition::{ResourceDefinition, Strategy};
use crate::store::{Draft, Entry, Event, EventKind, ResourceKey};

/// API group of CustomResourceDefinitions.
const GROUP: &str = "apiextensions.k8s.io";
/// Their plural name.
const PLURAL: &str = "customresourcedefinitions";
/// Finalizer that a definition gets when its deletion is requested; kept until the last instance
/// is gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Gives the resource `customresourcedefinitions` its defaults and rules; others pass unchanged.
pub(crate) fn with_strategy(mut definition: ResourceDefinition) -> ResourceDefinition {
    if &*definition.group == GROUP && &*definition.plural == PLURAL {
        definition.strategy =
            Strategy { default: Some(rules::default), validate: Some(rules::validate) };
    }
    definition
}

/// Whether the resource is that of the definitions themselves.
pub(crate) fn is_definition(resource: &Resource) -> bool {
    resource.is(GROUP, PLURAL)
}

/// Called when the deletion of an object is requested: a definition gets the finalizer that keeps
/// it until its instances are gone.
pub(crate) fn hold_for_cleanup(resource: &Resource, entry: &Entry, finalizers: &mut Vec<String>) {
    if is_definition(resource) && entry.meta.deletion_timestamp.is_none() {
        finalizers.retain(|finalizer| finalizer != CLEANUP_FINALIZER);
        finalizers.push(CLEANUP_FINALIZER.to_owned());
    }
}

/// Called after every write of a CustomResourceDefinition.
pub(crate) fn committed(server: &ApiServer, event: &Event) {
    let entry = &event.entry;
    let Some((plural, group)) = entry.meta.name.split_once('.') else { return };
    if event.kind == EventKind::Deleted {
        cleanup::delete_instances(server, group, plural);
        server.uninstall(group, plural);
        return;
    }
    if entry.meta.deletion_timestamp.is_some() {
        cleanup::delete_instances(server, group, plural);
        cleanup::finish(server, entry, group, plural);
        return;
    }
    let spec_is_new = match &event.previous {
        Some(previous) => previous.meta.generation != entry.meta.generation,
        None => true,
    };
    let object: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    if spec_is_new && status::conflict(server, &object).is_none() {
        match crd::definitions_of(&object) {
            Ok(definitions) => install(server, group, plural, definitions),
            Err(causes) => {
                // Only objects that were stored without validation come here.
                tracing::warn!(crd = &*entry.meta.name, ?causes, "failed to serve a definition");
                return;
            }
        }
    }
    if spec_is_new {
        status::write(server, entry, object);
    }
}

/// Serves what a definition defines, in place of what it defined before. Rules of the kind that are
/// not in the definition, because it is one of our own, stay.
fn install(
    server: &ApiServer,
    group: &str,
    plural: &str,
    mut definitions: Vec<ResourceDefinition>,
) {
    for definition in &mut definitions {
        if let Some(before) = server.resolve(group, &definition.version, plural) {
            definition.strategy = before.definition.strategy;
        }
    }
    server.reinstall(group, plural, definitions);
}

/// Key of CustomResourceDefinitions in the store, if the server serves them.
fn key(server: &ApiServer) -> Option<Arc<ResourceKey>> {
    Some(server.resolve(GROUP, "v1", PLURAL)?.key.clone())
}

/// A definition or instance, to be stored; `fields` are the values of its selectable fields.
fn draft(mut object: Value, fields: Box<[Box<str>]>) -> Option<Draft> {
    let object = object.as_object_mut()?;
    let mut metadata = object.remove("metadata")?;
    metadata.as_object_mut()?.remove("resourceVersion");
    let (api_version, kind) = (object.remove("apiVersion")?, object.remove("kind")?);
    Some(Draft {
        prefix: format!(r#"{{"apiVersion":{api_version},"kind":{kind},"#).into(),
        meta: serde_json::from_value(metadata.clone()).ok()?,
        metadata: inner(&metadata),
        body: inner(&Value::Object(std::mem::take(object))),
        fields,
    })
}

/// The write that turns `entry` into `object`.
fn rewrite(entry: &Entry, object: Value) -> Option<Draft> {
    draft(object, entry.fields.clone())
}

/// An object's fields, encoded, without the braces.
fn inner(object: &Value) -> Vec<u8> {
    let mut text = object.to_string();
    text.pop();
    text.split_off(1).into_bytes()
}
