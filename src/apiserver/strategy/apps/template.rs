//! Selectors and pod templates of workloads. (kubernetes 1.36: pkg/apis/apps/validation)

use serde_json::{Value, json};

use crate::apiserver::strategy::Change;
use crate::apiserver::strategy::checks::{Report, is_empty_selector, selects};
use crate::apiserver::strategy::fields::items;
use crate::apiserver::strategy::pod_spec::check_spec;

/// The selector is there, is no empty one, and stays.
pub(super) fn selector(change: &Change<'_>, empty: &str, report: &mut Report) {
    let selector = &change.new["spec"]["selector"];
    if selector.is_null() {
        report.required("spec.selector", "");
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
    let (selector, template) = (&spec["selector"], &spec["template"]);
    let labels = &template["metadata"]["labels"];
    match selects(selector, labels) {
        None => report.invalid("spec.selector", selector, "invalid label selector"),
        Some(false) if !selector.is_null() && !is_empty_selector(selector) => {
            let shown = if labels.is_null() { json!({}) } else { labels.clone() };
            let why = "`selector` does not match template `labels`";
            report.invalid("spec.template.metadata.labels", &shown, why);
        }
        Some(_) => {}
    }
    report.labels(labels, "spec.template.labels");
    let pod = &template["spec"];
    // Volumes of a StatefulSet's claims are made with its pods.
    let claims: Vec<&str> = items(&spec["volumeClaimTemplates"])
        .filter_map(|claim| claim["metadata"]["name"].as_str())
        .collect();
    check_spec(pod, "spec.template.spec", &claims, &mut report.causes);
    runs_for_ever(pod, kind, report);
}

fn runs_for_ever(pod: &Value, kind: &str, report: &mut Report) {
    if pod["restartPolicy"] != "Always" {
        let path = "spec.template.spec.restartPolicy";
        report.not_supported(path, &pod["restartPolicy"], &["Always"]);
    }
    let deadline = &pod["activeDeadlineSeconds"];
    if !deadline.is_null() {
        let why = format!("activeDeadlineSeconds in {kind} is not Supported");
        report.forbidden("spec.template.spec.activeDeadlineSeconds", &why);
    }
}
