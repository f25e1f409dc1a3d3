//! Keys and what they do.
//!
//! A [`Keymap`] is a preset (k9s' keys, or vim's) with the changes of a file on top. One key does
//! one thing in a [`Context`]; a clash, an unknown name or a key that does not exist is an error
//! that names the line, never a silent fallback.

mod command;
mod file;
mod key;

pub use command::{Command, Group};
pub use file::KeymapError;
pub use key::Key;

use std::collections::BTreeMap;

use crossterm::event::KeyEvent;

/// Where keys come from before a file changes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// k9s' keys, and new ones where it has none.
    #[default]
    K9s,
    /// The same, but `^d` and `^u` move by half a page; `D` asks to delete.
    Vim,
}

impl Preset {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 2] = [(Self::K9s, "k9s"), (Self::Vim, "vim")];
}

/// Keys and what they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    keys: BTreeMap<Key, Command>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::preset(Preset::default())
    }
}

impl Keymap {
    /// The keys of a preset.
    pub fn preset(preset: Preset) -> Self {
        let mut keymap = Self { keys: BTreeMap::new() };
        for command in Command::ALL {
            for text in command.keys(preset) {
                if let Ok(key) = text.parse() {
                    keymap.keys.insert(key, command);
                }
            }
        }
        keymap
    }

    /// The keys of a file's text; `file` names it in errors.
    ///
    /// # Errors
    /// The first thing in it that cannot be meant, with its line.
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, KeymapError> {
        file::read(file, text)
    }

    /// What a key does.
    pub fn command(&self, key: KeyEvent) -> Option<Command> {
        self.keys.get(&Key::of(key)).copied()
    }

    /// Keys of a command, the one to be shown first; none if it has none.
    pub fn keys_of(&self, command: Command) -> Vec<Key> {
        let keys = self.keys.iter();
        let mut found: Vec<Key> =
            keys.filter(|(_, bound)| **bound == command).map(|(key, _)| *key).collect();
        // Letters before control keys before arrows and function keys.
        found.sort_by_key(|key| key.rank());
        found
    }

    /// What is shown of a command: its first key and its short name, e.g. `s scale`; `None` if no
    /// key does it.
    pub fn hint(&self, command: Command) -> Option<(String, &'static str)> {
        let key = self.keys_of(command).first().copied()?;
        Some((key.to_string(), command.label()))
    }

    /// Hints of those commands that have a key, in the order given.
    pub fn hints(&self, commands: &[Command]) -> Vec<(String, &'static str)> {
        commands.iter().filter_map(|command| self.hint(*command)).collect()
    }

    fn clear(&mut self, command: Command) {
        self.keys.retain(|_, bound| *bound != command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(keymap: &Keymap, key: &str) -> Option<Command> {
        keymap.command(key.parse::<Key>().unwrap().event())
    }

    #[test]
    fn no_two_commands_of_a_preset_share_a_key() {
        for (preset, _) in Preset::ALL {
            let mut seen = BTreeMap::new();
            for command in Command::ALL {
                for text in command.keys(preset) {
                    let key: Key = text.parse().unwrap();
                    let other = seen.insert(key, command);
                    assert_eq!(other, None, "{preset:?}: {key} is also {command:?}");
                }
            }
        }
    }

    #[test]
    fn keys_are_those_of_k9s() {
        let keymap = Keymap::default();
        for (key, command) in [
            ("j", Command::Down),
            ("G", Command::Bottom),
            ("ctrl-f", Command::PageDown),
            ("enter", Command::Open),
            (":", Command::Palette),
            ("ctrl-p", Command::Palette),
            ("/", Command::Filter),
            ("?", Command::Help),
            ("ctrl-d", Command::Delete),
            ("ctrl-k", Command::Kill),
            ("s", Command::Scale),
            ("r", Command::Restart),
            ("e", Command::Edit),
            ("y", Command::Yaml),
            ("space", Command::Mark),
            ("ctrl-\\", Command::ClearMarks),
            ("shift-n", Command::SortName),
        ] {
            assert_eq!(press(&keymap, key), Some(command), "{key}");
        }
        assert_eq!(press(&Keymap::preset(Preset::Vim), "ctrl-d"), Some(Command::HalfPageDown));
        assert_eq!(press(&Keymap::preset(Preset::Vim), "D"), Some(Command::Delete));
    }

    #[test]
    fn hints_show_the_key_that_is_easiest_to_type() {
        let keymap = Keymap::default();
        let hints = keymap.hints(&[Command::Down, Command::Delete, Command::Suspend]);
        assert_eq!(hints, [("j".to_owned(), "down"), ("^d".to_owned(), "delete")]);
    }
}
