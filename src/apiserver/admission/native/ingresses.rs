//! `DefaultIngressClass`: ingresses without a class get the default one.
//! (kubernetes 1.36: plugin/pkg/admission/network/defaultingressclass)

use serde_json::Value;

use super::{NOTHING, Plugin, all, default_class, has_any};
use crate::apiserver::admission::attributes::Attributes;
use crate::machinery::status::Status;

/// Of new ingresses.
pub(super) const DEFAULT_CLASS: Plugin = Plugin {
    name: "DefaultIngressClass",
    needed: |call, ingress| {
        ingress["spec"]["ingressClassName"].is_null() && has_any(call.server, CLASSES.0, CLASSES.1)
    },
    admit,
    ..NOTHING
};

const CLASSES: (&str, &str) = ("networking.k8s.io", "ingressclasses");
const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
/// How ingresses named their class once.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

fn admit(
    attributes: &Attributes<'_>,
    ingress: &mut Value,
    _old: Option<&Value>,
) -> Result<(), Box<Status>> {
    if !ingress["metadata"]["annotations"][CLASS_ANNOTATION].is_null() {
        return Ok(());
    }
    let classes = all(attributes.call.server, CLASSES, "");
    if let Some(class) = default_class(classes, IS_DEFAULT) {
        ingress["spec"]["ingressClassName"] = class["metadata"]["name"].clone();
    }
    Ok(())
}
