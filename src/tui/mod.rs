//! The dashboard: clusters, machines and control planes, live.
//!
//! It reads informer caches and nothing else, so it shows what any client of the API would see.
//! State changes are pure (`state`), rows are plain data (`rows`), drawing is a function of both
//! (`draw`); only `terminal` and the loop in `run` touch the world. A frame is drawn when a key was
//! pressed, when data changed (at most ten times a second) and once a second for the ages.

mod draw;
mod model;
pub mod rows;
mod run;
mod state;
mod terminal;
pub mod text;
mod theme;

pub use run::run;

use k8s_openapi::api::core::v1::Event;

use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::clock::Clock;
use crate::runtime::Informer;

/// What the dashboard shows.
#[derive(Clone)]
pub struct Sources {
    /// Clusters.
    pub clusters: Informer<Cluster>,
    /// Machines.
    pub machines: Informer<Machine>,
    /// Control planes.
    pub control_planes: Informer<KubeadmControlPlane>,
    /// Events, if they are watched.
    pub events: Option<Informer<Event>>,
    /// Source of time.
    pub clock: Clock,
    /// URL of the management API.
    pub url: String,
    /// Path of its kubeconfig.
    pub kubeconfig: String,
    /// Names of providers that run elsewhere.
    pub external: Vec<&'static str>,
}
