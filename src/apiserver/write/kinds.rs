//! Status, zeros and finalization: how a write of one part of an object leaves the others alone.

use serde_json::{Value, json};

use super::metadata;
use super::pipeline::Target;
use crate::apiserver::profile::Resource;
use crate::machinery::zeros;

/// The annotation of a Pod that mirrors a static one.
const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Removes what a client cannot set in a new object: status is the system's.
pub(super) fn reset(resource: &Resource, object: &mut Value) {
    if resource.definition.subresources.status && !comes_with_status(resource, object) {
        remove(object, "status");
    }
}

/// Kubelets register Nodes together with their status. Where Machines are simulated, the mirror of
/// a static Pod comes with its status, too: a kubelet's second write would show for a moment a
/// control plane that is down.
fn comes_with_status(resource: &Resource, object: &Value) -> bool {
    match core_kind(resource) {
        "Node" => true,
        "Pod" => {
            let mirror = &object["metadata"]["annotations"][MIRROR_POD];
            mirror.is_string() && object["status"]["conditions"].is_array()
        }
        _ => false,
    }
}

/// Fields that a write cannot set and hence nobody owns by it. (kubernetes 1.36: GetResetFields of
/// the strategies under pkg/registry)
pub(super) fn reset_fields(
    resource: &Resource,
    target: Target,
) -> &'static [&'static [&'static str]] {
    match target {
        Target::Main if resource.definition.subresources.status => &[&["status"]],
        Target::Finalize => &[&["status"]],
        Target::Status | Target::Approval => match status_metadata(resource) {
            StatusMetadata::Kept => &[&["spec"], &["metadata"]],
            StatusMetadata::LabelsKept => &[&["spec"], &["metadata", "labels"]],
            StatusMetadata::OwnersKept => {
                &[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]
            }
            StatusMetadata::Written => &[&["spec"]],
        },
        Target::Main | Target::Scale | Target::EphemeralContainers | Target::Resize => &[],
    }
}

/// What a write of the status does to metadata.
enum StatusMetadata {
    /// Nothing.
    Kept,
    /// Everything but to labels.
    LabelsKept,
    /// Everything but to owners.
    OwnersKept,
    /// Everything.
    Written,
}

/// (kubernetes 1.36: PrepareForUpdate of the status strategies under pkg/registry)
fn status_metadata(resource: &Resource) -> StatusMetadata {
    if !resource.is_built_in() {
        return StatusMetadata::Kept;
    }
    let definition = &resource.definition;
    match (&*definition.group, &*definition.kind) {
        ("", "Pod") => StatusMetadata::OwnersKept,
        ("apps", "Deployment") => StatusMetadata::LabelsKept,
        (
            "admissionregistration.k8s.io"
            | "apiextensions.k8s.io"
            | "apiregistration.k8s.io"
            | "flowcontrol.apiserver.k8s.io"
            | "resource.k8s.io",
            _,
        )
        | ("networking.k8s.io", "ServiceCIDR")
        | ("storage.k8s.io", "VolumeAttachment") => StatusMetadata::Kept,
        _ => StatusMetadata::Written,
    }
}

/// Adds the zeros that Go writes.
pub(super) fn fill_zeros(resource: &Resource, object: &mut Value) {
    if let Some(component) = resource.definition.schema.component_name() {
        zeros::fill(component, object);
    }
}

/// A new object of a kind before anything is set: nobody owns its zeros.
pub(super) fn zero_object(resource: &Resource) -> Value {
    resource.definition.schema.component_name().map_or(Value::Null, zeros::object)
}

/// The kind, if it is one of the core group's.
fn core_kind(resource: &Resource) -> &str {
    let core = resource.is_built_in() && resource.key.group.is_empty();
    if core { &resource.definition.kind } else { "" }
}

/// Sets what the system says of a new object.
pub(super) fn prepare_create(resource: &Resource, object: &mut Value) {
    if !comes_with_status(resource, object)
        && let Some(status) = (resource.rules.initial_status)()
    {
        object["status"] = status;
    }
    (resource.rules.prepare_create)(object);
}

/// Prepares a changed object: a write of one part leaves the others as they are.
pub(super) fn prepare_update(resource: &Resource, target: Target, new: &mut Value, old: &Value) {
    match target {
        Target::Main | Target::Scale => {
            if resource.definition.subresources.status {
                restore(new, old, "status");
            }
        }
        Target::Status | Target::Approval => keep_all_but_status(resource, new, old),
        // The kind's rules say what these may change.
        Target::EphemeralContainers | Target::Resize => {}
        Target::Finalize => {
            let finalizers = new["spec"]["finalizers"].take();
            let version = metadata::text(new, "resourceVersion").to_owned();
            *new = old.clone();
            new["metadata"]["resourceVersion"] = version.into();
            match finalizers.as_array().map_or(0, Vec::len) {
                0 => new["spec"] = json!({}),
                _ => new["spec"]["finalizers"] = finalizers,
            }
        }
    }
    (resource.rules.prepare_update)(new, old, target);
}

/// The status subresource changes status alone; of most built-in kinds it may change metadata, too.
fn keep_all_but_status(resource: &Resource, new: &mut Value, old: &Value) {
    let Some(members) = new.as_object_mut() else { return };
    let kept = ["apiVersion", "kind", "metadata", "status"];
    members.retain(|name, _| kept.contains(&name.as_str()));
    let Some(before) = old.as_object() else { return };
    for (name, value) in before {
        // Hardly ever different: comparing is cheaper than copying.
        if !kept.contains(&name.as_str()) && members.get(name) != Some(value) {
            members.insert(name.clone(), value.clone());
        }
    }
    let owned = metadata::members(new).remove("managedFields");
    let given: Vec<_> = ["resourceVersion", "uid", "name", "namespace"]
        .map(|field| (field, metadata::members(new).remove(field)))
        .into();
    match status_metadata(resource) {
        StatusMetadata::Kept if !has_same_metadata(new, old) => {
            new["metadata"] = old["metadata"].clone();
        }
        StatusMetadata::LabelsKept => restore(&mut new["metadata"], &old["metadata"], "labels"),
        StatusMetadata::OwnersKept => {
            restore(&mut new["metadata"], &old["metadata"], "ownerReferences");
        }
        StatusMetadata::Kept | StatusMetadata::Written => {}
    }
    let members = metadata::members(new);
    for (field, value) in given {
        if let Some(value) = value {
            members.insert(field.to_owned(), value);
        }
    }
    match owned {
        Some(owned) => members.insert("managedFields".to_owned(), owned),
        None => members.remove("managedFields"),
    };
}

/// Whether a changed object, whose identity is taken aside, has the metadata of the old one.
fn has_same_metadata(new: &Value, old: &Value) -> bool {
    let taken = ["resourceVersion", "uid", "name", "namespace", "managedFields"];
    match (&new["metadata"], &old["metadata"]) {
        (Value::Object(new), Value::Object(old)) => {
            let old = old.iter().filter(|(name, _)| !taken.contains(&name.as_str()));
            new.iter().eq(old)
        }
        _ => false,
    }
}

/// Whether nothing of the kind's own holds up the removal of an object without finalizers.
pub(super) fn may_go(resource: &Resource, object: &Value) -> bool {
    if !resource.is("", "namespaces") {
        return true;
    }
    object["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty)
}

fn restore(new: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) if new.get(field) == Some(value) => {}
        Some(value) => new[field] = value.clone(),
        None => remove(new, field),
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(members) = object.as_object_mut() {
        members.remove(field);
    }
}
