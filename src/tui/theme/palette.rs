//! The colours of the themes, each in three depths.

use ratatui::style::Color;

use super::{Role, ThemeName};

/// A colour, exactly and as one of the terminal's sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink {
    /// `None` where the terminal's own palette is meant in every depth.
    exact: Option<(u8, u8, u8)>,
    pub(super) basic: Color,
}

impl Ink {
    const fn new(exact: (u8, u8, u8), basic: Color) -> Self {
        Self { exact: Some(exact), basic }
    }

    const fn own(basic: Color) -> Self {
        Self { exact: None, basic }
    }

    /// The colour itself.
    pub(super) fn exact(self) -> Color {
        self.exact.map_or(self.basic, |(r, g, b)| Color::Rgb(r, g, b))
    }

    /// The nearest of xterm's 256: of the cube of 6×6×6 colours from 16, or of the greys from 232.
    pub(super) fn indexed(self) -> Color {
        let Some((r, g, b)) = self.exact else { return self.basic };
        // The cube's steps: 0, 95, 135, 175, 215, 255.
        let step = |value: u8| match value {
            0..48 => 0,
            48..115 => 1,
            _ => (value - 35) / 40,
        };
        if r.abs_diff(g) < 8 && g.abs_diff(b) < 8 && (8..=238).contains(&g) {
            return Color::Indexed(232 + ((g - 8) / 10).min(23));
        }
        Color::Indexed(16 + 36 * step(r) + 6 * step(g) + step(b))
    }
}

/// The colours of one theme.
pub(super) struct Palette {
    /// Ordinary text; the terminal's own if `None`.
    text: Option<Ink>,
    dim: Ink,
    border: Ink,
    accent: Ink,
    good: Ink,
    busy: Ink,
    warning: Ink,
    bad: Ink,
    deleting: Ink,
    /// Background of the selection; reversed if `None`.
    selection: Option<Ink>,
    banner: Ink,
    banner_text: Ink,
}

impl Palette {
    /// The colours of a theme.
    pub(super) fn of(name: ThemeName) -> &'static Self {
        match name {
            // Without colours nobody asks.
            ThemeName::Basic | ThemeName::Mono => &BASIC,
            ThemeName::Dark => &DARK,
            ThemeName::Light => &LIGHT,
            ThemeName::HighContrast => &HIGH_CONTRAST,
            ThemeName::ColourBlind => &COLOUR_BLIND,
        }
    }

    /// What a role is written in; `None` for the terminal's own.
    pub(super) fn ink(&self, role: Role) -> Option<Ink> {
        match role {
            Role::Text | Role::Title | Role::Selected => self.text,
            Role::Dim | Role::Hint | Role::Future | Role::Idle => Some(self.dim),
            Role::Header | Role::Border => Some(self.border),
            Role::SortedHeader | Role::FocusedBorder | Role::Key | Role::Match => Some(self.accent),
            Role::Input | Role::Command | Role::Marked => Some(self.accent),
            Role::Good => Some(self.good),
            Role::Busy => Some(self.busy),
            Role::Warning | Role::Critical => Some(self.warning),
            Role::Bad => Some(self.bad),
            Role::Deleting => Some(self.deleting),
            Role::Banner => Some(self.banner_text),
        }
    }

    /// What is behind it; `None` for the terminal's own.
    pub(super) fn ground(&self, role: Role) -> Option<Ink> {
        match role {
            Role::Selected => self.selection,
            Role::Banner => Some(self.banner),
            _ => None,
        }
    }
}

const BASIC: Palette = Palette {
    text: None,
    dim: Ink::own(Color::DarkGray),
    border: Ink::own(Color::DarkGray),
    accent: Ink::own(Color::Cyan),
    good: Ink::own(Color::Green),
    busy: Ink::own(Color::Cyan),
    warning: Ink::own(Color::Yellow),
    bad: Ink::own(Color::Red),
    deleting: Ink::own(Color::Magenta),
    selection: None,
    banner: Ink::own(Color::Yellow),
    banner_text: Ink::own(Color::Black),
};

const DARK: Palette = Palette {
    text: Some(Ink::new((220, 223, 228), Color::Gray)),
    dim: Ink::new((146, 153, 166), Color::DarkGray),
    border: Ink::new((132, 140, 155), Color::DarkGray),
    accent: Ink::new((97, 175, 239), Color::LightBlue),
    good: Ink::new((152, 195, 121), Color::Green),
    busy: Ink::new((86, 182, 194), Color::Cyan),
    warning: Ink::new((229, 192, 123), Color::Yellow),
    bad: Ink::new((240, 128, 136), Color::LightRed),
    deleting: Ink::new((198, 140, 224), Color::LightMagenta),
    selection: Some(Ink::new((52, 66, 92), Color::Blue)),
    banner: Ink::new((229, 192, 123), Color::Yellow),
    banner_text: Ink::new((20, 20, 20), Color::Black),
};

const LIGHT: Palette = Palette {
    text: Some(Ink::new((36, 41, 47), Color::Black)),
    dim: Ink::new((96, 104, 114), Color::DarkGray),
    border: Ink::new((101, 109, 118), Color::DarkGray),
    accent: Ink::new((9, 90, 190), Color::Blue),
    good: Ink::new((20, 110, 45), Color::Green),
    busy: Ink::new((0, 105, 125), Color::Blue),
    warning: Ink::new((140, 85, 0), Color::Magenta),
    bad: Ink::new((190, 20, 40), Color::Red),
    deleting: Ink::new((120, 55, 185), Color::Magenta),
    selection: Some(Ink::new((208, 226, 250), Color::Gray)),
    banner: Ink::new((140, 85, 0), Color::Black),
    banner_text: Ink::new((255, 255, 255), Color::White),
};

const HIGH_CONTRAST: Palette = Palette {
    text: Some(Ink::new((255, 255, 255), Color::White)),
    dim: Ink::new((210, 210, 210), Color::Gray),
    border: Ink::new((255, 255, 255), Color::White),
    accent: Ink::new((0, 255, 255), Color::LightCyan),
    good: Ink::new((60, 255, 60), Color::LightGreen),
    busy: Ink::new((0, 255, 255), Color::LightCyan),
    warning: Ink::new((255, 255, 0), Color::LightYellow),
    bad: Ink::new((255, 130, 130), Color::LightRed),
    deleting: Ink::new((255, 140, 255), Color::LightMagenta),
    selection: Some(Ink::new((0, 0, 160), Color::Blue)),
    banner: Ink::new((255, 255, 0), Color::LightYellow),
    banner_text: Ink::new((0, 0, 0), Color::Black),
};

/// (Okabe and Ito: Color Universal Design)
const COLOUR_BLIND: Palette = Palette {
    text: None,
    dim: Ink::new((150, 150, 150), Color::DarkGray),
    border: Ink::new((150, 150, 150), Color::DarkGray),
    accent: Ink::new((86, 180, 233), Color::LightCyan),
    good: Ink::new((86, 180, 233), Color::LightBlue),
    busy: Ink::new((204, 190, 220), Color::White),
    warning: Ink::new((240, 228, 66), Color::LightYellow),
    bad: Ink::new((240, 140, 40), Color::Yellow),
    deleting: Ink::new((204, 121, 167), Color::LightMagenta),
    selection: Some(Ink::new((0, 70, 115), Color::Blue)),
    banner: Ink::new((240, 228, 66), Color::LightYellow),
    banner_text: Ink::new((0, 0, 0), Color::Black),
};

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2: the ratio of relative luminances.
    fn contrast(one: (u8, u8, u8), other: (u8, u8, u8)) -> f64 {
        let linear = |value: u8| match f64::from(value) / 255.0 {
            value if value <= 0.04045 => value / 12.92,
            value => ((value + 0.055) / 1.055).powf(2.4),
        };
        let luminance =
            |(r, g, b)| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
        let (one, other) = (luminance(one), luminance(other));
        one.max(other) / one.min(other)
    }

    #[test]
    fn text_can_be_read_on_the_background_that_a_theme_is_for() {
        let roles = [
            Role::Text,
            Role::Dim,
            Role::Header,
            Role::Key,
            Role::Good,
            Role::Busy,
            Role::Warning,
            Role::Bad,
            Role::Deleting,
        ];
        for (name, ground, least) in [
            (ThemeName::Dark, (30, 30, 30), 4.5),
            (ThemeName::ColourBlind, (30, 30, 30), 4.5),
            (ThemeName::Light, (255, 255, 255), 4.5),
            (ThemeName::HighContrast, (0, 0, 0), 7.0),
        ] {
            let palette = Palette::of(name);
            for role in roles {
                let Some(ink) = palette.ink(role).and_then(|ink| ink.exact) else { continue };
                let found = contrast(ink, ground);
                assert!(found >= least, "{name:?} {role:?}: {found:.1}");
            }
            let selection = palette.selection.and_then(|ink| ink.exact).unwrap();
            let text = palette.text.and_then(|ink| ink.exact).unwrap_or((255, 255, 255));
            assert!(contrast(text, selection) >= 4.5, "{name:?} selection");
            let banner = (palette.banner.exact.unwrap(), palette.banner_text.exact.unwrap());
            assert!(contrast(banner.0, banner.1) >= 4.5, "{name:?} banner");
        }
    }

    #[test]
    fn colours_find_their_place_among_the_256() {
        let indexed = |r, g, b| Ink::new((r, g, b), Color::Red).indexed();
        assert_eq!(indexed(0, 0, 0), Color::Indexed(16));
        assert_eq!(indexed(255, 255, 255), Color::Indexed(231));
        assert_eq!(indexed(255, 0, 0), Color::Indexed(196));
        assert_eq!(indexed(150, 150, 150), Color::Indexed(246));
        assert_eq!(Ink::own(Color::Red).indexed(), Color::Red);
    }
}
