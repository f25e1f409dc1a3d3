//! How much may be sent to a client, and how much it may send.

use std::collections::HashMap;
use std::pin::pin;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::machinery::spdy::{INITIAL_WINDOW, SendWindow};

/// Bytes taken before the sender is asked for more.
const UPDATE_BYTES: u32 = INITIAL_WINDOW / 2;

/// The windows of a session. Kubernetes' clients speak SPDY without windows: they send as much as
/// the connection takes, and never ask for more. Hence a client is only held to its windows, and
/// only spared, once it has shown that it counts.
#[derive(Debug)]
pub(super) struct Windows {
    state: Mutex<State>,
    /// Rung when more may be sent.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Whether the client has sent a window update, or a setting about windows.
    is_counting: bool,
    /// The window of new streams.
    initial: u32,
    connection: SendWindow,
    streams: HashMap<u32, SendWindow>,
    /// Bytes received on any stream since the client was last asked for more.
    received: u32,
}

impl Default for Windows {
    fn default() -> Self {
        let state = State {
            is_counting: false,
            initial: INITIAL_WINDOW,
            connection: SendWindow::new(INITIAL_WINDOW),
            streams: HashMap::new(),
            received: 0,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl Windows {
    /// A stream on which something may be sent.
    pub(super) fn open(&self, stream: u32) {
        let mut state = self.state.lock();
        let window = SendWindow::new(state.initial);
        state.streams.insert(stream, window);
    }

    /// A stream is gone.
    pub(super) fn close(&self, stream: u32) {
        self.state.lock().streams.remove(&stream);
        self.changed.notify_waiters();
    }

    /// Waits until some of `wanted` bytes may be sent, and answers how many. All of them on a
    /// stream that is gone: nobody reads them.
    pub(super) async fn take(&self, stream: u32, wanted: usize) -> usize {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let taken = self.state.lock().take(stream, wanted);
            if taken > 0 || wanted == 0 {
                return taken;
            }
            changed.await;
        }
    }

    /// The client asks for more; 0 is the connection.
    pub(super) fn update(&self, stream: u32, delta: u32) {
        let mut state = self.state.lock();
        state.is_counting = true;
        match stream {
            0 => state.connection.widen(delta.into()),
            _ => {
                if let Some(window) = state.streams.get_mut(&stream) {
                    window.widen(delta.into());
                }
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// The client sets the window of streams.
    pub(super) fn set_initial(&self, initial: u32) {
        let mut state = self.state.lock();
        state.is_counting = true;
        let delta = i64::from(initial) - i64::from(state.initial);
        state.initial = initial;
        for window in state.streams.values_mut() {
            window.widen(delta);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Bytes were received, on any stream. Answers how many more to ask for on the connection.
    pub(super) fn received(&self, bytes: usize) -> Option<u32> {
        due(&mut self.state.lock().received, bytes)
    }
}

impl State {
    fn take(&mut self, stream: u32, wanted: usize) -> usize {
        let Some(window) = self.streams.get_mut(&stream) else { return wanted };
        let taken = match self.is_counting {
            true => self.connection.allows(window.allows(wanted)),
            false => wanted,
        };
        window.sent(taken);
        self.connection.sent(taken);
        taken
    }
}

/// Counts bytes that were taken, and answers how many more to ask for when it is time to.
pub(super) fn due(count: &mut u32, bytes: usize) -> Option<u32> {
    *count = count.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    (*count >= UPDATE_BYTES).then(|| std::mem::take(count))
}
