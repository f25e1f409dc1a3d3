//! Creating clusters.

use serde_json::Value;

use super::apply::Applier;
use super::error::{Exit, Failure};
use super::manifests::Manifest;
use crate::api::core::Cluster;
use crate::client::{Client, ObjectKey};

/// Creates clusters of a namespace by name, each with all it consists of or not at all, and tells
/// `created` of each.
///
/// # Errors
/// Of the first that is refused, or of `created`.
pub(crate) async fn create(
    client: &Client,
    namespace: &str,
    clusters: Vec<(String, Vec<Value>)>,
    mut created: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let applier = Applier::discover(client).await.map_err(Failure::other)?;
    for (name, objects) in clusters {
        applier
            .apply(namespace, &manifests(&name, objects))
            .await
            .map_err(|error| Failure::other(error).hint("nothing of this cluster was created"))?;
        created(&name)?;
    }
    Ok(())
}

fn manifests(name: &str, objects: Vec<Value>) -> Vec<Manifest> {
    let wrap = |(index, object)| {
        let made = Manifest::made(object, format!("cluster {name}"));
        Manifest { document: index + 1, ..made }
    };
    objects.into_iter().enumerate().map(wrap).collect()
}

/// Refuses to go on if one of some clusters exists.
///
/// # Errors
/// `E031` for the first that does.
pub(crate) async fn refuse_existing(
    client: &Client,
    namespace: &str,
    names: &[String],
) -> Result<(), Failure> {
    for name in names {
        let key = ObjectKey::new(namespace, &**name);
        let existing: Option<Cluster> = client
            .get(&key)
            .await
            .map_err(|error| Failure::request("look for the cluster", &error))?;
        if existing.is_some() {
            let message = format!("cluster {name:?} exists in namespace {namespace:?}");
            return Err(Failure::new("E031", Exit::Conflict, message)
                .hint(format!("capim delete cluster {name}")));
        }
    }
    Ok(())
}
