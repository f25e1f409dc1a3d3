//! Windows that ask before something is done: forms, questions, menus. Pure: keys in, an
//! [`Answer`] out. Each shows the shell command that does the same.

mod form;
mod menu;
mod window;

pub(super) use form::{Form, Sizes};
pub(super) use menu::{Menu, MenuItem, Wish};
pub(super) use window::{put, window};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::Action;
use super::theme::{Glyph, Role, Theme};

/// Names that a question lists.
const NAMES_SHOWN: usize = 5;
/// Least width of a question.
const QUESTION_WIDTH: u16 = 44;

/// A window.
#[derive(Clone, Debug)]
pub(super) enum Dialog {
    Form(Form),
    Question(Question),
    Menu(Menu),
}

/// What a key in a window leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The window stays.
    Stay,
    /// It closes, and nothing happens.
    Close,
    /// It closes, and this is done.
    Act(Vec<Action>),
    /// It closes, and this is wished for.
    Wish(Wish),
    /// It stays, and this text is copied.
    Copy(String),
}

impl Dialog {
    /// Takes a key. `flags` say which server commands mean.
    pub(super) fn press(&mut self, key: KeyEvent, flags: &[String]) -> Answer {
        if key.code == KeyCode::Esc {
            return Answer::Close;
        }
        let is_copy =
            key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('o');
        if is_copy {
            return match self.commands(flags) {
                commands if commands.is_empty() => Answer::Stay,
                commands => Answer::Copy(commands.join("\n")),
            };
        }
        match self {
            Self::Form(form) => form.press(key),
            Self::Question(question) => question.press(key),
            Self::Menu(menu) => menu.press(key),
        }
    }

    /// The shell commands that do what it asks for.
    fn commands(&self, flags: &[String]) -> Vec<String> {
        let actions = match self {
            Self::Form(form) => form.actions().unwrap_or_default(),
            Self::Question(question) => question.actions.clone(),
            Self::Menu(_) => Vec::new(),
        };
        actions.iter().map(|action| action.command(flags)).collect()
    }

    /// Draws it over the screen.
    pub(super) fn draw(&self, buffer: &mut Buffer, screen: Rect, theme: Theme, flags: &[String]) {
        match self {
            Self::Form(form) => form.draw(buffer, screen, theme, flags),
            Self::Question(question) => question.draw(buffer, screen, theme, flags),
            Self::Menu(menu) => menu.draw(buffer, screen, theme),
        }
    }
}

/// A question before something is done.
#[derive(Clone, Debug)]
pub(super) struct Question {
    title: String,
    /// What it is about, one line each.
    names: Vec<String>,
    /// What happens.
    note: &'static str,
    actions: Vec<Action>,
    /// Whether `enter` says yes, too: not for what cannot be taken back.
    is_harmless: bool,
}

impl Question {
    /// Asks whether to do something. `note` says what happens then.
    pub(super) fn new(title: String, note: &'static str, actions: Vec<Action>) -> Self {
        let is_harmless = !actions.iter().any(|action| matches!(action, Action::Delete { .. }));
        let names = actions.iter().map(Action::title).collect();
        Self { title, names, note, actions, is_harmless }
    }

    fn press(&self, key: KeyEvent) -> Answer {
        match key.code {
            KeyCode::Char('y' | 'Y') => Answer::Act(self.actions.clone()),
            KeyCode::Enter if self.is_harmless => Answer::Act(self.actions.clone()),
            KeyCode::Enter => Answer::Stay,
            _ => Answer::Close,
        }
    }

    fn draw(&self, buffer: &mut Buffer, screen: Rect, theme: Theme, flags: &[String]) {
        let mut lines: Vec<(String, Role)> = self
            .names
            .iter()
            .take(NAMES_SHOWN)
            .map(|name| (format!("{name}?"), Role::Text))
            .collect();
        if self.names.len() > NAMES_SHOWN {
            let more = self.names.len() - NAMES_SHOWN;
            lines.push((format!("and {more} more"), Role::Dim));
        }
        if !self.note.is_empty() {
            lines.push((self.note.to_owned(), Role::Warning));
        }
        lines.push((String::new(), Role::Text));
        lines.push((shell_line(&self.actions, flags, theme), Role::Command));
        let keys = if self.is_harmless { "y or enter  yes" } else { "y  yes" };
        let footer = format!(" {keys}   ^o copy command   esc no ");
        draw_lines(buffer, screen, theme, (&self.title, &footer), &lines);
    }
}

/// The command of the first action, and how many follow.
fn shell_line(actions: &[Action], flags: &[String], theme: Theme) -> String {
    match actions {
        [] => String::new(),
        [action] => format!("= {}", action.command(flags)),
        [action, rest @ ..] => {
            let ellipsis = theme.glyph(Glyph::Ellipsis);
            format!("= {} {ellipsis} and {} more", action.command(flags), rest.len())
        }
    }
}

/// A window of lines.
fn draw_lines(
    buffer: &mut Buffer,
    screen: Rect,
    theme: Theme,
    (title, footer): (&str, &str),
    lines: &[(String, Role)],
) {
    let widest = lines.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0);
    let width = u16::try_from(widest.max(footer.chars().count())).unwrap_or(u16::MAX);
    let size = (width.max(QUESTION_WIDTH).saturating_add(4), lines.len() as u16 + 2);
    let inner = window(buffer, screen, theme, (title, footer), size);
    for (index, (text, role)) in lines.iter().enumerate() {
        put(buffer, inner, index as u16, 0, text, theme.style(*role));
    }
}

#[cfg(test)]
mod tests;
