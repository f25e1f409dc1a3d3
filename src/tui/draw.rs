//! Draws the screen from state and model.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect, Size};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Widget};

use super::Sources;
use super::model::{DetailModel, Model, Rows};
use super::rows::MachineRow;
use super::state::{Overlay, State, View};
use super::text::{age, one_line, printable};
use super::theme;

/// Lines above and below the main pane: header, totals, tabs, event, keys.
const FIXED_LINES: u16 = 5;
/// Height of the pane below the clusters.
const LOWER_LINES: u16 = 8;
/// Screens lower than this show no lower pane.
const LOWER_PANE_FROM: u16 = 20;
/// Borders and header of a table.
const TABLE_FRAME: u16 = 3;

/// Rows in sight on a screen of this size.
pub(super) fn page(size: Size, state: &State) -> usize {
    let lower = if has_lower_pane(size.height, state) { LOWER_LINES } else { 0 };
    usize::from(size.height.saturating_sub(FIXED_LINES + lower + TABLE_FRAME))
}

fn has_lower_pane(height: u16, state: &State) -> bool {
    state.view == View::Clusters && state.detail.is_none() && height >= LOWER_PANE_FROM
}

/// Draws everything.
pub(super) fn draw(
    frame: &mut Frame,
    sources: &Sources,
    state: &State,
    model: &Model,
    now: Timestamp,
) {
    let area = frame.area();
    let [header, totals, tabs, main, event, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    let buffer = frame.buffer_mut();
    draw_header(buffer, header, sources);
    draw_totals(buffer, totals, model);
    draw_tabs(buffer, tabs, state);
    match &model.detail {
        Some(detail) => draw_detail(buffer, main, detail, state, now),
        None => draw_view(buffer, main, area.height, sources, state, model, now),
    }
    draw_event(buffer, event, model, now);
    draw_keys(buffer, keys, state);
    match state.overlay {
        Some(Overlay::Help) => draw_window(buffer, area, "Help", HELP),
        Some(Overlay::Quit) => draw_window(buffer, area, "Quit", QUIT),
        None => {}
    }
}

fn draw_header(buffer: &mut Buffer, area: Rect, sources: &Sources) {
    let mut spans =
        vec![Span::styled(" capim ", theme::title()), Span::raw(format!(" {}  ", sources.url))];
    if !sources.external.is_empty() {
        let text = format!("external: {}  ", sources.external.join(", "));
        spans.push(Span::styled(text, theme::title()));
    }
    let kubeconfig = printable(&format!("KUBECONFIG={}", sources.kubeconfig));
    spans.push(Span::styled(kubeconfig, theme::dim()));
    Line::from(spans).render(area, buffer);
}

fn draw_totals(buffer: &mut Buffer, area: Rect, model: &Model) {
    let totals = &model.totals;
    let mut spans = vec![Span::raw(format!(" {} clusters", totals.clusters))];
    for (state, count) in &totals.by_state {
        let (sign, word) = state.label();
        spans.push(Span::raw("  "));
        let text = format!("{sign} {count} {}", word.to_lowercase());
        spans.push(Span::styled(text, theme::severity(state.severity())));
    }
    spans.push(Span::raw(format!(
        "   machines {}/{} ready",
        totals.machines_ready, totals.machines
    )));
    Line::from(spans).render(area, buffer);
}

fn draw_tabs(buffer: &mut Buffer, area: Rect, state: &State) {
    let mut spans = Vec::new();
    for (index, (view, name)) in View::ALL.iter().enumerate() {
        let style = if *view == state.view { theme::selected() } else { Style::new() };
        spans.push(Span::raw(" "));
        spans.push(Span::styled(format!(" {} {name} ", index + 1), style));
    }
    if state.editing_filter || !state.filter.is_empty() {
        let cursor = if state.editing_filter { "▏" } else { "" };
        spans.push(Span::styled(format!("   /{}{cursor}", state.filter), theme::title()));
    }
    Line::from(spans).render(area, buffer);
}

fn draw_view(
    buffer: &mut Buffer,
    area: Rect,
    height: u16,
    sources: &Sources,
    state: &State,
    model: &Model,
    now: Timestamp,
) {
    let lower = if has_lower_pane(height, state) { LOWER_LINES } else { 0 };
    let [upper, lower] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(lower)]).areas(area);
    draw_rows(buffer, upper, state, &model.rows, now);
    if model.rows.len() == 0 {
        draw_empty(buffer, upper, sources, state);
    }
    if lower.height > 0 {
        let title = match &state.selected {
            Some((_, name)) => {
                format!(" Machines of {} {} ", printable(name), model.machines_of_selected.len())
            }
            None => " Machines ".to_owned(),
        };
        let inner = draw_frame(buffer, lower, &title);
        draw_machines(buffer, inner, &model.machines_of_selected, now);
    }
}

fn draw_empty(buffer: &mut Buffer, area: Rect, sources: &Sources, state: &State) {
    let lines = if !state.filter.is_empty() {
        vec![Line::raw(format!("nothing matches {:?}; esc clears the filter", state.filter))]
    } else if state.view == View::Clusters {
        vec![
            Line::raw("No clusters yet. In another terminal:"),
            Line::raw(""),
            Line::raw("  capim create cluster demo"),
            Line::raw(printable(&format!("  export KUBECONFIG={}", sources.kubeconfig))),
        ]
    } else {
        vec![Line::raw("nothing here yet")]
    };
    let inner = Rect {
        x: area.x + 2,
        y: area.y + 2,
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(TABLE_FRAME),
    };
    Paragraph::new(lines).render(inner.intersection(area), buffer);
}

fn draw_rows(buffer: &mut Buffer, area: Rect, state: &State, rows: &Rows, now: Timestamp) {
    let page = usize::from(area.height.saturating_sub(TABLE_FRAME));
    let visible = state.offset..rows.len().min(state.offset + page);
    let mut headers = rows.headers();
    let mut cells: Vec<Vec<String>> = visible.clone().map(|index| rows.cells(index, now)).collect();
    let version = take_uniform(&mut headers, &mut cells, "VERSION");
    let shown = if rows.len() == 0 { 0 } else { state.position + 1 };
    let all = version.map(|version| format!(" all {version} ")).unwrap_or_default();
    let inner = draw_frame(buffer, area, &format!(" {shown}/{} {all}", rows.len()));
    let widths = widths(&headers, &cells, usize::from(inner.width));
    put_row(buffer, inner, 0, &headers, &widths, |_| theme::title());
    for (line, (index, cells)) in visible.zip(&cells).enumerate() {
        let state_style = theme::severity(rows.severity(index));
        let selected = index == state.position;
        let style = |column: usize| match (selected, column == state_column(rows)) {
            (true, _) => theme::selected(),
            (false, true) => state_style,
            (false, false) => Style::new(),
        };
        put_row(buffer, inner, line as u16 + 1, cells, &widths, style);
    }
}

/// Takes out a column that says the same in all rows, and answers what it says.
fn take_uniform(
    headers: &mut Vec<&'static str>,
    rows: &mut [Vec<String>],
    header: &str,
) -> Option<String> {
    let column = headers.iter().position(|name| *name == header)?;
    let first = rows.first()?.get(column)?.clone();
    if rows.len() < 2 || rows.iter().any(|row| row[column] != first) {
        return None;
    }
    headers.remove(column);
    for row in rows {
        row.remove(column);
    }
    Some(printable(&first))
}

/// The column that is colored by state.
fn state_column(rows: &Rows) -> usize {
    match rows {
        Rows::Clusters(_) | Rows::Events(_) => 1,
        Rows::Machines(_) => 3,
        Rows::ControlPlanes(_) => 2,
    }
}

fn draw_machines(buffer: &mut Buffer, area: Rect, machines: &[MachineRow], now: Timestamp) {
    let lines = usize::from(area.height.saturating_sub(1));
    let mut headers = MachineRow::HEADERS.to_vec();
    let mut cells: Vec<Vec<String>> =
        machines.iter().take(lines).map(|row| row.cells(now).to_vec()).collect();
    // They are all of one cluster, which the title names.
    take_uniform(&mut headers, &mut cells, "CLUSTER");
    take_uniform(&mut headers, &mut cells, "VERSION");
    let phase = headers.iter().position(|name| *name == "PHASE");
    let widths = widths(&headers, &cells, usize::from(area.width));
    put_row(buffer, area, 0, &headers, &widths, |_| theme::title());
    for (index, cells) in cells.iter().enumerate() {
        let style = theme::severity(machines[index].state.severity());
        put_row(buffer, area, index as u16 + 1, cells, &widths, |column| {
            if Some(column) == phase { style } else { Style::new() }
        });
    }
}

fn draw_detail(
    buffer: &mut Buffer,
    area: Rect,
    detail: &DetailModel,
    state: &State,
    now: Timestamp,
) {
    let inner = draw_frame(buffer, area, &format!(" {} ", printable(&detail.title)));
    let lines = detail_lines(detail, now);
    let scroll = state.detail.as_ref().map_or(0, |detail| detail.scroll);
    let scroll = scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    let visible: Vec<Line> =
        lines.into_iter().skip(scroll).take(usize::from(inner.height)).collect();
    Paragraph::new(visible).render(inner, buffer);
}

fn detail_lines(detail: &DetailModel, now: Timestamp) -> Vec<Line<'static>> {
    let title = |text: &str| Line::styled(text.to_owned(), theme::title());
    let mut lines: Vec<Line> = detail
        .facts
        .iter()
        .map(|(name, value)| Line::raw(format!("{name:<14} {}", printable(value))))
        .collect();
    lines.extend([Line::raw(""), title("CONDITIONS")]);
    for condition in &detail.conditions {
        let style = match (condition.status.as_str(), condition.reason.as_str()) {
            ("Unknown", _) => theme::dim(),
            _ => Style::new(),
        };
        let at = age(Some(condition.last_transition_time.0), now);
        let message = one_line(&condition.message);
        let text = format!(
            "{:<30} {:<8} {:>6}  {} {message}",
            printable(&condition.type_),
            condition.status,
            at,
            printable(&condition.reason)
        );
        lines.push(Line::styled(text, style));
    }
    if !detail.machines.is_empty() {
        lines.extend([Line::raw(""), title("MACHINES")]);
        for row in &detail.machines {
            let cells = row.cells(now);
            lines.push(Line::raw(format!(
                "{:<44} {:<7} {:<16} {}",
                cells[0], cells[2], cells[3], cells[6]
            )));
        }
    }
    if !detail.events.is_empty() {
        lines.extend([Line::raw(""), title("EVENTS")]);
        for event in &detail.events {
            lines.push(Line::raw(format!(
                "{:>6}  {}  {}",
                age(event.at, now),
                event.reason,
                event.message
            )));
        }
    }
    lines
}

fn draw_event(buffer: &mut Buffer, area: Rect, model: &Model, now: Timestamp) {
    let Some(event) = &model.last_event else { return };
    let text = format!(
        " {} ago  {}  {}  {}",
        age(event.at, now),
        event.about,
        event.reason,
        event.message
    );
    let style =
        if event.warning { theme::severity(super::rows::Severity::Degraded) } else { theme::dim() };
    Line::styled(text, style).render(area, buffer);
}

fn draw_keys(buffer: &mut Buffer, area: Rect, state: &State) {
    let keys = match (&state.detail, state.editing_filter) {
        (Some(_), _) => " esc back  j/k scroll  1-4 views  ? help  q back",
        (None, true) => " type to filter  enter keep  esc clear",
        (None, false) => " enter open  / filter  1-4 tab views  j/k move  g/G ends  ? help  q quit",
    };
    Line::styled(keys, theme::dim()).render(area, buffer);
}

fn draw_frame(buffer: &mut Buffer, area: Rect, title: &str) -> Rect {
    let block = Block::bordered().title(title.to_owned()).border_style(theme::dim());
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

const HELP: &[&str] = &[
    "1 2 3 4, tab     clusters, machines, control planes, events",
    "j k, arrows      move          g G   first, last",
    "page keys, ^f ^b page          enter open",
    "/                filter; enter keeps it, esc clears it",
    "esc, q           back; q in a view asks to quit",
    "^l               draw again    ^c ^c quit",
    "",
    "● available  ◐ provisioning  ◔ scaling  ▲ degraded",
    "✖ failed  ◌ deleting  ‖ paused  ○ new",
];

const QUIT: &[&str] =
    &["Stop the playground? All clusters are lost.", "", "y  stop        any other key  stay"];

fn draw_window(buffer: &mut Buffer, screen: Rect, title: &str, lines: &[&str]) {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0) as u16 + 4;
    let area =
        screen.centered(Constraint::Length(width), Constraint::Length(lines.len() as u16 + 2));
    Clear.render(area, buffer);
    let block = Block::bordered().title(format!(" {title} "));
    let text: Vec<Line> = lines.iter().map(|line| Line::raw(format!(" {line}"))).collect();
    Paragraph::new(text).block(block).render(area, buffer);
}

/// Widths of columns: as wide as needed, the last one takes what is left; if there is not enough,
/// the widest one (mostly the name) gives way.
fn widths<H: AsRef<str>>(headers: &[H], rows: &[Vec<String>], total: usize) -> Vec<usize> {
    let mut widths: Vec<usize> =
        headers.iter().map(|header| header.as_ref().chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let last = widths.len().saturating_sub(1);
    let gaps = last;
    let fixed: usize = widths[..last].iter().sum::<usize>() + gaps;
    let wanted_for_last = widths[last].min(total / 4);
    if fixed + wanted_for_last > total {
        let excess = fixed + wanted_for_last - total;
        let widest = (0..last).max_by_key(|column| widths[*column]).unwrap_or(0);
        widths[widest] = widths[widest].saturating_sub(excess).max(12);
    }
    let fixed: usize = widths[..last].iter().sum::<usize>() + gaps;
    widths[last] = total.saturating_sub(fixed);
    widths
}

fn put_row<T: AsRef<str>>(
    buffer: &mut Buffer,
    area: Rect,
    line: u16,
    cells: &[T],
    widths: &[usize],
    style: impl Fn(usize) -> Style,
) {
    if line >= area.height {
        return;
    }
    let (mut x, y) = (area.x, area.y + line);
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let left = usize::from(area.right().saturating_sub(x));
        let width = (*width).min(left);
        let style = style(column);
        let text = fitted(&printable(cell.as_ref()), width);
        buffer.set_stringn(x, y, &text, width, style);
        x = x.saturating_add(width as u16);
        if column + 1 < cells.len() && x < area.right() {
            buffer.set_stringn(x, y, " ", 1, style);
            x += 1;
        }
    }
}

/// Text of exactly `width` characters, with an ellipsis if it was longer.
fn fitted(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return format!("{text}{}", " ".repeat(width - length));
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_column_takes_the_rest_and_the_name_gives_way() {
        let rows = vec![vec!["n".repeat(60), "state".to_owned(), "why".repeat(20)]];
        let widths = widths(&["NAME", "STATE", "WHY"], &rows, 80);
        assert_eq!(widths.iter().sum::<usize>() + 2, 80);
        assert_eq!(widths[1], 5);
        assert!(widths[2] >= 20, "{widths:?}");
    }

    #[test]
    fn text_is_cut_with_an_ellipsis() {
        assert_eq!(fitted("abc", 5), "abc  ");
        assert_eq!(fitted("abcdef", 4), "abc…");
    }
}
