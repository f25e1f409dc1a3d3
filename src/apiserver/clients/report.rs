//! What a server tells of its clients, as JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// apiVersion of the report.
const API_VERSION: &str = "debug.capim.dev/v1alpha1";

/// All clients of a server, the busiest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientRequestsList {
    /// `debug.capim.dev/v1alpha1`.
    pub api_version: String,
    /// `ClientRequestsList`.
    pub kind: String,
    /// The clients.
    pub items: Vec<ClientRequests>,
}

/// What one client has asked a server for since the server's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientRequests {
    /// Its name.
    #[serde(default)]
    pub metadata: ClientName,
    /// First product of its `User-Agent`; `others` for those that are not told apart.
    pub program: String,
    /// Whom it was authenticated as; empty if it was refused.
    pub user: String,
    /// Whether it runs in the server's process.
    pub in_process: bool,
    /// Requests, watches among them.
    pub requests: u64,
    /// Requests a second during the last ten seconds.
    pub requests_per_second: f64,
    /// Answers that refused or failed.
    pub errors: ClientErrors,
    /// Watches that are open.
    pub open_watches: usize,
    /// How long answers took, watches and the like apart.
    pub latency: ClientLatency,
    /// Its first request.
    pub first_seen: Timestamp,
    /// Its last request.
    pub last_seen: Timestamp,
    /// Requests by resource and verb.
    pub resources: Vec<VerbCounts>,
}

/// A client's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientName {
    /// Program and user: `kubectl/v1.36.1@kubernetes-admin`.
    pub name: String,
}

/// Answers that refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientErrors {
    /// Codes 400 to 499.
    pub client: u64,
    /// Codes from 500 on.
    pub server: u64,
}

/// How long answers took; empty before the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientLatency {
    /// Half of all took no longer.
    pub p50_seconds: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_seconds: Option<f64>,
}

/// Requests for one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerbCounts {
    /// API group; empty for core.
    pub group: String,
    /// Plural name; empty for paths that name no served resource.
    pub resource: String,
    /// Requests by verb.
    pub verbs: BTreeMap<String, u64>,
}

impl ClientRequestsList {
    /// The report of these clients.
    pub(super) fn of(mut items: Vec<ClientRequests>) -> Self {
        let place =
            |client: &ClientRequests| (u64::MAX - client.requests, client.metadata.name.clone());
        items.sort_by_cached_key(place);
        Self { api_version: API_VERSION.to_owned(), kind: "ClientRequestsList".to_owned(), items }
    }
}

impl ClientRequests {
    /// The same with the name that program and user make.
    pub(super) fn new(client: Self) -> Self {
        let name = match client.user.as_str() {
            "" => client.program.clone(),
            user => format!("{}@{user}", client.program),
        };
        Self { metadata: ClientName { name }, ..client }
    }

    /// Requests by verb, over all resources.
    pub fn by_verb(&self) -> BTreeMap<&str, u64> {
        let mut verbs = BTreeMap::new();
        for (verb, count) in self.resources.iter().flat_map(|counts| &counts.verbs) {
            *verbs.entry(verb.as_str()).or_default() += count;
        }
        verbs
    }
}

impl VerbCounts {
    /// Counts of verbs; those that are zero are left out.
    pub(super) fn of(group: &str, resource: &str, verbs: &[(&str, u64)]) -> Self {
        let verbs = verbs.iter().filter(|(_, count)| *count > 0);
        Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
            verbs: verbs.map(|(verb, count)| ((*verb).to_owned(), *count)).collect(),
        }
    }

    /// All requests for it.
    pub fn total(&self) -> u64 {
        self.verbs.values().sum()
    }

    /// `machines.cluster.x-k8s.io`; `-` for paths that name no served resource.
    pub fn name(&self) -> String {
        match (self.resource.as_str(), self.group.as_str()) {
            ("", _) => "-".to_owned(),
            (resource, "") => resource.to_owned(),
            (resource, group) => format!("{resource}.{group}"),
        }
    }
}
