//! The dashboard without terminal and server: objects and keys in, a picture out. For pictures in
//! documents, for tests and for measuring.

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::model::feed::Changes;
use super::run::App;
use super::theme::Theme;
use super::views::Head;
use crate::clock::Clock;

/// A dashboard that draws into buffers.
pub struct Offscreen {
    app: App,
}

impl Offscreen {
    /// An empty dashboard of a management API at `url`, with a kubeconfig at a path.
    pub fn new(clock: Clock, url: &str, kubeconfig: &str, theme: Theme) -> Self {
        let (url, kubeconfig) = (url.to_owned(), kubeconfig.to_owned());
        Self { app: App::new(clock, Head { url, kubeconfig, ..Head::default() }, theme) }
    }

    /// Takes objects that appeared, changed or went.
    pub fn apply(&mut self, changes: Changes) {
        self.app.apply(changes);
    }

    /// Takes a key. Keys that ask for anything beyond this screen are ignored.
    pub fn press(&mut self, key: KeyEvent) {
        self.app.press(key);
    }

    /// Draws a frame.
    pub fn draw(&mut self, buffer: &mut Buffer, area: Rect) {
        self.app.draw(buffer, area);
    }
}
