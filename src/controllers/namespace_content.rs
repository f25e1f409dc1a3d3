//! What every namespace contains: the ServiceAccount `default` and the ConfigMap with the
//! authority by which Pods know the API server. (kubernetes 1.36:
//! pkg/controller/serviceaccount/serviceaccounts_controller.go, certificates/rootcacertpublisher)

use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::follow::{Follower, Seen, persist};
use crate::apiserver::ApiServer;
use crate::client::{Client, ClientError, ObjectKey};
use crate::clock::Clock;
use crate::store::{Entry, ResourceKey};

/// Name of the ServiceAccount.
const ACCOUNT: &str = "default";
/// Name of the ConfigMap.
const ROOT_CA: &str = "kube-root-ca.crt";
const ROOT_CA_KEY: &str = "ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when \
                           using internal endpoints such as the internal service IP or \
                           kubernetes.default.svc. No other usage is guaranteed across \
                           distributions of Kubernetes clusters.";

pub(super) struct NamespaceContent {
    pub(super) server: ApiServer,
    /// Writes ServiceAccounts.
    pub(super) accounts: Client,
    /// Writes ConfigMaps.
    pub(super) publisher: Client,
    pub(super) clock: Clock,
    /// The authority's certificates, PEM; nothing is published if empty.
    pub(super) root_ca_pem: String,
}

impl NamespaceContent {
    /// Works for ever.
    pub(super) async fn run(self) {
        let mut namespaces = Follower::new(&self.server, "", "namespaces");
        let mut accounts = Follower::new(&self.server, "", "serviceaccounts");
        let mut config_maps = Follower::new(&self.server, "", "configmaps");
        loop {
            let (changes, of_content) = tokio::select! {
                changes = namespaces.next() => (changes, false),
                changes = accounts.next() => (changes, true),
                changes = config_maps.next() => (changes, true),
            };
            for Seen { entry, is_deleted } in changes {
                if of_content {
                    self.look_at(&entry, is_deleted).await;
                } else if !is_deleted {
                    self.fill(&entry.meta.name).await;
                }
            }
        }
    }

    /// Restores content that is deleted, or no longer says what it should.
    async fn look_at(&self, entry: &Entry, is_deleted: bool) {
        let meta = &entry.meta;
        match &*meta.name {
            ACCOUNT if is_deleted => self.fill(&meta.namespace).await,
            ROOT_CA => self.fill(&meta.namespace).await,
            _ => {}
        }
    }

    /// Creates what a namespace lacks.
    async fn fill(&self, namespace: &str) {
        let key = ResourceKey { group: "".into(), plural: "namespaces".into() };
        let found = self.server.store().get(&key, "", namespace);
        if found.is_none_or(|entry| entry.meta.deletion_timestamp.is_some()) {
            return;
        }
        if self.find("serviceaccounts", namespace, ACCOUNT).is_none() {
            persist(&self.clock, "ServiceAccount default", || self.create_account(namespace)).await;
        }
        if self.root_ca_pem.is_empty() {
            return;
        }
        let published = self.find("configmaps", namespace, ROOT_CA);
        if published.as_ref().is_none_or(|map| map["data"] != self.data()) {
            persist(&self.clock, ROOT_CA, || self.publish(namespace, published.is_some())).await;
        }
    }

    fn find(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = ResourceKey { group: "".into(), plural: plural.into() };
        let entry = self.server.store().get(&key, namespace, name)?;
        serde_json::from_slice(&entry.raw).ok()
    }

    fn data(&self) -> Value {
        json!({ROOT_CA_KEY: self.root_ca_pem})
    }

    async fn create_account(&self, namespace: &str) -> Result<(), ClientError> {
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": namespace}});
        create(&self.accounts, &ApiResource::erase::<ServiceAccount>(&()), &object).await
    }

    async fn publish(&self, namespace: &str, exists: bool) -> Result<(), ClientError> {
        if exists {
            let key = ObjectKey::new(namespace, ROOT_CA);
            let patch = json!({"data": {"$patch": "replace", ROOT_CA_KEY: self.root_ca_pem}});
            let patched = self.publisher.strategic_patch::<ConfigMap>(&key, "", &patch).await;
            return patched.map(|_| ());
        }
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": self.data(),
            "metadata": {"name": ROOT_CA, "namespace": namespace,
                "annotations": {"kubernetes.io/description": DESCRIPTION}}});
        create(&self.publisher, &ApiResource::erase::<ConfigMap>(&()), &object).await
    }
}

/// Creates an object that may be there already.
async fn create(
    client: &Client,
    resource: &ApiResource,
    object: &Value,
) -> Result<(), ClientError> {
    match client.create_dynamic(resource, object).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}
