//! Reads the objects of a cluster.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::error::CliError;
use crate::acts::{Kind, Served};
use crate::client::Client;
use crate::describe::{Reference, Sources};

/// Requests at a time.
const CONCURRENT: usize = 16;
/// From this many objects of a kind on, they are listed instead of read one by one.
const LISTED_FROM: usize = 8;

/// What `capim describe` and `capim why` look at.
pub(super) async fn cluster(
    client: &Client,
    served: &Served,
    namespace: &str,
    name: &str,
) -> Result<Sources, CliError> {
    let cluster = served.find("clusters.cluster.x-k8s.io")?;
    let cluster = cluster.require(client, namespace, name).await?;
    let selector = format!("cluster.x-k8s.io/cluster-name={name}");
    // A management cluster may lack some of the kinds.
    let list = async |word: &str| match served.find(word) {
        Ok(kind) => kind.list(client, namespace, &selector).await,
        Err(_) => Ok(Vec::new()),
    };
    let mut sources = Sources {
        cluster,
        machines: list("machines.cluster.x-k8s.io").await?,
        machine_sets: list("machinesets.cluster.x-k8s.io").await?,
        machine_deployments: list("machinedeployments.cluster.x-k8s.io").await?,
        machine_pools: list("machinepools.cluster.x-k8s.io").await?,
        ..Sources::default()
    };
    if let Ok(kind) = served.find("clusterresourcesetbindings.addons.cluster.x-k8s.io") {
        sources.resource_set_binding = kind.get(client, namespace, name).await?;
    }
    read_references(client, served, namespace, &mut sources).await?;
    Ok(sources)
}

async fn read_references(
    client: &Client,
    served: &Served,
    namespace: &str,
    sources: &mut Sources,
) -> Result<(), CliError> {
    let references = sources.references();
    for same_kind in references.chunk_by(|a, b| (&a.group, &a.kind) == (&b.group, &b.kind)) {
        let Some(first) = same_kind.first() else { continue };
        // What refers to a kind that is not served refers to nothing.
        let Ok(kind) = served.find(&format!("{}.{}", first.kind, first.group)) else { continue };
        if same_kind.len() >= LISTED_FROM {
            for object in kind.list(client, namespace, "").await? {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                if let Ok(index) = same_kind.binary_search_by(|it| it.name.as_str().cmp(name)) {
                    sources.referenced.insert(same_kind[index].clone(), object);
                }
            }
            continue;
        }
        let read: Vec<(Reference, Option<Value>)> = stream::iter(same_kind.iter().cloned())
            .map(|reference| read_one(client, kind, namespace, reference))
            .buffered(CONCURRENT)
            .try_collect()
            .await?;
        let found = read.into_iter().filter_map(|(key, object)| Some((key, object?)));
        sources.referenced.extend(found);
    }
    Ok(())
}

async fn read_one(
    client: &Client,
    kind: &Kind,
    namespace: &str,
    reference: Reference,
) -> Result<(Reference, Option<Value>), CliError> {
    let object = kind.get(client, namespace, &reference.name).await?;
    Ok((reference, object))
}
