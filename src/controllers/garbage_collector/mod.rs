//! Deletes objects whose owners are gone, and lets owners go that wait for their dependents.
//! (kubernetes 1.36: pkg/controller/garbagecollector)
//!
//! Upstream builds a graph of all objects from informers. Here the store already knows objects and
//! dependents by uid, so that events only say where to look, and an owner counts as absent as
//! soon as its uid is.

mod owners;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use kube::api::PropagationPolicy;
use serde_json::{Value, json};

use self::owners::{Owners, classify};
use super::objects;
use crate::apiserver::ApiServer;
use crate::apiserver::garbage::{
    DependentPolicy, FOREGROUND_FINALIZER, GcEvent, GcReceiver, ORPHAN_FINALIZER,
};
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::store::{Entry, ObjectRef, RangeQuery};

/// Pause before work that failed is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// Failed pieces of work that are remembered one by one; beyond, everything is looked at again.
const RETRIES_MAX: usize = 10_000;

pub(super) struct GarbageCollector {
    server: ApiServer,
    client: Client,
    clock: Clock,
    /// Owners that wait for a dependent in foreground deletion, by the dependent's uid.
    waiting: HashMap<String, Vec<ObjectRef>>,
    /// What failed and is due again.
    retries: VecDeque<GcEvent>,
}

impl GarbageCollector {
    pub(super) fn new(server: ApiServer, client: Client, clock: Clock) -> Self {
        Self { server, client, clock, waiting: HashMap::new(), retries: VecDeque::new() }
    }

    /// Works until the server's feed ends.
    pub(super) async fn run(mut self) {
        let mut feed = self.server.subscribe_deletions();
        // Objects may be older than the subscription.
        self.attempt(GcEvent::Resync).await;
        while let Some(event) = self.next(&mut feed).await {
            self.attempt(event).await;
        }
    }

    async fn next(&mut self, feed: &mut GcReceiver) -> Option<GcEvent> {
        if self.retries.is_empty() {
            return feed.recv().await;
        }
        tokio::select! {
            biased;
            event = feed.recv() => event,
            () = self.clock.sleep(RETRY_DELAY) => self.retries.pop_front(),
        }
    }

    async fn attempt(&mut self, event: GcEvent) {
        let Err(error) = self.handle(&event).await else { return };
        tracing::debug!(%error, ?event, "garbage collection failed and will be tried again");
        if self.retries.len() >= RETRIES_MAX {
            self.retries.clear();
            self.retries.push_back(GcEvent::Resync);
        } else {
            self.retries.push_back(event);
        }
    }

    async fn handle(&mut self, event: &GcEvent) -> Result<(), ClientError> {
        match event {
            GcEvent::Deleted { uid, .. } => {
                for dependent in self.server.store().dependents(uid) {
                    self.collect(&dependent).await?;
                }
                for owner in self.waiting.remove(uid).unwrap_or_default() {
                    self.release_foreground(&owner).await?;
                }
                Ok(())
            }
            GcEvent::CreatedWithOwners { object } => self.collect(object).await,
            GcEvent::DeletionRequested { object, policy: DependentPolicy::Orphan, .. } => {
                self.orphan_dependents(object).await
            }
            GcEvent::DeletionRequested { object, policy: DependentPolicy::Foreground, .. } => {
                self.delete_dependents(object).await
            }
            GcEvent::Resync => self.look_at_everything().await,
        }
    }

    fn entry(&self, object: &ObjectRef) -> Option<std::sync::Arc<Entry>> {
        self.server.store().get(&object.resource, &object.namespace, &object.name)
    }

    /// Deletes an object none of whose owners is left, or drops the references to those that are
    /// gone.
    async fn collect(&mut self, object: &ObjectRef) -> Result<(), ClientError> {
        let Some(entry) = self.entry(object) else { return Ok(()) };
        if entry.meta.deletion_timestamp.is_some() || entry.meta.owner_references.is_empty() {
            return Ok(());
        }
        let Owners { solid, absent, waiting } = classify(self.server.store(), &entry.meta);
        if !solid.is_empty() && absent.is_empty() && waiting.is_empty() {
            return Ok(());
        }
        let Some(resource) = objects::api_resource(&self.server, &object.resource) else {
            return Ok(());
        };
        if !solid.is_empty() {
            let gone: Vec<&str> = absent.into_iter().chain(waiting).collect();
            let patch = without_owners(&entry, &gone);
            return objects::patch(&self.client, &resource, object, &patch).await;
        }
        let has = |finalizer: &str| entry.meta.finalizers.iter().any(|name| **name == *finalizer);
        let has_dependents = || self.server.store().has_dependents(&entry.meta.uid);
        if !waiting.is_empty() && self.closes_a_circle(&entry) {
            let patch = without_blocking(&entry);
            return self.unblock_and_delete(object, &entry, (&resource, &patch)).await;
        }
        let policy = if has(ORPHAN_FINALIZER) {
            PropagationPolicy::Orphan
        } else if has(FOREGROUND_FINALIZER) || (!waiting.is_empty() && has_dependents()) {
            PropagationPolicy::Foreground
        } else {
            PropagationPolicy::Background
        };
        objects::delete(&self.client, &resource, object, &entry.meta.uid, policy).await
    }

    /// Whether a dependent waits for this object in turn: then nobody would ever be the first to go.
    fn closes_a_circle(&self, entry: &Entry) -> bool {
        self.server.store().dependents(&entry.meta.uid).iter().any(|dependent| {
            self.entry(dependent).is_some_and(|dependent| owners::waits(&dependent.meta))
        })
    }

    /// Lets the owners go before this object, which goes in foreground as well.
    /// (kubernetes 1.36: garbagecollector.go, attemptToDeleteItem, unblockOwnerReferences)
    async fn unblock_and_delete(
        &mut self,
        object: &ObjectRef,
        entry: &Entry,
        (resource, patch): (&kube::core::ApiResource, &Value),
    ) -> Result<(), ClientError> {
        objects::patch(&self.client, resource, object, patch).await?;
        let policy = PropagationPolicy::Foreground;
        objects::delete(&self.client, resource, object, &entry.meta.uid, policy).await?;
        for owner in self.waiting.remove(&*entry.meta.uid).unwrap_or_default() {
            self.release_foreground(&owner).await?;
        }
        Ok(())
    }

    /// First step of foreground deletion: dependents go, and the owner as soon as no dependent
    /// blocks it.
    async fn delete_dependents(&mut self, owner: &ObjectRef) -> Result<(), ClientError> {
        let Some(entry) = self.entry(owner) else { return Ok(()) };
        for dependent in self.server.store().dependents(&entry.meta.uid) {
            self.collect(&dependent).await?;
        }
        self.release_foreground(owner).await
    }

    /// Second step: removes the finalizer once no dependent blocks, or remembers whom to wait for.
    async fn release_foreground(&mut self, owner: &ObjectRef) -> Result<(), ClientError> {
        let Some(entry) = self.entry(owner) else { return Ok(()) };
        if entry.meta.deletion_timestamp.is_none() {
            return Ok(());
        }
        let blocker = self.server.store().dependents(&entry.meta.uid).into_iter().find_map(|it| {
            let dependent = self.entry(&it)?;
            let blocks = |reference: &crate::machinery::meta::OwnerReference| {
                reference.uid == entry.meta.uid && reference.block_owner_deletion
            };
            dependent
                .meta
                .owner_references
                .iter()
                .any(blocks)
                .then(|| dependent.meta.uid.to_string())
        });
        match blocker {
            Some(uid) => {
                let owners = self.waiting.entry(uid).or_default();
                if !owners.contains(owner) {
                    owners.push(owner.clone());
                }
                Ok(())
            }
            None => self.remove_finalizer(owner, FOREGROUND_FINALIZER).await,
        }
    }

    async fn orphan_dependents(&mut self, owner: &ObjectRef) -> Result<(), ClientError> {
        let Some(entry) = self.entry(owner) else { return Ok(()) };
        for dependent in self.server.store().dependents(&entry.meta.uid) {
            let Some(resource) = objects::api_resource(&self.server, &dependent.resource) else {
                continue;
            };
            if let Some(child) = self.entry(&dependent) {
                let patch = without_owners(&child, &[&entry.meta.uid]);
                objects::patch(&self.client, &resource, &dependent, &patch).await?;
            }
        }
        self.remove_finalizer(owner, ORPHAN_FINALIZER).await
    }

    async fn remove_finalizer(&self, owner: &ObjectRef, name: &str) -> Result<(), ClientError> {
        let Some(entry) = self.entry(owner) else { return Ok(()) };
        let Some(resource) = objects::api_resource(&self.server, &owner.resource) else {
            return Ok(());
        };
        if !entry.meta.finalizers.iter().any(|finalizer| **finalizer == *name) {
            return Ok(());
        }
        let kept: Vec<&str> =
            entry.meta.finalizers.iter().map(|it| &**it).filter(|it| *it != name).collect();
        let patch = json!({"metadata": {
            "resourceVersion": entry.revision.to_string(),
            "finalizers": kept,
        }});
        objects::patch(&self.client, &resource, owner, &patch).await
    }

    /// Treats every object as if its last event had just come.
    async fn look_at_everything(&mut self) -> Result<(), ClientError> {
        let mut first_error = Ok(());
        for resource in self.server.store().resources() {
            let query = RangeQuery {
                resource: &resource,
                namespace: None,
                after: None,
                at: None,
                limit: 0,
            };
            let Ok(page) = self.server.store().range(query, |entry| {
                !entry.meta.owner_references.is_empty() || entry.meta.deletion_timestamp.is_some()
            }) else {
                continue;
            };
            for entry in page.entries {
                let object = ObjectRef {
                    resource: resource.clone(),
                    namespace: entry.meta.namespace.to_string(),
                    name: entry.meta.name.to_string(),
                };
                let handled = self.look_at(&object, &entry).await;
                first_error = first_error.and(handled);
            }
        }
        first_error
    }

    async fn look_at(&mut self, object: &ObjectRef, entry: &Entry) -> Result<(), ClientError> {
        let has = |finalizer: &str| entry.meta.finalizers.iter().any(|name| **name == *finalizer);
        if entry.meta.deletion_timestamp.is_none() {
            self.collect(object).await
        } else if has(ORPHAN_FINALIZER) {
            self.orphan_dependents(object).await
        } else if has(FOREGROUND_FINALIZER) {
            self.delete_dependents(object).await
        } else {
            Ok(())
        }
    }
}

/// A patch after which an object blocks the deletion of none of its owners.
fn without_blocking(entry: &Entry) -> Value {
    let object: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    let mut references = object["metadata"]["ownerReferences"].clone();
    for reference in references.as_array_mut().into_iter().flatten() {
        reference["blockOwnerDeletion"] = false.into();
    }
    json!({"metadata": {
        "resourceVersion": entry.revision.to_string(), "ownerReferences": references,
    }})
}

/// A patch that drops the references to owners with these uids, if nobody wrote the object since.
fn without_owners(entry: &Entry, gone: &[&str]) -> Value {
    let object: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    let references = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let kept: Vec<Value> = references
        .into_iter()
        .filter(|reference| !gone.iter().any(|uid| reference["uid"] == **uid))
        .collect();
    let kept = if kept.is_empty() { Value::Null } else { Value::Array(kept) };
    json!({"metadata": {"resourceVersion": entry.revision.to_string(), "ownerReferences": kept}})
}
