//! Kinds of the group `batch`. (kubernetes 1.36: pkg/apis/batch/{v1/defaults.go,validation},
//! pkg/registry/batch)

mod cron;
mod defaults;
mod indexes;
mod policies;
mod spec;
mod status;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::fields::{put, text};
use super::pod_spec::warnings;
use super::report::Report;
use super::{Change, NONE, Rules, apps};
use crate::apiserver::write::Target;
use crate::machinery::names;
use crate::machinery::status::Cause;

const JOB: Rules = Rules {
    default: defaults::job,
    prepare_create: generate_selector,
    validate: job,
    warnings: job_warnings,
    ..NONE
};

const CRON_JOB: Rules =
    Rules { default: defaults::cron_job, validate: cron_job, warnings: cron_warnings, ..NONE };

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "CronJob" => &CRON_JOB,
        "Job" => &JOB,
        _ => &NONE,
    }
}

/// Labels of a Job's pods that say whose they are: with Kubernetes' prefix, and as of old.
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// Longest name of a CronJob: its Jobs' names have eleven characters more.
const CRON_NAME_MAX: usize = 52;

/// Gives a new Job's pods labels that nobody else's have, and selects them.
fn generate_selector(job: &mut Value) {
    let [uid, name] = ["uid", "name"].map(|field| job["metadata"][field].clone());
    if job["spec"]["manualSelector"] != true {
        let labels = put(&mut job["spec"]["template"]["metadata"], "labels", json!({}));
        for label in UID_LABELS {
            put(labels, label, uid.clone());
        }
        for label in NAME_LABELS {
            put(labels, label, name.clone());
        }
        let selector = put(&mut job["spec"], "selector", json!({}));
        put(put(selector, "matchLabels", json!({})), UID_LABELS[0], uid);
    }
    defaults::job_labels(job);
}

fn job(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    match (change.target, change.old) {
        (Target::Status, Some(old)) => status::check(change.new, old, &mut report),
        (_, Some(old)) if old["spec"] == change.new["spec"] => {}
        (_, old) => {
            generated_selector(change.new, &mut report);
            spec::job(change.new, &mut report);
            indexed_name(change.new, &mut report);
            if let Some(old) = old {
                // Upstream checks the spec as one of a new Job and as a changed one.
                spec::job(change.new, &mut report);
                spec::job_update(&change.new["spec"], old, &mut report);
            }
        }
    }
    report.into_causes()
}

/// Labels and selector are those that were generated, unless the client made its own.
fn generated_selector(job: &Value, report: &mut Report) {
    let spec = &job["spec"];
    if spec["manualSelector"] == true || spec["selector"].is_null() {
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let expected = [
        (UID_LABELS[1], text(&job["metadata"], "uid")),
        (NAME_LABELS[1], text(&job["metadata"], "name")),
        (UID_LABELS[0], text(&job["metadata"], "uid")),
        (NAME_LABELS[0], text(&job["metadata"], "name")),
    ];
    for (label, wanted) in expected {
        let path = format!("spec.template.metadata.labels[{label}]");
        let why = format!("must be '{wanted}'");
        match labels[label].as_str() {
            None => report.required(path, &why),
            Some(given) if given != wanted => report.invalid(path, labels, &why),
            Some(_) => {}
        }
    }
    let generated: Value = expected.iter().map(|(label, text)| (*label, *text)).collect();
    if super::checks::selects(&spec["selector"], &generated) == Some(false) {
        report.invalid("spec.selector", &spec["selector"], "`selector` not auto-generated");
    }
}

/// Host names of an indexed Job's pods end with their index.
fn indexed_name(job: &Value, report: &mut Report) {
    let (name, completions) = (text(&job["metadata"], "name"), job["spec"]["completions"].as_i64());
    let (true, Some(completions @ 1..)) = (job["spec"]["completionMode"] == "Indexed", completions)
    else {
        return;
    };
    let last = format!("{name}-{}", completions - 1);
    if !names::check_label(&last).is_empty() {
        let why = format!("will not able to create pod with invalid DNS label: {last}");
        report.invalid("metadata.name", &name.into(), &why);
    }
}

fn cron_job(change: &Change<'_>) -> Vec<Cause> {
    let mut report = Report::default();
    let new = change.new;
    if change.target == Target::Status || change.old.is_some_and(|old| old["spec"] == new["spec"]) {
        return report.into_causes();
    }
    spec::cron_job(&new["spec"], change.old.map(|old| &old["spec"]), &mut report);
    let name = text(&new["metadata"], "name");
    if change.old.is_none() && name.len() > CRON_NAME_MAX {
        let why = format!("must be no more than {CRON_NAME_MAX} characters");
        report.invalid("metadata.name", &name.into(), &why);
    }
    report.into_causes()
}

fn job_warnings(change: &Change<'_>) -> Vec<String> {
    let mut warnings = apps::name_warning(change);
    let spec = &change.new["spec"];
    let count = |field: &str| spec[field].as_i64().unwrap_or(0);
    let is_large = count("completions") > 100_000 && count("parallelism") > 10_000;
    if change.target == Target::Main && spec["completionMode"] == "Indexed" && is_large {
        warnings.push(
            "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism \
             higher than 10^4, Kubernetes might not be able to track completedIndexes when a big \
             number of indexes fail"
                .to_owned(),
        );
    }
    warnings.extend(warnings::of_workload(change, "spec.template"));
    warnings
}

fn cron_warnings(change: &Change<'_>) -> Vec<String> {
    let mut warnings = apps::name_warning(change);
    if change.target == Target::Main && text(&change.new["spec"], "schedule").contains("TZ") {
        warnings.push(
            "CRON_TZ or TZ used in spec.schedule, this is not officially supported, see \
             https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
                .to_owned(),
        );
    }
    warnings.extend(warnings::of_workload(change, "spec.jobTemplate.spec.template"));
    warnings
}
