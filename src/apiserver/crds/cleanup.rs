//! Deletion of a definition and of all that it defines.

use serde_json::{Value, json};

use super::{CLEANUP_FINALIZER, committed, key, rewrite};
use crate::apiserver::ApiServer;
use crate::apiserver::garbage::GcEvent;
use crate::store::{Entry, ObjectRef, RangeQuery, ResourceKey};

/// Says in a definition's status that its instances are about to go.
pub(crate) fn mark_terminating(definition: &mut Value, now: &str) {
    let conditions = &mut definition["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.retain(|condition| condition["type"] != "Terminating");
        conditions.push(json!({
            "lastTransitionTime": now,
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion \
                        will begin soon",
            "reason": "InstanceDeletionPending",
            "status": "True",
            "type": "Terminating",
        }));
    }
}

/// Deletes the instances of a definition, as far as finalizers let them go.
pub(super) fn delete_instances(server: &ApiServer, group: &str, plural: &str) {
    let resources = server.resources();
    let Some(resource) = resources.iter().find(|resource| resource.is(group, plural)) else {
        return;
    };
    let query =
        RangeQuery { resource: &resource.key, namespace: None, after: None, at: None, limit: 0 };
    // The latest state is always known.
    let page = server.store().range(query, |_| true);
    for instance in page.into_iter().flat_map(|page| page.entries) {
        delete_instance(server, &resource.key, &instance);
    }
}

/// Called after an object of a custom kind is gone: the last one takes its definition along if that
/// is being deleted.
pub(crate) fn instance_deleted(server: &ApiServer, resource: &ResourceKey) {
    let Some(key) = key(server) else { return };
    let name = format!("{}.{}", resource.plural, resource.group);
    if let Some(entry) = server.store().get(&key, "", &name)
        && entry.meta.deletion_timestamp.is_some()
    {
        finish(server, &entry, &resource.group, &resource.plural);
    }
}

/// Deletes an instance, or requests its deletion if it has finalizers. One that somebody writes at
/// this moment is met again when the writer is done with it or deletes it.
fn delete_instance(server: &ApiServer, key: &std::sync::Arc<ResourceKey>, entry: &Entry) {
    let meta = &entry.meta;
    if !meta.finalizers.is_empty() {
        if meta.deletion_timestamp.is_none() {
            request_deletion(server, key, entry);
        }
        return;
    }
    let place = (&*meta.namespace, &*meta.name);
    if server.store().delete(key, place, entry.revision).is_ok() {
        server.garbage().push(GcEvent::Deleted {
            object: ObjectRef {
                resource: key.clone(),
                namespace: meta.namespace.to_string(),
                name: meta.name.to_string(),
            },
            uid: meta.uid.to_string(),
        });
    }
}

fn request_deletion(server: &ApiServer, key: &std::sync::Arc<ResourceKey>, entry: &Entry) {
    let mut object: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    object["metadata"]["deletionTimestamp"] = json!(format!("{:.0}", server.clock().now()));
    object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
    if let Some(draft) = rewrite(entry, object) {
        let _ = server.store().update(key, entry.revision, draft);
    }
}

/// Removes the cleanup finalizer of a definition without instances, and the definition with it if
/// nobody else holds it.
pub(super) fn finish(server: &ApiServer, entry: &Entry, group: &str, plural: &str) {
    if !entry.meta.finalizers.iter().any(|finalizer| **finalizer == *CLEANUP_FINALIZER) {
        return;
    }
    let instances = ResourceKey { group: group.into(), plural: plural.into() };
    let Some(key) = key(server) else { return };
    if server.store().count(&instances) > 0 {
        return;
    }
    if entry.meta.finalizers.len() > 1 {
        let mut object: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
        if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != CLEANUP_FINALIZER);
        }
        if let Some(draft) = rewrite(entry, object) {
            let _ = server.store().update(&key, entry.revision, draft);
        }
        return;
    }
    if let Ok(event) = server.store().delete(&key, ("", &entry.meta.name), entry.revision) {
        server.garbage().push(GcEvent::Deleted {
            object: ObjectRef {
                resource: key,
                namespace: String::new(),
                name: entry.meta.name.to_string(),
            },
            uid: entry.meta.uid.to_string(),
        });
        committed(server, &event);
    }
}
