//! Which resource serves a kind, asked of the server: for objects of kinds that nobody here knows.

use kube::core::ApiResource;

use serde_json::Value;

use super::target::percent_encode;
use super::{Client, ClientError, Target};
use crate::machinery::gvk::split_api_version;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A resource that a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedResource {
    /// Its names.
    pub resource: ApiResource,
    /// Whether its objects lie in namespaces.
    pub is_namespaced: bool,
}

impl ServedResource {
    /// Path of all its objects.
    pub fn collection_path(&self) -> String {
        Target::from_resource(&self.resource).collection_path("")
    }

    /// Path of its objects in a namespace; of all if they do not lie in namespaces.
    pub fn collection_path_in(&self, namespace: &str) -> String {
        let namespace = if self.is_namespaced { namespace } else { "" };
        Target::from_resource(&self.resource).collection_path(namespace)
    }
}

impl Client {
    /// The resource that a word means: a plural, singular or short name or a kind, in any case,
    /// possibly with `.group`. Built-in groups come first, Cluster API's second. `None` if nothing
    /// fits. Costs two requests.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn find_resource(&self, word: &str) -> Result<Option<ServedResource>, ClientError> {
        let word = word.to_ascii_lowercase();
        let (bare, wanted_group) = word.split_once('.').unwrap_or((&word, ""));
        let mut found: Option<(u8, ServedResource)> = None;
        for path in ["/api", "/apis"] {
            let list = self.get_json_as(path, AGGREGATED).await?;
            for group in list["items"].as_array().into_iter().flatten() {
                let name = group["metadata"]["name"].as_str().unwrap_or_default();
                let rank = match name {
                    "" => 0,
                    name if name.ends_with("cluster.x-k8s.io") => 1,
                    _ => 2,
                };
                let fits = wanted_group.is_empty() || wanted_group == name;
                if !fits || found.as_ref().is_some_and(|(best, _)| *best <= rank) {
                    continue;
                }
                if let Some(resource) = resource_of(group, name, bare) {
                    found = Some((rank, resource));
                }
            }
        }
        Ok(found.map(|(_, resource)| resource))
    }

    /// The resource of a kind; `None` if the server has no such version or kind.
    ///
    /// # Errors
    /// [`ClientError`], other than not found.
    pub async fn discover(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<ServedResource>, ClientError> {
        let (group, version) = split_api_version(api_version);
        let version_path = percent_encode(version);
        let path = match group {
            "" => format!("/api/{version_path}"),
            group => format!("/apis/{}/{version_path}", percent_encode(group)),
        };
        let list = match self.get_json(&path).await {
            Ok(list) => list,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let served =
            list["resources"].as_array().into_iter().flatten().find(|resource| {
                resource["kind"] == kind && !text(&resource["name"]).contains('/')
            });
        Ok(served.map(|served| ServedResource {
            resource: ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                plural: text(&served["name"]),
            },
            is_namespaced: served["namespaced"] == true,
        }))
    }
}

/// The resource of that name in a group's aggregated discovery, in the first version that has it.
fn resource_of(group: &Value, name: &str, bare: &str) -> Option<ServedResource> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for version in group["versions"].as_array()? {
        let number = text(&version["version"]);
        let fits = |resource: &&Value| {
            let short = resource["shortNames"].as_array().into_iter().flatten();
            let names = ["resource", "singularResource"].map(|field| &resource[field]);
            names
                .into_iter()
                .chain([&resource["responseKind"]["kind"]])
                .chain(short)
                .any(|name| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(bare)))
        };
        let Some(resource) = version["resources"].as_array().into_iter().flatten().find(fits)
        else {
            continue;
        };
        let api_version = match name {
            "" => number.clone(),
            name => format!("{name}/{number}"),
        };
        return Some(ServedResource {
            resource: ApiResource {
                group: name.to_owned(),
                version: number,
                api_version,
                kind: text(&resource["responseKind"]["kind"]),
                plural: text(&resource["resource"]),
            },
            is_namespaced: resource["scope"] == "Namespaced",
        });
    }
    None
}
