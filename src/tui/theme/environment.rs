//! What the environment says about the terminal.

use std::collections::BTreeMap;

use super::Depth;

/// The variables that say what a terminal can show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<&'static str, String>,
}

/// All that are looked at.
const VARIABLES: [&str; 7] =
    ["TERM", "COLORTERM", "NO_COLOR", "CLICOLOR_FORCE", "LC_ALL", "LC_CTYPE", "LANG"];

impl Environment {
    /// That of the process.
    pub fn read() -> Self {
        let read = |name| {
            let value = std::env::var_os(name)?.to_string_lossy().into_owned();
            Some((name, value))
        };
        Self { variables: VARIABLES.into_iter().filter_map(read).collect() }
    }

    /// That of some variables; others than the known ones are left out.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let known = |(name, value): (&str, &str)| {
            let name = VARIABLES.into_iter().find(|known| *known == name)?;
            Some((name, value.to_owned()))
        };
        Self { variables: variables.into_iter().filter_map(known).collect() }
    }

    /// A variable; the empty one counts as absent.
    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// How many colours may be shown.
    ///
    /// `NO_COLOR` is stronger than `CLICOLOR_FORCE`, and that one than what `TERM` says
    /// (<https://no-color.org>, <https://bixense.com/clicolors>).
    pub(super) fn depth(&self) -> Depth {
        if self.get("NO_COLOR").is_some() {
            return Depth::None;
        }
        let term = self.get("TERM").unwrap_or_default();
        let forced = self.get("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        match self.get("COLORTERM") {
            Some("truecolor" | "24bit") => Depth::True,
            _ if term == "dumb" && !forced => Depth::None,
            _ if term.ends_with("-direct") => Depth::True,
            _ if term.contains("256color") => Depth::Indexed,
            _ => Depth::Sixteen,
        }
    }

    /// Whether more than ASCII can be expected to be drawn: the locale is UTF-8, or none is set,
    /// and the terminal is not one with a font of its own.
    pub(super) fn draws_unicode(&self) -> bool {
        if matches!(self.get("TERM"), Some("linux" | "dumb")) {
            return false;
        }
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| self.get(name));
        locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
    }
}
