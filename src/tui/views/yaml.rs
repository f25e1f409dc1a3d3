//! An object as YAML.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Scene, framed, put_lines};
use crate::tui::fetch::{Fetched, Got, Want};
use crate::tui::state::{ObjectRef, State};
use crate::tui::text::printable;
use crate::tui::theme::Role;

/// Draws the page.
pub(in crate::tui) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    scene: &Scene,
    state: &mut State,
    object: &ObjectRef,
) {
    let title = printable(&format!("{} {}", object.kind, object.key));
    let inner = framed(buffer, area, scene, &title);
    let asked = |want: &Want| matches!(want, Want::Object { key, kind, cluster, .. } if *key == object.key && *kind == object.kind && *cluster == object.within);
    let text: &[String] = match scene.fetched {
        Some(Fetched { want, got: Ok(Got::Object(lines)), .. }) if asked(want) => lines,
        Some(Fetched { want, got: Err(error), .. }) if asked(want) => {
            put_lines(buffer, inner, &[Line::styled(error.clone(), scene.style(Role::Bad))]);
            return;
        }
        _ => {
            put_lines(buffer, inner, &[Line::styled("reading …", scene.style(Role::Dim))]);
            return;
        }
    };
    let filter = state.screen().look.filter.to_lowercase();
    let shown: Vec<&String> = match filter.as_str() {
        "" => text.iter().collect(),
        filter => text.iter().filter(|line| line.to_lowercase().contains(filter)).collect(),
    };
    let page = usize::from(inner.height);
    let cursor = &mut state.screen_mut().cursor;
    cursor.scroll(shown.len(), page);
    let lines = shown.iter().skip(cursor.offset).take(page).map(|line| coloured(scene, line));
    put_lines(buffer, inner, &lines.collect::<Vec<_>>());
}

/// The field's name apart from its value.
fn coloured(scene: &Scene, line: &str) -> Line<'static> {
    let name = line.find(':').map(|end| line.split_at(end + 1));
    match name.filter(|(name, rest)| {
        (rest.is_empty() || rest.starts_with(' '))
            && name
                .trim_start_matches([' ', '-'])
                .chars()
                .all(|c| c.is_alphanumeric() || "/.-_:".contains(c))
    }) {
        Some((name, value)) => Line::from(vec![
            Span::styled(name.to_owned(), scene.style(Role::Busy)),
            Span::raw(value.to_owned()),
        ]),
        None => Line::raw(line.to_owned()),
    }
}
