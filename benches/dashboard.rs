//! What the dashboard costs with 1,000 clusters and 13,000 machines, as JSON lines.
//!
//! `cargo bench --bench dashboard`. The dashboard runs on this thread as it does in `capim up`: at
//! most ten frames a second, each taking the 50 objects that changed since the last (500 changes a
//! second), written by ratatui to a terminal that throws the bytes away. Frame times are wall time
//! from taking the changes to the last byte, `frame_cpu_p99_ms` is the thread's CPU time of a frame,
//! which other programs do not lengthen; `cpu_percent` is that time over the time that passed, as
//! Linux accounts it. Decoding objects is the informers' work and not in it.

#![expect(clippy::disallowed_methods, reason = "a bench reads the real clock")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use capim::api::core::{Cluster, Machine};
use capim::client::ObjectKey;
use capim::clock::Clock;
use capim::tui::theme::{Depth, Theme, ThemeName};
use capim::tui::{Changes, Offscreen};
use crossterm::event::{KeyCode, KeyEvent};
use jiff::Timestamp;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use serde_json::json;

const CLUSTERS: usize = 1_000;
const MACHINES: usize = 13;
/// Objects that change between two frames.
const CHANGES: usize = 50;
const FRAMES: usize = 100;
const FRAME: Duration = Duration::from_millis(100);

fn cluster(number: usize, ready: usize) -> (ObjectKey, Option<Arc<Cluster>>) {
    let name = format!("scale-{number:05}");
    let status = if ready == MACHINES { "True" } else { "False" };
    let object = json!({
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": Timestamp::now()},
        "status": {
            "conditions": [{"type": "Available", "status": status, "reason": "R",
                "message": "* WorkersAvailable: 10 replicas wanted", "lastTransitionTime": Timestamp::now()}],
            "controlPlane": {"readyReplicas": 3, "desiredReplicas": 3},
            "workers": {"readyReplicas": ready.saturating_sub(3), "desiredReplicas": 10},
        },
    });
    let object = serde_json::from_value(object).expect("a Cluster");
    (ObjectKey::new("default", name), Some(Arc::new(object)))
}

fn machine(number: usize, index: usize, ready: bool) -> (ObjectKey, Option<Arc<Machine>>) {
    let cluster = format!("scale-{number:05}");
    let name = format!("{cluster}-m-{index}");
    let status = if ready { "True" } else { "False" };
    let condition = |type_: &str| {
        json!({"type": type_, "status": status, "reason": "R", "message": "",
            "lastTransitionTime": Timestamp::now()})
    };
    let conditions: Vec<_> = [
        "Available",
        "Ready",
        "UpToDate",
        "BootstrapConfigReady",
        "InfrastructureReady",
        "NodeHealthy",
        "NodeReady",
        "HealthCheckSucceeded",
        "Deleting",
        "Paused",
    ]
    .map(condition)
    .to_vec();
    let object = json!({
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": Timestamp::now()},
        "spec": {"clusterName": cluster, "version": "v1.36.1"},
        "status": {"phase": if ready { "Running" } else { "Provisioning" }, "conditions": conditions},
    });
    let object = serde_json::from_value(object).expect("a Machine");
    (ObjectKey::new("default", name), Some(Arc::new(object)))
}

fn everything() -> Changes {
    let mut changes = Changes::default();
    for number in 0..CLUSTERS {
        changes.clusters.push(cluster(number, MACHINES));
        changes.machines.extend((0..MACHINES).map(|index| machine(number, index, true)));
    }
    changes
}

/// News of a frame: machines come and go ready all over the list, every fourth a cluster with them.
fn news(frame: usize) -> Changes {
    let mut changes = Changes::default();
    for change in 0..CHANGES {
        let number = (frame * 7919 + change * 104_729) % CLUSTERS;
        let ready = !(frame + change).is_multiple_of(3);
        match change % 4 {
            0 => changes.clusters.push(cluster(number, if ready { MACHINES } else { 5 })),
            _ => changes.machines.push(machine(number, change % MACHINES, ready)),
        }
    }
    changes
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}

fn measure(size: (u16, u16), view: &str, keys: &[KeyCode]) {
    let theme = Theme::new(ThemeName::Basic, Depth::Sixteen, false);
    let mut dashboard =
        Offscreen::new(Clock::wall(), "https://127.0.0.1:6443", "/tmp/kubeconfig", theme);
    let area = Rect::new(0, 0, size.0, size.1);
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    let mut terminal = Terminal::with_options(CrosstermBackend::new(std::io::sink()), options)
        .expect("a terminal of a fixed size");
    let all = everything();
    let start = Instant::now();
    dashboard.apply(all);
    terminal.draw(|frame| dashboard.draw(frame.buffer_mut(), area)).expect("the sink takes it");
    let first_paint = start.elapsed();
    keys.iter().for_each(|key| dashboard.press(KeyEvent::from(*key)));
    let (mut times, mut busy) = (Vec::with_capacity(FRAMES), Vec::with_capacity(FRAMES));
    let begin = Instant::now();
    for frame in 0..FRAMES {
        let changes = news(frame);
        let (start, cpu_before) = (Instant::now(), cpu());
        dashboard.apply(changes);
        terminal.draw(|frame| dashboard.draw(frame.buffer_mut(), area)).expect("the sink takes it");
        busy.push(cpu().saturating_sub(cpu_before));
        times.push(start.elapsed());
        std::thread::sleep(FRAME.saturating_sub(start.elapsed()));
    }
    let passed = begin.elapsed();
    let at = |times: &mut Vec<Duration>, share: usize| {
        times.sort_unstable();
        times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3
    };
    let all_busy: Duration = busy.iter().sum();
    let figures = BTreeMap::from([
        ("frame_p50_ms", at(&mut times, 50)),
        ("frame_p99_ms", at(&mut times, 99)),
        ("frame_cpu_p99_ms", at(&mut busy, 99)),
        ("first_paint_ms", first_paint.as_secs_f64() * 1e3),
        ("cpu_percent", 100.0 * all_busy.as_secs_f64() / passed.as_secs_f64()),
    ]);
    let line = json!({"bench": "dashboard", "view": view, "columns": size.0, "rows": size.1,
        "clusters": CLUSTERS, "machines": CLUSTERS * MACHINES, "changes_per_second": 500,
        "figures": figures});
    println!("{line}");
}

fn main() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        measure(size, "clusters", &[]);
        measure(size, "machines", &[KeyCode::Char('2')]);
        measure(size, "timeline", &[KeyCode::Char('5')]);
    }
}
