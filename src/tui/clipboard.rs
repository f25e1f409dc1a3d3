//! The clipboard of whoever looks at the terminal, over any number of hops, by OSC 52.
//!
//! Terminals do not answer whether they took it, and some must be told to (tmux: `set -g
//! set-clipboard on`), so whoever copies says what was copied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What xterm and tmux take at most, in bytes of text.
const TEXT_MAX: usize = 74_994;

/// The text is longer than what terminals take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are more than what terminals take into the clipboard ({TEXT_MAX})")]
pub struct TooLong {
    /// Its length.
    pub bytes: usize,
}

/// What to send to a terminal so that its clipboard holds a text.
///
/// # Errors
/// [`TooLong`]
pub fn sequence(text: &str) -> Result<Vec<u8>, TooLong> {
    if text.len() > TEXT_MAX {
        return Err(TooLong { bytes: text.len() });
    }
    Ok(format!("\x1b]52;c;{}\x07", STANDARD.encode(text)).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_travels_in_base64() {
        assert_eq!(sequence("a\x1b\n").unwrap(), b"\x1b]52;c;YRsK\x07");
        let long = "x".repeat(TEXT_MAX + 1);
        assert_eq!(sequence(&long), Err(TooLong { bytes: TEXT_MAX + 1 }));
    }
}
