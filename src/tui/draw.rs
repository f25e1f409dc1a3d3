//! Puts a frame together: head, the screen in sight, keys, windows on top.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::commands::cluster_in_sight;
use super::keymap::{Command, Keymap};
use super::rows::Severity;
use super::state::{Overlay, Page, State, View};
use super::text::{age, printable};
use super::theme::Role;
use super::views::grid::width_of;
use super::views::list::{event_lines, newest};
use super::views::{
    Scene, class, cluster, framed, list, part, presenter, put_lines, role_of, timeline, yaml,
};

/// Screens lower or narrower than this have no head, only their rows.
const HEAD_FROM: (u16, u16) = (30, 10);
/// Screens from this height on show the newest event above the keys.
const EVENT_FROM: u16 = 20;

/// Draws everything. What is in sight is noted in the state.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    scene: &Scene,
    state: &mut State,
    keymap: &Keymap,
) {
    if area.is_empty() {
        return;
    }
    let has_head = area.width >= HEAD_FROM.0 && area.height >= HEAD_FROM.1;
    let length = |shown: bool| Constraint::Length(u16::from(shown));
    let overview = state.screen().page == Page::List(View::Clusters) && area.height > 34;
    let [head, totals, trail, banner, main, event, keys] = Layout::vertical([
        length(has_head),
        length(has_head),
        length(area.height >= 4),
        length(scene.head.disconnected.is_some()),
        Constraint::Min(0),
        length(area.height >= EVENT_FROM && !overview),
        length(area.height >= 6),
    ])
    .areas(area);
    draw_head(buffer, head, scene);
    draw_totals(buffer, totals, scene);
    draw_trail(buffer, trail, scene, state);
    draw_banner(buffer, banner, scene);
    draw_page(buffer, main, scene, state);
    put_lines(buffer, event, &event_lines(scene, newest(scene, 1).into_iter()));
    draw_keys(buffer, keys, scene, state, keymap);
    match state.overlay {
        Some(Overlay::Help(from)) => {
            let from = draw_help(buffer, area, scene, keymap, from);
            state.overlay = Some(Overlay::Help(from));
        }
        Some(Overlay::Quit) => {
            let lines = if scene.head.attached { LEAVE } else { QUIT };
            draw_window(buffer, area, scene, "Quit", lines);
        }
        None => {}
    }
}

fn draw_page(buffer: &mut Buffer, area: Rect, scene: &Scene, state: &mut State) {
    if area.is_empty() {
        return;
    }
    let page = state.screen().page.clone();
    match page {
        Page::List(_) if state.presenter => presenter::draw(buffer, area, scene),
        Page::List(_) | Page::Kind { .. } => list::draw(buffer, area, scene, state),
        Page::Cluster(key) => cluster::draw(buffer, area, scene, state, &key),
        Page::Timeline(key) => timeline::draw_cluster(buffer, area, scene, state, &key),
        Page::Part { object, cluster } => {
            part::draw(buffer, area, scene, state, &object, &cluster);
        }
        Page::Class(key) => class::draw(buffer, area, scene, state, &key),
        Page::Yaml(object) => yaml::draw(buffer, area, scene, state, &object),
    }
}

fn draw_head(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let head = scene.head;
    let mut spans = vec![Span::styled(" capim ", scene.style(Role::Title))];
    if !head.hidden {
        spans.push(Span::raw(printable(&format!(" {}  ", head.url))));
    }
    if !head.external.is_empty() {
        let text = format!("external: {}  ", head.external.join(", "));
        spans.push(Span::styled(printable(&text), scene.style(Role::Title)));
    }
    if head.read_only {
        spans.push(Span::styled(" read-only ", scene.style(Role::Banner)));
        spans.push(Span::raw("  "));
    }
    if !head.hidden && !head.kubeconfig.is_empty() {
        let text = printable(&format!("KUBECONFIG={}", head.kubeconfig));
        spans.push(Span::styled(text, scene.style(Role::Dim)));
    }
    put_lines(buffer, area, &[Line::from(spans)]);
}

fn draw_totals(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let clusters = &scene.model.clusters;
    let mut spans = vec![Span::raw(match clusters.total() {
        1 => " 1 cluster".to_owned(),
        total => format!(" {total} clusters"),
    })];
    for (severity, sign, word, count) in clusters.counts() {
        let role = match severity {
            0 => role_of(Severity::Failed),
            1 => role_of(Severity::Degraded),
            2 => role_of(Severity::Busy),
            _ => role_of(Severity::Calm),
        };
        let text = match area.width >= 80 {
            true => format!("{sign} {count} {}", word.to_lowercase()),
            false => format!("{sign}{count}"),
        };
        spans.extend([Span::raw("  "), Span::styled(text, scene.style(role))]);
    }
    let machines = &scene.model.machines;
    let ready: usize = machines
        .counts()
        .filter(|(severity, ..)| *severity == Severity::Calm as u8)
        .map(|(.., count)| count)
        .sum();
    spans.push(Span::raw(format!("   machines {ready}/{} ready", machines.total())));
    put_lines(buffer, area, &[Line::from(spans)]);
}

/// Tabs of the lists, or the way from a list to the screen in sight; the filter while it is typed.
fn draw_trail(buffer: &mut Buffer, area: Rect, scene: &Scene, state: &mut State) {
    let mut spans = Vec::new();
    let mut tabs = Vec::new();
    let screens = state.trail();
    if state.editing_filter {
        spans.push(Span::styled(
            printable(&format!(" /{}▏", state.screen().look.filter)),
            scene.style(Role::Input),
        ));
    } else if let [only] = screens {
        for (index, (view, name)) in View::TABS.iter().enumerate() {
            let role = if Some(*view) == only.view() { Role::Selected } else { Role::Hint };
            let text = match area.width >= 100 {
                true => format!(" {} {name} ", index + 1),
                false if Some(*view) == only.view() => format!(" {} {name} ", index + 1),
                false => format!(" {} ", index + 1),
            };
            let before: usize = spans.iter().map(Span::width).sum();
            let (x, width) = (before as u16 + 1, width_of(&text) as u16);
            tabs.push((Rect { x: area.x + x, width, ..area }.intersection(area), *view));
            spans.extend([Span::raw(" "), Span::styled(text, scene.style(role))]);
        }
        if !only.look.filter.is_empty() {
            let text = format!("   /{}", only.look.filter);
            spans.push(Span::styled(printable(&text), scene.style(Role::Input)));
        }
    } else {
        for (index, screen) in screens.iter().enumerate() {
            let role = if index + 1 == screens.len() { Role::Title } else { Role::Dim };
            let between = if index == 0 { " " } else { " › " };
            spans.push(Span::styled(between, scene.style(Role::Dim)));
            spans.push(Span::styled(printable(&screen.title()), scene.style(role)));
        }
    }
    let mut line = Line::from(spans);
    // The end of a long trail says more than its beginning.
    while line.width() > usize::from(area.width) && line.spans.len() > 2 && screens.len() > 1 {
        line.spans.remove(0);
    }
    put_lines(buffer, area, &[line]);
    state.tabs = tabs;
}

fn draw_banner(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let Some((since, reason)) = &scene.head.disconnected else { return };
    let since = age(Some(*since), scene.now);
    let text = format!(" disconnected for {since}, retrying: {reason}");
    buffer.set_style(area, scene.style(Role::Banner));
    put_lines(buffer, area, &[Line::styled(printable(&text), scene.style(Role::Banner))]);
}

/// Keys of the screen in sight, as many as fit.
fn draw_keys(buffer: &mut Buffer, area: Rect, scene: &Scene, state: &State, keymap: &Keymap) {
    let mut spans = Vec::new();
    if state.editing_filter {
        let text = " text or !text, -l label=value, -f letters   enter keeps it   esc clears it";
        spans.push(Span::styled(text, scene.style(Role::Hint)));
    } else {
        let mut width = 1;
        for (key, label) in keymap.hints(&hinted(state, scene)) {
            width += width_of(&key) + label.len() + 3;
            if width > usize::from(area.width) {
                break;
            }
            spans.push(Span::styled(format!(" {key}"), scene.style(Role::Key)));
            spans.push(Span::styled(format!(" {label} "), scene.style(Role::Hint)));
        }
    }
    put_lines(buffer, area, &[Line::from(spans)]);
}

/// Commands worth a hint, the most useful first.
fn hinted(state: &State, scene: &Scene) -> Vec<Command> {
    let mut commands = vec![Command::Help];
    if state.trail().len() > 1 {
        commands.push(Command::Back);
    }
    let here: &[Command] = match &state.screen().page {
        Page::List(_) | Page::Kind { .. } => &[
            Command::Palette,
            Command::Filter,
            Command::Open,
            Command::Why,
            Command::Yaml,
            Command::ViewTimeline,
            Command::Objects,
        ],
        Page::Cluster(_) => &[
            Command::Open,
            Command::Why,
            Command::Left,
            Command::Conditions,
            Command::Grouping,
            Command::MachineSets,
            Command::Echo,
            Command::Yaml,
            Command::ViewTimeline,
            Command::Objects,
        ],
        Page::Timeline(_) => &[Command::Open, Command::Yaml],
        Page::Part { .. } => &[Command::Why, Command::Yaml, Command::Owner, Command::Logs],
        Page::Class(_) => &[Command::Yaml],
        Page::Yaml(_) => &[Command::Filter],
    };
    commands.extend(here);
    if !scene.head.read_only && cluster_in_sight(state, scene).is_some() {
        commands.extend([Command::Scale, Command::Delete, Command::Kubeconfig]);
    }
    commands.push(Command::Quit);
    commands
}

const QUIT: &[&str] =
    &["Stop the playground? All clusters are lost.", "", "y  stop        any other key  stay"];

/// Where the server is another process.
const LEAVE: &[&str] =
    &["Leave the dashboard? The clusters stay.", "", "y  leave       any other key  stay"];

fn draw_window(buffer: &mut Buffer, screen: Rect, scene: &Scene, title: &str, lines: &[&str]) {
    let width = lines.iter().map(|line| width_of(line)).max().unwrap_or(0) + 4;
    let width = u16::try_from(width).unwrap_or(u16::MAX).min(screen.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(screen.height);
    let area = screen.centered(Constraint::Length(width), Constraint::Length(height));
    Clear.render(area, buffer);
    let inner = framed(buffer, area, scene, title);
    let lines: Vec<Line> = lines.iter().map(|line| Line::raw(format!(" {line}"))).collect();
    put_lines(buffer, inner, &lines);
}

/// All keys from a line on, in as many columns as there is room for; answers the line in sight,
/// which is nearer to the top if there are not so many.
fn draw_help(
    buffer: &mut Buffer,
    screen: Rect,
    scene: &Scene,
    keymap: &Keymap,
    from: usize,
) -> usize {
    const COLUMN: u16 = 58;
    Clear.render(screen, buffer);
    let inner = framed(buffer, screen, scene, "Help   j k scroll   esc close");
    let lines = help_lines(scene, keymap);
    let columns = (inner.width / COLUMN).max(1);
    let height = usize::from(inner.height).max(1);
    let room = height * usize::from(columns);
    let from = from.min(lines.len().saturating_sub(room));
    let width = inner.width / columns;
    for (column, lines) in (0..columns).zip(lines[from..].chunks(height)) {
        let area = Rect { x: inner.x + column * width, width, ..inner };
        put_lines(buffer, area, lines);
    }
    from
}

fn help_lines(scene: &Scene, keymap: &Keymap) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut group = None;
    for command in Command::ALL {
        let keys: Vec<String> =
            keymap.keys_of(command).iter().map(ToString::to_string).take(3).collect();
        if keys.is_empty() {
            continue;
        }
        if group != Some(command.group()) {
            group = Some(command.group());
            let title = format!(" {}", command.group().title().to_uppercase());
            lines.push(Line::styled(title, scene.style(Role::Header)));
        }
        lines.push(Line::from(vec![
            Span::styled(format!("  {:<14}", keys.join(" ")), scene.style(Role::Key)),
            Span::styled(command.sentence(), scene.style(Role::Hint)),
        ]));
    }
    lines
}

/// Replaces everything that is not ASCII by something of the same width that is.
pub(super) fn as_ascii(buffer: &mut Buffer, area: Rect) {
    for y in area.y..area.bottom() {
        for x in area.x..area.right() {
            let Some(cell) = buffer.cell_mut((x, y)) else { continue };
            let symbol = cell.symbol();
            if symbol.is_ascii() {
                continue;
            }
            let first = symbol.chars().next().unwrap_or(' ');
            let wide = width_of(symbol) > 1;
            cell.set_char(ascii_of(first));
            if wide && let Some(next) = buffer.cell_mut((x + 1, y)) {
                next.set_char('?');
            }
        }
    }
}

fn ascii_of(c: char) -> char {
    match c {
        '●' => '*',
        '◐' | '≈' => '~',
        '◔' | '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' => '+',
        '▲' => '!',
        '✖' => 'X',
        '◌' | '─' | '░' => '-',
        '‖' | '▓' => '=',
        '○' | '·' | '…' => '.',
        '│' => '|',
        '▌' | '›' | '→' => '>',
        '█' => '#',
        '▒' => '+',
        '┊' => ':',
        '▏' => '_',
        '×' => 'x',
        _ => '?',
    }
}
