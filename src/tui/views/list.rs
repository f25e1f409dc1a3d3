//! Lists, with what belongs to the selected row around them where there is room.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::grid::{self, Grid};
use super::part::condition_lines;
use super::timeline::lifecycle;
use super::{Scene, framed, put_lines, role_of, subject, wrapped};
use crate::client::{ClientRequests, ObjectKey};
use crate::tui::fetch::{Fetched, Got, ServerTable, Want};
use crate::tui::model::events;
use crate::tui::model::row::{Cell, Object, Row};
use crate::tui::rows::Severity;
use crate::tui::state::{Page, Screen, State, View};
use crate::tui::text::{one_line, printable};
use crate::tui::theme::Role;

/// Screens from this size on show everything at once.
const WIDE: (u16, u16) = (110, 30);
/// Areas from this height on show a pane below the list.
const LOWER_FROM: u16 = 15;
/// Height of that pane.
const LOWER: u16 = 8;

/// Draws the list of the screen in sight.
pub(in crate::tui) fn draw(buffer: &mut Buffer, area: Rect, scene: &Scene, state: &mut State) {
    let Some(view) = state.screen().view() else { return };
    if scene.model.table(view).total() == 0 {
        draw_empty(buffer, area, scene, state.screen(), view);
        return;
    }
    if view == View::Timeline {
        super::timeline::draw_all(buffer, area, scene, state.screen_mut());
        return;
    }
    let screen = state.screen_mut();
    if view == View::Clusters && area.width >= WIDE.0 && area.height >= WIDE.1 {
        draw_overview(buffer, area, scene, screen);
        return;
    }
    let lower = match area.height >= LOWER_FROM && view != View::Objects {
        true => LOWER.max(area.height / 4),
        false => 0,
    };
    let [upper, lower] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(lower)]).areas(area);
    draw_table(buffer, upper, scene, screen, view);
    let selected = screen.cursor.selected.as_ref().and_then(|key| scene.model.table(view).get(key));
    if let (Some(row), true) = (selected, lower.height > 0) {
        draw_below(buffer, lower, scene, row);
    }
}

/// Everything about the playground on one large screen.
fn draw_overview(buffer: &mut Buffer, area: Rect, scene: &Scene, screen: &mut Screen) {
    let events_height = 6;
    let [main, machines, news] = Layout::vertical([
        Constraint::Min(0),
        Constraint::Length((area.height / 4).max(9)),
        Constraint::Length(events_height),
    ])
    .areas(area);
    let side = (area.width / 3).clamp(40, 60);
    let sides =
        |area| Layout::horizontal([Constraint::Min(0), Constraint::Length(side)]).areas(area);
    let [list, right]: [Rect; 2] = sides(main);
    draw_table(buffer, list, scene, screen, View::Clusters);
    let [control_plane, problems] =
        Layout::vertical([Constraint::Length(9), Constraint::Min(0)]).areas(right);
    draw_problems(buffer, problems, scene);
    draw_events(buffer, news, scene);
    let [left, lifecycle_area]: [Rect; 2] = sides(machines);
    let selected = screen.cursor.selected.clone();
    if let Some(key) = selected {
        draw_control_plane(buffer, control_plane, scene, &key);
        draw_machines(buffer, left, scene, &key);
        let title = format!("Lifecycle of {}", printable(&key.name));
        let inner = framed(buffer, lifecycle_area, scene, &title);
        lifecycle(buffer, inner, scene, &key);
    }
}

/// The table itself.
pub(in crate::tui) fn draw_table(
    buffer: &mut Buffer,
    area: Rect,
    scene: &Scene,
    screen: &mut Screen,
    view: View,
) {
    let table = scene.model.table(view);
    let has_frame = area.height >= 6 && area.width >= 30;
    let frame = if has_frame { 2 } else { 0 };
    let page = usize::from(area.height.saturating_sub(frame + 1));
    screen.cursor.settle(table, page);
    screen.marked.retain(|key| table.get(key).is_some());
    let visible = screen.cursor.offset..table.len().min(screen.cursor.offset + page);
    let shown = visible.len();
    let mut grid = Grid::new(&table.columns, scene.style(Role::Header));
    if let Some(style) =
        screen.look.sort.column.and_then(|column| grid.header_styles.get_mut(column))
    {
        *style = scene.style(Role::SortedHeader);
    }
    for index in visible {
        let Some(row) = table.at(index) else { break };
        let marked = screen.marked.contains(&row.key);
        let mut line = line(scene, row);
        if index == screen.cursor.position {
            line.ground = Some(scene.style(Role::Selected));
        } else if marked {
            line.ground = Some(scene.style(Role::Marked));
        }
        if let (true, Some(name)) = (marked, line.cells.first_mut()) {
            name.insert(0, '▌');
        }
        grid.rows.push(line);
    }
    let version = grid.take_uniform("VERSION").filter(|version| !version.is_empty());
    let mut title = title(screen, view, table.len(), table.total(), version);
    if let (View::Objects, Some(Ok(Got::Table(ServerTable { left_out: more @ 1.., .. })))) =
        (view, scene.fetched.map(|fetched| &fetched.got))
    {
        title.push_str(&format!("  {more} more on the server"));
    }
    let inner = if has_frame { framed(buffer, area, scene, &title) } else { area };
    grid.draw(buffer, inner, 1);
    // Below the headers.
    let below = Rect { y: inner.y.saturating_add(1), ..inner }.intersection(inner);
    screen.cursor.area = Rect { height: below.height.min(shown as u16), ..below };
    if table.len() == 0 {
        let text = format!("nothing matches {:?}; esc clears the filter", screen.look.filter);
        let below = Rect { y: inner.y.saturating_add(2), ..inner }.intersection(inner);
        put_lines(
            buffer,
            below,
            &[Line::styled(format!(" {}", printable(&text)), scene.style(Role::Dim))],
        );
    }
}

fn title(
    screen: &Screen,
    view: View,
    shown: usize,
    total: usize,
    version: Option<String>,
) -> String {
    let name = match &screen.page {
        Page::Kind { word, within: Some(cluster) } => format!("{word} inside {cluster}"),
        Page::Kind { word, within: None } => word.clone(),
        _ => view.name().to_owned(),
    };
    let place = if shown == 0 { 0 } else { screen.cursor.position + 1 };
    let mut title = format!("{} {place}/{shown}", printable(&name));
    if shown != total {
        title.push_str(&format!(" of {total}"));
    }
    if let Some(version) = version {
        title.push_str(&format!("  all {version}"));
    }
    if !screen.look.filter.is_empty() {
        title.push_str(&format!("  /{}", printable(&screen.look.filter)));
    }
    if !screen.marked.is_empty() {
        title.push_str(&format!("  {} marked", screen.marked.len()));
    }
    title
}

/// Cells of a row as text, the state in its colour.
fn line(scene: &Scene, row: &Row) -> grid::Line {
    let styles = row.cells.iter().map(|cell| match cell {
        Cell::State(..) => scene.style(role_of(row.severity)),
        Cell::Age(_) => scene.style(Role::Dim),
        Cell::Text(_) | Cell::Count(_) | Cell::Number(_) | Cell::Measure(..) => {
            scene.style(Role::Text)
        }
    });
    grid::Line {
        styles: styles.collect(),
        cells: row.cells.iter().map(|cell| cell.shown(scene.now)).collect(),
        ground: None,
    }
}

fn draw_below(buffer: &mut Buffer, area: Rect, scene: &Scene, row: &Row) {
    match &row.object {
        Object::Cluster(_) => draw_machines(buffer, area, scene, &row.key),
        Object::Event(event) => {
            let inner = framed(buffer, area, scene, &subject_of_event(row));
            let text = one_line(event.message.as_deref().unwrap_or_default());
            let lines: Vec<Line> =
                wrapped(&text, usize::from(inner.width)).into_iter().map(Line::raw).collect();
            put_lines(buffer, inner, &lines);
        }
        Object::Client(client) => draw_resources(buffer, area, scene, client),
        Object::ControlPlane(_) => {
            let cluster = row.group.clone().unwrap_or_default();
            draw_control_plane(buffer, area, scene, &cluster);
        }
        object => {
            let title = format!("Conditions of {}", subject(object));
            let inner = framed(buffer, area, scene, &title);
            if row.why.is_empty() && object.conditions().is_empty() {
                put_lines(buffer, inner, &[Line::styled("none", scene.style(Role::Dim))]);
            }
            put_lines(buffer, inner, &condition_lines(scene, object.conditions(), inner.width));
        }
    }
}

/// What a client asks for, most asked first.
fn draw_resources(buffer: &mut Buffer, area: Rect, scene: &Scene, client: &ClientRequests) {
    let title = format!("Requests of {}", printable(&client.metadata.name));
    let inner = framed(buffer, area, scene, &title);
    let mut resources: Vec<_> = client.resources.iter().collect();
    resources.sort_by_key(|counts| std::cmp::Reverse(counts.total()));
    let header = scene.style(Role::Header);
    let mut grid = Grid {
        headers: ["RESOURCE", "REQUESTS", "VERBS"].map(str::to_owned).to_vec(),
        ranks: vec![0, 0, 1],
        header_styles: vec![header; 3],
        rows: Vec::new(),
    };
    for counts in resources.into_iter().take(usize::from(inner.height)) {
        let verbs: Vec<String> =
            counts.verbs.iter().map(|(verb, count)| format!("{verb} {count}")).collect();
        let total = counts.total().to_string();
        let cells = vec![printable(&counts.name()), total, printable(&verbs.join(", "))];
        let styles = vec![scene.style(Role::Text); cells.len()];
        grid.rows.push(grid::Line { cells, styles, ground: None });
    }
    grid.draw(buffer, inner, 1);
}

fn subject_of_event(row: &Row) -> String {
    let about = row.group.as_ref().map(|group| group.name.as_str()).unwrap_or_default();
    printable(about)
}

/// Machines of a cluster, control planes first, troubled ones before others.
fn draw_machines(buffer: &mut Buffer, area: Rect, scene: &Scene, cluster: &ObjectKey) {
    let mut rows: Vec<&Row> = scene.model.machines.group(cluster).collect();
    let is_worker = |row: &Row| row.cells.get(2) != Some(&Cell::text("cp"));
    rows.sort_by_key(|row| (row.severity, is_worker(row)));
    let title = format!("Machines of {} {}", printable(&cluster.name), rows.len());
    let inner = framed(buffer, area, scene, &title);
    let mut grid = Grid::new(&scene.model.machines.columns, scene.style(Role::Header));
    let room = usize::from(inner.height.saturating_sub(1));
    let shown = if rows.len() > room { room.saturating_sub(1) } else { rows.len() };
    grid.rows.extend(rows.iter().take(shown).map(|row| line(scene, row)));
    // They are all of one cluster, which the title names.
    grid.take_uniform("CLUSTER");
    grid.take_uniform("VERSION");
    grid.draw(buffer, inner, 1);
    if shown < rows.len() && inner.height > 0 {
        let text = format!(" … {} more", rows.len() - shown);
        let last = Rect { y: inner.bottom() - 1, height: 1, ..inner };
        put_lines(buffer, last, &[Line::styled(text, scene.style(Role::Dim))]);
    }
}

/// Machines of a cluster's control plane: Node, API server and etcd member of each. Who leads etcd
/// is in no object of the management cluster: its detail asks etcd itself.
fn draw_control_plane(buffer: &mut Buffer, area: Rect, scene: &Scene, cluster: &ObjectKey) {
    let machines: Vec<&Row> = scene
        .model
        .machines
        .group(cluster)
        .filter(|row| row.cells.get(2) == Some(&Cell::text("cp")))
        .collect();
    let name = scene.model.control_planes.group(cluster).next();
    let name = name.map_or_else(|| printable(&cluster.name), |row| printable(&row.key.name));
    let title = match quorum(&machines) {
        Some(quorum) => format!("{name}  {quorum}"),
        None => name,
    };
    let inner = framed(buffer, area, scene, &title);
    let header = scene.style(Role::Header);
    let names = ["MACHINE", "NODE", "API", "ETCD", "WHY"];
    let mut grid = Grid {
        headers: names.map(str::to_owned).to_vec(),
        ranks: vec![0, 0, 0, 0, 1],
        header_styles: vec![header; names.len()],
        rows: Vec::new(),
    };
    for row in machines {
        let mut cells = vec![row.key.name.clone()];
        let mut styles = vec![scene.style(Role::Text)];
        for type_ in ["NodeHealthy", "APIServerPodHealthy", "EtcdMemberHealthy"] {
            let (sign, role) = health(row, type_);
            cells.push(sign.to_owned());
            styles.push(scene.style(role));
        }
        cells.push(row.why.clone());
        styles.push(scene.style(Role::Text));
        cells[0] = printable(&cells[0]);
        grid.rows.push(grid::Line { cells, styles, ground: None });
    }
    grid.draw(buffer, inner, 1);
}

/// What is known of a control plane's etcd. Machines without a Node have no member yet, those that
/// are deleted lose theirs; where no Machine tells of one, etcd is elsewhere.
/// (CAPI v1.14: controlplane/kubeadm/internal/workload_cluster_conditions.go)
fn quorum(machines: &[&Row]) -> Option<String> {
    let condition = |row: &Row| {
        let Object::Machine(machine) = &row.object else { return None };
        let status = machine.status.as_ref()?;
        let has_member = status.node_ref.is_some() && machine.metadata.deletion_timestamp.is_none();
        let found = crate::contract::conditions::get(&status.conditions, "EtcdMemberHealthy")?;
        has_member.then(|| found.status.clone())
    };
    if machines.is_empty() {
        return Some("no machines yet".to_owned());
    }
    let members: Vec<String> = machines.iter().filter_map(|row| condition(row)).collect();
    let count = |status: &str| members.iter().filter(|member| *member == status).count();
    let (healthy, all) = (count("True"), members.len());
    match (all, healthy > all / 2) {
        (0, _) => None,
        (_, true) => Some(format!("etcd {healthy}/{all}, has quorum")),
        _ if count("Unknown") == all => Some(format!("etcd unknown, {all} members")),
        _ => Some(format!("etcd {healthy}/{all}, no quorum")),
    }
}

fn health(row: &Row, type_: &str) -> (&'static str, Role) {
    let condition = crate::contract::conditions::get(row.object.conditions(), type_);
    match condition.map(|condition| condition.status.as_str()) {
        Some("True") => ("●", Role::Good),
        Some("False") => ("✖", Role::Bad),
        Some(_) | None => ("○", Role::Idle),
    }
}

fn draw_problems(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let table = &scene.model.problems;
    let inner = framed(buffer, area, scene, &format!("Problems {}", table.len()));
    if table.len() == 0 {
        put_lines(buffer, inner, &[Line::styled(" none", scene.style(Role::Good))]);
    }
    let lines = (0..usize::from(inner.height)).filter_map(|index| {
        let row = table.at(index)?;
        let shown = |index: usize| row.cells.get(index).map(|cell| cell.shown(scene.now));
        let (count, kind) = (shown(1)?, shown(2)?);
        Some(Line::from(vec![
            Span::styled(format!(" {} ", row.state.0), scene.style(role_of(row.severity))),
            Span::styled(format!("{count:>4} "), scene.style(Role::Title)),
            Span::raw(format!("{kind}  {}", row.why)),
        ]))
    });
    let lines: Vec<Line> = lines.collect();
    put_lines(buffer, inner, &lines);
}

fn draw_events(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let inner = framed(buffer, area, scene, "Events");
    let lines = event_lines(scene, newest(scene, usize::from(inner.height)).into_iter());
    put_lines(buffer, inner, &lines);
}

/// The newest events, newest first.
pub(in crate::tui) fn newest<'a>(scene: &'a Scene, count: usize) -> Vec<&'a Row> {
    // The list is sorted so unless somebody sorts the view otherwise, which is seen here, too.
    (0..count).map_while(|index| scene.model.events.at(index)).collect()
}

/// Events of an object, newest first.
pub(in crate::tui) fn events_about<'a>(
    scene: &'a Scene,
    kind: &str,
    key: &ObjectKey,
) -> Vec<&'a Row> {
    let mut rows: Vec<&Row> = scene.model.events.group(&events::about(kind, key)).collect();
    let time = |row: &Row| match row.cells.first() {
        Some(Cell::Age(time)) => *time,
        _ => None,
    };
    rows.sort_by(|a, b| time(b).cmp(&time(a)).then_with(|| a.key.cmp(&b.key)));
    rows
}

/// One line an event.
pub(in crate::tui) fn event_lines<'a>(
    scene: &Scene,
    rows: impl Iterator<Item = &'a Row>,
) -> Vec<Line<'static>> {
    let line = |row: &Row| {
        let shown = |index: usize| {
            row.cells.get(index).map(|cell| cell.shown(scene.now)).unwrap_or_default()
        };
        let role = if row.severity == Severity::Calm { Role::Dim } else { Role::Warning };
        let times = match row.cells.get(4) {
            Some(Cell::Number(count)) if *count > 1 => format!(" ×{count}"),
            _ => String::new(),
        };
        Line::from(vec![
            Span::styled(format!("{:>6} ", shown(0)), scene.style(Role::Dim)),
            Span::styled(format!("{} ", row.state.0), scene.style(role)),
            Span::raw(format!("{}  ", shown(2))),
            Span::styled(format!("{}{times}  ", shown(3)), scene.style(Role::Title)),
            Span::raw(shown(5)),
        ])
    };
    rows.map(line).collect()
}

/// What to do where there is nothing yet.
fn draw_empty(buffer: &mut Buffer, area: Rect, scene: &Scene, screen: &Screen, view: View) {
    let inner = framed(buffer, area, scene, &title(screen, view, 0, 0, None));
    let plain = |text: String| Line::raw(printable(&text));
    let command = |text: String| Line::styled(printable(&text), scene.style(Role::Command));
    let lines = match (&screen.page, view) {
        (Page::Kind { word, .. }, _) => {
            let wanted = matches!(scene.fetched, Some(Fetched { want: Want::Table { word: asked, .. }, .. }) if asked == word);
            match scene.fetched.filter(|_| wanted).map(|fetched| &fetched.got) {
                Some(Err(error)) => vec![plain(error.clone())],
                Some(Ok(_)) => vec![plain(format!("no {word}"))],
                None => vec![plain("reading …".to_owned())],
            }
        }
        (_, View::Requests) => {
            let answer = scene.fetched.filter(|fetched| fetched.want == Want::Requests);
            match answer.map(|fetched| &fetched.got) {
                Some(Err(error)) => vec![plain(error.clone())],
                Some(Ok(_)) => vec![plain("Nobody has asked yet.".to_owned())],
                None => vec![plain("reading …".to_owned())],
            }
        }
        (_, View::Clusters) => vec![
            plain("No clusters yet.".to_owned()),
            Line::raw(""),
            plain("a   creates one, or in another terminal:".to_owned()),
            Line::raw(""),
            command("    capim create cluster demo".to_owned()),
            command(format!("    export KUBECONFIG={}", scene.head.kubeconfig)),
        ],
        (_, View::Problems) => vec![Line::styled("Nothing is wrong.", scene.style(Role::Good))],
        (_, View::Classes) => vec![plain("No ClusterClasses yet.".to_owned())],
        _ => vec![plain("Nothing here yet.".to_owned())],
    };
    let inner = Rect { x: inner.x.saturating_add(2), y: inner.y.saturating_add(1), ..inner }
        .intersection(inner);
    put_lines(buffer, inner, &lines);
}
