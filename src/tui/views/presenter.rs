//! Few large things, for an audience: how many clusters are in which state, and what is wrong.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Scene, framed, put_lines, role_of};
use crate::tui::model::table::Table;
use crate::tui::rows::Severity;
use crate::tui::theme::Role;

/// Problems shown.
const PROBLEMS: usize = 5;

/// Draws the view in place of the list.
pub(in crate::tui) fn draw(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let inner = framed(buffer, area, scene, "");
    let mut lines = vec![Line::raw("")];
    for (name, table) in [("clusters", &scene.model.clusters), ("machines", &scene.model.machines)]
    {
        lines.push(Line::styled(format!("   {} {name}", table.total()), scene.style(Role::Title)));
        lines.push(Line::raw(""));
        lines.extend(states(scene, table, usize::from(inner.width)));
        lines.push(Line::raw(""));
    }
    let problems = &scene.model.problems;
    for row in (0..problems.len().min(PROBLEMS)).filter_map(|index| problems.at(index)) {
        let count = row.cells.get(1).map(|cell| cell.shown(scene.now)).unwrap_or_default();
        let role = role_of(row.severity);
        lines.push(Line::from(vec![
            Span::styled(format!("   {} {count:>5}  ", row.state.0), scene.style(role)),
            Span::raw(row.why.clone()),
        ]));
    }
    put_lines(buffer, inner, &lines);
}

/// One bar a state, as long as its share.
fn states(scene: &Scene, table: &Table, width: usize) -> Vec<Line<'static>> {
    let total = table.total().max(1);
    let room = width.saturating_sub(30);
    let line = |(severity, sign, word, count): (u8, &'static str, &'static str, usize)| {
        let role = match severity {
            0 => role_of(Severity::Failed),
            1 => role_of(Severity::Degraded),
            2 => role_of(Severity::Busy),
            _ => role_of(Severity::Calm),
        };
        let bar = "█".repeat((room * count).div_ceil(total).min(room));
        Line::from(vec![
            Span::styled(format!("   {sign} {word:<12}{count:>7}  "), scene.style(role)),
            Span::styled(bar, scene.style(role)),
        ])
    };
    table.counts().map(line).collect()
}
