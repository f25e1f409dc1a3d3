//! Owner references.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::machinery::gvk::split_api_version;

/// The controlling owner reference to an object (`controller` and `blockOwnerDeletion`).
pub fn controller_of<K: kube::Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference { controller: Some(true), block_owner_deletion: Some(true), ..owner_of(owner) }
}

/// A plain (not controlling) owner reference to an object.
pub fn owner_of<K: kube::Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.meta().name.clone().unwrap_or_default(),
        uid: owner.meta().uid.clone().unwrap_or_default(),
        controller: None,
        block_owner_deletion: None,
    }
}

/// Adds an owner reference or replaces the one with the same group, kind and name.
pub fn ensure(metadata: &mut ObjectMeta, reference: OwnerReference) {
    let owners = metadata.owner_references.get_or_insert_with(Vec::new);
    match owners.iter_mut().find(|owner| is_same_object(owner, &reference)) {
        Some(owner) => *owner = reference,
        None => owners.push(reference),
    }
}

/// Whether `metadata` has exactly this owner reference.
pub fn has(metadata: &ObjectMeta, reference: &OwnerReference) -> bool {
    metadata.owner_references.iter().flatten().any(|owner| owner == reference)
}

/// Whether an object is owned by the object with this uid.
pub fn is_owned_by(metadata: &ObjectMeta, uid: &str) -> bool {
    metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
}

/// Whether an object is controlled by the object with this uid.
pub fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    controlling(metadata).is_some_and(|owner| owner.uid == uid)
}

/// The controlling owner, of any kind.
pub fn controlling(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// The controlling owner of a kind (`group`, `kind`), if any.
pub fn controller<'a>(
    metadata: &'a ObjectMeta,
    group: &str,
    kind: &str,
) -> Option<&'a OwnerReference> {
    controlling(metadata).filter(|owner| is_kind(owner, group, kind))
}

/// Any owner of a kind.
pub fn owner<'a>(metadata: &'a ObjectMeta, group: &str, kind: &str) -> Option<&'a OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| is_kind(owner, group, kind))
}

fn is_kind(reference: &OwnerReference, group: &str, kind: &str) -> bool {
    reference.kind == kind && split_api_version(&reference.api_version).0 == group
}

fn is_same_object(a: &OwnerReference, b: &OwnerReference) -> bool {
    is_kind(a, split_api_version(&b.api_version).0, &b.kind) && a.name == b.name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::core::Cluster;

    #[test]
    fn an_owner_of_an_older_version_is_replaced() {
        let mut cluster = Cluster::default();
        cluster.metadata.name = Some("a".into());
        cluster.metadata.uid = Some("u".into());
        let mut metadata = ObjectMeta::default();
        let older =
            OwnerReference { api_version: "cluster.x-k8s.io/v1beta1".into(), ..owner_of(&cluster) };
        ensure(&mut metadata, older);
        ensure(&mut metadata, controller_of(&cluster));
        assert_eq!(metadata.owner_references.as_ref().map(Vec::len), Some(1));
        assert!(controller(&metadata, "cluster.x-k8s.io", "Cluster").is_some());
        assert!(is_controlled_by(&metadata, "u"));
    }
}
