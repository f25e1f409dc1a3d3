//! Which resource serves a kind, asked of the server: for objects of kinds that nobody here knows.

use kube::core::ApiResource;

use super::target::percent_encode;
use super::{Client, ClientError};
use crate::machinery::gvk::split_api_version;

/// A resource that a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedResource {
    /// Its names.
    pub resource: ApiResource,
    /// Whether its objects lie in namespaces.
    pub is_namespaced: bool,
}

impl Client {
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
