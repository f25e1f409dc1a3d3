//! Counts what a frame costs, for tests that hold it to what changed: rows made, compared and put
//! into text, starts of machines read, causes worded.

use std::cell::Cell;

thread_local! {
    static COUNTED: Cell<usize> = const { Cell::new(0) };
}

/// Counts one piece of work.
pub(in crate::tui) fn count() {
    COUNTED.set(COUNTED.get() + 1);
}

/// What was counted on this thread since the last time.
pub(in crate::tui) fn take() -> usize {
    COUNTED.take()
}
