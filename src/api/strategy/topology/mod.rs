//! Rules of ClusterClasses and of Clusters that are made from them. Most look at other objects.
//! (CAPI v1.14: core/webhooks/admission/{cluster,clusterclass,patch_validation}.go,
//! internal/topology/check)
//!
//! The ClusterTopology and RuntimeSDK features are on.

mod class;
mod cluster;
mod compatibility;
mod health_checks;
mod naming;
mod patches;
mod upgrades;
mod usage;
mod values;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::api::core::Cluster;
use crate::machinery::definition::{Among, ObjectKind};

/// Rules of Cluster.
pub(super) static CLUSTER: Among = Among {
    awaits: Some(cluster::awaits),
    default: Some(cluster::default),
    validate: Some(cluster::validate),
    delete: None,
};

/// Rules of ClusterClass.
pub(in crate::api) static CLUSTER_CLASS: Among = Among {
    awaits: None,
    default: None,
    validate: Some(class::validate),
    delete: Some(usage::refuse_deletion),
};

const CLUSTERS: ObjectKind<'_> = ObjectKind { group: "cluster.x-k8s.io", kind: "Cluster" };
const CLASSES: ObjectKind<'_> = ObjectKind { group: "cluster.x-k8s.io", kind: "ClusterClass" };
const DEPLOYMENTS: ObjectKind<'_> =
    ObjectKind { group: "cluster.x-k8s.io", kind: "MachineDeployment" };
const POOLS: ObjectKind<'_> = ObjectKind { group: "cluster.x-k8s.io", kind: "MachinePool" };
const MACHINES: ObjectKind<'_> = ObjectKind { group: "cluster.x-k8s.io", kind: "Machine" };

/// A Cluster that is managed by a class; `None` for others, and for what does not fit the kind,
/// which its schema refuses.
fn managed(object: &Value) -> Option<Cluster> {
    let cluster: Cluster = serde_json::from_value(object.clone()).ok()?;
    cluster.spec.topology.is_defined().then_some(cluster)
}

/// `namespace/name` of a Cluster's class.
fn class_key(cluster: &Cluster) -> String {
    let (namespace, name) = cluster.class_key().unwrap_or_default();
    format!("{namespace}/{name}")
}

fn annotation<'a>(cluster: &'a Cluster, key: &str) -> Option<&'a str> {
    cluster.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
