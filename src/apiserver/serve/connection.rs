//! One connection: first byte, TLS handshake, HTTP until either side has enough.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Port;
use super::activity::Activity;
use super::paced::{Head, Pace, Paced};
use super::patient_body::PatientBody;
use crate::apiserver::authentication::Peer;
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
/// Headers that a proxy in front of kube-apiserver would set; nobody is believed to be one.
const PROXY_HEADERS: [&str; 3] = ["x-remote-user", "x-remote-uid", "x-remote-group"];
const PROXY_EXTRA: &str = "x-remote-extra-";
/// How long a client may go on sending after it was told that the port speaks TLS.
const PLAIN_HTTP_LIMIT: Duration = Duration::from_secs(1);
/// What Go's net/http says to that client.
const PLAIN_HTTP_ANSWER: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Serves a connection until it ends or the port stops.
pub(super) async fn run(stream: TcpStream, port: Arc<Port>) {
    let stopped = port.stopped.clone();
    let served = tokio::select! {
        biased;
        () = stopped.cancelled() => return,
        served = serve(stream, port) => served,
    };
    if let Err(error) = served {
        tracing::debug!(error, "a connection ended");
    }
}

async fn serve(stream: TcpStream, port: Arc<Port>) -> Result<(), String> {
    let stopping = port.stopping.clone();
    let handshake = tokio::select! {
        biased;
        () = stopping.cancelled() => return Ok(()),
        handshake = port.clock.timeout(port.patience.handshake, shake_hands(stream, &port)) => handshake,
    };
    let Some((stream, peer)) = handshake.map_err(|error| format!("handshake: {error}"))?? else {
        return Ok(());
    };
    serve_http(stream, Arc::new(peer), port).await
}

/// Answers plain HTTP, or makes TLS of the connection and looks at the client's certificate.
async fn shake_hands(
    mut stream: TcpStream,
    port: &Port,
) -> Result<Option<(TlsStream<TcpStream>, Peer)>, String> {
    let failed = |error: io::Error| format!("handshake: {error}");
    stream.set_nodelay(true).map_err(failed)?;
    // Peers that vanished are noticed, as by Go's servers.
    rustix::net::sockopt::set_socket_keepalive(&stream, true).map_err(|e| failed(e.into()))?;
    let mut first = [0];
    if stream.peek(&mut first).await.map_err(failed)? == 0 {
        return Ok(None);
    }
    if first[0].is_ascii_uppercase() {
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
async fn refuse_plain_http(stream: &mut TcpStream, port: &Port) -> io::Result<()> {
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

async fn serve_http(
    stream: TlsStream<TcpStream>,
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
    let client = Client { peer, port, head, activity: activity.clone() };
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
    served.map_err(|error| error.to_string())
}

fn builder(idle: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(HyperTimer::new()).header_read_timeout(idle).max_headers(HEADERS_MAX);
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
}

/// A request arrived for a port that plays dead.
#[derive(Debug, thiserror::Error)]
#[error("the port is closed")]
struct Closed;

async fn answer(request: Request<Incoming>, client: Client) -> Result<Response<Body>, Closed> {
    let Client { peer, port, head, activity } = client;
    if !(port.open)() {
        return Err(Closed);
    }
    let stream = match &head {
        Some(head) => {
            head.is_complete();
            None
        }
        None => Some(activity.begin()),
    };
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
        // HTTP/2 makes floods cheap; those who say nothing of themselves get one connection's worth
        // of streams and have to come again. So do those who are not believed. (kubernetes 1.36:
        // endpoints/filters/authentication.go)
        Peer::Anonymous if says_nothing => activity.no_more(),
        Peer::Anonymous => {}
    }
    let response = (port.handler)(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        activity.no_more();
    }
    Ok(match stream {
        Some(stream) => stream.hold(response),
        None => response,
    })
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
