//! A ClusterClass: its variables and the clusters that use it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use serde_json::Value;

use super::grid::width_of;
use super::part::condition_lines;
use super::{Scene, cluster, framed, put_lines};
use crate::api::topology::ClusterClass;
use crate::client::ObjectKey;
use crate::tui::model::row::{Object, Row};
use crate::tui::state::State;
use crate::tui::text::printable;
use crate::tui::theme::Role;

/// Draws the page.
pub(in crate::tui) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    scene: &Scene,
    state: &mut State,
    key: &ObjectKey,
) {
    let inner =
        framed(buffer, area, scene, &format!("ClusterClass {}", printable(&key.to_string())));
    let row = scene.model.classes.get(key);
    let Some(Object::Class(class)) = row.map(|row| &row.object) else {
        put_lines(buffer, inner, &[Line::raw("It is gone.")]);
        return;
    };
    let title = |text: String| Line::styled(text, scene.style(Role::Header));
    let mut lines = templates(scene, class);
    lines.push(Line::raw(""));
    lines.push(title(format!("VARIABLES {}", variables(class).len())));
    lines.extend(variable_lines(scene, class, inner.width));
    let users: Vec<_> = scene.model.clusters.group(key).collect();
    lines.push(Line::raw(""));
    lines.push(title(format!("CLUSTERS {}", users.len())));
    let conditions = class.status.as_ref().map(|status| status.conditions.as_slice());
    let mut below = vec![Line::raw(""), title("CONDITIONS".to_owned())];
    below.extend(condition_lines(scene, conditions.unwrap_or_default(), inner.width));
    let (first, end) = (lines.len(), lines.len() + users.len());
    cluster::scroll_through(buffer, inner, state, end + below.len(), |index| match index {
        _ if index < first => lines[index].clone(),
        _ if index < end => user_line(scene, users[index - first]),
        _ => below[index - end].clone(),
    });
}

fn user_line(scene: &Scene, row: &Row) -> Line<'static> {
    let name = row.cells.first().map(|cell| cell.shown(scene.now)).unwrap_or_default();
    Line::from(vec![
        Span::styled(format!("{} ", row.state.0), scene.style(super::role_of(row.severity))),
        Span::raw(format!("{name}  {}", row.why)),
    ])
}

fn templates(scene: &Scene, class: &ClusterClass) -> Vec<Line<'static>> {
    let spec = &class.spec;
    let mut facts = vec![
        ("infrastructure", spec.infrastructure.template_ref.name.clone()),
        ("control plane", spec.control_plane.template_ref.name.clone()),
    ];
    let workers = &spec.workers;
    facts.extend(workers.machine_deployments.iter().map(|it| ("deployments", it.class.clone())));
    facts.extend(workers.machine_pools.iter().map(|it| ("pools", it.class.clone())));
    facts.extend(spec.patches.iter().map(|it| ("patch", it.name.clone())));
    let line = |(name, value): (&str, String)| {
        Line::from(vec![
            Span::styled(format!("{name:<16}"), scene.style(Role::Dim)),
            Span::raw(printable(&value)),
        ])
    };
    facts.into_iter().map(line).collect()
}

/// Name, type, whether it is required, default, where it comes from.
fn variables(class: &ClusterClass) -> Vec<[String; 5]> {
    let row = |name: &str, required: Option<bool>, schema: &Value, from: &str| {
        let type_ = schema["type"].as_str().unwrap_or_default();
        let default = match &schema["default"] {
            Value::Null => String::new(),
            value => value.to_string(),
        };
        let required = if required == Some(true) { "required" } else { "" };
        [name, type_, required, &default, from].map(printable)
    };
    let known = class.status.iter().flat_map(|status| &status.variables);
    let mut rows: Vec<[String; 5]> = known
        .flat_map(|variable| {
            variable
                .definitions
                .iter()
                .map(|it| row(&variable.name, it.required, &it.schema.open_api_v3_schema, &it.from))
        })
        .collect();
    if rows.is_empty() {
        let own = class.spec.variables.iter();
        rows = own
            .map(|it| row(&it.name, it.required, &it.schema.open_api_v3_schema, "inline"))
            .collect();
    }
    rows
}

fn variable_lines(scene: &Scene, class: &ClusterClass, width: u16) -> Vec<Line<'static>> {
    let rows = variables(class);
    let headers = ["NAME", "TYPE", "", "DEFAULT", "FROM"];
    let mut widths = headers.map(width_of);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(width_of(cell)).min(40);
        }
    }
    let line = |cells: &[String], role: Role| {
        let padded = |(cell, width): (&String, &usize)| {
            let blanks = (width + 2).saturating_sub(width_of(cell));
            format!("{cell}{}", " ".repeat(blanks))
        };
        let text: String = cells.iter().zip(&widths).map(padded).collect();
        Line::styled(text.chars().take(usize::from(width)).collect::<String>(), scene.style(role))
    };
    let mut lines = vec![line(&headers.map(str::to_owned), Role::Dim)];
    lines.extend(rows.iter().map(|row| line(row, Role::Text)));
    lines
}
