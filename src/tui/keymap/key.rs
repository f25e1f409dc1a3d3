//! A key as terminals report it and as people write it.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with what is held down. Shift is part of the letter: `N`, not shift and `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    code: Code,
    control: bool,
    alt: bool,
}

/// Keys that can be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Code {
    Letter(char),
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Insert,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    Function(u8),
    /// One that cannot be bound.
    Other,
}

/// Keys without a letter, as written, with how they are shown.
const NAMED: [(&str, Code, &str); 17] = [
    ("enter", Code::Enter, "↵"),
    ("esc", Code::Escape, "esc"),
    ("tab", Code::Tab, "tab"),
    ("backtab", Code::BackTab, "⇧tab"),
    ("backspace", Code::Backspace, "⌫"),
    ("delete", Code::Delete, "del"),
    ("insert", Code::Insert, "ins"),
    ("up", Code::Up, "up"),
    ("down", Code::Down, "down"),
    ("left", Code::Left, "left"),
    ("right", Code::Right, "right"),
    ("home", Code::Home, "home"),
    ("end", Code::End, "end"),
    ("pgup", Code::PageUp, "pgup"),
    ("pgdn", Code::PageDown, "pgdn"),
    ("space", Code::Letter(' '), "space"),
    ("minus", Code::Letter('-'), "-"),
];

impl Key {
    /// The key of an event.
    ///
    /// Terminals without the newer protocols send `^\` to `^_` as control characters that crossterm
    /// reports as `^4` to `^7`; they are taken for what was typed.
    pub fn of(event: KeyEvent) -> Self {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        let shift = event.modifiers.contains(KeyModifiers::SHIFT);
        let code = match event.code {
            KeyCode::Char(letter) if control => match letter {
                '4' => Code::Letter('\\'),
                '5' => Code::Letter(']'),
                '6' => Code::Letter('^'),
                '7' => Code::Letter('_'),
                letter => Code::Letter(letter.to_ascii_lowercase()),
            },
            KeyCode::Char(letter) if shift => Code::Letter(letter.to_ascii_uppercase()),
            KeyCode::Char(letter) => Code::Letter(letter),
            KeyCode::Enter => Code::Enter,
            KeyCode::Esc => Code::Escape,
            KeyCode::Tab if shift => Code::BackTab,
            KeyCode::Tab => Code::Tab,
            KeyCode::BackTab => Code::BackTab,
            KeyCode::Backspace => Code::Backspace,
            KeyCode::Delete => Code::Delete,
            KeyCode::Insert => Code::Insert,
            KeyCode::Up => Code::Up,
            KeyCode::Down => Code::Down,
            KeyCode::Left => Code::Left,
            KeyCode::Right => Code::Right,
            KeyCode::Home => Code::Home,
            KeyCode::End => Code::End,
            KeyCode::PageUp => Code::PageUp,
            KeyCode::PageDown => Code::PageDown,
            KeyCode::F(number) => Code::Function(number),
            _ => Code::Other,
        };
        Self { code, control, alt: event.modifiers.contains(KeyModifiers::ALT) }
    }

    /// An event that means this key.
    pub fn event(self) -> KeyEvent {
        let code = match self.code {
            Code::Letter(letter) => KeyCode::Char(letter),
            Code::Enter => KeyCode::Enter,
            Code::Escape => KeyCode::Esc,
            Code::Tab => KeyCode::Tab,
            Code::BackTab => KeyCode::BackTab,
            Code::Backspace => KeyCode::Backspace,
            Code::Delete => KeyCode::Delete,
            Code::Insert => KeyCode::Insert,
            Code::Up => KeyCode::Up,
            Code::Down => KeyCode::Down,
            Code::Left => KeyCode::Left,
            Code::Right => KeyCode::Right,
            Code::Home => KeyCode::Home,
            Code::End => KeyCode::End,
            Code::PageUp => KeyCode::PageUp,
            Code::PageDown => KeyCode::PageDown,
            Code::Function(number) => KeyCode::F(number),
            Code::Other => KeyCode::Null,
        };
        let mut modifiers = KeyModifiers::NONE;
        modifiers.set(KeyModifiers::CONTROL, self.control);
        modifiers.set(KeyModifiers::ALT, self.alt);
        KeyEvent::new(code, modifiers)
    }

    /// Whether the key ends the program whatever a file says.
    pub(super) fn is_reserved(self) -> bool {
        self.control && self.code == Code::Letter('c')
    }

    /// Lower is easier to type.
    pub(super) fn rank(self) -> (bool, bool, bool, Self) {
        (
            !matches!(self.code, Code::Letter(_) | Code::Enter | Code::Escape),
            self.alt,
            self.control,
            self,
        )
    }
}

impl fmt::Display for Key {
    /// As hints show it: `^d`, `esc`, `F5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.control {
            f.write_str("^")?;
        }
        if self.alt {
            f.write_str("alt-")?;
        }
        match (self.code, NAMED.iter().find(|(_, code, _)| *code == self.code)) {
            (_, Some((_, _, shown))) => f.write_str(shown),
            (Code::Letter(letter), None) => write!(f, "{letter}"),
            (Code::Function(number), None) => write!(f, "F{number}"),
            (_, None) => f.write_str("?"),
        }
    }
}

impl FromStr for Key {
    type Err = String;

    /// As files have it: `s`, `N`, `shift-n`, `ctrl-d`, `^d`, `alt-x`, `enter`, `f5`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut rest, mut control, mut alt, mut shift) = (text, false, false, false);
        while rest.chars().count() > 1 {
            let (held, after) = match rest.strip_prefix('^') {
                Some(after) => ("ctrl", after),
                None => match rest.split_once('-') {
                    Some((held, after)) if !after.is_empty() => (held, after),
                    _ => break,
                },
            };
            match held.to_ascii_lowercase().as_str() {
                "ctrl" | "control" | "c" => control = true,
                "alt" | "a" | "meta" => alt = true,
                "shift" => shift = true,
                _ => return Err(format!("{text:?} is no key: nobody can hold {held:?} down")),
            }
            rest = after;
        }
        let mut letters = rest.chars();
        let code = match (letters.next(), letters.next()) {
            (Some(letter), None) if !letter.is_control() => match (control, shift) {
                (true, _) => Code::Letter(letter.to_ascii_lowercase()),
                (false, true) => Code::Letter(letter.to_ascii_uppercase()),
                (false, false) => Code::Letter(letter),
            },
            _ => named(rest).ok_or_else(|| unknown(text, rest))?,
        };
        let code = if shift && code == Code::Tab { Code::BackTab } else { code };
        Ok(Self { code, control, alt })
    }
}

fn named(text: &str) -> Option<Code> {
    let text = text.to_ascii_lowercase();
    let text = match text.as_str() {
        "return" => "enter",
        "escape" => "esc",
        "del" => "delete",
        "pageup" => "pgup",
        "pagedown" | "pgdown" => "pgdn",
        text => text,
    };
    if let Some((_, code, _)) = NAMED.iter().find(|(name, _, _)| *name == text) {
        return Some(*code);
    }
    let number = text.strip_prefix('f')?.parse::<u8>().ok()?;
    (1..=24).contains(&number).then_some(Code::Function(number))
}

fn unknown(text: &str, rest: &str) -> String {
    let names = NAMED.iter().map(|(name, _, _)| (*name).to_owned());
    match crate::machinery::nearest::near(&rest.to_ascii_lowercase(), names) {
        Some(near) => format!("{text:?} is no key; did you mean {near:?}?"),
        None => format!("{text:?} is no key: expected e.g. s, N, ctrl-d, alt-x, enter, f5"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Key>().map(|key| key.to_string());
        for (text, shown) in [
            ("s", "s"),
            ("N", "N"),
            ("shift-n", "N"),
            ("ctrl-d", "^d"),
            ("^D", "^d"),
            ("ctrl-space", "^space"),
            ("alt-x", "alt-x"),
            ("Enter", "↵"),
            ("F12", "F12"),
            ("-", "-"),
            ("ctrl--", "^-"),
            ("shift-tab", "⇧tab"),
            ("^", "^"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
        assert_eq!(read("entr").unwrap_err(), "\"entr\" is no key; did you mean \"enter\"?");
        for bad in ["", "hyper-x", "f99", "ctrl-", "ab"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_the_same_however_the_terminal_reports_it() {
        let of = |code, modifiers| Key::of(KeyEvent::new(code, modifiers)).to_string();
        assert_eq!(of(KeyCode::Char('4'), KeyModifiers::CONTROL), "^\\");
        assert_eq!(of(KeyCode::Char('n'), KeyModifiers::SHIFT), "N");
        assert_eq!(of(KeyCode::Char('N'), KeyModifiers::SHIFT), "N");
        assert_eq!(of(KeyCode::Tab, KeyModifiers::SHIFT), "⇧tab");
        let key: Key = "ctrl-d".parse().unwrap();
        assert_eq!(Key::of(key.event()), key);
    }
}
