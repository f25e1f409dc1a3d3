//! `APIGroupDiscoveryList`, the whole of discovery in one document. (KEP-3352)

use bytes::Bytes;
use serde::Serialize;

use super::{Group, subresources, verbs};
use crate::machinery::definition::{Origin, ResourceDefinition};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupDiscoveryList<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata<'a>,
    items: Vec<GroupDiscovery<'a>>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

#[derive(Serialize)]
struct GroupDiscovery<'a> {
    metadata: Metadata<'a>,
    versions: Vec<VersionDiscovery<'a>>,
}

#[derive(Serialize)]
struct VersionDiscovery<'a> {
    version: &'a str,
    resources: Vec<ResourceDiscovery<'a>>,
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceDiscovery<'a> {
    resource: &'a str,
    response_kind: ResponseKind<'a>,
    scope: &'static str,
    singular_resource: &'a str,
    verbs: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    short_names: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<SubresourceDiscovery<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubresourceDiscovery<'a> {
    subresource: &'static str,
    response_kind: ResponseKind<'a>,
    verbs: &'static [&'static str],
}

#[derive(Clone, Copy, Serialize)]
struct ResponseKind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

/// The document of some groups.
pub(super) fn document(groups: &[&Group<'_>]) -> Bytes {
    let list = GroupDiscoveryList {
        kind: "APIGroupDiscoveryList",
        api_version: "apidiscovery.k8s.io/v2",
        metadata: Metadata { name: "" },
        items: groups.iter().map(|it| group(it)).collect(),
    };
    serde_json::to_vec(&list).expect("the document is strings, lists and structs").into()
}

fn group<'a>(group: &Group<'a>) -> GroupDiscovery<'a> {
    let versions = group.versions.iter().map(|(version, definitions)| VersionDiscovery {
        version,
        resources: definitions.iter().map(|definition| resource(definition)).collect(),
        freshness: "Current",
    });
    GroupDiscovery { metadata: Metadata { name: group.name }, versions: versions.collect() }
}

fn resource(definition: &ResourceDefinition) -> ResourceDiscovery<'_> {
    // kube-apiserver leaves group and version of its own kinds empty; clients take the enclosing
    // ones then.
    let kind = match definition.origin {
        Origin::BuiltIn => ResponseKind { group: "", version: "", kind: &definition.kind },
        Origin::Custom => ResponseKind {
            group: &definition.group,
            version: &definition.version,
            kind: &definition.kind,
        },
    };
    let subresources = subresources(definition).into_iter().map(|it| SubresourceDiscovery {
        subresource: it.name,
        response_kind: it.kind.map_or(kind, |[group, version, kind]| ResponseKind {
            group,
            version,
            kind,
        }),
        verbs: it.verbs,
    });
    ResourceDiscovery {
        resource: &definition.plural,
        response_kind: kind,
        scope: if definition.namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: &definition.singular,
        verbs: verbs(definition),
        short_names: definition.short_names.iter().map(|name| &**name).collect(),
        categories: definition.categories.iter().map(|name| &**name).collect(),
        subresources: subresources.collect(),
    }
}
