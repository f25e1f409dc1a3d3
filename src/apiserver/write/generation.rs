//! When metadata.generation grows: with every change of what a user asked for.

use serde_json::Value;

use crate::apiserver::profile::Resource;

/// Built-in kinds whose objects have a generation, by group.
/// (kubernetes 1.36: the strategies under pkg/registry)
const KINDS: [(&str, &[&str]); 8] = [
    ("", &["Pod", "ReplicationController"]),
    ("apps", &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"]),
    ("batch", &["Job", "CronJob"]),
    ("policy", &["PodDisruptionBudget"]),
    ("networking.k8s.io", &["Ingress", "NetworkPolicy", "IngressClass"]),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ],
    ),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
];

/// Whether objects of a resource carry a generation.
pub(super) fn is_kept(resource: &Resource) -> bool {
    if !resource.is_built_in() {
        return true;
    }
    let definition = &resource.definition;
    KINDS.iter().any(|(group, kinds)| {
        **group == *definition.group && kinds.iter().any(|kind| **kind == *definition.kind)
    })
}

/// Whether a write of the main resource changes what the generation counts.
pub(super) fn is_changed(resource: &Resource, new: &Value, old: &Value) -> bool {
    let (Value::Object(new), Value::Object(old)) = (new, old) else { return new != old };
    let has_status = resource.definition.subresources.status || resource.is_built_in();
    let counts = |name: &str| {
        let excluded = matches!(name, "metadata" | "apiVersion" | "kind");
        !excluded && (!has_status || name != "status")
    };
    let new = new.iter().filter(|(name, _)| counts(name));
    let old = old.iter().filter(|(name, _)| counts(name));
    !new.eq(old)
}
