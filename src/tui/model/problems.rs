//! What is wrong, by cause: the same trouble of many objects is one row.

use std::collections::BTreeMap;

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

/// One cause.
struct Group<'a> {
    severity: Severity,
    state: (&'static str, &'static str),
    count: i64,
    example: &'a Row,
}

/// Rows of all that is not calm, by kind and cause.
pub(in crate::tui) fn rows<'a>(all: impl Iterator<Item = &'a Row>) -> Vec<(ObjectKey, Row)> {
    let mut groups: BTreeMap<(String, String), Group<'a>> = BTreeMap::new();
    for row in all.filter(|row| row.severity != Severity::Calm) {
        let (_, kind) = row.object.kind();
        let cause = cause(row);
        let group = groups.entry((kind.to_owned(), cause)).or_insert(Group {
            severity: row.severity,
            state: row.state,
            count: 0,
            example: row,
        });
        group.count += 1;
        if row.severity < group.severity {
            (group.severity, group.state) = (row.severity, row.state);
        }
        // Which object stands for the group must not depend on the order of reading.
        if row.key < group.example.key {
            group.example = row;
        }
    }
    groups.into_iter().map(|((kind, cause), group)| group.row(&kind, cause)).collect()
}

impl Group<'_> {
    fn row(self, kind: &str, cause: String) -> (ObjectKey, Row) {
        let key = ObjectKey::new(kind, cause.clone());
        let (sign, word) = self.state;
        let row = Row {
            key: key.clone(),
            object: self.example.object.clone(),
            severity: self.severity,
            state: self.state,
            cells: vec![
                Cell::State(sign, word.to_owned()),
                Cell::Number(self.count),
                Cell::text(kind),
                Cell::Text(cause.clone()),
                self.example.cells.first().cloned().unwrap_or(Cell::text("")),
            ],
            group: Some(self.example.key.clone()),
            why: cause,
        };
        (key, row)
    }
}

/// The reason of a row without what differs from object to object: names, and words with numbers.
fn cause(row: &Row) -> String {
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

    fn row(name: &str, severity: Severity, why: &str) -> Row {
        Row {
            key: ObjectKey::new("default", name),
            object: Object::Named { api_version: String::new(), kind: "Cluster".into() },
            severity,
            state: ("x", "State"),
            cells: vec![Cell::text(name)],
            group: None,
            why: why.to_owned(),
        }
    }

    #[test]
    fn the_same_trouble_of_many_is_one_row() {
        let all = [
            row("a-2", Severity::Busy, "Machine a-2-cp-x1: waiting; Other"),
            row("a-1", Severity::Degraded, "Machine a-1-cp-y2: waiting"),
            row("b", Severity::Failed, ""),
            row("c", Severity::Calm, ""),
        ];
        let rows = rows(all.iter());
        let shown: Vec<_> = rows
            .iter()
            .map(|(_, row)| (row.why.as_str(), row.cells[1].clone(), row.cells[4].clone()))
            .collect();
        assert_eq!(
            shown,
            [
                ("Machine … waiting", Cell::Number(2), Cell::text("a-1")),
                ("state", Cell::Number(1), Cell::text("b")),
            ]
        );
        assert_eq!(rows[0].1.severity, Severity::Degraded);
    }
}
