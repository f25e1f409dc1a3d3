//! How much may be sent before the receiver asks for more.

/// The window of a stream, and of a connection, unless settings say otherwise.
pub const INITIAL_WINDOW: u32 = 64 * 1024;

/// A window of the sending side. It may become negative: when settings shrink it, and when bytes
/// were sent before the receiver made known that it counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendWindow(i64);

impl SendWindow {
    /// The window of a new stream.
    pub fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    /// How many of `wanted` bytes may be sent now.
    pub fn allows(self, wanted: usize) -> usize {
        wanted.min(usize::try_from(self.0).unwrap_or(0))
    }

    /// Bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The receiver asks for more, or its settings changed by so much.
    pub fn widen(&mut self, delta: i64) {
        self.0 = self.0.saturating_add(delta);
    }
}
