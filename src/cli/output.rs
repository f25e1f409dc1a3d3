//! Results on stdout, news on stderr. A reader of stdout that stops reading (`capim get ... | head`)
//! is no error.

use std::io::{ErrorKind, Write};

use super::error::CliError;
use crate::clock::Clock;

/// Writes text to stdout.
///
/// # Errors
/// If stdout can not be written for another reason than a closed pipe.
pub(super) fn write(text: impl AsRef<[u8]>) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::other(format!("failed to write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Tells news on stderr, as one line with the time.
pub(super) fn line(clock: &Clock, text: &str) {
    eprintln!("{:.0} INFO {}", clock.now(), crate::tui::text::printable(text));
}

/// The same for what somebody should look at.
pub(super) fn warning(clock: &Clock, text: &str) {
    eprintln!("{:.0} WARN {}", clock.now(), crate::tui::text::printable(text));
}
