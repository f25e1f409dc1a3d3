//! A frame costs what changed and what is in sight, not what there is.

use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{self, Scenario};
use super::{VIEWS, picture, press, themes};
use crate::client::ObjectKey;
use crate::clock::Clock;
use crate::tui::model::feed::Changes;
use crate::tui::model::work;
use crate::tui::state::State;

/// Rows that change between two frames.
const CHANGES: usize = 10;
/// Pieces of work a frame may cost: cells in sight, and per change making, placing and counting.
const WORK_MAX: usize = 60 * 11 + CHANGES * 40;

/// So many machines of a thousand clusters: some become ready, others not.
fn news(frame: usize) -> Changes {
    let mut changes = fixtures::changes(Scenario::Thousand);
    let every = changes.machines.len() / CHANGES;
    let some = changes.machines.into_iter().skip(frame).step_by(every).take(CHANGES);
    changes.machines = some
        .map(|(key, machine)| {
            let mut machine = Arc::unwrap_or_clone(machine.unwrap());
            if frame.is_multiple_of(2) {
                machine.status.as_mut().unwrap().conditions.retain(|found| found.type_ != "Ready");
            }
            (key, Some(Arc::new(machine)))
        })
        .collect();
    Changes { machines: changes.machines, ..Changes::default() }
}

#[tokio::test(start_paused = true)]
async fn a_frame_costs_what_changed_and_what_is_in_sight() {
    let size = (200, 60);
    let mut app = fixtures::app(Scenario::Thousand, themes()[0]);
    // All clocks of a test step together.
    let clock = Clock::virtual_from(fixtures::NOW.parse().unwrap());
    picture(&mut app, size);
    assert!(work::take() > 4000, "the first frame made every row");
    for (view, keys) in VIEWS {
        app.state = State::new();
        press(&mut app, keys, size);
        picture(&mut app, size);
        for frame in 0..4 {
            let changes = news(frame);
            // Long enough for everything that is made once in a while.
            clock.sleep(Duration::from_secs(2)).await;
            work::take();
            app.apply(changes);
            picture(&mut app, size);
            let done = work::take();
            assert!(done <= WORK_MAX, "{view}, frame {frame}: {done} pieces of work");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_change_touches_one_row() {
    let mut app = fixtures::app(Scenario::Thousand, themes()[0]);
    picture(&mut app, (80, 24));
    let first = |changes: Changes| changes.machines.into_iter().next().unwrap();
    let (key, machine) = first(news(0));
    assert_eq!(key, ObjectKey::of(machine.as_deref().unwrap()));
    work::take();
    app.apply(Changes { machines: vec![(key, machine)], ..Changes::default() });
    let done = work::take();
    assert!((1..=60).contains(&done), "{done} pieces of work");
}
