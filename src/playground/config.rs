//! What a playground is to be, and why it could not become that.

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::apiserver::ServiceUrls;
use crate::client::ClientError;
use crate::clock::{Clock, Seed};
use crate::pki::PkiError;

/// Configuration of one playground.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of every listener; loopback unless the user asks for more.
    pub address: IpAddr,
    /// Port of the management API.
    pub api_port: ApiPort,
    /// Ports of the workload clusters.
    pub workload_ports: RangeInclusive<u16>,
    /// Seed of all randomness.
    pub seed: Seed,
    /// Source of time.
    pub clock: Clock,
    /// Where webhooks listen that the management API knows by their Service.
    pub webhooks: ServiceUrls,
    /// Whether Events are watched, for the dashboard.
    pub watch_events: bool,
    /// Where the management kubeconfig is written; `None` writes none.
    pub kubeconfig: Option<PathBuf>,
}

/// How the port of the management API is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiPort {
    /// This one or none; 0 takes any free one.
    Exact(u16),
    /// The first free one of a range.
    FirstFree(u16, u16),
}

/// Why a playground could not start.
#[derive(Debug, thiserror::Error)]
pub enum PlaygroundError {
    /// The port of the management API is taken.
    #[error("port {port} is in use")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// A listener could not be opened for another reason.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// Address and port.
        address: String,
        /// Cause.
        source: io::Error,
    },
    /// The kubeconfig could not be written.
    #[error("failed to write kubeconfig {path}: {source}")]
    Kubeconfig {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Certificates could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The management API refused its own seed objects.
    #[error("failed to seed the management API: {0}")]
    Seed(#[from] ClientError),
}
