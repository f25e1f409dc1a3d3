//! Changes of keys, read from a file.
//!
//! ```yaml
//! preset: vim
//! keys:
//!   scale: S
//!   delete: [ctrl-d, delete]
//!   upgrade: none
//! ```
//!
//! Keys given to a command take the place of all that it had. A key that another command has is
//! taken from it if that one is given other keys in the same file; otherwise it is a clash.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Command, Key, Keymap, Preset};
use crate::machinery::nearest::near;

/// What is wrong with a file of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct KeymapError {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1; 0 if unknown.
    pub line: u64,
    /// What is wrong, and what was probably meant.
    pub message: String,
}

/// A file's top level.
type Top = BTreeMap<String, Spanned<Value>>;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    keys: BTreeMap<String, Spanned<Value>>,
}

pub(super) fn read(file: &str, text: &str) -> Result<Keymap, KeymapError> {
    let fault = |line: u64, message: String| KeymapError { file: file.to_owned(), line, message };
    let syntax = |error: &serde_saphyr::Error| {
        let line = error.location().map_or(0, |location| location.line());
        let text = error.to_string();
        fault(line, text.lines().next().unwrap_or_default().to_owned())
    };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Keymap::default());
    }
    let top: Top = serde_saphyr::from_str(text).map_err(|error| syntax(&error))?;
    let mut preset = Preset::default();
    for (name, value) in &top {
        let line = value.referenced.line();
        match name.as_str() {
            "preset" => preset = preset_of(&value.value).map_err(|text| fault(line, text))?,
            "keys" if value.value.is_object() || value.value.is_null() => {}
            "keys" => return Err(fault(line, "keys is no mapping of commands to keys".to_owned())),
            name => {
                let message = match near(name, ["preset", "keys"].map(str::to_owned)) {
                    Some(near) => format!("unknown field {name:?}; did you mean {near:?}?"),
                    None => format!("unknown field {name:?}: expected preset or keys"),
                };
                return Err(fault(line, message));
            }
        }
    }
    let File { keys } = match top.get("keys") {
        Some(value) if value.value.is_object() => {
            serde_saphyr::from_str(text).map_err(|error| syntax(&error))?
        }
        _ => File { keys: BTreeMap::new() },
    };
    let mut wanted = Vec::new();
    for (name, value) in &keys {
        let line = value.referenced.line();
        let command = command(name).map_err(|text| fault(line, text))?;
        let keys = keys_of(&value.value).map_err(|text| fault(line, text))?;
        wanted.push((line, command, keys));
    }
    wanted.sort_by_key(|(line, ..)| *line);
    bind(preset, &wanted).map_err(|(line, text)| fault(line, text))
}

/// Puts the wanted keys over a preset.
fn bind(preset: Preset, wanted: &[(u64, Command, Vec<Key>)]) -> Result<Keymap, (u64, String)> {
    let mut keymap = Keymap::preset(preset);
    for (_, command, _) in wanted {
        keymap.clear(*command);
    }
    for (line, command, keys) in wanted {
        for key in keys {
            if key.is_reserved() {
                return Err((*line, format!("{key} always asks to quit")));
            }
            let bound = &mut keymap.keys;
            match bound.insert(*key, *command) {
                Some(other) if other != *command => {
                    let (name, other) = (command.name(), other.name());
                    return Err((
                        *line,
                        format!(
                            "{key} is both {other} and {name}; give {other} another key, or none"
                        ),
                    ));
                }
                _ => {}
            }
        }
    }
    let way_out = [Command::Quit, Command::Exit, Command::Palette];
    if way_out.iter().all(|command| keymap.keys_of(*command).is_empty()) {
        let line = wanted.last().map_or(0, |(line, ..)| *line);
        return Err((line, "no key is left for quit, exit or palette".to_owned()));
    }
    Ok(keymap)
}

fn preset_of(value: &Value) -> Result<Preset, String> {
    let typed = value.as_str().unwrap_or_default();
    let found = Preset::ALL.iter().find(|(_, name)| *name == typed);
    found.map(|(preset, _)| *preset).ok_or_else(|| {
        let names = Preset::ALL.map(|(_, name)| name).join(" or ");
        format!("unknown preset {value}: expected {names}")
    })
}

fn command(name: &str) -> Result<Command, String> {
    Command::named(name).ok_or_else(|| {
        let names = Command::ALL.into_iter().map(|command| command.name().to_owned());
        match near(name, names) {
            Some(near) => format!("unknown command {name:?}; did you mean {near:?}?"),
            None => format!("unknown command {name:?}; `?` in the dashboard lists them"),
        }
    })
}

/// One key, several, or `none`.
fn keys_of(value: &Value) -> Result<Vec<Key>, String> {
    let one = |value: &Value| match value {
        Value::String(text) => text.parse::<Key>(),
        // A digit that was not quoted.
        Value::Number(number) => number.to_string().parse::<Key>(),
        // `n` and `y`, not quoted, are booleans to YAML 1.1, but not here.
        other => Err(format!("{other} is no key")),
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) if text == "none" => Ok(Vec::new()),
        Value::Array(list) => list.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        read("keys.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_changes_keys() {
        let keymap = read(
            "keys.yaml",
            "# mine\npreset: vim\nkeys:\n  scale: x\n  delete: [ctrl-x, delete]\n  upgrade: none\n  machines: 0\n",
        )
        .unwrap();
        let keys = |command| {
            let keys = keymap.keys_of(command);
            keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(Command::Scale), "x");
        assert_eq!(keys(Command::Delete), "^x del");
        assert_eq!(keys(Command::Upgrade), "");
        assert_eq!(keys(Command::ViewMachines), "0");
        assert_eq!(keys(Command::HalfPageDown), "^d");
    }

    #[test]
    fn the_example_of_the_guide_can_be_read() {
        let guide = include_str!("../../../docs/dashboard.md");
        let example = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
        let keymap = read("keys.yaml", example.unwrap()).unwrap();
        assert_eq!(keymap.keys_of(Command::Scale)[0].to_string(), "S");
    }

    #[test]
    fn keys_can_change_places() {
        let keymap = read("f", "keys:\n  scale: r\n  restart: s\n").unwrap();
        assert_eq!(keymap.keys_of(Command::Scale)[0].to_string(), "r");
        assert_eq!(keymap.keys_of(Command::Restart)[0].to_string(), "s");
    }

    #[test]
    fn an_empty_file_changes_nothing() {
        for text in ["", "# nothing\n", "keys:\n", "keys: {}\n"] {
            assert_eq!(read("f", text).unwrap(), Keymap::default(), "{text:?}");
        }
    }

    #[test]
    fn faults_name_the_line_and_the_near_miss() {
        assert_eq!(
            refused("keys:\n  scale: s\n  scael: x\n"),
            "keys.yaml:3: unknown command \"scael\"; did you mean \"scale\"?"
        );
        assert_eq!(
            refused("\nkeys:\n  scale: entr\n"),
            "keys.yaml:3: \"entr\" is no key; did you mean \"enter\"?"
        );
        assert_eq!(
            refused("keys:\n  scale: d\n"),
            "keys.yaml:2: d is both describe and scale; give describe another key, or none"
        );
        assert_eq!(
            refused("keyz:\n  scale: x\n"),
            "keys.yaml:2: unknown field \"keyz\"; did you mean \"keys\"?"
        );
        assert_eq!(
            refused("preset: emacs\n"),
            "keys.yaml:1: unknown preset \"emacs\": expected k9s or vim"
        );
        assert_eq!(refused("keys:\n  scale: ctrl-c\n"), "keys.yaml:2: ^c always asks to quit");
        assert!(refused("keys: [1\n").starts_with("keys.yaml:"));
        assert!(refused("keys:\n  quit: none\n  exit: none\n  palette: none\n").contains("quit"));
    }
}
