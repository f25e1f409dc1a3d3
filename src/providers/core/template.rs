//! When a machine template means new machines.
//! (CAPI v1.14: core/reconcilers/machinedeployment/mdutil)

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::core::{Bootstrap, MachineDeployment, MachineSet, MachineTemplateSpec};
use crate::contract::names;

/// Differences that make machines of `current` outdated, as the UpToDate condition names them;
/// empty if there are none. Labels, annotations and fields that are changed in place do not count.
pub(super) fn differences(
    current: &MachineTemplateSpec,
    desired: &MachineTemplateSpec,
) -> Vec<String> {
    let (current, desired) = (&current.spec, &desired.spec);
    let mut messages = Vec::new();
    if current.version != desired.version {
        messages.push(format!("Version {}, {} required", current.version, desired.version));
    }
    if current.bootstrap != desired.bootstrap {
        messages.push(match &current.bootstrap.config_ref {
            Some(reference) => format!("{} is not up-to-date", without_template(&reference.kind)),
            None => format!(
                "spec.bootstrap.dataSecretName {}, {} required",
                data_secret(&current.bootstrap),
                data_secret(&desired.bootstrap)
            ),
        });
    }
    if current.infrastructure_ref != desired.infrastructure_ref {
        let kind = without_template(&current.infrastructure_ref.kind);
        messages.push(format!("{kind} is not up-to-date"));
    }
    if current.failure_domain != desired.failure_domain {
        messages.push(format!(
            "Failure domain {}, {} required",
            current.failure_domain, desired.failure_domain
        ));
    }
    messages
}

fn without_template(kind: &str) -> &str {
    kind.strip_suffix("Template").unwrap_or(kind)
}

fn data_secret(bootstrap: &Bootstrap) -> &str {
    bootstrap.data_secret_name.as_deref().unwrap_or("nil")
}

/// Whether `spec.rollout.after` of a deployment has passed and the set is older than it.
pub(super) fn is_rollout_due(
    deployment: &MachineDeployment,
    set: &MachineSet,
    now: jiff::Timestamp,
) -> bool {
    let after = deployment.spec.rollout.as_ref().and_then(|rollout| rollout.after.as_ref());
    let created = set.metadata.creation_timestamp.as_ref();
    match (after, created) {
        (Some(Time(after)), Some(Time(created))) => *after < now && created < after,
        (Some(_), None) | (None, _) => false,
    }
}

/// A stable hash of the fields of a template that mean new machines.
pub(super) fn hash(template: &MachineTemplateSpec) -> u32 {
    let mut spec = template.spec.clone();
    spec.cluster_name = String::new();
    spec.provider_id = String::new();
    spec.min_ready_seconds = None;
    spec.readiness_gates = Vec::new();
    spec.deletion = None;
    spec.taints = Vec::new();
    let encoded = serde_json::to_vec(&spec).unwrap_or_default();
    names::template_hash(&encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fields_that_need_new_machines_count() {
        let current = MachineTemplateSpec::default();
        let mut desired = current.clone();
        desired.spec.min_ready_seconds = Some(5);
        desired.metadata.labels.insert("a".into(), "b".into());
        assert!(differences(&current, &desired).is_empty());
        assert_eq!(hash(&current), hash(&desired));
        desired.spec.version = "v1.35.0".into();
        assert_eq!(differences(&current, &desired), ["Version , v1.35.0 required"]);
        assert_ne!(hash(&current), hash(&desired));
    }
}
