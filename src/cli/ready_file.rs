//! `capim up --ready-file`: a file that is there for as long as a playground is ready.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::error::CliError;
use super::instance::{Instance, unusable};
use super::output;
use crate::playground::{Playground, write_private};

/// The file; removed when dropped.
pub(super) struct ReadyFile {
    path: PathBuf,
}

impl ReadyFile {
    /// Removes what an earlier process has left, so that nobody takes it for this one's.
    ///
    /// # Errors
    /// `E013` if it is there and cannot be removed.
    pub(super) fn prepare(path: &Path) -> Result<Self, CliError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(unusable(&path, &error))
            }
            _ => Ok(Self { path }),
        }
    }

    /// Writes it, in one step.
    ///
    /// # Errors
    /// `E013` if it cannot be written.
    pub(super) fn write(
        &self,
        playground: &Playground,
        workload_ports: (u16, u16),
    ) -> Result<(), CliError> {
        let api = playground.url();
        let port: Option<u16> = api.rsplit(':').next().and_then(|port| port.parse().ok());
        let kubeconfig = playground.kubeconfig_path();
        let kubeconfig = std::path::absolute(kubeconfig).ok();
        let value = json!({
            "apiVersion": output::API_VERSION,
            "kind": "Ready",
            "instance": Instance::chosen().name(),
            "pid": std::process::id(),
            "api": api,
            "kubeconfig": kubeconfig,
            "ports": {
                "api": port,
                "workload": {"first": workload_ports.0, "last": workload_ports.1},
            },
        });
        let text = format!("{value:#}\n");
        write_private(&self.path, &text).map_err(|error| unusable(&self.path, &error))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
