//! Frames on top of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, Clear, Widget};

use crate::tui::text::printable;
use crate::tui::theme::{Role, Theme};

/// Draws an empty window in the middle of the screen, as large as asked for where there is room, and
/// answers what is inside.
pub(in crate::tui) fn window(
    buffer: &mut Buffer,
    screen: Rect,
    theme: Theme,
    (title, footer): (&str, &str),
    (width, height): (u16, u16),
) -> Rect {
    let area = screen.centered(Constraint::Length(width), Constraint::Length(height));
    let area = area.intersection(screen);
    Clear.render(area, buffer);
    let block = Block::bordered()
        .border_set(theme.border_set())
        .border_style(theme.style(Role::FocusedBorder))
        .title(format!(" {} ", printable(title)))
        .title_style(theme.style(Role::Title))
        .title_bottom(ratatui::text::Line::styled(footer.to_owned(), theme.style(Role::Hint)));
    let inner = block.inner(area);
    block.render(area, buffer);
    let margin = inner.width.min(1);
    Rect { x: inner.x + margin, width: inner.width.saturating_sub(2 * margin), ..inner }
}

/// Writes a text into a line of an area from a column on, cut at its edge. Control characters and
/// the like do not get through.
pub(in crate::tui) fn put(
    buffer: &mut Buffer,
    area: Rect,
    line: u16,
    column: u16,
    text: &str,
    style: Style,
) {
    let room = area.width.saturating_sub(column);
    if line >= area.height || room == 0 {
        return;
    }
    buffer.set_stringn(area.x + column, area.y + line, printable(text), usize::from(room), style);
}
