//! Frames and how they are written.

use bytes::{BufMut, Bytes, BytesMut};

use super::headers::{Deflater, Headers};

/// Version of the protocol in control frames; SPDY/3.1 calls itself 3.
pub(super) const VERSION: u16 = 3;
/// Bytes of a frame before its payload.
pub(super) const HEAD: usize = 8;
/// Largest payload that a frame can have.
pub(super) const PAYLOAD_MAX: usize = (1 << 24) - 1;

pub(super) const FLAG_FIN: u8 = 0x01;
pub(super) const FLAG_UNIDIRECTIONAL: u8 = 0x02;

pub(super) const SYN_STREAM: u16 = 1;
pub(super) const SYN_REPLY: u16 = 2;
pub(super) const RST_STREAM: u16 = 3;
pub(super) const SETTINGS: u16 = 4;
pub(super) const PING: u16 = 6;
pub(super) const GOAWAY: u16 = 7;
pub(super) const HEADERS: u16 = 8;
pub(super) const WINDOW_UPDATE: u16 = 9;

/// The setting that names the window of new streams.
pub(super) const SETTING_INITIAL_WINDOW: u32 = 7;

/// Why a stream was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetStatus(pub u32);

impl ResetStatus {
    /// The stream broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// Bytes for a stream that is not open.
    pub const INVALID_STREAM: Self = Self(2);
    /// The stream is not wanted and nothing was done for it.
    pub const REFUSED_STREAM: Self = Self(3);
    /// The stream is no longer wanted.
    pub const CANCEL: Self = Self(5);
    /// More bytes than the window allowed.
    pub const FLOW_CONTROL_ERROR: Self = Self(7);
    /// Bytes after the last one.
    pub const STREAM_ALREADY_CLOSED: Self = Self(9);
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoAwayStatus(pub u32);

impl GoAwayStatus {
    /// As it should.
    pub const OK: Self = Self(0);
    /// The other side broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1);
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Opens a stream.
    SynStream {
        /// Its id: odd for clients, even for servers, growing.
        stream: u32,
        /// Whether the sender will send nothing on it.
        fin: bool,
        /// Whether the receiver may send nothing on it.
        unidirectional: bool,
        /// What it is for.
        headers: Headers,
    },
    /// Accepts a stream.
    SynReply {
        /// Its id.
        stream: u32,
        /// Whether the sender will send nothing on it.
        fin: bool,
        /// Nothing that Kubernetes looks at.
        headers: Headers,
    },
    /// Ends a stream at once, both ways.
    Reset {
        /// Its id.
        stream: u32,
        /// Why.
        status: ResetStatus,
    },
    /// The receiver's settings.
    Settings {
        /// The window that new streams have, if it is named.
        initial_window: Option<u32>,
    },
    /// Asks for the same frame.
    Ping {
        /// Odd when a client asks, even when a server does.
        id: u32,
    },
    /// No more streams will be accepted.
    GoAway {
        /// The last stream that was.
        last_stream: u32,
        /// Why.
        status: GoAwayStatus,
    },
    /// More headers of a stream.
    Headers {
        /// Its id.
        stream: u32,
        /// Whether they are the last that is sent on it.
        fin: bool,
        /// The headers.
        headers: Headers,
    },
    /// The receiver may send more.
    WindowUpdate {
        /// On which stream; 0 for the connection.
        stream: u32,
        /// How many bytes more.
        delta: u32,
    },
    /// Bytes of a stream.
    Data {
        /// Its id.
        stream: u32,
        /// Whether they are the last.
        fin: bool,
        /// The bytes. A received frame comes in as many pieces as it arrived in.
        data: Bytes,
    },
}

/// Writes frames. Header blocks depend on those before, so a connection has one for its life.
#[derive(Debug, Default)]
pub struct Encoder {
    deflater: Deflater,
}

impl Encoder {
    /// Appends a frame. Bytes beyond what a frame can hold go into further ones.
    pub fn put(&mut self, frame: &Frame, out: &mut BytesMut) {
        match frame {
            Frame::SynStream { stream, fin, unidirectional, headers } => {
                let unidirectional = if *unidirectional { FLAG_UNIDIRECTIONAL } else { 0 };
                self.put_headers(SYN_STREAM, *stream, flag(*fin) | unidirectional, headers, out);
            }
            Frame::SynReply { stream, fin, headers } => {
                self.put_headers(SYN_REPLY, *stream, flag(*fin), headers, out);
            }
            Frame::Headers { stream, fin, headers } => {
                self.put_headers(HEADERS, *stream, flag(*fin), headers, out);
            }
            Frame::Reset { stream, status } => put_words(RST_STREAM, &[*stream, status.0], out),
            Frame::Settings { initial_window: None } => put_words(SETTINGS, &[0], out),
            Frame::Settings { initial_window: Some(window) } => {
                put_words(SETTINGS, &[1, SETTING_INITIAL_WINDOW, *window], out);
            }
            Frame::Ping { id } => put_words(PING, &[*id], out),
            Frame::GoAway { last_stream, status } => {
                put_words(GOAWAY, &[*last_stream, status.0], out);
            }
            Frame::WindowUpdate { stream, delta } => {
                put_words(WINDOW_UPDATE, &[*stream, *delta], out);
            }
            Frame::Data { stream, fin, data } => put_data(*stream, *fin, data, out),
        }
    }

    fn put_headers(
        &mut self,
        kind: u16,
        stream: u32,
        flags: u8,
        headers: &Headers,
        out: &mut BytesMut,
    ) {
        let start = out.len();
        put_head(kind, flags, 0, out);
        out.put_u32(stream);
        if kind == SYN_STREAM {
            // No associated stream, highest priority, no slot.
            out.put_slice(&[0; 6]);
        }
        self.deflater.put(headers, out);
        let length = (out.len() - start - HEAD) as u32;
        out[start + 5..start + HEAD].copy_from_slice(&length.to_be_bytes()[1..]);
    }
}

fn flag(fin: bool) -> u8 {
    if fin { FLAG_FIN } else { 0 }
}

fn put_head(kind: u16, flags: u8, length: usize, out: &mut BytesMut) {
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    out.put_u8(flags);
    out.put_uint(length as u64, 3);
}

fn put_words(kind: u16, words: &[u32], out: &mut BytesMut) {
    put_head(kind, 0, words.len() * 4, out);
    for word in words {
        out.put_u32(*word);
    }
}

fn put_data(stream: u32, fin: bool, mut data: &[u8], out: &mut BytesMut) {
    loop {
        let (part, rest) = data.split_at(data.len().min(PAYLOAD_MAX));
        out.put_u32(stream);
        out.put_u8(flag(fin && rest.is_empty()));
        out.put_uint(part.len() as u64, 3);
        out.put_slice(part);
        data = rest;
        if data.is_empty() {
            return;
        }
    }
}
