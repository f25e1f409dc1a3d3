//! Whether a Machine is what the KubeadmControlPlane would make today.
//! (CAPI v1.14: controlplane/kubeadm/pkg/filters.go)

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::desired::{self, Mode};
use super::scope::{ControlPlane, OwnedMachine};
use crate::api::bootstrap::KubeadmConfig;
use crate::api::core::Machine;

/// Reasons why a Machine needs a rollout, as its condition tells them; none if it is up to date.
pub(super) fn outdated(control_plane: &ControlPlane, owned: &OwnedMachine) -> Vec<String> {
    let kcp = &control_plane.kcp;
    let mut messages = Vec::new();
    if expires_soon(control_plane, &owned.machine) {
        messages.push("Certificates will expire soon".to_owned());
    }
    if is_before_rollout_after(control_plane, &owned.machine) {
        messages.push("KubeadmControlPlane spec.rolloutAfter expired".to_owned());
    }
    if owned.machine.spec.version != kcp.spec.version {
        messages
            .push(format!("Version {}, {} required", owned.machine.spec.version, kcp.spec.version));
    }
    if owned.config.as_ref().is_some_and(|config| !matches(control_plane, config)) {
        messages.push("KubeadmConfig is not up-to-date".to_owned());
    }
    if is_infrastructure_rotated(control_plane, owned) {
        let kind = &owned.machine.spec.infrastructure_ref.kind;
        messages.push(format!("{kind} is not up-to-date"));
    }
    messages
}

fn expires_soon(control_plane: &ControlPlane, machine: &Machine) -> bool {
    let before = control_plane.kcp.spec.rollout.as_ref().and_then(|r| r.before.as_ref());
    let days = before.and_then(|before| before.certificates_expiry_days).unwrap_or(0);
    let expiry = machine.status.as_ref().and_then(|s| s.certificates_expiry_date.as_ref());
    match (u64::try_from(days), expiry) {
        (Ok(days @ 1..), Some(expiry)) => {
            let notice = Duration::from_secs(days.saturating_mul(24 * 3600));
            control_plane.now.checked_add(notice).unwrap_or(Timestamp::MAX) > expiry.0
        }
        _ => false,
    }
}

fn is_before_rollout_after(control_plane: &ControlPlane, machine: &Machine) -> bool {
    let after = control_plane.kcp.spec.rollout.as_ref().and_then(|r| r.after.as_ref());
    let Some(after) = after else { return false };
    let created: Option<Timestamp> = machine.metadata.creation_timestamp.as_ref().map(|t| t.0);
    after.0 < control_plane.now && created.is_some_and(|created| created < after.0)
}

/// When Machines that are up to date now will not be any more.
pub(super) fn due(control_plane: &ControlPlane) -> Vec<Timestamp> {
    let rollout = control_plane.kcp.spec.rollout.clone().unwrap_or_default();
    let mut due: Vec<Timestamp> = rollout.after.into_iter().map(|after| after.0).collect();
    let days = rollout.before.and_then(|before| before.certificates_expiry_days).unwrap_or(0);
    let Ok(days @ 1..) = u64::try_from(days) else { return due };
    let notice = Duration::from_secs(days.saturating_mul(24 * 3600));
    for owned in &control_plane.machines {
        let status = owned.machine.status.as_ref();
        let expiry = status.and_then(|status| status.certificates_expiry_date.as_ref());
        due.extend(expiry.and_then(|expiry| expiry.0.checked_sub(notice).ok()));
    }
    due
}

/// Whether the infrastructure machine came from another template than the present one. Machines
/// without the annotations (adopted ones) never do.
fn is_infrastructure_rotated(control_plane: &ControlPlane, owned: &OwnedMachine) -> bool {
    let Some(from) = &owned.cloned_from else { return false };
    let reference = &control_plane.kcp.spec.machine_template.spec.infrastructure_ref;
    from.name != reference.name
        || from.group_kind != format!("{}.{}", reference.kind, reference.api_group)
}

/// Whether a KubeadmConfig equals the wanted one. The first machine's config is compared as if it
/// had joined, because init and join are expected to be configured alike, and then as it is.
fn matches(control_plane: &ControlPlane, config: &KubeadmConfig) -> bool {
    let name = config.metadata.name.as_deref().unwrap_or_default();
    let current = spec_of(config);
    let join = spec_of(&desired::kubeadm_config(control_plane, Mode::Join, name));
    if current["joinConfiguration"]["controlPlane"].is_object() {
        return comparable(current, &join) == comparable(join.clone(), &join);
    }
    if comparable(joined(&current, &join), &join) == comparable(join.clone(), &join) {
        return true;
    }
    let init = spec_of(&desired::kubeadm_config(control_plane, Mode::Init, name));
    comparable(current, &init) == comparable(init.clone(), &init)
}

fn spec_of(config: &KubeadmConfig) -> Value {
    // A struct of strings, numbers and JSON values always encodes.
    serde_json::to_value(&config.spec).unwrap_or_default()
}

/// An init config told as a join config.
fn joined(current: &Value, desired: &Value) -> Value {
    let mut current = current.clone();
    let init = current["initConfiguration"].take();
    let mut join = json!({"controlPlane": {"localAPIEndpoint": init["localAPIEndpoint"]}});
    for field in ["timeouts", "patches", "skipPhases", "nodeRegistration"] {
        join[field] = init[field].clone();
    }
    join["caCertPath"] = desired["joinConfiguration"]["caCertPath"].clone();
    current["joinConfiguration"] = join;
    current
}

/// What is left of a spec when all is gone that must not cause a rollout.
fn comparable(mut spec: Value, desired: &Value) -> Value {
    for field in ["controlPlaneEndpoint", "dns"] {
        spec["clusterConfiguration"][field] = desired["clusterConfiguration"][field].clone();
    }
    if spec["format"].is_null() {
        spec["format"] = json!("cloud-config");
    }
    for configuration in ["initConfiguration", "joinConfiguration"] {
        let configuration = &mut spec[configuration];
        if configuration["nodeRegistration"]["imagePullPolicy"].is_null() {
            configuration["nodeRegistration"]["imagePullPolicy"] = json!("IfNotPresent");
        }
        if configuration["timeouts"].is_object() {
            configuration["timeouts"]["controlPlaneComponentHealthCheckSeconds"] = Value::Null;
        }
    }
    spec["joinConfiguration"]["discovery"] = Value::Null;
    without_empty(spec)
}

/// Drops empty values everywhere but in `taints`, where an empty list means "no taint".
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| {
                    let value = if key == "taints" { value } else { without_empty(value) };
                    (key, value)
                })
                .filter(|(key, value)| match value {
                    Value::Null => false,
                    Value::Object(map) => !map.is_empty(),
                    Value::Array(items) => key == "taints" || !items.is_empty(),
                    Value::String(text) => !text.is_empty(),
                    Value::Bool(_) | Value::Number(_) => true,
                })
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(without_empty).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::providers::controlplane::scope::ClonedFrom;

    fn control_plane() -> ControlPlane {
        let mut control_plane = ControlPlane::default();
        control_plane.kcp.spec.version = "v1.34.0".into();
        control_plane.kcp.spec.kubeadm_config_spec.cluster_configuration =
            Some(json!({"apiServer": {"certSANs": ["localhost"]}}));
        control_plane
    }

    fn owned(control_plane: &ControlPlane, mode: Mode) -> OwnedMachine {
        let mut owned = OwnedMachine::default();
        owned.machine.spec.version = "v1.34.0".into();
        owned.machine.spec.infrastructure_ref.kind = "DevMachine".into();
        let mut config = desired::kubeadm_config(control_plane, mode, "m");
        if let Some(configuration) = &mut config.spec.cluster_configuration {
            configuration["controlPlaneEndpoint"] = json!("1.2.3.4:5");
        }
        if let Some(join) = &mut config.spec.join_configuration {
            join["discovery"] = json!({"bootstrapToken": {"token": "t"}});
        }
        owned.config = Some(Arc::new(config));
        owned
    }

    #[test]
    fn what_the_bootstrap_provider_adds_causes_no_rollout() {
        let control_plane = control_plane();
        for mode in [Mode::Init, Mode::Join] {
            let owned = owned(&control_plane, mode);
            assert_eq!(outdated(&control_plane, &owned), Vec::<String>::new(), "{mode:?}");
        }
    }

    #[test]
    fn changes_are_named() {
        let mut control_plane = control_plane();
        let mut owned = owned(&control_plane, Mode::Join);
        owned.cloned_from =
            Some(ClonedFrom { name: "old".into(), group_kind: "DevMachineTemplate.g".into() });
        let reference = &mut control_plane.kcp.spec.machine_template.spec.infrastructure_ref;
        (reference.api_group, reference.kind, reference.name) =
            ("g".into(), "DevMachineTemplate".into(), "new".into());
        control_plane.kcp.spec.version = "v1.35.0".into();
        control_plane.kcp.spec.kubeadm_config_spec.pre_kubeadm_commands = vec!["x".into()];
        assert_eq!(
            outdated(&control_plane, &owned),
            [
                "Version v1.34.0, v1.35.0 required",
                "KubeadmConfig is not up-to-date",
                "DevMachine is not up-to-date"
            ]
        );
    }

    #[test]
    fn init_machine_follows_the_join_configuration_too() {
        let mut control_plane = control_plane();
        let registration = json!({"nodeRegistration": {"name": "n", "taints": []}});
        let spec = &mut control_plane.kcp.spec.kubeadm_config_spec;
        spec.init_configuration = Some(registration.clone());
        spec.join_configuration = Some(registration);
        let owned = owned(&control_plane, Mode::Init);
        assert!(outdated(&control_plane, &owned).is_empty());
        let join = json!({"nodeRegistration": {"name": "other"}});
        control_plane.kcp.spec.kubeadm_config_spec.join_configuration = Some(join);
        assert!(outdated(&control_plane, &owned).is_empty(), "init itself did not change");
    }
}
