//! One connection: first byte, TLS handshake, HTTP until either side has enough.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::Port;
use super::activity::Activity;
use super::paced::{Head, Pace, Paced};
use super::patient_body::PatientBody;
use crate::apiserver::authentication::Peer;
use crate::apiserver::upgrade::Takeover;
use crate::clock::HyperTimer;

/// Streams of one HTTP/2 connection. (kubernetes 1.36: apiserver/pkg/server/secure_serving.go)
const STREAMS_MAX: u32 = 100;
/// Largest frame, and what a client may send of one body before it is read. (same place)
const FRAME_MAX: u32 = 256 * 1024;
const BODY_WINDOW: u32 = 256 * 1024;
/// Bytes of all headers of a request. (kubernetes 1.36: net/http's DefaultMaxHeaderBytes)
const HEADER_BYTES_MAX: u32 = 1024 * 1024;
/// Headers of an HTTP/1.1 request.
const HEADERS_MAX: usize = 512;
/// Bytes of a head over HTTP/1.1: Go's limit and what it adds for its buffer.
/// (Go: net/http, DefaultMaxHeaderBytes)
const HEAD_BYTES_MAX: usize = (1 << 20) + 4096;
/// Headers that a proxy in front of kube-apiserver would set; nobody is believed to be one.
const PROXY_HEADERS: [&str; 3] = ["x-remote-user", "x-remote-uid", "x-remote-group"];
const PROXY_EXTRA: &str = "x-remote-extra-";
/// How long a client may go on sending after it was told that the port speaks TLS.
const PLAIN_HTTP_LIMIT: Duration = Duration::from_secs(1);
/// What Go's net/http says to that client.
const PLAIN_HTTP_ANSWER: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// What is read at once from a connection in memory.
const IN_MEMORY_BUFFER: usize = 4096;

/// What connections run over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl Transport for TcpStream {}
impl Transport for BufReader<DuplexStream> {}

/// Serves a connection until it ends or the port stops.
pub(super) async fn run(stream: TcpStream, port: Arc<Port>, cut: CancellationToken) {
    let first = async {
        stream.set_nodelay(true)?;
        // Peers that vanished are noticed, as by Go's servers.
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        let mut first = [0];
        let length = stream.peek(&mut first).await?;
        let first = (length > 0).then_some(first[0]);
        io::Result::Ok((stream, first))
    };
    until_stopped(first, port, cut).await;
}

/// Serves a connection of this process as one that arrived by TCP.
pub(super) async fn run_in_memory(stream: DuplexStream, port: Arc<Port>, cut: CancellationToken) {
    let first = async {
        let mut stream = BufReader::with_capacity(IN_MEMORY_BUFFER, stream);
        let first = stream.fill_buf().await?.first().copied();
        io::Result::Ok((stream, first))
    };
    until_stopped(first, port, cut).await;
}

/// Serves what `first` answers, a connection whose first byte is looked at but not read.
async fn until_stopped<S: Transport>(
    first: impl Future<Output = io::Result<(S, Option<u8>)>>,
    port: Arc<Port>,
    cut: CancellationToken,
) {
    let stopped = port.stopped.clone();
    let served = tokio::select! {
        biased;
        () = stopped.cancelled() => return,
        () = cut.cancelled() => return,
        served = serve(first, port) => served,
    };
    if let Err(error) = served {
        tracing::debug!(error, "a connection ended");
    }
}

async fn serve<S: Transport>(
    first: impl Future<Output = io::Result<(S, Option<u8>)>>,
    port: Arc<Port>,
) -> Result<(), String> {
    let stopping = port.stopping.clone();
    let handshake = tokio::select! {
        biased;
        () = stopping.cancelled() => return Ok(()),
        handshake = port.clock.timeout(port.patience.handshake, shake_hands(first, &port)) => handshake,
    };
    let Some((stream, peer)) = handshake.map_err(|error| format!("handshake: {error}"))?? else {
        return Ok(());
    };
    serve_http(stream, Arc::new(peer), port).await
}

/// Answers plain HTTP, or makes TLS of the connection and looks at the client's certificate.
async fn shake_hands<S: Transport>(
    first: impl Future<Output = io::Result<(S, Option<u8>)>>,
    port: &Port,
) -> Result<Option<(TlsStream<S>, Peer)>, String> {
    let failed = |error: io::Error| format!("handshake: {error}");
    let (mut stream, first) = first.await.map_err(failed)?;
    let Some(first) = first else { return Ok(None) };
    if first.is_ascii_uppercase() {
        refuse_plain_http(&mut stream, port).await.map_err(failed)?;
        return Ok(None);
    }
    let tls = port.tls.get().inspect_err(|error| {
        tracing::warn!(error, "failed to make the TLS configuration of a port");
    })?;
    let stream = TlsAcceptor::from(tls.config.clone()).accept(stream).await.map_err(failed)?;
    let (_, session) = stream.get_ref();
    let peer = tls.clients.inspect(session.peer_certificates().unwrap_or_default());
    Ok(Some((stream, peer)))
}

/// Tells a client that forgot the `s` of `https`. What it goes on to send is read and dropped for
/// a moment, because a reset would make it lose the answer.
async fn refuse_plain_http<S: Transport>(stream: &mut S, port: &Port) -> io::Result<()> {
    stream.write_all(PLAIN_HTTP_ANSWER).await?;
    stream.shutdown().await?;
    let mut sink = [0; 1024];
    let drain = async {
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    // A client that keeps sending is simply cut off.
    port.clock.timeout(PLAIN_HTTP_LIMIT, drain).await.unwrap_or(Ok(()))
}

async fn serve_http<S: Transport>(
    stream: TlsStream<S>,
    peer: Arc<Peer>,
    port: Arc<Port>,
) -> Result<(), String> {
    let stopping = port.stopping.clone();
    let clock = port.clock.clone();
    let patience = port.patience;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let head = (!is_http2).then(Head::awaited);
    let pace = Pace { head: patience.head, stall: patience.stall };
    let stream = Paced::new(stream, clock.clone(), pace, head.clone());
    let activity = Arc::new(Activity::default());
    let takeover = Arc::new(Mutex::new(None));
    let client =
        Client { peer, port, head, activity: activity.clone(), takeover: takeover.clone() };
    let service = service_fn(move |request| answer(request, client.clone()));
    let builder = builder(patience.idle);
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let over = async {
        if is_http2 {
            activity.over(&clock, patience.head, patience.idle).await;
        } else {
            // Idle HTTP/1.1 connections are hyper's business.
            std::future::pending::<()>().await;
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = over => {
            connection.as_mut().graceful_shutdown();
            // The open requests may take their time, unless the port stops.
            tokio::select! {
                served = connection.as_mut() => served,
                () = stopping.cancelled() => Ok(()),
            }
        }
    };
    served.map_err(|error| error.to_string())?;
    let taken = takeover.lock().take();
    if let Some((connection, takeover)) = taken {
        take_over(connection, takeover, &stopping).await?;
    }
    Ok(())
}

/// Goes on with another protocol, until that is over or the port stops.
async fn take_over(
    connection: OnUpgrade,
    takeover: Takeover,
    stopping: &CancellationToken,
) -> Result<(), String> {
    let connection = connection.await.map_err(|error| format!("upgrade: {error}"))?;
    tokio::select! {
        () = stopping.cancelled() => {}
        () = takeover.run(TokioIo::new(connection)) => {}
    }
    Ok(())
}

fn builder(idle: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(HyperTimer::new())
        .header_read_timeout(idle)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(HyperTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_frame_size(FRAME_MAX)
        .initial_stream_window_size(BODY_WINDOW)
        .initial_connection_window_size(BODY_WINDOW * STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX);
    builder
}

/// Whoever is at the other end of a connection. Cloned for each request.
#[derive(Clone)]
struct Client {
    peer: Arc<Peer>,
    port: Arc<Port>,
    /// `None` over HTTP/2.
    head: Option<Arc<Head>>,
    activity: Arc<Activity>,
    /// Set by the request that ends HTTP on the connection.
    takeover: Arc<Mutex<Option<(OnUpgrade, Takeover)>>>,
}

/// A request arrived for a port that plays dead.
#[derive(Debug, thiserror::Error)]
#[error("the port is closed")]
struct Closed;

async fn answer(mut request: Request<Incoming>, client: Client) -> Result<Response<Body>, Closed> {
    let Client { peer, port, head, activity, takeover } = client;
    if !(port.open)() {
        return Err(Closed);
    }
    let stream = match &head {
        Some(head) => {
            head.is_complete();
            if head_bytes(&request) > HEAD_BYTES_MAX {
                return Ok(too_large());
            }
            None
        }
        None => Some(activity.begin()),
    };
    let asks = request.headers().contains_key(UPGRADE);
    let upgrade = asks.then(|| hyper::upgrade::on(&mut request));
    let (clock, limit) = (port.clock.clone(), port.patience.body);
    let mut request = request.map(|body| Body::new(PatientBody::new(body, clock, limit)));
    strip_proxy_headers(request.headers_mut());
    let says_nothing = !request.headers().contains_key(AUTHORIZATION);
    // What a refused certificate means depends on the other credentials.
    match &*peer {
        Peer::Known(identity) => {
            request.extensions_mut().insert(identity.clone());
        }
        Peer::Refused => {
            request.extensions_mut().insert(Peer::Refused);
        }
        Peer::Anonymous => {}
    }
    // Go's server reads no second request behind a tunnel that it refused.
    let ends = head.is_some() && request.method() == Method::CONNECT;
    let mut response = (port.handler)(request).await;
    let switched = response.extensions_mut().remove::<Takeover>();
    if let (Some(upgrade), Some(switched)) = (upgrade, switched) {
        *takeover.lock() = Some((upgrade, switched));
        if let Some(head) = head {
            head.is_over();
        }
    }
    if ends {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // HTTP/2 makes floods cheap; those who say nothing of themselves get one connection's worth of
    // streams and have to come again. So do those who are not believed. They are told with the
    // answer. (kubernetes 1.36: endpoints/filters/authentication.go; Go: net/http, writeChunk)
    let is_nobody = matches!(&*peer, Peer::Anonymous) && says_nothing;
    if is_nobody || response.status() == StatusCode::UNAUTHORIZED {
        activity.no_more();
    }
    Ok(match stream {
        Some(stream) => stream.hold(response),
        None => response,
    })
}

/// Bytes of a head over HTTP/1.1. hyper limits what it buffers of an incomplete head; a larger one
/// may come whole with the last read.
fn head_bytes(request: &Request<Incoming>) -> usize {
    let path = request.uri().path_and_query().map_or(1, |path| path.as_str().len());
    let line = request.method().as_str().len() + path + "  HTTP/1.1\r\n".len();
    let headers = request.headers().iter();
    headers.fold(line + 2, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
}

/// The answer to a head that Go's server would not have read. (Go: net/http, conn.serve)
fn too_large() -> Response<Body> {
    let mut response = Response::new(Body::from("431 Request Header Fields Too Large"));
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Nobody may speak for others by headers alone.
fn strip_proxy_headers(headers: &mut HeaderMap) {
    for name in PROXY_HEADERS {
        headers.remove(name);
    }
    let extra: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(PROXY_EXTRA)).cloned().collect();
    for name in extra {
        headers.remove(name);
    }
}
