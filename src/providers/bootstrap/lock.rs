//! The init lock: ConfigMap `<cluster>-lock`, so that one machine only runs `kubeadm init`.
//! (CAPI v1.14: bootstrap/kubeadm/pkg/locking)

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use crate::api::core::{Cluster, Machine};
use crate::client::{Client, ClientError, ObjectKey, Propagation};
use crate::contract::{labels, owners};

const KEY: &str = "lock-information";

/// Result of an attempt to lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    /// This machine holds the lock.
    Acquired,
    /// Another machine holds it, or held it until now.
    Busy,
}

/// Takes the lock for a machine. A lock whose machine is gone is released.
///
/// # Errors
/// The requests'.
pub(super) async fn acquire(
    client: &Client,
    cluster: &Cluster,
    machine: &str,
) -> Result<Lock, ClientError> {
    let key = key_of(cluster);
    if let Some(existing) = client.get::<ConfigMap>(&key).await? {
        let holder = holder(&existing);
        if holder == machine {
            return Ok(Lock::Acquired);
        }
        let holder = ObjectKey::new(&key.namespace, holder);
        if client.get::<Machine>(&holder).await?.is_none() {
            release(client, cluster).await?;
        }
        return Ok(Lock::Busy);
    }
    match client.create(&config_map(cluster, machine)).await {
        Ok(_) => Ok(Lock::Acquired),
        Err(error) if error.is_already_exists() => Ok(Lock::Busy),
        Err(error) => Err(error),
    }
}

/// Releases the lock; a read first, because most machines find none.
///
/// # Errors
/// The requests'.
pub(super) async fn release(client: &Client, cluster: &Cluster) -> Result<(), ClientError> {
    let key = key_of(cluster);
    if client.get::<ConfigMap>(&key).await?.is_some() {
        client.delete::<ConfigMap>(&key, Propagation::Default).await?;
    }
    Ok(())
}

fn key_of(cluster: &Cluster) -> ObjectKey {
    let key = ObjectKey::of(cluster);
    ObjectKey::new(key.namespace, format!("{}-lock", key.name))
}

fn holder(lock: &ConfigMap) -> String {
    let information = lock.data.as_ref().and_then(|data| data.get(KEY));
    let information: Value =
        information.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    information["machineName"].as_str().unwrap_or_default().to_owned()
}

fn config_map(cluster: &Cluster, machine: &str) -> ConfigMap {
    let key = key_of(cluster);
    let name = cluster.metadata.name.clone().unwrap_or_default();
    let mut object = ConfigMap {
        data: Some([(KEY.to_owned(), json!({"machineName": machine}).to_string())].into()),
        ..ConfigMap::default()
    };
    object.metadata.namespace = Some(key.namespace);
    object.metadata.name = Some(key.name);
    object.metadata.labels = Some([(labels::CLUSTER_NAME.to_owned(), name)].into());
    object.metadata.owner_references = Some(vec![owners::owner_of(cluster)]);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_names_its_machine_and_belongs_to_the_cluster() {
        let mut cluster = Cluster::default();
        cluster.metadata.name = Some("bar".into());
        cluster.metadata.namespace = Some("ns".into());
        let lock = config_map(&cluster, "bar-cp-1");
        assert_eq!(lock.metadata.name.as_deref(), Some("bar-lock"));
        assert_eq!(lock.data.as_ref().unwrap()[KEY], r#"{"machineName":"bar-cp-1"}"#);
        assert_eq!(holder(&lock), "bar-cp-1");
        let owner = &lock.metadata.owner_references.unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.controller), ("Cluster", None));
    }
}
