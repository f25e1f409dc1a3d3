//! The objects and events of one resource.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::Notify;

use super::{Compacted, Entry, Event};

/// Objects of one resource, by namespace and name, and their recent events.
#[derive(Debug, Default)]
pub(super) struct Table {
    objects: BTreeSet<Slot>,
    /// Ascending by revision.
    events: VecDeque<Arc<Event>>,
    /// Events up to this revision are forgotten.
    compacted: u64,
    changed: Arc<Notify>,
}

/// An object in its place in the order; the key lies in the object.
#[derive(Clone, Debug)]
pub(super) struct Slot(pub(super) Arc<Entry>);

/// Compares namespaces and names as etcd compares the keys `NAMESPACE/NAME`, which is the order of
/// kube-apiserver's lists: `a-b/x` comes before `a/x`.
pub(super) fn compare(one: (&str, &str), other: (&str, &str)) -> Ordering {
    let (first, second) = (one.0.as_bytes(), other.0.as_bytes());
    let shared = first.len().min(second.len());
    let by_namespace = first[..shared].cmp(&second[..shared]).then_with(|| {
        // One is the other's beginning; its next character is the slash.
        let next = |namespace: &[u8]| namespace.get(shared).copied().unwrap_or(b'/');
        next(first).cmp(&next(second))
    });
    by_namespace.then_with(|| one.1.cmp(other.1))
}

/// Anything that sorts by namespace and name.
pub(super) trait Keyed {
    fn key(&self) -> (&str, &str);
}

impl Keyed for Slot {
    fn key(&self) -> (&str, &str) {
        (&self.0.meta.namespace, &self.0.meta.name)
    }
}

impl Keyed for (&str, &str) {
    fn key(&self) -> (&str, &str) {
        *self
    }
}

impl PartialEq for dyn Keyed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for dyn Keyed + '_ {}
impl PartialOrd for dyn Keyed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for dyn Keyed + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.key(), other.key())
    }
}
impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Slot {}
impl PartialOrd for Slot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Slot {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.key(), other.key())
    }
}
impl<'a> Borrow<dyn Keyed + 'a> for Slot {
    fn borrow(&self) -> &(dyn Keyed + 'a) {
        self
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Bytes of all objects.
    pub(super) fn bytes(&self) -> usize {
        self.objects.iter().map(|Slot(entry)| entry.raw.len()).sum()
    }

    pub(super) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        let key = (namespace, name);
        self.objects.get(&key as &dyn Keyed).map(|slot| slot.0.clone())
    }

    /// Puts an object into its place.
    pub(super) fn put(&mut self, entry: Arc<Entry>) {
        self.objects.replace(Slot(entry));
    }

    /// Takes an object out.
    pub(super) fn remove(&mut self, namespace: &str, name: &str) {
        let key = (namespace, name);
        self.objects.remove(&key as &dyn Keyed);
    }

    /// Objects in order, of one namespace or all, after a key if given.
    pub(super) fn range<'a>(
        &'a self,
        namespace: Option<&'a str>,
        after: Option<(&'a str, &'a str)>,
    ) -> impl Iterator<Item = &'a Arc<Entry>> {
        let first = (namespace.unwrap_or_default(), "");
        let after = after.filter(|after| compare(*after, first).is_ge());
        let start: Bound<&dyn Keyed> = match &after {
            Some(key) => Bound::Excluded(key as &dyn Keyed),
            None => Bound::Included(&first as &dyn Keyed),
        };
        self.objects
            .range::<dyn Keyed, _>((start, Bound::Unbounded))
            .map(|slot| &slot.0)
            .take_while(move |entry| {
                namespace.is_none_or(|wanted| &*entry.meta.namespace == wanted)
            })
    }

    /// Adds an event to the log; the caller has applied it.
    pub(super) fn append(&mut self, event: Arc<Event>) {
        debug_assert!(self.events.back().is_none_or(|last| last.revision < event.revision));
        self.events.push_back(event);
    }

    /// Forgets the oldest event and tells how many bytes it held.
    pub(super) fn forget_oldest(&mut self) -> Option<Arc<Event>> {
        let event = self.events.pop_front()?;
        self.compacted = event.revision;
        Some(event)
    }

    pub(super) fn events_after(
        &self,
        revision: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, Compacted> {
        self.check(revision)?;
        let start = self.events.partition_point(|event| event.revision <= revision);
        Ok(self.events.range(start..).take(limit).cloned().collect())
    }

    /// Events after `revision`, newest first, to be undone.
    pub(super) fn undo_until(
        &self,
        revision: u64,
    ) -> Result<impl Iterator<Item = &Arc<Event>>, Compacted> {
        self.check(revision)?;
        Ok(self.events.iter().rev().take_while(move |event| event.revision > revision))
    }

    fn check(&self, revision: u64) -> Result<(), Compacted> {
        if revision < self.compacted {
            return Err(Compacted { requested: revision, compacted: self.compacted });
        }
        Ok(())
    }
}
