//! A request as reviews and expressions show it.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/webhook/request/admissionreview.go)

use serde_json::{Value, json};

use super::attributes::Attributes;
use crate::apiserver::profile::Resource;
use crate::machinery::gvk::GroupVersionKind;

/// An AdmissionRequest without uid and objects; `resource` is in the version in which the objects
/// are shown.
pub(super) fn describe(attributes: &Attributes<'_>, shown: &Resource) -> Value {
    let subresource = attributes.subresource();
    let mut request = json!({
        "kind": kind(&shown_kind(attributes, shown)),
        "resource": resource(shown),
        "requestKind": kind(&attributes.kind),
        "requestResource": resource(attributes.resource()),
        "operation": attributes.operation.name(),
        "userInfo": attributes.call.identity.to_user_info(),
        "dryRun": attributes.dry_run,
        "options": attributes.options,
    });
    let texts = [
        ("subResource", subresource),
        ("requestSubResource", subresource),
        ("name", &attributes.name),
        ("namespace", &attributes.namespace),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            request[name] = text.into();
        }
    }
    request
}

/// The kind of the objects if the request were for `resource`: subresources with kinds of their
/// own have them in every version.
fn shown_kind(attributes: &Attributes<'_>, resource: &Resource) -> GroupVersionKind {
    let own = &attributes.resource().definition;
    if attributes.kind.kind != own.kind {
        return attributes.kind.clone();
    }
    let definition = &resource.definition;
    GroupVersionKind {
        group: definition.group.clone(),
        version: definition.version.clone(),
        kind: definition.kind.clone(),
    }
}

fn kind(kind: &GroupVersionKind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn resource(resource: &Resource) -> Value {
    let definition = &resource.definition;
    json!({
        "group": definition.group, "version": definition.version, "resource": definition.plural,
    })
}
