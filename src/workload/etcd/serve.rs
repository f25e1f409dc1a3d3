//! A connection to a member: TLS with client certificates, then HTTP/2 with gRPC, or HTTP.
//!
//! Connections lie in memory: whoever forwards a Pod's port holds the other end. A connection that
//! misbehaves ends alone.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::http as http_api;
use super::service::{self, Server};
use crate::clock::HyperTimer;

/// From the first byte to the end of the TLS handshake. (etcd v3.6: grpc's server has 120 seconds
/// for it, and Go's tls no limit)
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Streams of one connection; etcd has no limit.
const STREAMS_MAX: u32 = 256;
/// What a client may send of one body, and on one connection, before it is read.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of all headers of a request.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Pings on idle connections, and how long an answer may take. (etcd v3.6: embed.Config,
/// GRPCKeepAliveInterval is two hours; a dead peer here is a dead tunnel)
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_LIMIT: Duration = Duration::from_secs(20);
/// For the head of an HTTP/1.1 request.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long the requests in hand may go on after a member has gone.
const GRACE: Duration = Duration::from_millis(500);

/// Serves a client connection until it ends, the member goes or `stop` is cancelled.
pub(super) async fn serve(server: Server, stream: DuplexStream, stop: CancellationToken) {
    let ended = {
        let served = serve_tls(&server, stream, &stop);
        let mut served = pin!(served);
        tokio::select! {
            ended = served.as_mut() => ended,
            () = stop.cancelled() => Ok(()),
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection to etcd ended");
    }
}

/// Serves a connection to the metrics port, which speaks plain HTTP.
pub(super) async fn serve_metrics(server: Server, stream: DuplexStream, stop: CancellationToken) {
    let ended = tokio::select! {
        ended = serve_http1(&server, stream) => ended,
        () = stop.cancelled() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection to etcd's metrics ended");
    }
}

async fn serve_tls(
    server: &Server,
    stream: DuplexStream,
    stop: &CancellationToken,
) -> Result<(), String> {
    let config = server.tls().inspect_err(|error| {
        tracing::warn!(error, "failed to make the TLS configuration of an etcd member");
    })?;
    let handshake = TlsAcceptor::from(config).accept(stream);
    let stream = server
        .clock()
        .timeout(HANDSHAKE_LIMIT, handshake)
        .await
        .map_err(|error| format!("handshake: {error}"))?
        .map_err(|error: io::Error| format!("handshake: {error}"))?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve_http2(server, stream, stop).await
    } else {
        serve_http1(server, stream).await
    }
}

async fn serve_http2(
    server: &Server,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    stop: &CancellationToken,
) -> Result<(), String> {
    let answering = server.clone();
    let handler = service_fn(move |request| answer(answering.clone(), request));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(HyperTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_LIMIT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), handler));
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(|error| error.to_string()),
        () = server.down() => {}
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    match server.clock().timeout(GRACE, connection).await {
        Ok(ended) => ended.map_err(|error| error.to_string()),
        Err(_) => Ok(()),
    }
}

async fn serve_http1(
    server: &Server,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<(), String> {
    let answering = server.clone();
    let handler = service_fn(move |request| answer(answering.clone(), request));
    let connection = http1::Builder::new()
        .timer(HyperTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), handler);
    tokio::select! {
        ended = connection => ended.map_err(|error| error.to_string()),
        () = server.down() => Ok(()),
    }
}

/// gRPC's requests are told by their content type, as etcd tells them. (embed/serve.go)
fn answer(
    server: Server,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send {
    let content_type = request.headers().get(http::header::CONTENT_TYPE);
    let is_grpc = request.version() == http::Version::HTTP_2
        && content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    async move {
        Ok(if is_grpc {
            service::answer(server, request).await
        } else {
            http_api::answer(&server, &request)
        })
    }
}
