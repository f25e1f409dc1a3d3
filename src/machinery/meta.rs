//! The part of an object's metadata that the engine itself reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Fields of `ObjectMeta` in the order of Go's type. (apimachinery v0.36: pkg/apis/meta/v1/types.go)
pub const OBJECT_META_FIELDS: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// `metadata` as the engine indexes it; read once from the encoded object and kept beside it, for
/// every object and every event of the history: hence no spare capacity and no tree.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Object name.
    pub name: Box<str>,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: Box<str>,
    /// Unique id.
    pub uid: Box<str>,
    /// Generation of the desired state.
    pub generation: i64,
    /// Labels.
    pub labels: Labels,
    /// Owners.
    pub owner_references: Box<[OwnerReference]>,
    /// Finalizers.
    pub finalizers: Box<[Box<str>]>,
    /// RFC 3339 time of the deletion request.
    pub deletion_timestamp: Option<Box<str>>,
    /// Grace period of the deletion request.
    pub deletion_grace_period_seconds: Option<i64>,
}

/// Labels of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Sorted by key.
    entries: Box<[(Box<str>, Box<str>)]>,
}

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.entries.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        Some(&self.entries[found].1)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sorted = BTreeMap::<Box<str>, Box<str>>::deserialize(deserializer)?;
        Ok(Self { entries: sorted.into_iter().collect() })
    }
}

/// `metav1.OwnerReference`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Owner's apiVersion.
    pub api_version: Box<str>,
    /// Owner's kind.
    pub kind: Box<str>,
    /// Owner's name.
    pub name: Box<str>,
    /// Owner's uid.
    pub uid: Box<str>,
    /// Whether the owner is the managing controller.
    pub controller: bool,
    /// Whether foreground deletion of the owner waits for the dependant.
    pub block_owner_deletion: bool,
}
