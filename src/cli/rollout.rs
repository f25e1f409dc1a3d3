//! `capim rollout restart`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::arguments::{Target, parse_duration};
use super::connection::connect;
use super::error::CliError;
use super::output;
use super::report::Deadline;
use super::wait::{self, Patience};
use crate::acts::{self, Members, Part, Served, is_settled, name};
use crate::clock::Clock;

/// `capim rollout`.
#[derive(Debug, Args)]
pub struct Rollout {
    /// What to do.
    #[command(subcommand)]
    pub kind: RolloutKind,
}

/// Verbs of `capim rollout`.
#[derive(Debug, Subcommand)]
pub enum RolloutKind {
    /// Replace all machines of a cluster, or of a part of it, by new ones.
    Restart(Restart),
}

/// `capim rollout restart`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Restart {
    /// Name of the cluster.
    #[arg(add = super::complete::clusters())]
    pub cluster: String,
    /// Only the control plane.
    #[arg(long, conflicts_with = "md")]
    pub kcp: bool,
    /// Only this MachineDeployment.
    #[arg(long, value_name = "NAME", add = super::complete::deployments())]
    pub md: Option<String>,
    /// Wait until all machines are new and ready.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, e.g. 90s or 5m.
    #[arg(long, env = "CAPIM_TIMEOUT", default_value = "10m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

const EXAMPLES: &str = "\
Examples:
  capim rollout restart demo                   control plane and all MachineDeployments
  capim rollout restart demo --kcp --wait
  capim rollout restart demo --md demo-md-0";

pub(super) async fn restart(restart: Restart) -> Result<ExitCode, CliError> {
    let client = connect(&restart.target).await?;
    let served = Served::discover(&client).await?;
    let namespace = &restart.target.namespace;
    let members = Members::read(&client, &served, namespace, &restart.cluster).await?;
    let part = match (&restart.md, restart.kcp) {
        (Some(name), _) => Part::Deployment(name.clone()),
        (None, true) => Part::ControlPlane,
        (None, false) => Part::All,
    };
    let objects = members.part(&part)?;
    let old = members.machines(&client, &served, &objects).await?;
    acts::restart(&client, &members, &objects, Clock::wall().now()).await?;
    for (kind, object) in &objects {
        output::write(format!("{} {:?} restarted\n", kind.singular, name(object)))?;
    }
    if restart.wait {
        let deadline = Deadline::after(restart.timeout, Clock::wall());
        // Counters follow later than the machines that they count.
        let gone = |object: Option<&Value>| match object {
            None => Ok(()),
            Some(_) => Err("it was not replaced yet".to_owned()),
        };
        wait::until(&client, &old, Patience::going(&deadline), gone).await?;
        let awaited: Vec<_> =
            objects.iter().map(|(kind, object)| members.awaited(kind, object)).collect();
        let patience = Patience::changed(&deadline);
        wait::until(&client, &awaited, patience, is_settled).await?;
    }
    Ok(ExitCode::SUCCESS)
}
