//! A provider that runs elsewhere serves an old version of a Cluster API kind: its webhook converts,
//! over HTTPS, and what depends on it fails while it is away.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use capim::clock::{Clock, Seed};
use capim::pki::{CertificateAuthority, CertifiedKey, KeyAlgorithm, LeafRequest, Usage};
use capim::playground::{Config, Playground};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

const CRD: &str = "clusters.cluster.x-k8s.io";

/// The webhook of a provider of the user's.
struct Manager {
    address: SocketAddr,
    certificate: CertifiedKey,
    task: JoinHandle<()>,
}

impl Manager {
    async fn start() -> Self {
        let authority = CertificateAuthority::generate("hooks", KeyAlgorithm::EcdsaP256).unwrap();
        let request = LeafRequest {
            common_name: "manager".into(),
            organizations: Vec::new(),
            dns_names: vec!["localhost".into()],
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            usage: Usage::Server,
            validity: Duration::from_secs(3600),
        };
        let certificate = authority.issue(&request, KeyAlgorithm::EcdsaP256).unwrap();
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), certificate)
    }

    /// Answers at an address until it is dropped.
    fn listen(address: SocketAddr, certificate: CertifiedKey) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(16).unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(listener, acceptor(&certificate)));
        Self { address, certificate, task }
    }

    /// Ends, and closes its connections.
    async fn stop(self) -> (SocketAddr, CertifiedKey) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        (self.address, self.certificate)
    }

    /// `spec.conversion` of its definitions: the serving certificate itself is the bundle.
    fn conversion(&self) -> Value {
        let url = format!("https://{}/convert", self.address);
        let bundle = STANDARD.encode(&self.certificate.certificate_pem);
        json!({"strategy": "Webhook", "webhook": {
            "clientConfig": {"url": url, "caBundle": bundle},
            "conversionReviewVersions": ["v1", "v1beta1"],
        }})
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    // Connections end with the task.
    let mut open = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        open.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(convert));
            // The client may go at any time.
            let _ = connection.await;
        });
    }
}

fn acceptor(certificate: &CertifiedKey) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(certificate.certificate_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// `spec.paused` of v1beta2 is the label `paused` of the old version.
async fn convert(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let desired = &review["request"]["desiredAPIVersion"];
    let mut objects = review["request"]["objects"].clone();
    for object in objects.as_array_mut().unwrap() {
        if desired == "cluster.x-k8s.io/v1beta1" {
            object["metadata"]["labels"]["paused"] = object["spec"]["paused"].to_string().into();
            object["spec"].as_object_mut().unwrap().remove("paused");
        } else {
            object["spec"]["paused"] = (object["metadata"]["labels"]["paused"] == "true").into();
            object["metadata"]["labels"].as_object_mut().unwrap().remove("paused");
        }
        object["apiVersion"] = desired.clone();
    }
    let response = json!({"uid": review["request"]["uid"], "convertedObjects": objects,
        "result": {"status": "Success"}});
    let review = json!({"apiVersion": review["apiVersion"], "kind": "ConversionReview",
        "response": response});
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::new(review.to_string().into())).unwrap())
}

fn clusters(client: &Client, version: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("cluster.x-k8s.io", version, "Cluster");
    let resource = ApiResource::from_gvk_with_plural(&kind, "clusters");
    Api::namespaced_with(client.clone(), "default", &resource)
}

/// Applies what a provider's manifest says of the definition: another version, and its webhook.
async fn serve_old_version(client: &Client, manager: &Manager) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = serde_json::to_value(definitions.get(CRD).await.unwrap()).unwrap();
    let mut versions = definition["spec"]["versions"].as_array().unwrap().clone();
    // In the place of the one that is converted natively.
    versions.retain(|version| version["name"] != "v1beta1");
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": open, "status": open}});
    versions.push(json!({"name": "v1beta1", "served": true, "storage": false,
        "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}));
    let mut conversion = manager.conversion();
    conversion["webhook"]["clientConfig"]["service"] = Value::Null;
    let change = json!({"spec": {"versions": versions, "conversion": conversion}});
    definitions.patch(CRD, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
}

fn refusal(error: kube::Error) -> (u16, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.message.clone()),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_provider_converts_and_its_outage_hurts_its_version_alone() {
    let config = Config {
        seed: Seed(1),
        providers: capim::playground::Selection::without(
            capim::playground::Selection::all().iter(),
        ),
        ..Config::new(Clock::wall())
    };
    let playground = Playground::start(config).await.unwrap();
    let client = playground.client().kube().clone();
    let manager = Manager::start().await;
    serve_old_version(&client, &manager).await;
    let (old, new) = (clusters(&client, "v1beta1"), clusters(&client, "v1beta2"));

    let reference = json!({"apiGroup": "controlplane.cluster.x-k8s.io",
        "kind": "KubeadmControlPlane", "name": "a"});
    let object = |name: &str| -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
            "metadata": {"name": name, "labels": {"paused": "true"}},
            "spec": {"controlPlaneRef": reference.clone()},
        }))
        .unwrap()
    };
    let created = old.create(&PostParams::default(), &object("a")).await.unwrap();
    assert_eq!(created.metadata.labels.unwrap()["paused"], "true");
    let stored = new.get("a").await.unwrap();
    assert_eq!(stored.data["spec"]["paused"], true);
    assert_eq!(stored.metadata.labels.unwrap_or_default().get("paused"), None);

    let (address, certificate) = manager.stop().await;
    let expected =
        "conversion webhook for cluster.x-k8s.io/v1beta2, Kind=Cluster failed: Post \"https://";
    let change = json!({"metadata": {"annotations": {"seen": "yes"}}});
    let change = Patch::Merge(&change);
    // Another object than the one that was converted a moment ago.
    new.patch("a", &PatchParams::default(), &change).await.unwrap();
    for (code, message) in [
        refusal(old.get("a").await.unwrap_err()),
        refusal(old.list(&Default::default()).await.unwrap_err()),
        refusal(old.patch("a", &PatchParams::default(), &change).await.unwrap_err()),
    ] {
        assert_eq!(code, 500);
        assert!(message.starts_with(expected), "{message}");
        assert!(message.contains("connection refused"), "{message}");
    }
    let (code, _) = refusal(old.create(&PostParams::default(), &object("b")).await.unwrap_err());
    assert_eq!(code, 500);
    let names: Vec<_> = new.list(&Default::default()).await.unwrap().items;
    assert_eq!(names.len(), 1, "what could not be converted was not stored");

    let manager = Manager::listen(address, certificate);
    let shown = old.get("a").await.unwrap();
    assert_eq!(shown.metadata.labels.unwrap()["paused"], "true");
    assert_eq!(shown.metadata.annotations.unwrap()["seen"], "yes");
    manager.stop().await;
    playground.stop().await;
}
