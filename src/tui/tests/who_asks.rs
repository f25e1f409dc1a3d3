//! The view of requests by client.

use std::sync::Arc;

use super::fixtures::{self, Scenario};
use super::{picture, press, text, themes};
use crate::tui::fetch::{Fetched, NOT_TOLD, Want};
use crate::tui::run::App;

const SIZE: (u16, u16) = (120, 24);

/// Programs from top to bottom.
fn programs(app: &mut App) -> Vec<String> {
    picture(app, SIZE);
    let table = &app.model.requests;
    let cell = |index| table.at(index).unwrap().cells[0].shown(jiff::Timestamp::UNIX_EPOCH);
    (0..table.len()).map(|index| cell(index).chars().take(4).collect()).collect()
}

#[test]
fn clients_are_asked_for_while_they_are_in_sight_only() {
    let mut app = fixtures::app(Scenario::One, themes()[0]);
    press(&mut app, &["9"], SIZE);
    assert_eq!(app.state.want(), Some(Want::Requests));
    press(&mut app, &["1"], SIZE);
    assert_eq!(app.state.want(), None);
}

#[test]
fn clients_are_sorted_and_filtered_as_other_lists() {
    let mut app = fixtures::app(Scenario::One, themes()[0]);
    press(&mut app, &["9"], SIZE);
    assert_eq!(programs(&mut app), ["capi", "argo", "kube", "unkn"], "the busiest first");
    press(&mut app, &["N"], SIZE);
    assert_eq!(programs(&mut app), ["argo", "capi", "kube", "unkn"]);
    press(&mut app, &["S"], SIZE);
    assert_eq!(programs(&mut app), ["argo", "kube", "unkn", "capi"], "by errors");
    press(&mut app, &["/", "a", "d", "m", "i", "n", "enter"], SIZE);
    assert_eq!(programs(&mut app), ["kube"]);
    // A client is no object: nothing of it can be opened or changed.
    press(&mut app, &["enter", "y"], SIZE);
    assert_eq!((app.state.trail().len(), app.state.want()), (1, Some(Want::Requests)));
}

#[test]
fn a_server_that_does_not_tell_is_named() {
    let mut app = fixtures::app(Scenario::One, themes()[0]);
    picture(&mut app, SIZE);
    app.press("9".parse::<crate::tui::keymap::Key>().unwrap().event());
    let shown = |app: &mut App| text(&picture(app, SIZE)).join("\n");
    assert!(shown(&mut app).contains("reading …"));
    let got = Err(NOT_TOLD.to_owned());
    app.answer(Some(Arc::new(Fetched { want: Want::Requests, got, etcd: None })));
    assert!(shown(&mut app).contains(NOT_TOLD));
}
