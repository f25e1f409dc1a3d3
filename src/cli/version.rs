//! `capim version`.

use std::process::ExitCode;

use super::error::CliError;
use super::output;
use crate::playground::{CLUSTER_API_VERSION, KUBERNETES_VERSION};

pub(super) fn run() -> Result<ExitCode, CliError> {
    output::write(text())?;
    Ok(ExitCode::SUCCESS)
}

/// A line for each version.
pub(super) fn text() -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!(
        "capim        v{own}\nCluster API  {CLUSTER_API_VERSION}\nKubernetes   {KUBERNETES_VERSION}\n"
    )
}
