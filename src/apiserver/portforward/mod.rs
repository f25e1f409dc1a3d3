//! Port forwarding: `pods/portforward`, over SPDY, over SPDY in WebSocket messages, and over
//! WebSocket channels.
//!
//! kube-apiserver passes the streams on to a kubelet and a container runtime; here they end at
//! [`Kubelets::connect`](super::kubelets::Kubelets::connect), in memory. No address is taken from a
//! request. Streams, header blocks and what waits to be read are bounded for each connection; what
//! a client does wrong costs it the stream, or the connection.
//! (kubernetes 1.36: kubelet/pkg/cri/streaming/portforward, apiserver/pkg/util/proxy/streamtunnel.go)

mod channels;
mod forwarder;
mod negotiation;
mod pairs;
mod session;
#[cfg(test)]
mod tests;
mod tunnel;
mod windows;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Response;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use serde_json::Value;

use super::kubelets::Kubelets;
use super::route::Call;
use super::upgrade;
use crate::machinery::status::Status;
use forwarder::Forwarder;
use negotiation::{Refusal, Wanted};

/// How long a connection may be idle. (kubernetes 1.36: pkg/kubelet/kubelet.go,
/// StreamingConnectionIdleTimeout)
const IDLE_LIMIT: Duration = Duration::from_secs(4 * 3600);
/// How long the second stream of a pair may take to come. (kubernetes 1.36:
/// kubelet/pkg/cri/streaming/remotecommand/httpstream.go, DefaultStreamCreationTimeout)
const PAIR_LIMIT: Duration = Duration::from_secs(30);
/// How long a client may go on sending to a port that has closed. (containerd 2.1:
/// internal/cri/server/sandbox_portforward_linux.go)
const CLOSING_LIMIT: Duration = Duration::from_secs(1);
/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// Pieces of at most [`READ_BYTES`] that wait for a port to take them.
const PIECES_MAX: usize = 16;

/// Answers a request for the ports of a Pod that is bound to `node`.
///
/// # Errors
/// 400 for a request that asks for no upgrade.
pub(super) fn respond(
    call: &Call<'_>,
    kubelets: &Arc<dyn Kubelets>,
    node: &str,
    pod: &Value,
) -> Result<Response<Body>, Box<Status>> {
    let wanted = match negotiation::wanted(call.headers, &call.info.query) {
        Ok(wanted) => wanted,
        Err(Refusal::Status(status)) => return Err(status),
        Err(Refusal::Response(response)) => return Ok(*response),
    };
    let forwarder =
        Forwarder::new(kubelets.clone(), (call.namespace(), &call.info.name, node), pod.clone());
    let clock = call.server.clock().clone();
    Ok(match wanted {
        Wanted::Spdy => {
            upgrade::switch(negotiation::SPDY, negotiation::stream_protocol(), move |connection| {
                session::run(connection, forwarder, clock)
            })
        }
        Wanted::Tunnel { accept } => {
            let protocol = (SEC_WEBSOCKET_PROTOCOL, negotiation::TUNNEL_PROTOCOL);
            upgrade::switch(negotiation::WEBSOCKET, [accept, protocol], move |connection| async {
                session::run(tunnel::Tunnel::new(connection).await, forwarder, clock).await;
            })
        }
        Wanted::Channels { accept, protocol, ports } => {
            let headers = [Some(accept), protocol.header()].into_iter().flatten();
            upgrade::switch(negotiation::WEBSOCKET, headers, move |connection| {
                channels::run(connection, protocol, ports, forwarder, clock)
            })
        }
    })
}
