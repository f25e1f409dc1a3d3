//! One connection: first byte, TLS handshake, HTTP until either side has enough.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Port;
use crate::apiserver::authentication::Peer;
use crate::clock::HyperTimer;

/// First byte to last byte of the handshake. (kubernetes 1.36: net/http's default for Go servers)
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Waiting for the next request's head on an idle HTTP/1.1 connection. (kubernetes 1.36:
/// apiserver/pkg/server/secure_serving.go, IdleTimeout)
const IDLE_LIMIT: Duration = Duration::from_secs(90);
/// Streams of one HTTP/2 connection. (kubernetes 1.36: --http2-max-streams-per-connection)
const STREAMS_MAX: u32 = 1000;
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
        handshake = port.clock.timeout(HANDSHAKE_LIMIT, shake_hands(stream, &port)) => handshake,
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
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(HyperTimer::new()).header_read_timeout(IDLE_LIMIT);
    builder.http2().timer(HyperTimer::new()).max_concurrent_streams(STREAMS_MAX);
    let service = service_fn(move |request| answer(request, peer.clone(), port.clone()));
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(|error| error.to_string())
}

/// A request arrived for a port that plays dead.
#[derive(Debug, thiserror::Error)]
#[error("the port is closed")]
struct Closed;

async fn answer(
    request: Request<Incoming>,
    peer: Arc<Peer>,
    port: Arc<Port>,
) -> Result<Response<Body>, Closed> {
    if !(port.open)() {
        return Err(Closed);
    }
    let mut request = request.map(Body::new);
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
    Ok((port.handler)(request).await)
}
