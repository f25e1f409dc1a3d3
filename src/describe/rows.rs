//! Rows of a tree, cell by cell, as `clusterctl describe cluster` prints them.
//! (CAPI v1.14: internal/util/tree/tree.go)

use jiff::Timestamp;
use serde_json::Value;

use super::object::{self, Condition, is_negative};
use super::paragraph;
use super::tree::{Family, Filter, Node, Tree, What};
use crate::machinery::duration;

/// Columns.
pub const HEADERS: [&str; 9] = [
    "NAME",
    "REPLICAS",
    "AVAILABLE",
    "READY",
    "UP TO DATE",
    "STATUS",
    "REASON",
    "SINCE",
    "MESSAGE",
];
/// Columns of the v1beta1 family.
pub const HEADERS_V1BETA1: [&str; 6] = ["NAME", "READY", "SEVERITY", "REASON", "SINCE", "MESSAGE"];

/// Messages are broken at this width, unless the reader has less.
pub const MESSAGE_WIDTH: usize = 100;
/// Blanks between an object's branch and its conditions.
const FILLER: &str = "          ";

const FIRST: &str = "├─";
const LAST: &str = "└─";
const INDENT: &str = "  ";
const PIPE: &str = "│ ";

/// How a piece of text is meant; whoever draws it chooses the colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// Branches of the tree and hints.
    Dim,
    /// Names of objects.
    Strong,
    /// As it should be.
    Good,
    /// Wrong.
    Bad,
    /// Not known, or a warning.
    Doubtful,
    /// Types of conditions.
    Type,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// How it is meant.
    pub tone: Tone,
    /// Text, as objects have it.
    pub text: String,
}

/// A cell: pieces of text after each other.
pub type Cell = Vec<Span>;

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As many as there are columns.
    pub cells: Vec<Cell>,
    /// Kind of the object that begins here; `None` in conditions' and further lines, and in rows
    /// that stand for no single object.
    pub kind: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// All rows of a tree, as of `now`, with messages broken at a width.
pub fn rows(tree: &Tree<'_>, now: Timestamp, message_width: usize) -> Vec<Row> {
    let mut printer = Printer { tree, now, message_width, rows: Vec::new(), last: last(tree) };
    printer.object("", Tree::ROOT);
    printer.rows
}

/// The node whose row comes last.
fn last(tree: &Tree<'_>) -> usize {
    let mut id = Tree::ROOT;
    while let Some(child) = tree.children(id, row_name).last() {
        id = *child;
    }
    id
}

struct Printer<'a> {
    tree: &'a Tree<'a>,
    now: Timestamp,
    message_width: usize,
    rows: Vec<Row>,
    last: usize,
}

/// What a row says of its object in the columns behind the name.
#[derive(Default)]
struct Facts {
    replicas: String,
    available: String,
    ready: String,
    up_to_date: String,
    condition: Option<Condition>,
}

impl Printer<'_> {
    fn object(&mut self, prefix: &str, id: usize) {
        let node = self.tree.node(id);
        let (cells, more) = match self.tree.options.family {
            Family::V1Beta2 => self.cells(prefix, node),
            Family::V1Beta1 => (self.cells_v1beta1(prefix, node), Vec::new()),
        };
        let single = matches!(node.what, What::Object(_) | What::Reference);
        self.rows.push(Row {
            cells,
            kind: single.then(|| node.kind.clone()),
            name: single.then(|| node.name.clone()),
        });
        if !more.is_empty() {
            let branch = self.multiline_prefix(id);
            for line in more {
                self.continuation(&branch, line);
            }
        }
        if node.filter != Filter::None {
            self.conditions(prefix, node);
        }
        let children = self.tree.children(id, row_name);
        for (index, child) in children.iter().enumerate() {
            self.object(&child_prefix(prefix, index, children.len()), *child);
        }
    }

    /// Cells of an object's row, and the further lines of its message.
    fn cells(&self, prefix: &str, node: &Node<'_>) -> (Vec<Cell>, Vec<String>) {
        let facts = facts(node);
        // Where all conditions are shown, the row does not pick one.
        let condition = facts.condition.filter(|_| node.filter == Filter::None);
        let mut shown = condition.map(|it| self.condition(&it)).unwrap_or_default();
        if let Some(items) = group_items(node).filter(|_| node.filter == Filter::None) {
            shown.message = vec![items];
            shown.message_tone = Tone::Dim;
        }
        let mut message = shown.message.into_iter();
        let cells = vec![
            name_cell(prefix, node),
            plain(facts.replicas),
            plain(facts.available),
            plain(facts.ready),
            plain(facts.up_to_date),
            vec![Span { tone: shown.tone, text: shown.status }],
            plain(shown.reason),
            plain(shown.age),
            vec![Span { tone: shown.message_tone, text: message.next().unwrap_or_default() }],
        ];
        (cells, message.collect())
    }

    fn cells_v1beta1(&self, prefix: &str, node: &Node<'_>) -> Vec<Cell> {
        let condition = node.marks.ready.clone();
        let mut cells = self.condition_cells_v1beta1(condition.as_ref());
        cells.insert(0, name_cell(prefix, node));
        if let Some(items) = group_items(node)
            && let Some(message) = cells.last_mut()
        {
            *message = vec![Span { tone: Tone::Dim, text: items }];
        }
        cells
    }

    fn condition_cells_v1beta1(&self, condition: Option<&Condition>) -> Vec<Cell> {
        let Some(condition) = condition else { return vec![Vec::new(); 5] };
        let tone = match (condition.status.as_str(), condition.severity.as_str()) {
            ("True", _) => Tone::Good,
            ("False" | "Unknown", "Error") => Tone::Bad,
            ("False" | "Unknown", "Warning") => Tone::Doubtful,
            ("False" | "Unknown", _) => Tone::Plain,
            _ => Tone::Dim,
        };
        let toned = |text: &str| vec![Span { tone, text: text.to_owned() }];
        vec![
            toned(&condition.status),
            toned(&condition.severity),
            toned(&condition.reason),
            plain(self.age(condition)),
            plain(shortened(&condition.message)),
        ]
    }

    fn age(&self, condition: &Condition) -> String {
        let seconds = |since: Timestamp| self.now.as_second().saturating_sub(since.as_second());
        condition.since.map(|since| duration::human(seconds(since))).unwrap_or_default()
    }

    fn condition(&self, condition: &Condition) -> Shown {
        let (yes, no) = match is_negative(&condition.type_) {
            true => (Tone::Bad, Tone::Good),
            false => (Tone::Good, Tone::Bad),
        };
        let tone = match condition.status.as_str() {
            "True" => yes,
            "False" => no,
            "Unknown" => Tone::Doubtful,
            _ => Tone::Dim,
        };
        Shown {
            tone,
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            age: self.age(condition),
            message: paragraph::lines(&condition.message, self.message_width),
            message_tone: Tone::Plain,
        }
    }

    /// Rows of an object's conditions.
    fn conditions(&mut self, prefix: &str, node: &Node<'_>) {
        let What::Object(value) = node.what else { return };
        let pipe = if node.children.is_empty() { INDENT } else { PIPE };
        let prefix = format!("{prefix}{pipe}{FILLER}");
        let family = self.tree.options.family;
        let conditions = match family {
            Family::V1Beta2 => shown_conditions(value, node.filter),
            Family::V1Beta1 => {
                let mut others = object::v1beta1_conditions(value);
                others.retain(|condition| condition.type_ != "Ready");
                others.sort_by(|a, b| a.type_.cmp(&b.type_));
                others
            }
        };
        for (index, condition) in conditions.iter().enumerate() {
            let prefix = child_prefix(&prefix, index, conditions.len());
            let name = vec![
                Span { tone: Tone::Dim, text: prefix.clone() },
                Span { tone: Tone::Type, text: condition.type_.clone() },
            ];
            match family {
                Family::V1Beta2 => self.condition_row(&prefix, name, condition),
                Family::V1Beta1 => {
                    let mut cells = self.condition_cells_v1beta1(Some(condition));
                    cells.insert(0, name);
                    self.rows.push(Row { cells, kind: None, name: None });
                }
            }
        }
    }

    fn condition_row(&mut self, prefix: &str, name: Cell, condition: &Condition) {
        let shown = self.condition(condition);
        let mut message = shown.message.into_iter();
        let cells = vec![
            name,
            Vec::new(),
            Vec::new(),
            Vec::new(),
            Vec::new(),
            vec![Span { tone: shown.tone, text: shown.status }],
            plain(shown.reason),
            plain(shown.age),
            plain(message.next().unwrap_or_default()),
        ];
        self.rows.push(Row { cells, kind: None, name: None });
        let branch = match prefix.strip_suffix(FIRST) {
            Some(rest) => format!("{rest}{PIPE}"),
            None => prefix.strip_suffix(LAST).unwrap_or_default().to_owned(),
        };
        for line in message {
            self.continuation(&branch, line);
        }
    }

    fn continuation(&mut self, branch: &str, line: String) {
        let mut cells = vec![Vec::new(); HEADERS.len()];
        cells[0] = vec![Span { tone: Tone::Dim, text: branch.to_owned() }];
        cells[HEADERS.len() - 1] = plain(line);
        self.rows.push(Row { cells, kind: None, name: None });
    }

    /// The branches beside the further lines of an object's message.
    fn multiline_prefix(&self, id: usize) -> String {
        if id == self.last {
            return String::new();
        }
        let own = if self.tree.node(id).children.is_empty() { "" } else { PIPE };
        let mut parts = vec![own];
        let mut current = id;
        while let Some(parent) = self.tree.node(current).parent {
            let is_last = self.tree.children(parent, row_name).last() == Some(&current);
            parts.push(if is_last { INDENT } else { PIPE });
            current = parent;
        }
        parts.reverse();
        parts.concat()
    }
}

/// A condition's cells.
#[derive(Default)]
struct Shown {
    tone: Tone,
    status: String,
    reason: String,
    age: String,
    message: Vec<String>,
    message_tone: Tone,
}

fn plain(text: String) -> Cell {
    if text.is_empty() { Vec::new() } else { vec![Span { tone: Tone::Plain, text }] }
}

fn shortened(message: &str) -> String {
    let end = (0..=MESSAGE_WIDTH.min(message.len())).rev().find(|i| message.is_char_boundary(*i));
    match message.get(..end.unwrap_or_default()) {
        Some(start) if start.len() < message.len() => format!("{start} ..."),
        _ => message.to_owned(),
    }
}

fn shown_conditions(object: &Value, filter: Filter) -> Vec<Condition> {
    let mut all = object::conditions(object);
    if filter == Filter::NonZero {
        all.retain(|condition| {
            let summary = ["Available", "Ready"].contains(&condition.type_.as_str());
            summary || !condition.is_normal() || !condition.message.is_empty()
        });
    }
    all
}

/// The branches before a child, under the branches before its parent.
fn child_prefix(prefix: &str, index: usize, count: usize) -> String {
    let carried = prefix.replace(FIRST, PIPE).replace(LAST, INDENT);
    carried + if index + 1 < count { FIRST } else { LAST }
}

/// The first names of a group.
fn group_items(node: &Node<'_>) -> Option<String> {
    let What::Group(group) = &node.what else { return None };
    Some(match group.items.as_slice() {
        [first, second, _, ..] => format!("See {first}, {second}, ..."),
        items => format!("See {}", items.join(", ")),
    })
}

/// The name as text, which also gives the order among siblings.
fn row_name(node: &Node<'_>) -> String {
    name_cell("", node).into_iter().map(|span| span.text).collect()
}

fn name_cell(prefix: &str, node: &Node<'_>) -> Cell {
    let span = |tone, text: String| Span { tone, text };
    let branch = span(Tone::Dim, prefix.to_owned());
    match &node.what {
        What::Group(group) => {
            let kind = node.kind.strip_suffix("Group").unwrap_or(&node.kind);
            vec![branch, span(Tone::Strong, format!("{} {kind}s...", group.items.len()))]
        }
        What::Virtual => {
            let name = node.role.map_or_else(|| node.name.clone(), str::to_owned);
            vec![branch, span(Tone::Plain, name)]
        }
        What::Object(_) | What::Reference => {
            let mut cell = vec![branch];
            if let What::Object(value) = node.what
                && object::is_deleted(value)
            {
                cell.push(span(Tone::Bad, "!! DELETED !!".to_owned()));
                cell.push(span(Tone::Plain, " ".to_owned()));
            }
            let key = match node.namespace.as_str() {
                "" => node.name.clone(),
                namespace => format!("{namespace}/{}", node.name),
            };
            cell.push(span(Tone::Plain, format!("{} ", node.kind)));
            cell.push(span(Tone::Strong, key));
            if let Some(version) = version(node) {
                cell.push(span(Tone::Plain, format!(", {version}")));
            }
            cell
        }
    }
}

fn version<'a>(node: &Node<'a>) -> Option<&'a str> {
    let What::Object(value) = node.what else { return None };
    let spec = &value["spec"];
    let version = match node.kind.as_str() {
        "Cluster" => &spec["topology"]["version"],
        "MachineDeployment" | "MachineSet" | "MachinePool" => &spec["template"]["spec"]["version"],
        "Machine" => &spec["version"],
        _ if node.role == Some("ControlPlane") => &spec["version"],
        _ => return None,
    };
    version.as_str().filter(|version| !version.is_empty())
}

fn facts(node: &Node<'_>) -> Facts {
    let value = match &node.what {
        What::Object(value) => *value,
        What::Group(group) => {
            return Facts {
                available: group.available.to_string(),
                ready: group.ready.to_string(),
                up_to_date: group.up_to_date.to_string(),
                condition: node.marks.ready.clone(),
                ..Facts::default()
            };
        }
        What::Reference | What::Virtual => return Facts::default(),
    };
    let conditions = object::conditions(value);
    let get = |type_: &str| object::find(&conditions, type_).cloned();
    match node.kind.as_str() {
        "Cluster" => {
            let status = &value["status"];
            Facts {
                condition: get("Available"),
                ..summed(&[&status["controlPlane"], &status["workers"]])
            }
        }
        // Upstream leaves the rows of MachinePools empty.
        "MachineDeployment" | "MachinePool" => {
            Facts { condition: get("Available"), ..counted(value) }
        }
        "MachineSet" => counted(value),
        "Machine" => {
            let one = |type_: &str| {
                let is_true = get(type_).is_some_and(|condition| condition.status == "True");
                u8::from(is_true).to_string()
            };
            Facts {
                replicas: "1".to_owned(),
                available: one("Available"),
                ready: one("Ready"),
                up_to_date: one("UpToDate"),
                condition: get("Ready"),
            }
        }
        _ if node.role == Some("ControlPlane") => {
            Facts { condition: get("Available").or_else(|| get("Ready")), ..counted(value) }
        }
        _ => Facts { condition: get("Ready"), ..Facts::default() },
    }
}

/// Replica counters of an object with `spec.replicas`.
fn counted(value: &Value) -> Facts {
    let status = &value["status"];
    let text = |count: &Value| count.as_i64().map(|it| it.to_string()).unwrap_or_default();
    let replicas = value["spec"]["replicas"]
        .as_i64()
        .map(|desired| format!("{}/{desired}", status["replicas"].as_i64().unwrap_or_default()));
    // Providers of the v1beta1 contract call it updatedReplicas.
    let up_to_date = match &status["upToDateReplicas"] {
        Value::Null => &status["updatedReplicas"],
        count => count,
    };
    Facts {
        replicas: replicas.unwrap_or_default(),
        available: text(&status["availableReplicas"]),
        ready: text(&status["readyReplicas"]),
        up_to_date: text(up_to_date),
        condition: None,
    }
}

/// Replica counters of a Cluster: control plane and workers together.
fn summed(parts: &[&Value]) -> Facts {
    let sum = |field: &str| {
        let counts: Vec<i64> = parts.iter().filter_map(|part| part[field].as_i64()).collect();
        (!counts.is_empty()).then(|| counts.iter().fold(0_i64, |sum, it| sum.saturating_add(*it)))
    };
    let text = |field: &str| sum(field).map(|count| count.to_string()).unwrap_or_default();
    let replicas = match (sum("replicas"), sum("desiredReplicas")) {
        (None, None) => String::new(),
        (current, desired) => {
            format!("{}/{}", current.unwrap_or_default(), desired.unwrap_or_default())
        }
    };
    Facts {
        replicas,
        available: text("availableReplicas"),
        ready: text("readyReplicas"),
        up_to_date: text("upToDateReplicas"),
        condition: None,
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
