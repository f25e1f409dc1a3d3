//! Kinds of the group `apps`. (kubernetes 1.36: pkg/apis/apps/{v1/defaults.go,validation},
//! pkg/registry/apps)

mod defaults;
mod status;
mod strategies;
mod template;

use serde_json::{Value, json};

use super::checks::same;
use super::fields::text;
use super::pod_spec::warnings;
use super::report::Report;
use super::{Change, NONE, Rules};
use crate::apiserver::write::Target;
use crate::machinery::names;
use crate::machinery::status::Cause;

const DEPLOYMENT: Rules = Rules {
    default: defaults::deployment,
    validate: |change| check(change, deployment_spec, status::deployment),
    warnings: workload_warnings,
    ..NONE
};

const REPLICA_SET: Rules = Rules {
    default: defaults::replica_set,
    validate: |change| check(change, replica_set_spec, status::replica_set),
    warnings: workload_warnings,
    ..NONE
};

const STATEFUL_SET: Rules = Rules {
    default: defaults::stateful_set,
    prepare_create: |set| set["status"] = json!({"availableReplicas": 0, "replicas": 0}),
    validate: |change| check(change, stateful_set_spec, status::stateful_set),
    warnings: stateful_set_warnings,
    ..NONE
};

const DAEMON_SET: Rules = Rules {
    default: defaults::daemon_set,
    prepare_create: |set| defaults::set_template_generation(set, 1),
    prepare_update: |new, old, target| {
        if target == Target::Main {
            defaults::follow_template(new, old);
        }
    },
    validate: |change| check(change, daemon_set_spec, status::daemon_set),
    warnings: |change| warnings::of_workload(change, "spec.template"),
    ..NONE
};

const CONTROLLER_REVISION: Rules = Rules { validate: revision, ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "ControllerRevision" => &CONTROLLER_REVISION,
        "DaemonSet" => &DAEMON_SET,
        "Deployment" => &DEPLOYMENT,
        "ReplicaSet" => &REPLICA_SET,
        "StatefulSet" => &STATEFUL_SET,
        _ => &NONE,
    }
}

/// Checks a part of an object by the part that a write changes. Specs that do not change are not
/// checked again.
fn check(
    change: &Change<'_>,
    spec: fn(&Change<'_>, &mut Report),
    status: fn(&Value, &Value, &mut Report),
) -> Vec<Cause> {
    let mut report = Report::default();
    match (change.target, change.old) {
        (Target::Status, Some(old)) => status(&change.new["status"], &old["status"], &mut report),
        (_, Some(old)) if old["spec"] == change.new["spec"] => {}
        _ => spec(change, &mut report),
    }
    report.into_causes()
}

/// A new workload's name becomes part of host names.
pub(super) fn name_warning(change: &Change<'_>) -> Vec<String> {
    let wrong = match change.old {
        None => names::check_label(text(&change.new["metadata"], "name")),
        Some(_) => Vec::new(),
    };
    if wrong.is_empty() {
        return wrong;
    }
    vec![format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising \
         behavior; a DNS label is recommended: [{}]",
        wrong.join(" ")
    )]
}

fn workload_warnings(change: &Change<'_>) -> Vec<String> {
    let mut warnings = name_warning(change);
    warnings.extend(warnings::of_workload(change, "spec.template"));
    warnings
}

fn stateful_set_warnings(change: &Change<'_>) -> Vec<String> {
    let mut warnings = warnings::of_workload(change, "spec.template");
    let limit = change.new["spec"]["revisionHistoryLimit"].as_i64();
    if change.target != Target::Status && limit.is_some_and(|limit| limit < 0) {
        warnings.push(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a \
             value >= 0 is recommended"
                .to_owned(),
        );
    }
    warnings
}

fn deployment_spec(change: &Change<'_>, report: &mut Report) {
    let spec = &change.new["spec"];
    report.field_not_negative(spec, "spec", "replicas");
    template::selector(change, "empty selector is invalid for deployment", report);
    template::of_replicas(change, "ReplicaSet", report);
    strategies::deployment(&spec["strategy"], "spec.strategy", report);
    let limits = ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"];
    report.fields_not_negative(spec, "spec", &limits);
    let ready = spec["minReadySeconds"].as_i64().unwrap_or(0);
    if let Some(deadline) = spec["progressDeadlineSeconds"].as_i64()
        && deadline <= ready
    {
        let why = "must be greater than minReadySeconds";
        report.invalid("spec.progressDeadlineSeconds", &deadline.into(), why);
    }
}

fn replica_set_spec(change: &Change<'_>, report: &mut Report) {
    report.fields_not_negative(&change.new["spec"], "spec", &["replicas", "minReadySeconds"]);
    // Upstream's message names the wrong kind, too.
    template::selector(change, "empty selector is invalid for deployment", report);
    template::of_replicas(change, "ReplicaSet", report);
}

fn daemon_set_spec(change: &Change<'_>, report: &mut Report) {
    let spec = &change.new["spec"];
    template::selector(change, "empty selector is invalid for daemonset", report);
    template::of_replicas(change, "DaemonSet", report);
    report.field_not_negative(spec, "spec", "minReadySeconds");
    strategies::daemon_set(&spec["updateStrategy"], "spec.updateStrategy", report);
    report.field_not_negative(spec, "spec", "revisionHistoryLimit");
}

/// What may change of a StatefulSet's spec.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "revisionHistoryLimit",
];

fn stateful_set_spec(change: &Change<'_>, report: &mut Report) {
    let spec = &change.new["spec"];
    if !matches!(text(spec, "podManagementPolicy"), "OrderedReady" | "Parallel") {
        let why = "must be 'OrderedReady' or 'Parallel'";
        report.invalid("spec.podManagementPolicy", &spec["podManagementPolicy"], why);
    }
    strategies::stateful_set(&spec["updateStrategy"], "spec.updateStrategy", report);
    let policy = &spec["persistentVolumeClaimRetentionPolicy"];
    for field in ["whenDeleted", "whenScaled"] {
        let path = "spec.persistentVolumeClaimRetentionPolicy";
        report.field_one_of(policy, path, field, &["Retain", "Delete"]);
    }
    report.fields_not_negative(spec, "spec", &["replicas", "minReadySeconds"]);
    report.field_not_negative(&spec["ordinals"], "spec.ordinals", "start");
    let Some(old) = change.old else {
        template::selector(change, "empty selector is invalid for statefulset", report);
        template::of_replicas(change, "StatefulSet", report);
        return;
    };
    // The selector is among what may not change at all.
    template::of_replicas(change, "StatefulSet", report);
    let fixed = |spec: &Value| {
        let members = spec.as_object().into_iter().flatten();
        let fixed = members.filter(|(name, _)| !MUTABLE.contains(&name.as_str()));
        Value::from_iter(fixed.map(|(name, value)| (name.clone(), value.clone())))
    };
    if fixed(spec) != fixed(&old["spec"]) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
                   'template', 'updateStrategy', 'revisionHistoryLimit', \
                   'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        report.forbidden("spec", why);
    }
}

fn revision(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    if change.new["data"].is_null() {
        report.required("data", "data is mandatory");
    }
    if let Some(number) = change.new["revision"].as_i64()
        && number < 0
    {
        report.invalid("revision", &number.into(), "must be greater than or equal to 0");
    }
    if let Some(old) = change.old
        && !same(&change.new["data"], &old["data"])
    {
        report.immutable(&change.new["data"], &old["data"], "data");
    }
    report.into_causes()
}

#[cfg(test)]
mod tests;
