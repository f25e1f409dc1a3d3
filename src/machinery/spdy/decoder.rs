//! Bytes to frames.

use bytes::{Buf, Bytes, BytesMut};

use super::frame::{
    FLAG_FIN, FLAG_UNIDIRECTIONAL, Frame, GOAWAY, GoAwayStatus, HEAD, HEADERS, PING, RST_STREAM,
    ResetStatus, SETTING_INITIAL_WINDOW, SETTINGS, SYN_REPLY, SYN_STREAM, VERSION, WINDOW_UPDATE,
};
use super::headers::{Headers, Inflater};

/// Largest payload of a control frame.
const CONTROL_MAX: usize = 16 * 1024;
/// Bits of an id.
const ID: u32 = 0x7fff_ffff;

/// What is wrong with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing that follows can be read.
    #[error("{0}")]
    Connection(&'static str),
    /// One stream broke the protocol; the next frame can be read.
    #[error("stream {stream}: {reason}")]
    Stream {
        /// Its id.
        stream: u32,
        /// What it did.
        reason: &'static str,
    },
}

/// Where in the bytes the decoder is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before a frame.
    Head,
    /// Within the bytes of a stream.
    Data { stream: u32, fin: bool, left: usize },
    /// Within a frame of a kind that the protocol does not know, which is passed over.
    Unknown { left: usize },
}

/// Reads the frames of one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    place: Place,
    inflater: Inflater,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { place: Place::Head, inflater: Inflater::default() }
    }
}

impl Decoder {
    /// Takes the next frame off the front of `input`; `None` when it needs more bytes, of which
    /// it never asks `input` to hold more than a control frame.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        loop {
            match self.place {
                Place::Head if input.len() < HEAD => return Ok(None),
                Place::Head if input[0] & 0x80 == 0 => {
                    if let Some(frame) = self.begin_data(input)? {
                        return Ok(Some(frame));
                    }
                }
                Place::Head => {
                    let [version, kind] = [u16_at(input, 0) & 0x7fff, u16_at(input, 2)];
                    let length = u32_at(input, 4) as usize & 0xff_ffff;
                    if version != VERSION {
                        return Err(DecodeError::Connection("unsupported version"));
                    }
                    if !is_known(kind) {
                        input.advance(HEAD);
                        self.place = Place::Unknown { left: length };
                        continue;
                    }
                    if length > CONTROL_MAX {
                        return Err(DecodeError::Connection("control frame is too large"));
                    }
                    if input.len() < HEAD + length {
                        return Ok(None);
                    }
                    let flags = input[4];
                    let payload = input.split_to(HEAD + length).freeze().slice(HEAD..);
                    return self.control(kind, flags, payload).map(Some);
                }
                Place::Data { .. } | Place::Unknown { .. } if input.is_empty() => return Ok(None),
                Place::Data { stream, fin, left } => {
                    let data = input.split_to(left.min(input.len())).freeze();
                    let left = left - data.len();
                    self.place = match left {
                        0 => Place::Head,
                        _ => Place::Data { stream, fin, left },
                    };
                    return Ok(Some(Frame::Data { stream, fin: fin && left == 0, data }));
                }
                Place::Unknown { left } => {
                    let length = left.min(input.len());
                    input.advance(length);
                    self.place = match left - length {
                        0 => Place::Head,
                        left => Place::Unknown { left },
                    };
                }
            }
        }
    }

    /// Reads the head of a DATA frame, which is the whole frame if it has no bytes.
    fn begin_data(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let stream = u32_at(input, 0);
        let left = u32_at(input, 4) as usize & 0xff_ffff;
        let fin = input[4] & FLAG_FIN != 0;
        if stream == 0 {
            return Err(DecodeError::Connection("stream id zero is disallowed"));
        }
        input.advance(HEAD);
        if left == 0 {
            return Ok(Some(Frame::Data { stream, fin, data: Bytes::new() }));
        }
        self.place = Place::Data { stream, fin, left };
        Ok(None)
    }

    fn control(&mut self, kind: u16, flags: u8, payload: Bytes) -> Result<Frame, DecodeError> {
        let fin = flags & FLAG_FIN != 0;
        match kind {
            SYN_STREAM => {
                let (stream, headers) = self.headers(payload, 10)?;
                let unidirectional = flags & FLAG_UNIDIRECTIONAL != 0;
                Ok(Frame::SynStream { stream, fin, unidirectional, headers })
            }
            SYN_REPLY => {
                let (stream, headers) = self.headers(payload, 4)?;
                Ok(Frame::SynReply { stream, fin, headers })
            }
            HEADERS => {
                let (stream, headers) = self.headers(payload, 4)?;
                Ok(Frame::Headers { stream, fin, headers })
            }
            SETTINGS => settings(&payload),
            PING => {
                let [id] = words(&payload)?;
                Ok(Frame::Ping { id })
            }
            _ => pair(kind, words(&payload)?),
        }
    }

    /// Reads a frame with `fixed` bytes before its headers. Headers are inflated whatever is wrong
    /// with the rest, because the next ones build on them.
    fn headers(&mut self, payload: Bytes, fixed: usize) -> Result<(u32, Headers), DecodeError> {
        if payload.len() < fixed {
            return Err(DecodeError::Connection("invalid control frame"));
        }
        let stream = u32_at(&payload, 0) & ID;
        let block = self.inflater.inflate(&payload[fixed..]).map_err(DecodeError::Connection)?;
        if stream == 0 {
            return Err(DecodeError::Connection("stream id zero is disallowed"));
        }
        let headers = Headers::parse(&block);
        let headers = headers.map_err(|reason| DecodeError::Stream { stream, reason })?;
        Ok((stream, headers))
    }
}

/// Reads one of the frames that consist of two numbers.
fn pair(kind: u16, [first, second]: [u32; 2]) -> Result<Frame, DecodeError> {
    let stream = first & ID;
    match kind {
        GOAWAY => Ok(Frame::GoAway { last_stream: stream, status: GoAwayStatus(second) }),
        WINDOW_UPDATE => match second & ID {
            0 if stream > 0 => {
                Err(DecodeError::Stream { stream, reason: "window update of nothing" })
            }
            delta => Ok(Frame::WindowUpdate { stream, delta }),
        },
        _ if kind != RST_STREAM || stream == 0 || second == 0 => {
            Err(DecodeError::Connection("invalid control frame"))
        }
        _ => Ok(Frame::Reset { stream, status: ResetStatus(second) }),
    }
}

/// Of the settings only the window concerns anybody.
fn settings(payload: &[u8]) -> Result<Frame, DecodeError> {
    const INVALID: DecodeError = DecodeError::Connection("invalid control frame");
    let (count, entries) = payload.split_at_checked(4).ok_or(INVALID)?;
    if u32_at(count, 0) as usize * 8 != entries.len() {
        return Err(INVALID);
    }
    let window = entries.chunks_exact(8).filter(|entry| {
        let id = u32_at(entry, 0) & 0xff_ffff;
        id == SETTING_INITIAL_WINDOW
    });
    Ok(Frame::Settings { initial_window: window.map(|entry| u32_at(entry, 4) & ID).next_back() })
}

fn is_known(kind: u16) -> bool {
    matches!(
        kind,
        SYN_STREAM | SYN_REPLY | RST_STREAM | SETTINGS | PING | GOAWAY | HEADERS | WINDOW_UPDATE
    )
}

fn words<const N: usize>(payload: &[u8]) -> Result<[u32; N], DecodeError> {
    if payload.len() != N * 4 {
        return Err(DecodeError::Connection("invalid control frame"));
    }
    Ok(std::array::from_fn(|at| u32_at(payload, at * 4)))
}

/// The bytes must be there.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The bytes must be there.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
