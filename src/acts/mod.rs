//! What people do to clusters, whether they type a command or press a key: the same reads, the same
//! writes and the same errors, which say what to type next.

mod apply;
mod change;
mod create;
mod error;
mod kinds;
mod kubeconfig;
mod manifests;
mod members;
pub mod sample;
mod wait;

pub use apply::{Applier, ApplyError, apply_manifests};
pub use change::{Count, parse_control_planes, parse_version};
pub(crate) use change::{Part, PauseState, Resize, has_version, pause, restart};
pub(crate) use create::{create, refuse_existing};
pub use error::{Exit, Failure, Place};
pub(crate) use kinds::{Kind, Served, encoded};
pub(crate) use kubeconfig::kubeconfig_of;
pub use manifests::{Example, Manifest, ManifestError, parse_manifests, read_manifests};
pub(crate) use members::{Members, is_settled, name};
pub(crate) use wait::Awaited;
