//! Columns of text: as wide as the rows in sight need, cut where there is less room. Widths are
//! those of the terminal, so that wide and combining characters stay in their columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::tui::model::row::Column;

/// Names never get narrower than this, if the screen is not.
const NAME_MIN: usize = 12;

/// Columns that text takes on the terminal.
pub(in crate::tui) fn width_of(text: &str) -> usize {
    Span::raw(text).width()
}

/// Cells of the rows in sight, and their style.
#[derive(Default)]
pub(in crate::tui) struct Grid {
    pub(in crate::tui) headers: Vec<String>,
    /// Columns with a higher rank are left out first.
    pub(in crate::tui) ranks: Vec<u8>,
    pub(in crate::tui) header_styles: Vec<Style>,
    pub(in crate::tui) rows: Vec<Line>,
}

/// One row.
#[derive(Default)]
pub(in crate::tui) struct Line {
    pub(in crate::tui) cells: Vec<String>,
    pub(in crate::tui) styles: Vec<Style>,
    /// Behind all cells.
    pub(in crate::tui) ground: Option<Style>,
}

impl Grid {
    /// Headers of a table's columns.
    pub(in crate::tui) fn new(columns: &[Column], header: Style) -> Self {
        Self {
            headers: columns.iter().map(|column| column.header.to_string()).collect(),
            ranks: columns.iter().map(|column| column.rank).collect(),
            header_styles: vec![header; columns.len()],
            rows: Vec::new(),
        }
    }

    /// Takes out a column that says the same in all rows, and answers what it says.
    pub(in crate::tui) fn take_uniform(&mut self, header: &str) -> Option<String> {
        let column = self.headers.iter().position(|name| name == header)?;
        let first = self.rows.first()?.cells.get(column)?.clone();
        if self.rows.len() < 2 || self.rows.iter().any(|row| row.cells.get(column) != Some(&first))
        {
            return None;
        }
        self.take(column);
        Some(first)
    }

    fn take(&mut self, column: usize) {
        self.headers.remove(column);
        self.ranks.remove(column);
        self.header_styles.remove(column);
        for row in &mut self.rows {
            if column < row.cells.len() {
                row.cells.remove(column);
                row.styles.remove(column);
            }
        }
    }

    /// Leaves out the columns of the highest ranks until the rest fits, if it can.
    fn narrow(&mut self, total: usize) {
        while self.headers.len() > 1 {
            let widths = self.natural_widths();
            let last = widths.len() - 1;
            // The last column is cut before others go, but not to nothing.
            let needed: usize = widths[..last].iter().map(|width| width + 1).sum::<usize>()
                + widths[last].min(total / 5);
            let highest = self.ranks.iter().enumerate().max_by_key(|(_, rank)| **rank);
            match highest {
                Some((column, rank)) if *rank > 1 && needed > total => self.take(column),
                _ => return,
            }
        }
    }

    fn natural_widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headers.iter().map(|header| width_of(header)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(width_of(cell));
            }
        }
        widths
    }

    /// Widths of columns: as wide as needed, the last one takes what is left; if there is not
    /// enough, the widest ones give way.
    fn widths(&self, total: usize) -> Vec<usize> {
        let mut widths = self.natural_widths();
        let Some(last) = widths.len().checked_sub(1) else { return widths };
        let wanted_for_last = widths[last].min(total / 4);
        loop {
            let fixed: usize = widths[..last].iter().map(|width| width + 1).sum();
            let excess = (fixed + wanted_for_last).saturating_sub(total);
            let widest = (0..last).max_by_key(|column| widths[*column]);
            match widest {
                Some(widest) if excess > 0 && widths[widest] > NAME_MIN => {
                    widths[widest] = widths[widest].saturating_sub(excess).max(NAME_MIN);
                }
                _ => break,
            }
        }
        let fixed: usize = widths[..last].iter().map(|width| width + 1).sum();
        widths[last] = total.saturating_sub(fixed);
        widths
    }

    /// Draws headers and rows; `indent` columns stay free on the left.
    pub(in crate::tui) fn draw(mut self, buffer: &mut Buffer, area: Rect, indent: u16) {
        let indent = indent.min(area.width);
        let inner = Rect { x: area.x + indent, width: area.width - indent, ..area };
        self.narrow(usize::from(inner.width));
        let widths = self.widths(usize::from(inner.width));
        let mut y = area.y;
        if !self.headers.is_empty() && y < area.bottom() {
            put(buffer, inner, y, &self.headers, &widths, &self.header_styles);
            y += 1;
        }
        for row in &self.rows {
            if y >= area.bottom() {
                break;
            }
            put(buffer, inner, y, &row.cells, &widths, &row.styles);
            if let Some(ground) = row.ground {
                buffer.set_style(Rect { y, height: 1, ..area }, ground);
            }
            y += 1;
        }
    }
}

fn put(
    buffer: &mut Buffer,
    area: Rect,
    y: u16,
    cells: &[String],
    widths: &[usize],
    styles: &[Style],
) {
    let mut x = area.x;
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if x >= area.right() {
            return;
        }
        let width = (*width).min(usize::from(area.right() - x));
        let style = styles.get(column).copied().unwrap_or_default();
        put_cut(buffer, (x, y), cell, width, style);
        x = x.saturating_add(u16::try_from(width + 1).unwrap_or(u16::MAX));
    }
}

/// Text at a place, with an ellipsis if it does not fit the width.
pub(in crate::tui) fn put_cut(
    buffer: &mut Buffer,
    (x, y): (u16, u16),
    text: &str,
    width: usize,
    style: Style,
) {
    if width == 0 || !buffer.area.contains((x, y).into()) {
        return;
    }
    if width_of(text) <= width {
        buffer.set_stringn(x, y, text, width, style);
        return;
    }
    let (end, _) = buffer.set_stringn(x, y, text, width - 1, style);
    buffer.set_stringn(end, y, "…", 1, style);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::model::row::column;

    fn grid(cells: &[&str]) -> Grid {
        let columns = [column("NAME", 0), column("AGE", 2), column("WHY", 1)];
        let mut grid = Grid::new(&columns, Style::new());
        grid.rows.push(Line {
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
            styles: vec![Style::new(); cells.len()],
            ground: None,
        });
        grid
    }

    fn drawn(grid: Grid, width: u16) -> Vec<String> {
        let area = Rect::new(0, 0, width, 2);
        let mut buffer = Buffer::empty(area);
        grid.draw(&mut buffer, area, 0);
        let line = |y| {
            let mut text = String::new();
            let mut x = 0;
            while x < width {
                let symbol = buffer[(x, y)].symbol();
                text.push_str(symbol);
                x += u16::try_from(width_of(symbol).max(1)).unwrap();
            }
            text.trim_end().to_owned()
        };
        (0..2).map(line).collect()
    }

    #[test]
    fn the_last_column_takes_the_rest_and_is_cut() {
        let lines = drawn(grid(&["a", "12m", "a long reason that does not fit"]), 24);
        assert_eq!(lines, ["NAME AGE WHY", "a    12m a long reason …"]);
    }

    #[test]
    fn names_give_way_before_columns_vanish_and_columns_by_rank() {
        let long = "n".repeat(40);
        let lines = drawn(grid(&[&long, "12m", "why"]), 40);
        assert!(lines[1].ends_with("… why") && !lines[0].contains("AGE"), "{lines:?}");
        let lines = drawn(grid(&["abc", "12m", "why"]), 6);
        assert_eq!(lines[0], "NAME …");
    }

    #[test]
    fn wide_and_combining_characters_keep_their_columns() {
        let lines = drawn(grid(&["漢字漢", "e\u{301}e", "x"]), 20);
        assert_eq!(lines[1], "漢字漢 e\u{301}e  x");
        let lines = drawn(grid(&["漢字漢字漢字漢字", "1", "x"]), 18);
        assert!(lines[1].contains('…'), "{lines:?}");
    }

    #[test]
    fn a_column_that_says_the_same_everywhere_goes() {
        let mut grid = grid(&["a", "1m", "x"]);
        assert_eq!(grid.take_uniform("AGE"), None, "one row says nothing");
        grid.rows.push(Line {
            cells: vec!["b".into(), "1m".into(), "y".into()],
            styles: vec![Style::new(); 3],
            ground: None,
        });
        assert_eq!(grid.take_uniform("AGE"), Some("1m".into()));
        assert_eq!(grid.take_uniform("NAME"), None);
    }
}
