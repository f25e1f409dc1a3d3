//! The dashboard without its terminal: keys and changes in, pictures and requests out.

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::acting::{Acting, Request};
use super::commands::{self, Act};
use super::draw;
use super::fetch::{Fetched, Got};
use super::keymap::{Command, Keymap};
use super::model::Model;
use super::model::feed::Changes;
use super::model::requests;
use super::model::row::{Cell, Column, Object, Row};
use super::model::table::Table;
use super::state::{Overlay, Page, State, Step, View};
use super::target;
use super::theme::Theme;
use super::views::{Head, Scene};
use crate::clock::Clock;

/// The dashboard without its terminal: keys and changes in, a buffer out.
pub(super) struct App {
    pub(super) state: State,
    pub(super) model: Model,
    pub(super) theme: Theme,
    pub(super) keymap: Keymap,
    pub(super) head: Head,
    pub(super) acting: Acting,
    /// What is to be done beyond the picture, the oldest first.
    pub(super) requests: VecDeque<Request>,
    fetched: Option<std::sync::Arc<Fetched>>,
    clock: Clock,
}

impl App {
    pub(super) fn new(clock: Clock, head: Head, theme: Theme) -> Self {
        Self {
            state: State::new(),
            model: Model::new(),
            theme,
            keymap: Keymap::default(),
            acting: Acting::new(Vec::new(), head.read_only, ""),
            requests: VecDeque::new(),
            head,
            fetched: None,
            clock,
        }
    }

    /// Takes what changed.
    pub(super) fn apply(&mut self, changes: Changes) {
        self.model.apply(changes);
    }

    /// Takes an answer.
    pub(super) fn answer(&mut self, fetched: Option<std::sync::Arc<Fetched>>) {
        // What was under way when the page changed answers no question any more.
        if fetched.as_ref().is_some_and(|it| Some(&it.want) != self.state.want().as_ref()) {
            return;
        }
        if let Some(Fetched { got: Ok(Got::Table(table)), .. }) = fetched.as_deref() {
            let columns =
                table.columns.iter().enumerate().map(|(index, (name, priority))| Column {
                    header: name.to_uppercase().into(),
                    rank: match (index, priority) {
                        (0, _) => 0,
                        (_, 0) => 2,
                        (..) => 9,
                    },
                });
            let columns: Vec<Column> = columns.collect();
            if self.model.objects.columns != columns {
                self.model.objects = Table::new(&columns);
            }
            let rows = table.rows.iter().map(|(key, cells)| {
                let object = Object::Named {
                    api_version: table.api_version.clone(),
                    kind: table.kind.clone(),
                };
                (key.clone(), Row::named(key.clone(), object, cells.iter().map(Cell::text)))
            });
            self.model.objects.replace(rows.collect());
        }
        if let Some(Fetched { got: Ok(Got::Requests(clients)), .. }) = fetched.as_deref() {
            self.model.requests.replace(requests::rows(clients));
        }
        self.fetched = fetched;
    }

    /// Draws into a buffer.
    pub(super) fn draw(&mut self, buffer: &mut Buffer, area: Rect) {
        if let Some(view) = self.state.screen().view() {
            let look = self.state.screen().look.clone();
            self.model.show(view, &look, self.clock.elapsed());
        } else {
            // Details tell how long stages take.
            self.model.refresh(View::Timeline, self.clock.elapsed());
        }
        self.head.hidden = self.state.hidden;
        let scene = Scene {
            theme: self.theme,
            model: &self.model,
            fetched: self.fetched.as_deref(),
            head: &self.head,
            now: self.clock.now(),
        };
        draw::draw(buffer, area, &scene, &mut self.state, &self.keymap);
        self.acting.draw(buffer, area, self.theme, &self.keymap, self.clock.elapsed());
        if self.theme.is_ascii() {
            draw::as_ascii(buffer, area);
        }
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: KeyEvent) -> Act {
        let is_quit_key =
            key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
        if is_quit_key {
            if self.state.overlay == Some(Overlay::Quit) {
                return Act::Quit;
            }
            self.acting.close_window();
            self.state.overlay = Some(Overlay::Quit);
            return Act::None;
        }
        if self.state.overlay.is_some() {
            return self.press_overlay(key);
        }
        if self.acting.is_open() {
            let request = self.acting.press(key);
            self.requests.push_back(request);
            return Act::None;
        }
        if self.state.editing_filter {
            self.press_filter(key);
            return Act::None;
        }
        match self.keymap.command(key) {
            Some(command) => self.carry_out(command),
            None => Act::None,
        }
    }

    /// Carries out a command, wherever it came from.
    pub(super) fn carry_out(&mut self, command: Command) -> Act {
        let scene = Scene {
            theme: self.theme,
            model: &self.model,
            fetched: self.fetched.as_deref(),
            head: &self.head,
            now: self.clock.now(),
        };
        let before = self.state.screen().page.clone();
        let act = commands::carry_out(command, &mut self.state, &scene);
        self.turned(&before);
        match act {
            Act::Other(command) => self.begin(command),
            act => act,
        }
    }

    /// Opens a page.
    pub(super) fn open(&mut self, page: Page) {
        let before = self.state.screen().page.clone();
        self.state.open(page);
        self.turned(&before);
    }

    /// Rows of a kind do not outlive its page.
    fn turned(&mut self, before: &Page) {
        if *before != self.state.screen().page && self.state.screen().view() == Some(View::Objects)
        {
            self.model.objects = Table::new(&[]);
        }
    }

    /// Begins an act.
    fn begin(&mut self, command: Command) -> Act {
        let scene = Scene {
            theme: self.theme,
            model: &self.model,
            fetched: self.fetched.as_deref(),
            head: &self.head,
            now: self.clock.now(),
        };
        let target = target::target(&self.state, &scene);
        match self.acting.start(command, target, &self.keymap, self.clock.elapsed()) {
            Some(request) => {
                self.requests.push_back(request);
                Act::None
            }
            None => Act::Other(command),
        }
    }

    /// Takes pasted text: into a window, or the filter while it is typed.
    pub(super) fn paste(&mut self, text: &str) {
        if !self.acting.paste(text) && self.state.editing_filter {
            for letter in text.chars() {
                self.press_filter(KeyEvent::from(KeyCode::Char(letter)));
            }
        }
    }

    /// Takes what the mouse did: the wheel moves, a click selects a row or a tab, a second click on
    /// the selected row opens it.
    pub(super) fn point(&mut self, mouse: MouseEvent) -> Act {
        const WHEEL: usize = 3;
        if self.state.overlay.is_some() || self.acting.is_open() {
            return Act::None;
        }
        let step = match mouse.kind {
            MouseEventKind::ScrollDown => Step::Down,
            MouseEventKind::ScrollUp => Step::Up,
            MouseEventKind::Down(MouseButton::Left) => {
                return self.click(Position::new(mouse.column, mouse.row));
            }
            _ => return Act::None,
        };
        for _ in 0..WHEEL {
            self.state.screen_mut().cursor.go(step);
        }
        Act::None
    }

    fn click(&mut self, place: Position) -> Act {
        if let Some((_, view)) = self.state.tabs.iter().find(|(area, _)| area.contains(place)) {
            let view = *view;
            self.state.show(view);
            return Act::None;
        }
        let cursor = &mut self.state.screen_mut().cursor;
        if !cursor.area.contains(place) {
            return Act::None;
        }
        let position = cursor.offset + usize::from(place.y - cursor.area.y);
        if cursor.chosen && position == cursor.position {
            return self.carry_out(Command::Open);
        }
        cursor.go_to(position);
        Act::None
    }

    fn press_overlay(&mut self, key: KeyEvent) -> Act {
        let yes = matches!(key.code, KeyCode::Char('y' | 'Y'));
        match self.state.overlay {
            Some(Overlay::Quit) if yes => return Act::Quit,
            Some(Overlay::Help(from)) => {
                let from = match self.keymap.command(key) {
                    Some(Command::Down) => Some(from.saturating_add(1)),
                    Some(Command::Up) => Some(from.saturating_sub(1)),
                    Some(Command::PageDown) => Some(from.saturating_add(10)),
                    Some(Command::PageUp) => Some(from.saturating_sub(10)),
                    _ => None,
                };
                self.state.overlay = from.map(Overlay::Help);
            }
            Some(Overlay::Quit) | None => self.state.overlay = None,
        }
        Act::None
    }

    fn press_filter(&mut self, key: KeyEvent) {
        const LENGTH_MAX: usize = 200;
        let filter = &mut self.state.screen_mut().look.filter;
        match key.code {
            KeyCode::Enter => self.state.editing_filter = false,
            KeyCode::Esc => {
                filter.clear();
                self.state.editing_filter = false;
            }
            KeyCode::Backspace => {
                filter.pop();
            }
            KeyCode::Char(character) if !character.is_control() && filter.len() < LENGTH_MAX => {
                filter.push(character);
            }
            _ => {}
        }
    }
}
