//! A cluster as the tree of `clusterctl describe cluster`, and why it is as it is.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::grid::width_of;
use super::list::{event_lines, events_about};
use super::{Scene, framed, put_lines, why};
use crate::client::ObjectKey;
use crate::describe::{Cell, HEADERS, Options, Row, Sources as Objects, Tone, Tree, rows};
use crate::tui::state::{Conditions, LineName, ObjectRef, Page, State};
use crate::tui::text::printable;
use crate::tui::theme::Role;

/// Messages in the tree are broken at this width at least.
const MESSAGE_MIN: usize = 20;
/// Areas from this height on show "why" and events, too.
const PANES_FROM: u16 = 16;

/// Draws the page.
pub(in crate::tui) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    scene: &Scene,
    state: &mut State,
    key: &ObjectKey,
) {
    let objects = match scene.objects(key) {
        Ok(objects) => objects,
        Err(reason) => {
            let inner = framed(buffer, area, scene, &printable(&key.to_string()));
            put_lines(buffer, inner, &[Line::raw(printable(reason))]);
            return;
        }
    };
    let width = usize::from(area.width.saturating_sub(2));
    let lines = why::lines(scene, objects, &objects.cluster, width);
    if state.why {
        let inner = framed(buffer, area, scene, "Why");
        scroll(buffer, inner, state, &lines);
        return;
    }
    let heights = match area.height >= PANES_FROM {
        true => [
            (u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2)).min(area.height / 3),
            (area.height / 5).max(4),
        ],
        false => [0, 0],
    };
    let [tree, below, events] = Layout::vertical([
        Constraint::Min(0),
        Constraint::Length(heights[0]),
        Constraint::Length(heights[1]),
    ])
    .areas(area);
    draw_tree(buffer, tree, scene, state, objects);
    if heights[0] > 0 {
        let inner = framed(buffer, below, scene, "Why");
        put_lines(buffer, inner, &lines);
        let inner = framed(buffer, events, scene, "Events");
        let rows = events_about(scene, "Cluster", key);
        put_lines(buffer, inner, &event_lines(scene, rows.into_iter()));
    }
}

/// Lines with a place to scroll to.
pub(super) fn scroll(buffer: &mut Buffer, area: Rect, state: &mut State, lines: &[Line<'_>]) {
    let cursor = &mut state.screen_mut().cursor;
    cursor.scroll(lines.len(), usize::from(area.height));
    put_lines(buffer, area, &lines[cursor.offset.min(lines.len())..]);
}

/// The same for many lines, of which only those in sight are made.
pub(super) fn scroll_through(
    buffer: &mut Buffer,
    area: Rect,
    state: &mut State,
    count: usize,
    line: impl Fn(usize) -> Line<'static>,
) {
    let cursor = &mut state.screen_mut().cursor;
    let page = usize::from(area.height);
    cursor.scroll(count, page);
    let sight = cursor.offset..count.min(cursor.offset + page);
    put_lines(buffer, area, &sight.map(line).collect::<Vec<_>>());
}

/// The tree's options as the keys have set them.
fn options(state: &State) -> Options {
    Options {
        show_conditions: match state.conditions {
            Conditions::None => "",
            Conditions::NotNormal => "all+",
            Conditions::All => "all",
        }
        .to_owned(),
        show_machine_sets: state.sets,
        echo: state.echo,
        grouping: state.grouping,
        ..Options::default()
    }
}

fn draw_tree(buffer: &mut Buffer, area: Rect, scene: &Scene, state: &mut State, objects: &Objects) {
    let on = |on: bool| if on { "on" } else { "off" };
    let conditions = match state.conditions {
        Conditions::NotNormal => "not normal",
        Conditions::All => "all",
        Conditions::None => "none",
    };
    let title = format!(
        "Tree  groups {}  conditions {conditions}  sets {}  echo {}",
        on(state.grouping),
        on(state.sets),
        on(state.echo)
    );
    let inner = framed(buffer, area, scene, &title);
    let all = tree_rows(scene, state, objects, usize::from(inner.width));
    let visible = unfolded(&all, state);
    let page = usize::from(inner.height.saturating_sub(1));
    let cursor = &mut state.screen_mut().cursor;
    cursor.settle_lines(names(&visible), page);
    let (offset, position) = (cursor.offset, cursor.position);
    let shown: Vec<&Row> = visible.iter().skip(offset).take(page).copied().collect();
    let columns = Columns::of(&visible, usize::from(inner.width));
    columns.put(buffer, inner, 0, |column| {
        vec![Span::styled(HEADERS[column].to_owned(), scene.style(Role::Header))]
    });
    for (index, row) in shown.into_iter().enumerate() {
        let y = u16::try_from(index + 1).unwrap_or(u16::MAX);
        columns.put(buffer, inner, y, |column| {
            row.cells[column]
                .iter()
                .map(|span| Span::styled(printable(&span.text), scene.style(tone(span.tone))))
                .collect()
        });
        if offset + index == position {
            let line = Rect { y: inner.y + y, height: 1, ..inner }.intersection(inner);
            buffer.set_style(line, scene.style(Role::Selected));
        }
    }
}

fn tree_rows(scene: &Scene, state: &State, objects: &Objects, width: usize) -> Vec<Row> {
    let tree = Tree::of(objects, options(state));
    // What the other columns leave to messages.
    let narrow = rows(&tree, scene.now, usize::MAX);
    let columns = Columns::of(&narrow.iter().collect::<Vec<_>>(), usize::MAX);
    let before: usize = columns.widths[..HEADERS.len() - 1].iter().map(|width| width + 1).sum();
    rows(&tree, scene.now, width.saturating_sub(before).max(MESSAGE_MIN))
}

/// Rows that are not below a folded one.
fn unfolded<'a>(rows: &'a [Row], state: &State) -> Vec<&'a Row> {
    let folded = &state.screen().folded;
    let mut visible = Vec::new();
    let mut below: Option<usize> = None;
    for row in rows {
        let depth = depth(row);
        if below.is_some_and(|folded| depth.is_none_or(|depth| depth > folded)) {
            continue;
        }
        below = None;
        visible.push(row);
        if fold_name(row).is_some_and(|name| folded.contains(&name)) {
            below = depth;
        }
    }
    visible
}

/// How deep a row lies; none in further lines of a row above.
fn depth(row: &Row) -> Option<usize> {
    let text: String = row.cells.first()?.iter().map(|span| span.text.as_str()).collect();
    let own = text.trim_start_matches([' ', '│', '├', '└', '─']);
    (!own.is_empty()).then(|| width_of(&text) - width_of(own))
}

fn fold_name(row: &Row) -> Option<String> {
    Some(format!("{}/{}", row.kind.as_ref()?, row.name.as_ref()?))
}

/// What the lines of a tree are: conditions and further lines belong to the object above them,
/// headings and groups to none.
fn names(rows: &[&Row]) -> Vec<LineName> {
    let mut object = None;
    let mut part = String::new();
    let mut names = Vec::with_capacity(rows.len());
    for row in rows {
        let text: String = row.cells.iter().take(1).flatten().map(|it| it.text.as_str()).collect();
        if let (Some(kind), Some(name)) = (&row.kind, &row.name) {
            object = Some((kind.clone(), name.clone()));
            part.clear();
        } else if depth(row).is_none() {
            // A further line of whatever is above.
            part.push('+');
        } else {
            if !is_condition(row) {
                object = None;
            }
            // Groups count their members.
            part = text.chars().filter(|character| !character.is_ascii_digit()).collect();
        }
        names.push(LineName { object: object.clone(), part: part.clone() });
    }
    names
}

fn is_condition(row: &Row) -> bool {
    row.cells.iter().take(1).flatten().any(|span| span.tone == Tone::Type)
}

/// The object under the cursor; the cluster where "why" tells of it.
pub(in crate::tui) fn selected_object(scene: &Scene, state: &State) -> Option<ObjectRef> {
    let Page::Cluster(cluster) = &state.screen().page else { return None };
    let objects = scene.objects(cluster).ok()?;
    let (kind, name) = match state.why {
        true => ("Cluster".to_owned(), cluster.name.clone()),
        false => state.screen().cursor.line()?.object.clone()?,
    };
    let object = objects.find(&kind, &name)?;
    Some(ObjectRef {
        within: None,
        api_version: object["apiVersion"].as_str().unwrap_or_default().to_owned(),
        kind,
        key: ObjectKey::new(cluster.namespace.clone(), name),
    })
}

/// Folds or unfolds the branch under the cursor.
pub(in crate::tui) fn fold(state: &mut State, fold: bool) {
    let line = state.screen().cursor.line().and_then(|line| line.object.as_ref());
    let Some(name) = line.map(|(kind, name)| format!("{kind}/{name}")) else { return };
    let folded = &mut state.screen_mut().folded;
    match fold {
        true => folded.insert(name),
        false => folded.remove(&name),
    };
}

/// Folds every branch but the root, or unfolds all.
pub(in crate::tui) fn fold_all(scene: &Scene, state: &mut State) {
    if !state.screen().folded.is_empty() {
        state.screen_mut().folded.clear();
        return;
    }
    let Page::Cluster(key) = &state.screen().page else { return };
    let Ok(objects) = scene.objects(key) else { return };
    let rows = tree_rows(scene, state, objects, usize::MAX);
    let names = rows.iter().filter(|row| depth(row).is_some_and(|depth| depth > 0));
    let names: Vec<String> = names.filter_map(fold_name).collect();
    state.screen_mut().folded.extend(names);
}

fn tone(tone: Tone) -> Role {
    match tone {
        Tone::Plain => Role::Text,
        Tone::Dim => Role::Dim,
        Tone::Strong => Role::Title,
        Tone::Good => Role::Good,
        Tone::Bad => Role::Bad,
        Tone::Doubtful => Role::Warning,
        Tone::Type => Role::Busy,
    }
}

/// Widths of the tree's columns; narrow screens leave out counters.
struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// Columns that go first where there is no room, in this order: since, up to date, available,
    /// reason, ready, replicas.
    const LEFT_OUT: [usize; 6] = [7, 4, 2, 6, 3, 1];

    fn of(rows: &[&Row], total: usize) -> Self {
        let cell_width = |cell: &Cell| cell.iter().map(|span| width_of(&span.text)).sum::<usize>();
        let mut widths: Vec<usize> = HEADERS.iter().map(|header| width_of(header)).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(cell_width(cell));
            }
        }
        let last = widths.len() - 1;
        for column in Self::LEFT_OUT {
            let needed: usize =
                widths[..last].iter().filter(|width| **width > 0).map(|width| width + 1).sum();
            if needed + MESSAGE_MIN.min(total / 4) <= total {
                break;
            }
            widths[column] = 0;
        }
        let fixed: usize =
            widths[1..last].iter().filter(|width| **width > 0).map(|width| width + 1).sum();
        widths[0] = widths[0].min(total.saturating_sub(fixed + 1));
        widths[last] = total.saturating_sub(fixed + widths[0] + 1);
        Self { widths }
    }

    fn put(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        line: u16,
        cell: impl Fn(usize) -> Vec<Span<'static>>,
    ) {
        let y = area.y.saturating_add(line);
        if y >= area.bottom() {
            return;
        }
        let mut x = area.x;
        for (column, width) in self.widths.iter().enumerate() {
            if *width == 0 || x >= area.right() {
                continue;
            }
            let room = u16::try_from(*width).unwrap_or(u16::MAX).min(area.right() - x);
            buffer.set_line(x, y, &Line::from(cell(column)), room);
            x = x.saturating_add(room).saturating_add(1);
        }
    }
}
