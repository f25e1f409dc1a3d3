//! A command that runs beside a server and ends it.

use std::path::Path;
use std::process::ExitCode;

use super::error::{CliError, Exit};

/// Runs the command with KUBECONFIG set and gives back its exit code (128 + n for signal n).
pub(super) async fn run(
    command: &[String],
    kubeconfig: &Path,
    url: &str,
) -> Result<ExitCode, CliError> {
    let instance = super::instance::Instance::chosen().name().to_owned();
    let variables = [("CAPIM_API", url.to_owned()), ("CAPIM_INSTANCE", instance)];
    run_with(command, kubeconfig, &variables).await
}

/// The same with other variables.
pub(super) async fn run_with(
    command: &[String],
    kubeconfig: &Path,
    variables: &[(&str, String)],
) -> Result<ExitCode, CliError> {
    use std::os::unix::process::ExitStatusExt;

    let (program, arguments) =
        command.split_first().ok_or_else(|| CliError::other("no command given"))?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            CliError::new("E004", Exit::Other, format!("failed to run {program:?}: {error}"))
        })?;
    let status = child.wait().await.map_err(CliError::other)?;
    let code = status.code().or_else(|| status.signal().map(|number| 128 + number)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
