//! `capim attach`: a dashboard for a playground that runs, from as many terminals as one likes.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, CommandFactory};

use super::arguments::{Arguments, Target};
use super::connection::{connect, kubeconfig_path};
use super::dashboard::{self, Look, Place};
use super::error::{CliError, Exit};
use super::instance::{Instance, State};
use super::output;
use crate::client::Client;

/// `capim attach`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim attach                         the playground goes on when the dashboard is quit
  capim -i ci attach")]
pub struct Attach {
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
    /// How it looks.
    #[command(flatten)]
    pub look: Look,
}

fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

pub(super) async fn run(attach: Attach) -> Result<ExitCode, CliError> {
    dashboard::require_terminal(&format!("{} status", Instance::chosen().command()))?;
    let client = connect(&attach.target).await?;
    let path = kubeconfig_path(&attach.target);
    let flags = match &attach.target.kubeconfig {
        Some(path) => vec!["--kubeconfig".to_owned(), path.display().to_string()],
        None => Instance::chosen().flags(),
    };
    dashboard::show(client, place(&path, flags), &attach.look).await
}

/// `capim` alone: the dashboard of the only playground that runs, help otherwise.
pub(super) async fn without_verb() -> Result<ExitCode, CliError> {
    let is_running = |it: &Instance| matches!(it.state(), State::Running(_));
    let running: Vec<Instance> = Instance::all().into_iter().filter(is_running).collect();
    match running.as_slice() {
        [only] if has_terminal() => {
            let path = only.kubeconfig_now();
            let client = Client::from_kubeconfig_file(&path, "capim").await;
            let place = place(&path, only.flags());
            dashboard::show(client.map_err(CliError::other)?, place, &Look::default()).await
        }
        _ => {
            output::write(Arguments::command().render_help().to_string())?;
            Ok(ExitCode::from(Exit::Usage as u8))
        }
    }
}

/// Where a playground is, by its kubeconfig.
pub(super) fn place(kubeconfig: &Path, flags: Vec<String>) -> Place {
    let url = server(kubeconfig);
    Place { url, kubeconfig: kubeconfig.display().to_string(), namespace: None, flags }
}

/// The server that a kubeconfig names first.
fn server(kubeconfig: &Path) -> String {
    let text = std::fs::read_to_string(kubeconfig).unwrap_or_default();
    let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap_or_default();
    value["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default().to_owned()
}
