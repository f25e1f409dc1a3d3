//! Kinds of the core group.

mod data;
mod endpoints;
mod events;
mod limit_ranges;
mod namespaces;
mod nodes;
mod persistent_volume_claims;
mod persistent_volumes;
mod pod_status;
mod pod_templates;
mod pod_update;
mod pods;
mod qos;
mod quotas;
mod replication_controllers;
mod service_update;
mod service_validation;
mod services;

use super::{NONE, Rules};

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "ConfigMap" => &data::CONFIG_MAP,
        "Endpoints" => &endpoints::RULES,
        "Event" => &events::RULES,
        "LimitRange" => &limit_ranges::RULES,
        "Namespace" => &namespaces::RULES,
        "Node" => &nodes::RULES,
        "PersistentVolume" => &persistent_volumes::RULES,
        "PersistentVolumeClaim" => &persistent_volume_claims::RULES,
        "Pod" => &pods::RULES,
        "PodTemplate" => &pod_templates::RULES,
        "ReplicationController" => &replication_controllers::RULES,
        "ResourceQuota" => &quotas::RULES,
        "Secret" => &data::SECRET,
        "Service" => &services::RULES,
        _ => &NONE,
    }
}
