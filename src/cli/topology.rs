//! `capim topology plan`.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use super::arguments::{PlanFormat, TopologyPlan};
use super::connection::connect;
use super::error::CliError;
use super::output;
use super::refused;
use crate::clock::Clock;
use crate::playground::plan::{self, ClusterPlan, Plan, PlanError};
use crate::tui::text::printable;

/// Exit code if something would happen.
const CHANGES: u8 = 7;

pub(super) async fn run(arguments: TopologyPlan) -> Result<ExitCode, CliError> {
    let manifests = refused::read(&arguments.files)?;
    let clock = Clock::wall();
    let client = match arguments.offline {
        true => plan::empty_api(&clock).await.map_err(CliError::other)?,
        false => connect(&arguments.target).await?,
    };
    let namespace = &arguments.target.namespace;
    let plan = plan::plan(&client, &clock, namespace, &manifests).await.map_err(failed)?;
    match arguments.output {
        PlanFormat::Json => output::write(format!("{:#}\n", plan.to_json()))?,
        PlanFormat::Summary => output::write(text(&plan, false))?,
        PlanFormat::Diff => output::write(text(&plan, true))?,
    }
    Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(CHANGES) })
}

fn failed(error: PlanError) -> CliError {
    match error {
        PlanError::Refused(error) => refused::error(&error),
        PlanError::Client(error) => CliError::other(error),
    }
}

fn text(plan: &Plan, with_fields: bool) -> String {
    let mut text = String::new();
    if plan.clusters.is_empty() {
        text.push_str("no cluster with a topology is touched\n");
    }
    for cluster in &plan.clusters {
        cluster_text(cluster, with_fields, &mut text);
    }
    text
}

fn cluster_text(cluster: &ClusterPlan, with_fields: bool, text: &mut String) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "cluster {}", printable(&cluster.cluster.to_string()));
    if !cluster.is_ok {
        let _ = writeln!(text, "  would fail: {}", printable(&cluster.message));
    } else if !cluster.message.is_empty() {
        for line in cluster.message.lines() {
            let _ = writeln!(text, "  {}", printable(line));
        }
    }
    if cluster.steps.is_empty() && cluster.is_ok {
        text.push_str("  no changes\n");
    }
    for step in &cluster.steps {
        let rolls = match step.rolls {
            Some(1) => "  (rolls 1 machine)".to_owned(),
            Some(count) => format!("  (rolls {count} machines)"),
            None => String::new(),
        };
        let (action, kind) = (step.action.as_str(), printable(&step.kind));
        let _ = writeln!(text, "  {action:<6} {kind} {}{rolls}", printable(&step.name));
        for (path, before, after) in step.fields.iter().filter(|_| with_fields) {
            let path = printable(path);
            let side = |value: &Value| printable(&value.to_string()).to_string();
            if !before.is_null() {
                let _ = writeln!(text, "         - {path}: {}", side(before));
            }
            if !after.is_null() {
                let _ = writeln!(text, "         + {path}: {}", side(after));
            }
        }
    }
}
