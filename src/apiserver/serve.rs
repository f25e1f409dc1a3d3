//! Serves an API server on a TCP port: TLS with optional client certificates, HTTP/1.1 and HTTP/2.
//!
//! An idle port costs one small task and its listener: the TLS configuration is made when the
//! first hello arrives, there is no session store and no ticket. Connections are tasks of their
//! own, counted, bounded and joined at the end.

mod activity;
mod connection;
pub mod in_process;
mod paced;
mod patient_body;
mod refusal;
mod reserve;
#[cfg(test)]
mod tests;
mod tls;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ApiServer;
use crate::clock::Clock;

/// Connections that one port serves at once; more are reset.
const CONNECTIONS_MAX: usize = 4096;
/// How long connections may go on with their requests after the stop.
const GRACE: Duration = Duration::from_millis(500);
/// Pause after a failed accept: the process is out of descriptors, and only time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one side of a connection in memory may send before the other reads.
const IN_MEMORY_BYTES: usize = 64 * 1024;

/// Pauses between two warnings about failed accepts.
const ACCEPT_WARNING_PAUSE: Duration = Duration::from_secs(1);

/// How long clients may keep a port waiting. (kubernetes 1.36: apiserver/pkg/server/
/// secure_serving.go, ReadHeaderTimeout and IdleTimeout; kube-apiserver waits for ever where a body
/// does not go on or a client takes nothing)
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// First byte to last byte of the TLS handshake.
    handshake: Duration,
    /// For the rest of a request's head.
    head: Duration,
    /// For the next request on an idle connection.
    idle: Duration,
    /// Between two parts of a request's body.
    body: Duration,
    /// For taking some bytes of an answer.
    stall: Duration,
}

const PATIENCE: Patience = Patience {
    handshake: Duration::from_secs(10),
    head: Duration::from_secs(32),
    idle: Duration::from_secs(90),
    body: Duration::from_secs(30),
    stall: Duration::from_secs(60),
};

/// TLS material of a port; made when the first hello arrives.
pub struct TlsMaterial {
    /// Serving certificate chain, PEM.
    pub certificate_pem: String,
    /// Serving key, PEM.
    pub key_pem: String,
    /// CA that client certificates must chain to, PEM.
    pub client_ca_pem: String,
}

/// What a port serves.
#[derive(Clone)]
pub struct Endpoint {
    /// The API.
    pub server: ApiServer,
    /// Makes the TLS material, once, at the first hello; an error closes that connection only.
    pub tls: Arc<dyn Fn() -> Result<TlsMaterial, String> + Send + Sync>,
    /// While false, connections are reset at once, as if nothing listened.
    pub open: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Answers one request.
type Handler =
    dyn Fn(Request<Body>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> + Send + Sync;

/// What the connections of one port share.
struct Port {
    handler: Box<Handler>,
    tls: tls::LazyConfig,
    open: Arc<dyn Fn() -> bool + Send + Sync>,
    clock: Clock,
    patience: Patience,
    connections: TaskTracker,
    /// How many of them came by TCP; written by `Connected`, for ports that somebody watches.
    clients: OnceLock<watch::Sender<usize>>,
    /// Cancelled when connections shall end with the request in hand.
    stopping: CancellationToken,
    /// Cancelled when connections shall end at once.
    stopped: CancellationToken,
    /// Cancelled and replaced by `cut`; every connection takes the one that it finds.
    cut: Mutex<CancellationToken>,
}

/// A port with all its connections, whether they arrive by TCP or are made in memory. Cheap to
/// clone; all clones are one.
#[derive(Clone)]
pub struct Gate(Arc<Port>);

impl Gate {
    /// A port without connections.
    pub fn new(endpoint: Endpoint) -> Self {
        let clock = endpoint.server.clock().clone();
        let server = endpoint.server;
        let handler = Box::new(move |request| -> Pin<Box<dyn Future<Output = _> + Send>> {
            let server = server.clone();
            Box::pin(async move { server.handle(request).await })
        });
        Self(Arc::new(Port {
            handler,
            tls: tls::LazyConfig::new(endpoint.tls),
            open: endpoint.open,
            clock,
            patience: PATIENCE,
            connections: TaskTracker::new(),
            clients: OnceLock::new(),
            stopping: CancellationToken::new(),
            stopped: CancellationToken::new(),
            cut: Mutex::default(),
        }))
    }

    /// Ends the connections that there are, as when the process behind a port dies. New ones are
    /// made as `Endpoint::open` says, which has to say so before.
    pub fn cut(&self) {
        std::mem::take(&mut *self.0.cut.lock()).cancel();
    }

    /// Connects in memory; TLS is spoken as over TCP. `None` where a connection would be refused.
    /// Call inside a tokio runtime.
    pub fn connect(&self) -> Option<DuplexStream> {
        let Self(port) = self;
        let cut = port.cut.lock().clone();
        if !port.accepts() || port.stopping.is_cancelled() {
            return None;
        }
        let (near, far) = tokio::io::duplex(IN_MEMORY_BYTES);
        port.connections.spawn(connection::run_in_memory(far, port.clone(), cut));
        Some(near)
    }

    /// How many clients are connected by TCP. Connections that were accepted before the first call
    /// are not counted.
    pub fn clients(&self) -> watch::Receiver<usize> {
        self.0.clients.get_or_init(|| watch::Sender::new(0)).subscribe()
    }

    /// Accepts connections until `stop` is cancelled, then closes all within a second and gives
    /// the port back.
    pub fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        run(listener, self.0, stop)
    }
}

/// Accepts connections until `stop` is cancelled, then closes them within a second and gives the
/// port back.
pub fn serve(
    listener: TcpListener,
    endpoint: Endpoint,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    Gate::new(endpoint).serve(listener, stop)
}

impl Port {
    fn accepts(&self) -> bool {
        (self.open)() && self.connections.len() < CONNECTIONS_MAX
    }

    /// Refuses a client if descriptors ran out, and lets time pass. Warns now and then.
    async fn accept_failed(
        &self,
        listener: &TcpListener,
        error: io::Error,
        warned: &mut Option<Duration>,
    ) {
        reserve::refuse_one(listener, &error).await;
        let now = self.clock.elapsed();
        if warned.is_none_or(|then| now - then >= ACCEPT_WARNING_PAUSE) {
            tracing::warn!(%error, "failed to accept a connection");
            *warned = Some(now);
        }
        self.clock.sleep(ACCEPT_PAUSE).await;
    }

    /// Closes all connections, within a second.
    async fn close(&self) {
        self.stopping.cancel();
        self.connections.close();
        if self.clock.timeout(GRACE, self.connections.wait()).await.is_err() {
            self.stopped.cancel();
            self.connections.wait().await;
        }
    }
}

/// Counts a client for as long as it lives.
struct Connected(Option<watch::Sender<usize>>);

impl Connected {
    fn to(port: &Port) -> Self {
        let clients = port.clients.get().cloned();
        if let Some(clients) = &clients {
            clients.send_modify(|count| *count += 1);
        }
        Self(clients)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(clients) = &self.0 {
            clients.send_modify(|count| *count -= 1);
        }
    }
}

/// What happens seldom is boxed: a process has thousands of ports that wait here.
async fn run(listener: TcpListener, port: Arc<Port>, stop: CancellationToken) {
    reserve::keep();
    let mut warned: Option<Duration> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        // Taken before the port is asked whether it is open, so that none slips through.
        let cut = port.cut.lock().clone();
        match accepted {
            Ok((stream, _)) if !port.accepts() => reset(stream),
            Ok((stream, _)) => {
                let connected = Connected::to(&port);
                let served = connection::run(stream, port.clone(), cut);
                port.connections.spawn(async move {
                    served.await;
                    drop(connected);
                });
            }
            Err(error) => Box::pin(port.accept_failed(&listener, error, &mut warned)).await,
        }
    }
    drop(listener);
    Box::pin(port.close()).await;
}

/// Closes a connection with RST, as a port without a listener does.
fn reset(stream: TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "failed to reset a connection; it is closed instead");
    }
}
