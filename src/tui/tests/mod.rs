//! Pictures of every view, and keys in any order.
//!
//! `CAPIM_WRITE=1` writes the pictures anew; look at what changed before committing it.

mod fixtures;
mod properties;
mod readme;

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
const VIEWS: [(&str, &[&str]); 19] = [
    ("clusters", &[]),
    ("machines", &["2"]),
    ("control_planes", &["3"]),
    ("workers", &["4"]),
    ("timeline", &["5"]),
    ("events", &["6"]),
    ("problems", &["7"]),
    ("classes", &["8"]),
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

/// All pictures of one view.
fn pictures(view: &str, keys: &[&str]) -> String {
    let mut all = String::new();
    for scenario in Scenario::ALL {
        let mut apps = themes().map(|theme| fixtures::app(scenario, theme));
        for size in SIZES {
            let [colour, mono, ascii] = apps.each_mut().map(|app| {
                app.state = State::new();
                press(app, keys, size);
                picture(app, size)
            });
            assert_alike(view, &colour, &mono, &ascii);
            let (width, height) = size;
            writeln!(all, "==== {scenario:?} {width}x{height}").unwrap();
            all.push_str(&packed(&text(&colour)));
            if scenario == Scenario::Problems && size == SIZES[1] {
                writeln!(all, "---- styles\n{}", styles(&colour)).unwrap();
                writeln!(all, "---- styles without colours\n{}", styles(&mono)).unwrap();
                writeln!(all, "---- ascii\n{}", packed(&text(&ascii))).unwrap();
            }
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
    let new = pictures(view, keys);
    if std::env::var_os("CAPIM_WRITE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &new).unwrap();
        return;
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = old.lines().zip(new.lines()).position(|(old, new)| old != new);
    assert!(
        old == new,
        "{} differs from line {:?} on; CAPIM_WRITE=1 writes it anew",
        path.display(),
        differs.map(|line| line + 1)
    );
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
