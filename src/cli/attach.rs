//! `capim attach`: a dashboard for a playground that runs, from as many terminals as one likes.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use kube::config::Kubeconfig;

use super::arguments::{Arguments, Target};
use super::connection::{self, connect, kubeconfig_path};
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
    let mut flags = match &attach.target.kubeconfig {
        Some(path) => vec!["--kubeconfig".to_owned(), path.display().to_string()],
        None => Instance::chosen().flags(),
    };
    let mut place = place(&path, Vec::new());
    if let Some(context) = &attach.target.context {
        flags.extend(["--context".to_owned(), context.clone()]);
        let (config, _) = connection::read(Some(&path), Some(context)).await?;
        place.url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    }
    dashboard::show(client, Place { flags, ..place }, &attach.look).await
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

/// The server that the current context of a kubeconfig names; empty if there is none.
pub(super) fn server(kubeconfig: &Path) -> String {
    let found = || {
        let config = Kubeconfig::read_from(kubeconfig).ok()?;
        let current = config.current_context?;
        let context = config.contexts.into_iter().find(|it| it.name == current)?.context?;
        let cluster = config.clusters.into_iter().find(|it| it.name == context.cluster)?;
        cluster.cluster?.server
    };
    found().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_that_of_the_current_context() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        let text = "clusters: [{name: a, cluster: {server: 'https://a'}}, \
            {name: b, cluster: {server: 'https://b'}}]\n\
            contexts: [{name: x, context: {cluster: a}}, {name: y, context: {cluster: b}}]\n\
            current-context: y\n";
        std::fs::write(&file, text).unwrap();
        assert_eq!(server(&file), "https://b");
        assert_eq!(server(&directory.path().join("absent")), "");
    }
}
