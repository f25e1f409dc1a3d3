//! The one way of others' text to a terminal: nothing in it steers the terminal, changes the direction
//! of text or hides.

/// Replaces control characters, so that no name or message can steer the terminal, and characters
/// that change the direction of text or cannot be seen, so that none looks like another. Line
/// breaks stay.
pub fn printable(text: &str) -> String {
    let is_harmful = |c: char| (c.is_control() && c != '\n') || is_deceptive(c);
    text.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// Marks of direction, zero-width characters, fillers without a shape, line and paragraph
/// separators, tags.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}'
        | '\u{ffa0}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// The same on one line: lines are joined and list marks dropped, as conditions' messages need it.
pub fn one_line(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches("* "))
        .filter(|line| !line.is_empty());
    printable(&lines.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_one_line_without_control_characters() {
        assert_eq!(one_line("* A: x\n  * B: \u{1b}[2Jy\n"), "A: x; B: \u{fffd}[2Jy");
    }

    #[test]
    fn nothing_unseen_passes() {
        assert_eq!(
            printable("a\u{202e}b\u{200b}c\u{feff}\u{9b}é漢"),
            "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}é漢"
        );
    }
}
