//! Containers that are privileged where the server does not allow it (`--allow-privileged`).
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, ValidateSecurityContext)

use serde_json::Value;

use super::Change;
use crate::apiserver::profile::Resource;
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

/// One cause for every privileged container of a pod, or of the pods that an object makes.
pub(in crate::apiserver) fn check(resource: &Resource, change: &Change<'_>) -> Vec<Cause> {
    let is_written = matches!(change.target, Target::Main | Target::EphemeralContainers);
    let Some(path) = pod_spec(resource).filter(|_| is_written) else { return Vec::new() };
    let spec = path.iter().fold(change.new, |value, field| &value[field]);
    let mut causes = Vec::new();
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = spec[list].as_array().into_iter().flatten().enumerate();
        for (index, _) in containers.filter(|(_, it)| is_privileged(it)) {
            let field = format!("{}.{list}[{index}].securityContext.privileged", path.join("."));
            causes.push(Cause::forbidden(field, "disallowed by cluster policy"));
        }
    }
    causes
}

fn is_privileged(container: &Value) -> bool {
    container["securityContext"]["privileged"] == true
}

/// Where a built-in kind has the spec of its pods.
fn pod_spec(resource: &Resource) -> Option<&'static [&'static str]> {
    if !resource.is_built_in() {
        return None;
    }
    match (&*resource.key.group, &*resource.key.plural) {
        ("", "pods") => Some(&["spec"]),
        ("", "podtemplates") => Some(&["template", "spec"]),
        ("batch", "cronjobs") => Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
        ("", "replicationcontrollers")
        | ("apps", "daemonsets" | "deployments" | "replicasets" | "statefulsets")
        | ("batch", "jobs") => Some(&["spec", "template", "spec"]),
        _ => None,
    }
}
