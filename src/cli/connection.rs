//! Finding the running playground.

use std::path::PathBuf;

use super::arguments::Target;
use super::error::{CliError, Exit};
use crate::client::{Client, ClientError};
use crate::playground::default_kubeconfig_path;

/// Connects to the playground that the arguments name.
///
/// # Errors
/// `E021` if there is none.
pub(super) async fn connect(target: &Target) -> Result<Client, CliError> {
    let path = kubeconfig_path(target);
    if !path.exists() {
        return Err(not_running(&format!("{} does not exist", path.display())));
    }
    let client = Client::from_kubeconfig_file(&path, "capim").await.map_err(|error| {
        CliError::new(
            "E022",
            Exit::Other,
            format!("failed to use kubeconfig {}: {error}", path.display()),
        )
    })?;
    match client.get_json("/version").await {
        Ok(_) => Ok(client),
        Err(ClientError::Status(status)) => Err(CliError::other(status.message)),
        Err(error) => Err(not_running(&format!("{} leads nowhere: {error}", path.display()))),
    }
}

/// Path of the management kubeconfig that the arguments name.
pub(super) fn kubeconfig_path(target: &Target) -> PathBuf {
    target.kubeconfig.clone().unwrap_or_else(default_kubeconfig_path)
}

fn not_running(note: &str) -> CliError {
    CliError::new("E021", Exit::NotRunning, "no playground is running")
        .note(note)
        .hint("capim up                     in another terminal")
        .hint("--kubeconfig PATH            if it was started with another one")
}

/// A failed request as the user sees it.
pub(super) fn request_failed(what: &str, error: &ClientError) -> CliError {
    if error.is_not_found() {
        CliError::new("E030", Exit::NotFound, format!("failed to {what}: {error}"))
    } else if error.is_already_exists() {
        CliError::new("E031", Exit::Conflict, format!("failed to {what}: {error}"))
    } else {
        CliError::other(format!("failed to {what}: {error}"))
    }
}
