//! Whatever keys come at whatever size: no panic, and nothing steers the terminal.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;

use super::fixtures::{self, Scenario};
use super::{picture, themes};

/// A key, a resize, or news.
#[derive(Clone, Debug)]
enum Op {
    Key(KeyEvent),
    Resize(u16, u16),
    Answer,
    Draw,
}

fn op() -> impl Strategy<Value = Op> {
    let letters = "[a-zA-Z0-9/?:\\-\\[\\]*!= .漢\u{301}]"
        .prop_map(|text| KeyCode::Char(text.chars().next().unwrap_or('x')));
    let others = prop::sample::select(vec![
        KeyCode::Enter,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Backspace,
        KeyCode::F(5),
        KeyCode::F(7),
    ]);
    let modifiers = prop::sample::select(vec![
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::CONTROL,
    ]);
    let key = (prop_oneof![letters, others], modifiers)
        .prop_map(|(code, modifiers)| Op::Key(KeyEvent::new(code, modifiers)));
    prop_oneof![
        12 => key,
        2 => (1u16..=300, 1u16..=100).prop_map(|(width, height)| Op::Resize(width, height)),
        1 => (1u16..=40, 1u16..=12).prop_map(|(width, height)| Op::Resize(width, height)),
        3 => Just(Op::Answer),
        2 => Just(Op::Draw),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_keys_at_any_size_do_no_harm(
        ops in prop::collection::vec(op(), 1..60),
        scenario in prop::sample::select(vec![Scenario::Empty, Scenario::One, Scenario::Problems]),
        theme in 0usize..3,
    ) {
        let mut app = fixtures::app(scenario, themes()[theme]);
        let mut size = (80, 24);
        for op in ops {
            match op {
                Op::Key(key) => {
                    app.press(key);
                }
                Op::Resize(width, height) => size = (width, height),
                Op::Answer => {
                    if let Some(want) = app.state.want() {
                        app.answer(fixtures::answer(&want));
                    }
                }
                Op::Draw => {}
            }
            let buffer = picture(&mut app, size);
            for cell in &buffer.content {
                let harmless = cell.symbol().chars().all(|c| !c.is_control() && c != '\u{202e}');
                prop_assert!(harmless, "{:?}", cell.symbol());
            }
        }
    }
}
