//! Connections to one webhook, kept for the next call.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::answer::Answer;
use super::tls;

/// Idle connections that are kept to one peer.
const IDLE_MAX: usize = 4;

/// Whom to connect to, and how its certificate must look: connections to equal peers are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Name or address.
    pub(super) host: String,
    pub(super) port: u16,
    /// Names of which the certificate must have one; the first is sent along.
    pub(super) names: Vec<String>,
    /// PEM; empty for the system's roots.
    pub(super) ca_bundle: Arc<[u8]>,
}

/// A POST of JSON.
pub(super) struct Request {
    pub(super) authority: String,
    pub(super) path_and_query: String,
    pub(super) agent: &'static str,
    pub(super) body: Bytes,
}

type Sender = SendRequest<Full<Bytes>>;

/// The connections to one peer.
pub(super) struct Pool {
    host: String,
    port: u16,
    server_name: ServerName<'static>,
    tls: Arc<ClientConfig>,
    /// Connections that wait for a request. Taken and put back by calls; their tasks end with
    /// the peer's closing or with the pool.
    idle: Mutex<Vec<Sender>>,
}

impl Pool {
    pub(super) fn new(peer: &Peer) -> Result<Self, String> {
        let name = peer.names.first().cloned().unwrap_or_default();
        let server_name =
            ServerName::try_from(name).map_err(|error| format!("invalid server name: {error}"))?;
        Ok(Self {
            host: peer.host.clone(),
            port: peer.port,
            server_name,
            tls: tls::configure(&peer.ca_bundle, &peer.names)?,
            idle: Mutex::default(),
        })
    }

    /// Sends a request and reads the answer. The caller sets the time limit by dropping the
    /// future.
    ///
    /// # Errors
    /// Why there is no answer, in Go's words.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        response_max: usize,
    ) -> Result<Answer, String> {
        loop {
            let idle = self.idle.lock().pop();
            let reused = idle.is_some();
            let mut sender = match idle {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            if sender.ready().await.is_err() && reused {
                continue;
            }
            match sender.send_request(request.build()?).await {
                Ok(response) => {
                    let answer = read(response, response_max).await?;
                    self.keep(sender);
                    return Ok(answer);
                }
                // The peer closed the idle connection; the next one may be a new one.
                Err(error) if reused && is_stale(&error) => {}
                Err(error) if error.is_incomplete_message() => return Err("EOF".to_owned()),
                Err(error) => return Err(root_cause(&error)),
            }
        }
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock();
        idle.retain(|kept| !kept.is_closed());
        if !sender.is_closed() && idle.len() < IDLE_MAX {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> Result<Sender, String> {
        let stream = dial(&self.host, self.port).await?;
        let _ = stream.set_nodelay(true);
        let stream = TlsConnector::from(self.tls.clone())
            .connect(self.server_name.clone(), stream)
            .await
            .map_err(|error| tls::handshake_error(&error))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| root_cause(&error))?;
        // The task ends when the sender is dropped or the peer closes: nobody has to join it.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a webhook broke");
            }
        });
        Ok(sender)
    }
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port))
        .await
        .map(Iterator::collect)
        .map_err(|_| format!("dial tcp: lookup {host}: no such host"))?;
    let mut failure = format!("dial tcp: lookup {host}: no such host");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = format!("dial tcp {address}: connect: {}", reason(&error)),
        }
    }
    Err(failure)
}

/// What Go calls an error of the operating system.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        std::io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        _ => error.to_string(),
    }
}

impl Request {
    fn build(&self) -> Result<http::Request<Full<Bytes>>, String> {
        http::Request::post(&self.path_and_query)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, */*")
            .header(USER_AGENT, self.agent)
            .body(Full::new(self.body.clone()))
            .map_err(|error| error.to_string())
    }
}

async fn read(response: http::Response<Incoming>, response_max: usize) -> Result<Answer, String> {
    let (parts, body) = response.into_parts();
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_text = content_type.is_some_and(|media| media.starts_with("text/"));
    let body = Limited::new(body, response_max).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return format!("the response is larger than {response_max} bytes");
        }
        let cause = "unexpected EOF";
        format!(
            "unexpected error when reading response body. Please retry. Original error: {cause}"
        )
    })?;
    let content_type = content_type.unwrap_or_default().to_owned();
    Ok(Answer { code: parts.status.as_u16(), is_text, content_type, body: body.to_bytes() })
}

/// Whether a request on a used connection failed because the peer had closed it.
fn is_stale(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || error.is_incomplete_message()
}

fn root_cause(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<std::io::Error>() {
        Some(error) => reason(error),
        None => cause.to_string(),
    }
}
