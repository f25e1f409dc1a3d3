//! KubeadmControlPlanes and their templates.
//! (CAPI v1.14: api/controlplane/kubeadm/v1beta1/conversion.go,
//! controlplane/kubeadm/webhooks/conversion)

use serde_json::{Value, json};

use super::convert::Converter;
use super::fields::{
    Fields, always, drop_blank, ensure, is_zero, object, put, shift, shift_set, take, text,
};
use super::kubeadm;
use super::status::{Families, initialization_down, initialization_up};
use super::values::{
    Outcome, duration_at, intend_number, naming, reference_down, reference_up, seconds_at,
    timeouts_down, timeouts_up,
};
use crate::machinery::duration;

pub(super) const CONTROL_PLANE: Converter =
    Converter { up: control_plane_up, down: control_plane_down, keeps: true };
pub(super) const TEMPLATE: Converter =
    Converter { up: template_up, down: template_down, keeps: true };

const INITIALIZED: [(&str, &str); 1] = [("initialized", "controlPlaneInitialized")];
const COUNTERS: [&str; 3] = ["updatedReplicas", "readyReplicas", "unavailableReplicas"];
const STATUS: Families = Families {
    old: &[
        "failureReason",
        "failureMessage",
        "updatedReplicas",
        "readyReplicas",
        "unavailableReplicas",
    ],
    old_counters: &COUNTERS,
    new: &["readyReplicas", "availableReplicas", "upToDateReplicas"],
    is_always_there: true,
};

fn control_plane_up(control_plane: &mut Fields, restored: Option<&Value>) -> Outcome {
    if let Some(spec) = object(control_plane, "spec") {
        shift(spec, "machineTemplate.infrastructureRef", "machineTemplate.spec.infrastructureRef");
        reference_up(spec, "machineTemplate.spec.infrastructureRef")?;
        shift(spec, "machineTemplate.readinessGates", "machineTemplate.spec.readinessGates");
        spec_up(spec, restored.and_then(|it| it.get("spec")))?;
    }
    let status = ensure(control_plane, "status");
    // It follows from the number of ready replicas.
    take(status, "ready");
    always(status, &["replicas"], &json!(0));
    if let Some(last) = object(status, "lastRemediation") {
        shift(last, "timestamp", "time");
        always(last, &["retryCount"], &json!(0));
    }
    initialization_up(control_plane, &INITIALIZED, restored);
    STATUS.up(control_plane);
    Ok(())
}

fn control_plane_down(control_plane: &mut Fields) {
    let namespace = text(control_plane, "metadata.namespace").to_owned();
    if let Some(spec) = object(control_plane, "spec") {
        reference_down(spec, "machineTemplate.spec.infrastructureRef", &namespace);
        shift(spec, "machineTemplate.spec.infrastructureRef", "machineTemplate.infrastructureRef");
        shift(spec, "machineTemplate.spec.readinessGates", "machineTemplate.readinessGates");
        spec_down(spec);
    }
    STATUS.down(control_plane);
    initialization_down(control_plane, &INITIALIZED);
    let status = ensure(control_plane, "status");
    always(status, &["replicas"], &json!(0));
    always(status, &COUNTERS, &json!(0));
    let is_ready = status["readyReplicas"].as_i64().is_some_and(|count| count > 0);
    put(status, "ready", is_ready.into());
    if let Some(last) = object(status, "lastRemediation") {
        shift(last, "time", "timestamp");
        always(last, &["retryCount"], &json!(0));
    }
}

fn template_up(template: &mut Fields, restored: Option<&Value>) -> Outcome {
    let Some(spec) = object(template, "spec.template.spec") else { return Ok(()) };
    // The only strategy there is was the default once.
    if let Some(strategy) = object(spec, "rolloutStrategy")
        && strategy.get("type").is_none_or(is_zero)
    {
        put(strategy, "type", "RollingUpdate".into());
    }
    spec_up(spec, restored.and_then(|it| it.pointer("/spec/template/spec")))
}

fn template_down(template: &mut Fields) {
    if let Some(spec) = object(template, "spec.template.spec") {
        spec_down(spec);
    }
}

/// What control planes and their templates have in common.
fn spec_up(spec: &mut Fields, restored: Option<&Value>) -> Outcome {
    if let Some(machine) = object(spec, "machineTemplate") {
        shift(machine, "taints", "spec.taints");
        timeouts_up(machine, "spec.")?;
    }
    if let Some(config) = object(spec, "kubeadmConfigSpec") {
        kubeadm::spec_up(config, restored.and_then(|it| it.get("kubeadmConfigSpec")))?;
    }
    if let Some(mut remediation) = super::fields::take_object(spec, "remediationStrategy") {
        seconds_at(&mut remediation, "minHealthyPeriod", "minHealthyPeriodSeconds")?;
        // Go asks whether the duration is zero, not whether its seconds are.
        let is_short = remediation
            .get("retryPeriod")
            .and_then(|text| duration::parse_nanoseconds(text.as_str()?).ok())
            .is_some_and(|nanoseconds| nanoseconds != 0 && nanoseconds.abs() < 1_000_000_000);
        seconds_at(&mut remediation, "retryPeriod", "retryPeriodSeconds")?;
        let known = restored.and_then(|it| it.pointer("/remediation/retryPeriodSeconds"));
        if !is_short {
            intend_number(&mut remediation, "retryPeriodSeconds", known);
        }
        put(spec, "remediation", remediation.into());
        drop_blank(spec, "remediation");
    }
    shift_set(
        spec,
        "rolloutBefore.certificatesExpiryDays",
        "rollout.before.certificatesExpiryDays",
    );
    take(spec, "rolloutBefore");
    shift(spec, "rolloutAfter", "rollout.after");
    shift_set(spec, "rolloutStrategy.type", "rollout.strategy.type");
    shift(
        spec,
        "rolloutStrategy.rollingUpdate.maxSurge",
        "rollout.strategy.rollingUpdate.maxSurge",
    );
    take(spec, "rolloutStrategy");
    naming(spec, "machineNamingStrategy", "machineNaming");
    Ok(())
}

fn spec_down(spec: &mut Fields) {
    if let Some(machine) = object(spec, "machineTemplate") {
        shift(machine, "spec.taints", "taints");
        timeouts_down(machine, "spec.");
        drop_blank(machine, "spec");
    }
    if let Some(config) = object(spec, "kubeadmConfigSpec") {
        kubeadm::spec_down(config);
    }
    if let Some(mut remediation) = super::fields::take_object(spec, "remediation") {
        duration_at(&mut remediation, "minHealthyPeriodSeconds", "minHealthyPeriod");
        duration_at(&mut remediation, "retryPeriodSeconds", "retryPeriod");
        put(spec, "remediationStrategy", remediation.into());
    }
    let moves = [
        ("rollout.before.certificatesExpiryDays", "rolloutBefore.certificatesExpiryDays"),
        ("rollout.after", "rolloutAfter"),
        ("rollout.strategy.type", "rolloutStrategy.type"),
        ("rollout.strategy.rollingUpdate.maxSurge", "rolloutStrategy.rollingUpdate.maxSurge"),
    ];
    for (from, to) in moves {
        shift(spec, from, to);
    }
    take(spec, "rollout");
    naming(spec, "machineNaming", "machineNamingStrategy");
}
