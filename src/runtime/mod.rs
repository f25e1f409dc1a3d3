//! What every controller needs: informers with indexes, a work queue, the controller loop, the
//! manager that starts and stops them, the patch helper and event recording.

mod controller;
mod events;
#[cfg(test)]
mod fake;
mod informer;
mod kinds;
mod leader_election;
mod manager;
mod patch;
mod queue;
mod remote;

pub use controller::{Controller, Outcome, ReconcileError, Reconciler, Trigger};
pub use events::{EventRecorder, EventType};
pub use informer::{Change, Informer};
pub use leader_election::{LeaderElection, LeaderError};
pub use manager::{DeferredInformer, Manager};
pub use patch::{Answer, Patched, patch_metadata, patch_object};
pub use remote::{RemoteInformers, RemoteKey, RemoteObject};
