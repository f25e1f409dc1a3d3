//! The add-ons: ClusterResourceSets and their bindings.
//! (CAPI v1.14: core/reconcilers/clusterresourceset, core/reconcilers/clusterresourcesetbinding)
//!
//! Upstream's core manager runs both controllers. They are a provider of their own here, because
//! nothing of core needs them and somebody who tries another add-on provider wants them off.
//! `--external core` switches them off, too.

mod bindings;
mod sets;

use crate::extensions::Extensions;
use crate::runtime::{Manager, RemoteInformers};

/// Adds both controllers. `remote` tells when workload clusters come, `extensions` whether somebody
/// may hold the deletion of a Cluster.
pub fn add_controllers(manager: &Manager, remote: &RemoteInformers, extensions: &Extensions) {
    sets::add(manager, remote);
    bindings::add(manager, extensions);
}
