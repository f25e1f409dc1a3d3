//! Rows of `capim get`: the dashboard's for its kinds, the server's for the others.

use serde_json::Value;

use super::get::Question;
use super::table;
use crate::acts::Kind;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::clock::Clock;
use crate::tui::rows::{ClusterRow, KcpRow, MachineRow};

/// Media type of server-side tables.
pub(super) const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Whether the dashboard has rows for a kind.
pub(super) fn is_own(kind: &Kind) -> bool {
    let resource = &kind.resource;
    own_headers(&resource.group, &resource.kind).is_some() && resource.version == "v1beta2"
}

fn own_headers(group: &str, kind: &str) -> Option<&'static [&'static str]> {
    match (group, kind) {
        ("cluster.x-k8s.io", "Cluster") => Some(&ClusterRow::HEADERS),
        ("cluster.x-k8s.io", "Machine") => Some(&MachineRow::HEADERS),
        ("controlplane.cluster.x-k8s.io", "KubeadmControlPlane") => Some(&KcpRow::HEADERS),
        _ => None,
    }
}

/// How the objects of a question are shown.
pub(super) struct Shown<'a> {
    pub(super) question: &'a Question<'a>,
    /// All columns of the server.
    pub(super) wide: bool,
    /// Whether tables of other kinds are shown, too.
    pub(super) several: bool,
}

impl Shown<'_> {
    /// A table with headers. `items` are rows of the server's table, or objects.
    pub(super) fn table(&self, definitions: &Value, items: &[Value]) -> String {
        table::plain(&self.headers(definitions), &self.rows(definitions, items))
    }

    /// The same without headers, under a table that was shown before.
    pub(super) fn lines(&self, definitions: &Value, items: &[Value]) -> String {
        let headers = self.headers(definitions);
        let text = table::plain(&headers, &self.rows(definitions, items));
        text.split_once('\n').map(|(_, lines)| lines.to_owned()).unwrap_or_default()
    }

    fn headers(&self, definitions: &Value) -> Vec<String> {
        let resource = &self.question.kind.resource;
        let own = own_headers(&resource.group, &resource.kind).filter(|_| self.is_own());
        let headers: Vec<String> = match own {
            Some(headers) => headers.iter().map(|&header| header.to_owned()).collect(),
            None => self
                .columns(definitions)
                .map(|(_, column)| column["name"].as_str().unwrap_or_default().to_uppercase())
                .collect(),
        };
        let namespace = self.has_namespace().then(|| "NAMESPACE".to_owned());
        namespace.into_iter().chain(headers).collect()
    }

    fn is_own(&self) -> bool {
        !self.wide && is_own(self.question.kind)
    }

    fn has_namespace(&self) -> bool {
        self.question.all_namespaces && self.question.kind.namespaced
    }

    /// Columns that are shown, by their number.
    fn columns<'a>(&self, definitions: &'a Value) -> impl Iterator<Item = (usize, &'a Value)> {
        let wide = self.wide;
        definitions
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .filter(move |(_, column)| wide || column["priority"].as_i64().unwrap_or_default() == 0)
    }

    fn rows(&self, definitions: &Value, items: &[Value]) -> Vec<Vec<String>> {
        let row = |item: &Value| {
            let own = self.is_own();
            let object = if own { item } else { &item["object"] };
            let mut cells: Vec<String> = match own {
                true => own_cells(object),
                false => self
                    .columns(definitions)
                    .map(|(index, _)| cell(&item["cells"][index]))
                    .collect(),
            };
            if self.several
                && let Some(name) = cells.first_mut()
            {
                *name = format!("{}/{name}", self.question.kind.full_name());
            }
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let namespace = self.has_namespace().then(|| namespace.to_owned());
            namespace.into_iter().chain(cells).collect()
        };
        items.iter().map(row).collect()
    }
}

/// The dashboard's row of an object; only the name of one that it cannot read.
fn own_cells(object: &Value) -> Vec<String> {
    let now = Clock::wall().now();
    let cells = match object["kind"].as_str() {
        Some("Machine") => serde_json::from_value::<Machine>(object.clone())
            .map(|it| MachineRow::of(&it).cells(now).to_vec()),
        Some("KubeadmControlPlane") => {
            serde_json::from_value::<KubeadmControlPlane>(object.clone())
                .map(|it| KcpRow::of(&it).cells(now).to_vec())
        }
        _ => serde_json::from_value::<Cluster>(object.clone())
            .map(|it| ClusterRow::of(&it).cells(now).to_vec()),
    };
    cells.unwrap_or_else(|_| vec![cell(&object["metadata"]["name"])])
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        Value::String(text) => text.replace('\n', "\\n"),
        other => other.to_string(),
    }
}
