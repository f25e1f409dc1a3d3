//! Volumes, claims, storage classes and CSI kinds.

use serde_json::Value;

use super::{is_deleting, items, text, text_or};
use crate::machinery::quantity::Quantity;

const CLASS_ANNOTATION: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";
const DEFAULT_CLASS: [&str; 2] = [
    "/metadata/annotations/storageclass.kubernetes.io~1is-default-class",
    "/metadata/annotations/storageclass.beta.kubernetes.io~1is-default-class",
];

pub(in super::super) fn claim_status(object: &Value, _: i64) -> Value {
    if is_deleting(object) { "Terminating".into() } else { text(object, "/status/phase").into() }
}

pub(in super::super) fn claim_volume(claim: &Value, _: i64) -> Value {
    text(claim, "/spec/volumeName").into()
}

/// Capacity and access modes are only shown of a claim that is bound.
pub(in super::super) fn claim_capacity(claim: &Value, _: i64) -> Value {
    if text(claim, "/spec/volumeName").is_empty() {
        return "".into();
    }
    quantity(claim, "/status/capacity/storage")
}

pub(in super::super) fn claim_access_modes(claim: &Value, _: i64) -> Value {
    if text(claim, "/spec/volumeName").is_empty() {
        return "".into();
    }
    access_modes(claim, "/status/accessModes")
}

pub(in super::super) fn claim_class(object: &Value, _: i64) -> Value {
    match text(object, CLASS_ANNOTATION) {
        "" => text(object, "/spec/storageClassName").into(),
        class => class.into(),
    }
}

pub(in super::super) fn claim_attributes_class(claim: &Value, _: i64) -> Value {
    text_or(claim, "/status/currentVolumeAttributesClassName", "<unset>")
}

pub(in super::super) fn volume_attributes_class(volume: &Value, _: i64) -> Value {
    text_or(volume, "/spec/volumeAttributesClassName", "<unset>")
}

pub(in super::super) fn volume_mode(object: &Value, _: i64) -> Value {
    text_or(object, "/spec/volumeMode", "<unset>")
}

pub(in super::super) fn volume_capacity(volume: &Value, _: i64) -> Value {
    quantity(volume, "/spec/capacity/storage")
}

pub(in super::super) fn volume_access_modes(volume: &Value, _: i64) -> Value {
    access_modes(volume, "/spec/accessModes")
}

pub(in super::super) fn volume_reclaim_policy(volume: &Value, _: i64) -> Value {
    text(volume, "/spec/persistentVolumeReclaimPolicy").into()
}

pub(in super::super) fn volume_claim(volume: &Value, _: i64) -> Value {
    match text(volume, "/spec/claimRef/name") {
        "" => "".into(),
        name => format!("{}/{name}", text(volume, "/spec/claimRef/namespace")).into(),
    }
}

pub(in super::super) fn volume_reason(volume: &Value, _: i64) -> Value {
    text(volume, "/status/reason").into()
}

fn quantity(object: &Value, pointer: &str) -> Value {
    let text = text(object, pointer);
    Quantity::parse(text).map_or_else(|_| "0".into(), |quantity| quantity.to_string().into())
}

fn access_modes(object: &Value, pointer: &str) -> Value {
    let modes = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given = items(object, pointer);
    let shown: Vec<&str> = modes
        .into_iter()
        .filter(|(mode, _)| given.iter().any(|given| given == mode))
        .map(|(_, short)| short)
        .collect();
    shown.join(",").into()
}

pub(in super::super) fn class_name(class: &Value, _: i64) -> Value {
    let name = text(class, "/metadata/name");
    let is_default = DEFAULT_CLASS.iter().any(|annotation| text(class, annotation) == "true");
    if is_default { format!("{name} (default)").into() } else { name.into() }
}

pub(in super::super) fn provisioner(class: &Value, _: i64) -> Value {
    text(class, "/provisioner").into()
}

pub(in super::super) fn class_reclaim_policy(class: &Value, _: i64) -> Value {
    text_or(class, "/reclaimPolicy", "Delete")
}

pub(in super::super) fn binding_mode(class: &Value, _: i64) -> Value {
    text_or(class, "/volumeBindingMode", "Immediate")
}

pub(in super::super) fn expansion(class: &Value, _: i64) -> Value {
    flag(class, "/allowVolumeExpansion", false)
}

fn flag(object: &Value, pointer: &str, default: bool) -> Value {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(default).into()
}

pub(in super::super) fn attacher(attachment: &Value, _: i64) -> Value {
    text(attachment, "/spec/attacher").into()
}

pub(in super::super) fn attached_volume(attachment: &Value, _: i64) -> Value {
    text(attachment, "/spec/source/persistentVolumeName").into()
}

pub(in super::super) fn attached_node(attachment: &Value, _: i64) -> Value {
    text(attachment, "/spec/nodeName").into()
}

pub(in super::super) fn is_attached(attachment: &Value, _: i64) -> Value {
    flag(attachment, "/status/attached", false)
}

pub(in super::super) fn attach_required(driver: &Value, _: i64) -> Value {
    flag(driver, "/spec/attachRequired", true)
}

pub(in super::super) fn pod_info_on_mount(driver: &Value, _: i64) -> Value {
    flag(driver, "/spec/podInfoOnMount", false)
}

pub(in super::super) fn storage_capacity(driver: &Value, _: i64) -> Value {
    flag(driver, "/spec/storageCapacity", false)
}

pub(in super::super) fn requires_republish(driver: &Value, _: i64) -> Value {
    flag(driver, "/spec/requiresRepublish", false)
}

pub(in super::super) fn token_requests(driver: &Value, _: i64) -> Value {
    let audiences: Vec<&str> =
        items(driver, "/spec/tokenRequests").iter().map(|r| text(r, "/audience")).collect();
    if audiences.is_empty() { "<unset>".into() } else { audiences.join(",").into() }
}

pub(in super::super) fn lifecycle_modes(driver: &Value, _: i64) -> Value {
    let modes: Vec<&str> =
        items(driver, "/spec/volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
    if modes.is_empty() { "<none>".into() } else { modes.join(",").into() }
}

pub(in super::super) fn drivers(node: &Value, _: i64) -> Value {
    items(node, "/spec/drivers").len().into()
}
