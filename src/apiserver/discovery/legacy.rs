//! The documents of before aggregated discovery: `APIVersions`, `APIGroupList`, `APIGroup` and
//! `APIResourceList`.

use bytes::Bytes;
use http::HeaderValue;
use serde::Serialize;

use super::{Group, subresources, verbs};
use crate::apiserver::documents::fingerprint;
use crate::machinery::definition::ResourceDefinition;
use crate::machinery::gvk::join_api_version;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiVersions<'a> {
    kind: &'static str,
    versions: [&'static str; 1],
    #[serde(rename = "serverAddressByClientCIDRs")]
    addresses: Vec<Address<'a>>,
}

#[derive(Serialize)]
struct Address<'a> {
    #[serde(rename = "clientCIDR")]
    client: &'static str,
    #[serde(rename = "serverAddress")]
    server: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiGroup<'a> {
    #[serde(flatten)]
    kind: Option<Kind>,
    name: &'a str,
    versions: Vec<Version<'a>>,
    preferred_version: Option<Version<'a>>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Version<'a> {
    group_version: String,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
}

#[derive(Serialize)]
struct ApiGroupList<'a> {
    #[serde(flatten)]
    kind: Kind,
    groups: Vec<ApiGroup<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResourceList<'a> {
    #[serde(flatten)]
    kind: Kind,
    group_version: String,
    resources: Vec<ApiResource<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResource<'a> {
    name: String,
    singular_name: &'a str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    kind: &'a str,
    verbs: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_names: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_version_hash: Option<String>,
}

/// `/api`. The address is the one that the client used.
pub(super) fn core_versions(host: Option<&HeaderValue>) -> Bytes {
    let addresses = host
        .and_then(|host| host.to_str().ok())
        .map(|server| Address { client: "0.0.0.0/0", server })
        .into_iter()
        .collect();
    encode(&ApiVersions { kind: "APIVersions", versions: ["v1"], addresses })
}

/// `/apis`.
pub(super) fn group_list(groups: &[&Group<'_>]) -> Bytes {
    let groups = groups.iter().map(|group| api_group(group, None)).collect();
    encode(&ApiGroupList { kind: kind("APIGroupList"), groups })
}

/// `/apis/{group}`.
pub(super) fn group(group: &Group<'_>) -> Bytes {
    encode(&api_group(group, Some(kind("APIGroup"))))
}

fn kind(kind: &'static str) -> Kind {
    Kind { kind, api_version: Some("v1") }
}

fn api_group<'a>(group: &Group<'a>, kind: Option<Kind>) -> ApiGroup<'a> {
    let versions: Vec<_> = group
        .versions
        .iter()
        .map(|(version, _)| Version {
            group_version: join_api_version(group.name, version),
            version,
        })
        .collect();
    let preferred_version = versions.first().cloned();
    ApiGroup { kind, name: group.name, versions, preferred_version }
}

/// `/api/v1` and `/apis/{group}/{version}`.
pub(super) fn resource_list(
    group: &str,
    version: &str,
    definitions: &[&ResourceDefinition],
) -> Bytes {
    // The core group's list says no apiVersion, for the sake of old clients.
    let api_version = (!group.is_empty()).then_some("v1");
    let list = ApiResourceList {
        kind: Kind { kind: "APIResourceList", api_version },
        group_version: join_api_version(group, version),
        resources: definitions.iter().flat_map(|definition| resources(definition)).collect(),
    };
    encode(&list)
}

/// A resource and its subresources.
fn resources(definition: &ResourceDefinition) -> Vec<ApiResource<'_>> {
    let mut list = vec![ApiResource {
        name: definition.plural.to_string(),
        singular_name: &definition.singular,
        namespaced: definition.namespaced,
        group: "",
        version: "",
        kind: &definition.kind,
        verbs: verbs(definition),
        short_names: definition.short_names.iter().map(|name| &**name).collect(),
        categories: definition.categories.iter().map(|name| &**name).collect(),
        // What cannot be watched is not stored.
        storage_version_hash: verbs(definition)
            .contains(&"watch")
            .then(|| storage_version_hash(definition)),
    }];
    list.extend(subresources(definition).into_iter().map(|subresource| {
        let [group, version, kind] = subresource.kind.unwrap_or(["", "", &definition.kind]);
        ApiResource {
            name: format!("{}/{}", definition.plural, subresource.name),
            singular_name: "",
            namespaced: definition.namespaced,
            group,
            version,
            kind,
            verbs: subresource.verbs,
            short_names: Vec::new(),
            categories: Vec::new(),
            storage_version_hash: None,
        }
    }));
    list
}

/// Twelve characters that stand for group and kind; the storage version never changes.
fn storage_version_hash(definition: &ResourceDefinition) -> String {
    use base64::Engine as _;
    let digest = fingerprint(format!("{}/{}", definition.group, definition.kind).as_bytes());
    base64::engine::general_purpose::STANDARD.encode(&digest.as_bytes()[..8])
}

fn encode(document: &impl Serialize) -> Bytes {
    serde_json::to_vec(document).expect("documents are strings, lists and structs").into()
}
