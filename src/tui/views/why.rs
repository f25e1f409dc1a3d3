//! Why an object is not as it should be, from it to the cause, and what happens next.

use ratatui::text::{Line, Span};
use serde_json::Value;

use super::{Scene, wrapped};
use crate::describe::why::{Explanation, Remaining, Step, explain};
use crate::describe::{Sources as Objects, is_negative};
use crate::tui::text::{age, one_line, printable};
use crate::tui::theme::Role;

/// Lines for an object of a cluster, no wider than that.
pub(super) fn lines(
    scene: &Scene,
    objects: &Objects,
    object: &Value,
    width: usize,
) -> Vec<Line<'static>> {
    let explanation = explain(objects, object, scene.now);
    if explanation.healthy {
        return vec![Line::styled("Nothing is wrong.", scene.style(Role::Good))];
    }
    let mut lines = Vec::new();
    for (depth, step) in explanation.steps.iter().enumerate() {
        push_step(&mut lines, scene, depth, step, width);
    }
    push_next(&mut lines, scene, &explanation, width);
    lines
}

fn push_step(
    lines: &mut Vec<Line<'static>>,
    scene: &Scene,
    depth: usize,
    step: &Step,
    width: usize,
) {
    let indent = "  ".repeat(depth);
    let branch = if depth == 0 { "" } else { "└ " };
    let subject = format!("{} {}", step.subject.kind, step.subject.name);
    let mut spans = vec![
        Span::styled(format!("{indent}{branch}"), scene.style(Role::Dim)),
        Span::styled(printable(&subject), scene.style(Role::Title)),
    ];
    let Some(condition) = &step.condition else {
        spans.push(Span::styled("  nobody has reconciled it yet", scene.style(Role::Busy)));
        lines.push(Line::from(spans));
        return;
    };
    let role = match condition.status.as_str() {
        "Unknown" => Role::Busy,
        _ if is_negative(&condition.type_) => Role::Busy,
        _ => Role::Bad,
    };
    let said = format!("  {}={}", condition.type_, condition.status);
    spans.push(Span::styled(printable(&said), scene.style(role)));
    let mut more = String::new();
    if !condition.reason.is_empty() {
        more = format!(" {}", condition.reason);
    }
    if condition.since.is_some() {
        more.push_str(&format!(" for {}", age(condition.since, scene.now)));
    }
    spans.push(Span::styled(printable(&more), scene.style(Role::Dim)));
    if let Some(remaining) = &step.remaining {
        spans.push(Span::styled(
            format!("  {}", remaining_text(remaining)),
            scene.style(Role::Future),
        ));
    }
    lines.push(Line::from(spans));
    let message = one_line(&condition.message);
    let below = format!("{indent}    ");
    let room = width.saturating_sub(below.len());
    lines.extend(
        wrapped(&message, room).into_iter().map(|text| Line::raw(format!("{below}{text}"))),
    );
}

fn push_next(
    lines: &mut Vec<Line<'static>>,
    scene: &Scene,
    explanation: &Explanation,
    width: usize,
) {
    for (index, text) in explanation.next.iter().enumerate() {
        let label = if index == 0 { "next  " } else { "      " };
        for (part, text) in
            wrapped(&one_line(text), width.saturating_sub(6)).into_iter().enumerate()
        {
            let label = if part == 0 { label } else { "      " };
            lines.push(Line::from(vec![
                Span::styled(label, scene.style(Role::Title)),
                Span::raw(text),
            ]));
        }
    }
}

fn remaining_text(remaining: &Remaining) -> String {
    let (least, most) = (remaining.least.as_secs_f64(), remaining.most.as_secs_f64());
    if most <= 0.0 {
        "due now".to_owned()
    } else if most - least < 0.1 {
        format!("in ≈{most:.0}s")
    } else {
        format!("in {least:.0}s to {most:.0}s")
    }
}
