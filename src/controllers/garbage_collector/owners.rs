//! What has become of an object's owners.

use crate::apiserver::garbage::FOREGROUND_FINALIZER;
use crate::machinery::meta::{Meta, OwnerReference};
use crate::store::Store;

/// Uids of an object's owners, by what has become of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Owners<'a> {
    /// They exist and do not wait for their dependents.
    pub(super) solid: Vec<&'a str>,
    /// They are gone, or never were.
    pub(super) absent: Vec<&'a str>,
    /// They are being deleted and want their dependents to go first.
    pub(super) waiting: Vec<&'a str>,
}

/// Looks up the owners of an object.
pub(super) fn classify<'a>(store: &Store, dependent: &'a Meta) -> Owners<'a> {
    let mut owners = Owners::default();
    for reference in dependent.owner_references.iter() {
        let list = match owner(store, dependent, reference) {
            None => &mut owners.absent,
            Some(meta) if waits(&meta.meta) => &mut owners.waiting,
            Some(_) => &mut owners.solid,
        };
        list.push(&*reference.uid);
    }
    owners
}

/// The owner, where the reference says it is: cluster-scoped, or in the dependent's own namespace.
fn owner(
    store: &Store,
    dependent: &Meta,
    reference: &OwnerReference,
) -> Option<std::sync::Arc<crate::store::Entry>> {
    let place = store.by_uid(&reference.uid)?;
    let reachable = place.namespace.is_empty() || *place.namespace == *dependent.namespace;
    if !reachable || *place.name != *reference.name {
        return None;
    }
    store.get(&place.resource, &place.namespace, &place.name)
}

/// Whether an object waits for its dependents to go.
pub(super) fn waits(owner: &Meta) -> bool {
    owner.deletion_timestamp.is_some()
        && owner.finalizers.iter().any(|finalizer| **finalizer == *FOREGROUND_FINALIZER)
}
