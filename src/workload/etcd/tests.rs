//! Members over their real transport: TLS and gRPC through a connection in memory.

mod hostile;
mod keys;
mod members;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::DuplexStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::cluster::{EtcdCluster, EtcdOptions};
use super::messages::*;
use crate::client::ObjectKey;
use crate::clock::{Clock, Seed};
use crate::pki::{CertificateAuthority, CertifiedKey, KeyAlgorithm, LeafRequest, Usage};
use crate::workload::tls::{CertificateFiles, ServingKey};

/// An etcd with its CA, on a virtual clock.
struct Fixture {
    etcd: Arc<EtcdCluster>,
    ca: CertificateAuthority,
    clock: Clock,
    changes: Arc<AtomicUsize>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A connection to a member.
struct Client {
    sender: http2::SendRequest<tonic::body::Body>,
    /// Metadata sent along.
    metadata: Vec<(&'static str, &'static str)>,
}

fn fixture(algorithm: KeyAlgorithm, names: &[&str]) -> Fixture {
    let ca = CertificateAuthority::generate("etcd-ca", algorithm).expect("an authority");
    let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().expect("a time"));
    let changes = Arc::new(AtomicUsize::new(0));
    let counted = changes.clone();
    let etcd = Arc::new(EtcdCluster::new(EtcdOptions {
        seed: Seed(1),
        cluster: ObjectKey::new("default", "bar"),
        clock: clock.clone(),
        key: ServingKey::default(),
        changed: Box::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        }),
    }));
    etcd.set_authority(&files(&ca));
    for (index, name) in names.iter().enumerate() {
        etcd.start(name, &format!("172.18.0.{}", index + 2)).expect("a member");
    }
    Fixture { etcd, ca, clock, changes, tasks: TaskTracker::new(), stop: CancellationToken::new() }
}

/// The usual cluster of three.
fn three() -> Fixture {
    fixture(KeyAlgorithm::EcdsaP256, &["a", "b", "c"])
}

fn files(ca: &CertificateAuthority) -> CertificateFiles {
    CertificateFiles {
        certificate_pem: ca.certificate_pem().to_owned(),
        key_pem: ca.key_pem().to_owned(),
    }
}

/// The certificate that KubeadmControlPlane uses, but for its usage.
fn certificate(ca: &CertificateAuthority, usage: Usage) -> CertifiedKey {
    ca.issue(&request(usage), KeyAlgorithm::EcdsaP256).expect("a certificate")
}

fn request(usage: Usage) -> LeafRequest {
    LeafRequest {
        common_name: "cluster-api.x-k8s.io".to_owned(),
        organizations: Vec::new(),
        dns_names: Vec::new(),
        addresses: Vec::new(),
        usage,
        validity: Duration::from_secs(3600),
    }
}

/// Shakes hands as a client with a certificate, or without one.
async fn shake_hands(
    stream: DuplexStream,
    ca: &CertificateAuthority,
    name: &str,
    client: Option<&CertifiedKey>,
) -> std::io::Result<TlsStream<DuplexStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).expect("a CA"))
        .expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match client {
        Some(client) => {
            let chain = CertificateDer::from_pem_slice(client.certificate_pem.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(client.key_pem.as_bytes()).expect("a key");
            builder.with_client_auth_cert(vec![chain.expect("PEM")], key).expect("a pair")
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

impl Fixture {
    fn open(&self, name: &str, port: u16) -> Result<DuplexStream, String> {
        self.etcd.connect(name, port, &self.tasks, &self.stop)
    }

    async fn tls(&self, name: &str) -> TlsStream<DuplexStream> {
        let stream = self.open(name, 2379).expect("somebody listens");
        let own = certificate(&self.ca, Usage::Client);
        let sni = format!("etcd-{name}");
        shake_hands(stream, &self.ca, &sni, Some(&own)).await.expect("a handshake")
    }

    async fn client(&self, name: &str) -> Client {
        let stream = self.tls(name).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
        tokio::spawn(connection);
        Client { sender, metadata: Vec::new() }
    }

    fn id(&self, name: &str) -> u64 {
        self.etcd.read(|etcd| etcd.named(name).expect("a member").id)
    }

    fn leader(&self) -> u64 {
        self.etcd.read(super::membership::Etcd::leader)
    }
}

impl Client {
    async fn call<Q, R>(&mut self, method: &str, message: Q) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let sender = self.sender.clone();
        let service = tower::service_fn(move |request| {
            let mut sender = sender.clone();
            async move { sender.send_request(request).await }
        });
        let origin = "https://etcd".parse().expect("a URI");
        let mut grpc =
            tonic::client::Grpc::with_origin(service, origin).max_decoding_message_size(usize::MAX);
        grpc.ready().await.expect("ready");
        let path = format!("/etcdserverpb.{method}").parse().expect("a path");
        let mut request = Request::new(message);
        for (name, value) in &self.metadata {
            request.metadata_mut().insert(*name, value.parse().expect("a value"));
        }
        let codec = ProstCodec::<Q, R>::default();
        grpc.unary(request, path, codec).await.map(tonic::Response::into_inner)
    }

    async fn refused<Q: Message + 'static>(&mut self, method: &str, message: Q) -> (Code, String) {
        let refused = self.call::<Q, DefragmentResponse>(method, message).await;
        let status = refused.expect_err("a refusal");
        (status.code(), status.message().to_owned())
    }

    async fn status(&mut self) -> StatusResponse {
        self.call("Maintenance/Status", StatusRequest {}).await.expect("a status")
    }

    async fn put(&mut self, key: &'static str, value: &'static str) -> Result<PutResponse, Status> {
        let request = PutRequest { key: key.into(), value: value.into(), ..Default::default() };
        self.call("KV/Put", request).await
    }

    async fn range(&mut self, request: RangeRequest) -> Result<RangeResponse, Status> {
        self.call("KV/Range", request).await
    }
}

fn prefix(key: &'static str, end: &'static str) -> RangeRequest {
    RangeRequest { key: key.into(), range_end: end.into(), ..RangeRequest::default() }
}

fn one(key: &'static str) -> RangeRequest {
    prefix(key, "")
}

fn error(code: Code, message: &str) -> (Code, String) {
    (code, message.to_owned())
}
