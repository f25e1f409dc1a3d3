//! What the person at the keyboard has chosen. Pure: key in, new state and act out.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Views, in the order of their number keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Clusters,
    Machines,
    ControlPlanes,
    Events,
}

impl View {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Clusters, "Clusters"),
        (Self::Machines, "Machines"),
        (Self::ControlPlanes, "KCP"),
        (Self::Events, "Events"),
    ];
}

/// An opened object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Detail {
    /// View whose kind it is of.
    pub(super) view: View,
    /// Namespace and name.
    pub(super) key: (String, String),
    /// First line shown.
    pub(super) scroll: usize,
}

/// A window on top of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlay {
    Help,
    Quit,
}

/// State of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) view: View,
    /// Selected object; the selection follows it when rows move.
    pub(super) selected: Option<(String, String)>,
    /// Whether it was chosen by hand. Otherwise the selection stays on the first row.
    pub(super) chosen: bool,
    /// Its position when it was last seen: the selection stays there when the object goes.
    pub(super) position: usize,
    /// First row in sight.
    pub(super) offset: usize,
    pub(super) filter: String,
    /// Whether keys go into the filter.
    pub(super) editing_filter: bool,
    pub(super) detail: Option<Detail>,
    pub(super) overlay: Option<Overlay>,
}

/// What a key asks for beyond the new state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    None,
    Quit,
    Redraw,
}

/// What the state must know of the rows to move in them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Number of rows.
    pub(super) rows: usize,
    /// Rows in sight.
    pub(super) page: usize,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            view: View::Clusters,
            selected: None,
            chosen: false,
            position: 0,
            offset: 0,
            filter: String::new(),
            editing_filter: false,
            detail: None,
            overlay: None,
        }
    }

    /// Takes a key. A moved `position` is turned into a `selected` key by the caller, who has the
    /// rows: `selected` is cleared then.
    pub(super) fn press(&mut self, key: KeyEvent, extent: Extent) -> Act {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return self.ask_to_quit();
        }
        if let Some(overlay) = self.overlay {
            return self.press_overlay(overlay, key);
        }
        if self.editing_filter {
            return self.press_filter(key);
        }
        match key.code {
            KeyCode::Char('l') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Act::Redraw;
            }
            KeyCode::Char('?') => self.overlay = Some(Overlay::Help),
            KeyCode::Char('q') | KeyCode::Esc if self.detail.is_some() => self.detail = None,
            KeyCode::Char('q') => return self.ask_to_quit(),
            KeyCode::Esc => self.clear_filter(),
            KeyCode::Char('/') if self.detail.is_none() => self.editing_filter = true,
            KeyCode::Enter if self.detail.is_none() => self.open(),
            KeyCode::Char(digit @ '1'..='4') => {
                self.show(View::ALL[digit as usize - '1' as usize].0)
            }
            KeyCode::Tab => self.show(self.next_view()),
            _ => self.travel(key, extent),
        }
        Act::None
    }

    /// Turns the position into a selection and keeps it in sight.
    pub(super) fn settle(&mut self, rows: &super::model::Rows, page: usize) {
        if !self.chosen {
            self.selected = None;
        }
        let found = self.selected.as_ref().and_then(|key| rows.position(key));
        self.position = found.unwrap_or(self.position).min(rows.len().saturating_sub(1));
        self.selected = rows.key(self.position);
        let page = page.max(1);
        self.offset = self.offset.clamp((self.position + 1).saturating_sub(page), self.position);
        self.offset = self.offset.min(rows.len().saturating_sub(page));
    }

    fn ask_to_quit(&mut self) -> Act {
        if self.overlay == Some(Overlay::Quit) {
            return Act::Quit;
        }
        self.overlay = Some(Overlay::Quit);
        Act::None
    }

    fn press_overlay(&mut self, overlay: Overlay, key: KeyEvent) -> Act {
        let yes = matches!(key.code, KeyCode::Char('y' | 'Y' | 'q') | KeyCode::Enter);
        if overlay == Overlay::Quit && yes {
            return Act::Quit;
        }
        self.overlay = None;
        Act::None
    }

    fn press_filter(&mut self, key: KeyEvent) -> Act {
        match key.code {
            KeyCode::Enter => self.editing_filter = false,
            KeyCode::Esc => self.clear_filter(),
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(character) if !character.is_control() => self.filter.push(character),
            _ => {}
        }
        Act::None
    }

    fn clear_filter(&mut self) {
        self.filter.clear();
        self.editing_filter = false;
    }

    fn open(&mut self) {
        if let (Some(key), false) = (self.selected.clone(), self.view == View::Events) {
            self.chosen = true;
            self.detail = Some(Detail { view: self.view, key, scroll: 0 });
        }
    }

    fn show(&mut self, view: View) {
        self.detail = None;
        if view != self.view {
            self.view = view;
            self.selected = None;
            self.chosen = false;
            self.position = 0;
            self.offset = 0;
        }
    }

    fn next_view(&self) -> View {
        let index = View::ALL.iter().position(|(view, _)| *view == self.view).unwrap_or(0);
        View::ALL[(index + 1) % View::ALL.len()].0
    }

    fn travel(&mut self, key: KeyEvent, extent: Extent) {
        let page = extent.page.max(1);
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let from = self.detail.as_ref().map_or(self.position, |detail| detail.scroll);
        let to = match key.code {
            KeyCode::Down | KeyCode::Char('j') => from.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => from.saturating_sub(1),
            KeyCode::PageDown => from.saturating_add(page),
            KeyCode::Char('f') if control => from.saturating_add(page),
            KeyCode::PageUp => from.saturating_sub(page),
            KeyCode::Char('b') if control => from.saturating_sub(page),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => usize::MAX,
            _ => return,
        };
        match &mut self.detail {
            Some(detail) => detail.scroll = to,
            None => {
                self.position = to.min(extent.rows.saturating_sub(1));
                self.selected = None;
                self.chosen = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent { rows: 30, page: 10 };

    fn press(state: &mut State, keys: &[KeyCode]) -> Act {
        keys.iter()
            .map(|code| state.press(KeyEvent::from(*code), EXTENT))
            .last()
            .unwrap_or(Act::None)
    }

    #[test]
    fn movement_stays_within_the_rows() {
        let mut state = State::new();
        press(&mut state, &[KeyCode::Char('k')]);
        assert_eq!(state.position, 0);
        press(&mut state, &[KeyCode::PageDown, KeyCode::Char('j')]);
        assert_eq!(state.position, 11);
        press(&mut state, &[KeyCode::Char('G'), KeyCode::Down]);
        assert_eq!(state.position, 29);
    }

    #[test]
    fn quitting_asks_first_and_twice_control_c_quits() {
        let mut state = State::new();
        assert_eq!(press(&mut state, &[KeyCode::Char('q')]), Act::None);
        assert_eq!(press(&mut state, &[KeyCode::Char('n')]), Act::None);
        assert_eq!(state.overlay, None);
        assert_eq!(press(&mut state, &[KeyCode::Char('q'), KeyCode::Char('y')]), Act::Quit);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        let mut state = State::new();
        state.editing_filter = true;
        assert_eq!(state.press(control_c, EXTENT), Act::None);
        assert_eq!(state.press(control_c, EXTENT), Act::Quit);
    }

    #[test]
    fn filter_takes_keys_until_enter_and_escape_clears_it() {
        let mut state = State::new();
        press(
            &mut state,
            &[KeyCode::Char('/'), KeyCode::Char('q'), KeyCode::Char('1'), KeyCode::Enter],
        );
        assert_eq!(
            (state.filter.as_str(), state.editing_filter, state.view),
            ("q1", false, View::Clusters)
        );
        press(&mut state, &[KeyCode::Esc]);
        assert_eq!(state.filter, "");
    }

    #[test]
    fn detail_opens_on_the_selection_and_closes_with_escape() {
        let mut state = State::new();
        press(&mut state, &[KeyCode::Enter]);
        assert_eq!(state.detail, None);
        state.selected = Some(("default".into(), "a".into()));
        press(&mut state, &[KeyCode::Enter]);
        assert_eq!(state.detail.as_ref().unwrap().key.1, "a");
        press(&mut state, &[KeyCode::Esc]);
        assert_eq!(state.detail, None);
    }
}
