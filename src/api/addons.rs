//! `addons.cluster.x-k8s.io/v1beta2`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};

use super::conditions::{Condition, Deprecated, is_absent};

/// Objects that are applied to every Cluster with certain labels.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterResourceSet {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: ClusterResourceSetSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<ClusterResourceSetStatus>,
}

namespaced_kind!(ClusterResourceSet, "addons.cluster.x-k8s.io", "v1beta2", "clusterresourcesets");

api_struct! {
    /// Desired state of a ClusterResourceSet.
    ClusterResourceSetSpec {
        /// Which Clusters of the namespace.
        cluster_selector: LabelSelector,
        /// ConfigMaps and Secrets of the namespace that hold the objects.
        resources: Vec<ResourceRef>,
        /// `ApplyOnce` (default) or `Reconcile`.
        strategy: String,
    }
}
api_struct! {
    /// Names a ConfigMap or Secret.
    ResourceRef {
        /// `ConfigMap` or `Secret`.
        kind: String,
        /// Name.
        name: String,
    }
}
api_struct! {
    /// Observed state of a ClusterResourceSet.
    ClusterResourceSetStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Generation that the status speaks of.
        observed_generation: Option<i64>,
        /// The v1beta1 conditions.
        deprecated: Option<Deprecated>,
    }
}
/// What ClusterResourceSets have applied to one Cluster.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterResourceSetBinding {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// The record.
    pub spec: ClusterResourceSetBindingSpec,
}

namespaced_kind!(
    ClusterResourceSetBinding,
    "addons.cluster.x-k8s.io",
    "v1beta2",
    "clusterresourcesetbindings"
);

api_struct! {
    /// The record of one Cluster.
    ClusterResourceSetBindingSpec {
        /// One entry a ClusterResourceSet.
        bindings: Vec<ResourceSetBinding>,
        /// The Cluster.
        cluster_name: String,
    }
}
api_struct! {
    /// What one ClusterResourceSet has applied.
    ResourceSetBinding {
        /// The ClusterResourceSet.
        cluster_resource_set_name: String,
        /// One entry a resource.
        resources: Vec<ResourceBinding>,
    }
}
api_struct! {
    /// What became of one resource.
    ResourceBinding {
        /// `ConfigMap` or `Secret`.
        kind: String,
        /// Name.
        name: String,
        /// Hash of the data that was applied.
        hash: String,
        /// When it was tried last.
        last_applied_time: Option<Time>,
        /// Whether that worked.
        applied: Option<bool>,
    }
}

impl ResourceBinding {
    /// Whether the entry is that of a resource.
    pub fn is_of(&self, resource: &ResourceRef) -> bool {
        self.kind == resource.kind && self.name == resource.name
    }
}
