//! `RuntimeClass`: a pod's class exists, and says what the pod costs beyond its containers.
//! (kubernetes 1.36: plugin/pkg/admission/runtimeclass)

use serde_json::{Value, json};

use super::{NOTHING, Plugin, forbidden, get};
use crate::apiserver::admission::attributes::Attributes;
use crate::machinery::status::Status;

/// Of new pods.
pub(super) const POD: Plugin = Plugin {
    name: "RuntimeClass",
    needed: |_, pod| {
        !pod["spec"]["runtimeClassName"].is_null() || !pod["spec"]["overhead"].is_null()
    },
    admit,
    ..NOTHING
};

fn admit(
    attributes: &Attributes<'_>,
    pod: &mut Value,
    _old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let Some(name) = pod["spec"]["runtimeClassName"].as_str().filter(|name| !name.is_empty())
    else {
        if pod["spec"]["overhead"].as_object().is_some_and(|overhead| !overhead.is_empty()) {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined \
                       Overhead";
            return Err(forbidden(attributes, pod, why));
        }
        return Ok(());
    };
    let Some(class) = get(attributes.call.server, ("node.k8s.io", "runtimeclasses"), name) else {
        let why = format!("pod rejected: RuntimeClass \"{name}\" not found");
        return Err(forbidden(attributes, pod, &why));
    };
    let fixed = &class["overhead"]["podFixed"];
    if fixed.is_object() {
        let given = &pod["spec"]["overhead"];
        if !given.is_null() && given != fixed {
            let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
            return Err(forbidden(attributes, pod, why));
        }
        pod["spec"]["overhead"] = fixed.clone();
    }
    schedule(attributes, pod, &class["scheduling"])
}

/// The class decides where its pods may run.
fn schedule(
    attributes: &Attributes<'_>,
    pod: &mut Value,
    scheduling: &Value,
) -> Result<(), Box<Status>> {
    for (key, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let given = &pod["spec"]["nodeSelector"][key.as_str()];
        if !given.is_null() && given != value {
            let (shown, wanted) =
                (given.as_str().unwrap_or_default().to_owned(), value.as_str().unwrap_or_default());
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; \
                 pod.spec.nodeSelector[{key}] = {shown}"
            );
            return Err(forbidden(attributes, pod, &why));
        }
        pod["spec"]["nodeSelector"][key.as_str()] = value.clone();
    }
    let wanted = scheduling["tolerations"].as_array().cloned().unwrap_or_default();
    if wanted.is_empty() {
        return Ok(());
    }
    if !pod["spec"]["tolerations"].is_array() {
        pod["spec"]["tolerations"] = json!([]);
    }
    if let Some(tolerations) = pod["spec"]["tolerations"].as_array_mut() {
        tolerations.extend(wanted);
        let mut seen: Vec<Value> = Vec::new();
        tolerations.retain(|toleration| {
            let is_new = !seen.contains(toleration);
            seen.push(toleration.clone());
            is_new
        });
    }
    Ok(())
}
