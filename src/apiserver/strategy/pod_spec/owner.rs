//! What a pod spec stands in.

use serde_json::Value;

use crate::apiserver::strategy::fields::{items, text};

/// Lists of containers, in the order in which they are looked at.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Whose spec is checked.
#[derive(Clone, Copy, Debug)]
pub(in crate::apiserver::strategy) enum Owner<'a> {
    /// A pod with these metadata.
    Pod(&'a Value),
    /// A template.
    Template,
}

impl<'a> Owner<'a> {
    /// Whether it is a pod.
    pub(super) fn is_pod(&self) -> bool {
        matches!(self, Self::Pod(_))
    }

    /// The pod's name; empty for templates.
    pub(super) fn pod_name(&self) -> &'a str {
        match self {
            Self::Pod(metadata) => text(metadata, "name"),
            Self::Template => "",
        }
    }
}

/// All containers of a spec with their list and index.
pub(in crate::apiserver::strategy) fn containers_of(
    spec: &Value,
) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    CONTAINERS.into_iter().flat_map(|list| {
        items(&spec[list]).enumerate().map(move |(index, container)| (list, index, container))
    })
}
