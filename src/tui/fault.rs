//! A bug to order: tests that start the program make its dashboard panic where a real one would,
//! and look at what becomes of the terminal. Released programs have none.

use crossterm::event::KeyEvent;

/// Panics at ctrl-g in a program built for tests that was started with `CAPIM_TEST_PANIC`.
#[cfg(debug_assertions)]
pub(super) fn strike(key: KeyEvent) {
    use crossterm::event::{KeyCode, KeyModifiers};

    let is_wanted = key == KeyEvent::new(KeyCode::Char('g'), KeyModifiers::CONTROL)
        && std::env::var_os("CAPIM_TEST_PANIC").is_some();
    assert!(!is_wanted, "a test has asked for this");
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub(super) fn strike(_: KeyEvent) {}
