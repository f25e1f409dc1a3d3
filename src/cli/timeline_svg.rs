//! `capim timeline -o svg|html`: the bars as a picture, alone or in a page with the figures.
//!
//! A file holds all that it needs: no script, no link, no font of its own. Names are escaped.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::timeline::{Scale, length, role, seconds};
use crate::describe::timeline::{STAGES, Stage, Start};
use crate::tui::svg::escaped;

/// Sizes in pixels.
const ROW: f64 = 20.0;
const MARGIN: f64 = 16.0;
const NAMES: f64 = 300.0;
const BARS: f64 = 520.0;
const LENGTHS: f64 = 150.0;
/// From a row's upper edge to the base line of its text.
const BASE: f64 = 14.0;
/// Above the rows: the title and the scale.
const HEAD: f64 = 56.0;
/// Longest name that is shown as a whole.
const NAME_MAX: usize = 38;
/// Colours of the stages, told apart by everybody (Okabe and Ito).
const COLORS: [&str; STAGES.len()] = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7"];

/// The picture.
pub(super) fn svg(all: &[(String, Vec<Start>)], now: Timestamp) -> String {
    let scale = Scale::of(all, now);
    let rows: usize = all.iter().map(|(_, starts)| starts.len() + 1).sum();
    let width = 2.0 * MARGIN + NAMES + BARS + LENGTHS;
    let height = 2.0 * MARGIN + HEAD + ROW * rows as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>{TITLE}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <g font-family=\"system-ui,Helvetica,Arial,sans-serif\" font-size=\"12\" fill=\"#1b1f24\">\n"
    );
    legend(&mut text);
    axis(&mut text, &scale, height);
    let mut y = MARGIN + HEAD;
    for (cluster, starts) in all {
        label(&mut text, (MARGIN, y + BASE), " font-weight=\"bold\"", cluster);
        y += ROW;
        for start in starts {
            machine(&mut text, start, (&scale, y), now);
            y += ROW;
        }
    }
    text.push_str("</g>\n</svg>\n");
    text
}

const TITLE: &str = "What machines spent their start on";

/// Text in its place; writing into a String cannot fail.
fn label(text: &mut String, (x, y): (f64, f64), style: &str, content: &str) {
    let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\"{style}>{}</text>", escaped(content));
}

fn bar(text: &mut String, (x, y, width): (f64, f64, f64), style: &str, title: &str) {
    let height = ROW - 6.0;
    let _ = writeln!(
        text,
        "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\"{style}><title>{}</title></rect>",
        escaped(title)
    );
}

fn legend(text: &mut String) {
    label(text, (MARGIN, MARGIN + BASE), " font-size=\"15\" font-weight=\"bold\"", TITLE);
    let mut x = MARGIN + NAMES;
    for ((name, _), color) in STAGES.iter().zip(COLORS) {
        bar(text, (x, MARGIN + 3.0, 14.0), &format!(" fill=\"{color}\""), name);
        label(text, (x + 20.0, MARGIN + BASE), "", name);
        x += 120.0;
    }
}

/// Lines for round numbers of seconds, about eight of them.
fn axis(text: &mut String, scale: &Scale, height: f64) {
    let step = step(scale.seconds / 8.0);
    let mut second = 0.0;
    while second <= scale.seconds {
        let x = MARGIN + NAMES + BARS * second / scale.seconds;
        let (top, bottom) = (MARGIN + HEAD - 8.0, height - MARGIN);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\" stroke=\"#d0d7de\"/>"
        );
        label(
            text,
            (x, top - 4.0),
            " text-anchor=\"middle\" fill=\"#57606a\"",
            &format!("{second}s"),
        );
        second += step;
    }
}

/// The next of 1, 2, 5, 10, 20, 50, ...
fn step(at_least: f64) -> f64 {
    let mut magnitude = 1.0;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if magnitude * factor >= at_least {
                return magnitude * factor;
            }
        }
        magnitude *= 10.0;
    }
}

fn machine(text: &mut String, start: &Start, (scale, y): (&Scale, f64), now: Timestamp) {
    let name = match start.machine.char_indices().nth(NAME_MAX) {
        Some((end, _)) => format!("{}…", &start.machine[..end]),
        None => start.machine.clone(),
    };
    label(text, (MARGIN + 12.0, y + BASE), "", &name);
    let role_at = (MARGIN + NAMES - 12.0, y + BASE);
    label(text, role_at, " text-anchor=\"end\" fill=\"#57606a\"", role(start));
    for stage in &start.stages {
        let place = |time: Timestamp| MARGIN + NAMES + BARS * scale.share(time);
        let (from, to) = (place(stage.start), place(stage.end.unwrap_or(now)));
        let color = STAGES.iter().position(|(name, _)| *name == stage.name).unwrap_or(0);
        let running = if stage.end.is_none() { " fill-opacity=\"0.45\"" } else { "" };
        let style = format!(" fill=\"{}\"{running}", COLORS[color]);
        let title = format!("{}: {}", start.machine, told(stage, now));
        bar(text, (from, y + 3.0, to - from), &style, &title);
    }
    label(text, (MARGIN + NAMES + BARS + 8.0, y + BASE), "", &length(start, now));
}

/// `infrastructure 10.2s`
fn told(stage: &Stage, now: Timestamp) -> String {
    let time = seconds(stage.start, stage.end.unwrap_or(now));
    let running = if stage.end.is_none() { " so far" } else { "" };
    format!("{} {time:.1}s{running}", stage.name)
}

/// A page with the picture and a table of the figures.
pub(super) fn html(all: &[(String, Vec<Start>)], now: Timestamp) -> String {
    let mut rows = String::new();
    for (cluster, starts) in all {
        for start in starts {
            let stages = STAGES.iter().map(|(name, _)| {
                let stage = start.stages.iter().find(|stage| stage.name == *name);
                let end = stage.and_then(|stage| Some(seconds(stage.start, stage.end?)));
                end.map(|seconds| format!("<td>{seconds:.1}</td>"))
            });
            let stages: String =
                stages.map(|cell| cell.unwrap_or_else(|| "<td></td>".to_owned())).collect();
            let ready = start.ready().map(|ready| seconds(start.created, ready));
            let ready = ready.map(|seconds| format!("{seconds:.1}")).unwrap_or_default();
            let (cluster, machine) = (escaped(cluster), escaped(&start.machine));
            let _ = writeln!(
                rows,
                "<tr><th>{cluster}</th><th>{machine}</th><td>{}</td>{stages}<td>{ready}</td></tr>",
                role(start)
            );
        }
    }
    let heads: String = STAGES.iter().map(|(name, _)| format!("<th>{name} (s)</th>")).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{TITLE}</title>\n\
         <style>body{{font:14px system-ui,sans-serif;margin:2em;color:#1b1f24;background:#fff}}\
         svg{{max-width:100%;height:auto}}table{{border-collapse:collapse;margin-top:2em}}\
         th,td{{padding:2px 12px 2px 0;text-align:left;border-bottom:1px solid #d0d7de}}\
         td{{text-align:right}}</style>\n</head>\n<body>\n{}<table>\n<tr><th>cluster</th><th>machine</th>\
         <th>role</th>{heads}<th>total (s)</th></tr>\n{rows}</table>\n<p>As of {now:.0}</p>\n</body>\n</html>\n",
        svg(all, now)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(String, Vec<Start>)> {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let stage =
            |name, start, end: Option<i64>| Stage { name, start: at(start), end: end.map(at) };
        let stages = vec![stage("bootstrap", 0, Some(1)), stage("infrastructure", 1, None)];
        let machine = "<script>&\"\u{1b}".to_owned();
        let start = Start { machine, is_control_plane: true, created: at(0), stages };
        vec![("a<b".to_owned(), vec![start])]
    }

    #[test]
    fn a_picture_is_one_harmless_file() {
        let now = Timestamp::from_second(40).unwrap();
        let picture = svg(&all(), now);
        for expected in [
            "viewBox=\"0 0 1002 128\"",
            ">a&lt;b</text>",
            "<rect x=\"316.0\" y=\"95\" width=\"13.0\" height=\"14\" fill=\"#56b4e9\">",
            "<rect x=\"329.0\" y=\"95\" width=\"507.0\" height=\"14\" fill=\"#e69f00\" fill-opacity=\"0.45\">",
            "infrastructure 39.0s so far</title>",
            ">35s</text>",
        ] {
            assert!(picture.contains(expected), "{expected}\n{picture}");
        }
        let page = html(&all(), now);
        assert!(page.contains(&picture) && page.contains("<td>1.0</td><td></td>"), "{page}");
        for text in [&picture, &page] {
            assert!(!text.contains("<script") && !text.contains('\u{1b}'), "{text}");
            assert!(!text.contains("href") && !text.contains("url("), "{text}");
        }
        assert!(svg(&[], now).ends_with("</svg>\n"));
    }

    #[test]
    fn steps_are_round() {
        let steps = [0.1, 1.0, 1.1, 3.0, 6.0, 70.0].map(step);
        assert_eq!(steps, [1.0, 1.0, 2.0, 5.0, 10.0, 100.0]);
    }
}
