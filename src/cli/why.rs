//! `capim why`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::arguments::Target;
use super::collect;
use super::connection::connect;
use super::error::{CliError, Exit};
use super::output;
use super::table::{Color, painted};
use crate::acts::Served;
use crate::clock::Clock;
use crate::describe::why::{Explanation, Remaining, Step, Subject, explain};
use crate::describe::{Sources, Span, Tone, is_negative};

/// `capim why`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Why {
    /// The object, e.g. machine/demo-cp-x7k2p; a name alone is a cluster's.
    #[arg(value_name = "KIND/NAME", add = super::complete::objects())]
    pub object: String,
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = WhyFormat::Text)]
    pub output: WhyFormat,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// Output of `capim why`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhyFormat {
    /// Lines for people.
    Text,
    /// JSON.
    Json,
}

const EXAMPLES: &str = "\
Examples:
  capim why demo                       why the cluster demo is not Available
  capim why machine/demo-cp-x7k2p      what a machine waits for, and for how long
  capim why md/demo-md-0 -o json";

pub(super) async fn run(why: Why) -> Result<ExitCode, CliError> {
    let client = connect(&why.target).await?;
    let served = Served::discover(&client).await?;
    let typed = match why.object.contains('/') {
        true => why.object.clone(),
        false => format!("cluster/{}", why.object),
    };
    let (kind, name) = served.object(&typed)?;
    let object = kind.require(&client, &why.target.namespace, name).await?;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let sources = match cluster_name(&object) {
        // An object may outlive its cluster.
        Some(cluster) => match collect::cluster(&client, &served, namespace, cluster).await {
            Err(error) if error.exit != Exit::NotFound => return Err(error),
            found => found.unwrap_or_default(),
        },
        None => Sources::default(),
    };
    let explanation = explain(&sources, &object, Clock::wall().now());
    match why.output {
        WhyFormat::Text => output::write(text(&explanation, why.color.is_on()))?,
        WhyFormat::Json => output::json(&as_value(&explanation))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The cluster that an object is or belongs to.
fn cluster_name(object: &Value) -> Option<&str> {
    let meta = &object["metadata"];
    if object["kind"] == "Cluster" {
        return meta["name"].as_str();
    }
    meta["labels"]["cluster.x-k8s.io/cluster-name"]
        .as_str()
        .or_else(|| object["spec"]["clusterName"].as_str())
}

fn text(explanation: &Explanation, colors: bool) -> String {
    let paint = |tone, text: &str| painted(&Span { tone, text: text.to_owned() }, colors);
    let shown = |subject: &Subject| {
        let key = match subject.namespace.as_str() {
            "" => subject.name.clone(),
            namespace => format!("{namespace}/{}", subject.name),
        };
        format!("{} {}", paint(Tone::Plain, &subject.kind), paint(Tone::Strong, &key))
    };
    if explanation.healthy {
        return format!("{}: nothing is wrong\n", shown(&explanation.subject));
    }
    let mut lines = Vec::new();
    for (depth, step) in explanation.steps.iter().enumerate() {
        let indent = "  ".repeat(depth);
        let branch = if depth == 0 { "" } else { "└ " };
        lines.push(format!("{indent}{}{}", paint(Tone::Dim, branch), shown(&step.subject)));
        let indent = format!("{indent}{}", if depth == 0 { "  " } else { "    " });
        lines.extend(
            condition_lines(step)
                .into_iter()
                .map(|(tone, text)| format!("{indent}{}", paint(tone, &text))),
        );
    }
    if let Some((first, others)) = explanation.next.split_first() {
        lines.push(paint(Tone::Plain, &format!("then {first}")));
        lines.extend(others.iter().map(|line| paint(Tone::Plain, &format!("     {line}"))));
    }
    lines.join("\n") + "\n"
}

fn condition_lines(step: &Step) -> Vec<(Tone, String)> {
    let Some(condition) = &step.condition else {
        return vec![(Tone::Doubtful, "no condition yet: nobody has reconciled it".to_owned())];
    };
    let tone = match condition.status.as_str() {
        "Unknown" => Tone::Doubtful,
        _ if is_negative(&condition.type_) => Tone::Doubtful,
        _ => Tone::Bad,
    };
    let mut headline = format!("{}={}", condition.type_, condition.status);
    if !condition.reason.is_empty() {
        headline = format!("{headline} ({})", condition.reason);
    }
    let mut lines = vec![(tone, headline)];
    let message = condition.message.lines().filter(|line| !line.trim().is_empty());
    lines.extend(message.map(|line| (Tone::Plain, line.trim_end().to_owned())));
    if let Some(remaining) = &step.remaining {
        lines.push((Tone::Plain, remaining_text(remaining)));
    }
    lines
}

fn remaining_text(remaining: &Remaining) -> String {
    let (least, most) = (remaining.least.as_secs_f64(), remaining.most.as_secs_f64());
    if most <= 0.0 {
        "due now".to_owned()
    } else if most - least < 0.1 {
        format!("in {most:.1}s")
    } else {
        format!("in {least:.1}s to {most:.1}s")
    }
}

fn as_value(explanation: &Explanation) -> Value {
    let subject =
        |it: &Subject| json!({"kind": it.kind, "namespace": it.namespace, "name": it.name});
    let step = |step: &Step| {
        let condition = step.condition.as_ref().map(|it| {
            json!({"type": it.type_, "status": it.status, "reason": it.reason,
                "message": it.message, "lastTransitionTime": it.since.map(|at| at.to_string())})
        });
        let remaining = step.remaining.map(|it| {
            json!({"leastSeconds": it.least.as_secs_f64(), "mostSeconds": it.most.as_secs_f64()})
        });
        json!({"object": subject(&step.subject), "condition": condition, "remaining": remaining})
    };
    json!({
        "object": subject(&explanation.subject),
        "healthy": explanation.healthy,
        "steps": explanation.steps.iter().map(step).collect::<Vec<_>>(),
        "next": explanation.next,
    })
}
