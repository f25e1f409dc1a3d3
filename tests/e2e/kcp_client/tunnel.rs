//! Port forwarding as KubeadmControlPlane's dialer does it. (CAPI v1.14:
//! controlplane/kubeadm/pkg/proxy/dial.go)

use bytes::{Bytes, BytesMut};
use capim::machinery::spdy::{Decoder, Encoder, Frame, Headers};
use futures::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::rest::{Credentials, TIMEOUT, USER_AGENT};

/// How a tunnel is dug.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// What is tried first.
    WebSocket,
    /// What is tried when that is refused.
    Spdy,
}

/// Bytes of the pipes between the layers.
const PIPE: usize = 64 * 1024;

/// Connects to a port of a Pod.
pub async fn dial(credentials: &Credentials, way: Way, pod: &str, port: u16) -> DuplexStream {
    let dialled = async {
        match way {
            Way::WebSocket => {
                let socket = websocket(credentials, pod).await;
                open(unpack(socket), port).await
            }
            Way::Spdy => open(spdy(credentials, pod).await, port).await,
        }
    };
    tokio::time::timeout(TIMEOUT, dialled).await.expect("a connection in time")
}

async fn upgrade(
    credentials: &Credentials,
    method: &str,
    pod: &str,
    headers: &[(&str, &str)],
) -> Response<Incoming> {
    let stream = TokioIo::new(credentials.dial("http/1.1").await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/v1/namespaces/kube-system/pods/{pod}/portforward?timeout=10s"))
        .header("host", credentials.authority())
        .header("user-agent", USER_AGENT);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
}

fn header<'a>(response: &'a Response<Incoming>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn websocket(credentials: &Credentials, pod: &str) -> WebSocketStream<TokioIo<Upgraded>> {
    let headers = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "SPDY/3.1+portforward.k8s.io"),
    ];
    let response = upgrade(credentials, "GET", pod, &headers).await;
    assert_eq!(response.status(), 101);
    assert_eq!(header(&response, "sec-websocket-protocol"), "SPDY/3.1+portforward.k8s.io");
    let upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await
}

async fn spdy(credentials: &Credentials, pod: &str) -> TokioIo<Upgraded> {
    let headers = [
        ("connection", "Upgrade"),
        ("upgrade", "SPDY/3.1"),
        ("x-stream-protocol-version", "portforward.k8s.io"),
    ];
    let response = upgrade(credentials, "POST", pod, &headers).await;
    assert_eq!(response.status(), 101);
    assert_eq!(header(&response, "x-stream-protocol-version"), "portforward.k8s.io");
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

/// The bytes in a WebSocket's messages.
fn unpack(socket: WebSocketStream<TokioIo<Upgraded>>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(PIPE);
    let (mut sink, mut messages) = socket.split();
    let (mut from, mut to) = tokio::io::split(far);
    tokio::spawn(async move {
        let mut buffer = BytesMut::new();
        while from.read_buf(&mut buffer).await.is_ok_and(|length| length > 0) {
            if sink.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    });
    tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            match message {
                Message::Binary(bytes) => {
                    if to.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(_) => return,
                message => panic!("{message:?}"),
            }
        }
    });
    near
}

/// Opens the error stream, which is closed at once, and then the data stream.
async fn open<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    io: S,
    port: u16,
) -> DuplexStream {
    let (mut reader, mut writer) = tokio::io::split(io);
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    for (stream, kind) in [(1, "error"), (3, "data")] {
        let headers = Headers::default()
            .with("port", &port.to_string())
            .with("requestID", "0")
            .with("streamType", kind);
        let opening = Frame::SynStream { stream, fin: false, unidirectional: false, headers };
        encoder.put(&opening, &mut output);
        writer.write_all_buf(&mut output).await.unwrap();
        // client-go waits for the answer before it goes on.
        let reply = next(&mut decoder, &mut input, &mut reader).await;
        let expected = Frame::SynReply { stream, fin: false, headers: Headers::default() };
        assert_eq!(reply, Some(expected));
        if kind == "error" {
            let end = Frame::Data { stream, fin: true, data: Bytes::new() };
            encoder.put(&end, &mut output);
        }
    }
    encoder.put(&Frame::Ping { id: 1 }, &mut output);
    let (near, far) = tokio::io::duplex(PIPE);
    let (mut from, mut to) = tokio::io::split(far);
    tokio::spawn(async move {
        let mut buffer = BytesMut::new();
        loop {
            if writer.write_all_buf(&mut output).await.is_err() || writer.flush().await.is_err() {
                return;
            }
            let length = from.read_buf(&mut buffer).await.unwrap_or(0);
            let data = buffer.split().freeze();
            encoder.put(&Frame::Data { stream: 3, fin: length == 0, data }, &mut output);
            if length == 0 {
                let _ = writer.write_all_buf(&mut output).await;
                let _ = writer.flush().await;
                return;
            }
        }
    });
    tokio::spawn(async move {
        let mut is_alive = false;
        while let Some(frame) = next(&mut decoder, &mut input, &mut reader).await {
            match frame {
                Frame::Data { stream: 3, fin, data } => {
                    if to.write_all(&data).await.is_err() {
                        return;
                    }
                    if fin {
                        assert!(is_alive, "the ping was not answered");
                        let _ = to.shutdown().await;
                    }
                }
                Frame::Data { stream: 1, data, .. } => {
                    assert!(data.is_empty(), "{}", String::from_utf8_lossy(&data));
                }
                Frame::Ping { id: 1 } => is_alive = true,
                Frame::WindowUpdate { .. } => {}
                frame => panic!("{frame:?}"),
            }
        }
    });
    near
}

async fn next(
    decoder: &mut Decoder,
    input: &mut BytesMut,
    reader: &mut (impl AsyncRead + Unpin),
) -> Option<Frame> {
    loop {
        if let Some(frame) = decoder.decode(input).unwrap() {
            return Some(frame);
        }
        if reader.read_buf(input).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
