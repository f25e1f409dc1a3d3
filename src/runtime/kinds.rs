//! Which informers copy which kinds.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::informer::Progress;
use crate::client::Written;

/// The progress of every informer, by group and kind. Written by the manager when it makes an
/// informer, read by the controllers after each reconcile that wrote.
#[derive(Default)]
pub(super) struct Kinds {
    /// By kind; few groups share a kind's name.
    by_kind: RwLock<HashMap<String, Vec<Copied>>>,
}

struct Copied {
    group: String,
    progress: Arc<Progress>,
}

impl Kinds {
    /// An informer copies this kind.
    pub(super) fn add(&self, group: &str, kind: &str, progress: &Arc<Progress>) {
        let copied = Copied { group: group.to_owned(), progress: progress.clone() };
        self.by_kind.write().entry(kind.to_owned()).or_default().push(copied);
    }

    /// Copies of the written object's kind that do not contain the write yet, and its version.
    pub(super) fn unseen(&self, written: &Written) -> Vec<(Arc<Progress>, u64)> {
        let version = written.resource_version;
        let by_kind = self.by_kind.read();
        let copies = by_kind.get(&written.kind).into_iter().flatten();
        copies
            .filter(|copy| copy.group == written.group && !copy.progress.has_seen(version))
            .map(|copy| (copy.progress.clone(), version))
            .collect()
    }
}
