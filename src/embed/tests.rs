use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{Api, PostParams};

use super::*;
use crate::apiserver::Identity;

async fn over_the_network(kubeconfig: &str) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let options = Default::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

#[tokio::test]
async fn both_ways_lead_to_the_same_objects() {
    let control_plane = ControlPlane::start().await.unwrap();
    let here: Api<ConfigMap> = Api::default_namespaced(control_plane.client());
    let object = ConfigMap {
        metadata: kube::core::ObjectMeta { name: Some("a".to_owned()), ..Default::default() },
        ..Default::default()
    };
    let created = here.create(&PostParams::default(), &object).await.unwrap();
    let client = over_the_network(&control_plane.kubeconfig()).await;
    let there: Api<ConfigMap> = Api::default_namespaced(client);
    assert_eq!(there.get("a").await.unwrap(), created);
    control_plane.stop().await;
}

#[tokio::test]
async fn other_users_are_themselves() {
    let control_plane = ControlPlane::start().await.unwrap();
    let kubeconfig = control_plane.kubeconfig_of("jane", &["devs"]).unwrap();
    let client = over_the_network(&kubeconfig).await;
    let refused = Api::<Namespace>::all(client).list(&Default::default()).await.unwrap_err();
    assert!(refused.to_string().contains(r#"User "jane" cannot list resource"#), "{refused}");
    let client = control_plane.client_as(Identity::anonymous());
    let refused = Api::<Namespace>::all(client).list(&Default::default()).await.unwrap_err();
    assert!(refused.to_string().contains("system:anonymous"), "{refused}");
    control_plane.stop().await;
}

#[tokio::test]
async fn stopping_frees_the_port() {
    let control_plane = ControlPlane::start().await.unwrap();
    let port = control_plane.port();
    control_plane.stop().await;
    let again = ControlPlane::builder().port(port).start().await.unwrap();
    assert_eq!(again.port(), port);
    let taken = ControlPlane::builder().port(port).start().await;
    assert!(matches!(taken, Err(EmbedError::Listen { .. })));
    again.stop().await;
}

/// A client of `to` that presents what `auth` says.
async fn client_with(to: &ControlPlane, auth: kube::config::AuthInfo) -> kube::Client {
    let mut kubeconfig = kube::config::Kubeconfig::from_yaml(&to.kubeconfig()).unwrap();
    kubeconfig.auth_infos[0].auth_info = Some(auth);
    let options = Default::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

async fn code(client: kube::Client) -> u16 {
    match Api::<Namespace>::all(client).list(&Default::default()).await {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("no answer: {error}"),
    }
}

#[tokio::test]
async fn servers_do_not_accept_each_others_credentials() {
    let mut planes = Vec::new();
    for _ in 0..4 {
        planes.push(ControlPlane::start().await.unwrap());
    }
    for (i, from) in planes.iter().enumerate() {
        let kubeconfig = from.kubeconfig_of("jane", &["system:masters"]).unwrap();
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&kubeconfig).unwrap();
        let certificate = kubeconfig.auth_infos[0].auth_info.clone().unwrap();
        let accounts: Api<ServiceAccount> = Api::default_namespaced(from.client());
        let account = ServiceAccount {
            metadata: kube::core::ObjectMeta { name: Some("x".into()), ..Default::default() },
            ..Default::default()
        };
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let request = TokenRequest::default();
        let token = accounts.create_token_request("x", &PostParams::default(), &request).await;
        let token = token.unwrap().status.unwrap().token.unwrap_or_default();
        let token = kube::config::AuthInfo { token: Some(token.into()), ..Default::default() };
        for (j, to) in planes.iter().enumerate() {
            let (known, allowed) = if i == j { (403, 200) } else { (401, 401) };
            let certificate = client_with(to, certificate.clone()).await;
            assert_eq!(code(certificate).await, allowed, "certificate of {i} at {j}");
            let token = client_with(to, token.clone()).await;
            assert_eq!(code(token).await, known, "token of {i} at {j}");
        }
    }
}

#[tokio::test]
async fn signed_requests_authenticate() {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let control_plane = ControlPlane::start().await.unwrap();
    let requests: Api<CertificateSigningRequest> = Api::all(control_plane.client());
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "jane");
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let request = serde_json::json!({"metadata": {"name": "jane"}, "spec": {
        "request": encode(&pem), "usages": ["client auth"],
        "signerName": "kubernetes.io/kube-apiserver-client"}});
    let request = serde_json::from_value(request).unwrap();
    requests.create(&PostParams::default(), &request).await.unwrap();
    let approval = serde_json::json!({"status": {"conditions": [
        {"type": "Approved", "status": "True", "reason": "r", "message": "m"}]}});
    let parameters = kube::api::PatchParams::default();
    let patch = kube::api::Patch::Merge(&approval);
    requests.patch_subresource("approval", "jane", &parameters, &patch).await.unwrap();
    let store = control_plane.server().store();
    let signed = async {
        loop {
            let progress = store.progress().notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            let status = requests.get("jane").await.unwrap().status.unwrap();
            if let Some(certificate) = status.certificate {
                return certificate;
            }
            progress.await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    let certificate = crate::clock::Clock::wall().timeout(limit, signed).await.unwrap();
    let auth = kube::config::AuthInfo {
        client_certificate_data: Some(
            base64::engine::general_purpose::STANDARD.encode(certificate.0),
        ),
        client_key_data: Some(encode(&key.serialize_pem()).into()),
        ..Default::default()
    };
    let client = client_with(&control_plane, auth).await;
    let refused = Api::<Namespace>::all(client).list(&Default::default()).await.unwrap_err();
    assert!(refused.to_string().contains(r#"User "jane" cannot list"#), "{refused}");
    control_plane.stop().await;
}
