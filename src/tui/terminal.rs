//! The terminal's life: taken once, given back whatever happens.

use std::io;

use ratatui::DefaultTerminal;

/// Owns the alternate screen and raw mode; gives them back when dropped. A panic gives them back
/// before its message is printed (ratatui's hook).
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If stdout is no terminal or refuses raw mode.
    pub(super) fn take() -> io::Result<Self> {
        Ok(Self { terminal: ratatui::try_init()? })
    }

    /// The ratatui terminal inside.
    pub(super) fn terminal(&mut self) -> &mut DefaultTerminal {
        &mut self.terminal
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
