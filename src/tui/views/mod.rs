//! What the screens show: each draws into an area of a buffer from data alone.

pub(super) mod class;
pub(super) mod cluster;
mod etcd;
pub(super) mod grid;
pub(super) mod list;
pub(super) mod part;
pub(super) mod presenter;
pub(super) mod timeline;
pub(super) mod why;
pub(super) mod yaml;

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, Widget};

use super::fetch::{Fetched, Got, Want};
use super::model::Model;
use super::model::row::Object;
use super::rows::Severity;
use super::theme::{Role, Theme};
use crate::describe::Sources as Objects;

/// What is known when a frame is drawn.
pub(super) struct Scene<'a> {
    pub(super) theme: Theme,
    pub(super) model: &'a Model,
    pub(super) fetched: Option<&'a Fetched>,
    pub(super) head: &'a Head,
    /// Ends of lines that say which keys do what.
    pub(super) now: Timestamp,
}

/// Facts about the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) url: String,
    pub(super) kubeconfig: String,
    /// Names of providers that run elsewhere.
    pub(super) external: Vec<String>,
    pub(super) read_only: bool,
    /// Whether the server goes on when the dashboard is left.
    pub(super) attached: bool,
    /// Since when the server does not answer, and why.
    pub(super) disconnected: Option<(Timestamp, String)>,
    /// Whether hosts and paths are hidden.
    pub(super) hidden: bool,
}

impl Scene<'_> {
    pub(super) fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// The objects of the cluster in sight, or why there are none yet.
    pub(super) fn objects(&self, wanted: &crate::client::ObjectKey) -> Result<&Objects, &str> {
        match self.fetched {
            Some(Fetched { want: Want::Cluster(key) | Want::ControlPlane(key), got, .. })
                if key == wanted =>
            {
                match got {
                    Ok(Got::Cluster(objects)) => Ok(objects),
                    Ok(_) => Err("reading"),
                    Err(error) => Err(error),
                }
            }
            _ => Err("reading …"),
        }
    }
}

/// How a severity looks.
pub(super) fn role_of(severity: Severity) -> Role {
    match severity {
        Severity::Failed => Role::Bad,
        Severity::Degraded => Role::Warning,
        Severity::Busy => Role::Busy,
        Severity::Calm => Role::Good,
    }
}

/// A frame with a title; answers what is inside. Areas too small for a frame have none.
pub(super) fn framed(buffer: &mut Buffer, area: Rect, scene: &Scene, title: &str) -> Rect {
    if area.height < 3 || area.width < 4 {
        return area;
    }
    let title = match title {
        "" => String::new(),
        title => format!(" {title} "),
    };
    let block = Block::bordered()
        .border_style(scene.style(Role::Border))
        .title(Line::styled(title, scene.style(Role::Title)));
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

/// Lines from the top of an area, as many as fit.
pub(super) fn put_lines(buffer: &mut Buffer, area: Rect, lines: &[Line<'_>]) {
    for (line, y) in lines.iter().zip(area.y..area.bottom()) {
        buffer.set_line(area.x, y, line, area.width);
    }
}

/// Text broken at blanks so that every line fits a width; words that are too long are cut by it.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let needed = grid::width_of(&line) + usize::from(!line.is_empty()) + grid::width_of(word);
        if needed > width && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Kind and name of an object.
pub(super) fn subject(object: &Object) -> String {
    let (_, kind) = object.kind();
    let name = object.metadata().and_then(|metadata| metadata.name.clone()).unwrap_or_default();
    super::text::printable(&format!("{kind} {name}"))
}
