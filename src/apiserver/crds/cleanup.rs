//! Deletion of a definition and of all that it defines.
//!
//! (kubernetes 1.36: apiextensions-apiserver pkg/controller/finalizer/crd_finalizer.go)

use std::sync::Arc;

use serde_json::{Value, json};

use super::{CLEANUP_FINALIZER, committed, key, rewrite, status};
use crate::apiserver::ApiServer;
use crate::apiserver::garbage::GcEvent;
use crate::store::{Entry, ObjectRef, RangeQuery, ResourceKey};

/// Says in a definition's status that its instances are about to go.
pub(crate) fn mark_terminating(definition: &mut Value, now: &str) {
    let message =
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    let condition = ["Terminating", "True", "InstanceDeletionPending", message];
    status::set_condition(&mut definition["status"], condition, now);
}

/// Goes on with the deletion of a definition: its instances are deleted as far as finalizers let
/// them go, and the definition with the last of them.
pub(super) fn proceed(server: &ApiServer, entry: &Arc<Entry>, group: &str, plural: &str) {
    server.set_terminating(group, plural);
    let is_held = entry.meta.finalizers.iter().any(|it| **it == *CLEANUP_FINALIZER);
    if !is_held {
        return;
    }
    let object: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    let entry = begin(server, entry, object);
    let instances = Arc::new(ResourceKey { group: group.into(), plural: plural.into() });
    let is_served = server.resources().iter().any(|resource| resource.is(group, plural));
    if is_served {
        delete_instances(server, &instances);
    }
    finish(server, &entry, &instances);
}

/// Called after an object of a custom kind is gone: the last one takes its definition along if that
/// is being deleted.
pub(crate) fn instance_deleted(server: &ApiServer, resource: &ResourceKey) {
    let Some(key) = key(server) else { return };
    let name = format!("{}.{}", resource.plural, resource.group);
    if let Some(entry) = server.store().get(&key, "", &name)
        && entry.meta.deletion_timestamp.is_some()
    {
        finish(server, &entry, resource);
    }
}

/// Says that instances are being deleted; the definition as it is then.
fn begin(server: &ApiServer, entry: &Arc<Entry>, object: Value) -> Arc<Entry> {
    if status::condition(&object["status"], "Terminating")
        .is_some_and(|condition| condition["reason"] == "InstanceDeletionInProgress")
    {
        return entry.clone();
    }
    let mut step = object["status"].clone();
    let message = "CustomResource deletion is in progress";
    let now = format!("{:.0}", server.clock().now());
    let condition = ["Terminating", "True", "InstanceDeletionInProgress", message];
    status::set_condition(&mut step, condition, &now);
    status::write(server, entry, &object, &[step]);
    let now = key(server).and_then(|key| server.store().get(&key, "", &entry.meta.name));
    now.unwrap_or_else(|| entry.clone())
}

/// Deletes the instances of a definition, as far as finalizers let them go.
fn delete_instances(server: &ApiServer, key: &Arc<ResourceKey>) {
    let query = RangeQuery { resource: key, namespace: None, after: None, at: None, limit: 0 };
    // The latest state is always known.
    let page = server.store().range(query, |_| true);
    for instance in page.into_iter().flat_map(|page| page.entries) {
        delete_instance(server, key, &instance);
    }
}

/// Deletes an instance, or requests its deletion if it has finalizers. One that somebody writes at
/// this moment is met again when the writer is done with it or deletes it.
fn delete_instance(server: &ApiServer, key: &Arc<ResourceKey>, entry: &Entry) {
    let meta = &entry.meta;
    if !meta.finalizers.is_empty() {
        if meta.deletion_timestamp.is_none() {
            request_deletion(server, key, entry);
        }
        return;
    }
    let place = (&*meta.namespace, &*meta.name);
    if server.store().delete(key, place, entry.revision).is_ok() {
        deleted(server, key, entry);
    }
}

fn deleted(server: &ApiServer, key: &Arc<ResourceKey>, entry: &Entry) {
    server.garbage().push(GcEvent::Deleted {
        object: ObjectRef {
            resource: key.clone(),
            namespace: entry.meta.namespace.to_string(),
            name: entry.meta.name.to_string(),
        },
        uid: entry.meta.uid.to_string(),
    });
}

fn request_deletion(server: &ApiServer, key: &Arc<ResourceKey>, entry: &Entry) {
    let mut object: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    let metadata = &mut object["metadata"];
    metadata["deletionTimestamp"] = json!(format!("{:.0}", server.clock().now()));
    metadata["deletionGracePeriodSeconds"] = json!(0);
    if entry.meta.generation > 0 {
        metadata["generation"] = json!(entry.meta.generation + 1);
    }
    if let Some(draft) = rewrite(entry, object) {
        let _ = server.store().update(key, entry.revision, draft);
    }
}

/// Removes the cleanup finalizer of a definition without instances, and the definition with it if
/// nobody else holds it.
fn finish(server: &ApiServer, entry: &Arc<Entry>, instances: &ResourceKey) {
    let is_held = entry.meta.finalizers.iter().any(|it| **it == *CLEANUP_FINALIZER);
    let Some(key) = key(server) else { return };
    let is_served = server.resources().iter().any(|it| it.is(&instances.group, &instances.plural));
    if !is_held || (is_served && server.store().count(instances) > 0) {
        return;
    }
    if entry.meta.finalizers.len() > 1 {
        return release(server, &key, entry, is_served);
    }
    if let Ok(event) = server.store().delete(&key, ("", &entry.meta.name), entry.revision) {
        deleted(server, &key, entry);
        committed(server, &event);
    }
}

/// Takes the cleanup finalizer off a definition that others hold.
fn release(server: &ApiServer, key: &Arc<ResourceKey>, entry: &Arc<Entry>, was_served: bool) {
    let mut object: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != CLEANUP_FINALIZER);
    }
    let now = format!("{:.0}", server.clock().now());
    let condition = if was_served {
        ["Terminating", "False", "InstanceDeletionCompleted", "removed all instances"]
    } else {
        ["Terminating", "False", "NeverEstablished", "resource was never established"]
    };
    status::set_condition(&mut object["status"], condition, &now);
    if let Some(draft) = rewrite(entry, object) {
        let _ = server.store().update(key, entry.revision, draft);
    }
}
