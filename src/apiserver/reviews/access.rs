//! Whether somebody may do something. (kubernetes 1.36: pkg/registry/authorization,
//! pkg/apis/authorization/validation)

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::apiserver::authentication::Identity;
use crate::apiserver::authorization::{self, Attributes};
use crate::apiserver::strategy::internal;
use crate::machinery::status::{Cause, Status};

const GROUP: &str = "authorization.k8s.io";

/// Refuses a review that describes nothing, two things or nobody, or that has metadata.
///
/// # Errors
/// 422.
pub(super) fn check(review: &Value) -> Result<(), Box<Status>> {
    let mut causes = Vec::new();
    let (spec, kind) = (&review["spec"], text(review, "kind"));
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    if !resource.is_null() && !other.is_null() {
        let why = "cannot be specified in combination with resourceAttributes";
        causes.push(Cause::invalid("spec.nonResourceAttributes", &internal(other), why));
    }
    if resource.is_null() && other.is_null() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        causes.push(Cause::invalid("spec.resourceAttributes", &Value::Null, why));
    }
    let is_of_others = kind != "SelfSubjectAccessReview";
    let has_groups = spec["groups"].as_array().is_some_and(|groups| !groups.is_empty());
    if is_of_others && text(spec, "user").is_empty() && !has_groups {
        let why = "at least one of user or group must be specified";
        causes.push(Cause::invalid("spec.user", &"".into(), why));
    }
    causes.extend(check_selectors(resource));
    let is_local = kind == "LocalSubjectAccessReview";
    let ours = |name: &str| name == "managedFields" || is_local && name == "namespace";
    let given = review["metadata"].as_object().into_iter().flatten();
    if given.into_iter().any(|(name, value)| !ours(name) && !value.is_null()) {
        let why = if is_local { "must be empty except for namespace" } else { "must be empty" };
        causes.push(Cause {
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {}: {why}", internal::metadata(&review["metadata"])),
            field: "metadata".to_owned(),
        });
    }
    if is_local {
        let (wanted, asked) = (text(&review["metadata"], "namespace"), text(resource, "namespace"));
        if !resource.is_null() && asked != wanted {
            let why = "must match metadata.namespace";
            let field = "spec.resourceAttributes.namespace";
            causes.push(Cause::invalid(field, &asked.into(), why));
        }
        if !other.is_null() {
            let why = "disallowed on this kind of request";
            causes.push(Cause::invalid("spec.nonResourceAttributes", &internal(other), why));
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(invalid(causes)) }
}

/// Attributes of no resource as kube-apiserver's internal type shows them.
fn internal(attributes: &Value) -> Value {
    json!({"Path": text(attributes, "path"), "Verb": text(attributes, "verb")})
}

/// Answers what `identity` may do of what the spec, which has been checked, describes.
pub(super) fn review(server: &ApiServer, spec: &Value, identity: &Identity) -> Value {
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let attributes = if resource.is_null() {
        Attributes { verb: text(other, "verb"), path: text(other, "path"), ..Attributes::default() }
    } else {
        Attributes {
            is_resource: true,
            verb: text(resource, "verb"),
            group: text(resource, "group"),
            resource: text(resource, "resource"),
            subresource: text(resource, "subresource"),
            name: text(resource, "name"),
            namespace: text(resource, "namespace"),
            path: "",
        }
    };
    let decision = authorization::decide(server, &attributes, identity);
    let mut status = json!({"allowed": decision.is_allowed});
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    status
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The identity that a review asks about.
pub(super) fn subject(spec: &Value) -> Identity {
    let texts = |list: &Value| -> Vec<Arc<str>> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(Arc::from).collect()
    };
    let extra: BTreeMap<Arc<str>, Vec<Arc<str>>> = spec["extra"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, values)| (key.as_str().into(), texts(values)))
        .collect();
    let (user, groups) = (text(spec, "user"), texts(&spec["groups"]));
    Identity { user: user.into(), uid: text(spec, "uid").into(), groups, extra }
}

/// Selectors are given either parsed or raw. They narrow a request; roles do not look at them.
fn check_selectors(resource: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for name in ["fieldSelector", "labelSelector"] {
        let selector = &resource[name];
        if selector.is_null() {
            continue;
        }
        let path = format!("spec.resourceAttributes.{name}");
        let raw = text(selector, "rawSelector");
        let requirements = selector["requirements"].as_array();
        let count = requirements.map_or(0, Vec::len);
        match (raw.is_empty(), count) {
            (false, 1..) => {
                let why = "may not specified at the same time as requirements";
                causes.push(Cause::invalid(format!("{path}.rawSelector"), &raw.into(), why));
            }
            (true, 0) => {
                let why = "when spec.resourceAttributes.SELECTOR is specified, requirements or \
                           rawSelector is required";
                let why = why.replace("SELECTOR", name);
                causes.push(Cause::required(format!("{path}.requirements"), &why));
            }
            _ => {}
        }
        for (at, requirement) in requirements.into_iter().flatten().enumerate() {
            check_requirement(requirement, &format!("{path}.requirements[{at}]"), &mut causes);
        }
    }
    causes
}

fn check_requirement(requirement: &Value, path: &str, causes: &mut Vec<Cause>) {
    if text(requirement, "key").is_empty() {
        causes.push(Cause::required(format!("{path}.key"), "must be specified"));
    }
    let values = requirement["values"].as_array().map_or(0, Vec::len);
    match text(requirement, "operator") {
        "In" | "NotIn" if values == 0 => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            causes.push(Cause::required(format!("{path}.values"), why));
        }
        "Exists" | "DoesNotExist" if values > 0 => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            causes.push(Cause::forbidden(format!("{path}.values"), why));
        }
        _ => {}
    }
}

/// 422; the kind is empty here, which kube-apiserver shows as a leading dot.
fn invalid(causes: Vec<Cause>) -> Box<Status> {
    let mut status = Status::invalid(GROUP, "", "", causes);
    let text = status.message.find(" \"\" is invalid").map(|at| status.message.split_off(at));
    if let Some(text) = text {
        status.message = format!(".{GROUP}{text}");
    }
    status
}
