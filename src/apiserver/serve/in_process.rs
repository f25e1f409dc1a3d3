//! Upgrades for clients of this process: a connection in memory, without TLS and descriptor, on
//! which the sender is who the request's extensions say.

use std::sync::Arc;

use axum::body::Body;
use http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::DuplexStream;

use super::IN_MEMORY_BYTES;
use crate::apiserver::upgrade::Takeover;
use crate::apiserver::{ApiServer, status_response};
use crate::machinery::status::Status;

/// Answers a request that may switch protocols. The other protocol is then spoken on what
/// `hyper::upgrade::on` makes of the answer; it ends with the server, or when that is dropped.
/// Call inside a tokio runtime.
pub async fn upgrade(server: &ApiServer, mut request: Request<Body>) -> Response<Body> {
    let (near, far) = tokio::io::duplex(IN_MEMORY_BYTES);
    let extensions = std::mem::take(request.extensions_mut());
    tokio::spawn(answer(server.clone(), far, extensions));
    exchange(near, request).await.unwrap_or_else(|error| {
        status_response(&Status::internal(format!("an upgrade failed: {error}")))
    })
}

/// The client's side.
async fn exchange(
    stream: DuplexStream,
    request: Request<Body>,
) -> Result<Response<Body>, hyper::Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender.send_request(request).await?.map(Body::new))
}

/// The server's side.
async fn answer(server: ApiServer, stream: DuplexStream, extensions: Extensions) {
    let takeover = Arc::new(Mutex::new(None));
    let service = service_fn(|mut request: Request<Incoming>| {
        let upgrade = hyper::upgrade::on(&mut request);
        let mut request = request.map(Body::new);
        request.extensions_mut().extend(extensions.clone());
        let (server, takeover) = (server.clone(), takeover.clone());
        async move {
            let mut response = server.handle(request).await;
            if let Some(switched) = response.extensions_mut().remove::<Takeover>() {
                *takeover.lock() = Some((upgrade, switched));
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let stop = server.stopped().clone();
    let served = tokio::select! {
        () = stop.cancelled() => return,
        served = connection => served,
    };
    let taken = takeover.lock().take();
    if let (Ok(()), Some((upgrade, takeover))) = (served, taken)
        && let Ok(connection) = upgrade.await
    {
        tokio::select! {
            () = stop.cancelled() => {}
            () = takeover.run(TokioIo::new(connection)) => {}
        }
    }
}
