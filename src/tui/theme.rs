//! Colors. Meaning never hangs on color alone: every state also has a sign and a word.

use ratatui::style::{Color, Modifier, Style};

use super::rows::Severity;

/// Style of a state.
pub(super) fn severity(severity: Severity) -> Style {
    match severity {
        Severity::Failed => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Severity::Degraded => Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
        Severity::Busy => Style::new().fg(Color::Cyan),
        Severity::Calm => Style::new().fg(Color::Green),
    }
}

/// Style of the selected row.
pub(super) fn selected() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

/// Style of secondary text.
pub(super) fn dim() -> Style {
    Style::new().fg(Color::DarkGray)
}

/// Style of titles and headers.
pub(super) fn title() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}
