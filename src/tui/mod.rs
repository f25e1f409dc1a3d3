//! The dashboard: clusters, machines and control planes, live.
//!
//! It reads informer caches, and asks the server for what no cache holds (`fetch`), so it shows what
//! any client of the API would see. Changed objects become rows in sorted lists (`model`), keys
//! become commands (`keymap`, `commands`) that change a stack of screens (`state`), and a frame is a
//! function of both (`draw`, `views`); only `terminal` and the loop in `session` touch the world. A frame
//! is drawn when a key was pressed, when data changed (at most ten times a second) and once a second
//! for the ages; it makes text of the rows in sight alone.

mod acting;
mod action;
mod clipboard;
mod commands;
mod connect;
mod dialog;
mod draw;
mod fault;
mod fetch;
pub mod keymap;
mod model;
mod offscreen;
mod options;
mod palette;
pub mod rows;
mod run;
mod session;
mod state;
pub mod svg;
mod target;
mod terminal;
pub mod text;
pub mod theme;
mod views;

pub use action::quoted;
pub use connect::{ConnectError, ConnectOptions, Connection, ConnectionState, connect};
pub use model::feed::Changes;
pub use offscreen::Offscreen;
pub use options::Options;
pub use session::{run, run_with};
pub use terminal::{TerminalError, require_terminal};

use k8s_openapi::api::core::v1::Event;

use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::client::Client;
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
    /// Carries acts out and reads what is not copied.
    pub client: Client,
    /// Whether the server is there, and which kinds it lacks.
    pub connection: Connection,
    /// Whether all acts are taken away.
    pub read_only: bool,
}

#[cfg(test)]
mod tests;
