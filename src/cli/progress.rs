//! How far long work has come: a bar on a terminal, a line for every tenth elsewhere.

use std::io::IsTerminal;

use super::output;
use crate::clock::Clock;

/// Back to the begin of the line, which becomes empty.
const CLEAR: &str = "\r\u{1b}[2K";
/// Cells of a bar.
const CELLS: usize = 24;
/// Work of fewer pieces is not worth lines.
const LINES_FROM: usize = 10;

/// Shows on stderr how much of some work is done.
pub(super) struct Progress {
    what: &'static str,
    clock: Clock,
    shows: Shows,
    /// What was shown last: pieces on a terminal, tenths elsewhere.
    last: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    Bar,
    Lines,
    Nothing,
}

impl Progress {
    /// For work on so many pieces; `what` names them.
    pub(super) fn new(what: &'static str, clock: Clock) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let shows =
            if std::io::stderr().is_terminal() && !dumb { Shows::Bar } else { Shows::Lines };
        Self { what, clock, shows, last: None }
    }

    /// Shows nothing.
    pub(super) fn silent(clock: Clock) -> Self {
        Self { what: "", clock, shows: Shows::Nothing, last: None }
    }

    /// Whether anything is shown at all.
    pub(super) fn is_shown(&self) -> bool {
        self.shows != Shows::Nothing
    }

    /// Makes room for a line of other text; the bar comes back with the next [`Self::set`].
    pub(super) fn give_way(&mut self) {
        if self.shows == Shows::Bar && self.last.take().is_some() {
            output::tell_part(CLEAR);
        }
    }

    /// So much is done.
    pub(super) fn set(&mut self, done: usize, total: usize) {
        match self.shows {
            Shows::Bar if self.last != Some(done) => {
                self.last = Some(done);
                output::tell_part(&format!("{CLEAR}{}", bar(self.what, done, total)));
            }
            Shows::Lines if total >= LINES_FROM => {
                let tenth = done * 10 / total;
                if self.last.is_some_and(|last| tenth > last) {
                    output::line(&self.clock, &format!("{} {done}/{total}", self.what));
                }
                self.last = Some(tenth);
            }
            Shows::Bar | Shows::Lines | Shows::Nothing => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.give_way();
    }
}

fn bar(what: &str, done: usize, total: usize) -> String {
    let filled = (done.min(total) * CELLS).checked_div(total).unwrap_or(CELLS);
    let cells: String = (0..CELLS).map(|cell| if cell < filled { '█' } else { '░' }).collect();
    format!("{what} {cells} {done}/{total}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_filled_as_far_as_the_work_is() {
        assert_eq!(
            bar("clusters", 1, 2),
            format!("clusters {}{} 1/2", "█".repeat(12), "░".repeat(12))
        );
        assert_eq!(bar("clusters", 0, 0), format!("clusters {} 0/0", "█".repeat(24)));
    }
}
