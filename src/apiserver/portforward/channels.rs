//! Ports over WebSocket channels: of port n of the request, channel 2n carries bytes and channel
//! 2n + 1 what went wrong. Both begin with the port's number.
//! (kubernetes 1.36: kubelet/pkg/cri/streaming/portforward/websocket.go)

use std::pin::pin;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::forwarder::Forwarder;
use super::negotiation::ChannelProtocol;
use super::{CLOSING_LIMIT, IDLE_LIMIT, PIECES_MAX, READ_BYTES, tunnel};
use crate::apiserver::upgrade::Connection;
use crate::clock::Clock;

/// Messages that wait to be written.
const MESSAGES_MAX: usize = 64;

type Outbox = mpsc::Sender<(u8, Bytes)>;

/// Serves a client until it goes, all ports are closed or it is idle for too long.
pub(super) async fn run(
    connection: Connection,
    protocol: ChannelProtocol,
    ports: Vec<u16>,
    forwarder: Forwarder,
    clock: Clock,
) {
    let (sink, mut messages) = tunnel::socket(connection).await.split();
    let (out, outbox) = mpsc::channel(MESSAGES_MAX);
    let mut writing = pin!(write(sink, protocol, outbox));
    let mut jobs = JoinSet::new();
    let mut inboxes = Vec::with_capacity(ports.len());
    for (port, channel) in ports.into_iter().zip((0..).step_by(2)) {
        let (inbox, bytes) = mpsc::channel(PIECES_MAX);
        inboxes.push(inbox);
        jobs.spawn(forward(port, channel, forwarder.clone(), bytes, out.clone()));
    }
    drop(out);
    let mut idle = clock.elapsed() + IDLE_LIMIT;
    loop {
        tokio::select! {
            // All jobs have ended and all they wrote is sent, or nothing can be sent any more.
            () = writing.as_mut() => return,
            message = messages.next() => {
                let (channel, bytes) = match message {
                    None | Some(Err(_) | Ok(Message::Close(_))) => break,
                    Some(Ok(message)) => match read(protocol, &message) {
                        Some(read) => read,
                        None => continue,
                    },
                };
                idle = clock.elapsed() + IDLE_LIMIT;
                // What comes in on the channels of errors is nobody's.
                let inbox = inboxes.get(usize::from(channel / 2)).filter(|_| channel % 2 == 0);
                if let Some(inbox) = inbox {
                    tokio::select! {
                        // Fails when the port is closed.
                        _ = inbox.send(bytes) => {}
                        () = writing.as_mut() => return,
                    }
                }
            }
            _ = jobs.join_next(), if !jobs.is_empty() => {}
            () = clock.sleep_until(idle) => break,
        }
    }
    drop(jobs);
    let _ = clock.timeout(CLOSING_LIMIT, writing).await;
}

/// Writes messages until there are no more, then closes the socket.
async fn write<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    protocol: ChannelProtocol,
    mut outbox: mpsc::Receiver<(u8, Bytes)>,
) where
    WebSocketStream<S>: futures::Sink<Message>,
{
    while let Some((channel, bytes)) = outbox.recv().await {
        if sink.send(message(protocol, channel, &bytes)).await.is_err() {
            return;
        }
    }
    let _ = sink.close().await;
}

/// A message on a channel.
fn message(protocol: ChannelProtocol, channel: u8, bytes: &[u8]) -> Message {
    match protocol {
        ChannelProtocol::Base64 => {
            let mut text = String::from(char::from(b'0'.wrapping_add(channel)));
            BASE64_STANDARD.encode_string(bytes, &mut text);
            Message::text(text)
        }
        ChannelProtocol::Unnamed | ChannelProtocol::Binary | ChannelProtocol::PortForward => {
            let mut message = BytesMut::with_capacity(bytes.len() + 1);
            message.extend_from_slice(&[channel]);
            message.extend_from_slice(bytes);
            Message::Binary(message.freeze())
        }
    }
}

/// Channel and bytes of a message; `None` for one that says nothing.
fn read(protocol: ChannelProtocol, message: &Message) -> Option<(u8, Bytes)> {
    let bytes = match message {
        Message::Binary(bytes) => bytes.clone(),
        Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => return None,
    };
    let (channel, rest) = (*bytes.first()?, bytes.slice(1..));
    match protocol {
        ChannelProtocol::Base64 => {
            let decoded = BASE64_STANDARD.decode(rest).ok()?;
            Some((channel.wrapping_sub(b'0'), decoded.into()))
        }
        ChannelProtocol::Unnamed | ChannelProtocol::Binary | ChannelProtocol::PortForward => {
            Some((channel, rest))
        }
    }
}

/// The bytes of one port. The protocol has no end for one direction: when the port closes, its
/// channels have nothing more to say.
async fn forward(
    port: u16,
    channel: u8,
    forwarder: Forwarder,
    mut bytes: mpsc::Receiver<Bytes>,
    out: Outbox,
) {
    let number = Bytes::copy_from_slice(&port.to_le_bytes());
    for channel in [channel, channel + 1] {
        let _ = out.send((channel, number.clone())).await;
    }
    let connection = match forwarder.connect(port) {
        Ok(connection) => connection,
        Err(message) => {
            let _ = out.send((channel + 1, message.into())).await;
            return;
        }
    };
    let (mut from, mut to) = tokio::io::split(connection);
    let inward = async {
        while let Some(bytes) = bytes.recv().await {
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // The port itself says when it is done.
        std::future::pending::<()>().await;
    };
    let outward = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(READ_BYTES);
            match from.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) if out.send((channel, buffer.split().freeze())).await.is_err() => return,
                Ok(_) => {}
            }
        }
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}
