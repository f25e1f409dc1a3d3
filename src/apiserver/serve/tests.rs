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
    authority.issue(&request(name, usage), KeyAlgorithm::EcdsaP256).unwrap()
}

fn request(name: &str, usage: Usage) -> LeafRequest {
    LeafRequest {
        common_name: name.into(),
        organizations: vec![],
        dns_names: vec!["localhost".into()],
        addresses: vec![],
        usage,
        validity: Duration::from_secs(3600),
    }
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256).unwrap()
}

/// Answers without end that are being sent.
static FLOODS: AtomicUsize = AtomicUsize::new(0);

struct Flood;

impl Drop for Flood {
    fn drop(&mut self) {
        FLOODS.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(request: Request<Body>) -> Response<Body> {
    if request.uri().path() == "/forever" {
        let body = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        return Response::new(Body::from_stream(body));
    }
    if request.uri().path() == "/flood" {
        FLOODS.fetch_add(1, Ordering::SeqCst);
        let flood = futures::stream::unfold(Flood, |flood| async move {
            Some((Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[0; 65_536])), flood))
        });
        return Response::new(Body::from_stream(flood));
    }
    let server = ApiServer::new(&Profile::new(vec![]), Options::new(Clock::wall()));
    let (parts, body) = request.into_parts();
    let user = match authentication::identify(&server, &parts) {
        Ok(identity) => identity.user.to_string(),
        Err(status) => return status_response(&status),
    };
    let proxied = parts.headers.keys().any(|name| name.as_str().starts_with("x-remote-"));
    let (headers, size) = (parts.headers.len(), parts.uri.path().len());
    match crate::apiserver::body::read(body).await {
        Err(status) => status_response(&status),
        Ok(body) if body.is_empty() && !proxied && headers < 100 && size < 100 => {
            Response::new(Body::from(user))
        }
        Ok(body) => Response::new(Body::from(format!("{} {headers} {size} {proxied}", body.len()))),
    }
}

async fn start() -> TestPort {
    start_with(PATIENCE).await
}

async fn start_with(patience: Patience) -> TestPort {
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
        patience,
        connections: TaskTracker::new(),
        clients: std::sync::OnceLock::new(),
        stopping: CancellationToken::new(),
        stopped: CancellationToken::new(),
        cut: parking_lot::Mutex::default(),
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
    let expired = port.authority.issue_expired(&request("bob", Usage::Client));
    for (client, header) in [
        (Some(&foreign), None),
        (Some(&server), None),
        (Some(&expired), None),
        (None, Some("Bearer x")),
    ] {
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
    let bob = leaf(&port.authority, "bob", Usage::Client);
    let stream = port.connect(Some(&bob), &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::get("https://localhost/").body(Empty::<bytes::Bytes>::new());
        let response = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(text(response).await, (200, "bob".into()));
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
    Clock::wall().timeout(Duration::from_secs(60), port.served).await.unwrap().unwrap();
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
        patience: PATIENCE,
        connections: TaskTracker::new(),
        clients: std::sync::OnceLock::new(),
        stopping: CancellationToken::new(),
        stopped: CancellationToken::new(),
        cut: parking_lot::Mutex::default(),
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

/// Little of everything, so that tests need not wait.
const IMPATIENCE: Patience = Patience {
    handshake: Duration::from_secs(1),
    head: Duration::from_secs(1),
    idle: Duration::from_secs(3),
    body: Duration::from_secs(1),
    stall: Duration::from_millis(1500),
};

/// Longest wait for what must come to pass.
const SOON: Duration = Duration::from_secs(20);

/// Waits for the server to close a connection; how long that took.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Duration {
    let clock = Clock::wall();
    let mut sink = Vec::new();
    // A reset is as good as an orderly end.
    let ended = clock.timeout(SOON, stream.read_to_end(&mut sink)).await;
    let _ = ended.expect("the server closes the connection");
    clock.elapsed()
}

async fn http2(
    port: &TestPort,
    client: Option<&CertifiedKey>,
) -> (
    hyper::client::conn::http2::SendRequest<Body>,
    tokio::task::JoinHandle<Result<(), hyper::Error>>,
) {
    let stream = port.connect(client, &[b"h2"]).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    (sender, tokio::spawn(connection))
}

#[tokio::test]
async fn clients_that_say_nothing_are_cut_off() {
    let port = start_with(IMPATIENCE).await;
    let mut silent = TcpStream::connect(port.address).await.unwrap();
    assert!(closed(&mut silent).await >= IMPATIENCE.handshake);
    let mut no_head = port.connect(None, &[b"http/1.1"]).await.unwrap();
    assert!(closed(&mut no_head).await >= IMPATIENCE.head);
}

#[tokio::test]
async fn half_sent_heads_are_cut_off_even_if_bytes_drip() {
    let port = start_with(IMPATIENCE).await;
    let stream = port.connect(None, &[b"http/1.1"]).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let drip = tokio::spawn(async move {
        let clock = Clock::wall();
        writer.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-drip: ").await?;
        loop {
            clock.timeout(Duration::from_millis(20), std::future::pending::<()>()).await.ok();
            writer.write_all(b"x").await?;
            writer.flush().await?;
        }
        #[expect(unreachable_code, reason = "names the type")]
        std::io::Result::Ok(())
    });
    let took = closed(&mut reader).await;
    assert!(took >= IMPATIENCE.head && took < SOON / 2, "{took:?}");
    drip.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn idle_connections_outlive_heads_and_end_all_the_same() {
    let port = start_with(IMPATIENCE).await;
    let mut stream = port.connect(None, &[b"http/1.1"]).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert!(closed(&mut stream).await >= IMPATIENCE.head + Duration::from_millis(100));
    let bob = leaf(&port.authority, "bob", Usage::Client);
    let (mut sender, connection) = http2(&port, Some(&bob)).await;
    let request = Request::get("https://localhost/").body(Body::empty()).unwrap();
    assert_eq!(text(sender.send_request(request).await.unwrap()).await.0, 200);
    let ended = Clock::wall().timeout(SOON, connection).await;
    ended.expect("an idle HTTP/2 connection ends").unwrap().ok();
}

#[tokio::test]
async fn open_answers_keep_a_connection_from_being_idle() {
    let port = start_with(IMPATIENCE).await;
    let bob = leaf(&port.authority, "bob", Usage::Client);
    let (mut sender, connection) = http2(&port, Some(&bob)).await;
    let request = Request::get("https://localhost/forever").body(Body::empty()).unwrap();
    let open = sender.send_request(request).await.unwrap();
    let ended = Clock::wall().timeout(IMPATIENCE.idle * 3, connection).await;
    assert!(ended.is_err(), "a watch may be silent for long");
    drop(open);
}

#[tokio::test]
async fn bodies_that_do_not_go_on_are_given_up() {
    let port = start_with(IMPATIENCE).await;
    let bob = leaf(&port.authority, "bob", Usage::Client);
    let mut stream = port.connect(None, &[b"http/1.1"]).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345")
        .await
        .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    closed(&mut stream).await;
    let (mut sender, _connection) = http2(&port, Some(&bob)).await;
    let part = futures::stream::iter([Ok::<_, std::io::Error>("part")]);
    let body = Body::from_stream(futures::StreamExt::chain(part, futures::stream::pending()));
    let request = Request::post("https://localhost/").body(body).unwrap();
    let (code, status) = text(sender.send_request(request).await.unwrap()).await;
    assert_eq!(code, 408, "{status}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_holds_up_nobody() {
    let port = start_with(IMPATIENCE).await;
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let bob = leaf(&port.authority, "bob", Usage::Client);
        let mut stuck = port.connect(Some(&bob), &[protocol]).await.unwrap();
        if protocol == b"h2" {
            // Windows without end, so that the socket and not the protocol is full.
            let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            hello.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]);
            hello.extend([0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xfe, 0, 0]);
            // GET https://localhost/flood
            let head = b"\x82\x87\x41\x09localhost\x44\x06/flood";
            hello.extend([0, 0, head.len() as u8, 1, 5, 0, 0, 0, 1]);
            hello.extend(head);
            stuck.write_all(&hello).await.unwrap();
        } else {
            stuck.write_all(b"GET /flood HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        }
        // While it takes nothing, others are served.
        let others = async {
            let mut begun = false;
            while !begun || FLOODS.load(Ordering::SeqCst) > 0 {
                assert_eq!(port.get(Some(&bob), None).await, (200, "bob".into()));
                begun |= FLOODS.load(Ordering::SeqCst) > 0;
            }
        };
        Clock::wall().timeout(SOON, others).await.expect("the stuck client is cut off");
        // The flood would have no end; what the kernels hold has one.
        closed(&mut stuck).await;
    }
}

#[tokio::test]
async fn a_connection_of_nobody_known_ends_after_its_streams() {
    let port = start().await;
    let (mut sender, connection) = http2(&port, None).await;
    let requests: Vec<_> = (0..20)
        .map(|_| {
            sender.send_request(Request::get("https://localhost/").body(Body::empty()).unwrap())
        })
        .collect();
    let mut served = 0;
    for answer in futures::future::join_all(requests).await.into_iter().flatten() {
        assert_eq!(text(answer).await, (200, "system:anonymous".into()));
        served += 1;
    }
    assert!(served >= 1);
    let ended = Clock::wall().timeout(SOON, connection).await;
    ended.expect("the connection ends").unwrap().ok();
    let late = Request::get("https://localhost/").body(Body::empty()).unwrap();
    assert!(sender.send_request(late).await.is_err(), "one has to connect again");
}

#[tokio::test]
async fn heads_may_be_as_large_as_clients_make_them() {
    let port = start().await;
    let bob = leaf(&port.authority, "bob", Usage::Client);
    let long = format!("/{}", "p".repeat(60 * 1024));
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let request = |path: &str, headers: usize, size: usize| {
            let uri = if protocol == b"h2" {
                format!("https://localhost{path}")
            } else {
                path.to_owned()
            };
            let mut request = Request::get(uri);
            if protocol != b"h2" {
                request = request.header("host", "localhost");
            }
            for n in 0..headers {
                request = request.header(format!("x-header-{n}"), "v".repeat(size));
            }
            request.body(Body::empty()).unwrap()
        };
        let large = [
            ("/", 250, 1, 200),
            ("/", 1, 100 * 1024, 200),
            (&*long, 1, 1, 200),
            ("/", 1, 1000 * 1024, 200),
            ("/", 1, 1100 * 1024, 431),
        ];
        // Over HTTP/2 the client's library keeps to what the server says it takes.
        let some = if protocol == b"h2" { &large[..3] } else { &large[..] };
        for &(path, headers, size, expected) in some {
            let code = if protocol == b"h2" {
                let (mut sender, _connection) = http2(&port, Some(&bob)).await;
                text(sender.send_request(request(path, headers, size)).await.unwrap()).await.0
            } else {
                let stream = port.connect(Some(&bob), &[protocol]).await.unwrap();
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
                tokio::spawn(connection);
                text(sender.send_request(request(path, headers, size)).await.unwrap()).await.0
            };
            let about = format!("{headers} headers of {size} bytes, path of {}", path.len());
            assert_eq!(code, expected, "{about}");
        }
    }
}

#[tokio::test]
async fn headers_of_a_proxy_are_not_believed() {
    let port = start().await;
    let mut stream = port.connect(None, &[b"http/1.1"]).await.unwrap();
    let head = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nX-Remote-User: root\r\n\
                X-Remote-Group: system:masters\r\nX-Remote-Extra-Scopes: all\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.ends_with("system:anonymous"), "{answer}");
}
