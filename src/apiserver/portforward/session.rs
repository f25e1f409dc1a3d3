//! A SPDY connection of one client: its streams, paired and joined to ports.
//!
//! One future reads frames, one writes them; each joined pair is a job of its own, which ends with
//! the session. A port that does not take its bytes holds up the reading of the connection, as it
//! does in Kubernetes, unless the client keeps to the windows.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::forwarder::Forwarder;
use super::negotiation::port_of;
use super::pairs::{Added, Half, Kind, Pair, Pairs};
use super::windows::{Windows, due};
use super::{CLOSING_LIMIT, IDLE_LIMIT, PIECES_MAX, READ_BYTES};
use crate::clock::Clock;
use crate::machinery::spdy::{
    DecodeError, Decoder, Encoder, Frame, GoAwayStatus, Headers, ResetStatus,
};

/// Open streams of a connection, two for each connection to a port.
const STREAMS_MAX: usize = 2048;
/// Frames that wait to be written.
const FRAMES_MAX: usize = 64;
/// Bytes that are written at once.
const WRITE_BYTES: usize = 64 * 1024;

/// Serves a client until it goes, breaks the protocol or is idle for too long.
pub(super) async fn run(
    connection: impl AsyncRead + AsyncWrite + Send + 'static,
    forwarder: Forwarder,
    clock: Clock,
) {
    let (reader, writer) = tokio::io::split(connection);
    let (out, frames) = mpsc::channel(FRAMES_MAX);
    let written = Written::default();
    let mut writing = pin!(write(writer, frames, clock.clone(), written.clone()));
    let session = Session {
        forwarder,
        clock: clock.clone(),
        out,
        streams: HashMap::new(),
        pairs: Pairs::default(),
        last_stream: 0,
        is_going_away: false,
        windows: Arc::default(),
        jobs: JoinSet::new(),
    };
    tokio::select! {
        () = writing.as_mut() => return,
        () = session.run(reader, &written) => {}
    }
    // What is still to be written may take a moment.
    let _ = clock.timeout(CLOSING_LIMIT, writing).await;
}

/// When frames were last written, in milliseconds of the clock.
#[derive(Clone, Default)]
struct Written(Arc<AtomicU64>);

impl Written {
    fn set(&self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.0.store(now, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Writes frames until there are no more, then closes the connection.
async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Frame>,
    clock: Clock,
    written: Written,
) {
    let mut encoder = Encoder::default();
    let mut bytes = BytesMut::new();
    while let Some(frame) = frames.recv().await {
        encoder.put(&frame, &mut bytes);
        while bytes.len() < WRITE_BYTES
            && let Ok(frame) = frames.try_recv()
        {
            encoder.put(&frame, &mut bytes);
        }
        let sent = async {
            writer.write_all_buf(&mut bytes).await?;
            writer.flush().await
        };
        if sent.await.is_err() {
            return;
        }
        written.set(clock.elapsed());
    }
    // The client may be gone already.
    let _ = writer.shutdown().await;
}

/// The reading side.
struct Session {
    forwarder: Forwarder,
    clock: Clock,
    out: mpsc::Sender<Frame>,
    /// The open streams.
    streams: HashMap<u32, Stream>,
    pairs: Pairs,
    /// Id of the last stream that the client opened.
    last_stream: u32,
    /// Whether the client has said that it opens no more.
    is_going_away: bool,
    windows: Arc<Windows>,
    /// One for each joined pair.
    jobs: JoinSet<Pair>,
}

/// A stream that the client opened.
struct Stream {
    kind: Kind,
    /// The client's name for the pair.
    request: String,
    port: u16,
    /// Takes the client's bytes, until it has sent the last.
    sender: Option<mpsc::Sender<Bytes>>,
    /// Where they come out, until a job has it.
    receiver: Option<mpsc::Receiver<Bytes>>,
    /// Dropped with the stream; the job ends.
    life: Option<oneshot::Sender<()>>,
}

/// Whether a session goes on.
type Verdict = Result<(), GoAwayStatus>;

impl Session {
    async fn run(mut self, mut reader: impl AsyncRead + Unpin, written: &Written) {
        let mut decoder = Decoder::default();
        let mut input = BytesMut::new();
        let mut idle = self.clock.elapsed() + IDLE_LIMIT;
        loop {
            if let Err(status) = self.receive_all(&mut decoder, &mut input).await {
                let goodbye = Frame::GoAway { last_stream: self.last_stream, status };
                self.send(goodbye).await;
                return;
            }
            if self.is_going_away && self.streams.is_empty() {
                return;
            }
            input.reserve(READ_BYTES);
            let deadline = self.pairs.deadline().map_or(idle, |deadline| deadline.min(idle));
            tokio::select! {
                read = reader.read_buf(&mut input) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => idle = self.clock.elapsed() + IDLE_LIMIT,
                },
                Some(Ok(pair)) = self.jobs.join_next() => self.ended(pair),
                () = self.clock.sleep_until(deadline) => {
                    let now = self.clock.elapsed();
                    while let Some(half) = self.pairs.expired(now) {
                        self.timed_out(half).await;
                    }
                    idle = idle.max(written.get() + IDLE_LIMIT);
                    if now >= idle {
                        return;
                    }
                }
            }
        }
    }

    /// Takes all frames that are whole.
    async fn receive_all(&mut self, decoder: &mut Decoder, input: &mut BytesMut) -> Verdict {
        loop {
            match decoder.decode(input) {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => self.receive(frame).await?,
                Err(DecodeError::Stream { stream, reason }) => {
                    tracing::debug!(stream, reason, "a stream broke the protocol");
                    // Opened or not, its id is used up.
                    self.last_stream = self.last_stream.max(stream);
                    self.close(stream);
                    self.reset(stream, ResetStatus::PROTOCOL_ERROR).await;
                }
                Err(DecodeError::Connection(reason)) => {
                    tracing::debug!(reason, "a client broke the protocol");
                    return Err(GoAwayStatus::PROTOCOL_ERROR);
                }
            }
        }
    }

    async fn receive(&mut self, frame: Frame) -> Verdict {
        match frame {
            Frame::SynStream { stream, fin, headers, .. } => {
                self.open(stream, fin, &headers).await;
            }
            Frame::Data { stream, fin, data } => self.data(stream, fin, data).await,
            Frame::Reset { stream, .. } => self.close(stream),
            Frame::Ping { id } if id % 2 == 1 => self.send(Frame::Ping { id }).await,
            Frame::GoAway { .. } => self.is_going_away = true,
            Frame::WindowUpdate { stream, delta } => self.windows.update(stream, delta),
            Frame::Settings { initial_window: Some(size) } => self.windows.set_initial(size),
            Frame::Headers { stream, fin: true, .. } => self.finish(stream),
            // Answers to what was never asked, and headers that mean nothing here.
            Frame::SynReply { .. }
            | Frame::Headers { fin: false, .. }
            | Frame::Settings { initial_window: None }
            | Frame::Ping { .. } => {}
        }
        Ok(())
    }

    /// A stream is opened.
    async fn open(&mut self, stream: u32, fin: bool, headers: &Headers) {
        if self.is_going_away {
            return;
        }
        if stream.is_multiple_of(2) || stream <= self.last_stream {
            self.close(stream);
            return self.reset(stream, ResetStatus::PROTOCOL_ERROR).await;
        }
        self.last_stream = stream;
        if self.streams.len() >= STREAMS_MAX {
            return self.reset(stream, ResetStatus::REFUSED_STREAM).await;
        }
        let (kind, port) = match purpose(headers) {
            Ok(purpose) => purpose,
            Err(reason) => {
                tracing::debug!(stream, reason, "a stream was rejected");
                return self.reset(stream, ResetStatus::CANCEL).await;
            }
        };
        let (sender, receiver) = match kind {
            Kind::Data => {
                let (sender, receiver) = mpsc::channel(PIECES_MAX);
                ((!fin).then_some(sender), Some(receiver))
            }
            Kind::Error => (None, None),
        };
        let request = request_id(headers, kind, stream);
        self.send(Frame::SynReply { stream, fin: false, headers: Headers::default() }).await;
        self.windows.open(stream);
        let added = self.pairs.add(&request, kind, stream, self.clock.elapsed());
        let opened = Stream { kind, request, port, sender, receiver, life: None };
        self.streams.insert(stream, opened);
        match added {
            Added::Waiting => {}
            Added::Complete(pair) => self.join(pair),
            Added::Duplicate(error_stream) => self.duplicate(stream, error_stream).await,
        }
    }

    /// Gives a pair to a job of its own.
    fn join(&mut self, pair: Pair) {
        let Some(stream) = self.streams.get_mut(&pair.data) else { return };
        let Some(inbox) = stream.receiver.take() else { return };
        let (life, over) = oneshot::channel();
        stream.life = Some(life);
        let job = Job {
            pair,
            port: stream.port,
            forwarder: self.forwarder.clone(),
            clock: self.clock.clone(),
            out: self.out.clone(),
            windows: self.windows.clone(),
        };
        self.jobs.spawn(job.run(inbox, over));
    }

    /// Bytes of a stream.
    async fn data(&mut self, id: u32, fin: bool, data: Bytes) {
        if let Some(delta) = self.windows.received(data.len()) {
            self.send(Frame::WindowUpdate { stream: 0, delta }).await;
        }
        // Frames for streams that are gone may be on their way for a while.
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Some(sender) = stream.sender.as_ref().filter(|_| !data.is_empty()) {
            let is_joined = stream.receiver.is_none();
            if is_joined {
                // Fails when the job has ended, which has its own way of telling.
                let _ = sender.send(data).await;
            } else if sender.try_send(data).is_err() {
                // Waiting would keep the other stream of the pair from coming.
                self.close(id);
                return self.reset(id, ResetStatus::FLOW_CONTROL_ERROR).await;
            }
        }
        if fin {
            self.finish(id);
        }
    }

    /// The client sends no more on a stream.
    fn finish(&mut self, stream: u32) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.sender = None;
        }
    }

    /// A stream is gone, both ways; the job of a data stream ends.
    fn close(&mut self, id: u32) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.windows.close(id);
        let is_waiting = match stream.kind {
            Kind::Data => stream.receiver.is_some(),
            Kind::Error => !self.jobs_have(&stream.request),
        };
        if is_waiting {
            self.pairs.remove(&stream.request);
        }
    }

    /// Whether the data stream of a request has a job.
    fn jobs_have(&self, request: &str) -> bool {
        let mut streams = self.streams.values();
        streams.any(|it| it.life.is_some() && it.request == request)
    }

    /// A job is done.
    fn ended(&mut self, pair: Pair) {
        for stream in [pair.data, pair.error] {
            self.streams.remove(&stream);
            self.windows.close(stream);
        }
    }

    /// There is a stream like this one already.
    async fn duplicate(&mut self, id: u32, error_stream: Option<u32>) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.windows.close(id);
        if let Some(error_stream) = error_stream {
            let kind = match stream.kind {
                Kind::Error => "error",
                Kind::Data => "data",
            };
            let message = format!(
                "error processing stream for request {}: {kind} stream already assigned",
                stream.request
            );
            self.send(Frame::Data { stream: error_stream, fin: false, data: message.into() }).await;
        }
        self.reset(id, ResetStatus::CANCEL).await;
    }

    /// The other stream of a pair did not come.
    async fn timed_out(&mut self, half: Half) {
        let Half { request, error, data, .. } = half;
        if let Some(stream) = error {
            let message = format!("(request={request}) timed out waiting for streams");
            self.send(Frame::Data { stream, fin: true, data: message.into() }).await;
        }
        for stream in [error, data].into_iter().flatten() {
            self.streams.remove(&stream);
            self.windows.close(stream);
        }
        if let Some(stream) = data {
            self.reset(stream, ResetStatus::CANCEL).await;
        }
    }

    async fn reset(&self, stream: u32, status: ResetStatus) {
        self.send(Frame::Reset { stream, status }).await;
    }

    /// Fails only when the writing side has ended, and the session with it.
    async fn send(&self, frame: Frame) {
        let _ = self.out.send(frame).await;
    }
}

/// What the headers of a stream ask for. (kubernetes 1.36: kubelet/pkg/cri/streaming/portforward/
/// httpstream.go, httpStreamReceived)
fn purpose(headers: &Headers) -> Result<(Kind, u16), String> {
    let port = headers.get("port");
    if port.is_empty() {
        return Err("\"port\" header is required".to_owned());
    }
    let port = port_of(port)?;
    match headers.get("streamType") {
        "" => Err("\"streamType\" header is required".to_owned()),
        "error" => Ok((Kind::Error, port)),
        "data" => Ok((Kind::Data, port)),
        other => Err(format!("invalid stream type {other:?}")),
    }
}

/// The client's name for the pair. Clients from before there were names open the error stream
/// first and the data stream right after it.
fn request_id(headers: &Headers, kind: Kind, stream: u32) -> String {
    match (headers.get("requestID"), kind) {
        ("", Kind::Error) => stream.to_string(),
        ("", Kind::Data) => (i64::from(stream) - 2).to_string(),
        (named, Kind::Error | Kind::Data) => named.to_owned(),
    }
}

/// The bytes of one pair, to and from a port.
struct Job {
    pair: Pair,
    port: u16,
    forwarder: Forwarder,
    clock: Clock,
    out: mpsc::Sender<Frame>,
    windows: Arc<Windows>,
}

impl Job {
    /// Ends when the port has closed, or when the client has dropped the stream.
    async fn run(self, inbox: mpsc::Receiver<Bytes>, over: oneshot::Receiver<()>) -> Pair {
        let Pair { error, data } = self.pair;
        let message = match self.forwarder.connect(self.port) {
            Ok(connection) => {
                tokio::select! {
                    () = self.pump(connection, inbox) => {}
                    _ = over => {}
                }
                Bytes::new()
            }
            Err(message) => {
                tracing::debug!(message, "a port could not be forwarded");
                self.finish(data).await;
                message.into()
            }
        };
        let last = Frame::Data { stream: error, fin: true, data: message };
        let _ = self.out.send(last).await;
        self.pair
    }

    /// Each direction ends on its own. Once the port has closed its, the client has a moment left.
    async fn pump(&self, connection: DuplexStream, inbox: mpsc::Receiver<Bytes>) {
        let (from, to) = tokio::io::split(connection);
        let mut inward = pin!(self.inward(inbox, to));
        let mut outward = pin!(self.outward(from));
        let mut is_finished = false;
        loop {
            tokio::select! {
                () = outward.as_mut() => break,
                () = inward.as_mut(), if !is_finished => is_finished = true,
            }
        }
        if !is_finished {
            let _ = self.clock.timeout(CLOSING_LIMIT, inward).await;
        }
    }

    async fn inward(&self, mut inbox: mpsc::Receiver<Bytes>, mut to: impl AsyncWrite + Unpin) {
        let mut taken = 0;
        while let Some(bytes) = inbox.recv().await {
            if to.write_all(&bytes).await.is_err() {
                return;
            }
            if let Some(delta) = due(&mut taken, bytes.len()) {
                let update = Frame::WindowUpdate { stream: self.pair.data, delta };
                let _ = self.out.send(update).await;
            }
        }
        // A port that is gone takes no end either.
        let _ = to.shutdown().await;
    }

    async fn outward(&self, mut from: impl AsyncRead + Unpin) {
        let stream = self.pair.data;
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            match from.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return self.finish(stream).await,
                Ok(_) => {}
            }
            while !buffer.is_empty() {
                let length = self.windows.take(stream, buffer.len()).await;
                let data = buffer.split_to(length).freeze();
                if self.out.send(Frame::Data { stream, fin: false, data }).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn finish(&self, stream: u32) {
        let _ = self.out.send(Frame::Data { stream, fin: true, data: Bytes::new() }).await;
    }
}
