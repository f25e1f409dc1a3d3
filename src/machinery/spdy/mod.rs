//! SPDY/3.1 frames: bytes to frames and back, without connections, time or tasks.
//!
//! [`Decoder`] takes bytes as they arrive and bounds what it keeps: control frames have a largest
//! size, header blocks a largest size after inflation, and the bytes of DATA frames are handed on
//! in the pieces in which they come. Headers are read with the shared compression context and the
//! dictionary of the protocol; they are written in stored blocks, which every inflater reads and
//! which need no context. Both sides of a connection can use it.
//!
//! It does not keep streams: which frames may follow which is the user's business.
//! (SPDY Protocol draft 3.1; moby/spdystream is what Kubernetes' clients speak it with)

mod decoder;
mod dictionary;
mod frame;
mod headers;
#[cfg(test)]
mod tests;
mod window;

pub use decoder::{DecodeError, Decoder};
pub use frame::{Encoder, Frame, GoAwayStatus, ResetStatus};
pub use headers::Headers;
pub use window::{INITIAL_WINDOW, SendWindow};
