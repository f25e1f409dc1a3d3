//! What a reconcile of a ClusterResourceSet reads: the Clusters that it selects and the ConfigMaps
//! and Secrets that it names.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::content::Content;
use super::status::Verdict;
use crate::api::addons::{ClusterResourceSet, ResourceRef};
use crate::api::core::Cluster;
use crate::client::{Client, ClientError, ObjectKey};
use crate::contract::owners;
use crate::machinery::selector::LabelSelector;
use crate::runtime::Informer;

/// The only type of Secrets that may hold objects.
const SECRET_TYPE: &str = "addons.cluster.x-k8s.io/resource-set";

/// The selector of a ClusterResourceSet; `None` selects nothing.
///
/// # Errors
/// Upstream's message for one that cannot be read.
pub(super) fn selector(set: &ClusterResourceSet) -> Result<Option<LabelSelector>, String> {
    let selector = serde_json::to_value(&set.spec.cluster_selector).unwrap_or_default();
    let selector = LabelSelector::from_label_selector(&selector)
        .map_err(|error| format!("unable to convert selector: {error}"))?;
    // An empty selector matches nothing here, not everything.
    Ok(Some(selector).filter(|selector| !selector.is_empty()))
}

/// Whether a Cluster is selected.
pub(super) fn selects(selector: &LabelSelector, cluster: &Cluster) -> bool {
    let labels = cluster.metadata.labels.as_ref();
    selector.matches_by(|key| labels.and_then(|labels| labels.get(key)).map(String::as_str))
}

/// The Clusters that are selected and stay, by name.
pub(super) fn clusters(
    set: &ClusterResourceSet,
    by_namespace: &[Arc<Cluster>],
) -> Result<Vec<Arc<Cluster>>, String> {
    let Some(selector) = selector(set)? else { return Ok(Vec::new()) };
    let selected = by_namespace.iter().filter(|cluster| {
        cluster.metadata.deletion_timestamp.is_none() && selects(&selector, cluster)
    });
    let mut selected: Vec<Arc<Cluster>> = selected.cloned().collect();
    selected.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    Ok(selected)
}

/// Index of Clusters and ClusterResourceSets by namespace.
pub(super) const BY_NAMESPACE: &str = "addons/namespace";

/// All Clusters of a ClusterResourceSet's namespace.
pub(super) fn neighbours(clusters: &Informer<Cluster>, namespace: &str) -> Vec<Arc<Cluster>> {
    clusters.by_index(BY_NAMESPACE, namespace)
}

/// What was found of a resource.
pub(super) enum Found {
    /// Its values; an error if it has none.
    Content(Result<Content, String>),
    /// There is none of that name.
    Missing,
}

/// The resources of a set, in its order, or why they cannot be used.
#[derive(Default)]
pub(super) struct Resources {
    pub(super) found: Vec<(ResourceRef, Found)>,
    /// What the last resource that is missing or unusable means.
    pub(super) verdict: Option<Verdict>,
    /// Requests that failed and are worth another try.
    pub(super) errors: Vec<String>,
    /// Whether a Secret is of another type.
    pub(super) has_wrong_type: bool,
}

impl Resources {
    /// Reads all resources and makes the set an owner of them.
    pub(super) async fn read(client: &Client, set: &ClusterResourceSet) -> Self {
        let mut resources = Self::default();
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        for reference in &set.spec.resources {
            let key = ObjectKey::new(namespace, &reference.name);
            let result = match reference.kind.as_str() {
                "Secret" => read_secret(client, set, &key).await,
                _ => read_config_map(client, set, &key).await,
            };
            match result {
                Ok(found) => {
                    if matches!(found, Found::Missing) {
                        let plural =
                            if reference.kind == "Secret" { "secrets" } else { "configmaps" };
                        let error = format!("{plural} {:?} not found", reference.name);
                        resources.verdict = Some(Verdict::RetrievingFailed(error));
                    }
                    resources.found.push((reference.clone(), found));
                }
                Err(Failure::WrongType) => {
                    resources.has_wrong_type = true;
                    resources.verdict = Some(Verdict::WrongSecretType(reference.name.clone()));
                }
                Err(Failure::Read(error)) => {
                    resources.errors.push(error.to_string());
                    resources.verdict = Some(Verdict::RetrievingFailed(error.to_string()));
                }
                Err(Failure::Own(error)) => resources.errors.push(error.to_string()),
            }
        }
        resources
    }
}

/// Why a resource cannot be used.
enum Failure {
    WrongType,
    Read(ClientError),
    Own(ClientError),
}

async fn read_config_map(
    client: &Client,
    set: &ClusterResourceSet,
    key: &ObjectKey,
) -> Result<Found, Failure> {
    let found = client.get::<ConfigMap>(key).await.map_err(Failure::Read)?;
    let Some(found) = found else { return Ok(Found::Missing) };
    own::<ConfigMap>(client, set, &found.metadata).await.map_err(Failure::Own)?;
    let values = found.data.map(|data| data.into_values().map(String::into_bytes).collect());
    Ok(Found::Content(values.map(Content).ok_or_else(|| no_data(key))))
}

async fn read_secret(
    client: &Client,
    set: &ClusterResourceSet,
    key: &ObjectKey,
) -> Result<Found, Failure> {
    let found = client.get::<Secret>(key).await.map_err(Failure::Read)?;
    let Some(found) = found else { return Ok(Found::Missing) };
    if found.type_.as_deref() != Some(SECRET_TYPE) {
        return Err(Failure::WrongType);
    }
    own::<Secret>(client, set, &found.metadata).await.map_err(Failure::Own)?;
    let values = found.data.map(|data| data.into_values().map(|value| value.0).collect());
    Ok(Found::Content(values.map(Content).ok_or_else(|| no_data(key))))
}

fn no_data(key: &ObjectKey) -> String {
    format!("failed to get data field from resource {key}")
}

/// Makes the set an owner of a resource, so that they go together.
async fn own<K>(
    client: &Client,
    set: &ClusterResourceSet,
    held: &ObjectMeta,
) -> Result<(), ClientError>
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned,
{
    let owner = owners::owner_of(set);
    if owners::has(held, &owner) {
        return Ok(());
    }
    let mut wanted = held.clone();
    owners::ensure(&mut wanted, owner);
    let patch = json!({"metadata": {
        "ownerReferences": wanted.owner_references,
        "resourceVersion": held.resource_version,
    }});
    let name = |part: &Option<String>| part.clone().unwrap_or_default();
    let key = ObjectKey::new(name(&held.namespace), name(&held.name));
    client.merge_patch::<K>(&key, "", &patch).await?;
    Ok(())
}
