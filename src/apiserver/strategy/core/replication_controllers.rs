//! ReplicationControllers. (kubernetes 1.36: pkg/apis/core/v1/defaults.go,
//! pkg/apis/core/validation/validation.go, ValidateReplicationController)

use serde_json::{Value, json};

use crate::apiserver::strategy::fields::{put, remove, text};
use crate::apiserver::strategy::pod_spec::{template, template_owner, warnings};
use crate::apiserver::strategy::report::{Path, Report};
use crate::apiserver::strategy::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::status::Cause;

/// Of ReplicationControllers.
pub(super) const RULES: Rules = Rules {
    default,
    initial_status: || Some(json!({"replicas": 0})),
    validate,
    warnings: |change| match change.target {
        Target::Status => Vec::new(),
        _ => warnings::of_template(
            &change.new["spec"]["template"],
            "spec.template",
            change.old.map(|old| &old["spec"]["template"]),
        ),
    },
    ..NONE
};

const COUNTS: [&str; 5] = [
    "replicas",
    "fullyLabeledReplicas",
    "readyReplicas",
    "availableReplicas",
    "observedGeneration",
];

/// Selector and labels come from the template if need be.
fn default(controller: &mut Value) {
    if controller["spec"]["template"].is_object() {
        template_owner(controller);
    }
    let spec = &mut controller["spec"];
    put(spec, "replicas", 1);
    let labels = spec["template"]["metadata"]["labels"].clone();
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        let is_empty = |value: &Value| value.as_object().is_none_or(serde_json::Map::is_empty);
        if is_empty(&controller["spec"]["selector"]) {
            controller["spec"]["selector"] = labels.clone();
        }
        if is_empty(&controller["metadata"]["labels"]) {
            controller["metadata"]["labels"] = labels;
        }
    }
    if controller["spec"]["minReadySeconds"] == 0 {
        remove(&mut controller["spec"], "minReadySeconds");
    }
}

fn validate(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    match change.target {
        Target::Status => check_status(&mut report, &change.new["status"]),
        _ => check_spec(&mut report, &change.new["spec"]),
    }
    report.into_causes()
}

fn check_spec(report: &mut Report, spec: &Value) {
    let path = Path::Root("spec");
    report.not_negative(path.field("minReadySeconds"), &spec["minReadySeconds"]);
    let selector = spec["selector"].as_object().filter(|selector| !selector.is_empty());
    if selector.is_none() {
        report.required(path.field("selector"), "");
    }
    report.not_negative(path.field("replicas"), &spec["replicas"]);
    let (pod, path) = (&spec["template"], path.field("template"));
    if !pod.is_object() {
        report.required(path, "");
        return;
    }
    let labels = &pod["metadata"]["labels"];
    let mut wanted = selector.into_iter().flatten();
    if wanted.any(|(name, value)| labels.get(name) != Some(value)) {
        let why = "`selector` does not match template `labels`";
        report.invalid(path.field("metadata").field("labels"), labels, why);
    }
    template(report, &path, pod);
    let spec = path.field("spec");
    let policy = text(&pod["spec"], "restartPolicy");
    if policy != "Always" {
        report.unsupported(spec.field("restartPolicy"), policy, &["Always"]);
    }
    if !pod["spec"]["activeDeadlineSeconds"].is_null() {
        let why = "activeDeadlineSeconds in ReplicationController is not Supported";
        report.forbidden(spec.field("activeDeadlineSeconds"), why);
    }
}

fn check_status(report: &mut Report, status: &Value) {
    let path = Path::Root("status");
    for field in COUNTS {
        report.not_negative(path.field(field), &status[field]);
    }
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    for field in &COUNTS[1..4] {
        if count(field) > count("replicas") {
            let why = "cannot be greater than status.replicas";
            report.invalid_number(path.field(field), count(field), why);
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let why = "cannot be greater than readyReplicas";
        report.invalid_number(path.field("availableReplicas"), count("availableReplicas"), why);
    }
}
