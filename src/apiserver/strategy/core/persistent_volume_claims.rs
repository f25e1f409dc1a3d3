//! PersistentVolumeClaims. (kubernetes 1.36: pkg/registry/core/persistentvolumeclaim/strategy.go,
//! pkg/apis/core/validation/validation.go, ValidatePersistentVolumeClaimUpdate)

use serde_json::{Value, json};

use crate::apiserver::strategy::difference::unified;
use crate::apiserver::strategy::fields::{fill, items, put, remove, text};
use crate::apiserver::strategy::internal;
use crate::apiserver::strategy::pod_spec::claims::claim_spec;
use crate::apiserver::strategy::pod_spec::warnings::{fractional, is_fractional};
use crate::apiserver::strategy::report::{IMMUTABLE, Path, Report};
use crate::apiserver::strategy::resources::{amount, amounts, quantity};
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

/// Of PersistentVolumeClaims.
pub(super) const RULES: Rules = Rules {
    default,
    initial_status: || Some(json!({"phase": "Pending"})),
    validate,
    warnings,
    ..NONE
};

const SPEC: Path<'_> = Path::Root("spec");
const STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const ONCE: &str = "spec is immutable after creation except resources.requests and \
                    volumeAttributesClassName for bound claims";
const RESIZES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

fn default(claim: &mut Value) {
    fill(&mut claim["status"], "phase", "Pending");
    let spec = &mut claim["spec"];
    put(spec, "volumeMode", "Filesystem");
    // A source that a client names in one of the two fields stands in both.
    if spec["dataSource"].is_object() && spec["dataSourceRef"].is_null() {
        spec["dataSourceRef"] = spec["dataSource"].clone();
    } else if spec["dataSourceRef"].is_object()
        && spec["dataSource"].is_null()
        && text(&spec["dataSourceRef"], "namespace").is_empty()
    {
        let known = matches!(
            (text(&spec["dataSourceRef"], "apiGroup"), text(&spec["dataSourceRef"], "kind")),
            ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
        );
        if known {
            spec["dataSource"] = spec["dataSourceRef"].clone();
        }
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    match (change.old, change.target) {
        (Some(_), Target::Status) => check_status(&mut report, change.new),
        (old, _) => {
            claim_spec(&mut report, &SPEC, &change.new["spec"]);
            if let Some(old) = old {
                check_change(&mut report, change.new, old);
            }
        }
    }
    report.into_causes()
}

fn check_change(report: &mut Report, new: &Value, old: &Value) {
    let class_of = |claim: &Value| claim["metadata"]["annotations"][STORAGE_CLASS].clone();
    let (mut now, mut before) = (new["spec"].clone(), old["spec"].clone());
    if text(&old["spec"], "volumeName").is_empty() {
        copy(&mut before, &now, "volumeName");
    }
    let annotated = class_of(old);
    if before["storageClassName"].is_null()
        && !now["storageClassName"].is_null()
        && (annotated.is_null() || annotated == now["storageClassName"])
    {
        remove(&mut now, "storageClassName");
    } else if class_of(new) != annotated {
        let annotations = Path::Root("metadata.annotations");
        let path = annotations.field(STORAGE_CLASS);
        report.invalid_text(path, class_of(new).as_str().unwrap_or_default(), IMMUTABLE);
    }
    if new["status"]["phase"] == "Bound" {
        if now["resources"]["requests"].is_object() {
            now["resources"]["requests"]["storage"] =
                old["spec"]["resources"]["requests"]["storage"].clone();
        }
        if !now["volumeAttributesClassName"].is_null() {
            copy(&mut now, &before, "volumeAttributesClassName");
        }
    }
    if now != before {
        report.forbidden(
            SPEC,
            &format!(
                "{ONCE}\n{}",
                unified(&internal::claim_spec(&before), &internal::claim_spec(&now))
            ),
        );
    }
    let size = |claim: &Value| amount(&claim["spec"]["resources"]["requests"], "storage");
    if let (Some(new_size), Some(old_size)) = (size(new), size(old))
        && new_size < old_size
        && amount(&old["status"]["capacity"], "storage").is_none_or(|actual| new_size <= actual)
    {
        let has_capacity = amount(&old["status"]["capacity"], "storage").is_some();
        if has_capacity || !new_size.is_positive() {
            let path = SPEC.field("resources");
            let path = path.field("requests");
            let why = "field can not be less than status.capacity";
            report.forbidden(path.field("storage"), why);
        }
    }
    let (new, old) = (&new["spec"], &old["spec"]);
    if new["volumeMode"] != old["volumeMode"] {
        report.invalid(Path::Root("volumeMode"), &new["volumeMode"], IMMUTABLE);
    }
    let class = "volumeAttributesClassName";
    if !old[class].is_null() {
        if new[class].is_null() {
            let why = "update from non-nil value to nil is forbidden";
            report.forbidden(SPEC.field(class), why);
        } else if new[class] == "" && old[class] != "" {
            let why = "update from non-nil value to an empty string is forbidden";
            report.forbidden(SPEC.field(class), why);
        }
    }
}

fn copy(to: &mut Value, from: &Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => remove(to, field),
    }
}

fn check_status(report: &mut Report, claim: &Value) {
    if items(&claim["spec"]["accessModes"]).next().is_none() {
        report.required(Path::Root("Spec.accessModes"), "");
    }
    let status = Path::Root("status");
    let path = status.field("capacity");
    for (name, amount) in amounts(&claim["status"]["capacity"]) {
        if amount.value() < 0 {
            let why = "must be a valid resource quantity";
            report.shown(path.key(name), &amount.value().to_string(), why);
        }
    }
    let path = status.field("allocatedResourceStatus");
    let statuses = claim["status"]["allocatedResourceStatuses"].as_object();
    for (name, status) in statuses.into_iter().flatten() {
        if !RESIZES.contains(&status.as_str().unwrap_or_default()) {
            report.unsupported(path, name, RESIZES);
        }
    }
    let path = status.field("allocatedResources");
    for (name, amount) in amounts(&claim["status"]["allocatedResources"]) {
        quantity(report, &path.key(name), "storage", amount);
    }
}

/// (kubernetes 1.36: pkg/api/persistentvolumeclaim/util.go)
fn warnings(change: &Change<'_>) -> Vec<String> {
    let (spec, mut warnings) = (&change.new["spec"], Vec::new());
    if change.target == Target::Status || change.old.is_some_and(|old| old["spec"] == *spec) {
        return warnings;
    }
    if change.new["metadata"]["annotations"][STORAGE_CLASS].is_string() {
        warnings.push(format!(
            "metadata.annotations[{STORAGE_CLASS}]: deprecated since v1.8; use \
             \"storageClassName\" attribute instead"
        ));
    }
    for list in ["requests", "limits"] {
        let amount = text(&spec["resources"][list], "storage");
        if is_fractional(amount) {
            let path = format!("spec.resources.{list}[storage]");
            warnings.push(fractional(&path, amount));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(size: &str, phase: &str) -> Value {
        let mut claim = json!({
            "spec": {"accessModes": ["ReadWriteOnce"],
                     "resources": {"requests": {"storage": size}}},
            "status": {"phase": phase},
        });
        default(&mut claim);
        claim
    }

    fn check(new: &Value, old: Option<&Value>, expected: &[&str]) {
        let change = Change { new, old, target: Target::Main };
        let causes = validate(&change);
        let shown: Vec<_> = causes
            .iter()
            .map(|cause| cause.to_string().lines().next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(shown, expected, "{new}");
    }

    #[test]
    fn claims_are_checked() {
        check(&claim("1Gi", "Pending"), None, &[]);
        check(
            &json!({"spec": {}}),
            None,
            &[
                "spec.accessModes: Required value: at least 1 access mode is required",
                "spec.resources[storage]: Required value",
            ],
        );
        check(
            &claim("-1", "Pending"),
            None,
            &["spec.resources[storage]: Invalid value: \"-1\": must be greater than zero"],
        );
    }

    #[test]
    fn bound_claims_grow() {
        check(&claim("2Gi", "Bound"), Some(&claim("1Gi", "Bound")), &[]);
        let forbidden = format!("spec: Forbidden: {ONCE}");
        check(&claim("2Gi", "Pending"), Some(&claim("1Gi", "Pending")), &[&forbidden]);
        let mut named = claim("1Gi", "Pending");
        named["spec"]["volumeName"] = "v".into();
        check(&named, Some(&claim("1Gi", "Pending")), &[]);
    }
}
