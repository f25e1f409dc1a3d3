//! Defaulting and validation of the Cluster API kinds beyond their schemas: what upstream's
//! webhooks do. (CAPI v1.14: webhooks of core, bootstrap/kubeadm, controlplane/kubeadm and
//! test/infrastructure/docker)

mod addons;
mod bootstrap;
mod controlplane;
mod core;
mod infrastructure;
mod ipam;
mod naming;
mod pools;
mod runtime;
mod topology;

use super::conversion;
use crate::machinery::definition::Strategy;

/// The strategy of one version of a kind. Rules are those of the storage version, which objects of
/// other versions are converted to and, where defaults change something, from.
pub fn of_version(group: &str, kind: &str, is_stored: bool) -> Strategy {
    let own = Strategy { convert: conversion::of(group, kind), ..of(group, kind) };
    if is_stored { own } else { conversion::around(own) }
}

/// The strategy of a kind; the empty one if it has no rules of its own.
pub fn of(group: &str, kind: &str) -> Strategy {
    match group {
        "cluster.x-k8s.io" => core::of(kind),
        "addons.cluster.x-k8s.io" => addons::of(kind),
        "bootstrap.cluster.x-k8s.io" => bootstrap::of(kind),
        "controlplane.cluster.x-k8s.io" => controlplane::of(kind),
        "ipam.cluster.x-k8s.io" => ipam::of(kind),
        "infrastructure.cluster.x-k8s.io" => infrastructure::of(kind),
        "runtime.cluster.x-k8s.io" => runtime::of(kind),
        _ => Strategy::default(),
    }
}
