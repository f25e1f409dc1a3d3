//! What people choose of a dashboard.

use super::keymap::Keymap;
use super::terminal::ScreenOptions;
use super::theme::{Environment, Theme, Wishes};

/// Choices of whoever looks at the dashboard.
#[derive(Clone, Debug)]
pub struct Options {
    /// Theme and shapes.
    pub wishes: Wishes,
    /// Whether the mouse is reported to the dashboard.
    pub mouse: bool,
    /// Keys.
    pub keymap: Keymap,
    /// Kubernetes version of new clusters, unless they say otherwise.
    pub version: String,
    /// What a capim command needs to mean this server, e.g. `--kubeconfig FILE`; shown with every
    /// act.
    pub flags: Vec<String>,
    /// Whether the server goes on when the dashboard is left.
    pub attached: bool,
}

impl Default for Options {
    /// Those of a terminal that nobody has asked anything of.
    fn default() -> Self {
        Self {
            wishes: Wishes::default(),
            mouse: true,
            keymap: Keymap::default(),
            version: "v1.36.1".to_owned(),
            flags: Vec::new(),
            attached: false,
        }
    }
}

impl Options {
    /// The theme for the terminal of this process.
    pub(super) fn theme(&self) -> Theme {
        Theme::choose(self.wishes, &Environment::read())
    }

    /// What is wanted of the terminal.
    pub(super) fn screen(&self) -> ScreenOptions {
        ScreenOptions { mouse: self.mouse, colours: self.theme().has_colours() }
    }
}
