//! Ordered reads of many objects, now or at an older revision.

use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// Objects, by namespace and name.
    pub entries: Vec<Arc<Entry>>,
    /// Revision of the state that was read.
    pub revision: u64,
    /// Objects that follow and would have been returned without the limit.
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
        let take = |entry: &Arc<Entry>| {
            if !keep(entry) {
                return;
            }
            if query.limit == 0 || page.entries.len() < query.limit {
                page.entries.push(entry.clone());
            } else {
                page.remaining += 1;
            }
        };
        if revision < state.revision {
            state.past(query, revision)?.values().for_each(take);
        } else if let Some(table) = state.tables.get(query.resource) {
            table.range(query.namespace, query.after).for_each(take);
        }
        Ok(page)
    }
}

impl State {
    /// The queried objects as they were at `revision`: the present with the log undone.
    fn past(
        &self,
        query: RangeQuery<'_>,
        revision: u64,
    ) -> Result<BTreeMap<(String, String), Arc<Entry>>, Compacted> {
        let Some(table) = self.tables.get(query.resource) else { return Ok(BTreeMap::new()) };
        let key = |entry: &Entry| (entry.meta.namespace.to_string(), entry.meta.name.to_string());
        let mut objects: BTreeMap<_, _> = table
            .range(query.namespace, query.after)
            .map(|entry| (key(entry), entry.clone()))
            .collect();
        for event in table.undo_until(revision)? {
            let meta = &event.entry.meta;
            let place = (&*meta.namespace, &*meta.name);
            if query.namespace.is_some_and(|namespace| namespace != place.0)
                || query.after.is_some_and(|after| place <= after)
            {
                continue;
            }
            match &event.previous {
                Some(previous) => objects.insert(key(previous), previous.clone()),
                None => objects.remove(&key(&event.entry)),
            };
        }
        Ok(objects)
    }
}
