//! Shapes, each with an ASCII stand-in of the same width.

use ratatui::symbols::border;

/// A shape. The shapes of states differ in outline, not in colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// State: available.
    Available,
    /// State: provisioning.
    Provisioning,
    /// State: scaling or rolling out.
    Scaling,
    /// State: degraded.
    Degraded,
    /// State: failed.
    Failed,
    /// State: being deleted.
    Deleting,
    /// State: paused.
    Paused,
    /// State: not started.
    New,
    /// A marked row.
    Mark,
    /// The selected choice of a list.
    Pointer,
    /// Sorted upwards.
    Ascending,
    /// Sorted downwards.
    Descending,
    /// A folded part of a tree.
    Folded,
    /// An unfolded part of a tree.
    Unfolded,
    /// A branch of a tree with others below, two columns.
    Branch,
    /// The last branch of a tree, two columns.
    LastBranch,
    /// Beside the branches of a tree, two columns.
    Trunk,
    /// A cut text.
    Ellipsis,
    /// A bar: what was.
    Bar,
    /// A bar: what is on the critical path.
    CriticalBar,
    /// A bar: what is to come.
    FutureBar,
    /// Before a predicted time.
    About,
    /// From one value to another.
    Arrow,
    /// Yes.
    Yes,
    /// No.
    No,
    /// Where typed text goes.
    Cursor,
    /// Between parts of a line.
    Dot,
}

impl Glyph {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::Available,
        Self::Provisioning,
        Self::Scaling,
        Self::Degraded,
        Self::Failed,
        Self::Deleting,
        Self::Paused,
        Self::New,
        Self::Mark,
        Self::Pointer,
        Self::Ascending,
        Self::Descending,
        Self::Folded,
        Self::Unfolded,
        Self::Branch,
        Self::LastBranch,
        Self::Trunk,
        Self::Ellipsis,
        Self::Bar,
        Self::CriticalBar,
        Self::FutureBar,
        Self::About,
        Self::Arrow,
        Self::Yes,
        Self::No,
        Self::Cursor,
        Self::Dot,
    ];

    /// The shape.
    pub(super) fn text(self, ascii: bool) -> &'static str {
        let (shape, plain) = match self {
            Self::Available => ("●", "*"),
            Self::Provisioning => ("◐", "~"),
            Self::Scaling => ("◔", "+"),
            Self::Degraded => ("▲", "!"),
            Self::Failed => ("✖", "X"),
            Self::Deleting => ("◌", "-"),
            Self::Paused => ("‖", "="),
            Self::New => ("○", "."),
            Self::Mark => ("▌", ">"),
            Self::Pointer => ("▶", ">"),
            Self::Ascending => ("↑", "^"),
            Self::Descending => ("↓", "v"),
            Self::Folded => ("▸", "+"),
            Self::Unfolded => ("▾", "-"),
            Self::Branch => ("├─", "|-"),
            Self::LastBranch => ("└─", "`-"),
            Self::Trunk => ("│ ", "| "),
            Self::Ellipsis => ("…", "~"),
            Self::Bar => ("█", "#"),
            Self::CriticalBar => ("▓", "="),
            Self::FutureBar => ("·", "."),
            Self::About => ("≈", "~"),
            Self::Arrow => ("→", ">"),
            Self::Yes => ("✓", "y"),
            Self::No => ("✗", "n"),
            Self::Cursor => ("▏", "_"),
            Self::Dot => ("·", "."),
        };
        if ascii { plain } else { shape }
    }
}

/// Frames of `+`, `-` and `|`.
pub(super) const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_a_stand_in_of_the_same_width() {
        for glyph in Glyph::ALL {
            let (shape, plain) = (glyph.text(false), glyph.text(true));
            assert!(plain.is_ascii(), "{glyph:?}");
            assert_eq!(shape.chars().count(), plain.len(), "{glyph:?}");
        }
    }

    #[test]
    fn states_differ_in_shape() {
        for ascii in [false, true] {
            let states: std::collections::BTreeSet<&str> =
                Glyph::ALL[..8].iter().map(|glyph| glyph.text(ascii)).collect();
            assert_eq!(states.len(), 8);
        }
    }
}
