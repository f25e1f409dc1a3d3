//! A drawn screen as an SVG picture, for documents.
//!
//! Every cell has its place, so that the picture looks alike with any monospaced font: a run of
//! cells of one style is one `text` with the width that its cells have. Nothing in it is a script,
//! a link or a font of its own.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use ratatui::text::Span;

use super::text::printable;

/// Size of a cell and the margin around the screen, in pixels.
const WIDTH: u32 = 8;
const HEIGHT: u32 = 17;
const MARGIN: u32 = 12;
/// From a cell's upper edge to the base line of its text.
const BASE: u32 = 13;
/// What the terminal's own colours are taken to be.
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d6d9e0";
/// The sixteen colours by number.
const SIXTEEN: [&str; 16] = [
    "#16181d", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf",
    "#7f8899", "#ff8a94", "#b6e39a", "#ffd88f", "#8cc8ff", "#dc9bf0", "#7fd8e3", "#ffffff",
];

/// The picture of a buffer; `title` is what screen readers say.
pub fn svg(buffer: &Buffer, title: &str) -> String {
    let area = buffer.area;
    let (width, height) = (u32::from(area.width), u32::from(area.height));
    let (outer, inner) = (width * WIDTH + 2 * MARGIN, height * HEIGHT + 2 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {outer} {inner}\" role=\"img\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,monospace\" font-size=\"13\" \
         xml:space=\"preserve\">\n",
        escaped(title)
    );
    for row in 0..area.height {
        let cells: Vec<&Cell> = (0..area.width)
            .filter_map(|column| buffer.cell((area.x + column, area.y + row)))
            .collect();
        line(&mut text, u32::from(row), &cells);
    }
    text.push_str("</g>\n</svg>\n");
    text
}

/// How a run of cells looks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    ink: String,
    paper: Option<String>,
    modifier: Modifier,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let (ink, paper) = (color(cell.fg), color(cell.bg));
        let modifier =
            cell.modifier - (Modifier::REVERSED | Modifier::SLOW_BLINK | Modifier::RAPID_BLINK);
        match cell.modifier.contains(Modifier::REVERSED) {
            true => Self {
                ink: paper.unwrap_or_else(|| BACKGROUND.to_owned()),
                paper: Some(ink.unwrap_or_else(|| FOREGROUND.to_owned())),
                modifier,
            },
            false => Self { ink: ink.unwrap_or_else(|| FOREGROUND.to_owned()), paper, modifier },
        }
    }
}

fn line(text: &mut String, row: u32, cells: &[&Cell]) {
    let mut start = 0;
    while start < cells.len() {
        let look = Look::of(cells[start]);
        let length = cells[start..].iter().take_while(|cell| Look::of(cell) == look).count();
        run(text, (u32::try_from(start).unwrap_or(0), row), &look, &cells[start..start + length]);
        start += length;
    }
}

/// Writes a run of cells. Writing into a String cannot fail.
fn run(text: &mut String, (column, row): (u32, u32), look: &Look, cells: &[&Cell]) {
    let count = u32::try_from(cells.len()).unwrap_or(0);
    let (x, y) = (MARGIN + column * WIDTH, MARGIN + row * HEIGHT);
    if let Some(paper) = &look.paper {
        let width = count * WIDTH;
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{paper}\"/>"
        );
    }
    // The cell behind a wide character is its second half.
    let mut glyphs: Vec<(&str, u32)> = Vec::new();
    let mut rest = cells;
    while let Some((cell, behind)) = rest.split_first() {
        let wide = Span::raw(cell.symbol()).width().max(1);
        glyphs.push((cell.symbol(), u32::try_from(wide).unwrap_or(1)));
        rest = behind.get(wide - 1..).unwrap_or_default();
    }
    let is_ink = |(symbol, _): &(&str, u32)| *symbol != " ";
    let Some(first) = glyphs.iter().position(is_ink) else { return };
    let last = glyphs.iter().rposition(is_ink).unwrap_or(first);
    let skipped: u32 = glyphs[..first].iter().map(|(_, wide)| wide).sum();
    let width = glyphs[first..=last].iter().map(|(_, wide)| wide).sum::<u32>() * WIDTH;
    let shown: String = glyphs[first..=last].iter().map(|(symbol, _)| *symbol).collect();
    let (x, y) = (x + skipped * WIDTH, y + BASE);
    let mut style = String::new();
    for (modifier, attribute) in [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::ITALIC, " font-style=\"italic\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
        (Modifier::CROSSED_OUT, " text-decoration=\"line-through\""),
        (Modifier::DIM, " opacity=\"0.7\""),
    ] {
        if look.modifier.contains(modifier) {
            style.push_str(attribute);
        }
    }
    let (ink, shown) = (&look.ink, escaped(&shown));
    let _ = writeln!(
        text,
        "<text x=\"{x}\" y=\"{y}\" textLength=\"{width}\" fill=\"{ink}\"{style}>{shown}</text>"
    );
}

/// Text as content or attribute of XML and HTML, without what could steer or deceive.
pub(crate) fn escaped(text: &str) -> String {
    printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A colour as SVG has it; `None` for the terminal's own.
fn color(color: Color) -> Option<String> {
    let index = match color {
        Color::Reset => return None,
        Color::Rgb(red, green, blue) => return Some(format!("#{red:02x}{green:02x}{blue:02x}")),
        Color::Indexed(index) => index,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
    };
    Some(indexed(index))
}

/// xterm's 256 colours: sixteen, a cube of six levels, a ramp of greys.
fn indexed(index: u8) -> String {
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * u32::from(step) };
    match index {
        0..=15 => SIXTEEN[usize::from(index)].to_owned(),
        16..=231 => {
            let cube = index - 16;
            let (red, green, blue) = (level(cube / 36), level(cube / 6 % 6), level(cube % 6));
            format!("#{red:02x}{green:02x}{blue:02x}")
        }
        232..=255 => {
            let grey = 8 + 10 * u32::from(index - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn runs_of_one_style_are_one_text_in_its_place() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 2));
        buffer.set_string(1, 0, "a<b", Style::new().fg(Color::Green).add_modifier(Modifier::BOLD));
        buffer.set_string(5, 1, "sel", Style::new().add_modifier(Modifier::REVERSED));
        buffer.set_string(0, 1, "\u{1b}日", Style::new().fg(Color::Indexed(196)));
        let picture = svg(&buffer, "a & b");
        for expected in [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 120 58\" role=\"img\">",
            "<title>a &amp; b</title>",
            "<text x=\"20\" y=\"25\" textLength=\"24\" fill=\"#98c379\" font-weight=\"bold\">a&lt;b</text>",
            "<rect x=\"52\" y=\"29\" width=\"24\" height=\"17\" fill=\"#d6d9e0\"/>",
            "fill=\"#16181d\">sel</text>",
            "fill=\"#ff0000\">",
        ] {
            assert!(picture.contains(expected), "{expected}\n---\n{picture}");
        }
        assert!(picture.contains("日</text>"), "{picture}");
        assert!(!picture.contains('\u{1b}'));
        assert_eq!(picture.matches("<text").count(), 3);
    }
}
