//! `DefaultStorageClass` and `PersistentVolumeClaimResize`.
//! (kubernetes 1.36: plugin/pkg/admission/storage)

use serde_json::Value;

use super::{NOTHING, Plugin, all, default_class, forbidden, get, has_any};
use crate::apiserver::admission::attributes::Attributes;
use crate::machinery::quantity::Quantity;
use crate::machinery::status::Status;

/// Claims without a class get the default one.
pub(super) const DEFAULT_CLASS: Plugin = Plugin {
    name: "DefaultStorageClass",
    needed: |call, claim| {
        claim["spec"]["storageClassName"].is_null() && has_any(call.server, CLASSES.0, CLASSES.1)
    },
    admit: set_class,
    ..NOTHING
};

/// Only claims of classes that can grow may.
pub(super) const RESIZE: Plugin = Plugin {
    name: "PersistentVolumeClaimResize",
    needed: |_, _| true,
    approve: approve_resize,
    ..NOTHING
};

const CLASSES: (&str, &str) = ("storage.k8s.io", "storageclasses");
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
/// How claims named their class once.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

fn set_class(
    attributes: &Attributes<'_>,
    claim: &mut Value,
    old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let annotations = &claim["metadata"]["annotations"];
    if old.is_some() || !annotations[CLASS_ANNOTATION].is_null() {
        return Ok(());
    }
    let classes = all(attributes.call.server, CLASSES, "");
    if let Some(class) = default_class(classes, IS_DEFAULT) {
        claim["spec"]["storageClassName"] = class["metadata"]["name"].clone();
    }
    Ok(())
}

fn approve_resize(
    attributes: &Attributes<'_>,
    claim: &Value,
    old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let Some(old) = old else { return Ok(()) };
    let size = |claim: &Value| {
        let text = claim["spec"]["resources"]["requests"]["storage"].as_str()?;
        Quantity::parse(text).ok().map(|quantity| quantity.milli_value())
    };
    // Claims that are not bound are refused by the kind's own rules.
    if size(claim) <= size(old) || old["status"]["phase"] != "Bound" {
        return Ok(());
    }
    let name = claim["spec"]["storageClassName"].as_str().unwrap_or_default();
    let class = get(attributes.call.server, CLASSES, name);
    if class.is_some_and(|class| class["allowVolumeExpansion"] == true) {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that \
               provisions the pvc must support resize";
    Err(forbidden(attributes, claim, why))
}
