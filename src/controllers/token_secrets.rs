//! Secrets that hold a service account's token: filled when they are created, deleted with the
//! account. (kubernetes 1.36: pkg/controller/serviceaccount/tokens_controller.go)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PropagationPolicy;
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::follow::{Follower, Seen, persist};
use super::objects;
use crate::apiserver::{ApiServer, legacy_token};
use crate::client::{Client, ClientError, ObjectKey};
use crate::clock::Clock;
use crate::store::{Entry, ObjectRef, ResourceKey};

const SECRET_TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

pub(super) struct TokenSecrets {
    pub(super) server: ApiServer,
    pub(super) client: Client,
    pub(super) clock: Clock,
    /// The authority's certificates, PEM, which go with the token.
    pub(super) root_ca_pem: String,
}

impl TokenSecrets {
    /// Works for ever.
    pub(super) async fn run(self) {
        let mut secrets = Follower::new(&self.server, "", "secrets");
        let mut accounts = Follower::new(&self.server, "", "serviceaccounts");
        loop {
            tokio::select! {
                changes = secrets.next() => {
                    for Seen { entry, is_deleted } in changes {
                        if !is_deleted {
                            self.look_at(&entry).await;
                        }
                    }
                }
                changes = accounts.next() => {
                    // Secrets may wait for an account, or have lost it.
                    if !changes.is_empty() {
                        for entry in secrets.all() {
                            self.look_at(&entry).await;
                        }
                    }
                }
            }
        }
    }

    async fn look_at(&self, entry: &Entry) {
        // Few Secrets are meant; the others are not decoded.
        if !contains(&entry.raw, SECRET_TYPE) || entry.meta.deletion_timestamp.is_some() {
            return;
        }
        let secret: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
        if secret["type"] != SECRET_TYPE {
            return;
        }
        let annotation =
            |key: &str| secret["metadata"]["annotations"][key].as_str().unwrap_or_default();
        let (account, wanted_uid) = (annotation(ACCOUNT), annotation(ACCOUNT_UID));
        let key = ResourceKey { group: "".into(), plural: "serviceaccounts".into() };
        let found = self.server.store().get(&key, &entry.meta.namespace, account);
        let found = found.filter(|it| wanted_uid.is_empty() || *it.meta.uid == *wanted_uid);
        match found {
            Some(found) => {
                let uid = &*found.meta.uid;
                persist(&self.clock, "token", || self.fill(&secret, entry, (account, uid))).await;
            }
            None => persist(&self.clock, "token", || self.delete(entry)).await,
        }
    }

    /// Adds what is missing.
    async fn fill(
        &self,
        secret: &Value,
        entry: &Entry,
        account: (&str, &str),
    ) -> Result<(), ClientError> {
        let (namespace, name) = (&*entry.meta.namespace, &*entry.meta.name);
        let mut data = json!({});
        let mut add = |key: &str, value: &dyn Fn() -> Option<String>| {
            if secret["data"][key].as_str().unwrap_or_default().is_empty()
                && let Some(value) = value()
            {
                data[key] = STANDARD.encode(value).into();
            }
        };
        add("token", &|| legacy_token(&self.server, namespace, name, account).ok());
        add("namespace", &|| Some(namespace.to_owned()));
        let pem = &self.root_ca_pem;
        add("ca.crt", &|| (!pem.is_empty()).then(|| pem.clone()));
        let has_uid = secret["metadata"]["annotations"][ACCOUNT_UID].is_string();
        if has_uid && data == json!({}) {
            return Ok(());
        }
        let patch = json!({
            "metadata": {"uid": &*entry.meta.uid, "annotations": {ACCOUNT_UID: account.1}},
            "data": data,
        });
        let key = ObjectKey::new(namespace, name);
        match self.client.merge_patch::<Secret>(&key, "", &patch).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, entry: &Entry) -> Result<(), ClientError> {
        let object = ObjectRef {
            resource: ResourceKey { group: "".into(), plural: "secrets".into() }.into(),
            namespace: entry.meta.namespace.to_string(),
            name: entry.meta.name.to_string(),
        };
        let resource = ApiResource::erase::<Secret>(&());
        let policy = PropagationPolicy::Background;
        objects::delete(&self.client, &resource, &object, &entry.meta.uid, policy).await
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
