//! Ordered reads of many objects, now or at an older revision.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::table::{Keyed, Slot, compare};
use super::{Compacted, Entry, ResourceKey, State, Store};

/// Which objects to read.
#[derive(Clone, Copy, Debug)]
pub struct RangeQuery<'a> {
    /// Resource.
    pub resource: &'a ResourceKey,
    /// One namespace, or all if `None`.
    pub namespace: Option<&'a str>,
    /// Start behind this namespace and name.
    pub after: Option<(&'a str, &'a str)>,
    /// State at this revision, or the latest if `None`.
    pub at: Option<u64>,
    /// Objects to return at most; 0 for no limit.
    pub limit: usize,
}

/// Objects read.
#[derive(Debug)]
pub struct Page {
    /// Objects, in the order of [`compare`].
    pub entries: Vec<Arc<Entry>>,
    /// Revision of the state that was read.
    pub revision: u64,
    /// Objects of the collection that follow the last one returned, whether they pass or not: as
    /// in etcd, nobody looks at them. (kubernetes 1.36: storage/continue.go, PrepareContinueToken)
    pub remaining: usize,
}

impl Store {
    /// Reads objects in order that pass `keep`.
    ///
    /// # Errors
    /// [`Compacted`] when the wanted revision is no longer in the log.
    pub fn range(
        &self,
        query: RangeQuery<'_>,
        mut keep: impl FnMut(&Entry) -> bool,
    ) -> Result<Page, Compacted> {
        let state = self.shared.state.read();
        let revision = query.at.unwrap_or(state.revision);
        let mut page = Page { entries: Vec::new(), revision, remaining: 0 };
        let mut take = |entry: &Arc<Entry>| {
            if query.limit > 0 && page.entries.len() == query.limit {
                page.remaining += 1;
            } else if keep(entry) {
                page.entries.push(entry.clone());
            }
        };
        if revision < state.revision {
            state.past(query, revision)?.iter().for_each(|slot| take(&slot.0));
        } else if let Some(table) = state.tables.get(query.resource) {
            table.range(query.namespace, query.after).for_each(take);
        }
        Ok(page)
    }
}

impl State {
    /// The queried objects as they were at `revision`: the present with the log undone.
    fn past(&self, query: RangeQuery<'_>, revision: u64) -> Result<BTreeSet<Slot>, Compacted> {
        let Some(table) = self.tables.get(query.resource) else { return Ok(BTreeSet::new()) };
        let mut objects: BTreeSet<Slot> =
            table.range(query.namespace, query.after).cloned().map(Slot).collect();
        for event in table.undo_until(revision)? {
            let meta = &event.entry.meta;
            let place = (&*meta.namespace, &*meta.name);
            if query.namespace.is_some_and(|namespace| namespace != place.0)
                || query.after.is_some_and(|after| compare(place, after).is_le())
            {
                continue;
            }
            match &event.previous {
                Some(previous) => objects.replace(Slot(previous.clone())).is_some(),
                None => objects.remove(&place as &dyn Keyed),
            };
        }
        Ok(objects)
    }
}
