//! The store of one API server: multi-version, in memory, over encoded objects.
//!
//! One counter numbers all writes of a store. Every write leaves an event in a bounded log, which
//! is shared by all watchers and also answers reads at an older revision by being undone. Objects
//! are encoded JSON that is never parsed here; what the engine needs to know of them lies beside
//! the bytes. All operations are synchronous and hold one short lock; waiting is done on
//! [`tokio::sync::Notify`]s that commits ring.
//!
//! Guarantees: revisions grow by one a write and are written into the object that a write stores
//! (deletions included); events of a resource come in the order of their revisions, without gaps
//! above the compacted revision; a reader sees either all of a write or nothing.

mod entry;
mod event;
mod index;
mod log;
mod range;
mod table;
mod transaction;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::Notify;

pub use entry::{Draft, Entry};
pub use event::{Event, EventKind};
pub use range::{Page, RangeQuery};
pub use transaction::WriteError;

use index::OwnerIndex;
use log::Log;
use table::Table;

/// Group and plural name of a resource; objects are keyed by it whatever their version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceKey {
    /// API group, `""` for core.
    pub group: Arc<str>,
    /// Plural name, e.g. `machines`.
    pub plural: Arc<str>,
}

/// Where an object lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its resource.
    pub resource: Arc<ResourceKey>,
    /// Its namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// An older revision is no longer in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revision {requested} is compacted, the oldest known one is {compacted}")]
pub struct Compacted {
    /// What was asked for.
    pub requested: u64,
    /// Revision below which history is gone.
    pub compacted: u64,
}

/// The objects of one API server. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Everything that a commit changes. Locked for writing by transactions only, never across an
    /// await.
    state: RwLock<State>,
    /// Rung after every commit, for watchers that report progress.
    progress: Notify,
}

#[derive(Debug)]
struct State {
    /// Revision of the latest write; 1 in a new store, because 0 means "any" to clients.
    revision: u64,
    tables: HashMap<Arc<ResourceKey>, Table>,
    log: Log,
    owners: OwnerIndex,
}

impl Store {
    /// An empty store whose log holds about `history_bytes` of events.
    pub fn new(history_bytes: usize) -> Self {
        let state = State {
            revision: 1,
            tables: HashMap::new(),
            log: Log::new(history_bytes),
            owners: OwnerIndex::default(),
        };
        let shared = Shared { state: RwLock::new(state), progress: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Revision of the latest write.
    pub fn revision(&self) -> u64 {
        self.shared.state.read().revision
    }

    /// Rung after every write to any resource.
    pub fn progress(&self) -> &Notify {
        &self.shared.progress
    }

    /// An object as it is now.
    pub fn get(&self, resource: &ResourceKey, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.shared.state.read().tables.get(resource)?.get(namespace, name)
    }

    /// Number of objects of a resource.
    pub fn count(&self, resource: &ResourceKey) -> usize {
        self.shared.state.read().tables.get(resource).map_or(0, Table::len)
    }

    /// Bytes of all objects as they are now.
    pub fn bytes(&self) -> usize {
        self.shared.state.read().tables.values().map(Table::bytes).sum()
    }

    /// Resources that have objects now.
    pub fn resources(&self) -> Vec<Arc<ResourceKey>> {
        let state = self.shared.state.read();
        let mut resources: Vec<_> = state
            .tables
            .iter()
            .filter(|(_, table)| table.len() > 0)
            .map(|(resource, _)| resource.clone())
            .collect();
        resources.sort();
        resources
    }

    /// Objects that name `uid` in their owner references.
    pub fn dependents(&self, uid: &str) -> Vec<ObjectRef> {
        self.shared.state.read().owners.dependents(uid)
    }

    /// Whether any object names `uid` in its owner references.
    pub fn has_dependents(&self, uid: &str) -> bool {
        self.shared.state.read().owners.has_dependents(uid)
    }

    /// Whether an object with this uid exists.
    pub fn exists_uid(&self, uid: &str) -> bool {
        self.shared.state.read().owners.object(uid).is_some()
    }

    /// The object with this uid.
    pub fn by_uid(&self, uid: &str) -> Option<ObjectRef> {
        self.shared.state.read().owners.object(uid)
    }

    /// Rung after every write to the resource.
    pub fn changed(&self, resource: &Arc<ResourceKey>) -> Arc<Notify> {
        if let Some(table) = self.shared.state.read().tables.get(resource) {
            return table.changed();
        }
        self.shared.state.write().tables.entry(resource.clone()).or_default().changed()
    }

    /// At most `limit` events of a resource after `revision`, oldest first.
    ///
    /// # Errors
    /// [`Compacted`] when events after `revision` are no longer known.
    pub fn events_after(
        &self,
        resource: &ResourceKey,
        revision: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, Compacted> {
        match self.shared.state.read().tables.get(resource) {
            Some(table) => table.events_after(revision, limit),
            None => Ok(Vec::new()),
        }
    }
}
