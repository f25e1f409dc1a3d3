//! `capim rollout restart`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::arguments::{Target, parse_duration};
use super::connection::connect;
use super::error::{CliError, Exit};
use super::members::{Members, is_settled, name};
use super::output;
use super::resources::{Kind, Served};
use super::wait;
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
    pub cluster: String,
    /// Only the control plane.
    #[arg(long, conflicts_with = "md")]
    pub kcp: bool,
    /// Only this MachineDeployment.
    #[arg(long, value_name = "NAME")]
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

/// (CAPI v1.14: cmd/clusterctl/client/alpha/rollout_restarter.go)
pub(super) async fn restart(restart: Restart) -> Result<ExitCode, CliError> {
    let client = connect(&restart.target).await?;
    let served = Served::discover(&client).await?;
    let namespace = &restart.target.namespace;
    let members = Members::read(&client, &served, namespace, &restart.cluster).await?;
    let mut objects: Vec<(&Kind, &Value)> = Vec::new();
    if restart.md.is_none() {
        let (kind, object) = members.control_plane()?;
        objects.push((kind, object));
    }
    if let Some(md) = &restart.md {
        objects.push((&members.deployment_kind, members.deployment(Some(md))?));
    } else if !restart.kcp {
        objects.extend(members.deployments.iter().map(|it| (&members.deployment_kind, it)));
    }
    let now = Clock::wall().now();
    for (kind, object) in &objects {
        refuse(kind, object, now)?;
    }
    let after = format!("{now:.0}");
    for (kind, object) in &objects {
        let patch = json!({"spec": {"rollout": {"after": after}}});
        members.patch(&client, kind, object, patch).await?;
        output::write(format!("{} {:?} restarted\n", kind.singular, name(object)))?;
    }
    if restart.wait {
        let awaited: Vec<_> =
            objects.iter().map(|(kind, object)| members.awaited(kind, object)).collect();
        wait::until(&client, &awaited, restart.timeout, true, is_settled).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A paused object would not follow, and a time in the future was meant by somebody.
fn refuse(kind: &Kind, object: &Value, now: jiff::Timestamp) -> Result<(), CliError> {
    let what = format!("{} {:?}", kind.singular, name(object));
    let annotations = &object["metadata"]["annotations"];
    if annotations.get("cluster.x-k8s.io/paused").is_some()
        || object["spec"]["paused"].as_bool() == Some(true)
    {
        return Err(CliError::new("E033", Exit::Conflict, format!("{what} is paused"))
            .hint(format!("capim resume {}/{}", kind.singular, name(object))));
    }
    let after = object["spec"]["rollout"]["after"].as_str();
    let after = after.and_then(|after| after.parse::<jiff::Timestamp>().ok());
    if after.is_some_and(|after| after > now) {
        let message = format!("{what} is to be restarted later: its spec.rollout.after is ahead");
        return Err(CliError::new("E033", Exit::Conflict, message));
    }
    Ok(())
}
