//! Defaulting and validation of the Cluster API kinds beyond their schemas: what upstream's
//! webhooks do. (CAPI v1.14: webhooks of core, bootstrap/kubeadm, controlplane/kubeadm and
//! test/infrastructure/docker)

mod bootstrap;
mod controlplane;
mod core;
mod infrastructure;

use crate::machinery::definition::Strategy;

/// The strategy of a kind; the empty one if it has no rules of its own.
pub fn of(group: &str, kind: &str) -> Strategy {
    match group {
        "cluster.x-k8s.io" => core::of(kind),
        "bootstrap.cluster.x-k8s.io" => bootstrap::of(kind),
        "controlplane.cluster.x-k8s.io" => controlplane::of(kind),
        "infrastructure.cluster.x-k8s.io" => infrastructure::of(kind),
        _ => Strategy::default(),
    }
}
