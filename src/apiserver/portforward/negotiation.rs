//! What a client wants to speak, read from its request.

use axum::body::Body;
use http::header::{
    CONTENT_TYPE, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::apiserver::upgrade;
use crate::machinery::status::Status;

/// Values of `Upgrade`.
pub(super) const SPDY: &str = "SPDY/3.1";
pub(super) const WEBSOCKET: &str = "websocket";

/// The only protocol that streams within SPDY have.
const PORT_FORWARD: &str = "portforward.k8s.io";
/// What stands before it where SPDY itself goes through WebSocket messages.
const TUNNEL_PREFIX: &str = "SPDY/3.1+";
pub(super) const TUNNEL_PROTOCOL: HeaderValue =
    HeaderValue::from_static("SPDY/3.1+portforward.k8s.io");

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_PROTOCOLS: HeaderName =
    HeaderName::from_static("x-accepted-stream-protocol-versions");

/// Ports of one request over channels, of which there are two for each port and 255 in all.
const PORTS_MAX: usize = 127;

type Header = (HeaderName, HeaderValue);

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// SPDY on the connection itself.
    Spdy,
    /// SPDY in WebSocket messages.
    Tunnel {
        /// The WebSocket handshake's answer.
        accept: Header,
    },
    /// Ports named in the request, each with two WebSocket channels.
    Channels {
        /// The WebSocket handshake's answer.
        accept: Header,
        /// How messages are written.
        protocol: ChannelProtocol,
        /// The ports.
        ports: Vec<u16>,
    },
}

/// How messages of channels are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelProtocol {
    /// As bytes; the client named no protocol.
    Unnamed,
    /// As bytes.
    Binary,
    /// As bytes, under the name that SPDY has.
    PortForward,
    /// As text.
    Base64,
}

impl ChannelProtocol {
    /// The header that tells the client.
    pub(super) fn header(self) -> Option<Header> {
        let name = match self {
            Self::Unnamed => return None,
            Self::Binary => "v4.channel.k8s.io",
            Self::PortForward => PORT_FORWARD,
            Self::Base64 => "v4.base64.channel.k8s.io",
        };
        Some((SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name)))
    }

    fn named(name: &str) -> Option<Self> {
        let known = [Self::Binary, Self::PortForward, Self::Base64];
        known.into_iter().find(|it| it.header().is_some_and(|(_, value)| value == name))
    }
}

/// Why a request is not upgraded.
#[derive(Debug)]
pub(super) enum Refusal {
    /// kube-apiserver's own answer.
    Status(Box<Status>),
    /// What it passes on from the kubelet.
    Response(Box<Response<Body>>),
}

/// Reads a request. `query` are its decoded parameters.
pub(super) fn wanted(headers: &HeaderMap, query: &[(String, String)]) -> Result<Wanted, Refusal> {
    if !upgrade::is_wanted(headers) {
        return Err(Refusal::Status(Status::bad_request("Upgrade request required")));
    }
    let protocol = headers.get(UPGRADE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if protocol.eq_ignore_ascii_case(WEBSOCKET) {
        return websocket(headers, query);
    }
    let offered: Vec<&str> = listed(headers, &STREAM_PROTOCOL).collect();
    check_stream_protocol(&offered)?;
    if !protocol.to_lowercase().contains("spdy/3.1") {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "unable to upgrade: missing upgrade headers in request",
        ));
    }
    Ok(Wanted::Spdy)
}

/// The header of an answer that names the protocol of the streams.
pub(super) fn stream_protocol() -> [Header; 1] {
    [(STREAM_PROTOCOL, HeaderValue::from_static(PORT_FORWARD))]
}

fn websocket(headers: &HeaderMap, query: &[(String, String)]) -> Result<Wanted, Refusal> {
    let offered: Vec<&str> = listed(headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    let tunnelled: Vec<&str> = offered
        .iter()
        .filter_map(|it| it.strip_prefix(TUNNEL_PREFIX))
        .filter(|it| it.ends_with(".k8s.io"))
        .collect();
    if !tunnelled.is_empty() {
        check_stream_protocol(&tunnelled)?;
        return Ok(Wanted::Tunnel { accept: accept(headers)? });
    }
    let ports = ports(query).map_err(|message| refuse(StatusCode::BAD_REQUEST, &message))?;
    let protocol = match offered[..] {
        [] => Some(ChannelProtocol::Unnamed),
        _ => offered.iter().find_map(|name| ChannelProtocol::named(name)),
    };
    let Some(protocol) = protocol else { return Err(refuse(StatusCode::FORBIDDEN, "")) };
    Ok(Wanted::Channels { accept: accept(headers)?, protocol, ports })
}

/// (kubernetes 1.36: streaming/pkg/httpstream/httpstream.go, Handshake)
fn check_stream_protocol(offered: &[&str]) -> Result<(), Refusal> {
    if offered.contains(&PORT_FORWARD) {
        return Ok(());
    }
    if offered.is_empty() {
        let message = "unable to upgrade: X-Stream-Protocol-Version is required";
        return Err(refuse(StatusCode::BAD_REQUEST, message));
    }
    let message = format!(
        "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts \
         [{PORT_FORWARD}]",
        offered.join(" ")
    );
    let mut refusal = refuse(StatusCode::FORBIDDEN, &message);
    if let Refusal::Response(response) = &mut refusal {
        let accepted = HeaderValue::from_static(PORT_FORWARD);
        response.headers_mut().insert(ACCEPTED_PROTOCOLS, accepted);
    }
    Err(refusal)
}

/// The server's half of the WebSocket handshake. (RFC 6455, 4.2)
fn accept(headers: &HeaderMap) -> Result<Header, Refusal> {
    let bad = |why| refuse(StatusCode::BAD_REQUEST, why);
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(bad(
            "websocket: unsupported version: 13 not found in 'Sec-Websocket-Version' header",
        ));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| {
        bad("websocket: not a websocket handshake: 'Sec-WebSocket-Key' header is missing or blank")
    })?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    Ok((SEC_WEBSOCKET_ACCEPT, accept.map_err(|_| bad("websocket: unusable key"))?))
}

/// The ports that a query names. (kubernetes 1.36: kubelet/pkg/cri/streaming/portforward/
/// websocket.go, NewV4Options; kube-apiserver passes `ports` on as `port`)
fn ports(query: &[(String, String)]) -> Result<Vec<u16>, String> {
    let named = query.iter().filter(|(name, _)| name == "ports");
    let mut ports = Vec::new();
    for (_, list) in named {
        if list.is_empty() {
            return Err("query parameter \"port\" cannot be empty".to_owned());
        }
        for port in list.split(',') {
            ports.push(port_of(port)?);
        }
    }
    match ports.len() {
        0 => Err("query parameter \"port\" is required".to_owned()),
        1..=PORTS_MAX => Ok(ports),
        _ => Err(format!("at most {PORTS_MAX} ports can be forwarded at once")),
    }
}

/// Reads the number of a port.
pub(super) fn port_of(text: &str) -> Result<u16, String> {
    let why = match text.parse() {
        Ok(0) => return Err(format!("port {text:?} must be > 0")),
        Ok(port) if text.bytes().all(|byte| byte.is_ascii_digit()) => return Ok(port),
        _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            "value out of range"
        }
        _ => "invalid syntax",
    };
    Err(format!("unable to parse {text:?} as a port: strconv.ParseUint: parsing {text:?}: {why}"))
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    values(headers, name).flat_map(|it| it.split(',')).map(str::trim).filter(|it| !it.is_empty())
}

/// Plain text, as Go's `http.Error` writes it.
fn refuse(code: StatusCode, message: &str) -> Refusal {
    let text = if message.is_empty() { String::new() } else { format!("{message}\n") };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Refusal::Response(Box::new(response))
}
