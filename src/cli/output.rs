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
    is_read(text).map(|_| ())
}

/// Writes text to stdout; false if nobody reads it any more.
///
/// # Errors
/// As [`write`].
pub(super) fn is_read(text: impl AsRef<[u8]>) -> Result<bool, CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::other(format!("failed to write to stdout: {error}"))),
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

/// Writes a value as JSON to stdout.
pub(super) fn json(value: &serde_json::Value) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(CliError::other)?;
    write(text + "\n")
}

/// Writes a value as YAML to stdout.
pub(super) fn yaml(value: &serde_json::Value) -> Result<(), CliError> {
    let text = serde_saphyr::to_string(value).map_err(CliError::other)?;
    write(text.trim_end().to_owned() + "\n")
}
