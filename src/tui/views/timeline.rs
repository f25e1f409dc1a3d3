//! Clusters and machines along time: what they spent it on, and what is still to come. The future
//! part is what the middle machine of this playground took; it says so with "≈".

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::grid::put_cut;
use super::{Scene, framed, put_lines};
use crate::api::core::{Cluster, Machine};
use crate::client::ObjectKey;
use crate::describe::timeline::STAGES;
use crate::tui::model::row::{Object, Row};
use crate::tui::model::stages::{Start, Summary, available_since, seconds, since_true};
use crate::tui::state::{LineName, Screen, State, View};
use crate::tui::text::printable;
use crate::tui::theme::Role;

/// Rows that the stages of one machine take.
pub(super) const STAGE_ROWS: u16 = STAGES.len() as u16;
/// Signs of the stages, in order.
const SIGNS: [&str; STAGES.len()] = ["░", "▓", "▒", "█"];
const FUTURE: &str = "·";
const NOW: &str = "┊";
/// Columns of the length behind a bar.
const LENGTH: u16 = 9;

/// One bar.
struct Bar {
    name: String,
    role: Role,
    begin: Timestamp,
    /// From, to, sign, role.
    parts: Vec<(Timestamp, Timestamp, &'static str, Role)>,
    length: String,
    critical: bool,
}

impl Bar {
    fn line_name(&self) -> LineName {
        LineName { object: Some(("Machine".to_owned(), self.name.clone())), part: String::new() }
    }

    fn end(&self) -> Timestamp {
        self.parts.iter().map(|(_, to, ..)| *to).max().unwrap_or(self.begin)
    }

    /// Start of a machine.
    fn of_machine(scene: &Scene, row: &Row) -> Option<Self> {
        let Object::Machine(machine) = &row.object else { return None };
        let start = Start::of(machine)?;
        let mut bar = Self {
            name: row.key.name.clone(),
            role: super::role_of(row.severity),
            begin: start.created,
            parts: Vec::new(),
            length: String::new(),
            critical: false,
        };
        for (stage, sign) in start.stages.iter().zip(SIGNS) {
            let end = stage.end.unwrap_or(scene.now);
            bar.parts.push((stage.start, end.max(stage.start), sign, Role::Text));
        }
        bar.finish(scene, start.ready(), start.expected(&scene.model.stages, scene.now));
        Some(bar)
    }

    /// Start of a cluster, until it was available.
    fn of_cluster(scene: &Scene, row: &Row) -> Option<Self> {
        let Object::Cluster(cluster) = &row.object else { return None };
        let begin = cluster.metadata.creation_timestamp.as_ref()?.0;
        let mut bar = Self {
            name: row.cells.first()?.shown(scene.now),
            role: super::role_of(row.severity),
            begin,
            parts: Vec::new(),
            length: String::new(),
            critical: false,
        };
        let mut from = begin;
        for ((_, end), sign) in milestones(cluster).into_iter().zip(["░", "▓", "█"]) {
            let to = end.unwrap_or(scene.now).max(from);
            bar.parts.push((from, to, sign, Role::Text));
            from = to;
            if end.is_none() {
                break;
            }
        }
        let machines = scene.model.machines.group(&row.key);
        let expected = machines.filter_map(|row| match &row.object {
            Object::Machine(machine) => {
                Start::of(machine)?.expected(&scene.model.stages, scene.now)
            }
            _ => None,
        });
        let available = milestones(cluster)[2].1;
        bar.finish(scene, available, expected.max());
        Some(bar)
    }

    fn finish(&mut self, scene: &Scene, done: Option<Timestamp>, expected: Option<Timestamp>) {
        self.length = match (done, expected) {
            (Some(done), _) => format!("{:.0}s", seconds(self.begin, done)),
            (None, Some(expected)) if expected > scene.now => {
                self.parts.push((scene.now, expected, FUTURE, Role::Future));
                format!("≈{:.0}s", seconds(self.begin, expected))
            }
            (None, _) => format!("{:.0}s …", seconds(self.begin, scene.now)),
        };
    }
}

/// What a cluster reaches, one after the other.
fn milestones(cluster: &Cluster) -> [(&'static str, Option<Timestamp>); 3] {
    let all =
        cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    [
        ("infrastructure", since_true(all, "InfrastructureReady")),
        ("control plane", since_true(all, "ControlPlaneInitialized")),
        ("available", available_since(cluster)),
    ]
}

/// Time along columns.
struct Scale {
    begin: Timestamp,
    seconds: f64,
    x: u16,
    width: u16,
}

impl Scale {
    fn of(bars: &[Bar], x: u16, width: u16) -> Option<Self> {
        let begin = bars.iter().map(|bar| bar.begin).min()?;
        let end = bars.iter().map(Bar::end).max()?;
        Some(Self { begin, seconds: seconds(begin, end).max(1.0), x, width })
    }

    fn column(&self, time: Timestamp) -> u16 {
        let share = (seconds(self.begin, time) / self.seconds).clamp(0.0, 1.0);
        // Between 0 and the width, which is a u16.
        self.x + (share * f64::from(self.width)).round() as u16
    }

    fn draw(&self, buffer: &mut Buffer, scene: &Scene, y: u16, bar: &Bar) {
        for (from, to, sign, role) in &bar.parts {
            let role = if bar.critical && *role == Role::Text { Role::Critical } else { *role };
            let (from, to) = (self.column(*from), self.column(*to));
            for x in from..to.min(self.x + self.width) {
                buffer.set_stringn(x, y, sign, 1, scene.style(role));
            }
        }
    }

    /// Marks of time, as many as have room.
    fn draw_axis(&self, buffer: &mut Buffer, scene: &Scene, y: u16) {
        const EVERY: u16 = 12;
        for x in (0..self.width.saturating_sub(6)).step_by(usize::from(EVERY)) {
            let at = self.seconds * f64::from(x) / f64::from(self.width.max(1));
            let text = if self.seconds > 600.0 {
                format!("{:.0}m", at / 60.0)
            } else {
                format!("{at:.0}s")
            };
            buffer.set_stringn(self.x + x, y, text, usize::from(EVERY), scene.style(Role::Dim));
        }
    }

    fn draw_now(&self, buffer: &mut Buffer, scene: &Scene, rows: std::ops::Range<u16>) {
        if seconds(self.begin, scene.now) > self.seconds || scene.now < self.begin {
            return;
        }
        let x = self.column(scene.now).min(self.x + self.width.saturating_sub(1));
        for y in rows {
            if buffer.area.contains((x, y).into()) && buffer[(x, y)].symbol() == " " {
                buffer.set_stringn(x, y, NOW, 1, scene.style(Role::Dim));
            }
        }
    }
}

/// Draws bars under an axis, with names before and lengths behind them.
fn draw_bars(
    buffer: &mut Buffer,
    area: Rect,
    scene: &Scene,
    bars: &[Bar],
    selected: Option<usize>,
) {
    let longest = bars.iter().map(|bar| super::grid::width_of(&bar.name)).max().unwrap_or(0);
    let names = u16::try_from(longest + 2).unwrap_or(u16::MAX).min(area.width / 3);
    let width = area.width.saturating_sub(names + LENGTH + 1);
    let Some(scale) = Scale::of(bars, area.x + names, width) else { return };
    if area.height == 0 || width == 0 {
        return;
    }
    scale.draw_axis(buffer, scene, area.y);
    for (index, bar) in bars.iter().enumerate() {
        let y = area.y + 1 + u16::try_from(index).unwrap_or(u16::MAX - area.y - 1);
        if y >= area.bottom() {
            break;
        }
        let name = printable(&bar.name);
        let role = if bar.critical { Role::Critical } else { bar.role };
        put_cut(
            buffer,
            (area.x + 1, y),
            &name,
            usize::from(names.saturating_sub(2)),
            scene.style(role),
        );
        scale.draw(buffer, scene, y, bar);
        let x = scale.x + scale.width + 1;
        put_cut(buffer, (x, y), &bar.length, usize::from(LENGTH), scene.style(Role::Text));
        if selected == Some(index) {
            let name = Rect { x: area.x, y, width: names, height: 1 }.intersection(area);
            buffer.set_style(name, scene.style(Role::Selected));
        }
    }
    scale.draw_now(buffer, scene, area.y + 1..area.bottom());
}

/// All clusters, in the order of the list.
pub(super) fn draw_all(buffer: &mut Buffer, area: Rect, scene: &Scene, screen: &mut Screen) {
    let table = scene.model.table(View::Timeline);
    let below = if area.height >= 14 { STAGE_ROWS + 4 } else { 0 };
    let [upper, lower] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(below)]).areas(area);
    let page = usize::from(upper.height.saturating_sub(4));
    screen.cursor.settle(table, page);
    let visible = screen.cursor.offset..table.len().min(screen.cursor.offset + page);
    let position = screen.cursor.position.saturating_sub(screen.cursor.offset);
    let bars: Vec<Bar> =
        visible.filter_map(|index| Bar::of_cluster(scene, table.at(index)?)).collect();
    let place = if table.len() == 0 { 0 } else { screen.cursor.position + 1 };
    let mut title = format!("Clusters until available {place}/{}", table.len());
    if !screen.look.filter.is_empty() {
        title.push_str(&format!("  /{}", printable(&screen.look.filter)));
    }
    let inner = framed(buffer, upper, scene, &title);
    let [chart, legend] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(inner);
    draw_bars(buffer, chart, scene, &bars, Some(position));
    let text = " ░ infrastructure  ▓ control plane  █ until available  · predicted  ┊ now";
    put_lines(buffer, legend, &[Line::styled(text, scene.style(Role::Dim))]);
    if below > 0 {
        draw_percentiles(buffer, lower, scene);
    }
}

/// Machines of one cluster, the first created first.
pub(in crate::tui) fn draw_cluster(
    buffer: &mut Buffer,
    area: Rect,
    scene: &Scene,
    state: &mut State,
    key: &ObjectKey,
) {
    let mut bars = machine_bars(scene, key);
    let path = mark_critical(&mut bars);
    let below = if area.height >= 14 { STAGE_ROWS + 4 } else { 0 };
    let [upper, lower] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(below)]).areas(area);
    let title = format!("Machines of {} until ready {}", printable(&key.to_string()), bars.len());
    let inner = framed(buffer, upper, scene, &title);
    let [chart, legend] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(2)]).areas(inner);
    let page = usize::from(chart.height.saturating_sub(1));
    let cursor = &mut state.screen_mut().cursor;
    cursor.settle_lines(bars.iter().map(Bar::line_name).collect(), page);
    let end = bars.len().min(cursor.offset + page);
    let offset = cursor.offset.min(end);
    draw_bars(
        buffer,
        chart,
        scene,
        &bars[offset..end],
        Some(cursor.position.saturating_sub(offset)),
    );
    let text = " ░ bootstrap  ▓ infrastructure  ▒ node  █ ready  · predicted  ┊ now";
    let mut lines = vec![Line::styled(text, scene.style(Role::Dim))];
    if !path.is_empty() {
        lines.push(Line::from(vec![
            Span::styled(" critical path  ", scene.style(Role::Critical)),
            Span::raw(printable(&path.join(" → "))),
        ]));
    }
    put_lines(buffer, legend, &lines);
    if below > 0 {
        draw_percentiles(buffer, lower, scene);
    }
}

/// The same in a small pane, without legends.
pub(super) fn lifecycle(buffer: &mut Buffer, area: Rect, scene: &Scene, key: &ObjectKey) {
    let mut bars = machine_bars(scene, key);
    mark_critical(&mut bars);
    draw_bars(buffer, area, scene, &bars, None);
}

fn machine_bars(scene: &Scene, key: &ObjectKey) -> Vec<Bar> {
    let machines = scene.model.machines.group(key);
    let mut bars: Vec<Bar> = machines.filter_map(|row| Bar::of_machine(scene, row)).collect();
    bars.sort_by(|a, b| (a.begin, &a.name).cmp(&(b.begin, &b.name)));
    bars
}

/// Marks the chain of machines that the last one had to wait for, and answers it: before a machine
/// comes the one that ended last before it was created.
fn mark_critical(bars: &mut [Bar]) -> Vec<String> {
    let last = (0..bars.len()).max_by_key(|index| bars[*index].end());
    let mut path = Vec::new();
    let mut current = last;
    while let Some(index) = current {
        bars[index].critical = true;
        path.push(bars[index].name.clone());
        let begin = bars[index].begin;
        let before =
            (0..bars.len()).filter(|other| !bars[*other].critical && bars[*other].end() <= begin);
        current = before.max_by_key(|other| bars[*other].end());
    }
    path.reverse();
    path
}

/// How long each stage took for all machines.
fn draw_percentiles(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let stages = &scene.model.stages;
    let title = format!("Stages of {} ready machines", stages.total.count);
    let inner = framed(buffer, area, scene, &title);
    let head = format!(" {:<16}{:>9}{:>9}{:>9}", "STAGE", "P50", "P95", "P99");
    let mut lines = vec![Line::styled(head, scene.style(Role::Header))];
    let line = |name: &str, sum: &Summary| {
        Line::raw(format!(" {name:<16}{:>8.1}s{:>8.1}s{:>8.1}s", sum.p50, sum.p95, sum.p99))
    };
    lines.extend(STAGES.iter().zip(&stages.lengths).map(|((name, _), sum)| line(name, sum)));
    lines.push(line("all", &stages.total));
    put_lines(buffer, inner, &lines);
}

/// Stages of one machine, one row each.
pub(super) fn stages(buffer: &mut Buffer, area: Rect, scene: &Scene, machine: &Machine) {
    let Some(start) = Start::of(machine) else { return };
    let bars: Vec<Bar> = STAGES
        .iter()
        .zip(SIGNS)
        .enumerate()
        .map(|(index, ((name, _), sign))| {
            let stage = start.stages.get(index);
            let mut bar = Bar {
                name: (*name).to_owned(),
                role: Role::Text,
                begin: start.created,
                parts: Vec::new(),
                length: String::new(),
                critical: false,
            };
            if let Some(stage) = stage {
                let end = stage.end.unwrap_or(scene.now).max(stage.start);
                let more = if stage.end.is_none() { " …" } else { "" };
                bar.parts.push((stage.start, end, sign, Role::Text));
                bar.length = format!("{:.0}s{more}", seconds(stage.start, end));
            }
            if start.ready().is_none()
                && index == STAGES.len() - 1
                && let Some(expected) = start.expected(&scene.model.stages, scene.now)
            {
                bar.parts.push((scene.now, expected, FUTURE, Role::Future));
                bar.length = format!("≈{:.0}s", seconds(start.created, expected));
            }
            bar
        })
        .collect();
    draw_bars(buffer, area, scene, &bars, None);
}
