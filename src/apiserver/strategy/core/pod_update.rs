//! What may change of a pod. (kubernetes 1.36: pkg/apis/core/validation/validation.go,
//! ValidatePodUpdate, ValidatePodResize, ValidatePodEphemeralContainersUpdate)

use serde_json::Value;

use super::qos;
use crate::apiserver::strategy::difference::unified;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::internal;
use crate::apiserver::strategy::pod_spec::annotations::{APP_ARMOR, MIRROR};
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::resources::amount;

const SPEC: Path<'_> = Path::Root("spec");
const UPDATABLE: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Checks a changed spec.
pub(super) fn spec(report: &mut Report, new: &Value, old: &Value) {
    for field in ["containers", "initContainers"] {
        if items(&new[field]).count() != items(&old[field]).count() {
            let why = "pod updates may not add or remove containers";
            report.forbidden(SPEC.field(field), why);
            return;
        }
    }
    if !active_deadline(report, new, old) {
        return;
    }
    tolerations(report, new, old);
    gates(report, new, old);
    // What may change is made equal; whatever still differs may not.
    let mut rest = new.clone();
    for field in ["containers", "initContainers"] {
        for (index, container) in items(&old[field]).enumerate() {
            rest[field][index]["image"] = container["image"].clone();
        }
    }
    let grace = "terminationGracePeriodSeconds";
    let was_negative = old[grace].as_i64().is_some_and(|seconds| seconds < 0);
    if was_negative && new[grace] == 1 {
        rest[grace] = old[grace].clone();
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        copy(&mut rest, old, field);
    }
    if items(&old["schedulingGates"]).next().is_some() {
        gated(report, &mut rest, old);
    }
    if rest != *old {
        let why = format!(
            "{UPDATABLE}\n{}",
            unified(&internal::pod_spec(old), &internal::pod_spec(&rest))
        );
        report.forbidden(SPEC, &why);
    }
}

fn copy(new: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => new[field] = value.clone(),
        None => crate::apiserver::strategy::fields::remove(new, field),
    }
}

/// A deadline can be set and come nearer; false if there is no need to look further.
fn active_deadline(report: &mut Report, new: &Value, old: &Value) -> bool {
    let field = "activeDeadlineSeconds";
    let path = SPEC.field(field);
    match (new[field].as_i64(), old[field].as_i64()) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            report.invalid_number(path, new, "must be between 0 and 2147483647, inclusive");
            false
        }
        (Some(new), Some(old)) if old < new => {
            report.invalid_number(path, new, "must be less than or equal to previous value");
            false
        }
        (None, Some(_)) => {
            report.shown(path, "null", "must not update from a positive integer to nil value");
            true
        }
        _ => true,
    }
}

fn tolerations(report: &mut Report, new: &Value, old: &Value) {
    let without_time = |toleration: &Value| {
        let mut toleration = toleration.clone();
        crate::apiserver::strategy::fields::remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let kept = |old: &Value| {
        let old = without_time(old);
        items(&new["tolerations"]).any(|new| without_time(new) == old)
    };
    if !items(&old["tolerations"]).all(kept) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        report.forbidden(SPEC.field("tolerations"), why);
    }
}

fn gates(report: &mut Report, new: &Value, old: &Value) {
    let list = SPEC.field("schedulingGates");
    for (index, gate) in items(&new["schedulingGates"]).enumerate() {
        if !items(&old["schedulingGates"]).any(|old| old["name"] == gate["name"]) {
            let name = text(gate, "name");
            let why = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            report.forbidden(list.index(index).field("name"), &why);
        }
    }
}

/// Pods that wait for their gates may still be told where to run.
fn gated(report: &mut Report, rest: &mut Value, old: &Value) {
    let selector = rest["nodeSelector"].as_object();
    let kept = |(key, value): (&String, &Value)| {
        selector.is_some_and(|selector| selector.get(key) == Some(value))
    };
    if !old["nodeSelector"].as_object().into_iter().flatten().all(kept) {
        let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        report.invalid(SPEC.field("nodeSelector"), &rest["nodeSelector"], why);
    }
    copy(rest, old, "nodeSelector");
    let (new, before) = (&rest["affinity"]["nodeAffinity"], &old["affinity"]["nodeAffinity"]);
    if new == before {
        return;
    }
    node_terms(report, &new[REQUIRED]["nodeSelectorTerms"], &before[REQUIRED]["nodeSelectorTerms"]);
    let alone = rest["affinity"].as_object().is_none_or(|affinity| {
        affinity.iter().all(|(name, value)| name == "nodeAffinity" || value.is_null())
    });
    if old["affinity"].is_null() && alone {
        copy(rest, old, "affinity");
    } else {
        let before = before.clone();
        if rest["affinity"].is_null() {
            rest["affinity"] = serde_json::json!({});
        }
        copy(&mut rest["affinity"], &old["affinity"], "nodeAffinity");
        debug_assert_eq!(rest["affinity"]["nodeAffinity"], before);
    }
}

fn node_terms(report: &mut Report, new: &Value, old: &Value) {
    let path = SPEC.field("affinity");
    let path = path.field("nodeAffinity");
    let path = path.field(REQUIRED);
    let list = path.field("nodeSelectorTerms");
    let (count, before) = (items(new).count(), items(old).count());
    if before > 0 && before != count {
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        report.invalid(list, new, why);
        return;
    }
    for (index, (new, old)) in items(new).zip(items(old)).enumerate() {
        let fields = ["matchExpressions", "matchFields"];
        let was_empty = fields.iter().all(|field| items(&old[*field]).next().is_none());
        let is_empty = fields.iter().all(|field| items(&new[*field]).next().is_none());
        let grew = fields.iter().all(|field| {
            let kept = items(&new[*field]).zip(items(&old[*field])).all(|(new, old)| new == old);
            kept && items(&new[*field]).count() >= items(&old[*field]).count()
        });
        if was_empty && !is_empty || !grew {
            let why = "only additions are allowed (no mutations or deletions)";
            report.invalid(list.index(index), new, why);
        }
    }
}

/// Checks changes of annotations that mean something.
pub(super) fn annotations(report: &mut Report, new: &Value, old: &Value) {
    let (new, old) = (&new["metadata"]["annotations"], &old["metadata"]["annotations"]);
    if new == old {
        return;
    }
    let path = Path::Root("metadata.annotations");
    for (key, value) in old.as_object().into_iter().flatten() {
        if new.get(key) == Some(value) {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            report.forbidden(path.key(key), "may not remove or update AppArmor annotations");
        }
        if key == MIRROR {
            report.forbidden(path.key(key), "may not remove or update mirror pod annotation");
        }
    }
    for key in new.as_object().into_iter().flat_map(|it| it.keys()) {
        if old.get(key).is_some() {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            report.forbidden(path.key(key), "may not add AppArmor annotations");
        }
        if key == MIRROR {
            report.forbidden(path.key(key), "may not add mirror pod annotation");
        }
    }
}

fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"][MIRROR].is_string()
}

/// Checks changed ephemeral containers: they can be added, and then stay.
pub(super) fn ephemeral_containers(report: &mut Report, new: &Value, old: &Value) {
    if is_mirror(old) {
        *report = Report::default();
        report.forbidden(Path::Root(""), "static pods do not support ephemeral containers");
        return;
    }
    let path = SPEC.field("ephemeralContainers");
    for container in items(&old["spec"]["ephemeralContainers"]) {
        let name = text(container, "name");
        let kept = items(&new["spec"]["ephemeralContainers"]).find(|new| text(new, "name") == name);
        match kept {
            None => {
                let why = format!("existing ephemeral containers {name:?} may not be removed\n");
                report.forbidden(path, &why);
            }
            Some(kept) if kept != container => {
                let why = format!(
                    "existing ephemeral containers {name:?} may not be changed\n{}",
                    unified(
                        &internal::ephemeral_container(container),
                        &internal::ephemeral_container(kept)
                    )
                );
                report.forbidden(path, &why);
            }
            Some(_) => {}
        }
    }
}

/// Checks a resize: of processor and memory, without a change of class.
pub(super) fn resize(report: &mut Report, new: &Value, old: &Value) {
    let refused = if is_mirror(old) {
        Some("static pods cannot be resized")
    } else if old["spec"]["os"]["name"] == "windows" {
        Some("windows pods cannot be resized")
    } else {
        None
    };
    if let Some(why) = refused {
        *report = Report::default();
        report.forbidden(Path::Root(""), why);
        return;
    }
    let class = qos::class(&new["spec"]);
    if old["status"]["qosClass"].as_str().is_some_and(|old| old != class) {
        let why = "Pod QOS Class may not change as a result of resizing";
        report.invalid_text(SPEC, text(&old["status"], "qosClass"), why);
    }
    for field in ["initContainers", "containers"] {
        let list = SPEC.field(field);
        let pairs = items(&new["spec"][field]).zip(items(&old["spec"][field]));
        for (index, (new, old)) in pairs.enumerate() {
            let restarts = field == "containers" || text(old, "restartPolicy") == "Always";
            if restarts {
                container_resize(report, &list.index(index), new, old);
                only_compute(report, field, new, old);
            } else if new != old {
                let why = "resources for non-sidecar init containers are immutable";
                report.forbidden(SPEC, why);
            }
        }
    }
}

fn only_compute(report: &mut Report, field: &str, new: &Value, old: &Value) {
    let mut rest = new.clone();
    for list in ["requests", "limits"] {
        for name in ["cpu", "memory"] {
            match old["resources"][list].get(name) {
                Some(value) => rest["resources"][list][name] = value.clone(),
                None => {
                    crate::apiserver::strategy::fields::remove(&mut rest["resources"][list], name);
                }
            }
        }
        if old["resources"][list].is_null() {
            crate::apiserver::strategy::fields::remove(&mut rest["resources"], list);
        }
    }
    if rest != *old {
        let why = match field {
            "containers" => "only cpu and memory resources are mutable",
            _ => "only cpu and memory resources for sidecar containers are mutable",
        };
        report.forbidden(SPEC, why);
    }
}

fn container_resize(report: &mut Report, path: &Path<'_>, new: &Value, old: &Value) {
    let path = path.field("resources");
    let (wanted, before) = (&new["resources"], &old["resources"]);
    for list in ["requests", "limits"] {
        let mut names = before[list].as_object().into_iter().flat_map(|it| it.keys());
        if names.any(|name| wanted[list].get(name).is_none()) {
            let why = format!("resource {list} cannot be removed");
            report.forbidden(path.field(list), &why);
        }
    }
    let policy = items(&new["resizePolicy"])
        .find(|policy| policy["resourceName"] == "memory")
        .map_or("", |policy| text(policy, "restartPolicy"));
    let limits = path.field("limits");
    let unlimited_before = amount(&before["limits"], "memory").is_none();
    if policy != "RestartContainer" && unlimited_before && !wanted["limits"]["memory"].is_null() {
        let why = "memory limits cannot be added unless resizePolicy is RestartContainer";
        report.forbidden(limits.key("memory"), why);
    }
}
