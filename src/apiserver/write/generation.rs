//! When metadata.generation grows: with every change of what a user asked for.

use serde_json::Value;

use crate::apiserver::profile::Resource;

/// Built-in kinds whose objects have a generation, by group.
/// (kubernetes 1.36: the strategies under pkg/registry)
const KINDS: [(&str, &[&str]); 12] = [
    ("", &["Pod", "PodTemplate", "ReplicationController"]),
    ("apps", &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"]),
    ("batch", &["Job", "CronJob"]),
    ("policy", &["PodDisruptionBudget"]),
    ("networking.k8s.io", &["Ingress", "NetworkPolicy", "IngressClass"]),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("discovery.k8s.io", &["EndpointSlice"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("resource.k8s.io", &["DeviceClass", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["CSIDriver"]),
];

/// Whether objects of a resource carry a generation.
pub(in crate::apiserver) fn is_kept(resource: &Resource) -> bool {
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
    if is_changed_by_metadata(resource, new, old) {
        return true;
    }
    let (Value::Object(new), Value::Object(old)) = (new, old) else { return new != old };
    let has_status = resource.definition.subresources.status || resource.is_built_in();
    let counts = |name: &str| {
        // A priority class's generation stays, however it is described.
        let excluded = matches!(name, "metadata" | "apiVersion" | "kind")
            || resource.is("scheduling.k8s.io", "priorityclasses");
        !excluded && (!has_status || name != "status")
    };
    let new = new.iter().filter(|(name, _)| counts(name));
    let old = old.iter().filter(|(name, _)| counts(name));
    !new.eq(old)
}

/// Deployments count changes of their annotations, too, and endpoint slices those of their labels.
fn is_changed_by_metadata(resource: &Resource, new: &Value, old: &Value) -> bool {
    let field = match (&*resource.key.group, &*resource.key.plural) {
        ("apps", "deployments") => "annotations",
        ("discovery.k8s.io", "endpointslices") => "labels",
        _ => return false,
    };
    new["metadata"][field] != old["metadata"][field]
}
