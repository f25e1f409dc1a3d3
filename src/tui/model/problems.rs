//! What is wrong, by cause: the same trouble of many objects is one row.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::row::{Cell, Column, Row, column};
use crate::client::ObjectKey;
use crate::tui::rows::Severity;

/// Columns of problems.
pub(in crate::tui) const COLUMNS: &[Column] = &[
    column("STATE", 0),
    column("OBJECTS", 0),
    column("KIND", 2),
    column("CAUSE", 0),
    column("FOR EXAMPLE", 3),
];

/// All that is not calm by kind and cause, kept up to date row by row.
#[derive(Default)]
pub(in crate::tui) struct Causes {
    /// By kind and cause, which stand for namespace and name.
    groups: HashMap<ObjectKey, Group>,
    /// Those that changed since somebody last asked.
    touched: HashSet<ObjectKey>,
}

/// Objects in the same trouble.
#[derive(Default)]
struct Group {
    members: BTreeMap<ObjectKey, Arc<Row>>,
    /// How many are in which state, the worst first.
    states: BTreeMap<(Severity, &'static str, &'static str), usize>,
}

impl Causes {
    /// A row that was so is now so.
    pub(in crate::tui) fn change(&mut self, old: Option<&Arc<Row>>, new: Option<&Arc<Row>>) {
        if let Some(old) = old.filter(|row| row.severity != Severity::Calm) {
            let key = key_of(old);
            if let Some(group) = self.groups.get_mut(&key) {
                group.forget(old);
                if group.members.is_empty() {
                    self.groups.remove(&key);
                }
            }
            self.touched.insert(key);
        }
        if let Some(new) = new.filter(|row| row.severity != Severity::Calm) {
            let key = key_of(new);
            self.groups.entry(key.clone()).or_default().remember(new);
            self.touched.insert(key);
        }
    }

    /// Whether there is something to take.
    pub(in crate::tui) fn changed(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Rows of the causes that changed since the last time, or none where a cause has gone.
    pub(in crate::tui) fn take(&mut self) -> Vec<(ObjectKey, Option<Row>)> {
        let touched = std::mem::take(&mut self.touched);
        let row = |key: ObjectKey| {
            let row = self.groups.get(&key).and_then(|group| group.row(&key));
            (key, row)
        };
        touched.into_iter().map(row).collect()
    }
}

impl Group {
    fn remember(&mut self, row: &Arc<Row>) {
        self.members.insert(row.key.clone(), row.clone());
        *self.states.entry(state_of(row)).or_default() += 1;
    }

    fn forget(&mut self, row: &Row) {
        if self.members.remove(&row.key).is_none() {
            return;
        }
        let state = state_of(row);
        if let Some(count) = self.states.get_mut(&state) {
            *count -= 1;
            if *count == 0 {
                self.states.remove(&state);
            }
        }
    }

    fn row(&self, key: &ObjectKey) -> Option<Row> {
        let (kind, cause) = (&key.namespace, &key.name);
        // Which object stands for the group must not depend on the order of reading.
        let example = self.members.values().next()?;
        let (severity, sign, word) = *self.states.keys().next()?;
        Some(Row {
            key: key.clone(),
            object: example.object.clone(),
            severity,
            state: (sign, word),
            cells: vec![
                Cell::State(sign, word.to_owned()),
                Cell::Number(i64::try_from(self.members.len()).unwrap_or(i64::MAX)),
                Cell::text(kind),
                Cell::text(cause),
                example.cells.first().cloned().unwrap_or(Cell::text("")),
            ],
            group: Some(example.key.clone()),
            why: cause.clone(),
        })
    }
}

fn state_of(row: &Row) -> (Severity, &'static str, &'static str) {
    let (sign, word) = row.state;
    (row.severity, sign, word)
}

fn key_of(row: &Row) -> ObjectKey {
    let (_, kind) = row.object.kind();
    ObjectKey::new(kind, cause(row))
}

/// The reason of a row without what differs from object to object: names, and words with numbers.
fn cause(row: &Row) -> String {
    #[cfg(test)]
    super::work::count();
    let first = row.why.split("; ").next().unwrap_or_default();
    if first.is_empty() {
        return row.state.1.to_lowercase();
    }
    let own = |word: &str| {
        word.contains(&row.key.name)
            || row
                .group
                .as_ref()
                .is_some_and(|group| !group.name.is_empty() && word.contains(&group.name))
            || (word.contains('-') && word.chars().any(|c| c.is_ascii_digit()))
    };
    let mut words: Vec<&str> = Vec::new();
    for word in first.split(' ') {
        let shown = if own(word) { "…" } else { word };
        // "Machines …, …, …" says no more than "Machines …".
        if shown != "…" || words.last() != Some(&"…") {
            words.push(shown);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::model::row::Object;

    fn row(name: &str, severity: Severity, why: &str) -> Arc<Row> {
        Arc::new(Row {
            key: ObjectKey::new("default", name),
            object: Object::Named { api_version: String::new(), kind: "Cluster".into() },
            severity,
            state: ("x", "State"),
            cells: vec![Cell::text(name)],
            group: None,
            why: why.to_owned(),
        })
    }

    type Shown = (Cell, Cell, Severity);

    /// Rows of causes as cause, count and example.
    fn taken(causes: &mut Causes) -> Vec<(String, Option<Shown>)> {
        let shown = |row: Row| (row.cells[1].clone(), row.cells[4].clone(), row.severity);
        let rows = causes.take().into_iter();
        let mut rows: Vec<_> = rows.map(|(key, row)| (key.name, row.map(shown))).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    }

    #[test]
    fn the_same_trouble_of_many_is_one_row() {
        let all = [
            row("a-2", Severity::Busy, "Machine a-2-cp-x1: waiting; Other"),
            row("a-1", Severity::Degraded, "Machine a-1-cp-y2: waiting"),
            row("b", Severity::Failed, ""),
            row("c", Severity::Calm, ""),
        ];
        let mut causes = Causes::default();
        all.iter().for_each(|row| causes.change(None, Some(row)));
        let waiting = |count, name: &str, severity| {
            let row = Some((Cell::Number(count), Cell::text(name), severity));
            ("Machine … waiting".to_owned(), row)
        };
        let failed = Some((Cell::Number(1), Cell::text("b"), Severity::Failed));
        let first = [waiting(2, "a-1", Severity::Degraded), ("state".to_owned(), failed)];
        assert_eq!(taken(&mut causes), first);
        assert!(!causes.changed(), "what was taken is not news any more");
        causes.change(Some(&all[1]), None);
        assert_eq!(taken(&mut causes), [waiting(1, "a-2", Severity::Busy)]);
        causes.change(Some(&all[0]), Some(&row("a-2", Severity::Calm, "")));
        assert_eq!(taken(&mut causes), [("Machine … waiting".to_owned(), None)]);
    }
}
