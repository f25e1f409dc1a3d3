//! The Cluster itself: labels, the step of an upgrade, references.

use serde_json::Value;

use super::super::hooks::{Hooks, is_pending};
use super::super::kinds::reference_to;
use super::super::labels;
use super::super::scope::Scope;
use super::super::tree;
use crate::api::core::Cluster;
use crate::contract;
use crate::extensions::Hook;

/// The Cluster as it shall be. (CAPI v1.14: computeCluster)
pub(super) fn desired(
    scope: &Scope,
    infrastructure: Option<&Value>,
    control_plane: &Value,
    hooks: &Hooks,
) -> Cluster {
    let mut cluster = scope.cluster.clone();
    let held = cluster.metadata.labels.get_or_insert_with(Default::default);
    held.insert(contract::labels::CLUSTER_NAME.to_owned(), scope.name().to_owned());
    held.insert(labels::OWNED.to_owned(), String::new());
    cluster.spec.infrastructure_ref = infrastructure.map(reference_to);
    cluster.spec.control_plane_ref = Some(reference_to(control_plane));
    let tracker = &scope.tracker;
    let is_planned = !tracker.control_plane.plan.is_empty()
        || !tracker.machine_deployments.plan.is_empty()
        || !tracker.machine_pools.plan.is_empty();
    let annotations = cluster.metadata.annotations.as_ref();
    let is_started = annotations.is_some_and(|held| held.contains_key(labels::UPGRADE_STEP));
    // Hooks may have come into use on the way: an upgrade that has begun goes on.
    let is_upgrading = is_pending(&scope.cluster, Hook::AfterClusterUpgrade)
        || (is_planned && (is_started || !hooks.is_enabled()));
    // KCP and MachineSets make Machines of this version.
    if is_upgrading {
        let version = tree::text(control_plane, "/spec/version").to_owned();
        let held = cluster.metadata.annotations.get_or_insert_with(Default::default);
        held.insert(labels::UPGRADE_STEP.to_owned(), version);
    } else if let Some(held) = &mut cluster.metadata.annotations {
        held.remove(labels::UPGRADE_STEP);
    }
    cluster
}
