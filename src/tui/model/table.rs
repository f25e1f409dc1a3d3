//! A list that is kept sorted and filtered while its rows change one by one.
//!
//! A change costs what the change costs: the row is made anew, and it moves only if what it is
//! sorted by has changed. However many rows move at once, those that stay are not compared with
//! each other.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::filter::Filter;
use super::row::{Column, Row, Sort};
use crate::client::ObjectKey;
use crate::tui::rows::Severity;

/// Rows of one list.
pub(in crate::tui) struct Table {
    pub(in crate::tui) columns: Vec<Column>,
    rows: HashMap<ObjectKey, Arc<Entry>>,
    /// Those that the filter keeps, sorted by `Entry::sorted_by`.
    order: Vec<Arc<Entry>>,
    groups: HashMap<ObjectKey, BTreeMap<ObjectKey, Arc<Entry>>>,
    counts: BTreeMap<(u8, &'static str, &'static str), usize>,
    look: Look,
    filter: Filter,
}

/// How a list is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Look {
    /// The filter as typed.
    pub(in crate::tui) filter: String,
    /// Only rows that are not calm.
    pub(in crate::tui) problems_only: bool,
    pub(in crate::tui) sort: Sort,
}

struct Entry {
    row: Arc<Row>,
    sorted_by: Arc<[u8]>,
    shown: bool,
}

impl Table {
    pub(in crate::tui) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: HashMap::new(),
            order: Vec::new(),
            groups: HashMap::new(),
            counts: BTreeMap::new(),
            look: Look::default(),
            filter: Filter::All,
        }
    }

    /// Takes changes: the row that an object has now, or none if it went.
    pub(in crate::tui) fn apply(&mut self, changes: Vec<(ObjectKey, Option<Row>)>) {
        self.apply_telling(changes, |_, _| {});
    }

    /// The same, telling of each change which row there was and is.
    pub(in crate::tui) fn apply_telling(
        &mut self,
        changes: Vec<(ObjectKey, Option<Row>)>,
        mut tell: impl FnMut(Option<&Arc<Row>>, Option<&Arc<Row>>),
    ) {
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for (key, row) in changes {
            let old = self.rows.remove(&key);
            if let Some(old) = &old {
                self.forget(old);
            }
            let new = row.map(|row| self.remember(key, row));
            tell(old.as_ref().map(|old| &old.row), new.as_ref().map(|new| &new.row));
            gone.extend(old.filter(|old| old.shown));
            come.extend(new.filter(|new| new.shown));
        }
        self.rearrange(&gone, come);
    }

    /// Takes the whole list; what is not in it is gone.
    pub(in crate::tui) fn replace(&mut self, rows: Vec<(ObjectKey, Row)>) {
        let mut changes: HashMap<ObjectKey, Option<Row>> =
            self.rows.keys().map(|key| (key.clone(), None)).collect();
        changes.extend(rows.into_iter().map(|(key, row)| (key, Some(row))));
        self.apply(changes.into_iter().collect());
    }

    /// Sorts and filters as asked; nothing happens if that is how it is.
    pub(in crate::tui) fn look(&mut self, look: &Look) {
        if self.look == *look {
            return;
        }
        let sort_again = self.look.sort != look.sort;
        self.filter = Filter::parse(&look.filter);
        self.look = look.clone();
        let rows: Vec<Arc<Entry>> = self.rows.values().cloned().collect();
        for entry in rows {
            let sorted_by = match sort_again {
                true => self.look.sort.key(&entry.row).into(),
                false => entry.sorted_by.clone(),
            };
            let new = self.entry(entry.row.clone(), sorted_by);
            if let Some(group) = &new.row.group {
                self.groups
                    .entry(group.clone())
                    .or_default()
                    .insert(new.row.key.clone(), new.clone());
            }
            self.rows.insert(new.row.key.clone(), new);
        }
        self.order = self.rows.values().filter(|entry| entry.shown).cloned().collect();
        self.order.sort_unstable_by(|a, b| compared(a, b));
    }

    /// Rows that the filter keeps.
    pub(in crate::tui) fn len(&self) -> usize {
        self.order.len()
    }

    /// All rows.
    pub(in crate::tui) fn total(&self) -> usize {
        self.rows.len()
    }

    pub(in crate::tui) fn at(&self, index: usize) -> Option<&Row> {
        self.order.get(index).map(|entry| entry.row.as_ref())
    }

    pub(in crate::tui) fn get(&self, key: &ObjectKey) -> Option<&Row> {
        self.rows.get(key).map(|entry| entry.row.as_ref())
    }

    /// Where a row stands; none if it is not shown.
    pub(in crate::tui) fn position(&self, key: &ObjectKey) -> Option<usize> {
        let entry = self.rows.get(key).filter(|entry| entry.shown)?;
        self.find(entry).ok()
    }

    /// Rows of a group, by key.
    pub(in crate::tui) fn group(&self, group: &ObjectKey) -> impl Iterator<Item = &Row> {
        self.groups
            .get(group)
            .into_iter()
            .flat_map(|rows| rows.values())
            .map(|entry| entry.row.as_ref())
    }

    /// How many rows are in which state, sign and word, the worst first.
    pub(in crate::tui) fn counts(
        &self,
    ) -> impl Iterator<Item = (u8, &'static str, &'static str, usize)> {
        self.counts.iter().map(|((severity, sign, word), count)| (*severity, *sign, *word, *count))
    }

    fn entry(&self, row: Arc<Row>, sorted_by: Arc<[u8]>) -> Arc<Entry> {
        #[cfg(test)]
        super::work::count();
        let shown =
            self.filter.keeps(&row) && (!self.look.problems_only || row.severity != Severity::Calm);
        Arc::new(Entry { row, sorted_by, shown })
    }

    fn remember(&mut self, key: ObjectKey, row: Row) -> Arc<Entry> {
        let sorted_by = self.look.sort.key(&row).into();
        let entry = self.entry(Arc::new(row), sorted_by);
        let (sign, word) = entry.row.state;
        *self.counts.entry((entry.row.severity as u8, sign, word)).or_default() += 1;
        if let Some(group) = &entry.row.group {
            self.groups.entry(group.clone()).or_default().insert(key.clone(), entry.clone());
        }
        self.rows.insert(key, entry.clone());
        entry
    }

    fn forget(&mut self, entry: &Entry) {
        let (sign, word) = entry.row.state;
        let state = (entry.row.severity as u8, sign, word);
        if let Some(count) = self.counts.get_mut(&state) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&state);
            }
        }
        let Some(group) = &entry.row.group else { return };
        if let Some(rows) = self.groups.get_mut(group) {
            rows.remove(&entry.row.key);
            if rows.is_empty() {
                self.groups.remove(group);
            }
        }
    }

    /// Where an entry stands among those in order, or would stand.
    fn find(&self, entry: &Entry) -> Result<usize, usize> {
        self.order.binary_search_by(|other| compared(other, entry))
    }

    /// Takes entries out of the order and puts others in; what stays keeps its order.
    fn rearrange(&mut self, gone: &[Arc<Entry>], mut come: Vec<Arc<Entry>>) {
        // Of several changes of one row the last one counts.
        come.retain(|entry| {
            self.rows.get(&entry.row.key).is_some_and(|now| Arc::ptr_eq(now, entry))
        });
        let mut added = Vec::new();
        for entry in come {
            match self.find(&entry) {
                Ok(place) => self.order[place] = entry,
                Err(place) => added.push((place, entry)),
            }
        }
        // Those whose place another has taken are not found any more.
        let found = |entry: &Arc<Entry>| {
            self.find(entry).ok().filter(|place| Arc::ptr_eq(&self.order[*place], entry))
        };
        let mut removed: Vec<usize> = gone.iter().filter_map(found).collect();
        if added.is_empty() && removed.is_empty() {
            return;
        }
        removed.sort_unstable();
        added.sort_unstable_by(|a, b| compared(&a.1, &b.1));
        let mut order = Vec::with_capacity(self.order.len() + added.len() - removed.len());
        let (mut added, mut removed) =
            (added.into_iter().peekable(), removed.into_iter().peekable());
        for (place, entry) in std::mem::take(&mut self.order).into_iter().enumerate() {
            while let Some((_, new)) = added.next_if(|(before, _)| *before <= place) {
                order.push(new);
            }
            if removed.next_if_eq(&place).is_none() {
                order.push(entry);
            }
        }
        order.extend(added.map(|(_, entry)| entry));
        self.order = order;
    }
}

fn compared(a: &Entry, b: &Entry) -> Ordering {
    #[cfg(test)]
    super::work::count();
    a.sorted_by.cmp(&b.sorted_by)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::model::row::{Cell, Object, column};

    const COLUMNS: &[Column] = &[column("NAME", 0), column("N", 0)];

    fn row(name: u8, value: i64) -> Row {
        let name = format!("n-{name}");
        Row {
            key: ObjectKey::new("default", name.clone()),
            object: Object::Named { api_version: "v1".into(), kind: "X".into() },
            severity: if value % 3 == 0 { Severity::Failed } else { Severity::Calm },
            state: ("x", if value % 3 == 0 { "bad" } else { "good" }),
            cells: vec![Cell::text(name), Cell::Number(value)],
            group: Some(ObjectKey::new("default", format!("g-{}", value % 2))),
            why: String::new(),
        }
    }

    proptest! {
        /// However changes come, the list is what sorting and filtering from scratch gives.
        #[test]
        fn changes_one_by_one_equal_a_fresh_list(
            batches in prop::collection::vec(
                prop::collection::vec((0u8..60, prop::option::of(-5i64..50)), 0..70), 1..8),
            column in prop::option::of(0usize..2), descending: bool,
        ) {
            let mut table = Table::new(COLUMNS);
            let sort = Sort { column, descending };
            table.look(&Look { filter: "!7".into(), problems_only: false, sort });
            let mut expected: BTreeMap<ObjectKey, Row> = BTreeMap::new();
            for batch in batches {
                let changes: Vec<_> = batch.into_iter().map(|(name, value)| {
                    let key = ObjectKey::new("default", format!("n-{name}"));
                    (key, value.map(|value| row(name, value)))
                }).collect();
                for (key, row) in &changes {
                    match row {
                        Some(row) => { expected.insert(key.clone(), row.clone()); }
                        None => { expected.remove(key); }
                    }
                }
                table.apply(changes);
                let filter = Filter::parse("!7");
                let mut wanted: Vec<&Row> =
                    expected.values().filter(|row| filter.keeps(row)).collect();
                wanted.sort_by_key(|row| sort.key(row));
                let shown: Vec<_> = (0..table.len()).map(|index| table.at(index).unwrap()).collect();
                prop_assert_eq!(
                    shown.iter().map(|row| (&row.key, &row.cells)).collect::<Vec<_>>(),
                    wanted.iter().map(|row| (&row.key, &row.cells)).collect::<Vec<_>>()
                );
                for (index, row) in wanted.iter().enumerate() {
                    prop_assert_eq!(table.position(&row.key), Some(index));
                }
                let counted: usize = table.counts().map(|(.., count)| count).sum();
                prop_assert_eq!(counted, expected.len());
                let group = ObjectKey::new("default", "g-1");
                let grouped = expected.values().filter(|row| row.group.as_ref() == Some(&group));
                prop_assert_eq!(table.group(&group).count(), grouped.count());
            }
        }
    }
}
