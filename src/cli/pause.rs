//! `capim pause` and `capim resume`.

use std::process::ExitCode;

use clap::Args;

use super::arguments::Target;
use super::connection::connect;
use super::error::CliError;
use super::output;
use crate::acts::{self, PauseState, Served};

/// `capim pause` and `capim resume`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Pause {
    /// A cluster's name, or KIND/NAME for one object.
    #[arg(required = true, value_name = "CLUSTER|KIND/NAME", add = super::complete::objects())]
    pub objects: Vec<String>,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

const EXAMPLES: &str = "\
Examples:
  capim pause demo                     the cluster with all that belongs to it: spec.paused
  capim resume demo
  capim pause machine/demo-cp-x7k2p    one object: the annotation cluster.x-k8s.io/paused";

pub(super) async fn run(pause: Pause, state: PauseState) -> Result<ExitCode, CliError> {
    let client = connect(&pause.target).await?;
    let served = Served::discover(&client).await?;
    for typed in &pause.objects {
        let done = acts::pause(&client, &served, &pause.target.namespace, typed, state).await?;
        output::write(format!("{done}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
