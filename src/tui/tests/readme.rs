//! The picture in the README, drawn by the dashboard itself.

use super::fixtures::{self, Scenario};
use super::picture;
use crate::tui::svg::svg;
use crate::tui::theme::{Depth, Theme, ThemeName};

const PICTURE: &str = "assets/dashboard.svg";

#[test]
fn the_picture_in_the_readme_is_what_the_dashboard_draws() {
    let theme = Theme::new(ThemeName::Dark, Depth::True, false);
    let mut app = fixtures::app(Scenario::Problems, theme);
    let drawn = svg(&picture(&mut app, (120, 32)), "The dashboard of capim");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PICTURE);
    if std::env::var_os("CAPIM_WRITE").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let present = std::fs::read_to_string(path).unwrap_or_default();
    assert!(present == drawn, "{PICTURE} is not what is drawn; CAPIM_WRITE=1 writes it anew");
}
