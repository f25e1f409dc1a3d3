//! One line of a list: cells as data, so that only lines in sight become text, and everything by
//! which lines are sorted, searched and grouped.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::conditions::Condition;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine, MachineDeployment, MachineSet};
use crate::api::pools::MachinePool;
use crate::api::topology::ClusterClass;
use crate::client::{ClientRequests, ObjectKey};
use crate::tui::rows::Severity;
use crate::tui::text::age;

/// A cell as data.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) enum Cell {
    /// Text, printable already.
    Text(String),
    /// How many of how many; absent if unknown.
    Count(Option<(i64, i64)>),
    /// A number.
    Number(i64),
    /// A number as people write it, and by what it is sorted.
    Measure(String, i64),
    /// Time since.
    Age(Option<Timestamp>),
    /// Sign and word of a state.
    State(&'static str, String),
}

impl Cell {
    pub(in crate::tui) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// What the screen shows.
    pub(in crate::tui) fn shown(&self, now: Timestamp) -> String {
        #[cfg(test)]
        super::work::count();
        match self {
            Self::Text(text) | Self::Measure(text, _) => text.clone(),
            Self::Count(None) => "-".to_owned(),
            Self::Count(Some((have, want))) => format!("{have}/{want}"),
            Self::Number(number) => number.to_string(),
            Self::Age(time) => age(*time, now),
            Self::State(sign, word) => format!("{sign} {word}"),
        }
    }

    /// What a filter looks at; ages are not searched.
    pub(in crate::tui) fn searched(&self) -> Option<String> {
        match self {
            Self::Age(_) => None,
            Self::State(_, word) => Some(word.clone()),
            cell => Some(cell.shown(Timestamp::UNIX_EPOCH)),
        }
    }
}

/// The object behind a row, shared with the informer.
#[derive(Clone, Debug)]
pub(in crate::tui) enum Object {
    Cluster(Arc<Cluster>),
    Machine(Arc<Machine>),
    ControlPlane(Arc<KubeadmControlPlane>),
    Deployment(Arc<MachineDeployment>),
    Set(Arc<MachineSet>),
    Pool(Arc<MachinePool>),
    Class(Arc<ClusterClass>),
    Event(Arc<Event>),
    /// A client of the management API, which is no object.
    Client(Arc<ClientRequests>),
    /// Only these names are known.
    Named {
        api_version: String,
        kind: String,
    },
}

impl Object {
    pub(in crate::tui) fn metadata(&self) -> Option<&ObjectMeta> {
        Some(match self {
            Self::Cluster(object) => &object.metadata,
            Self::Machine(object) => &object.metadata,
            Self::ControlPlane(object) => &object.metadata,
            Self::Deployment(object) => &object.metadata,
            Self::Set(object) => &object.metadata,
            Self::Pool(object) => &object.metadata,
            Self::Class(object) => &object.metadata,
            Self::Event(object) => &object.metadata,
            Self::Client(_) | Self::Named { .. } => return None,
        })
    }

    /// apiVersion and kind.
    pub(in crate::tui) fn kind(&self) -> (&str, &str) {
        const CORE: &str = "cluster.x-k8s.io/v1beta2";
        match self {
            Self::Cluster(_) => (CORE, "Cluster"),
            Self::Machine(_) => (CORE, "Machine"),
            Self::ControlPlane(_) => {
                ("controlplane.cluster.x-k8s.io/v1beta2", "KubeadmControlPlane")
            }
            Self::Deployment(_) => (CORE, "MachineDeployment"),
            Self::Set(_) => (CORE, "MachineSet"),
            Self::Pool(_) => (CORE, "MachinePool"),
            Self::Class(_) => (CORE, "ClusterClass"),
            Self::Event(_) => ("v1", "Event"),
            Self::Client(_) => ("", "Client"),
            Self::Named { api_version, kind } => (api_version, kind),
        }
    }

    pub(in crate::tui) fn conditions(&self) -> &[Condition] {
        fn of<S>(status: Option<&S>, conditions: impl Fn(&S) -> &[Condition]) -> &[Condition] {
            status.map(conditions).unwrap_or_default()
        }
        match self {
            Self::Cluster(object) => of(object.status.as_ref(), |status| &status.conditions),
            Self::Machine(object) => of(object.status.as_ref(), |status| &status.conditions),
            Self::ControlPlane(object) => of(object.status.as_ref(), |status| &status.conditions),
            Self::Deployment(object) => of(object.status.as_ref(), |status| &status.conditions),
            Self::Set(object) => of(object.status.as_ref(), |status| &status.conditions),
            Self::Pool(object) => of(object.status.as_ref(), |status| &status.conditions),
            Self::Class(object) => of(object.status.as_ref(), |status| &status.conditions),
            Self::Event(_) | Self::Client(_) | Self::Named { .. } => &[],
        }
    }

    pub(in crate::tui) fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.metadata()?.labels.as_ref()
    }
}

/// One line.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Row {
    pub(in crate::tui) key: ObjectKey,
    pub(in crate::tui) object: Object,
    pub(in crate::tui) severity: Severity,
    /// Word of the state, for totals.
    pub(in crate::tui) state: (&'static str, &'static str),
    /// In the order of the table's columns.
    pub(in crate::tui) cells: Vec<Cell>,
    /// What it belongs to: of machines the cluster, of events `Kind/name`.
    pub(in crate::tui) group: Option<ObjectKey>,
    /// Why it is not as it should be, for people; empty if it is.
    pub(in crate::tui) why: String,
}

impl Row {
    /// A row of which only text is known.
    pub(in crate::tui) fn named(
        key: ObjectKey,
        object: Object,
        cells: impl Iterator<Item = Cell>,
    ) -> Self {
        Self {
            key,
            object,
            severity: Severity::Calm,
            state: ("", ""),
            cells: cells.collect(),
            group: None,
            why: String::new(),
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Column {
    pub(in crate::tui) header: Cow<'static, str>,
    /// Narrow screens leave out the highest first; 0 always stays.
    pub(in crate::tui) rank: u8,
}

/// Short for tables of columns.
pub(in crate::tui) const fn column(header: &'static str, rank: u8) -> Column {
    Column { header: Cow::Borrowed(header), rank }
}

/// How rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Sort {
    /// Column; none for problems first, then names.
    pub(in crate::tui) column: Option<usize>,
    pub(in crate::tui) descending: bool,
}

impl Sort {
    /// Bytes that compare as the rows shall.
    pub(in crate::tui) fn key(self, row: &Row) -> Box<[u8]> {
        let mut bytes = Vec::with_capacity(48);
        match self.column.and_then(|column| row.cells.get(column)) {
            None => bytes.push(row.severity as u8),
            Some(cell) => push_cell(&mut bytes, cell, row.severity),
        }
        if self.descending {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        let zeros = push_natural(&mut bytes, &row.key.name);
        let more_zeros = push_natural(&mut bytes, &row.key.namespace);
        // No two rows compare equal: 2 and 02 are the same number, but not the same name.
        if zeros || more_zeros {
            bytes.extend(row.key.name.bytes());
            bytes.push(0);
            bytes.extend(row.key.namespace.bytes());
        }
        bytes.into()
    }
}

fn push_cell(bytes: &mut Vec<u8>, cell: &Cell, severity: Severity) {
    let mut number = |number: i64| {
        bytes.extend((number.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    };
    match cell {
        Cell::Text(text) => {
            push_natural(bytes, text);
        }
        Cell::Count(count) => {
            let (have, want) = count.unwrap_or((-1, -1));
            number(have);
            number(want);
        }
        Cell::Number(value) | Cell::Measure(_, value) => number(*value),
        // The youngest first: what is new is what one looks for.
        Cell::Age(time) => number(time.map_or(i64::MAX, |time| -time.as_second())),
        Cell::State(_, word) => {
            bytes.push(severity as u8);
            push_natural(bytes, word);
        }
    }
}

/// Text in which numbers compare as numbers (`test-2` before `test-10`), ended by a zero. Answers
/// whether zeros before numbers got lost.
fn push_natural(bytes: &mut Vec<u8>, text: &str) -> bool {
    let mut lost = false;
    let mut rest = text.as_bytes();
    while let Some(&first) = rest.first() {
        if !first.is_ascii_digit() {
            bytes.push(first.max(1));
            rest = &rest[1..];
            continue;
        }
        let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let zeros = number.iter().take_while(|byte| **byte == b'0').count().min(end - 1);
        bytes.push(b'0');
        lost |= zeros > 0;
        bytes.push(u8::try_from(end - zeros).unwrap_or(u8::MAX));
        bytes.extend(&number[zeros..]);
        rest = tail;
    }
    bytes.push(0);
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn natural(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_natural(&mut bytes, text);
        bytes
    }

    #[test]
    fn numbers_in_names_compare_as_numbers() {
        let mut names = ["test-10", "test-2", "a", "test-2-x", "test-002"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a", "test-2", "test-002", "test-2-x", "test-10"]);
    }

    #[test]
    fn no_two_rows_compare_equal() {
        let key = |name: &str, namespace: &str| {
            let object = Object::Named { api_version: "v1".into(), kind: "X".into() };
            let row = Row::named(ObjectKey::new(namespace, name), object, std::iter::empty());
            Sort::default().key(&row)
        };
        let mut keys = vec![
            key("test-2", "a-1"),
            key("test-02", "a-1"),
            key("test-002", "a-1"),
            key("test-2", "a-01"),
            key("test-02", "a-01"),
        ];
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 5);
    }

    #[test]
    fn unknown_counts_and_ages_have_their_place() {
        let key = |cell: &Cell| {
            let mut bytes = Vec::new();
            push_cell(&mut bytes, cell, Severity::Calm);
            bytes
        };
        assert!(key(&Cell::Count(None)) < key(&Cell::Count(Some((0, 3)))));
        assert!(key(&Cell::Count(Some((2, 3)))) < key(&Cell::Count(Some((10, 3)))));
        let at = |second| Cell::Age(Timestamp::from_second(second).ok());
        assert!(key(&at(20)) < key(&at(10)), "the youngest comes first");
        assert!(key(&Cell::Number(-1)) < key(&Cell::Number(1)));
    }
}
