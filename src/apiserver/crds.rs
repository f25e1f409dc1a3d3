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

/// Gives the resource `customresourcedefinitions` its defaults; others pass unchanged.
pub(crate) fn with_strategy(mut definition: ResourceDefinition) -> ResourceDefinition {
    if &*definition.group == GROUP && &*definition.plural == PLURAL {
        definition.strategy = Strategy { default: Some(rules::default), ..Strategy::default() };
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
        server.uninstall(group, plural);
        reconsider(server, group);
        return;
    }
    if entry.meta.deletion_timestamp.is_some() {
        cleanup::proceed(server, entry, group, plural);
        return;
    }
    let spec_is_new = match &event.previous {
        Some(previous) => previous.meta.generation != entry.meta.generation,
        None => true,
    };
    let object: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    let names_are_new = settle(server, entry, object, spec_is_new);
    if names_are_new {
        reconsider(server, group);
    }
}

/// Brings a definition's status up to date and serves it, if its names allow that. Returns whether
/// its accepted names changed.
fn settle(server: &ApiServer, entry: &Arc<Entry>, object: Value, spec_is_new: bool) -> bool {
    let Some((plural, group)) = entry.meta.name.split_once('.') else { return false };
    let now = format!("{:.0}", server.clock().now());
    let steps = status::steps(&object, || status::Taken::of_group(server, group), &now);
    let outcome = steps.last().unwrap_or(&object["status"]);
    let names_are_new = outcome["acceptedNames"] != object["status"]["acceptedNames"];
    if (spec_is_new || !steps.is_empty()) && status::is_true(outcome, "Established") {
        // What is served has the accepted names, whatever the spec would like.
        let mut served = object.clone();
        served["spec"]["names"] = outcome["acceptedNames"].clone();
        match crd::definitions_of(&served) {
            Ok(definitions) => install(server, group, plural, definitions),
            // Only objects that were stored without validation come here.
            Err(causes) => {
                tracing::warn!(crd = &*entry.meta.name, ?causes, "failed to serve a definition");
            }
        }
    }
    status::write(server, entry, &object, &steps);
    names_are_new
}

/// Looks again at definitions of a group that have not got all their names: some may be free now.
fn reconsider(server: &ApiServer, group: &str) {
    let mut others = status::definitions(server, group);
    // Each of them frees names at most once, for the others.
    for _ in 0..others.len() {
        let mut freed = false;
        for (entry, object) in others {
            let waits = object["spec"]["names"] != object["status"]["acceptedNames"];
            if waits && entry.meta.deletion_timestamp.is_none() {
                freed |= settle(server, &entry, object, false);
            }
        }
        if !freed {
            return;
        }
        others = status::definitions(server, group);
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
    let resources = server.resources();
    if let Some(before) = resources.iter().find(|resource| resource.is(group, plural)) {
        let versions = before.versions.all();
        for definition in &mut definitions {
            let same = versions.iter().find(|it| it.definition.version == definition.version);
            definition.strategy = match same {
                Some(version) => version.definition.strategy,
                None => Strategy { convert: before.versions.native(), ..Strategy::default() },
            };
        }
    }
    server.reinstall(group, plural, definitions);
}

/// Key of CustomResourceDefinitions in the store, if the server serves them.
fn key(server: &ApiServer) -> Option<Arc<ResourceKey>> {
    Some(server.resolve(GROUP, "v1", PLURAL)?.key.clone())
}

/// A definition or instance, to be stored; `fields` are the values of its selectable fields, and
/// `definition` is what [`Entry::definition`] is to be.
fn draft(mut object: Value, fields: Box<[Box<str>]>, definition: u64) -> Option<Draft> {
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
        definition,
    })
}

/// The write that turns `entry` into `object`.
fn rewrite(entry: &Entry, object: Value) -> Option<Draft> {
    draft(object, entry.fields.clone(), entry.definition)
}

/// An object's fields, encoded, without the braces.
fn inner(object: &Value) -> Vec<u8> {
    let mut text = object.to_string();
    text.pop();
    text.split_off(1).into_bytes()
}
