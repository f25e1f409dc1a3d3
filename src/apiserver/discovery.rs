//! Which groups, versions and resources are served: the legacy documents and the aggregated ones.
//!
//! All documents of a [`ResourceSet`] are encoded once, when the first of them is asked for, and
//! shared by all servers that serve the set.

mod aggregated;
mod legacy;
mod order;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::answer::{self, not_found_page};
use super::documents::{Encodable, fingerprint, quoted};
use super::negotiate::{Encoding, choices, encoding_of, negotiate_document};
use super::profile::ResourceSet;
use super::{ApiServer, RequestInfo, health, json_response, status_response, unstored};
use crate::machinery::definition::{Origin, ResourceDefinition};
use crate::machinery::status::Status;

/// Paths besides those of groups and versions that `/` lists.
const OTHER_PATHS: &[&str] = &[
    "/healthz",
    "/healthz/ping",
    "/livez",
    "/livez/ping",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/readyz",
    "/readyz/ping",
    "/readyz/shutdown",
    "/version",
];

const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// The same verbs in the order in which kube-apiserver gives those of custom resources.
const CUSTOM_VERBS: &[&str] =
    &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
/// Of custom resources whose definition is about to go.
const TERMINATING_VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "watch"];
const SUBRESOURCE_VERBS: &[&str] = &["get", "patch", "update"];
/// Resources that do not take all verbs.
const OTHER_VERBS: &[(&str, &str, &[&str])] = &[
    ("", "bindings", &["create"]),
    ("", "componentstatuses", &["get", "list"]),
    ("", "namespaces", &["create", "delete", "get", "list", "patch", "update", "watch"]),
    ("authentication.k8s.io", "selfsubjectreviews", &["create"]),
    ("authentication.k8s.io", "tokenreviews", &["create"]),
    ("authorization.k8s.io", "localsubjectaccessreviews", &["create"]),
    ("authorization.k8s.io", "selfsubjectaccessreviews", &["create"]),
    ("authorization.k8s.io", "selfsubjectrulesreviews", &["create"]),
    ("authorization.k8s.io", "subjectaccessreviews", &["create"]),
];

/// The encoded documents of one set of resources.
pub(crate) struct Documents {
    /// `/apis`.
    groups: Encodable,
    /// `/apis/{group}`.
    group: BTreeMap<Arc<str>, Encodable>,
    /// `/api/v1` and `/apis/{group}/{version}`, by group and version.
    versions: BTreeMap<(Arc<str>, Arc<str>), Encodable>,
    /// `/api` and `/apis`, aggregated.
    aggregated: [Aggregated; 2],
    /// `/`.
    root: Bytes,
}

/// An aggregated document.
struct Aggregated {
    document: Encodable,
    /// Changes with the document, whatever its encoding.
    tag: String,
}

impl Aggregated {
    fn new(json: Bytes) -> Self {
        Self { tag: fingerprint(&json), document: Encodable::new(json) }
    }
}

/// A group, its versions in order of preference, and their resources by name.
struct Group<'a> {
    name: &'a str,
    versions: Vec<(&'a str, Vec<&'a ResourceDefinition>)>,
}

impl Documents {
    /// Encodes everything.
    pub(crate) fn new(resources: &ResourceSet) -> Self {
        let unstored = unstored::definitions(resources);
        let groups = grouped(resources.definitions.iter().chain(unstored));
        let (core, named): (Vec<_>, Vec<_>) =
            groups.iter().partition(|group| group.name.is_empty());
        let versions = groups.iter().flat_map(|group| {
            group.versions.iter().map(|(version, resources)| {
                let document = legacy::resource_list(group.name, version, resources);
                ((Arc::from(group.name), Arc::from(*version)), Encodable::new(document))
            })
        });
        Self {
            groups: Encodable::new(legacy::group_list(&named)),
            group: named
                .iter()
                .map(|it| (Arc::from(it.name), Encodable::new(legacy::group(it))))
                .collect(),
            versions: versions.collect(),
            aggregated: [&core, &named].map(|groups| Aggregated::new(aggregated::document(groups))),
            root: root(&groups),
        }
    }
}

/// Orders definitions by group, version and name.
fn grouped<'a>(definitions: impl Iterator<Item = &'a Arc<ResourceDefinition>>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for definition in definitions {
        let group = match groups.iter_mut().find(|group| group.name == &*definition.group) {
            Some(group) => group,
            None => {
                groups.push(Group { name: &definition.group, versions: Vec::new() });
                groups.last_mut().expect("a group was pushed")
            }
        };
        let name = &*definition.version;
        match group.versions.iter_mut().find(|(version, _)| *version == name) {
            Some((_, resources)) => resources.push(definition),
            None => group.versions.push((name, vec![definition])),
        }
    }
    groups.sort_by(|a, b| order::compare_groups(a.name, b.name));
    for group in &mut groups {
        group.versions.sort_by(|a, b| order::compare_versions(a.0, b.0));
        for (_, resources) in &mut group.versions {
            resources.sort_by(|a, b| a.plural.cmp(&b.plural));
        }
    }
    groups
}

fn verbs(definition: &ResourceDefinition) -> &'static [&'static str] {
    let other = OTHER_VERBS
        .iter()
        .find(|(group, plural, _)| *group == &*definition.group && *plural == &*definition.plural);
    match (other, definition.origin) {
        (Some((_, _, verbs)), _) => verbs,
        (None, Origin::Custom) if definition.serving.terminating => TERMINATING_VERBS,
        (None, Origin::BuiltIn) => ALL_VERBS,
        (None, Origin::Custom) => CUSTOM_VERBS,
    }
}

/// A subresource as both formats describe it.
struct Subresource {
    name: &'static str,
    /// Group, version and kind of its objects, if they are not the resource's.
    kind: Option<[&'static str; 3]>,
    verbs: &'static [&'static str],
}

/// Subresources that are served, ordered by name for built-in kinds; of custom resources `status`
/// comes first, as kube-apiserver has it.
fn subresources(definition: &ResourceDefinition) -> Vec<Subresource> {
    let mut list = Vec::new();
    if definition.origin == Origin::BuiltIn {
        list.extend(own_subresources(definition));
    }
    if definition.subresources.status {
        list.push(Subresource { name: "status", kind: None, verbs: SUBRESOURCE_VERBS });
    }
    if definition.subresources.scale.is_some() {
        let kind = Some(["autoscaling", "v1", "Scale"]);
        list.push(Subresource { name: "scale", kind, verbs: SUBRESOURCE_VERBS });
    }
    if definition.origin == Origin::BuiltIn {
        list.sort_by_key(|subresource| subresource.name);
    }
    list
}

/// Name, kind and verbs of a subresource.
type Entry = (&'static str, Option<[&'static str; 3]>, &'static [&'static str]);

/// Subresources that only one built-in kind has.
fn own_subresources(definition: &ResourceDefinition) -> Vec<Subresource> {
    const STREAM: &[&str] = &["create", "get"];
    const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];
    let entries: &[Entry] = match (&*definition.group, &*definition.plural) {
        ("", "namespaces") => &[("finalize", None, &["update"])],
        ("", "nodes") => &[("proxy", Some(["", "", "NodeProxyOptions"]), PROXY)],
        ("", "services") => &[("proxy", Some(["", "", "ServiceProxyOptions"]), PROXY)],
        ("", "pods") => &[
            ("attach", Some(["", "", "PodAttachOptions"]), STREAM),
            ("binding", Some(["", "", "Binding"]), &["create"]),
            ("ephemeralcontainers", None, SUBRESOURCE_VERBS),
            ("eviction", Some(["policy", "v1", "Eviction"]), &["create"]),
            ("exec", Some(["", "", "PodExecOptions"]), STREAM),
            ("log", None, &["get"]),
            ("portforward", Some(["", "", "PodPortForwardOptions"]), STREAM),
            ("proxy", Some(["", "", "PodProxyOptions"]), PROXY),
            ("resize", None, SUBRESOURCE_VERBS),
        ],
        ("", "serviceaccounts") => {
            &[("token", Some(["authentication.k8s.io", "v1", "TokenRequest"]), &["create"])]
        }
        ("certificates.k8s.io", "certificatesigningrequests") => {
            &[("approval", None, SUBRESOURCE_VERBS)]
        }
        _ => &[],
    };
    let entries = entries.iter();
    entries.map(|(name, kind, verbs)| Subresource { name, kind: *kind, verbs }).collect()
}

fn root(groups: &[Group<'_>]) -> Bytes {
    let mut paths: Vec<String> = OTHER_PATHS.iter().map(|path| (*path).to_owned()).collect();
    paths.push("/apis".to_owned());
    for group in groups {
        let base = match group.name {
            "" => "/api".to_owned(),
            name => format!("/apis/{name}"),
        };
        paths.extend(group.versions.iter().map(|(version, _)| format!("{base}/{version}")));
        paths.push(base);
    }
    paths.sort();
    format!("{:#}", json!({ "paths": paths })).into()
}

/// Answers a request for `/`, `/api…` or `/apis…` that names no resource, or for `/version`.
pub(crate) fn respond(
    server: &ApiServer,
    info: &RequestInfo,
    headers: &HeaderMap,
) -> Response<Body> {
    if !matches!(info.verb, "get" | "head") {
        return status_response(&Status::method_not_allowed());
    }
    let resources = server.resources();
    let documents = resources.documents.discovery(&resources);
    let path = info.path.trim_matches('/');
    let mut segments = path.split('/');
    let json = |bytes: &Bytes| json_response(200, bytes.clone());
    let legacy = |document: &Encodable| match negotiate_document(headers) {
        Ok(encoding) => answer::in_encoding(200, document.in_encoding(encoding)),
        Err(status) => status_response(&status),
    };
    match [segments.next(), segments.next(), segments.next(), segments.next()] {
        [Some(""), None, ..] => json(&documents.root),
        [Some("version"), None, ..] => health::respond(server, info, headers),
        [Some("api"), None, ..] => match aggregated_encoding(headers) {
            Some(encoding) => aggregated_response(&documents.aggregated[0], encoding, headers),
            None => legacy(&Encodable::new(legacy::core_versions(headers.get(HOST)))),
        },
        [Some("apis"), None, ..] => match aggregated_encoding(headers) {
            Some(encoding) => aggregated_response(&documents.aggregated[1], encoding, headers),
            None => legacy(&documents.groups),
        },
        [Some("apis"), Some(group), None, _] => {
            documents.group.get(group).map_or_else(not_found_page, legacy)
        }
        [Some("api"), Some(version), None, _] => {
            documents.version("", version).map_or_else(|| unknown_version(&resources, ""), legacy)
        }
        [Some("apis"), Some(group), Some(version), None] => documents
            .version(group, version)
            .map_or_else(|| unknown_version(&resources, group), legacy),
        _ => not_found_page(),
    }
}

impl Documents {
    fn version(&self, group: &str, version: &str) -> Option<&Encodable> {
        let wanted = (group, version);
        self.versions
            .iter()
            .find(|((group, version), _)| (&**group, &**version) == wanted)
            .map(|(_, document)| document)
    }
}

/// What an unknown version of a group is answered: a Status for groups of Kubernetes' own, the
/// plain page for others.
fn unknown_version(resources: &ResourceSet, group: &str) -> Response<Body> {
    match resources.has_built_in(group) {
        true => status_response(&Status::resource_not_served()),
        false => not_found_page(),
    }
}

/// How the aggregated document is to be encoded, if it is what the client likes best of what is
/// served. Of its two versions only the later one still is. (kubernetes 1.36: endpoints/discovery/
/// aggregated/wrapper.go, AggregatedDiscoveryRemoveBetaType)
fn aggregated_encoding(headers: &HeaderMap) -> Option<Encoding> {
    choices(headers).find_map(aggregated_choice).flatten()
}

/// What one media range asks for: `Some(None)` is a legacy document, `None` something that is not
/// served.
fn aggregated_choice(range: &str) -> Option<Option<Encoding>> {
    let encoding = encoding_of(range)?;
    let (mut group, mut version, mut kind) = ("", "", "");
    for part in range.split(';').skip(1) {
        match part.trim().split_once('=') {
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            Some(("as", value)) => kind = value,
            _ => {}
        }
    }
    match (group, version, kind) {
        (_, _, "") => Some(None),
        ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList") => Some(Some(encoding)),
        _ => None,
    }
}

fn aggregated_response(
    aggregated: &Aggregated,
    encoding: Encoding,
    headers: &HeaderMap,
) -> Response<Body> {
    let tag = quoted(&aggregated.tag);
    let mut response = if headers.get(IF_NONE_MATCH) == Some(&tag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let (encoding, body) = aggregated.document.in_encoding(encoding);
        let mut response = answer::in_encoding(200, (encoding, body));
        // What the answer must repeat, or client-go reads it as a legacy document.
        let media = HeaderValue::from_static(match encoding {
            Encoding::Json => {
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
            Encoding::Yaml => {
                "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
            Encoding::Protobuf => {
                "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
        });
        response.headers_mut().insert(CONTENT_TYPE, media);
        response
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, tag);
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}
