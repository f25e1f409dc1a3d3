//! HTTP as client-go speaks it: HTTP/2 with a client certificate, protobuf where a kind has it.

use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::protobuf;

/// What a manager of Cluster API calls itself.
pub const USER_AGENT: &str = "manager/v1.14.0 (linux/amd64) cluster.x-k8s.io/kubeadm-control-plane";
/// How long an answer may take here, on the slowest machine; the clients of Cluster API wait 10 s.
/// (CAPI v1.14: controllers/clustercache)
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// What clients of built-in kinds accept. (controller-runtime v0.24: apiutil/apimachinery.go)
const ACCEPT: &str = "application/vnd.kubernetes.protobuf, */*";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
pub const MERGE: &str = "application/merge-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A kubeconfig's server and credentials.
#[derive(Clone)]
pub struct Credentials {
    pub host: String,
    pub port: u16,
    pub ca_pem: Vec<u8>,
    /// Certificate and key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

/// One connection to an API server.
pub struct Rest {
    pub authority: String,
    sender: SendRequest<Full<Bytes>>,
}

/// An answer, decoded.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
}

/// A running watch.
pub struct Watch {
    body: Incoming,
    input: BytesMut,
    is_protobuf: bool,
}

impl Credentials {
    /// Reads the Secret that a cluster's kubeconfig is in.
    pub fn from_kubeconfig(bytes: &[u8]) -> Self {
        let config: Value = serde_saphyr::from_slice(bytes).unwrap();
        let cluster = &config["clusters"][0]["cluster"];
        let user = &config["users"][0]["user"];
        let decode = |text: &Value| BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap();
        let server = cluster["server"].as_str().unwrap();
        let (host, port) = server.strip_prefix("https://").unwrap().rsplit_once(':').unwrap();
        Self {
            host: host.to_owned(),
            port: port.parse().unwrap(),
            ca_pem: decode(&cluster["certificate-authority-data"]),
            client: Some((
                decode(&user["client-certificate-data"]),
                decode(&user["client-key-data"]),
            )),
        }
    }

    /// The other end of TLS over TCP.
    pub async fn dial(&self, alpn: &str) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect((&*self.host, self.port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let config = tls(&self.ca_pem, self.client.as_ref(), &[alpn]);
        let name = ServerName::try_from(self.host.clone()).unwrap();
        TlsConnector::from(config).connect(name, stream).await.unwrap()
    }

    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// A client's side of TLS.
pub fn tls(ca: &[u8], client: Option<&(Vec<u8>, Vec<u8>)>, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate).map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Where both tasks of hyper's clients run: its dispatcher asks the connection once more after a
/// request went out, and takes a GOAWAY that came by then, from another thread, for the request's
/// failure. Servers send one right with the answer to those whom they do not know.
fn one_thread() -> &'static Runtime {
    static CLIENTS: OnceLock<Runtime> = OnceLock::new();
    CLIENTS
        .get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

impl Rest {
    /// Connects.
    pub async fn connect(credentials: &Credentials) -> Self {
        let stream = TokioIo::new(credentials.dial("h2").await);
        let handshake = async {
            let (sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            sender
        };
        let sender = one_thread().spawn(handshake).await.unwrap();
        Self { authority: credentials.authority(), sender }
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .header("user-agent", USER_AGENT)
            .header("accept-encoding", "gzip");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        self.sender.clone().send_request(request).await.unwrap()
    }

    /// Sends a request and reads the answer, within the client's timeout.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}timeout=10s");
        let answer = async {
            let response = self.open(method, &path, headers, body).await;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer { code: parts.status.as_u16(), body: decode(&parts.headers, &body) }
        };
        tokio::time::timeout(TIMEOUT, answer).await.unwrap_or_else(|_| panic!("{path}: timeout"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[("accept", ACCEPT)], Vec::new()).await
    }

    /// A body of a kind that client-go has protobuf for.
    pub async fn write(&self, method: Method, path: &str, body: Vec<u8>) -> Answer {
        let headers = [("accept", ACCEPT), ("content-type", PROTOBUF)];
        self.send(method, path, &headers, body).await
    }

    /// Patches stay JSON.
    pub async fn patch(&self, path: &str, media: &str, patch: &Value) -> Answer {
        let headers = [("accept", ACCEPT), ("content-type", media)];
        self.send(Method::PATCH, path, &headers, patch.to_string().into_bytes()).await
    }

    /// An informer's first request: WatchList, with all objects first and a bookmark after them.
    pub async fn watch_list(&self, collection: &str) -> Watch {
        let path = format!(
            "{collection}?allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&\
             sendInitialEvents=true&timeout=11m0s&timeoutSeconds=431&watch=true"
        );
        let response = self.open(Method::GET, &path, &[("accept", ACCEPT)], Vec::new()).await;
        assert_eq!(response.status(), 200, "{path}");
        let is_protobuf = media_type(response.headers()).contains("protobuf");
        Watch { body: response.into_body(), input: BytesMut::new(), is_protobuf }
    }
}

impl Answer {
    /// The body of an answer with this code.
    #[track_caller]
    pub fn of(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.body);
        self.body
    }
}

impl Watch {
    /// The next event: its type and its object.
    pub async fn next(&mut self) -> (String, Value) {
        let event = async {
            loop {
                if let Some(event) = self.take() {
                    return event;
                }
                let frame = self.body.frame().await.expect("the watch goes on").unwrap();
                self.input.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
        };
        tokio::time::timeout(TIMEOUT, event).await.expect("an event in time")
    }

    fn take(&mut self) -> Option<(String, Value)> {
        if self.is_protobuf {
            let length = self.input.get(..4)?.get_u32() as usize;
            if self.input.len() < length + 4 {
                return None;
            }
            let frame = self.input.split_to(length + 4).freeze();
            return Some(protobuf::watch_event(&frame[4..]));
        }
        let end = self.input.iter().position(|byte| *byte == b'\n')?;
        let line = self.input.split_to(end + 1);
        let event: Value = serde_json::from_slice(&line).unwrap();
        Some((event["type"].as_str().unwrap().to_owned(), event["object"].clone()))
    }

    /// What an informer has once it has synced.
    pub async fn initial(&mut self) -> Vec<Value> {
        let mut objects = Vec::new();
        loop {
            let (kind, object) = self.next().await;
            match kind.as_str() {
                "ADDED" => objects.push(object),
                "BOOKMARK" => {
                    let marks = &object["metadata"]["annotations"];
                    assert_eq!(marks["k8s.io/initial-events-end"], "true", "{object}");
                    return objects;
                }
                _ => panic!("{kind} {object}"),
            }
        }
    }
}

fn media_type(headers: &HeaderMap) -> &str {
    headers.get("content-type").map_or("", |value| value.to_str().unwrap())
}

fn decode(headers: &HeaderMap, body: &[u8]) -> Value {
    let mut plain = Vec::new();
    let body = match headers.get("content-encoding") {
        Some(encoding) => {
            assert_eq!(encoding, "gzip");
            flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap();
            &plain
        }
        None => body,
    };
    match media_type(headers) {
        media if media.contains("protobuf") => capim::machinery::protobuf::decode(body).unwrap(),
        media if media.contains("json") => serde_json::from_slice(body).unwrap(),
        _ => Value::String(String::from_utf8_lossy(body).into_owned()),
    }
}
