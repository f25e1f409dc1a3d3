//! Pictures of every view, and keys in any order.
//!
//! Every screen is stored in colour, without colours and in ASCII: as text, and as one digest a look
//! of all cells with their styles. `CAPIM_WRITE=1` writes the pictures anew; look at what changed
//! before committing it.

mod fixtures;
mod properties;
mod readme;
mod who_asks;
mod work;

use std::fmt::Write as _;
use std::path::PathBuf;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::keymap::Key;
use super::run::App;
use super::state::State;
use super::theme::{Depth, Theme, ThemeName};
use super::views::grid::width_of;
use fixtures::Scenario;

const SIZES: [(u16, u16); 4] = [(120, 40), (80, 24), (60, 15), (30, 8)];

/// Name of a picture's file and the keys that lead to the view.
const VIEWS: [(&str, &[&str]); 20] = [
    ("clusters", &[]),
    ("machines", &["2"]),
    ("control_planes", &["3"]),
    ("workers", &["4"]),
    ("timeline", &["5"]),
    ("events", &["6"]),
    ("problems", &["7"]),
    ("classes", &["8"]),
    ("requests", &["9"]),
    ("cluster", &["enter"]),
    ("cluster_conditions", &["enter", "b", "M", "E", "C"]),
    ("why", &["w"]),
    ("cluster_timeline", &["enter", "t"]),
    ("machine", &["2", "enter"]),
    ("control_plane", &["3", "enter"]),
    ("class", &["8", "enter"]),
    ("yaml", &["y"]),
    ("inside", &["o"]),
    ("presenter", &["f5"]),
    ("help", &["?"]),
];

fn themes() -> [Theme; 3] {
    [
        Theme::new(ThemeName::Basic, Depth::Sixteen, false),
        Theme::new(ThemeName::Mono, Depth::None, false),
        Theme::new(ThemeName::Basic, Depth::Sixteen, true),
    ]
}

fn press(app: &mut App, keys: &[&str], size: (u16, u16)) {
    for key in keys {
        picture(app, size);
        app.press(key.parse::<Key>().unwrap().event());
        // What the new screen asks for is answered.
        if let Some(want) = app.state.want() {
            app.answer(fixtures::answer(&want));
        }
    }
}

fn picture(app: &mut App, (width, height): (u16, u16)) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    app.draw(&mut buffer, area);
    buffer
}

/// Lines without the blanks at their ends.
fn text(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let line = |y| {
        let mut text = String::new();
        let mut x = 0;
        while x < area.width {
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            x += u16::try_from(width_of(symbol).max(1)).unwrap();
        }
        text.trim_end().to_owned()
    };
    (0..area.height).map(line).collect()
}

/// Where text looks different from the terminal's own: line, columns, style.
fn styles(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in 0..area.height {
        let mut x = 0;
        let mut line = String::new();
        while x < area.width {
            let style = buffer[(x, y)].style();
            let begin = x;
            while x < area.width && buffer[(x, y)].style() == style {
                x += 1;
            }
            let name = style_name(style);
            let blank = (begin..x).all(|x| buffer[(x, y)].symbol() == " ");
            if !name.is_empty() && (!blank || style.add_modifier.contains(Modifier::REVERSED)) {
                write!(line, " {begin}-{x}:{name}").unwrap();
            }
        }
        if !line.is_empty() {
            writeln!(text, "{y}{line}").unwrap();
        }
    }
    text
}

fn style_name(style: Style) -> String {
    let mut name = String::new();
    if let Some(colour) = style.fg.filter(|colour| *colour != Color::Reset) {
        write!(name, "{colour}").unwrap();
    }
    if let Some(colour) = style.bg.filter(|colour| *colour != Color::Reset) {
        write!(name, "/{colour}").unwrap();
    }
    for (modifier, sign) in [
        (Modifier::BOLD, "+b"),
        (Modifier::DIM, "+d"),
        (Modifier::UNDERLINED, "+u"),
        (Modifier::REVERSED, "+r"),
    ] {
        if style.add_modifier.contains(modifier) {
            name.push_str(sign);
        }
    }
    name
}

/// What the theme without colours and the one without shapes show follows from the one with both.
fn assert_alike(view: &str, colour: &Buffer, mono: &Buffer, ascii: &Buffer) {
    assert_eq!(text(colour), text(mono), "{view}: colours change the text");
    for (cell, plain) in colour.content.iter().zip(&ascii.content) {
        assert!(plain.symbol().is_ascii(), "{view}: {:?}", plain.symbol());
        if cell.symbol().is_ascii() && cell.symbol() != " " {
            assert_eq!(cell.symbol(), plain.symbol(), "{view}");
        }
    }
    for cell in &mono.content {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{view}");
    }
}

/// Names of the themes.
const LOOKS: [&str; 3] = ["colour", "mono", "ascii"];

/// One screen in all looks.
struct Picture {
    title: String,
    /// In the order of the themes.
    looks: [Buffer; 3],
    /// Whether styles and ASCII are written out beside their digests.
    in_full: bool,
}

impl Picture {
    /// What is stored of it: digests of all looks, which see every cell and its style, and the text.
    fn stored(&self) -> String {
        let mut stored = format!("==== {}", self.title);
        for (name, look) in LOOKS.iter().zip(&self.looks) {
            write!(stored, "  {name} {:016x}", digest(look)).unwrap();
        }
        let [colour, mono, ascii] = &self.looks;
        stored.push('\n');
        stored.push_str(&packed(&text(colour)));
        if self.in_full {
            writeln!(stored, "---- styles\n{}", styles(colour)).unwrap();
            writeln!(stored, "---- styles without colours\n{}", styles(mono)).unwrap();
            writeln!(stored, "---- ascii\n{}", packed(&text(ascii))).unwrap();
        }
        stored
    }

    /// The first look that is not as stored.
    fn differing(&self, stored: &str) -> (&'static str, &Buffer) {
        let same = |(name, look): &(&str, &Buffer)| {
            stored.contains(&format!("  {name} {:016x}", digest(look)))
        };
        let mut looks = LOOKS.into_iter().zip(&self.looks);
        looks.find(|look| !same(look)).unwrap_or((LOOKS[0], &self.looks[0]))
    }
}

/// Sums up symbols and styles of all cells (FNV-1a, which stays the same with every compiler).
fn digest(buffer: &Buffer) -> u64 {
    let cells = buffer.content.iter().map(|cell| {
        format!("{}\0{}\0{}\0{}\0", cell.symbol(), cell.fg, cell.bg, cell.modifier.bits())
    });
    cells.fold(0xcbf2_9ce4_8422_2325, |sum, cell| {
        let next = |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        cell.bytes().fold(sum, next)
    })
}

/// All pictures of one view.
fn pictures(view: &str, keys: &[&str]) -> Vec<Picture> {
    let mut all = Vec::new();
    for scenario in Scenario::ALL {
        let mut apps = themes().map(|theme| fixtures::app(scenario, theme));
        for size in SIZES {
            let looks = apps.each_mut().map(|app| {
                app.state = State::new();
                press(app, keys, size);
                picture(app, size)
            });
            assert_alike(view, &looks[0], &looks[1], &looks[2]);
            let (width, height) = size;
            all.push(Picture {
                title: format!("{scenario:?} {width}x{height}"),
                looks,
                in_full: scenario == Scenario::Problems && size == SIZES[1],
            });
        }
    }
    all
}

/// Lines with equal ones told once and long rules cut, so that the pictures stay small.
fn packed(lines: &[String]) -> String {
    const RULE: usize = 8;
    let mut packed = String::new();
    for same in lines.chunk_by(|a, b| a == b) {
        let mut line = String::new();
        for run in same[0].chars().collect::<Vec<_>>().chunk_by(|a, b| a == b) {
            match run {
                [sign @ ('─' | '-'), ..] if run.len() > RULE => {
                    write!(line, "{sign}{sign}{}{sign}{sign}", run.len() - 4).unwrap();
                }
                run => line.extend(run),
            }
        }
        writeln!(packed, "{line}").unwrap();
        if same.len() > 1 {
            writeln!(packed, "({} times)", same.len()).unwrap();
        }
    }
    packed
}

fn check(view: &str) {
    let (_, keys) = VIEWS.iter().find(|(name, _)| *name == view).unwrap();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = path.join(format!("src/tui/tests/pictures/{view}.txt"));
    let pictures = pictures(view, keys);
    if std::env::var_os("CAPIM_WRITE").is_some() {
        let new: String = pictures.iter().map(Picture::stored).collect();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &new).unwrap();
        return;
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let mut rest = old.as_str();
    for picture in &pictures {
        let new = picture.stored();
        if let Some(further) = rest.strip_prefix(&*new) {
            rest = further;
            continue;
        }
        let (look, screen) = picture.differing(rest.split("\n==== ").next().unwrap());
        panic!(
            "{view}: {} in {look} is not as in {}; CAPIM_WRITE=1 writes it anew. Now it is:\n{}\n{}",
            picture.title,
            path.display(),
            text(screen).join("\n"),
            styles(screen),
        );
    }
    assert_eq!(rest, "", "{view}: {} holds more than there is", path.display());
}

macro_rules! views {
    ($($view:ident),+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $view() {
            check(stringify!($view));
        }
    )+};
}

mod view {
    use super::check;

    views!(
        clusters,
        machines,
        control_planes,
        workers,
        timeline,
        events,
        problems,
        classes,
        requests,
        cluster,
        cluster_conditions,
        why,
        cluster_timeline,
        machine,
        control_plane,
        class,
        yaml,
        inside,
        presenter,
        help
    );
}

#[test]
fn digests_see_symbols_colours_and_modifiers() {
    let drawn = |symbol: &str, style: Style| {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 2, 1));
        buffer.set_string(0, 0, symbol, style);
        digest(&buffer)
    };
    let mut all = [
        drawn("a", Style::new()),
        drawn("b", Style::new()),
        drawn("a", Style::new().fg(Color::Red)),
        drawn("a", Style::new().bg(Color::Red)),
        drawn("a", Style::new().add_modifier(Modifier::BOLD)),
    ]
    .to_vec();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 5);
    assert_eq!(drawn("a", Style::new()), drawn("a", Style::new()));
}
