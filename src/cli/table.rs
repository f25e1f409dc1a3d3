//! Tables on a terminal: columns as wide as their widest cell, three spaces apart, and colours if
//! the reader wants them.

use std::io::IsTerminal;

use clap::ValueEnum;

use crate::describe::{Span, Tone};
use crate::tui::text::printable;

/// When output has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb; CLICOLOR_FORCE stands for a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether stdout gets colours.
    pub(super) fn is_on(self) -> bool {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if set("NO_COLOR").is_some() => false,
            Self::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Self::Auto => {
                std::io::stdout().is_terminal() && set("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// Text with the colours of its tone.
pub(super) fn painted(span: &Span, colors: bool) -> String {
    let text = printable(&span.text).replace('\n', " ");
    let code = match span.tone {
        _ if !colors || text.is_empty() => return text,
        Tone::Plain => return text,
        Tone::Dim => "90",
        Tone::Strong => "1",
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Doubtful => "33",
        Tone::Type => "36",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// A table of plain cells.
pub(super) fn plain(headers: &[String], rows: &[Vec<String>]) -> String {
    let cell = |text: &String| vec![Span { tone: Tone::Plain, text: text.clone() }];
    let rows: Vec<Vec<Vec<Span>>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    toned(headers, &rows, Look { gap: 3, colors: false })
}

/// How a table looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Blanks between columns.
    pub(super) gap: usize,
    /// Whether tones become colours.
    pub(super) colors: bool,
}

/// A table of cells with tones.
pub(super) fn toned(headers: &[String], rows: &[Vec<Vec<Span>>], look: Look) -> String {
    let widths = widths(headers, rows);
    let header: Vec<Vec<Span>> = headers
        .iter()
        .map(|header| vec![Span { tone: Tone::Plain, text: header.clone() }])
        .collect();
    let header = Some(&header).filter(|_| !headers.is_empty());
    header.into_iter().chain(rows).map(|row| line(row, &widths, look)).collect()
}

/// Width of each column.
pub(super) fn widths(headers: &[String], rows: &[Vec<Vec<Span>>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).chain([headers.len()]).max().unwrap_or_default();
    let mut widths: Vec<usize> = headers.iter().map(|header| width(header)).collect();
    widths.resize(columns, 0);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(cell.iter().map(|span| width(&span.text)).sum());
        }
    }
    widths
}

/// One line of a table.
fn line(cells: &[Vec<Span>], widths: &[usize], look: Look) -> String {
    let mut text = String::new();
    let filled = cells.iter().rposition(|cell| cell.iter().any(|span| !span.text.is_empty()));
    let filled = filled.map_or(0, |last| last + 1);
    for (index, (cell, column)) in cells.iter().zip(widths).take(filled).enumerate() {
        for span in cell {
            text.push_str(&painted(span, look.colors));
        }
        if index + 1 < filled {
            let own: usize = cell.iter().map(|span| width(&span.text)).sum();
            text.extend(std::iter::repeat_n(' ', column.saturating_sub(own) + look.gap));
        }
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
    text
}

fn width(text: &str) -> usize {
    printable(text).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [strings(&["a", ""]), strings(&["long", "● x"])];
        assert_eq!(plain(&strings(&["NAME", "WHY"]), &rows), "NAME   WHY\na\nlong   ● x\n");
        assert_eq!(plain(&[], &[]), "");
    }

    #[test]
    fn colours_do_not_change_the_columns_and_objects_cannot_bring_their_own() {
        let span = |tone, text: &str| vec![Span { tone, text: text.to_owned() }];
        let row = vec![span(Tone::Bad, "\u{1b}[2Jx"), span(Tone::Plain, "y")];
        let text = toned(&strings(&["A", "B"]), &[row], Look { gap: 3, colors: true });
        assert_eq!(text, "A       B\n\u{1b}[31m\u{fffd}[2Jx\u{1b}[0m   y\n");
    }
}
