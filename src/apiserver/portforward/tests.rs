//! Port forwarding as clients see it, in memory and on the virtual clock.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::IDLE_LIMIT;
use crate::apiserver::kubelets::{Kubelets, LogRequest, PodOnNode, connection_refused};
use crate::apiserver::serve::in_process;
use crate::apiserver::upgrade::Connection;
use crate::apiserver::{ApiServer, Identity, Options, Profile};
use crate::clock::Clock;
use crate::machinery::builtin;
use crate::machinery::spdy::{
    Decoder, Encoder, Frame, GoAwayStatus, Headers, INITIAL_WINDOW, ResetStatus,
};
use crate::machinery::status::Status;

const PATH: &str = "/api/v1/namespaces/default/pods/p/portforward";
/// Ports of the Pod.
const ECHO: u16 = 7;
/// Says `bye` and closes.
const BYE: u16 = 9;
/// Reads until the end and then says how many bytes there were.
const COUNT: u16 = 10;
/// Never reads.
const DEAF: u16 = 11;
/// Writes for ever.
const LOUD: u16 = 19;

struct Ports;

impl Kubelets for Ports {
    fn connect(&self, pod: PodOnNode<'_>, port: u16) -> Result<DuplexStream, String> {
        assert_eq!((pod.namespace, pod.name, pod.node), ("default", "p", "n"));
        let (near, mut far) = tokio::io::duplex(4096);
        match port {
            ECHO => tokio::spawn(async move {
                let (mut from, mut to) = tokio::io::split(far);
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            }),
            BYE => tokio::spawn(async move { far.write_all(b"bye").await.unwrap() }),
            COUNT => tokio::spawn(async move {
                let mut all = Vec::new();
                far.read_to_end(&mut all).await.unwrap();
                let _ = far.write_all(all.len().to_string().as_bytes()).await;
            }),
            DEAF => tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(far);
            }),
            LOUD => {
                tokio::spawn(async move { while far.write_all(&[b'x'; 1024]).await.is_ok() {} })
            }
            _ => return Err(connection_refused(pod, port)),
        };
        Ok(near)
    }

    fn log(&self, _: PodOnNode<'_>, _: &LogRequest) -> Result<Body, Box<Status>> {
        Ok(Body::from("log\n"))
    }
}

async fn server() -> ApiServer {
    let clock = Clock::virtual_from("2026-01-02T03:04:05Z".parse().unwrap());
    let options = Options { kubelets: Some(Arc::new(Ports)), ..Options::new(clock) };
    let server = ApiServer::new(&Profile::new(builtin::definitions()), options);
    post(&server, "/api/v1/namespaces", json!({"metadata": {"name": "default"}})).await;
    for (name, node) in [("p", json!({"nodeName": "n"})), ("nowhere", json!({}))] {
        let mut spec = json!({"containers": [{"name": "c", "image": "i"}]});
        spec.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
        let pod = json!({"metadata": {"name": name}, "spec": spec});
        post(&server, "/api/v1/namespaces/default/pods", pod).await;
    }
    server
}

async fn post(server: &ApiServer, path: &str, body: Value) {
    let mut request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    request.extensions_mut().insert(Identity::administrator("admin"));
    let response = server.handle(request).await;
    assert!(response.status().is_success(), "{path}: {}", response.status());
}

/// Sends a request with headers over a connection in memory.
async fn send(
    server: &ApiServer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Identity::administrator("admin"));
    in_process::upgrade(server, request).await
}

const SPDY: [(&str, &str); 3] = [
    ("connection", "Upgrade"),
    ("upgrade", "SPDY/3.1"),
    ("x-stream-protocol-version", "portforward.k8s.io"),
];
const WEBSOCKET: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn connection(response: Response<Body>) -> Connection {
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    Connection::new(hyper::upgrade::on(response).await.unwrap())
}

/// A client of SPDY that keeps to nothing but the frames.
struct Client<S> {
    io: S,
    encoder: Encoder,
    decoder: Decoder,
    input: BytesMut,
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Client<S> {
    fn new(io: S) -> Self {
        let (encoder, decoder) = (Encoder::default(), Decoder::default());
        Self { io, encoder, decoder, input: BytesMut::new() }
    }

    async fn send(&mut self, frames: &[Frame]) {
        let mut bytes = BytesMut::new();
        for frame in frames {
            self.encoder.put(frame, &mut bytes);
        }
        self.io.write_all(&bytes).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.input).unwrap() {
                return Some(frame);
            }
            match self.io.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame that is not about windows.
    async fn answer(&mut self) -> Frame {
        loop {
            match self.next().await.expect("the connection goes on") {
                Frame::WindowUpdate { .. } => {}
                frame => return frame,
            }
        }
    }

    /// Opens an error stream and a data stream and takes the answers.
    async fn open(&mut self, error: u32, request: &str, port: u16) {
        self.send(&[
            open(error, "error", request, port),
            data(error, true, b""),
            open(error + 2, "data", request, port),
        ])
        .await;
        for stream in [error, error + 2] {
            assert_eq!(self.answer().await, reply(stream));
        }
    }

    /// Takes these bytes of a stream, in as many pieces as they come in.
    async fn expect(&mut self, stream: u32, fin: bool, mut bytes: &[u8]) {
        loop {
            let Frame::Data { stream: from, fin: ends, data } = self.answer().await else {
                panic!("no data");
            };
            assert_eq!(from, stream);
            assert!(bytes.starts_with(&data), "{data:?}");
            bytes = &bytes[data.len()..];
            if bytes.is_empty() {
                return assert_eq!(ends, fin);
            }
        }
    }

    /// All bytes of two streams until both have ended.
    async fn read_both(&mut self, first: u32, second: u32) -> [Vec<u8>; 2] {
        let mut read = [Vec::new(), Vec::new()];
        let mut ended = [false; 2];
        while ended != [true; 2] {
            let Frame::Data { stream, fin, data } = self.answer().await else { continue };
            let at = [first, second].iter().position(|it| *it == stream).unwrap();
            read[at].extend_from_slice(&data);
            ended[at] |= fin;
        }
        read
    }
}

fn open(stream: u32, kind: &str, request: &str, port: u16) -> Frame {
    let mut headers = Headers::default().with("streamType", kind).with("port", &port.to_string());
    if !request.is_empty() {
        headers = headers.with("requestID", request);
    }
    Frame::SynStream { stream, fin: false, unidirectional: false, headers }
}

fn data(stream: u32, fin: bool, bytes: &'static [u8]) -> Frame {
    Frame::Data { stream, fin, data: Bytes::from_static(bytes) }
}

fn reply(stream: u32) -> Frame {
    Frame::SynReply { stream, fin: false, headers: Headers::default() }
}

async fn spdy(server: &ApiServer) -> Client<Connection> {
    Client::new(connection(send(server, "POST", PATH, &SPDY).await).await)
}

fn sandbox() -> impl Fn(&str) -> bool {
    |text| {
        let id = text.split_once("to pod ").unwrap().1.split_once(", uid : ").unwrap().0;
        id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_go_both_ways_over_spdy() {
    let server = server().await;
    let response = send(&server, "POST", PATH, &SPDY).await;
    assert_eq!(header(&response, "upgrade"), "SPDY/3.1");
    assert_eq!(header(&response, "connection"), "Upgrade");
    assert_eq!(header(&response, "x-stream-protocol-version"), "portforward.k8s.io");
    let mut client = Client::new(connection(response).await);
    client.open(1, "0", ECHO).await;
    client.send(&[data(3, false, b"hello")]).await;
    client.expect(3, false, b"hello").await;
    // The client's end is the port's end, whose own end comes back.
    client.send(&[data(3, true, b"!")]).await;
    let [error, echo] = client.read_both(1, 3).await;
    assert_eq!((&*error, &*echo), (&b""[..], &b"!"[..]));
    // The connection goes on.
    client.send(&[Frame::Ping { id: 5 }, Frame::Ping { id: 6 }]).await;
    assert_eq!(client.answer().await, Frame::Ping { id: 5 });
    client.open(5, "0", BYE).await;
    let [error, bye] = client.read_both(5, 7).await;
    assert_eq!((&*error, &*bye), (&b""[..], &b"bye"[..]));
    let goodbye = Frame::GoAway { last_stream: 0, status: GoAwayStatus::OK };
    client.send(&[goodbye]).await;
    assert_eq!(client.next().await, None, "nothing is open, so the server goes too");
}

#[tokio::test(start_paused = true)]
async fn an_end_leaves_the_other_direction_open() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.open(1, "0", COUNT).await;
    client.send(&[data(3, false, b"four"), data(3, true, b"")]).await;
    let [error, count] = client.read_both(1, 3).await;
    assert_eq!((&*error, &*count), (&b""[..], &b"4"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_port_without_listener_is_an_error_of_its_stream() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.open(1, "0", 99).await;
    let [error, bytes] = client.read_both(1, 3).await;
    let error = String::from_utf8(error).unwrap();
    assert!(error.starts_with("error forwarding port 99 to pod "), "{error}");
    assert!(error.contains("dial tcp4 127.0.0.1:99: connect: connection refused"), "{error}");
    assert!(sandbox()(&error), "{error}");
    assert_eq!(bytes, b"");
    client.open(5, "1", ECHO).await;
}

#[tokio::test(start_paused = true)]
async fn many_streams_run_at_once_in_any_order() {
    let server = server().await;
    let mut client = spdy(&server).await;
    // Data before error, several pairs between each other.
    let ids: Vec<u32> = (0..100).map(|at| at * 4 + 1).collect();
    for id in &ids {
        client.send(&[open(*id, "data", &id.to_string(), ECHO)]).await;
        assert_eq!(client.answer().await, reply(*id));
        // Sent before the pair is complete.
        client.send(&[data(*id, false, b"early ")]).await;
    }
    for (id, at) in ids.iter().zip(0_u32..) {
        let error = 401 + at * 2;
        client.send(&[open(error, "error", &id.to_string(), ECHO)]).await;
        assert_eq!(client.answer().await, reply(error));
        let late = data(*id, true, b"late");
        client.send(&[late]).await;
        let [errors, echo] = client.read_both(error, *id).await;
        assert_eq!((&*errors, &*echo), (&b""[..], &b"early late"[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn clients_without_request_ids_open_the_error_stream_first() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.open(1, "", BYE).await;
    assert_eq!(client.read_both(1, 3).await, [b"".to_vec(), b"bye".to_vec()]);
}

#[tokio::test(start_paused = true)]
async fn the_second_stream_of_a_pair_comes_within_30_seconds() {
    let server = server().await;
    let mut client = spdy(&server).await;
    let began = server.clock().elapsed();
    client.send(&[open(1, "error", "a", ECHO), open(3, "data", "b", ECHO)]).await;
    for stream in [1, 3] {
        assert_eq!(client.answer().await, reply(stream));
    }
    let message = b"(request=a) timed out waiting for streams";
    client.expect(1, true, message).await;
    assert_eq!(client.answer().await, Frame::Reset { stream: 3, status: ResetStatus::CANCEL });
    assert_eq!((server.clock().elapsed() - began).as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_there_already_is_an_error_of_its_pair() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.send(&[open(1, "error", "a", ECHO), open(3, "error", "a", ECHO)]).await;
    for stream in [1, 3] {
        assert_eq!(client.answer().await, reply(stream));
    }
    let message = b"error processing stream for request a: error stream already assigned";
    client.expect(1, false, message).await;
    assert_eq!(client.answer().await, Frame::Reset { stream: 3, status: ResetStatus::CANCEL });
}

#[tokio::test(start_paused = true)]
async fn streams_that_ask_for_nothing_sensible_are_reset() {
    let server = server().await;
    let mut client = spdy(&server).await;
    let named = |kind, port| Headers::default().with("streamType", kind).with("port", port);
    let cases = [
        Headers::default(),
        named("", "7"),
        named("data", ""),
        named("data", "0"),
        named("data", "65536"),
        named("data", "-1"),
        named("stdin", "7"),
    ];
    for (headers, stream) in cases.into_iter().zip((1..).step_by(2)) {
        let frame = Frame::SynStream { stream, fin: false, unidirectional: false, headers };
        client.send(&[frame]).await;
        let reset = Frame::Reset { stream, status: ResetStatus::CANCEL };
        assert_eq!(client.answer().await, reset);
    }
    // Ids that are even, or do not grow.
    for stream in [2, 3] {
        client.send(&[open(stream, "error", "a", ECHO)]).await;
        let reset = Frame::Reset { stream, status: ResetStatus::PROTOCOL_ERROR };
        assert_eq!(client.answer().await, reset);
    }
    client.open(101, "a", ECHO).await;
}

#[tokio::test(start_paused = true)]
async fn half_open_streams_are_bounded() {
    let server = server().await;
    let mut client = spdy(&server).await;
    let mut refused = 0;
    for at in 0..10_000 {
        let stream = at * 2 + 1;
        client.send(&[open(stream, "error", &stream.to_string(), ECHO)]).await;
        match client.answer().await {
            Frame::Reset { status: ResetStatus::REFUSED_STREAM, .. } => refused += 1,
            answer => assert_eq!(answer, reply(stream)),
        }
    }
    assert_eq!(refused, 10_000 - 2048);
    // A stream that goes makes room.
    client.send(&[Frame::Reset { stream: 1, status: ResetStatus::CANCEL }]).await;
    client.send(&[open(20_001, "error", "x", ECHO)]).await;
    assert_eq!(client.answer().await, reply(20_001));
    // Another connection knows nothing of this one's.
    spdy(&server).await.open(1, "0", ECHO).await;
}

#[tokio::test(start_paused = true)]
async fn broken_frames_end_that_connection_alone() {
    let server = server().await;
    let mut other = spdy(&server).await;
    other.open(1, "0", ECHO).await;
    for bytes in [&[0x80, 2, 0, 1, 0, 0, 0, 0][..], &[0xff; 64], &[0x80, 3, 0, 1, 0, 255, 0, 0]] {
        let mut client = spdy(&server).await;
        client.io.write_all(bytes).await.unwrap();
        let goodbye = Frame::GoAway { last_stream: 0, status: GoAwayStatus::PROTOCOL_ERROR };
        assert_eq!(client.answer().await, goodbye);
        assert_eq!(client.next().await, None);
    }
    other.send(&[data(3, false, b"still here")]).await;
    other.expect(3, false, b"still here").await;
}

/// A frame that opens a stream, with this after zlib's head and the dictionary's name.
fn syn_stream(stream: u32, deflated: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 3, 0, 1];
    bytes.extend((deflated.len() as u32 + 10).to_be_bytes());
    bytes.extend(stream.to_be_bytes());
    bytes.extend([0; 6]);
    bytes.extend(deflated);
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_bomb_in_a_header_block_ends_that_connection_alone() {
    let server = server().await;
    let mut other = spdy(&server).await;
    other.open(1, "0", ECHO).await;
    let mut zlib = flate2::Compress::new(flate2::Compression::best(), true);
    let mut bomb = Vec::with_capacity(64 * 1024);
    zlib.compress_vec(&vec![0; 16 << 20], &mut bomb, flate2::FlushCompress::Sync).unwrap();
    assert!(bomb.len() < 32 * 1024, "{} bytes", bomb.len());
    // Cut off in the middle, too.
    for block in [&bomb[..], &bomb[..bomb.len() / 2]] {
        let mut client = spdy(&server).await;
        client.io.write_all(&syn_stream(1, block)).await.unwrap();
        let goodbye = client.answer().await;
        assert!(matches!(goodbye, Frame::GoAway { status: GoAwayStatus::PROTOCOL_ERROR, .. }));
        assert_eq!(client.next().await, None);
    }
    other.send(&[data(3, false, b"still here")]).await;
    other.expect(3, false, b"still here").await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_no_frames_end_that_websocket_alone() {
    let server = server().await;
    let mut other = spdy(&server).await;
    other.open(1, "0", ECHO).await;
    let protocols = ("sec-websocket-protocol", "SPDY/3.1+portforward.k8s.io");
    let headers = [&WEBSOCKET[..], &[protocols]].concat();
    let connection = connection(send(&server, "GET", PATH, &headers).await).await;
    let mut socket = WebSocketStream::from_raw_socket(connection, Role::Client, None).await;
    socket.send(Message::binary(vec![0xff; 64])).await.unwrap();
    let (mut decoder, mut input, mut frames) = (Decoder::default(), BytesMut::new(), Vec::new());
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Binary(part) = message {
            input.extend_from_slice(&part);
        }
        while let Some(frame) = decoder.decode(&mut input).unwrap() {
            frames.push(frame);
        }
    }
    let goodbye = Frame::GoAway { last_stream: 0, status: GoAwayStatus::PROTOCOL_ERROR };
    assert_eq!(frames, [goodbye]);
    other.send(&[data(3, false, b"still here")]).await;
    other.expect(3, false, b"still here").await;
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_connection_to_the_port() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.open(1, "0", LOUD).await;
    client.send(&[Frame::Reset { stream: 3, status: ResetStatus::CANCEL }]).await;
    // What was written before may still come; then the error stream ends, as kubectl waits for.
    loop {
        if let Frame::Data { stream: 1, fin, data } = client.answer().await {
            assert_eq!((fin, data.len()), (true, 0));
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_counts_is_sent_no_more_than_its_window() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.send(&[Frame::Settings { initial_window: Some(10) }]).await;
    client.open(1, "0", LOUD).await;
    let read = async |client: &mut Client<Connection>, wanted: usize| {
        let mut length = 0;
        while length < wanted {
            let Frame::Data { stream: 3, data, .. } = client.answer().await else { continue };
            length += data.len();
        }
        assert_eq!(length, wanted);
    };
    read(&mut client, 10).await;
    client.send(&[Frame::Ping { id: 1 }]).await;
    assert_eq!(client.answer().await, Frame::Ping { id: 1 }, "and nothing before it");
    client.send(&[Frame::WindowUpdate { stream: 3, delta: 5 }]).await;
    read(&mut client, 5).await;
    // Settings change the windows of streams that are open.
    client.send(&[Frame::Settings { initial_window: Some(17) }]).await;
    read(&mut client, 7).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_count_is_sent_what_the_connection_takes() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.open(1, "0", LOUD).await;
    let mut length = 0;
    while length < 3 * INITIAL_WINDOW as usize {
        let Frame::Data { stream: 3, data, .. } = client.answer().await else { continue };
        length += data.len();
    }
}

#[tokio::test(start_paused = true)]
async fn clients_are_asked_for_more() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.open(1, "0", COUNT).await;
    let mut asked = [0_u32; 2];
    for _ in 0..8 {
        let bytes = Bytes::from(vec![0; INITIAL_WINDOW as usize / 2]);
        client.send(&[Frame::Data { stream: 3, fin: false, data: bytes }]).await;
        let mut missing = [true; 2];
        while missing != [false; 2] {
            let Some(Frame::WindowUpdate { stream, delta }) = client.next().await else {
                panic!("no window update");
            };
            let at = usize::from(stream == 3);
            assert!(stream == 0 || stream == 3);
            asked[at] += delta;
            missing[at] = false;
        }
    }
    assert_eq!(asked, [INITIAL_WINDOW * 4; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_takes_nothing_holds_back_its_client_and_costs_little() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.open(1, "0", DEAF).await;
    let piece = Frame::Data { stream: 3, fin: false, data: vec![0; 16 * 1024].into() };
    let flood = async {
        for _ in 0..1024 {
            client.send(std::slice::from_ref(&piece)).await;
        }
    };
    let limit = Duration::from_secs(60);
    assert!(server.clock().timeout(limit, flood).await.is_err(), "16 MiB went somewhere");
    // Other connections do not feel it.
    spdy(&server).await.open(1, "0", ECHO).await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_end_after_four_hours() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.open(1, "0", ECHO).await;
    let began = server.clock().elapsed();
    while client.next().await.is_some() {}
    assert_eq!((server.clock().elapsed() - began).as_secs(), IDLE_LIMIT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn connections_end_with_the_server() {
    let server = server().await;
    let mut client = spdy(&server).await;
    client.open(1, "0", ECHO).await;
    server.shutdown();
    assert_eq!(client.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn spdy_goes_through_websocket_messages() {
    let server = server().await;
    let protocols = ("sec-websocket-protocol", "other, SPDY/3.1+portforward.k8s.io");
    let headers = [&WEBSOCKET[..], &[protocols]].concat();
    let response = send(&server, "GET", PATH, &headers).await;
    assert_eq!(header(&response, "sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(header(&response, "sec-websocket-protocol"), "SPDY/3.1+portforward.k8s.io");
    let connection = connection(response).await;
    let socket = WebSocketStream::from_raw_socket(connection, Role::Client, None).await;
    let (mut sink, mut messages) = socket.split();
    let mut bytes = BytesMut::new();
    let mut encoder = Encoder::default();
    for frame in [open(1, "error", "0", ECHO), open(3, "data", "0", ECHO), data(3, true, b"hi")] {
        encoder.put(&frame, &mut bytes);
    }
    // Messages end where they like; gorilla's clients send a word at a time.
    for part in bytes.chunks(5) {
        sink.send(Message::binary(part.to_vec())).await.unwrap();
    }
    sink.send(Message::Ping(Bytes::new())).await.unwrap();
    let (mut decoder, mut input, mut frames) = (Decoder::default(), BytesMut::new(), Vec::new());
    while frames.last() != Some(&data(1, true, b"")) {
        match messages.next().await.unwrap().unwrap() {
            Message::Binary(part) => input.extend_from_slice(&part),
            Message::Pong(_) => {}
            message => panic!("{message:?}"),
        }
        while let Some(frame) = decoder.decode(&mut input).unwrap() {
            frames.push(frame);
        }
    }
    let expected =
        [reply(1), reply(3), data(3, false, b"hi"), data(3, true, b""), data(1, true, b"")];
    assert_eq!(frames, expected);
    sink.close().await.unwrap();
    while let Some(Ok(message)) = messages.next().await {
        assert!(message.is_close(), "{message:?}");
    }
}

/// A client of channels, and what the server chose.
async fn channels(
    server: &ApiServer,
    protocol: &str,
    query: &str,
) -> (WebSocketStream<Connection>, String) {
    let mut headers = WEBSOCKET.to_vec();
    if !protocol.is_empty() {
        headers.push(("sec-websocket-protocol", protocol));
    }
    let response = send(server, "GET", &format!("{PATH}?{query}"), &headers).await;
    let chosen = header(&response, "sec-websocket-protocol").to_owned();
    let connection = connection(response).await;
    (WebSocketStream::from_raw_socket(connection, Role::Client, None).await, chosen)
}

#[tokio::test(start_paused = true)]
async fn ports_go_through_websocket_channels() {
    let server = server().await;
    for protocol in ["v4.channel.k8s.io", "", "portforward.k8s.io"] {
        let (mut socket, chosen) = channels(&server, protocol, "ports=7,99&ports=9").await;
        assert_eq!(chosen, protocol);
        socket.send(Message::binary(&b"\x00hello"[..])).await.unwrap();
        let mut read = vec![Vec::new(); 6];
        while read[0].len() < 7 || read[4].len() < 5 || read[3].len() < 60 || read[5].len() < 2 {
            let message = socket.next().await.unwrap().unwrap().into_data();
            read[usize::from(message[0])].extend_from_slice(&message[1..]);
        }
        assert_eq!(read[0], b"\x07\x00hello");
        assert_eq!(read[1], b"\x07\x00");
        assert_eq!(read[2], b"\x63\x00");
        assert!(read[3].starts_with(b"\x63\x00error forwarding port 99 to pod "));
        assert_eq!(read[4], b"\x09\x00bye");
        assert_eq!(read[5], b"\x09\x00");
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_connection_ends_with_its_last_port() {
    let server = server().await;
    let (mut socket, chosen) = channels(&server, "v4.base64.channel.k8s.io", "ports=9").await;
    assert_eq!(chosen, "v4.base64.channel.k8s.io");
    let mut texts = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => texts.push(text.to_string()),
            message => assert!(message.is_close(), "{message:?}"),
        }
    }
    assert_eq!(texts, ["0CQA=", "1CQA=", "0Ynll"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_upgraded_is_refused() {
    let server = server().await;
    let path = |name: &str| format!("/api/v1/namespaces/default/pods/{name}/portforward");
    let check = async |method, path: &str, headers: &[(&str, &str)], code, text: &str| {
        let response = send(&server, method, path, headers).await;
        assert_eq!(response.status().as_u16(), code, "{path} {headers:?}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let message = match serde_json::from_str::<Value>(&body) {
            Ok(status) => status["message"].as_str().unwrap().to_owned(),
            Err(_) => body.trim_end().to_owned(),
        };
        assert_eq!(message, text, "{path} {headers:?}");
    };
    check("POST", PATH, &[], 400, "Upgrade request required").await;
    check("POST", &path("none"), &SPDY, 404, "pods \"none\" not found").await;
    let homeless = "pod nowhere does not have a host assigned";
    check("POST", &path("nowhere"), &SPDY, 400, homeless).await;
    let required = "unable to upgrade: X-Stream-Protocol-Version is required";
    check("POST", PATH, &SPDY[..2], 400, required).await;
    let other = [&SPDY[..2], &[("x-stream-protocol-version", "a, b")]].concat();
    let message = "unable to upgrade: unable to negotiate protocol: client supports [a b], server \
                   accepts [portforward.k8s.io]";
    check("POST", PATH, &other, 403, message).await;
    let wrong = [SPDY[0], ("upgrade", "h2c"), SPDY[2]];
    let missing = "unable to upgrade: missing upgrade headers in request";
    check("POST", PATH, &wrong, 400, missing).await;
    check("GET", PATH, &WEBSOCKET, 400, "query parameter \"port\" is required").await;
    let bad = format!("{PATH}?ports=x");
    let message = "cannot convert to []int32: strconv.ParseUint: parsing \"x\": invalid syntax";
    check("GET", &bad, &WEBSOCKET, 400, message).await;
    let known = format!("{PATH}?ports=7");
    let unknown = [&WEBSOCKET[..], &[("sec-websocket-protocol", "v9.channel.k8s.io")]].concat();
    check("GET", &known, &unknown, 403, "").await;
    let keyless = "websocket: not a websocket handshake: 'Sec-WebSocket-Key' header is missing or \
                   blank";
    check("GET", &known, &WEBSOCKET[..3], 400, keyless).await;
}
