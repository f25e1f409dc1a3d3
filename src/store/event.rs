//! One write, as watchers see it.

use std::sync::Arc;

use super::Entry;

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The object is new.
    Created,
    /// The object replaced an older version.
    Updated,
    /// The object is gone.
    Deleted,
}

/// One write. Shared by the log and all watchers.
#[derive(Debug)]
pub struct Event {
    /// What was done.
    pub kind: EventKind,
    /// Revision of the write.
    pub revision: u64,
    /// The object after the write; of a deletion, its last state with the deletion's revision.
    pub entry: Arc<Entry>,
    /// The object before the write.
    pub previous: Option<Arc<Entry>>,
}
