//! Forms: create, scale, upgrade.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Answer, put, shell_line, window};
use crate::acts::{Count, parse_control_planes, parse_version};
use crate::client::ObjectKey;
use crate::tui::action::{Action, NewClusters, Subject};
use crate::tui::theme::{Glyph, Role, Theme};
use crate::tui::views::wrapped;

/// Longest input of a field.
const INPUT_MAX: usize = 64;
/// Most clusters of one form; more are for the command line.
const COUNT_MAX: u32 = 20_000;
/// Most workers of a cluster.
const WORKERS_MAX: u32 = 10_000;
/// Columns of labels.
const LABEL_WIDTH: u16 = 16;
const WIDTH: u16 = 72;

/// Present numbers of machines, where they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Sizes {
    pub(in crate::tui) workers: Option<u32>,
    pub(in crate::tui) control_planes: Option<u32>,
}

/// A form.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Form {
    title: String,
    kind: Kind,
    fields: Vec<Field>,
    /// The field that takes keys.
    focus: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    Create,
    Scale(Vec<Subject>),
    Upgrade(Vec<Subject>),
}

#[derive(Clone, Debug)]
struct Field {
    name: Name,
    value: String,
    /// What it was; a field that is as it was changes nothing.
    before: String,
    /// How far left and right go; 0 for text.
    step: i64,
}

/// Fields by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Cluster,
    Namespace,
    Number,
    ControlPlanes,
    Workers,
    Version,
    Instant,
}

impl Name {
    fn label(self) -> &'static str {
        match self {
            Self::Cluster => "name",
            Self::Namespace => "namespace",
            Self::Number => "clusters",
            Self::ControlPlanes => "control plane",
            Self::Workers => "workers",
            Self::Version => "version",
            Self::Instant => "instant",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Cluster => "with more than one: NAME-1, NAME-2, ...",
            Self::Namespace => "",
            Self::Number => "left and right change it",
            Self::ControlPlanes => "1 3 5 7 9",
            Self::Workers => "a number, or a change such as +2",
            Self::Version => "e.g. v1.37.0",
            Self::Instant => "space: machines start at once, or take their time",
        }
    }
}

impl Field {
    fn new(name: Name, value: &str, step: i64) -> Self {
        Self { name, value: value.to_owned(), before: value.to_owned(), step }
    }

    fn is_changed(&self) -> bool {
        self.value.trim() != self.before
    }

    fn press(&mut self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => self.value.clear(),
            _ if self.name == Name::Instant => {
                if matches!(key.code, KeyCode::Char(' ') | KeyCode::Left | KeyCode::Right) {
                    let next = if self.value == "yes" { "no" } else { "yes" };
                    next.clone_into(&mut self.value);
                }
            }
            KeyCode::Left => self.change(-self.step),
            KeyCode::Right => self.change(self.step),
            KeyCode::Backspace => {
                self.value.pop();
            }
            KeyCode::Char(letter)
                if !control && !letter.is_control() && self.value.len() < INPUT_MAX =>
            {
                self.value.push(letter);
            }
            _ => {}
        }
    }

    /// Adds to a number; an empty one counts from what it was.
    fn change(&mut self, step: i64) {
        if step == 0 {
            return;
        }
        // An empty field means "as it is", which is no number to count from.
        let Ok(present) = self.value.trim().parse::<i64>() else { return };
        let least = if self.name == Name::Workers { 0 } else { 1 };
        self.value = present.saturating_add(step).max(least).to_string();
    }
}

impl Form {
    /// Asks what clusters to create.
    pub(in crate::tui) fn create(name: &str, namespace: &str, version: &str) -> Self {
        let fields = vec![
            Field::new(Name::Cluster, name, 0),
            Field::new(Name::Namespace, namespace, 0),
            Field::new(Name::Number, "1", 1),
            Field::new(Name::ControlPlanes, "1", 2),
            Field::new(Name::Workers, "3", 1),
            Field::new(Name::Version, version, 0),
            Field::new(Name::Instant, "no", 0),
        ];
        Self { title: "Create clusters".to_owned(), kind: Kind::Create, fields, focus: 0 }
    }

    /// Asks for the size of some clusters or parts of them.
    pub(in crate::tui) fn scale(subjects: Vec<Subject>, sizes: Sizes) -> Self {
        let sizes = if subjects.len() == 1 { sizes } else { Sizes::default() };
        let text = |count: Option<u32>| count.map(|it| it.to_string()).unwrap_or_default();
        let mut fields = Vec::new();
        if !subjects.iter().any(Subject::is_control_plane) {
            fields.push(Field::new(Name::Workers, &text(sizes.workers), 1));
        }
        if !subjects.iter().any(Subject::is_deployment) {
            fields.push(Field::new(Name::ControlPlanes, &text(sizes.control_planes), 2));
        }
        let title = title("Scale", &subjects);
        Self { title, kind: Kind::Scale(subjects), fields, focus: 0 }
    }

    /// Asks for the version of some clusters.
    pub(in crate::tui) fn upgrade(subjects: Vec<Subject>, version: &str) -> Self {
        let fields = vec![Field::new(Name::Version, version, 0)];
        let title = title("Upgrade", &subjects);
        Self { title, kind: Kind::Upgrade(subjects), fields, focus: 0 }
    }

    pub(super) fn press(&mut self, key: KeyEvent) -> Answer {
        let last = self.fields.len().saturating_sub(1);
        match key.code {
            KeyCode::Enter => match self.actions() {
                Ok(actions) => return Answer::Act(actions),
                // The fault is on the screen.
                Err(_) => return Answer::Stay,
            },
            KeyCode::Tab | KeyCode::Down => {
                self.focus = if self.focus >= last { 0 } else { self.focus + 1 };
            }
            KeyCode::BackTab | KeyCode::Up => {
                self.focus = if self.focus == 0 { last } else { self.focus - 1 };
            }
            _ => {
                if let Some(field) = self.fields.get_mut(self.focus) {
                    field.press(key);
                }
            }
        }
        Answer::Stay
    }

    /// Puts typed or pasted text into the field that takes keys.
    pub(in crate::tui) fn paste(&mut self, text: &str) {
        for letter in text.chars().filter(|letter| !letter.is_control()) {
            if let Some(field) = self.fields.get_mut(self.focus) {
                field.press(KeyEvent::from(KeyCode::Char(letter)));
            }
        }
    }

    /// What it asks for now; the fault if it asks for nothing.
    pub(super) fn actions(&self) -> Result<Vec<Action>, String> {
        match &self.kind {
            Kind::Create => self.created(),
            Kind::Scale(subjects) => self.scaled(subjects),
            Kind::Upgrade(subjects) => {
                let version = parse_version(self.value(Name::Version))?;
                let clusters = subjects.iter().filter_map(Subject::workload_cluster);
                Ok(clusters
                    .map(|cluster| Action::Upgrade { cluster, version: version.clone() })
                    .collect())
            }
        }
    }

    fn created(&self) -> Result<Vec<Action>, String> {
        let name = self.value(Name::Cluster);
        if name.is_empty() {
            return Err("a cluster needs a name".to_owned());
        }
        if !is_name(name) {
            return Err("name: lower-case letters, digits and dashes".to_owned());
        }
        let namespace = self.value(Name::Namespace);
        if !is_name(namespace) {
            return Err("namespace: lower-case letters, digits and dashes".to_owned());
        }
        let number = |name: Name, least: u32, most: u32| {
            let value: u32 = self
                .value(name)
                .parse()
                .map_err(|_| format!("{}: expected a number", name.label()))?;
            if (least..=most).contains(&value) {
                Ok(value)
            } else {
                Err(format!("{}: {least} to {most}", name.label()))
            }
        };
        Ok(vec![Action::Create(NewClusters {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            count: number(Name::Number, 1, COUNT_MAX)?,
            control_planes: self.control_planes()?,
            workers: number(Name::Workers, 0, WORKERS_MAX)?,
            version: parse_version(self.value(Name::Version))
                .map_err(|error| format!("version: {error}"))?,
            instant: self.value(Name::Instant) == "yes",
        })])
    }

    fn control_planes(&self) -> Result<u32, String> {
        parse_control_planes(self.value(Name::ControlPlanes))
            .map_err(|_| "control plane: 1, 3, 5, 7 or 9, for etcd's majority".to_owned())
    }

    fn scaled(&self, subjects: &[Subject]) -> Result<Vec<Action>, String> {
        let wanted = |name: Name| {
            let field = self.fields.iter().find(|field| field.name == name);
            field.filter(|field| field.is_changed() && !field.value.trim().is_empty())
        };
        let workers: Option<Count> = wanted(Name::Workers)
            .map(|field| field.value.trim().parse())
            .transpose()
            .map_err(|error| format!("workers: {error}"))?;
        let control_planes =
            wanted(Name::ControlPlanes).map(|_| self.control_planes()).transpose()?;
        if workers.is_none() && control_planes.is_none() {
            return Err("nothing changes yet".to_owned());
        }
        let action = |subject: &Subject| {
            let cluster: ObjectKey = subject.workload_cluster()?;
            let deployment = subject.is_deployment().then(|| subject.name.clone());
            Some(Action::Scale { cluster, workers, deployment, control_planes })
        };
        Ok(subjects.iter().filter_map(action).collect())
    }

    fn value(&self, name: Name) -> &str {
        let field = self.fields.iter().find(|field| field.name == name);
        field.map_or("", |field| field.value.trim())
    }

    pub(super) fn draw(&self, buffer: &mut Buffer, screen: Rect, theme: Theme, flags: &[String]) {
        let footer = " tab next   enter apply   ^o copy command   esc ";
        let height = self.fields.len() as u16 + 6;
        let inner = window(buffer, screen, theme, (&self.title, footer), (WIDTH, height));
        for (index, field) in self.fields.iter().enumerate() {
            let (line, has_focus) = (index as u16, index == self.focus);
            let pointer = if has_focus { theme.glyph(Glyph::Pointer) } else { " " };
            put(buffer, inner, line, 0, pointer, theme.style(Role::Key));
            put(buffer, inner, line, 2, field.name.label(), theme.style(Role::Header));
            let cursor = if has_focus { theme.glyph(Glyph::Cursor) } else { "" };
            let shown = match (field.before.is_empty(), field.is_changed()) {
                (true, false) => format!("unchanged{cursor}"),
                (_, true) if !field.before.is_empty() && !matches!(self.kind, Kind::Create) => {
                    let arrow = theme.glyph(Glyph::Arrow);
                    format!("{} {arrow} {}{cursor}", field.before, field.value)
                }
                _ => format!("{}{cursor}", field.value),
            };
            let role = if has_focus { Role::Input } else { Role::Text };
            put(buffer, inner, line, LABEL_WIDTH, &shown, theme.style(role));
            let help = LABEL_WIDTH + 18;
            if has_focus && inner.width > help {
                put(buffer, inner, line, help, field.name.help(), theme.style(Role::Dim));
            }
        }
        let line = self.fields.len() as u16 + 1;
        let (text, role) = match self.actions() {
            Ok(actions) => (shell_line(&actions, flags, theme), Role::Command),
            Err(fault) => (fault, Role::Warning),
        };
        for (index, text) in wrapped(&text, usize::from(inner.width)).iter().enumerate() {
            put(buffer, inner, line + index as u16, 0, text, theme.style(role));
        }
    }
}

/// `Scale demo`, or `Scale 3 objects`.
fn title(verb: &str, subjects: &[Subject]) -> String {
    match subjects {
        [subject] => format!("{verb} {}", subject.typed()),
        subjects => format!("{verb} {} objects", subjects.len()),
    }
}

/// Whether a text can be the name of a cluster: a DNS label.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last))
        if is_plain(*first) && is_plain(*last))
        && text.len() <= 63
        && bytes.iter().all(|byte| is_plain(*byte) || *byte == b'-')
}
