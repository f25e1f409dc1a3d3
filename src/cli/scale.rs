//! `capim scale`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::arguments::{Target, parse_control_planes, parse_duration};
use super::connection::connect;
use super::error::CliError;
use super::output;
use super::report::Deadline;
use super::wait::{self, Patience};
use crate::acts::{Count, Members, Resize, Served, name};
use crate::clock::Clock;

/// `capim scale`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Scale {
    /// Name of the cluster.
    #[arg(add = super::complete::clusters())]
    pub cluster: String,
    /// Worker machines: a number, or a change such as +2 or -1.
    #[arg(
        long,
        value_name = "N|+N|-N",
        allow_hyphen_values = true,
        required_unless_present = "cp"
    )]
    pub workers: Option<Count>,
    /// Which MachineDeployment, if the cluster has several.
    #[arg(long, value_name = "NAME", requires = "workers", add = super::complete::deployments())]
    pub md: Option<String>,
    /// Control plane machines; odd.
    #[arg(long, value_parser = parse_control_planes)]
    pub cp: Option<u32>,
    /// Wait until the machines are there and ready.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, e.g. 90s or 5m.
    #[arg(long, env = "CAPIM_TIMEOUT", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

const EXAMPLES: &str = "\
Examples:
  capim scale demo --workers 20
  capim scale demo --workers +2 --wait
  capim scale demo --cp 3 --workers 10
  capim scale demo --md demo-md-1 --workers 0";

pub(super) async fn run(scale: Scale) -> Result<ExitCode, CliError> {
    let client = connect(&scale.target).await?;
    let served = Served::discover(&client).await?;
    let members = Members::read(&client, &served, &scale.target.namespace, &scale.cluster).await?;
    let resize =
        Resize { workers: scale.workers, deployment: scale.md.clone(), control_planes: scale.cp };
    let changes = members.resize(&client, &resize).await?;
    for change in &changes {
        let what = format!("{} {:?}", change.kind.singular, name(change.object));
        output::write(format!("{what} scaled to {}\n", change.after))?;
    }
    if scale.wait {
        let deadline = Deadline::after(scale.timeout, Clock::wall());
        for change in &changes {
            let awaited = [members.awaited(change.kind, change.object)];
            let done = |object: Option<&Value>| change.is_done(object);
            wait::until(&client, &awaited, Patience::changed(&deadline), done).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
