//! One cluster as its chores see it: the objects as they are, and who writes.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::core::ApiResource;
use serde_json::Value;

use super::chores::{Chore, Chores};
use crate::apiserver::ApiServer;
use crate::client::{Client, ClientError, ObjectKey};
use crate::store::{Entry, RangeQuery, ResourceKey};
use crate::workload::cluster::{Cluster, Kubelet};
use crate::workload::host::HostError;

/// Annotation of the Pods that mirror static ones.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

macro_rules! resource {
    ($name:ident, $group:literal, $plural:literal) => {
        pub(super) static $name: LazyLock<ResourceKey> =
            LazyLock::new(|| ResourceKey { group: $group.into(), plural: $plural.into() });
    };
}

resource!(PODS, "", "pods");
resource!(NODES, "", "nodes");
resource!(BUDGETS, "policy", "poddisruptionbudgets");
resource!(DAEMON_SETS, "apps", "daemonsets");
resource!(DEPLOYMENTS, "apps", "deployments");
resource!(REPLICA_SETS, "apps", "replicasets");
resource!(STATEFUL_SETS, "apps", "statefulsets");
resource!(REPLICATION_CONTROLLERS, "", "replicationcontrollers");

/// One cluster.
pub(super) struct Site<'a> {
    cluster: &'a Cluster,
    chores: &'a Chores,
    server: &'a ApiServer,
    client: &'a Client,
}

impl<'a> Site<'a> {
    /// A cluster's site, if its engine runs.
    pub(super) fn of(cluster: &'a Arc<Cluster>, chores: &'a Chores) -> Option<Self> {
        let (server, client) = cluster.running()?;
        Some(Self { cluster, chores, server, client })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.cluster.now()
    }

    /// The kubelet of a Node, if a machine stands for it.
    pub(super) fn kubelet(&self, node: &str) -> Option<Kubelet> {
        self.cluster.kubelet(node)
    }

    /// Brings back the static Pods of a Node that somebody deleted.
    pub(super) async fn restore_mirrors(
        &self,
        node: &str,
    ) -> Result<Option<Duration>, ClientError> {
        match self.cluster.restore_mirrors(node).await {
            Err(HostError::Write { source, .. }) => Err(source),
            // Other errors tell of a machine that is gone.
            Ok(()) | Err(_) => Ok(None),
        }
    }

    /// What a Node's kubelet reports of itself.
    pub(super) fn node_conditions(&self) -> Value {
        crate::workload::node::conditions(self.now())
    }

    /// Adds a chore of this cluster.
    pub(super) fn add(&self, chore: Chore) {
        self.chores.add(self.cluster.key(), chore);
    }

    /// Plans a chore of this cluster.
    pub(super) fn plan(&self, chore: Chore, wait: Duration) {
        self.chores.plan(self.cluster.key().clone(), chore, Some(wait));
    }

    /// Writes as kubelets do.
    pub(super) fn as_kubelet(&self) -> Client {
        self.client.with_field_manager("kubelet")
    }

    /// Writes as kube-controller-manager does.
    pub(super) fn as_manager(&self) -> Client {
        self.client.with_field_manager("kube-controller-manager")
    }

    pub(super) fn get(&self, resource: &ResourceKey, key: (&str, &str)) -> Option<Value> {
        let entry = self.server.store().get(resource, key.0, key.1)?;
        serde_json::from_slice(&entry.raw).ok()
    }

    pub(super) fn count(&self, resource: &ResourceKey) -> usize {
        self.server.store().count(resource)
    }

    /// All objects of a resource, in one namespace if one is given.
    pub(super) fn list(&self, resource: &ResourceKey, namespace: Option<&str>) -> Vec<Value> {
        let query = RangeQuery { resource, namespace, after: None, at: None, limit: 0 };
        // The latest state is always known.
        let page = self.server.store().range(query, |_| true);
        let entries = page.map(|page| page.entries).unwrap_or_default();
        entries.iter().filter_map(|entry| serde_json::from_slice(&entry.raw).ok()).collect()
    }

    /// The Pods that are bound to a Node.
    pub(super) fn pods_of(&self, node: &str) -> Vec<Value> {
        let mut pods = self.list(&PODS, None);
        pods.retain(|pod| node_of(pod) == Some(node));
        pods
    }
}

/// Name of the Node that a Pod is bound to.
pub(super) fn node_of(pod: &Value) -> Option<&str> {
    pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty())
}

/// Namespace and name of an object.
pub(super) fn key_of(object: &Value) -> ObjectKey {
    let metadata = &object["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    ObjectKey::new(text("namespace"), text("name"))
}

/// Whether a Pod mirrors a static one.
pub(super) fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"].get(MIRROR).is_some()
}

/// The same, of a stored Pod that has not been parsed: mirrors are owned by their Node.
pub(super) fn is_mirror_entry(entry: &Entry) -> bool {
    entry.meta.owner_references.iter().any(|owner| &*owner.kind == "Node")
}

/// The condition of a type.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind)
}

/// Whether a condition is True.
pub(super) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// Whether an object is being deleted.
pub(super) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Deletes a Pod unless it is another one by now.
pub(super) async fn delete_pod(
    client: &Client,
    pod: &Value,
    grace_seconds: Option<u32>,
) -> Result<(), ClientError> {
    let key = key_of(pod);
    let uid = pod["metadata"]["uid"].as_str().map(str::to_owned);
    let parameters = DeleteParams {
        grace_period_seconds: grace_seconds,
        preconditions: Some(Preconditions { uid, resource_version: None }),
        ..DeleteParams::default()
    };
    let pods: Api<Pod> = Api::namespaced(client.kube().clone(), &key.namespace);
    match pods.delete(&key.name, &parameters).await.map_err(ClientError::from) {
        Err(error) if !matches!(error.code(), Some(404 | 409)) => Err(error),
        _ => Ok(()),
    }
}

/// Patches an object; one that is gone is no error.
pub(super) async fn patch<K>(
    client: &Client,
    object: &Value,
    subresource: &str,
    patch: &Value,
) -> Result<(), ClientError>
where
    K: kube::Resource<DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    match client.merge_patch_dynamic(&resource, &key_of(object), subresource, patch).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Replaces a condition in a list of them, or adds it.
pub(super) fn set_condition(conditions: &mut Vec<Value>, condition: Value) {
    match conditions.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

/// An object's conditions.
pub(super) fn conditions_of(object: &Value) -> Vec<Value> {
    object["status"]["conditions"].as_array().cloned().unwrap_or_default()
}

/// Labels selected by a LabelSelector.
pub(super) fn selects(selector: &Value, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    crate::machinery::selector::LabelSelector::from_label_selector(selector)
        .is_ok_and(|selector| selector.matches_by(|key| labels[key].as_str()))
}
