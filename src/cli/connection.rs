//! Finding the running playground.

use std::path::{Path, PathBuf};

use super::arguments::Target;
use super::error::{CliError, Exit};
use super::instance::{Instance, State};
use crate::client::{Client, ClientError};

/// Connects to the playground that the arguments name.
///
/// # Errors
/// `E021` if there is none.
pub(super) async fn connect(target: &Target) -> Result<Client, CliError> {
    let path = kubeconfig_path(target);
    if target.kubeconfig.is_none() && !path.exists() {
        return Err(none_runs(&Instance::chosen()));
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
        Err(error) => Err(unanswered(target, &path, &error)),
    }
}

/// A kubeconfig that leads nowhere: the instance's own, of one that does not run, or another one.
fn unanswered(target: &Target, path: &Path, error: &ClientError) -> CliError {
    let instance = Instance::chosen();
    let what = format!("{} leads nowhere: {error}", path.display());
    match (&target.kubeconfig, instance.state()) {
        (None, State::Running(_)) => {
            CliError::new("E024", Exit::Other, "the playground does not answer")
                .note(what)
                .hint(format!("{} logs", instance.command()))
        }
        (None, _) => none_runs(&instance),
        (Some(_), _) => CliError::new("E021", Exit::NotRunning, "no management API answers")
            .note(what)
            .hint("kubectl config view --minify       which server it names"),
    }
}

/// Path of the management kubeconfig that the arguments name.
pub(super) fn kubeconfig_path(target: &Target) -> PathBuf {
    target.kubeconfig.clone().unwrap_or_else(own_kubeconfig)
}

/// Says that an instance does not run, and which ones do.
pub(super) fn none_runs(instance: &Instance) -> CliError {
    let message = format!("no playground is running in instance {:?}", instance.name());
    let mut error = CliError::new("E021", Exit::NotRunning, message);
    let others = Instance::all().into_iter().filter(|it| it != instance);
    for other in others.filter(|it| matches!(it.state(), State::Running(_))) {
        let name = other.name();
        error =
            error.note(format!("note: instance {name:?} is running: {} status", other.command()));
    }
    error.hint(format!("{} up -d", instance.command()))
}

/// The kubeconfig of the chosen instance: where it says it is, or where it is by default.
pub(super) fn own_kubeconfig() -> PathBuf {
    Instance::chosen().kubeconfig_now()
}

/// A failed request as the user sees it.
pub(super) fn request_failed(what: &str, error: &ClientError) -> CliError {
    CliError::request(what, error)
}
