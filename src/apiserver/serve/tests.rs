use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::apiserver::{Options, Profile, authentication, status_response};
use crate::pki::{CertificateAuthority, CertifiedKey, KeyAlgorithm, LeafRequest, Usage};

/// A port whose handler answers with the sender's name.
struct TestPort {
    address: SocketAddr,
    authority: Arc<CertificateAuthority>,
    open: Arc<AtomicBool>,
    /// How often TLS material was made.
    made: Arc<AtomicUsize>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

fn leaf(authority: &CertificateAuthority, name: &str, usage: Usage) -> CertifiedKey {
    let request = LeafRequest {
        common_name: name.into(),
        organizations: vec![],
        dns_names: vec!["localhost".into()],
        addresses: vec![],
        usage,
        validity: Duration::from_secs(3600),
    };
    authority.issue(&request, KeyAlgorithm::EcdsaP256).unwrap()
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256).unwrap()
}

async fn answer(request: Request<Body>) -> Response<Body> {
    if request.uri().path() == "/forever" {
        let body = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        return Response::new(Body::from_stream(body));
    }
    let server = ApiServer::new(&Profile::new(vec![]), Options::new(Clock::wall()));
    match authentication::identify(&server, &request.into_parts().0) {
        Ok(identity) => Response::new(Body::from(identity.user.to_string())),
        Err(status) => status_response(&status),
    }
}

async fn start() -> TestPort {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let authority = Arc::new(authority());
    let open = Arc::new(AtomicBool::new(true));
    let made = Arc::new(AtomicUsize::new(0));
    let tls = {
        let (authority, made) = (authority.clone(), made.clone());
        move || {
            if made.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err("the first try fails".to_owned());
            }
            let leaf = leaf(&authority, "server", Usage::Server);
            Ok(TlsMaterial {
                certificate_pem: leaf.certificate_pem,
                key_pem: leaf.key_pem,
                client_ca_pem: authority.certificate_pem().to_owned(),
            })
        }
    };
    let is_open = open.clone();
    let port = Port {
        handler: Box::new(|request| Box::pin(answer(request))),
        tls: tls::LazyConfig::new(Arc::new(tls)),
        open: Arc::new(move || is_open.load(Ordering::SeqCst)),
        clock: Clock::wall(),
        stopping: CancellationToken::new(),
        stopped: CancellationToken::new(),
    };
    let stop = CancellationToken::new();
    let served = tokio::spawn(run(listener, Arc::new(port), stop.clone()));
    let port = TestPort { address, authority, open, made, stop, served };
    // An error while the material is made costs this connection only.
    port.connect(None, &[b"http/1.1"]).await.unwrap_err();
    port
}

impl TestPort {
    async fn connect(
        &self,
        client: Option<&CertifiedKey>,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let certificate = self.authority.certificate_pem().as_bytes();
        roots.add(CertificateDer::from_pem_slice(certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match client {
            None => builder.with_no_client_auth(),
            Some(client) => builder
                .with_client_auth_cert(
                    vec![
                        CertificateDer::from_pem_slice(client.certificate_pem.as_bytes()).unwrap(),
                    ],
                    PrivateKeyDer::from_pem_slice(client.key_pem.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn get(&self, client: Option<&CertifiedKey>, header: Option<&str>) -> (u16, String) {
        let stream = self.connect(client, &[b"http/1.1"]).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::get("/").header("host", "localhost");
        if let Some(value) = header {
            request = request.header("authorization", value);
        }
        let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
        text(sender.send_request(request).await.unwrap()).await
    }
}

async fn text(response: Response<hyper::body::Incoming>) -> (u16, String) {
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn client_certificates_decide_who_one_is() {
    let port = start().await;
    let bob = leaf(&port.authority, "bob", Usage::Client);
    assert_eq!(port.get(Some(&bob), None).await, (200, "bob".into()));
    assert_eq!(port.get(None, None).await, (200, "system:anonymous".into()));
    // Once for the failure, once for good.
    assert_eq!(port.made.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn bad_credentials_are_answered_with_401_and_not_with_a_tls_alert() {
    let port = start().await;
    let foreign = leaf(&authority(), "bob", Usage::Client);
    let server = leaf(&port.authority, "bob", Usage::Server);
    for (client, header) in
        [(Some(&foreign), None), (Some(&server), None), (None, Some("Bearer x"))]
    {
        let (code, body) = port.get(client, header).await;
        assert_eq!(code, 401);
        let status: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status["reason"], "Unauthorized");
        assert_eq!(status["kind"], "Status");
    }
}

#[tokio::test]
async fn http_2_is_spoken_where_the_client_offers_it() {
    let port = start().await;
    let stream = port.connect(None, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::get("https://localhost/").body(Empty::<bytes::Bytes>::new());
        let response = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(text(response).await, (200, "system:anonymous".into()));
    }
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let port = start().await;
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(
        answer,
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    );
}

#[tokio::test]
async fn closed_port_resets_connections() {
    let port = start().await;
    port.open.store(false, Ordering::SeqCst);
    let error = port.connect(None, &[]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    port.open.store(true, Ordering::SeqCst);
    assert_eq!(port.get(None, None).await.0, 200);
}

#[tokio::test]
async fn stop_ends_open_answers_and_gives_the_port_back() {
    let port = start().await;
    let stream = port.connect(None, &[b"http/1.1"]).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/forever").header("host", "localhost");
    let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    port.stop.cancel();
    Clock::wall().timeout(Duration::from_secs(5), port.served).await.unwrap().unwrap();
    assert!(response.into_body().collect().await.is_err());
    TcpListener::bind(port.address).await.unwrap();
}

#[test]
fn idle_port_is_small() {
    let make = || Err(String::new());
    let port = Arc::new(Port {
        handler: Box::new(|request| Box::pin(answer(request))),
        tls: tls::LazyConfig::new(Arc::new(make)),
        open: Arc::new(|| true),
        clock: tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(async { Clock::wall() }),
        stopping: CancellationToken::new(),
        stopped: CancellationToken::new(),
    });
    // Never run: only its size is of interest.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let listener = TcpListener::from_std(listener).unwrap();
    let task = run(listener, port.clone(), CancellationToken::new());
    let bytes = size_of_val(&task) + size_of_val(&*port);
    assert!(bytes < 1500, "{bytes} bytes");
}
