//! What a control plane adds to what clients write.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, DeleteParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::test_server::TestServer;
use crate::client::ObjectKey;
use crate::pki::pem_blocks;

async fn has<K>(test: &TestServer, namespace: &str, name: &str, check: impl Fn(&K) -> bool) -> bool
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned,
{
    let key = ObjectKey::new(namespace, name);
    test.client.get::<K>(&key).await.unwrap().is_some_and(|object| check(&object))
}

async fn create<K: kube::Resource<DynamicType = ()>>(test: &TestServer, object: Value) -> Value {
    test.client.create_dynamic(&ApiResource::erase::<K>(&()), &object).await.unwrap()
}

#[tokio::test]
async fn namespaces_have_an_account_and_the_authority() {
    let test = TestServer::start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}});
    create::<Namespace>(&test, namespace).await;
    let is_published = |map: &ConfigMap| {
        let data = map.data.as_ref().unwrap();
        data["ca.crt"].starts_with("-----BEGIN CERTIFICATE-----")
    };
    let complete = async |test: &TestServer| {
        has::<ServiceAccount>(test, "a", "default", |_| true).await
            && has::<ConfigMap>(test, "a", "kube-root-ca.crt", is_published).await
            && has::<ServiceAccount>(test, "kube-system", "default", |_| true).await
    };
    test.until("content of a namespace", complete).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(test.client.kube().clone(), "a");
    accounts.delete("default", &DeleteParams::default()).await.unwrap();
    let patch = json!({"data": {"ca.crt": "forged", "more": "x"}});
    let key = ObjectKey::new("a", "kube-root-ca.crt");
    test.client.merge_patch::<ConfigMap>(&key, "", &patch).await.unwrap();
    test.until("restored content", async |test: &TestServer| {
        has::<ServiceAccount>(test, "a", "default", |_| true).await
            && has::<ConfigMap>(test, "a", "kube-root-ca.crt", |map| {
                is_published(map) && map.data.as_ref().unwrap().len() == 1
            })
            .await
    })
    .await;
}

#[tokio::test]
async fn token_secrets_are_filled_and_go_with_their_account() {
    let test = TestServer::start().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s",
        "namespace": "default", "annotations": {"kubernetes.io/service-account.name": "robot"}},
        "type": "kubernetes.io/service-account-token"});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "robot", "namespace": "default"}});
    create::<ServiceAccount>(&test, account).await;
    create::<Secret>(&test, secret).await;
    test.until("token", async |test: &TestServer| {
        has::<Secret>(test, "default", "s", |secret| {
            let data = secret.data.clone().unwrap_or_default();
            ["token", "ca.crt", "namespace"].iter().all(|key| data.contains_key(*key))
                && secret.metadata.annotations.as_ref().unwrap()
                    ["kubernetes.io/service-account.uid"]
                    .len()
                    == 36
        })
        .await
    })
    .await;
    let accounts: Api<ServiceAccount> = Api::namespaced(test.client.kube().clone(), "default");
    accounts.delete("robot", &DeleteParams::default()).await.unwrap();
    test.until("secret without account", async |test: &TestServer| {
        !has::<Secret>(test, "default", "s", |_| true).await
    })
    .await;
}

#[tokio::test]
async fn aggregated_roles_follow_what_they_select() {
    let test = TestServer::start().await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "more", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["x.y"], "resources": ["zs"], "verbs": ["get"]}]});
    create::<ClusterRole>(&test, role).await;
    let grants = |role: &ClusterRole| {
        let rules = role.rules.clone().unwrap_or_default();
        rules.iter().any(|rule| rule.api_groups == Some(vec!["x.y".into()]))
    };
    // view, edit that aggregates view, and admin that aggregates edit.
    test.until("aggregation", async |test: &TestServer| {
        has::<ClusterRole>(test, "", "view", grants).await
            && has::<ClusterRole>(test, "", "edit", grants).await
            && has::<ClusterRole>(test, "", "admin", grants).await
    })
    .await;
    let roles: Api<ClusterRole> = Api::all(test.client.kube().clone());
    roles.delete("more", &DeleteParams::default()).await.unwrap();
    test.until("aggregation without the role", async |test: &TestServer| {
        !has::<ClusterRole>(test, "", "admin", grants).await
    })
    .await;
}

fn signing_request(name: &str, signer: &str, user: &str, groups: &[&str]) -> Value {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    let mut subject = rcgen::DistinguishedName::new();
    for group in groups {
        subject.push(rcgen::DnType::OrganizationName, *group);
    }
    subject.push(rcgen::DnType::CommonName, user);
    params.distinguished_name = subject;
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name}, "spec": {"request": STANDARD.encode(pem),
        "signerName": signer, "usages": ["client auth"], "expirationSeconds": 3600}})
}

#[tokio::test]
async fn approved_requests_are_signed() {
    let test = TestServer::start().await;
    let signer = "kubernetes.io/kube-apiserver-client";
    let request = signing_request("bob", signer, "bob", &["dev"]);
    let created = create::<CertificateSigningRequest>(&test, request).await;
    assert_eq!(created["spec"]["username"], "test");
    assert_eq!(created["spec"]["groups"][0], "system:masters");
    let key = ObjectKey::new("", "bob");
    let patch = json!({"status": {"conditions": [
        {"type": "Approved", "status": "True", "reason": "r", "message": "m"}]}});
    test.client.merge_patch::<CertificateSigningRequest>(&key, "approval", &patch).await.unwrap();
    test.until("certificate", async |test: &TestServer| {
        has::<CertificateSigningRequest>(test, "", "bob", |request| {
            let certificate = request.status.as_ref().and_then(|status| status.certificate.clone());
            certificate.is_some_and(|pem| {
                let blocks = pem_blocks(&pem.0);
                blocks.len() == 1 && blocks[0].label == "CERTIFICATE"
            })
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn nodes_renew_their_own_certificates_and_nobody_becomes_master() {
    let test = TestServer::start().await;
    let signer = "kubernetes.io/kube-apiserver-client";
    let request = signing_request("evil", signer, "bob", &["system:masters"]);
    let resource = ApiResource::erase::<CertificateSigningRequest>(&());
    let refused = test.client.create_dynamic(&resource, &request).await.unwrap_err();
    let message = refused.to_string();
    let expected = "certificatesigningrequests.certificates.k8s.io \"evil\" is forbidden: use of \
                    kubernetes.io/kube-apiserver-client signer with system:masters group is not \
                    allowed";
    assert!(message.contains(expected), "{message}");
}
