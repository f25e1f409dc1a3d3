//! How things look: six themes, and shapes for terminals that have no others than ASCII.
//!
//! Meaning never hangs on colour alone: every state also has a [`Glyph`] and a word. A [`Theme`] is
//! made once, from what was asked for and what the terminal can do ([`Environment`]), and asked for
//! the style of a [`Role`]; nobody else names a colour. Backgrounds are left to the terminal, but
//! for the selection.

mod environment;
mod glyphs;
mod palette;

pub use environment::Environment;
pub use glyphs::Glyph;

use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use palette::{Ink, Palette};

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// Secondary text.
    Dim,
    /// Titles of panes, names of programs.
    Title,
    /// Headers of columns.
    Header,
    /// The column that rows are sorted by.
    SortedHeader,
    /// Frames.
    Border,
    /// The frame of the pane that takes keys.
    FocusedBorder,
    /// The row or choice that keys act on.
    Selected,
    /// A row that acts apply to.
    Marked,
    /// A key in a hint.
    Key,
    /// What a key does.
    Hint,
    /// What somebody types.
    Input,
    /// Letters that a search has found.
    Match,
    /// A shell command.
    Command,
    /// Something that works: Available, Ready.
    Good,
    /// Something that is going on: provisioning, rolling out.
    Busy,
    /// Something worse than it was: degraded.
    Warning,
    /// Something that failed.
    Bad,
    /// Something that is going away.
    Deleting,
    /// Something that stands still: paused, not started.
    Idle,
    /// Predicted, not seen.
    Future,
    /// The longest chain of a timeline.
    Critical,
    /// A message that asks for attention: disconnected, read-only.
    Banner,
}

/// A theme by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeName {
    /// The terminal's own sixteen colours: readable on any background.
    #[default]
    Basic,
    /// For dark backgrounds.
    Dark,
    /// For light backgrounds.
    Light,
    /// Strong colours, no grey.
    HighContrast,
    /// Blue and orange instead of green and red (Okabe and Ito's colours).
    ColourBlind,
    /// No colours: bold, dim, underlined and reversed.
    Mono,
}

impl ThemeName {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Basic, "basic"),
        (Self::Dark, "dark"),
        (Self::Light, "light"),
        (Self::HighContrast, "high-contrast"),
        (Self::ColourBlind, "colour-blind"),
        (Self::Mono, "mono"),
    ];

    /// The name as typed.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(theme, _)| *theme == self).map_or("basic", |(_, name)| name)
    }
}

impl FromStr for ThemeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.replace("color", "colour");
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(theme, _)| *theme).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!("expected one of {}", names.join(", "))
        })
    }
}

/// How many colours can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None.
    None,
    /// The sixteen of the terminal's palette.
    Sixteen,
    /// xterm's 256.
    Indexed,
    /// All.
    True,
}

/// What was asked for, by flags or configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// A theme; from the environment if none.
    pub theme: Option<ThemeName>,
    /// Only ASCII, whatever the locale says.
    pub ascii: bool,
}

/// How things look. Cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    name: ThemeName,
    depth: Depth,
    ascii: bool,
}

impl Theme {
    /// The theme for what was asked for in an environment. `NO_COLOR` and `TERM=dumb` mean
    /// [`ThemeName::Mono`], unless a theme was asked for (<https://no-color.org>).
    pub fn choose(wishes: Wishes, environment: &Environment) -> Self {
        let depth = environment.depth();
        let (name, depth) = match (wishes.theme, depth) {
            (Some(name), Depth::None) => (name, Depth::Sixteen),
            (Some(name), depth) => (name, depth),
            (None, Depth::None) => (ThemeName::Mono, Depth::None),
            (None, depth) => (ThemeName::default(), depth),
        };
        Self::new(name, depth, wishes.ascii || !environment.draws_unicode())
    }

    /// A theme as described.
    pub fn new(name: ThemeName, depth: Depth, ascii: bool) -> Self {
        let depth = if name == ThemeName::Mono { Depth::None } else { depth };
        Self { name, depth, ascii }
    }

    /// Which one it is.
    pub fn name(&self) -> ThemeName {
        self.name
    }

    /// The same with another palette, e.g. to switch while the program runs.
    #[must_use]
    pub fn with_name(self, name: ThemeName) -> Self {
        Self::new(name, self.depth.max(Depth::Sixteen), self.ascii)
    }

    /// Whether it uses colours at all.
    pub fn has_colours(&self) -> bool {
        self.depth > Depth::None
    }

    /// Whether it draws with ASCII alone.
    pub fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// A shape, one column wide unless it says otherwise.
    pub fn glyph(&self, glyph: Glyph) -> &'static str {
        glyph.text(self.ascii)
    }

    /// The lines of frames.
    pub fn border_set(&self) -> border::Set<'static> {
        if self.ascii { glyphs::ASCII_BORDER } else { border::PLAIN }
    }

    /// How a role looks.
    pub fn style(&self, role: Role) -> Style {
        let palette = Palette::of(self.name);
        let style = Style::new().add_modifier(modifiers(role, self.depth));
        if self.depth == Depth::None {
            return style;
        }
        if role == Role::Selected && palette.ground(role).is_none() {
            return style.add_modifier(Modifier::REVERSED);
        }
        let style = match palette.ink(role) {
            Some(ink) => style.fg(self.colour(ink)),
            None => style,
        };
        match palette.ground(role) {
            Some(ink) => style.bg(self.colour(ink)),
            None => style,
        }
    }

    fn colour(&self, ink: Ink) -> Color {
        match self.depth {
            Depth::None => Color::Reset,
            Depth::Sixteen => ink.basic,
            Depth::Indexed => ink.indexed(),
            Depth::True => ink.exact(),
        }
    }
}

/// What a role has besides colour. Without colours it is all there is.
fn modifiers(role: Role, depth: Depth) -> Modifier {
    match role {
        Role::Title | Role::Header | Role::Bad | Role::Warning | Role::Critical => Modifier::BOLD,
        Role::Key | Role::Marked | Role::Banner | Role::FocusedBorder => match depth {
            Depth::None if role == Role::Banner => Modifier::REVERSED,
            _ => Modifier::BOLD,
        },
        Role::SortedHeader => Modifier::BOLD.union(Modifier::UNDERLINED),
        Role::Match | Role::Input => match depth {
            Depth::None => Modifier::UNDERLINED,
            _ => Modifier::BOLD,
        },
        Role::Selected => match depth {
            Depth::None => Modifier::REVERSED,
            Depth::Sixteen | Depth::Indexed | Depth::True => Modifier::BOLD,
        },
        Role::Dim | Role::Future | Role::Idle => match depth {
            Depth::None => Modifier::DIM,
            _ => Modifier::empty(),
        },
        Role::Deleting => match depth {
            Depth::None => Modifier::UNDERLINED,
            _ => Modifier::empty(),
        },
        Role::Text | Role::Border | Role::Hint | Role::Command | Role::Good | Role::Busy => {
            Modifier::empty()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(variables: &[(&str, &str)], wishes: Wishes) -> Theme {
        Theme::choose(wishes, &Environment::of(variables.iter().copied()))
    }

    const UTF8: (&str, &str) = ("LANG", "en_US.UTF-8");

    #[test]
    fn environment_decides_about_colours() {
        let seen = |variables: &[(&str, &str)]| {
            let theme = choose(variables, Wishes::default());
            (theme.name.name(), theme.depth)
        };
        assert_eq!(seen(&[("TERM", "xterm")]), ("basic", Depth::Sixteen));
        assert_eq!(seen(&[("TERM", "xterm-256color")]), ("basic", Depth::Indexed));
        assert_eq!(seen(&[("TERM", "x"), ("COLORTERM", "truecolor")]), ("basic", Depth::True));
        assert_eq!(seen(&[("TERM", "dumb")]), ("mono", Depth::None));
        assert_eq!(seen(&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")]), ("basic", Depth::Sixteen));
        assert_eq!(seen(&[("TERM", "xterm"), ("CLICOLOR_FORCE", "0")]), ("basic", Depth::Sixteen));
        assert_eq!(seen(&[("TERM", "xterm"), ("NO_COLOR", "1")]), ("mono", Depth::None));
        assert_eq!(seen(&[("TERM", "xterm"), ("NO_COLOR", "")]), ("basic", Depth::Sixteen));
        let both = [("TERM", "xterm"), ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")];
        assert_eq!(seen(&both), ("mono", Depth::None));
    }

    #[test]
    fn a_theme_that_was_asked_for_is_stronger_than_no_color() {
        let wishes = Wishes { theme: Some(ThemeName::Dark), ascii: false };
        let theme = choose(&[("TERM", "xterm"), ("NO_COLOR", "1")], wishes);
        assert!(theme.has_colours());
        assert!(theme.style(Role::Bad).fg.is_some());
    }

    #[test]
    fn locale_and_terminal_decide_about_shapes() {
        let ascii = |variables: &[(&str, &str)]| choose(variables, Wishes::default()).is_ascii();
        assert!(!ascii(&[("TERM", "xterm"), UTF8]));
        assert!(!ascii(&[("TERM", "xterm"), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(ascii(&[("TERM", "xterm"), ("LANG", "C")]));
        assert!(ascii(&[("TERM", "xterm"), ("LC_ALL", "POSIX"), UTF8]));
        assert!(ascii(&[("TERM", "linux"), UTF8]));
        assert!(ascii(&[("TERM", "dumb"), UTF8]));
        // Nothing said: what nearly every terminal of today draws.
        assert!(!ascii(&[("TERM", "xterm")]));
        let asked = Wishes { theme: None, ascii: true };
        assert!(choose(&[("TERM", "xterm"), UTF8], asked).is_ascii());
    }

    #[test]
    fn names_are_read_in_both_spellings() {
        for (theme, name) in ThemeName::ALL {
            assert_eq!(name.parse(), Ok(theme));
        }
        assert_eq!("color-blind".parse(), Ok(ThemeName::ColourBlind));
        assert!("pink".parse::<ThemeName>().unwrap_err().contains("high-contrast"));
    }

    #[test]
    fn mono_has_no_colour_and_still_tells_states_apart() {
        let mono = Theme::new(ThemeName::Mono, Depth::True, false);
        for role in [Role::Good, Role::Bad, Role::Selected, Role::Banner, Role::Dim] {
            let style = mono.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
        assert_ne!(mono.style(Role::Good), mono.style(Role::Bad));
        assert_ne!(mono.style(Role::Text), mono.style(Role::Selected));
    }

    #[test]
    fn no_depth_shows_more_colours_than_it_has() {
        for (name, _) in ThemeName::ALL {
            for role in [Role::Good, Role::Bad, Role::Selected, Role::Border, Role::Key] {
                let style = Theme::new(name, Depth::Sixteen, false).style(role);
                for colour in [style.fg, style.bg].into_iter().flatten() {
                    let is_basic = !matches!(colour, Color::Rgb(..) | Color::Indexed(_));
                    assert!(is_basic, "{name:?} {role:?} {colour:?}");
                }
                let style = Theme::new(name, Depth::Indexed, false).style(role);
                let is_exact = |colour: Option<Color>| matches!(colour, Some(Color::Rgb(..)));
                assert!(!is_exact(style.fg) && !is_exact(style.bg), "{name:?} {role:?}");
            }
        }
    }
}
