//! An engine with its controllers, for tests.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, ObjectMeta};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::apiserver::authorization::install_default_roles;
use crate::apiserver::{ApiServer, Identity, Options, Profile};
use crate::client::{Client, ObjectKey};
use crate::clock::Clock;
use crate::machinery::builtin;
use crate::pki::{CertificateAuthority, KeyAlgorithm};

/// Longest wait for what must come to pass.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct TestServer {
    pub(super) server: ApiServer,
    pub(super) client: Client,
    _stop: DropGuard,
}

impl TestServer {
    /// A server with the usual namespaces and running controllers.
    pub(super) async fn start() -> Self {
        let options = Options::new(Clock::wall());
        let server = ApiServer::new(&Profile::new(builtin::definitions()), options);
        let client = Client::in_process(&server, Identity::administrator("test"), "test");
        super::seed_namespaces(&client).await.unwrap();
        super::seed_namespaces(&client).await.unwrap();
        let stop = CancellationToken::new();
        let authority = CertificateAuthority::generate("test", KeyAlgorithm::EcdsaP256).unwrap();
        let settings = super::Settings {
            root_ca_pem: authority.certificate_pem().to_owned(),
            authority: Some(authority.into()),
        };
        install_default_roles(&server);
        let controllers =
            super::run(server.clone(), client.clone(), Clock::wall(), settings, stop.clone());
        tokio::spawn(controllers);
        Self { server, client, _stop: stop.drop_guard() }
    }

    /// Creates a ConfigMap; owners are given as (name, uid, blockOwnerDeletion).
    pub(super) async fn config_map(
        &self,
        name: &str,
        owners: &[(&str, &str, bool)],
        finalizers: &[&str],
    ) -> String {
        let owners: Vec<Value> = owners
            .iter()
            .map(|(name, uid, blocks)| {
                json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid,
                    "blockOwnerDeletion": blocks})
            })
            .collect();
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": name, "namespace": "default", "ownerReferences": owners,
            "finalizers": finalizers}});
        let resource = ApiResource::erase::<ConfigMap>(&());
        let created = self.client.create_dynamic(&resource, &object).await.unwrap();
        created["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    pub(super) async fn get(&self, name: &str) -> Option<ObjectMeta> {
        let key = ObjectKey::new("default", name);
        let object: Option<ConfigMap> = self.client.get(&key).await.unwrap();
        object.map(|object| object.metadata)
    }

    pub(super) async fn delete(&self, name: &str, parameters: &DeleteParams) {
        let api: Api<ConfigMap> = Api::namespaced(self.client.kube().clone(), "default");
        api.delete(name, parameters).await.unwrap();
    }

    pub(super) async fn remove_finalizers(&self, name: &str) {
        let key = ObjectKey::new("default", name);
        let patch = json!({"metadata": {"finalizers": null}});
        self.client.merge_patch::<ConfigMap>(&key, "", &patch).await.unwrap();
    }

    pub(super) async fn namespace(&self, name: &str) -> Option<Namespace> {
        self.client.get(&ObjectKey::new("", name)).await.unwrap()
    }

    /// Waits until `check` holds; it is asked again after every write.
    pub(super) async fn until(&self, what: &str, check: impl AsyncFn(&Self) -> bool) {
        let store = self.server.store();
        let wait = async {
            loop {
                let progress = store.progress().notified();
                tokio::pin!(progress);
                progress.as_mut().enable();
                if check(self).await {
                    return;
                }
                progress.await;
            }
        };
        let outcome = Clock::wall().timeout(PATIENCE, wait).await;
        assert!(outcome.is_ok(), "never happened: {what}");
    }
}
