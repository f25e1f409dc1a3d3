//! `capim upgrade`: the control plane first, then the workers.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::arguments::{Target, parse_duration};
use super::connection::connect;
use super::error::CliError;
use super::members::{Members, is_settled, name};
use super::output;
use super::resources::Served;
use super::wait;

/// `capim upgrade`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Upgrade {
    /// Name of the cluster.
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
    let (kind, control_plane) = members.control_plane()?;
    let version = upgrade.to.as_str();
    let done = |path: fn(&Value) -> &Value| {
        move |object: Option<&Value>| match object {
            Some(object) if path(object).as_str() != Some(version) => {
                Err(format!("its version is {}", path(object)))
            }
            object => is_settled(object),
        }
    };
    if members.has_topology() {
        members.patch_topology(&client, json!({"version": version})).await?;
        output::write(format!("cluster {:?} upgrades to {version}\n", members.name()))?;
    } else {
        members.patch(&client, kind, control_plane, json!({"spec": {"version": version}})).await?;
        output::write(format!(
            "{} {:?} upgrades to {version}\n",
            kind.singular,
            name(control_plane)
        ))?;
    }
    let awaited = [members.awaited(kind, control_plane)];
    let has_workers = !members.deployments.is_empty();
    if upgrade.wait || (!members.has_topology() && has_workers) {
        eprintln!("waiting for the control plane; workers follow");
        let check = done(|object| &object["spec"]["version"]);
        wait::until(&client, &awaited, upgrade.timeout, true, check).await?;
    }
    if !members.has_topology() {
        for deployment in &members.deployments {
            let patch = json!({"spec": {"template": {"spec": {"version": version}}}});
            members.patch(&client, &members.deployment_kind, deployment, patch).await?;
            let text = format!("machinedeployment {:?} upgrades to {version}\n", name(deployment));
            output::write(text)?;
        }
    }
    if upgrade.wait {
        let all: Vec<_> = members
            .deployments
            .iter()
            .map(|deployment| members.awaited(&members.deployment_kind, deployment))
            .collect();
        let check = done(|object| &object["spec"]["template"]["spec"]["version"]);
        wait::until(&client, &all, upgrade.timeout, true, check).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A version as machines have it: `v1.37.0`, with whatever follows after `-` or `+`.
fn parse_version(text: &str) -> Result<String, String> {
    let core = text.strip_prefix('v').unwrap_or(text);
    let numbers: Vec<&str> = core.split(['-', '+']).next().unwrap_or_default().split('.').collect();
    let is_number = |part: &&str| {
        !part.is_empty() && part.len() < 6 && part.bytes().all(|b| b.is_ascii_digit())
    };
    if numbers.len() != 3 || !numbers.iter().all(is_number) || text.len() > 64 {
        return Err("expected a version such as v1.37.0".to_owned());
    }
    Ok(format!("v{core}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers() {
        assert_eq!(parse_version("1.37.0").as_deref(), Ok("v1.37.0"));
        assert_eq!(parse_version("v1.37.0-rc.1+x").as_deref(), Ok("v1.37.0-rc.1+x"));
        for bad in ["", "v1", "latest", "v1.37", "v1.a.0", "1.2.3.4"] {
            assert!(parse_version(bad).is_err(), "{bad}");
        }
    }
}
