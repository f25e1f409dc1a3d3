//! Long messages in lines of a limited width.

/// Breaks a text into lines of less than `width` bytes at blanks; its own line breaks stay. Lines
/// that continue an item of a list are indented with it. A longer word stays whole.
/// (CAPI v1.14: internal/util/tree/tree.go, formatParagraph)
pub(super) fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let mut indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let mut current = indent.clone();
        if line.trim().starts_with("* ") {
            indent.push_str("  ");
        }
        for word in line.split_whitespace() {
            if current.len() + word.len() < width || current.trim().is_empty() {
                if !current.trim().is_empty() {
                    current.push(' ');
                }
                current.push_str(word);
                continue;
            }
            lines.push(std::mem::replace(&mut current, format!("{indent}{word}")));
        }
        lines.push(current);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_indentation() {
        assert_eq!(lines("", 254), [""]);
        assert_eq!(lines("* a b c d e f", 5), ["* a b", "  c d", "  e f"]);
        assert_eq!(
            lines("* a b c d e f\n  * g h\n  * i j", 5),
            ["* a b", "  c d", "  e f", "  * g", "    h", "  * i", "    j"]
        );
        assert_eq!(lines("äöüäöü x", 5), ["äöüäöü", "x"]);
    }
}
