//! The record in a ClusterResourceSetBinding. Pure.
//! (CAPI v1.14: api/addons/v1beta2/clusterresourcesetbinding_types.go)

use jiff::Timestamp;

use super::apply::Strategy;
use crate::api::addons::{
    ClusterResourceSetBinding, ResourceBinding, ResourceRef, ResourceSetBinding,
};
use crate::contract::conditions::whole_seconds;

/// The entry of a ClusterResourceSet, made if it is missing.
pub(super) fn entry<'a>(
    binding: &'a mut ClusterResourceSetBinding,
    set: &str,
) -> &'a mut ResourceSetBinding {
    let entries = &mut binding.spec.bindings;
    let found = entries.iter().position(|entry| entry.cluster_resource_set_name == set);
    let position = found.unwrap_or_else(|| {
        entries.push(ResourceSetBinding {
            cluster_resource_set_name: set.to_owned(),
            ..ResourceSetBinding::default()
        });
        entries.len() - 1
    });
    &mut entries[position]
}

/// Removes the entry of a ClusterResourceSet.
pub(super) fn remove(binding: &mut ClusterResourceSetBinding, set: &str) {
    binding.spec.bindings.retain(|entry| entry.cluster_resource_set_name != set);
}

/// What became of a resource, if it was ever tried.
pub(super) fn find<'a>(
    entry: &'a ResourceSetBinding,
    resource: &ResourceRef,
) -> Option<&'a ResourceBinding> {
    entry.resources.iter().find(|known| known.is_of(resource))
}

/// Notes that a resource was tried: with its hash, or without one if it could not be read.
pub(super) fn note(
    entry: &mut ResourceSetBinding,
    resource: &ResourceRef,
    (applied, hash): (bool, String),
    now: Timestamp,
) {
    let new = ResourceBinding {
        kind: resource.kind.clone(),
        name: resource.name.clone(),
        hash,
        last_applied_time: Some(whole_seconds(now)),
        applied: Some(applied),
    };
    match entry.resources.iter_mut().find(|known| known.is_of(resource)) {
        Some(known) => *known = new,
        None => entry.resources.push(new),
    }
}

/// Whether a resource is to be applied (again).
pub(super) fn is_due(strategy: Strategy, known: Option<&ResourceBinding>, hash: &str) -> bool {
    let Some(known) = known.filter(|known| known.applied == Some(true)) else { return true };
    match strategy {
        Strategy::ApplyOnce => false,
        Strategy::Reconcile => known.hash != hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(name: &str) -> ResourceRef {
        ResourceRef { kind: "ConfigMap".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_resource_has_one_entry_that_follows_the_last_try() {
        let mut binding = ClusterResourceSetBinding::default();
        let now = Timestamp::UNIX_EPOCH;
        note(entry(&mut binding, "s"), &resource("a"), (false, String::new()), now);
        note(entry(&mut binding, "s"), &resource("b"), (true, "h".to_owned()), now);
        note(entry(&mut binding, "s"), &resource("a"), (true, "h".to_owned()), now);
        let entry = entry(&mut binding, "s");
        assert_eq!(entry.resources.len(), 2);
        assert_eq!(find(entry, &resource("a")).and_then(|known| known.applied), Some(true));
        assert_eq!(find(entry, &resource("c")), None);
        remove(&mut binding, "s");
        assert!(binding.spec.bindings.is_empty());
    }

    #[test]
    fn only_reconcile_follows_changes() {
        let applied = |applied, hash: &str| ResourceBinding {
            applied: Some(applied),
            hash: hash.to_owned(),
            ..ResourceBinding::default()
        };
        let table = [
            (Strategy::ApplyOnce, None, true),
            (Strategy::ApplyOnce, Some(applied(false, "h")), true),
            (Strategy::ApplyOnce, Some(applied(true, "old")), false),
            (Strategy::Reconcile, None, true),
            (Strategy::Reconcile, Some(applied(false, "h")), true),
            (Strategy::Reconcile, Some(applied(true, "old")), true),
            (Strategy::Reconcile, Some(applied(true, "h")), false),
        ];
        for (strategy, known, due) in table {
            assert_eq!(is_due(strategy, known.as_ref(), "h"), due, "{strategy:?} {known:?}");
        }
    }
}
