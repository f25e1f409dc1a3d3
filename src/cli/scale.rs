//! `capim scale`.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::arguments::{Target, parse_control_planes, parse_duration};
use super::connection::connect;
use super::error::CliError;
use super::members::{Members, is_settled, name};
use super::output;
use super::resources::{Kind, Served};
use super::wait;

/// `capim scale`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Scale {
    /// Name of the cluster.
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
    #[arg(long, value_name = "NAME", requires = "workers")]
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

/// Most workers of a MachineDeployment that are accepted from the command line.
const WORKERS_MAX: i64 = 10_000;

/// A number of machines, or a change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// That many.
    Exactly(u32),
    /// That many more or less.
    Change(i32),
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_change = text.starts_with(['+', '-']);
        let number: i32 =
            text.parse().map_err(|_| "expected a number, or a change such as +2".to_owned())?;
        if i64::from(number).abs() > WORKERS_MAX {
            return Err(format!("at most {WORKERS_MAX}"));
        }
        Ok(match u32::try_from(number) {
            Ok(number) if !is_change => Self::Exactly(number),
            _ => Self::Change(number),
        })
    }
}

impl Count {
    /// The new number after the present one.
    fn after(self, present: i64) -> u32 {
        let count = match self {
            Self::Exactly(count) => i64::from(count),
            Self::Change(change) => present.saturating_add(i64::from(change)),
        };
        u32::try_from(count.clamp(0, WORKERS_MAX)).unwrap_or_default()
    }
}

pub(super) async fn run(scale: Scale) -> Result<ExitCode, CliError> {
    let client = connect(&scale.target).await?;
    let served = Served::discover(&client).await?;
    let members = Members::read(&client, &served, &scale.target.namespace, &scale.cluster).await?;
    // Everything is looked up before anything is changed.
    let mut changes: Vec<(&Kind, &Value, u32)> = Vec::new();
    if let Some(count) = scale.cp {
        let (kind, object) = members.control_plane()?;
        changes.push((kind, object, count));
    }
    if let Some(count) = scale.workers {
        let deployment = members.deployment(scale.md.as_deref())?;
        let present = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
        changes.push((&members.deployment_kind, deployment, count.after(present)));
    }
    if members.has_topology() {
        let mut topology = json!({});
        for (kind, object, count) in &changes {
            if **kind == members.deployment_kind {
                topology["workers"] = members.workers_with(object, *count);
            } else {
                topology["controlPlane"] = json!({"replicas": count});
            }
        }
        members.patch_topology(&client, topology).await?;
    } else {
        for (kind, object, count) in &changes {
            members.patch(&client, kind, object, json!({"spec": {"replicas": count}})).await?;
        }
    }
    for (kind, object, count) in &changes {
        let text = format!("{} {:?} scaled to {count}\n", kind.singular, name(object));
        output::write(text)?;
    }
    if scale.wait {
        let awaited: Vec<_> =
            changes.iter().map(|(kind, object, _)| members.awaited(kind, object)).collect();
        let counts = |object: Option<&Value>| {
            let wanted = object.and_then(|object| {
                changes.iter().find(|(_, changed, _)| name(changed) == name(object))
            });
            // A topology reaches the object later.
            match (object, wanted) {
                (Some(object), Some((.., count)))
                    if object["spec"]["replicas"].as_u64() != Some(u64::from(*count)) =>
                {
                    Err(format!("spec.replicas is {}", object["spec"]["replicas"]))
                }
                _ => is_settled(object),
            }
        };
        wait::until(&client, &awaited, scale.timeout, true, counts).await?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_numbers_or_changes() {
        let after = |text: &str, present| text.parse::<Count>().map(|it| it.after(present));
        assert_eq!(after("3", 1), Ok(3));
        assert_eq!(after("+2", 3), Ok(5));
        assert_eq!(after("-5", 3), Ok(0));
        assert_eq!(after("+2", i64::MAX), Ok(10_000));
        for bad in ["", "x", "+", "99999999999", "20000", "1.5"] {
            assert!(after(bad, 1).is_err(), "{bad}");
        }
    }
}
