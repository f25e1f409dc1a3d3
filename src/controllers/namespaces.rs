//! Empties namespaces that are being deleted and lets them go. (kubernetes 1.36:
//! pkg/controller/namespace/deletion/namespaced_resources_deleter.go)
//!
//! The controller follows the event log of the namespaces. A namespace whose content has
//! finalizers is looked at again after later writes to the store, so that nothing polls.

mod conditions;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use super::objects;
use crate::apiserver::ApiServer;
use crate::client::{Client, ClientError, ObjectKey};
use crate::clock::Clock;
use crate::store::{Entry, RangeQuery, ResourceKey};

/// Namespaces that every cluster has.
const SEEDS: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];
/// The finalizer in `spec.finalizers` that this controller removes.
const FINALIZER: &str = "kubernetes";
/// Events read at once.
const BATCH: usize = 1024;
/// How long writes are gathered before a namespace that waits is looked at again.
const GATHER: Duration = Duration::from_millis(20);
/// Pause before work that failed is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Creates the namespaces that every cluster has; those that exist are left alone.
///
/// # Errors
/// Any answer but success and `AlreadyExists`.
pub async fn seed_namespaces(client: &Client) -> Result<(), ClientError> {
    for name in SEEDS {
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some((*name).to_owned()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        match client.create(&namespace).await {
            Ok(_) => {}
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How far a namespace has come.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// It is gone, or not ours to finish.
    Done,
    /// Its content waits for finalizers.
    Waiting,
}

pub(super) struct NamespaceController {
    server: ApiServer,
    client: Client,
    clock: Clock,
    /// The resource `namespaces`.
    resource: Arc<ResourceKey>,
    /// Names of namespaces that are being deleted.
    terminating: BTreeSet<String>,
    /// Revision up to which events were read; `None` before the first list.
    seen: Option<u64>,
}

impl NamespaceController {
    pub(super) fn new(server: ApiServer, client: Client, clock: Clock) -> Self {
        let resource = Arc::new(ResourceKey { group: "".into(), plural: "namespaces".into() });
        Self { server, client, clock, resource, terminating: BTreeSet::new(), seen: None }
    }

    /// Works for ever.
    pub(super) async fn run(mut self) {
        let store = self.server.store().clone();
        let changed = store.changed(&self.resource);
        loop {
            // Registered before the state is read, so that no write falls between.
            let changed = changed.notified();
            let progress = store.progress().notified();
            tokio::pin!(changed, progress);
            changed.as_mut().enable();
            progress.as_mut().enable();
            self.read_events();
            let failed = self.work().await;
            if failed {
                self.clock.sleep(RETRY_DELAY).await;
            } else if self.terminating.is_empty() {
                changed.await;
            } else {
                progress.await;
                self.clock.sleep(GATHER).await;
            }
        }
    }

    /// Finds namespaces whose deletion was requested since the last look.
    fn read_events(&mut self) {
        let store = self.server.store();
        loop {
            let Some(seen) = self.seen else {
                self.seen = Some(store.revision());
                self.terminating.extend(all_terminating(&self.server, &self.resource));
                return;
            };
            let Ok(events) = store.events_after(&self.resource, seen, BATCH) else {
                self.seen = None;
                continue;
            };
            let Some(last) = events.last() else { return };
            self.seen = Some(last.revision);
            let requested = events
                .iter()
                .filter(|event| event.entry.meta.deletion_timestamp.is_some())
                .map(|event| event.entry.meta.name.to_string());
            self.terminating.extend(requested);
        }
    }

    /// Does what can be done for each terminating namespace; whether something failed.
    async fn work(&mut self) -> bool {
        let mut failed = false;
        for name in std::mem::take(&mut self.terminating) {
            match self.finish(&name).await {
                Ok(Progress::Done) => {}
                Ok(Progress::Waiting) => {
                    self.terminating.insert(name);
                }
                Err(error) => {
                    tracing::debug!(%error, namespace = name, "failed to empty a namespace");
                    failed = true;
                    self.terminating.insert(name);
                }
            }
        }
        failed
    }

    async fn finish(&self, name: &str) -> Result<Progress, ClientError> {
        let Some(entry) = self.server.store().get(&self.resource, "", name) else {
            return Ok(Progress::Done);
        };
        let namespace: Value = serde_json::from_slice(&entry.raw)
            .map_err(|source| ClientError::Codec { what: format!("Namespace {name}"), source })?;
        let finalizers = namespace["spec"]["finalizers"].as_array();
        let ours = finalizers.is_some_and(|list| list.iter().any(|it| it == FINALIZER));
        if entry.meta.deletion_timestamp.is_none() || !ours {
            return Ok(Progress::Done);
        }
        for (resource, objects) in content(&self.server, name) {
            // What is being deleted already waits for its finalizers.
            if objects.iter().any(|object| object.meta.deletion_timestamp.is_none()) {
                self.delete_collection(name, &resource).await?;
            }
        }
        let remaining = content(&self.server, name);
        if remaining.is_empty() {
            self.finalize(name, namespace).await?;
            return Ok(Progress::Done);
        }
        self.report(name, &namespace, &remaining).await?;
        Ok(Progress::Waiting)
    }

    async fn delete_collection(
        &self,
        namespace: &str,
        resource: &ResourceKey,
    ) -> Result<(), ClientError> {
        let Some(resource) = objects::api_resource(&self.server, resource) else { return Ok(()) };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.kube().clone(), namespace, &resource);
        let deleted =
            api.delete_collection(&DeleteParams::background(), &ListParams::default()).await;
        deleted.map(|_| ()).map_err(ClientError::from)
    }

    /// Removes our finalizer, which lets the namespace go.
    async fn finalize(&self, name: &str, mut namespace: Value) -> Result<(), ClientError> {
        if let Some(finalizers) = namespace["spec"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        let namespace: Namespace = serde_json::from_value(namespace)
            .map_err(|source| ClientError::Codec { what: format!("Namespace {name}"), source })?;
        let api: Api<Namespace> = Api::all(self.client.kube().clone());
        let parameters = PostParams::default();
        let written = api.replace_subresource("finalize", name, &parameters, &namespace).await;
        match written.map_err(ClientError::from) {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Says in the namespace's conditions what it waits for.
    async fn report(
        &self,
        name: &str,
        namespace: &Value,
        remaining: &Content,
    ) -> Result<(), ClientError> {
        let before = &namespace["status"]["conditions"];
        let conditions = conditions::of(before, remaining, self.clock.now());
        if *before == conditions {
            return Ok(());
        }
        let patch = json!({"status": {"conditions": conditions}});
        let key = ObjectKey::new("", name);
        match self.client.merge_patch::<Namespace>(&key, "status", &patch).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn all_terminating(server: &ApiServer, resource: &ResourceKey) -> Vec<String> {
    let query = RangeQuery { resource, namespace: None, after: None, at: None, limit: 0 };
    let page = server.store().range(query, |entry| entry.meta.deletion_timestamp.is_some());
    // The latest state is always known.
    page.map(|page| page.entries.iter().map(|entry| entry.meta.name.to_string()).collect())
        .unwrap_or_default()
}

/// Objects of a namespace by resource; pods come first, because others may hold what they need.
type Content = Vec<(Arc<ResourceKey>, Vec<Arc<Entry>>)>;

fn content(server: &ApiServer, namespace: &str) -> Content {
    let store = server.store();
    let mut content = Content::new();
    for resource in store.resources() {
        let query = RangeQuery {
            resource: &resource,
            namespace: Some(namespace),
            after: None,
            at: None,
            limit: 0,
        };
        match store.range(query, |_| true) {
            Ok(page) if !page.entries.is_empty() => content.push((resource, page.entries)),
            _ => {}
        }
    }
    content.sort_by_key(|(resource, _)| (&*resource.plural != "pods", resource.clone()));
    content
}
