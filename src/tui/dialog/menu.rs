//! Lists of things to choose from: all actions of a row, the ways of a kubeconfig.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Answer, put, window};
use crate::client::ObjectKey;
use crate::tui::keymap::Command;
use crate::tui::theme::{Glyph, Role, Theme};

const WIDTH: u16 = 72;
/// Columns of keys, and of what comes after them.
const KEY_WIDTH: u16 = 9;
const LABEL_WIDTH: u16 = 30;

/// Something beyond changing objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Wish {
    /// Run a command.
    Run(Command),
    /// Copy a text; the second one says what it is.
    Copy(String, String),
    /// Copy the text of a workload cluster's kubeconfig.
    CopyKubeconfig(ObjectKey),
    /// Write it into a file of the current directory.
    SaveKubeconfig(ObjectKey),
    /// A shell with KUBECONFIG set: of a workload cluster, or the management API.
    Shell(Option<ObjectKey>),
}

/// A choice.
#[derive(Clone, Debug)]
pub(in crate::tui) struct MenuItem {
    /// The key that chooses it at once, as it is shown, if it is a single letter.
    pub(in crate::tui) key: String,
    pub(in crate::tui) label: String,
    /// Beside the label: what it does, or the shell command that does the same.
    pub(in crate::tui) note: String,
    pub(in crate::tui) wish: Wish,
}

/// A list of choices.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Menu {
    title: String,
    items: Vec<MenuItem>,
    selected: usize,
}

impl Menu {
    /// A list with the first choice selected.
    pub(in crate::tui) fn new(title: String, items: Vec<MenuItem>) -> Self {
        Self { title, items, selected: 0 }
    }

    pub(super) fn press(&mut self, key: KeyEvent) -> Answer {
        if let KeyCode::Char(letter) = key.code
            && key.modifiers.is_empty()
            && let Some(item) = self.items.iter().find(|item| item.key == letter.to_string())
        {
            return Answer::Wish(item.wish.clone());
        }
        let last = self.items.len().saturating_sub(1);
        match key.code {
            KeyCode::Enter => {
                return match self.items.get(self.selected) {
                    Some(item) => Answer::Wish(item.wish.clone()),
                    None => Answer::Close,
                };
            }
            KeyCode::Down | KeyCode::Tab | KeyCode::Char('j') => {
                self.selected = if self.selected >= last { 0 } else { self.selected + 1 };
            }
            KeyCode::Up | KeyCode::BackTab | KeyCode::Char('k') => {
                self.selected = if self.selected == 0 { last } else { self.selected - 1 };
            }
            KeyCode::Char('q') => return Answer::Close,
            _ => {}
        }
        Answer::Stay
    }

    pub(super) fn draw(&self, buffer: &mut Buffer, screen: Rect, theme: Theme) {
        let height = (self.items.len() as u16).saturating_add(2);
        let footer = " up down choose   enter do   esc ";
        let inner = window(buffer, screen, theme, (&self.title, footer), (WIDTH, height));
        let page = usize::from(inner.height).max(1);
        let from = (self.selected + 1).saturating_sub(page);
        for (line, (index, item)) in self.items.iter().enumerate().skip(from).take(page).enumerate()
        {
            let is_selected = index == self.selected;
            let style = |role| match is_selected {
                true => theme.style(role).patch(theme.style(Role::Selected)),
                false => theme.style(role),
            };
            let line = line as u16;
            let pointer = if is_selected { theme.glyph(Glyph::Pointer) } else { " " };
            put(buffer, inner, line, 0, pointer, theme.style(Role::Key));
            put(buffer, inner, line, 2, &item.key, style(Role::Key));
            let label_width = usize::from(LABEL_WIDTH - KEY_WIDTH);
            let label = format!("{:label_width$}", item.label);
            put(buffer, inner, line, KEY_WIDTH, &label, style(Role::Text));
            put(buffer, inner, line, LABEL_WIDTH, &item.note, style(Role::Dim));
        }
    }
}
