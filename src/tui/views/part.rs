//! One object of a cluster: facts, lifecycle, conditions, events, and why it is as it is.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::list::{event_lines, events_about};
use super::{Scene, cluster, etcd, framed, timeline, why};
use crate::api::conditions::Condition;
use crate::api::core::Machine;
use crate::client::ObjectKey;
use crate::describe::is_negative;
use crate::tui::model::row::{Object, Row};
use crate::tui::state::{ObjectRef, State};
use crate::tui::text::{age, one_line, printable};
use crate::tui::theme::Role;

/// Draws the page.
pub(in crate::tui) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    scene: &Scene,
    state: &mut State,
    object: &ObjectRef,
    of: &ObjectKey,
) {
    let width = usize::from(area.width.saturating_sub(2));
    let found =
        scene.objects(of).map(|objects| (objects, objects.find(&object.kind, &object.key.name)));
    let why = match found {
        Ok((objects, Some(value))) => why::lines(scene, objects, value, width),
        Ok((_, None)) => vec![Line::raw("It is gone.")],
        Err(reason) => vec![Line::raw(printable(reason))],
    };
    if state.why {
        let inner = framed(buffer, area, scene, "Why");
        cluster::scroll(buffer, inner, state, &why);
        return;
    }
    let row = row_of(scene, object);
    let lines = lines(scene, object, row, &why, area.width.saturating_sub(2));
    let chart = match row.map(|row| &row.object) {
        Some(Object::Machine(machine)) if area.height >= 16 => {
            Some((machine, (timeline::STAGE_ROWS + 3).min(area.height / 2)))
        }
        _ => None,
    };
    let height = chart.as_ref().map_or(0, |(_, height)| *height);
    let [upper, rest] =
        Layout::vertical([Constraint::Length(height), Constraint::Min(0)]).areas(area);
    if let Some((machine, _)) = chart {
        let inner = framed(buffer, upper, scene, &lifecycle_title(scene, machine));
        timeline::stages(buffer, inner, scene, machine);
    }
    let title = printable(&format!("{} {}", object.kind, object.key));
    let inner = framed(buffer, rest, scene, &title);
    cluster::scroll(buffer, inner, state, &lines);
}

/// The row of an object in the lists.
fn row_of<'a>(scene: &'a Scene, object: &ObjectRef) -> Option<&'a Row> {
    let model = scene.model;
    match object.kind.as_str() {
        "Machine" => model.machines.get(&object.key),
        "KubeadmControlPlane" => model.control_planes.get(&object.key),
        kind => {
            let name = format!("{} {kind}", object.key.name);
            model.workers.get(&ObjectKey::new(object.key.namespace.clone(), name))
        }
    }
}

fn lifecycle_title(scene: &Scene, machine: &Machine) -> String {
    use crate::tui::model::stages::{Start, seconds};
    let Some(start) = Start::of(machine) else { return "Lifecycle".to_owned() };
    match (start.ready(), start.expected(&scene.model.stages, scene.now)) {
        (Some(ready), _) => format!("Lifecycle  ready after {:.0}s", seconds(start.created, ready)),
        (None, Some(expected)) => {
            format!("Lifecycle  ready in ≈{:.0}s", seconds(scene.now, expected))
        }
        (None, None) => "Lifecycle".to_owned(),
    }
}

fn lines(
    scene: &Scene,
    object: &ObjectRef,
    row: Option<&Row>,
    why: &[Line<'static>],
    width: u16,
) -> Vec<Line<'static>> {
    let title = |text: &str| Line::styled(text.to_owned(), scene.style(Role::Header));
    let mut lines = Vec::new();
    if let Some(row) = row {
        for (name, value) in facts(scene, row) {
            lines.push(Line::from(vec![
                Span::styled(format!("{name:<16}"), scene.style(Role::Dim)),
                Span::raw(printable(&value)),
            ]));
        }
        lines.push(Line::raw(""));
    }
    lines.push(title("WHY"));
    lines.extend(why.iter().cloned());
    if let Some(Row { object: Object::ControlPlane(_), group: Some(cluster), .. }) = row {
        lines.push(Line::raw(""));
        lines.extend(etcd::lines(scene, cluster));
    }
    if let Some(row) = row {
        lines.extend([Line::raw(""), title("CONDITIONS")]);
        lines.extend(condition_lines(scene, row.object.conditions(), width));
    }
    let events = events_about(scene, &object.kind, &object.key);
    if !events.is_empty() {
        lines.extend([Line::raw(""), title("EVENTS")]);
        lines.extend(event_lines(scene, events.into_iter()));
    }
    lines
}

fn facts(scene: &Scene, row: &Row) -> Vec<(&'static str, String)> {
    let columns = match &row.object {
        Object::Machine(machine) => return machine_facts(scene, machine),
        Object::ControlPlane(_) => &scene.model.control_planes.columns,
        _ => &scene.model.workers.columns,
    };
    const NAMES: [(&str, &str); 8] = [
        ("CLUSTER", "cluster"),
        ("STATE", "state"),
        ("READY", "ready"),
        ("AVAILABLE", "available"),
        ("UP-TO-DATE", "up to date"),
        ("ETCD", "etcd"),
        ("VERSION", "version"),
        ("AGE", "age"),
    ];
    let cells = columns.iter().zip(&row.cells);
    cells
        .filter_map(|(column, cell)| {
            let (_, name) = NAMES.iter().find(|(header, _)| *header == column.header)?;
            Some((*name, cell.shown(scene.now)))
        })
        .collect()
}

fn machine_facts(scene: &Scene, machine: &Machine) -> Vec<(&'static str, String)> {
    let status = machine.status.clone().unwrap_or_default();
    let or_none = |text: String| if text.is_empty() { "none yet".to_owned() } else { text };
    let owner =
        machine.metadata.owner_references.iter().flatten().find(|it| it.controller == Some(true));
    let infrastructure = &machine.spec.infrastructure_ref;
    let bootstrap = machine.spec.bootstrap.config_ref.as_ref();
    let created = machine.metadata.creation_timestamp.as_ref().map(|time| time.0);
    vec![
        ("cluster", machine.spec.cluster_name.clone()),
        ("owner", owner.map(|it| format!("{}/{}", it.kind, it.name)).unwrap_or_default()),
        ("phase", status.phase.clone()),
        ("node", or_none(status.node_ref.map(|node| node.name).unwrap_or_default())),
        ("provider id", or_none(machine.spec.provider_id.clone())),
        ("infrastructure", format!("{}/{}", infrastructure.kind, infrastructure.name)),
        ("bootstrap", bootstrap.map(|it| format!("{}/{}", it.kind, it.name)).unwrap_or_default()),
        ("failure domain", or_none(status.failure_domain)),
        ("version", machine.spec.version.clone()),
        ("age", age(created, scene.now)),
    ]
}

/// One line a condition, those that are not as they should be marked.
pub(super) fn condition_lines(
    scene: &Scene,
    conditions: &[Condition],
    width: u16,
) -> Vec<Line<'static>> {
    let longest = conditions.iter().map(|it| it.type_.len()).max().unwrap_or(0).min(40);
    let line = |condition: &Condition| {
        let normal = if is_negative(&condition.type_) { "False" } else { "True" };
        let (sign, role) = match condition.status.as_str() {
            status if status == normal => (" ", Role::Text),
            "Unknown" => ("○", Role::Idle),
            _ if is_negative(&condition.type_) => ("◔", Role::Busy),
            _ => ("✖", Role::Bad),
        };
        let since: Option<Timestamp> = Some(condition.last_transition_time.0);
        let mut message = one_line(&condition.message);
        if message.is_empty() {
            message = printable(&condition.reason);
        }
        let type_ = printable(&condition.type_);
        let wide = width >= 60;
        let since = if wide { format!("{:>6}  ", age(since, scene.now)) } else { String::new() };
        Line::from(vec![
            Span::styled(format!("{sign} "), scene.style(role)),
            Span::styled(format!("{type_:<longest$} "), scene.style(Role::Text)),
            Span::styled(format!("{:<8}", printable(&condition.status)), scene.style(role)),
            Span::styled(since, scene.style(Role::Dim)),
            Span::raw(message),
        ])
    };
    conditions.iter().map(line).collect()
}
