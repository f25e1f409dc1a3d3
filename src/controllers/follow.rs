//! Following the objects of one resource: all of them first, then each that changes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::apiserver::ApiServer;
use crate::client::ClientError;
use crate::clock::Clock;
use crate::store::{Entry, EventKind, RangeQuery, ResourceKey};

/// Events read at once.
const BATCH: usize = 1024;
/// Pause before work that failed is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(200);
/// How often work is tried that the server fails at.
const ATTEMPTS: usize = 25;

/// The last known state of an object.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) entry: Arc<Entry>,
    pub(super) is_deleted: bool,
}

/// Reads the event log of a resource. With nothing to read it is one suspended future.
pub(super) struct Follower {
    server: ApiServer,
    resource: Arc<ResourceKey>,
    changed: Arc<Notify>,
    /// Revision up to which events were read; `None` before the first list.
    seen: Option<u64>,
}

impl Follower {
    pub(super) fn new(server: &ApiServer, group: &str, plural: &str) -> Self {
        let resource = Arc::new(ResourceKey { group: group.into(), plural: plural.into() });
        let changed = server.store().changed(&resource);
        Self { server: server.clone(), resource, changed, seen: None }
    }

    /// Waits for changes and returns the objects that changed, each once and as it is at the end,
    /// by namespace and name. The first call returns all objects that there are.
    pub(super) async fn next(&mut self) -> Vec<Seen> {
        let changed = self.changed.clone();
        loop {
            // Registered before the state is read, so that no write falls between.
            let notified = changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(changes) = self.read() {
                return changes;
            }
            notified.await;
        }
    }

    /// All objects as they are now.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        let query = RangeQuery {
            resource: &self.resource,
            namespace: None,
            after: None,
            at: None,
            limit: 0,
        };
        // The latest state is always known.
        self.server.store().range(query, |_| true).map(|page| page.entries).unwrap_or_default()
    }

    fn read(&mut self) -> Option<Vec<Seen>> {
        let store = self.server.store().clone();
        let Some(mut seen) = self.seen else {
            self.seen = Some(store.revision());
            let all = self.all();
            return Some(all.into_iter().map(|entry| Seen { entry, is_deleted: false }).collect());
        };
        let mut changes = BTreeMap::new();
        loop {
            let Ok(events) = store.events_after(&self.resource, seen, BATCH) else {
                self.seen = None;
                return self.read();
            };
            let Some(last) = events.last() else { break };
            seen = last.revision;
            for event in events {
                let meta = &event.entry.meta;
                let key = (meta.namespace.clone(), meta.name.clone());
                let is_deleted = event.kind == EventKind::Deleted;
                changes.insert(key, Seen { entry: event.entry.clone(), is_deleted });
            }
        }
        self.seen = Some(seen);
        (!changes.is_empty()).then(|| changes.into_values().collect())
    }
}

/// Does something until it succeeds or the server refuses it for good.
pub(super) async fn persist<F>(clock: &Clock, what: &str, mut work: impl FnMut() -> F)
where
    F: Future<Output = Result<(), ClientError>>,
{
    for _ in 0..ATTEMPTS {
        let Err(error) = work().await else { return };
        let is_final = error.code().is_some_and(|code| (400..500).contains(&code) && code != 409);
        tracing::debug!(%error, what, "a controller's write failed");
        if is_final {
            return;
        }
        clock.sleep(RETRY_DELAY).await;
    }
    tracing::warn!(what, "a controller gave up on a write");
}
