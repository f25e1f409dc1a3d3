//! Annotations of pods that mean something.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, ValidatePodSpecificAnnotations)

use serde_json::Value;

use super::containers_of;
use super::paths::descending;
use crate::apiserver::strategy::fields::text;
use crate::apiserver::strategy::report::{Path, Report};

/// Marks the mirror of a static pod.
pub(in crate::apiserver::strategy) const MIRROR: &str = "kubernetes.io/config.mirror";
/// Prefix of the old form of AppArmor profiles, by container.
pub(in crate::apiserver::strategy) const APP_ARMOR: &str =
    "container.apparmor.security.beta.kubernetes.io/";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// Checks annotations of a pod or a template with `spec`.
pub(in crate::apiserver::strategy) fn annotations(
    report: &mut Report,
    path: &Path<'_>,
    metadata: &Value,
    spec: &Value,
) {
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if key == MIRROR {
            if text(spec, "nodeName").is_empty() {
                let why = "must set spec.nodeName if mirror pod annotation is set";
                report.invalid_text(path.key(key), value, why);
            }
        } else if key == DELETION_COST {
            let digits = value.strip_prefix('-').unwrap_or(value);
            let is_plain = digits == "0" || !digits.starts_with('0');
            if value.parse::<i32>().is_err() || !is_plain || value.starts_with('+') {
                report.invalid_text(path.key(key), value, "must be a 32bit integer");
            }
        } else if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            seccomp(report, &path.field(key), value);
        } else if let Some(container) = key.strip_prefix(APP_ARMOR) {
            let place = path.key(key);
            if !containers_of(spec).any(|(_, _, it)| text(it, "name") == container) {
                report.invalid_text(place, container, "container not found");
            }
            let known = matches!(value, "" | "runtime/default" | "unconfined");
            if !known && !value.starts_with("localhost/") {
                let why = format!("invalid AppArmor profile name: {value:?}");
                report.invalid_text(place, value, &why);
            }
        }
    }
}

fn seccomp(report: &mut Report, path: &Path<'_>, profile: &str) {
    if matches!(profile, "runtime/default" | "docker/default" | "unconfined") {
        return;
    }
    match profile.strip_prefix("localhost/") {
        Some(local) => descending(report, path, local),
        None => report.invalid_text(path, profile, "must be a valid seccomp profile"),
    }
}
