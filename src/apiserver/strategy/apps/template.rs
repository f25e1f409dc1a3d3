//! Selectors and pod templates of workloads. (kubernetes 1.36: pkg/apis/apps/validation)

use serde_json::Value;

use crate::apiserver::strategy::Change;
use crate::apiserver::strategy::checks::{is_empty_selector, selects};
use crate::apiserver::strategy::pod_spec::{template, template_metadata};
use crate::apiserver::strategy::report::{Path, Report};

/// The selector is there, is no empty one, and stays.
pub(super) fn selector(change: &Change<'_>, empty: &str, report: &mut Report) {
    let selector = &change.new["spec"]["selector"];
    if selector.is_null() {
        // Without one, a DaemonSet just selects nothing.
        if change.new["kind"] != "DaemonSet" {
            report.required("spec.selector", "");
        }
    } else {
        report.selector(selector, "spec.selector");
        if is_empty_selector(selector) {
            report.invalid("spec.selector", selector, empty);
        }
    }
    if let Some(old) = change.old {
        report.immutable(selector, &old["spec"]["selector"], "spec.selector");
    }
}

/// The selector selects the template's pods, and these run for ever.
pub(super) fn of_replicas(change: &Change<'_>, kind: &str, report: &mut Report) {
    let spec = &change.new["spec"];
    let (selector, pods) = (&spec["selector"], &spec["template"]);
    let labels = &pods["metadata"]["labels"];
    match selects(selector, labels) {
        None if kind == "DaemonSet" => {}
        None if kind == "StatefulSet" => report.invalid("spec.selector", selector, ""),
        None => report.invalid("spec.selector", selector, "invalid label selector"),
        // No selector selects nothing, an empty one everything.
        Some(is_selected)
            if selector.is_null() || (!is_selected && !is_empty_selector(selector)) =>
        {
            let why = "`selector` does not match template `labels`";
            report.invalid("spec.template.metadata.labels", labels, why);
        }
        Some(_) => {}
    }
    let path = Path::Root("spec.template");
    match kind {
        // Upstream leaves the pods themselves to whoever makes them, for the sake of the claims.
        "StatefulSet" => template_metadata(report, &path, pods),
        _ => template(report, &path, pods),
    }
    runs_for_ever(&pods["spec"], kind, report);
}

fn runs_for_ever(pod: &Value, kind: &str, report: &mut Report) {
    if pod["restartPolicy"] != "Always" {
        let path = "spec.template.spec.restartPolicy";
        report.unsupported_value(path, &pod["restartPolicy"], &["Always"]);
    }
    let deadline = &pod["activeDeadlineSeconds"];
    if !deadline.is_null() {
        let why = format!("activeDeadlineSeconds in {kind} is not Supported");
        report.forbidden("spec.template.spec.activeDeadlineSeconds", &why);
    }
}
