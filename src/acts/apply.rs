//! Applies manifests all or not at all: every object is tried with a server-side dry run first.

use std::collections::HashMap;

use kube::core::ApiResource;
use serde_json::Value;

use super::error::Place;
use super::manifests::{About, Manifest};
use crate::client::{Client, ClientError};
use crate::machinery::gvk::split_api_version;

/// Why manifests were not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// No resource serves the kind.
    #[error(
        "{file}, document {document}: no matches for kind \"{kind}\" in version \"{api_version}\""
    )]
    NoMatch {
        /// File.
        file: String,
        /// Number of the document.
        document: usize,
        /// Kind.
        kind: String,
        /// apiVersion.
        api_version: String,
        /// Where it is written.
        place: Option<Box<Place>>,
    },
    /// The API refused an object.
    #[error("{file}, document {document}: {kind} {name:?}: {}", told(source))]
    Refused {
        /// File.
        file: String,
        /// Number of the document.
        document: usize,
        /// Kind.
        kind: String,
        /// Object name.
        name: String,
        /// Where the field is written that is refused.
        place: Option<Box<Place>>,
        /// Cause.
        source: ClientError,
    },
    /// Discovery failed.
    #[error("failed to discover the served kinds: {0}")]
    Discovery(#[source] ClientError),
}

impl ApplyError {
    /// Where in a file it is.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::NoMatch { place, .. } | Self::Refused { place, .. } => place.as_deref(),
            Self::Discovery(_) => None,
        }
    }
}

/// Every served kind by apiVersion and kind: its resource, and whether it is namespaced.
type ServedKinds = HashMap<(String, String), (ApiResource, bool)>;

/// Applies manifests to one API whose kinds it has discovered.
pub struct Applier {
    client: Client,
    kinds: ServedKinds,
}

/// Applies objects in order (server-side apply, with force), after a dry run of all of them has
/// succeeded. `namespace` is used for namespaced objects that name none.
///
/// # Errors
/// The first object that is refused; if the dry run refuses it, nothing has been written.
pub async fn apply_manifests(
    client: &Client,
    namespace: &str,
    manifests: &[Manifest],
) -> Result<(), ApplyError> {
    let (defining, others) = split_definitions(manifests);
    let applier = Applier::discover(client).await?;
    if defining.is_empty() {
        return applier.apply(namespace, manifests).await;
    }
    applier.apply(namespace, &defining).await?;
    // What is left may be of kinds that the first part has defined.
    Applier::discover(client).await?.apply(namespace, &others).await
}

/// CustomResourceDefinitions, if other manifests are of the kinds that they define, and the rest.
fn split_definitions(manifests: &[Manifest]) -> (Vec<Manifest>, Vec<Manifest>) {
    let is_definition =
        |manifest: &&Manifest| text(&manifest.object, "kind") == "CustomResourceDefinition";
    manifests.iter().cloned().partition(|manifest| is_definition(&manifest))
}

impl Applier {
    /// Asks the API for the kinds that it serves.
    ///
    /// # Errors
    /// [`ApplyError::Discovery`]
    pub async fn discover(client: &Client) -> Result<Self, ApplyError> {
        let kinds = served_kinds(client).await.map_err(ApplyError::Discovery)?;
        Ok(Self { client: client.clone(), kinds })
    }

    /// As [`apply_manifests`], for kinds that are served already.
    ///
    /// # Errors
    /// As [`apply_manifests`].
    pub async fn apply(&self, namespace: &str, manifests: &[Manifest]) -> Result<(), ApplyError> {
        let prepared: Vec<(&Manifest, &ApiResource, Value)> = manifests
            .iter()
            .map(|manifest| self.prepare(manifest, namespace))
            .collect::<Result<_, _>>()?;
        for (manifest, resource, object) in &prepared {
            match self.client.apply_dry_run(resource, object).await {
                Ok(_) => {}
                Err(error)
                    if is_missing_namespace(&error) && makes_namespace(manifests, object) => {}
                Err(error) => return Err(refused(manifest, error)),
            }
        }
        for (manifest, resource, object) in &prepared {
            let applied = self.client.apply(resource, object).await;
            applied.map_err(|error| refused(manifest, error))?;
        }
        Ok(())
    }

    /// What the objects would be after an apply, with their resources.
    ///
    /// # Errors
    /// The first object that is refused.
    pub async fn dry_run(
        &self,
        namespace: &str,
        manifests: &[Manifest],
    ) -> Result<Vec<(ApiResource, Value)>, ApplyError> {
        let mut all = Vec::new();
        for manifest in manifests {
            let (manifest, resource, object) = self.prepare(manifest, namespace)?;
            let applied = self.client.apply_dry_run(resource, &object).await;
            let applied = applied.map_err(|error| refused(manifest, error))?;
            all.push((resource.clone(), applied));
        }
        Ok(all)
    }

    fn prepare<'a>(
        &'a self,
        manifest: &'a Manifest,
        namespace: &str,
    ) -> Result<(&'a Manifest, &'a ApiResource, Value), ApplyError> {
        let (api_version, kind) =
            (text(&manifest.object, "apiVersion"), text(&manifest.object, "kind"));
        let served = self.kinds.get(&(api_version.to_owned(), kind.to_owned()));
        let (resource, namespaced) = served.ok_or_else(|| ApplyError::NoMatch {
            file: manifest.file.clone(),
            document: manifest.document,
            kind: kind.to_owned(),
            api_version: api_version.to_owned(),
            place: manifest.place(["kind"], About::Value).map(Box::new),
        })?;
        Ok((manifest, resource, with_namespace(&manifest.object, *namespaced, namespace)))
    }
}

async fn served_kinds(client: &Client) -> Result<ServedKinds, ClientError> {
    let mut kinds = HashMap::new();
    let mut versions = vec![("v1".to_owned(), "/api/v1".to_owned())];
    let groups = client.get_json("/apis").await?;
    for group in groups["groups"].as_array().into_iter().flatten() {
        for version in group["versions"].as_array().into_iter().flatten() {
            let api_version = text(version, "groupVersion").to_owned();
            versions.push((api_version.clone(), format!("/apis/{api_version}")));
        }
    }
    for (api_version, path) in versions {
        let list = client.get_json(&path).await?;
        for resource in list["resources"].as_array().into_iter().flatten() {
            let plural = text(resource, "name");
            if plural.contains('/') {
                continue;
            }
            let (group, version) = split_api_version(&api_version);
            let kind = text(resource, "kind").to_owned();
            let described = ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.clone(),
                kind: kind.clone(),
                plural: plural.to_owned(),
            };
            let namespaced = resource["namespaced"].as_bool().unwrap_or(false);
            kinds.insert((api_version.clone(), kind), (described, namespaced));
        }
    }
    Ok(kinds)
}

fn with_namespace(object: &Value, namespaced: bool, namespace: &str) -> Value {
    let mut object = object.clone();
    if namespaced && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

fn makes_namespace(manifests: &[Manifest], object: &Value) -> bool {
    manifests.iter().any(|manifest| {
        text(&manifest.object, "kind") == "Namespace"
            && manifest.object["metadata"]["name"] == object["metadata"]["namespace"]
    })
}

fn is_missing_namespace(error: &ClientError) -> bool {
    matches!(error, ClientError::Status(status) if status.code == 404 && status.message.starts_with("namespaces "))
}

fn refused(manifest: &Manifest, source: ClientError) -> ApplyError {
    ApplyError::Refused {
        file: manifest.file.clone(),
        document: manifest.document,
        kind: text(&manifest.object, "kind").to_owned(),
        name: manifest.object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        place: refused_field(manifest, &source).map(Box::new),
        source,
    }
}

/// What the server said, without what it leaves open.
fn told(error: &ClientError) -> String {
    error.reason().trim_end_matches([':', ' ']).to_owned()
}

/// Where the field is that the server refuses: the one that it names as a cause, or else in its
/// message.
fn refused_field(manifest: &Manifest, error: &ClientError) -> Option<Place> {
    let ClientError::Status(status) = error else { return None };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let named = causes.map(|cause| cause.field.as_str()).filter(|field| !field.is_empty());
    let fields: Vec<&str> = match named.clone().next() {
        Some(_) => named.collect(),
        None => field_paths(&status.message).collect(),
    };
    let is_unknown =
        ["not declared in schema", "unknown field"].iter().any(|it| status.message.contains(it));
    manifest.place(fields, if is_unknown { About::Name } else { About::Value })
}

/// What looks like the path of a field in a message: `.spec.a: not declared`, `data: Invalid value`,
/// `unknown field "spec.b"`.
fn field_paths(message: &str) -> impl Iterator<Item = &str> {
    message.split_whitespace().filter_map(|word| {
        let path = word.trim_matches(['"', '(', ')', ',', ';']);
        let path = path.strip_suffix(':').unwrap_or(path).trim_matches('"');
        let looks = path.trim_start_matches('.').starts_with(|c: char| c.is_ascii_lowercase())
            && !path.contains("://")
            && (path.contains(['.', '[']) || word.ends_with(':'));
        looks.then_some(path)
    })
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_from_messages() {
        let paths = |message| field_paths(message).collect::<Vec<_>>();
        assert_eq!(
            paths(
                "failed to create typed patch object (default/a; v1, Kind=B): .spec.x: field not declared in schema"
            ),
            [".spec.x"]
        );
        assert_eq!(paths("Cluster \"a\" is invalid: data: Invalid value"), ["invalid", "data"]);
        assert_eq!(
            paths("strict decoding error: unknown field \"spec.b[0].c\""),
            ["error", "spec.b[0].c"]
        );
    }
}
