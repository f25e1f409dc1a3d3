//! `capim pause` and `capim resume`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::arguments::Target;
use super::connection::{connect, request_failed};
use super::error::CliError;
use super::output;
use super::resources::Served;

/// `capim pause` and `capim resume`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Pause {
    /// A cluster's name, or KIND/NAME for one object.
    #[arg(required = true, value_name = "CLUSTER|KIND/NAME")]
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

/// What objects become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not reconciled.
    Paused,
    /// Reconciled.
    Running,
}

pub(super) async fn run(pause: Pause, state: State) -> Result<ExitCode, CliError> {
    let client = connect(&pause.target).await?;
    let served = Served::discover(&client).await?;
    for typed in &pause.objects {
        let typed = match typed.contains('/') {
            true => typed.clone(),
            false => format!("clusters.cluster.x-k8s.io/{typed}"),
        };
        let (kind, name) = served.object(&typed)?;
        let namespace = &pause.target.namespace;
        kind.require(&client, namespace, name).await?;
        let patch = patch(&kind.resource.kind, &kind.resource.group, state);
        client
            .merge_patch_json(&kind.object_path(namespace, name), &patch)
            .await
            .map_err(|error| request_failed(&format!("change {typed}"), &error))?;
        let verb = if state == State::Paused { "paused" } else { "resumed" };
        output::write(format!("{} {name:?} {verb}\n", kind.singular))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn patch(kind: &str, group: &str, state: State) -> Value {
    let paused = state == State::Paused;
    if (kind, group) == ("Cluster", "cluster.x-k8s.io") {
        return json!({"spec": {"paused": paused}});
    }
    let value = if paused { json!("") } else { Value::Null };
    json!({"metadata": {"annotations": {"cluster.x-k8s.io/paused": value}}})
}
