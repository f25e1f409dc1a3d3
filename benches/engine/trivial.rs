//! What there is to compare with: an axum handler that answers bytes it has, over the same TLS.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use capim::pki::{CertificateAuthority, KeyAlgorithm, LeafRequest, Usage};
use http::header;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::transport::Server;

/// What the handler answers.
#[derive(Clone)]
pub struct Answers {
    /// `/object`, whatever the request's body, which is read.
    pub object: Bytes,
    /// `/list`
    pub list: Bytes,
    /// `/watch`: what is sent here goes to everybody who watches.
    pub events: broadcast::Sender<Bytes>,
}

impl Answers {
    pub fn new(object: Bytes, list: Bytes) -> Self {
        Self { object, list, events: broadcast::channel(1024).0 }
    }
}

/// Serves the answers on a free port, for as long as the runtime lives.
pub async fn serve(answers: Answers) -> Server {
    let authority =
        CertificateAuthority::generate("bench", KeyAlgorithm::EcdsaP256).expect("an authority");
    let leaf = LeafRequest {
        common_name: "bench".to_owned(),
        organizations: Vec::new(),
        dns_names: Vec::new(),
        addresses: vec![Ipv4Addr::LOCALHOST.into()],
        usage: Usage::Server,
        validity: Duration::from_secs(3600),
    };
    let leaf = authority.issue(&leaf, KeyAlgorithm::EcdsaP256).expect("a certificate");
    let chain = CertificateDer::pem_slice_iter(leaf.certificate_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).expect("a key");
    let mut tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.map(|it| it.expect("PEM")).collect(), key)
        .expect("a certificate");
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = tcp.local_addr().expect("an address").port();
    let router = Router::new()
        .route("/object", any(object))
        .route("/list", any(list))
        .route("/watch", any(watch))
        .with_state(answers);
    let listener = TlsListener { tcp, acceptor: TlsAcceptor::from(Arc::new(tls)) };
    tokio::spawn(async move { axum::serve(listener, router).await });
    Server::new(port, authority.certificate_pem().as_bytes(), None)
}

fn json(bytes: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

async fn object(State(answers): State<Answers>, _body: Bytes) -> Response {
    json(answers.object)
}

async fn list(State(answers): State<Answers>) -> Response {
    json(answers.list)
}

async fn watch(State(answers): State<Answers>) -> Response {
    let events = answers.events.subscribe();
    let stream = futures::stream::unfold(events, |mut events| async move {
        let event = events.recv().await.ok()?;
        Some((Ok::<_, std::convert::Infallible>(event), events))
    });
    Response::new(Body::from_stream(stream))
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            if stream.set_nodelay(true).is_ok()
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
