//! `capim upgrade`: the control plane first, then the workers.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::arguments::{Target, parse_duration};
use super::connection::connect;
use super::error::CliError;
use super::output;
use super::report::Deadline;
use super::wait::{self, Patience};
use crate::acts::{Members, Served, has_version, parse_version};
use crate::clock::Clock;

/// `capim upgrade`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Upgrade {
    /// Name of the cluster.
    #[arg(add = super::complete::clusters())]
    pub cluster: String,
    /// Kubernetes version, e.g. v1.37.0.
    #[arg(long, value_name = "VERSION", value_parser = parse_version)]
    pub to: String,
    /// Wait until the workers are upgraded, too.
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
  capim upgrade demo --to v1.37.0
  capim upgrade demo --to v1.37.0 --wait --timeout 20m

A cluster with a topology is upgraded by changing its version. Without one, the control plane is
changed first, and the MachineDeployments when it is done: the command takes that long.";

pub(super) async fn run(upgrade: Upgrade) -> Result<ExitCode, CliError> {
    let client = connect(&upgrade.target).await?;
    let served = Served::discover(&client).await?;
    let namespace = &upgrade.target.namespace;
    let members = Members::read(&client, &served, namespace, &upgrade.cluster).await?;
    let version = upgrade.to.as_str();
    let upgraded = members.upgrade(&client, version).await?;
    output::write(format!("{upgraded} upgrades to {version}\n"))?;
    let deadline = Deadline::after(upgrade.timeout, Clock::wall());
    if upgrade.wait || members.upgrades_in_steps() {
        output::tell("waiting for the control plane; workers follow");
        let awaited = [members.awaited_control_plane()?];
        let check = |object: Option<&Value>| has_version(object, "/spec/version", version);
        wait::until(&client, &awaited, Patience::changed(&deadline), check).await?;
    }
    if members.upgrades_in_steps() {
        for upgraded in members.upgrade_workers(&client, version).await? {
            output::write(format!("{upgraded} upgrades to {version}\n"))?;
        }
    }
    if upgrade.wait {
        let deployments: Vec<_> =
            members.deployments.iter().map(|it| (&members.deployment_kind, it)).collect();
        let old = members.machines(&client, &served, &deployments).await?;
        // Counters follow later than the machines that they count.
        let fresh = |object: Option<&Value>| match object {
            Some(machine) if machine["spec"]["version"] != version => {
                Err(format!("its version is {}", machine["spec"]["version"]))
            }
            _ => Ok(()),
        };
        wait::until(&client, &old, Patience::going(&deadline), fresh).await?;
        let all: Vec<_> = members
            .deployments
            .iter()
            .map(|deployment| members.awaited(&members.deployment_kind, deployment))
            .collect();
        let path = "/spec/template/spec/version";
        let check = |object: Option<&Value>| has_version(object, path, version);
        wait::until(&client, &all, Patience::changed(&deadline), check).await?;
    }
    Ok(ExitCode::SUCCESS)
}
