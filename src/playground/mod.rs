//! The composition root: builds the management API, the providers and the workload host, starts
//! them in order and stops them in the reverse order.
//!
//! `Config -> Playground::start -> Playground::stop`. Everything that runs is joined by `stop`;
//! nothing outlives it: no task, no listener, no file but the kubeconfig's directory.

mod config;
#[cfg(test)]
mod etcd_tests;
#[cfg(test)]
mod example_tests;
#[cfg(test)]
mod extension_tests;
mod identity;
mod inventory;
mod kubeconfig;
mod kubelets;
mod limits;
pub mod plan;
mod process;
mod providers;
mod start;
mod states;
#[cfg(test)]
mod topology_tests;
mod wait;
mod webhook_certificates;

pub use crate::acts::{
    Applier, ApplyError, Example, Manifest, ManifestError, apply_manifests, parse_manifests,
    read_manifests, sample,
};
pub use crate::apiserver::{ServiceUrl, ServiceUrls};
pub use crate::providers::{Provider, Selection};
pub use config::{ApiPort, Config, PlaygroundError};
pub use kubeconfig::{make_private_directory, state_root, write_private};
pub use limits::raise_file_limit;
pub use process::{ProcessConfig, ProcessError, ProviderProcess, Stage};
pub use start::Playground;
pub use wait::{Readiness, WaitError, index_machines};
pub use webhook_certificates::{WebhookCertificateError, certify_webhooks};

/// Kubernetes version of the management API and, unless asked otherwise, of sample machines.
pub const KUBERNETES_VERSION: &str = crate::embed::KUBERNETES_VERSION;

/// Version of Cluster API whose behaviour is reproduced.
pub const CLUSTER_API_VERSION: &str = "v1.14.0";
