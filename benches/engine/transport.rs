//! A bare HTTP/2 client over TLS: no retries, no decoding, as little of its own as possible.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where a server is, and how to be somebody there.
#[derive(Clone)]
pub struct Server {
    pub port: u16,
    pub tls: Arc<ClientConfig>,
}

/// One connection; clones are streams of it.
#[derive(Clone)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

/// One request.
#[derive(Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub content_type: &'static str,
    pub body: Bytes,
}

impl Asked {
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            content_type: "application/json",
            body: Bytes::new(),
        }
    }
}

impl Server {
    /// Reads an administrator's kubeconfig.
    pub fn of_kubeconfig(text: &str) -> Self {
        let config = kube::config::Kubeconfig::from_yaml(text).expect("a kubeconfig");
        let cluster = config.clusters[0].cluster.as_ref().expect("a cluster");
        let user = config.auth_infos[0].auth_info.as_ref().expect("a user");
        let url = cluster.server.as_deref().expect("a URL");
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let pem = |data: &str| STANDARD.decode(data).expect("base64");
        let authority = pem(cluster.certificate_authority_data.as_deref().expect("an authority"));
        let certificate = pem(user.client_certificate_data.as_deref().expect("a certificate"));
        let secret = serde_json::to_value(user).expect("JSON")["client-key-data"].clone();
        let key = pem(secret.as_str().expect("a key"));
        Self::new(port, &authority, Some((&certificate, &key)))
    }

    pub fn new(port: u16, authority_pem: &[u8], client: Option<(&[u8], &[u8])>) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority_pem) {
            roots.add(certificate.expect("PEM")).expect("an authority");
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut tls = match client {
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate).map(|it| it.expect("PEM"));
                let key = PrivateKeyDer::from_pem_slice(key).expect("a key");
                builder.with_client_auth_cert(chain.collect(), key).expect("a certificate")
            }
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Self { port, tls: Arc::new(tls) }
    }

    pub async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("the port is open");
        stream.set_nodelay(true).expect("a socket");
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(64 << 20)
            .handshake(TokioIo::new(stream.expect("TLS")))
            .await
            .expect("HTTP/2");
        // Ends with its last sender.
        tokio::spawn(connection);
        Connection { sender }
    }
}

impl Connection {
    /// Sends a request and returns the answer before its body is read.
    pub async fn open(&mut self, asked: &Asked) -> Response<Incoming> {
        let request = Request::builder()
            .method(asked.method.clone())
            .uri(format!("https://127.0.0.1{}", asked.path))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, asked.content_type)
            .header(header::USER_AGENT, "bench/1")
            .body(Full::new(asked.body.clone()))
            .expect("a request");
        self.sender.ready().await.expect("the connection stays");
        let response = self.sender.send_request(request).await.expect("an answer");
        assert!(response.status().is_success(), "{}: {}", asked.path, response.status());
        response
    }

    /// Sends a request and reads the answer; says how many bytes it had.
    pub async fn send(&mut self, asked: &Asked) -> usize {
        let mut body = self.open(asked).await.into_body();
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.expect("the answer goes on");
            size += frame.data_ref().map_or(0, Bytes::len);
        }
        size
    }

    /// Sends a request and returns the answer's bytes.
    pub async fn read(&mut self, asked: &Asked) -> Bytes {
        let body = self.open(asked).await.into_body();
        body.collect().await.expect("the whole answer").to_bytes()
    }
}
