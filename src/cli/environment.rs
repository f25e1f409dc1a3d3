//! `capim env`, `capim shell` and `capim exec`: KUBECONFIG of the playground or of a cluster.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::arguments::Target;
use super::child;
use super::connection::connect;
use super::error::CliError;
use super::instance::Instance;
use super::kubeconfig;
use super::output;
use crate::acts::kubeconfig_of;

/// `capim env`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eval \"$(capim env)\"                  kubectl then talks to the playground
  eval \"$(capim env demo)\"             or to the workload cluster demo
  capim env --shell fish | source")]
pub struct Env {
    /// Workload cluster; without it the management API.
    #[arg(add = super::complete::clusters())]
    pub cluster: Option<String>,
    /// Whose syntax.
    #[arg(long, value_enum, default_value_t = Syntax::Sh)]
    pub shell: Syntax,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// Syntax of a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Syntax {
    /// sh, bash, zsh.
    #[value(name = "sh", aliases = ["bash", "zsh"])]
    Sh,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// Nushell.
    Nu,
}

/// `capim shell`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim shell                          then: kubectl get clusters
  capim shell demo                     then: kubectl get nodes")]
pub struct Shell {
    /// Workload cluster; without it the management API.
    #[arg(add = super::complete::clusters())]
    pub cluster: Option<String>,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// `capim exec`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim exec -- kubectl get clusters
  capim exec demo -- kubectl get nodes")]
pub struct Exec {
    /// Workload cluster; without it the management API.
    #[arg(add = super::complete::clusters())]
    pub cluster: Option<String>,
    /// The command.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

pub(super) async fn env(env: Env) -> Result<ExitCode, CliError> {
    let path = path(&env.target, env.cluster.as_deref()).await?;
    output::write(line(env.shell, &path.to_string_lossy()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn shell(shell: Shell) -> Result<ExitCode, CliError> {
    let path = path(&shell.target, shell.cluster.as_deref()).await?;
    let program = std::env::var("SHELL").ok().filter(|shell| !shell.is_empty());
    let program = program.unwrap_or_else(|| "/bin/sh".to_owned());
    let of = shell.cluster.as_deref().unwrap_or("the management API");
    let of = crate::tui::text::printable(of);
    output::tell(&format!("KUBECONFIG of {of} is set; `exit` leaves"));
    run(&[program], &path, shell.cluster.as_deref())
}

pub(super) async fn exec(exec: Exec) -> Result<ExitCode, CliError> {
    let path = path(&exec.target, exec.cluster.as_deref()).await?;
    run(&exec.command, &path, exec.cluster.as_deref())
}

fn run(
    command: &[impl AsRef<OsStr>],
    path: &Path,
    cluster: Option<&str>,
) -> Result<ExitCode, CliError> {
    let name = cluster.unwrap_or_default().to_owned();
    let instance = Instance::chosen().name().to_owned();
    let variables = [("CAPIM_CLUSTER", name), ("CAPIM_INSTANCE", instance)];
    child::become_command(command, path, &variables)
}

/// The file that KUBECONFIG is to name: the playground's, or a private copy of a cluster's.
async fn path(target: &Target, cluster: Option<&str>) -> Result<PathBuf, CliError> {
    let client = connect(target).await?;
    let Some(cluster) = cluster else { return kubeconfig::management_path(target) };
    let content = kubeconfig_of(&client, &target.namespace, cluster).await?;
    kubeconfig::keep(target, cluster, &content)
}

/// `export KUBECONFIG=...` with a newline.
pub(super) fn export_line(path: &str) -> String {
    line(Syntax::Sh, path)
}

fn line(syntax: Syntax, path: &str) -> String {
    let quoted = |escaped: &str| format!("'{}'", path.replace('\'', escaped));
    match syntax {
        Syntax::Sh => format!("export KUBECONFIG={}\n", quoted("'\\''")),
        Syntax::Fish => format!("set -gx KUBECONFIG {};\n", quoted("\\'")),
        Syntax::Powershell => format!("$env:KUBECONFIG = {}\n", quoted("''")),
        Syntax::Nu => format!("$env.KUBECONFIG = {path:?}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_each_shell() {
        let path = "/a b/it's";
        assert_eq!(line(Syntax::Sh, path), "export KUBECONFIG='/a b/it'\\''s'\n");
        assert_eq!(line(Syntax::Fish, path), "set -gx KUBECONFIG '/a b/it\\'s';\n");
        assert_eq!(line(Syntax::Powershell, path), "$env:KUBECONFIG = '/a b/it''s'\n");
        assert_eq!(line(Syntax::Nu, path), "$env.KUBECONFIG = \"/a b/it's\"\n");
    }
}
