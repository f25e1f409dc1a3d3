//! An HTTPS server in the test's process, whose answers the test decides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::pki::{CertificateAuthority, CertifiedKey, KeyAlgorithm, LeafRequest, Usage};

/// What a webhook does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// Answers 200 with JSON.
    Json(Value),
    /// Answers a code, a content type and bytes.
    Bytes(u16, &'static str, Bytes),
    /// Never answers.
    Silence,
}

type React = dyn Fn(&str, Value) -> Reaction + Send + Sync;

/// What a webhook was sent.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path_and_query: String,
    pub(crate) host: String,
    pub(crate) body: Value,
}

/// A listening webhook; ends when it is dropped.
pub(crate) struct TestWebhook {
    pub(crate) address: SocketAddr,
    /// PEM of the authority of the serving certificate.
    pub(crate) authority_pem: String,
    /// PEM of the serving certificate.
    pub(crate) certificate_pem: String,
    leaf: CertifiedKey,
    react: Arc<React>,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for TestWebhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestWebhook {
    /// A webhook at `127.0.0.1` that reacts to path and body.
    pub(crate) async fn start(
        react: impl Fn(&str, Value) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        Self::named(&["localhost"], react).await
    }

    /// A webhook whose certificate has these names, and 127.0.0.1.
    pub(crate) async fn named(
        names: &[&str],
        react: impl Fn(&str, Value) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let authority =
            CertificateAuthority::generate("webhooks", KeyAlgorithm::EcdsaP256).unwrap();
        let request = LeafRequest {
            common_name: "webhook".into(),
            organizations: Vec::new(),
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: vec!["127.0.0.1".parse().unwrap()],
            usage: Usage::Server,
            validity: Duration::from_secs(3600),
        };
        let leaf = authority.issue(&request, KeyAlgorithm::EcdsaP256).unwrap();
        let address = ([127, 0, 0, 1], 0).into();
        Self::serve(address, leaf, authority.certificate_pem(), Arc::new(react)).await
    }

    /// Closes all connections and listens again at the same address.
    pub(crate) async fn restart(self) -> Self {
        let (address, leaf, react) = (self.address, self.leaf.clone(), self.react.clone());
        let authority_pem = self.authority_pem.clone();
        self.task.abort();
        drop(self);
        Self::serve(address, leaf, &authority_pem, react).await
    }

    async fn serve(
        address: SocketAddr,
        leaf: CertifiedKey,
        authority_pem: &str,
        react: Arc<React>,
    ) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        // The port of a restart is free once the aborted task is gone.
        while socket.bind(address).is_err() {
            tokio::task::yield_now().await;
        }
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let acceptor = acceptor(&leaf);
        let (seen, count) = (received.clone(), connections.clone());
        let reacting = react.clone();
        let task = tokio::spawn(async move {
            // Ends its tasks when it is dropped with this one.
            let mut open = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                count.fetch_add(1, Ordering::Relaxed);
                let (acceptor, react, seen) = (acceptor.clone(), reacting.clone(), seen.clone());
                open.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service =
                        service_fn(move |request| answer(request, react.clone(), seen.clone()));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            authority_pem: authority_pem.to_owned(),
            certificate_pem: leaf.certificate_pem.clone(),
            leaf,
            react,
            received,
            connections,
            task,
        }
    }

    /// The `clientConfig` of a path.
    pub(crate) fn config(&self, path: &str) -> Value {
        serde_json::json!({"url": self.url(path), "caBundle": STANDARD.encode(&self.authority_pem)})
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// What was received, oldest first.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    /// Number of requests received.
    pub(crate) fn calls(&self) -> usize {
        self.received.lock().len()
    }

    /// Number of connections accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn acceptor(leaf: &CertifiedKey) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(leaf.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn answer(
    request: Request<Incoming>,
    react: Arc<React>,
    seen: Arc<Mutex<Vec<Received>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    seen.lock().push(Received {
        path_and_query: parts.uri.to_string(),
        host: host.to_owned(),
        body: body.clone(),
    });
    let (code, media, bytes) = match react(parts.uri.path(), body) {
        Reaction::Json(value) => (200, "application/json", Bytes::from(value.to_string())),
        Reaction::Bytes(code, media, bytes) => (code, media, bytes),
        Reaction::Silence => std::future::pending().await,
    };
    let response = Response::builder().status(code).header("content-type", media);
    Ok(response.header("location", "/elsewhere").body(Full::new(bytes)).unwrap())
}
