//! The text of an expression and errors that point into it, shown as cel-go shows them.

use std::fmt::Write as _;

/// An expression's text.
pub(super) struct Source {
    pub(super) text: Vec<char>,
}

/// An error at a place, or at none.
#[derive(Clone, Debug)]
pub(super) struct Issue {
    /// Offset in code points.
    pub(super) at: Option<u32>,
    pub(super) message: String,
}

/// Errors beyond this are counted, not shown (cel-go: common/errors.go).
const ISSUES_MAX: usize = 100;
/// Lines longer than this are not shown.
const SNIPPET_MAX: usize = 16_384;

impl Issue {
    pub(super) fn at(at: u32, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into() }
    }

    /// An error of the expression as a whole.
    pub(super) fn nowhere(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into() }
    }
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.chars().collect() }
    }

    /// All errors, by place, each with its line and a mark.
    pub(super) fn show(&self, mut issues: Vec<Issue>) -> String {
        let dropped = issues.len().saturating_sub(ISSUES_MAX);
        issues.truncate(ISSUES_MAX);
        issues.sort_by_key(|issue| issue.at.map_or((-1, -1), |at| self.position(at)));
        let mut lines: Vec<String> = issues.iter().map(|issue| self.show_one(issue)).collect();
        if dropped > 0 {
            lines.push(format!("{dropped} more errors were truncated"));
        }
        lines.join("\n")
    }

    fn show_one(&self, issue: &Issue) -> String {
        let Some(at) = issue.at else {
            return format!("ERROR: <input>:-1:0: {}", issue.message);
        };
        let (line, column) = self.position(at);
        let mut shown = format!("ERROR: <input>:{line}:{}: {}", column + 1, issue.message);
        let snippet: String =
            self.line(line).iter().map(|c| if *c == '\t' { ' ' } else { *c }).collect();
        if snippet.len() > SNIPPET_MAX {
            return shown;
        }
        // Writing to a string cannot fail.
        let _ = write!(shown, "\n | {snippet}\n | ");
        let mut characters = snippet.chars();
        for character in characters.by_ref().take(column as usize) {
            shown.push(if character.is_ascii() { '.' } else { '\u{ff0e}' });
        }
        let wide = characters.next().is_some_and(|character| !character.is_ascii());
        shown.push(if wide { '\u{ff3e}' } else { '^' });
        shown
    }

    /// Line from one, column from zero.
    fn position(&self, at: u32) -> (i64, i64) {
        let before = &self.text[..(at as usize).min(self.text.len())];
        let line = before.iter().filter(|c| **c == '\n').count() as i64 + 1;
        let column = before.iter().rev().take_while(|c| **c != '\n').count() as i64;
        (line, column)
    }

    fn line(&self, line: i64) -> &[char] {
        self.text.split(|c| *c == '\n').nth(line as usize - 1).unwrap_or_default()
    }
}
