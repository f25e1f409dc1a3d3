//! Signals that end the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CliError;

/// Signals that ask the process to end.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// What the end of a terminal asks for.
    pub(super) const HANGUP: u8 = 129;
    /// What `kill` asks for.
    pub(super) const TERMINATE: u8 = 143;

    /// Catches the signals from now on.
    pub(super) fn listen() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(CliError::other);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The exit code that the next signal asks for.
    pub(super) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => Self::TERMINATE,
            _ = self.hangup.recv() => Self::HANGUP,
        }
    }
}
