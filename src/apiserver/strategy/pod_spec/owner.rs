//! What a pod spec stands in.

use serde_json::Value;

use super::spec::pod_spec;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::report::{Path, Report};
use crate::machinery::status::Cause;

/// Lists of containers, in the order in which they are looked at.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Whose spec is checked.
#[derive(Clone, Copy, Debug)]
pub(in crate::apiserver::strategy) enum Owner<'a> {
    /// A pod with these metadata.
    Pod(&'a Value),
    /// A template, whose owner makes volumes of these names.
    Template(&'a [&'a str]),
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
            Self::Template(_) => "",
        }
    }

    /// Names of volumes that the owner makes.
    pub(super) fn claims(&self) -> &'a [&'a str] {
        match self {
            Self::Pod(_) => &[],
            Self::Template(claims) => claims,
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

/// Checks the spec of a template; `claims` names volumes that the owner makes itself.
pub(in crate::apiserver::strategy) fn check_spec(
    spec: &Value,
    path: &str,
    claims: &[&str],
    causes: &mut Vec<Cause>,
) {
    let mut report = Report::default();
    pod_spec(&mut report, &Path::Root(path), spec, &Owner::Template(claims));
    causes.extend(report.into_causes());
}
