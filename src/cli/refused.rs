//! Manifests of files, and why they were not applied, as the user sees it.

use std::path::PathBuf;

use super::error::{CliError, Exit};
use crate::playground::{ApplyError, Manifest, read_manifests};

/// Reads manifests.
///
/// # Errors
/// `E080` with the place.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Manifest>, CliError> {
    read_manifests(files).map_err(|error| {
        CliError::new("E080", Exit::Other, error.to_string()).at(error.place().cloned())
    })
}

/// Manifests that were not applied; most of what webhooks need is that somebody runs them.
pub(super) fn error(error: &ApplyError) -> CliError {
    let (message, place) = (error.to_string(), error.place().cloned());
    let Some(service) = webhook_service(&message) else {
        return CliError::new("E080", Exit::Other, message).at(place);
    };
    CliError::new("E061", Exit::Other, message)
        .at(place)
        .note(format!("note: the webhook is that of Service {service}, but nothing runs Pods here"))
        .hint(format!("capim up --webhook {service}=https://127.0.0.1:9443"))
}

/// `NAMESPACE/NAME` of the Service whose webhook could not be called.
fn webhook_service(message: &str) -> Option<String> {
    let called = message.split("failed calling webhook").nth(1)?;
    let host = called.split("https://").nth(1)?.split(['/', ':', '?']).next()?;
    let (name, namespace) = host.strip_suffix(".svc")?.split_once('.')?;
    Some(format!("{namespace}/{name}"))
}
