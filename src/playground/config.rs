//! What a playground is to be, and why it could not become that.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::apiserver::ServiceUrls;
use crate::client::ClientError;
use crate::clock::{Clock, Seed};
use crate::pki::PkiError;
use crate::providers::Selection;

/// Configuration of one playground.
#[derive(Clone, Debug)]
pub struct Config {
    /// Providers that run here; the others are the user's.
    pub providers: Selection,
    /// Address of every listener; loopback unless the user asks for more.
    pub address: IpAddr,
    /// Host names and addresses under which clients reach the listeners, for certificates; the
    /// first is what kubeconfigs and endpoints name. Without any it is the address.
    pub names: Vec<String>,
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
    /// Name of its cluster and its context.
    pub context: String,
    /// Where authority and administrator's certificate are kept, so that kubeconfigs stay valid
    /// when the playground is started again; `None` makes new ones.
    pub identity: Option<PathBuf>,
}

impl Config {
    /// A playground on loopback with all providers, ports that are free, seed 1, and no kubeconfig
    /// on disk.
    pub fn new(clock: Clock) -> Self {
        Self {
            providers: Selection::default(),
            address: Ipv4Addr::LOCALHOST.into(),
            names: Vec::new(),
            api_port: ApiPort::Exact(0),
            workload_ports: 20_000..=29_999,
            seed: Seed(1),
            clock,
            webhooks: ServiceUrls::default(),
            watch_events: false,
            kubeconfig: None,
            context: "capim".to_owned(),
            identity: None,
        }
    }

    /// All names of the listeners: the one that clients are told first.
    pub(super) fn host_names(&self) -> Vec<String> {
        host_names(self.address, &self.names)
    }
}

/// All names of listeners at an address: `names`, then the address, or loopback's for those that
/// listen everywhere.
pub(super) fn host_names(address: IpAddr, names: &[String]) -> Vec<String> {
    let own = match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        // Such a socket takes IPv4's connections, too.
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
        IpAddr::V4(_) | IpAddr::V6(_) => address.to_string(),
    };
    let mut all = names.to_vec();
    all.push(own);
    all
}

/// `https://HOST:PORT`, with the brackets that IPv6 needs.
pub(super) fn url(host: &str, port: u16) -> String {
    if host.parse::<Ipv6Addr>().is_ok() {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    }
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
    /// Kept certificates could not be read or written.
    #[error("failed to use the kept certificates in {path}: {detail}")]
    Identity {
        /// Directory.
        path: PathBuf,
        /// Cause.
        detail: String,
    },
    /// Certificates could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The management API refused its own seed objects.
    #[error("failed to seed the management API: {0}")]
    Seed(#[from] ClientError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_the_advertised_name_or_one_that_leads_here() {
        let names = |address: &str, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            host_names(address.parse().unwrap(), &names).join(" ")
        };
        assert_eq!(names("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(names("0.0.0.0", &[]), "127.0.0.1");
        assert_eq!(names("::", &[]), "::1");
        assert_eq!(names("10.0.0.5", &["host.docker.internal"]), "host.docker.internal 10.0.0.5");
        assert_eq!(url("::1", 7443), "https://[::1]:7443");
        assert_eq!(url("play.example", 7443), "https://play.example:7443");
    }
}
