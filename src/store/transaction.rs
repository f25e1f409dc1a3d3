//! Writes: each checks what it expects, takes a revision, and appends its event, in one critical
//! section.

use std::sync::Arc;

use super::{Draft, Entry, Event, EventKind, ResourceKey, State, Store};

/// Why a write was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The object to create exists; here it is.
    #[error("object exists")]
    Exists(Arc<Entry>),
    /// The object is not at the expected revision; here it is.
    #[error("object is at another revision")]
    Conflict(Arc<Entry>),
    /// The object does not exist.
    #[error("object does not exist")]
    NotFound,
}

impl Store {
    /// Stores a new object under the namespace and name of the draft's metadata.
    ///
    /// # Errors
    /// [`WriteError::Exists`].
    pub fn create(
        &self,
        resource: &Arc<ResourceKey>,
        draft: Draft,
    ) -> Result<Arc<Event>, WriteError> {
        let mut state = self.shared.state.write();
        if let Some(entry) = state.find(resource, &draft.meta.namespace, &draft.meta.name) {
            return Err(WriteError::Exists(entry));
        }
        let revision = state.revision + 1;
        let entry = Arc::new(draft.at(revision));
        let event = Event { kind: EventKind::Created, revision, entry, previous: None };
        Ok(self.commit(state, resource, event))
    }

    /// Replaces an object that is at revision `expected`.
    ///
    /// # Errors
    /// [`WriteError::NotFound`] and [`WriteError::Conflict`].
    pub fn update(
        &self,
        resource: &Arc<ResourceKey>,
        expected: u64,
        draft: Draft,
    ) -> Result<Arc<Event>, WriteError> {
        let mut state = self.shared.state.write();
        let Some(previous) = state.find(resource, &draft.meta.namespace, &draft.meta.name) else {
            return Err(WriteError::NotFound);
        };
        if previous.revision != expected {
            return Err(WriteError::Conflict(previous));
        }
        let revision = state.revision + 1;
        let entry = Arc::new(draft.at(revision));
        let event = Event { kind: EventKind::Updated, revision, entry, previous: Some(previous) };
        Ok(self.commit(state, resource, event))
    }

    /// Removes an object that is at revision `expected`. The event's object is the stored one with
    /// the deletion's revision.
    ///
    /// # Errors
    /// [`WriteError::NotFound`] and [`WriteError::Conflict`].
    pub fn delete(
        &self,
        resource: &Arc<ResourceKey>,
        key: (&str, &str),
        expected: u64,
    ) -> Result<Arc<Event>, WriteError> {
        let mut state = self.shared.state.write();
        let Some(previous) = state.find(resource, key.0, key.1) else {
            return Err(WriteError::NotFound);
        };
        if previous.revision != expected {
            return Err(WriteError::Conflict(previous));
        }
        let revision = state.revision + 1;
        let entry = previous.with_revision(revision);
        let event = Event {
            kind: EventKind::Deleted,
            revision,
            entry: Arc::new(entry),
            previous: Some(previous),
        };
        Ok(self.commit(state, resource, event))
    }

    /// Applies a checked event, releases the lock and wakes the watchers.
    fn commit(
        &self,
        mut guard: parking_lot::RwLockWriteGuard<'_, State>,
        resource: &Arc<ResourceKey>,
        event: Event,
    ) -> Arc<Event> {
        let event = Arc::new(event);
        let state = &mut *guard;
        debug_assert_eq!(event.revision, state.revision + 1);
        state.revision = event.revision;
        let table = state.tables.entry(resource.clone()).or_default();
        let meta = &event.entry.meta;
        let remaining = match event.kind {
            EventKind::Created | EventKind::Updated => {
                table.put(event.entry.clone());
                Some(&event.entry)
            }
            EventKind::Deleted => {
                table.remove(&meta.namespace, &meta.name);
                None
            }
        };
        let changed = table.changed();
        state.owners.replace(resource, event.previous.as_deref(), remaining);
        state.log.append(&mut state.tables, resource, event.clone());
        drop(guard);
        changed.notify_waiters();
        self.shared.progress.notify_waiters();
        event
    }
}

impl State {
    fn find(&mut self, resource: &ResourceKey, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.tables.get(resource)?.get(namespace, name)
    }
}
