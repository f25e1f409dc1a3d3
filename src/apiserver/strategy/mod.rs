//! What Kubernetes' own kinds do beyond their schemas: one file a kind or family of kinds.
//!
//! Rules are pure functions of objects. What needs to look at other objects (does the namespace
//! exist, which address is free, who may bind a role) is admission's. (kubernetes 1.36:
//! pkg/apis/*/v1/defaults.go, pkg/registry/*/strategy.go, pkg/apis/*/validation)

mod admissionregistration;
mod apiextensions;
pub(super) mod apiregistration;
mod apps;
mod autoscaling;
mod batch;
mod certificates;
mod checks;
mod coordination;
mod core;
mod difference;
mod discovery;
mod events;
mod fields;
pub(super) mod flowcontrol;
mod formats;
pub(super) mod internal;
mod labels;
mod networking;
mod node;
mod pod_spec;
mod policy;
pub(super) mod privileged;
mod rbac;
pub(super) mod report;
mod resource;
mod resources;
pub(super) mod scheduling;
mod storage;

use serde_json::Value;

use super::bootstrap::Objects;
use super::write::Target;
use crate::machinery::definition::{Origin, ResourceDefinition};
use crate::machinery::status::Cause;
pub(super) use checks::check_ip;

/// A write, as rules see it.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    /// The object as it is to be stored.
    pub(super) new: &'a Value,
    /// The stored object; `None` on create.
    pub(super) old: Option<&'a Value>,
    /// What the write may change.
    pub(super) target: Target,
}

/// What a kind does beyond its schema. Every member may be called for every write of the kind.
pub(super) struct Rules {
    /// Fills in what decoding fills in; clients own these fields along with their own.
    pub(super) default: fn(&mut Value),
    /// The status that a new object starts with, whatever the client sent.
    pub(super) initial_status: fn() -> Option<Value>,
    /// Sets what the system says of a new object.
    pub(super) prepare_create: fn(&mut Value),
    /// Prepares a changed object (the first) by the stored one; status has been dealt with.
    pub(super) prepare_update: fn(&mut Value, &Value, Target),
    /// Removes fields of features that are switched off.
    pub(super) drop_disabled: fn(&mut Value),
    /// Checks rules beyond the schema; an empty vector accepts.
    pub(super) validate: fn(&Change<'_>) -> Vec<Cause>,
    /// Objects of the kind that a fresh cluster has.
    pub(super) bootstrap: Option<Objects>,
    /// Texts of `Warning` headers for an accepted write.
    pub(super) warnings: fn(&Change<'_>) -> Vec<String>,
}

/// Rules that do nothing.
pub(super) const NONE: Rules = Rules {
    default: |_| {},
    initial_status: || None,
    prepare_create: |_| {},
    prepare_update: |_, _, _| {},
    drop_disabled: |_| {},
    validate: |_| Vec::new(),
    bootstrap: None,
    warnings: |_| Vec::new(),
};

/// The rules of a definition's kind; of custom kinds those that do nothing.
pub(super) fn of(definition: &ResourceDefinition) -> &'static Rules {
    if definition.origin == Origin::Custom {
        return &NONE;
    }
    let kind = &*definition.kind;
    match &*definition.group {
        "" => core::rules(kind),
        "admissionregistration.k8s.io" => admissionregistration::rules(kind),
        "apiextensions.k8s.io" => apiextensions::rules(kind),
        "apiregistration.k8s.io" => apiregistration::rules(kind),
        "apps" => apps::rules(kind),
        "autoscaling" => autoscaling::rules(kind, &definition.version),
        "batch" => batch::rules(kind),
        "certificates.k8s.io" => certificates::rules(kind),
        "coordination.k8s.io" => coordination::rules(kind),
        "discovery.k8s.io" => discovery::rules(kind),
        "events.k8s.io" => events::rules(kind),
        "flowcontrol.apiserver.k8s.io" => flowcontrol::rules(kind),
        "networking.k8s.io" => networking::rules(kind),
        "node.k8s.io" => node::rules(kind),
        "policy" => policy::rules(kind),
        "resource.k8s.io" => resource::rules(kind),
        "scheduling.k8s.io" => scheduling::rules(kind),
        "storage.k8s.io" => storage::rules(kind),
        "rbac.authorization.k8s.io" => rbac::rules(kind),
        _ => &NONE,
    }
}
