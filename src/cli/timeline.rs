//! `capim timeline`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::arguments::Target;
use super::connection::connect;
use super::error::CliError;
use super::output;
use super::timeline_svg;
use crate::acts::{Served, name};
use crate::clock::Clock;
use crate::describe::timeline::{Stage, Start, starts};
use crate::tui::text::printable;

/// Label of a cluster's objects.
const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";
/// Columns of a bar.
const BAR: usize = 40;

/// `capim timeline`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim timeline                       machines of all clusters of the namespace
  capim timeline demo
  capim timeline demo -o csv > demo.csv
  capim timeline demo -o html > demo.html")]
pub struct Timeline {
    /// Only machines of this cluster.
    #[arg(add = super::complete::clusters())]
    pub cluster: Option<String>,
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = TimelineFormat::Text)]
    pub output: TimelineFormat,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// Output of `capim timeline`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimelineFormat {
    /// Bars for people.
    Text,
    /// JSON.
    Json,
    /// A line for every stage of every machine.
    Csv,
    /// The bars as a picture.
    Svg,
    /// A page with the picture and a table.
    Html,
}

pub(super) async fn run(timeline: Timeline) -> Result<ExitCode, CliError> {
    let client = connect(&timeline.target).await?;
    let served = Served::discover(&client).await?;
    let namespace = &timeline.target.namespace;
    let clusters = served.find("clusters.cluster.x-k8s.io")?;
    let (clusters, selector) = match &timeline.cluster {
        Some(name) => {
            let cluster = clusters.require(&client, namespace, name).await?;
            (vec![cluster], format!("{CLUSTER_NAME}={name}"))
        }
        None => (clusters.list(&client, namespace, "").await?, String::new()),
    };
    let machines = served.find("machines.cluster.x-k8s.io")?;
    let all = of_clusters(&clusters, machines.list(&client, namespace, &selector).await?);
    let now = Clock::wall().now();
    match timeline.output {
        TimelineFormat::Text if all.iter().all(|(_, starts)| starts.is_empty()) => {
            output::tell("No machines.");
        }
        TimelineFormat::Text => output::write(text(&all, now))?,
        TimelineFormat::Json => output::json(&as_value(&all))?,
        TimelineFormat::Csv => output::write(csv(&all))?,
        TimelineFormat::Svg => output::write(timeline_svg::svg(&all, now))?,
        TimelineFormat::Html => output::write(timeline_svg::html(&all, now))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts by cluster, in the order of the clusters.
fn of_clusters(clusters: &[Value], machines: Vec<Value>) -> Vec<(String, Vec<Start>)> {
    let mut by_cluster: HashMap<String, Vec<Value>> = HashMap::new();
    for machine in machines {
        let cluster = machine["metadata"]["labels"][CLUSTER_NAME].as_str().unwrap_or_default();
        by_cluster.entry(cluster.to_owned()).or_default().push(machine);
    }
    let names = clusters.iter().map(|cluster| name(cluster).to_owned());
    names
        .map(|name| {
            let starts = starts(by_cluster.get(&name).map_or(&[], Vec::as_slice));
            (name, starts)
        })
        .collect()
}

/// Bars on one scale, from the first creation to now or to when the last machine was ready.
fn text(all: &[(String, Vec<Start>)], now: Timestamp) -> String {
    let starts = || all.iter().flat_map(|(_, starts)| starts);
    if starts().next().is_none() {
        return String::new();
    }
    let scale = Scale::of(all, now);
    let width = starts().map(|it| printable(&it.machine).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (cluster, starts) in all {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "cluster {}", printable(cluster));
        for start in starts {
            let (role, length) = (role(start), length(start, now));
            let (name, bar) = (printable(&start.machine), scale.bar(start, now));
            let _ = writeln!(text, "  {name:width$}  {role:6}  {bar}  {length}");
        }
    }
    let _ = writeln!(
        text,
        "b bootstrap  i infrastructure  n node  r ready   {:.0}s from {:.0}",
        scale.seconds, scale.begin
    );
    text
}

/// What a machine is for.
pub(super) fn role(start: &Start) -> &'static str {
    if start.is_control_plane { "cp" } else { "worker" }
}

/// How long a machine's start took, or takes so far and in which stage it is.
pub(super) fn length(start: &Start, now: Timestamp) -> String {
    match start.ready() {
        Some(ready) => format!("{:.0}s", seconds(start.created, ready)),
        None => {
            let stage = start.stages.last().map(|stage| stage.name).unwrap_or_default();
            format!("{:.0}s, {stage} ...", seconds(start.created, now))
        }
    }
}

/// Time along the bars.
pub(super) struct Scale {
    /// The first creation.
    pub(super) begin: Timestamp,
    /// From there to the end.
    pub(super) seconds: f64,
}

impl Scale {
    /// From the first creation to now, or to when the last machine was ready.
    pub(super) fn of(all: &[(String, Vec<Start>)], now: Timestamp) -> Self {
        let starts = || all.iter().flat_map(|(_, starts)| starts);
        let begin = starts().map(|start| start.created).min().unwrap_or(now);
        let end = starts().map(|start| start.ready().unwrap_or(now)).max().unwrap_or(now);
        Self { begin, seconds: seconds(begin, end.max(begin)).max(1.0) }
    }

    /// Where a time is between begin (0) and end (1).
    pub(super) fn share(&self, time: Timestamp) -> f64 {
        (seconds(self.begin, time) / self.seconds).clamp(0.0, 1.0)
    }

    fn column(&self, time: Timestamp) -> usize {
        ((self.share(time) * BAR as f64).round() as usize).min(BAR)
    }

    fn bar(&self, start: &Start, now: Timestamp) -> String {
        let mut bar = vec![' '; BAR];
        for stage in &start.stages {
            let sign = stage.name.chars().next().unwrap_or('?');
            let (from, to) = (self.column(stage.start), self.column(stage.end.unwrap_or(now)));
            for cell in bar.iter_mut().take(to).skip(from) {
                *cell = sign;
            }
        }
        bar.into_iter().collect()
    }
}

pub(super) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn as_value(all: &[(String, Vec<Start>)]) -> Value {
    let stage = |stage: &Stage| {
        let seconds = stage.end.map(|end| seconds(stage.start, end));
        json!({"name": stage.name, "start": stage.start.to_string(),
            "end": stage.end.map(|end| end.to_string()), "seconds": seconds})
    };
    let machine = |start: &Start| {
        json!({"name": start.machine, "controlPlane": start.is_control_plane,
            "created": start.created.to_string(),
            "readySeconds": start.ready().map(|ready| seconds(start.created, ready)),
            "stages": start.stages.iter().map(stage).collect::<Vec<_>>()})
    };
    let cluster = |(name, starts): &(String, Vec<Start>)| json!({"name": name, "machines": starts.iter().map(machine).collect::<Vec<_>>()});
    json!({"clusters": all.iter().map(cluster).collect::<Vec<_>>()})
}

/// Names are of letters, digits, dots and dashes, so nothing needs quotes.
fn csv(all: &[(String, Vec<Start>)]) -> String {
    let mut text = "cluster,machine,role,stage,start,end,seconds\n".to_owned();
    for (cluster, starts) in all {
        for start in starts {
            let role = role(start);
            for stage in &start.stages {
                let end = stage.end.map(|end| end.to_string()).unwrap_or_default();
                let length = stage.end.map(|end| seconds(stage.start, end).to_string());
                let _ = writeln!(
                    text,
                    "{cluster},{},{role},{},{},{end},{}",
                    start.machine,
                    stage.name,
                    stage.start,
                    length.unwrap_or_default()
                );
            }
        }
    }
    crate::tui::text::printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_apart_by_their_label() {
        let machine = |name: &str, cluster: &str| {
            json!({"metadata": {"name": name, "labels": {CLUSTER_NAME: cluster},
                "creationTimestamp": "2026-01-01T00:00:00Z"}})
        };
        let clusters = ["b", "a", "c"].map(|name| json!({"metadata": {"name": name}}));
        let machines = vec![machine("a-1", "a"), machine("b-1", "b"), machine("a-2", "a")];
        let all = of_clusters(&clusters, machines);
        let names = |starts: &[Start]| {
            starts.iter().map(|start| start.machine.clone()).collect::<Vec<_>>().join(" ")
        };
        let shown: Vec<_> =
            all.iter().map(|(name, starts)| (name.as_str(), names(starts))).collect();
        assert_eq!(shown, [("b", "b-1".into()), ("a", "a-1 a-2".into()), ("c", String::new())]);
    }

    #[test]
    fn bars_share_a_scale() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let stage =
            |name, start, end: Option<i64>| Stage { name, start: at(start), end: end.map(at) };
        let start = |machine: &str, created, stages| Start {
            machine: machine.to_owned(),
            is_control_plane: true,
            created: at(created),
            stages,
        };
        let all = vec![(
            "c".to_owned(),
            vec![
                start(
                    "a",
                    0,
                    vec![
                        stage("bootstrap", 0, Some(1)),
                        stage("infrastructure", 1, Some(8)),
                        stage("node", 8, Some(9)),
                        stage("ready", 9, Some(10)),
                    ],
                ),
                start("b", 10, vec![stage("bootstrap", 10, None)]),
            ],
        )];
        let shown = text(&all, at(20));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[1],
            format!("  a  cp      bb{}nnrr{}  10s", "i".repeat(14), " ".repeat(20))
        );
        assert_eq!(
            lines[2],
            format!("  b  cp      {}{}  10s, bootstrap ...", " ".repeat(20), "b".repeat(20))
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{shown}");
        assert_eq!(csv(&all).lines().count(), 6);
        assert_eq!(as_value(&all)["clusters"][0]["machines"][0]["readySeconds"], 10.0);
        assert_eq!(text(&[], at(0)), "");
    }
}
