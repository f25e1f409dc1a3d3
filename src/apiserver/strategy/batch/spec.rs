//! Specs of Jobs and CronJobs. (kubernetes 1.36: pkg/apis/batch/validation)

use serde_json::{Value, json};

use super::{cron, policies};
use crate::apiserver::strategy::checks::{same, selects};
use crate::apiserver::strategy::fields::text;
use crate::apiserver::strategy::internal;
use crate::apiserver::strategy::pod_spec::template;
use crate::apiserver::strategy::report::{IMMUTABLE, Path, Report};

const MANY: i64 = 100_000;
const FEW: i64 = 10_000;
const MANAGED_BY_MAX: usize = 63;

/// A Job's spec, with the selector that it must have by now.
pub(super) fn job(job: &Value, report: &mut Report) {
    let spec = &job["spec"];
    job_template(spec, "spec", report);
    let (selector, labels) = (&spec["selector"], &spec["template"]["metadata"]["labels"]);
    if selector.is_null() {
        report.required("spec.selector", "");
    } else {
        report.selector(selector, "spec.selector");
    }
    if selects(selector, labels) == Some(false) {
        let why = "`selector` does not match template `labels`";
        report.invalid("spec.template.metadata.labels", labels, why);
    }
}

/// What Jobs and templates of Jobs have in common.
fn job_template(spec: &Value, path: &str, report: &mut Report) {
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    report.fields_not_negative(spec, path, &counts);
    if !spec["maxFailedIndexes"].is_null() && spec["backoffLimitPerIndex"].is_null() {
        let why = "when maxFailedIndexes is specified";
        report.required(format!("{path}.backoffLimitPerIndex"), why);
    }
    if let Some(manager) = spec["managedBy"].as_str() {
        let path = format!("{path}.managedBy");
        report.domain_prefixed_path(&path, manager);
        report.text_within(&path, manager.len(), MANAGED_BY_MAX);
    }
    report.field_one_of(spec, path, "completionMode", &["NonIndexed", "Indexed"]);
    match text(spec, "completionMode") {
        "Indexed" => indexed(spec, path, report),
        "" | "NonIndexed" => {
            for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
                if !spec[field].is_null() {
                    let why = "requires indexed completion mode";
                    report.invalid(format!("{path}.{field}"), &spec[field], why);
                }
            }
        }
        _ => {}
    }
    if !spec["podFailurePolicy"].is_null() {
        policies::failure(spec, path, report);
    }
    if !spec["successPolicy"].is_null() {
        policies::success(spec, path, report);
    }
    let replaced: &[&str] = match spec["podFailurePolicy"].is_null() {
        true => &["Failed", "TerminatingOrFailed"],
        false => &["Failed"],
    };
    report.field_one_of(spec, path, "podReplacementPolicy", replaced);
    let template_path = format!("{path}.template");
    template(report, &Path::Root(&template_path), &spec["template"]);
    restart_policy(spec, &format!("{template_path}.spec"), report);
}

fn indexed(spec: &Value, path: &str, report: &mut Report) {
    let number = |field: &str| spec[field].as_i64();
    let (completions, parallelism) = (number("completions"), number("parallelism"));
    let failed = number("maxFailedIndexes");
    let field = |name: &str| format!("{path}.{name}");
    if completions.is_none() {
        report.required(field("completions"), "when completion mode is Indexed");
    }
    let mut above = |name: &str, value: Option<i64>, max: i64, rest: &str| {
        if let Some(value) = value
            && value > max
        {
            let why = format!("must be less than or equal to {max}{rest}");
            report.invalid(field(name), &value.into(), &why);
        }
    };
    above("parallelism", parallelism, MANY, " when completion mode is Indexed");
    if let (Some(completions), Some(failed)) = (completions, failed)
        && failed > completions
    {
        let why = "must be less than or equal to completions";
        report.invalid(field("maxFailedIndexes"), &failed.into(), why);
    }
    let mut above = |name: &str, value: Option<i64>, max: i64, rest: &str| {
        if let Some(value) = value
            && value > max
        {
            let why = format!("must be less than or equal to {max}{rest}");
            report.invalid(field(name), &value.into(), &why);
        }
    };
    above("maxFailedIndexes", failed, MANY, "");
    if completions.is_some_and(|it| it > MANY) && !spec["backoffLimitPerIndex"].is_null() {
        let rest =
            format!(" when completions are above {MANY} and used with backoff limit per index");
        above("parallelism", parallelism, FEW, &rest);
        above("maxFailedIndexes", failed, FEW, &rest);
        if failed.is_none() {
            let why = format!("must be specified when completions is above {MANY}");
            report.required(field("maxFailedIndexes"), &why);
        }
    }
}

fn restart_policy(spec: &Value, pod_path: &str, report: &mut Report) {
    let path = format!("{pod_path}.restartPolicy");
    match text(&spec["template"]["spec"], "restartPolicy") {
        "" | "Always" => report.required(path, "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" if !spec["podFailurePolicy"].is_null() => {
            let why = "only \"Never\" is supported when podFailurePolicy is specified";
            report.invalid(path, &"OnFailure".into(), why);
        }
        "OnFailure" => {}
        other => report.unsupported_value(path, &other.into(), &["OnFailure", "Never"]),
    }
}

/// What may not change of a Job.
pub(super) fn job_update(spec: &Value, old_job: &Value, report: &mut Report) {
    let old = &old_job["spec"];
    let indexed = spec["completionMode"] == "Indexed";
    if !indexed {
        report.immutable(&spec["completions"], &old["completions"], "spec.completions");
    } else if spec["completions"] != old["completions"]
        && spec["completions"] != spec["parallelism"]
    {
        let why = "can only be modified in tandem with spec.parallelism";
        report.invalid("spec.completions", &spec["completions"], why);
    }
    report.immutable(&spec["selector"], &old["selector"], "spec.selector");
    let mut template = old["template"].clone();
    if old["suspend"] == true && old_job["status"]["startTime"].is_null() {
        adopt_directives(&mut template, &spec["template"]);
    }
    if !same(&spec["template"], &template) {
        let shown = internal::pod_template(&spec["template"]);
        report.shown("spec.template", &shown, IMMUTABLE);
    }
    let fields = [
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ];
    for field in fields {
        report.immutable(&spec[field], &old[field], &format!("spec.{field}"));
    }
}

/// Where pods of a suspended Job are to run may change until it starts.
fn adopt_directives(template: &mut Value, new: &Value) {
    for (part, field) in [
        ("metadata", "labels"),
        ("metadata", "annotations"),
        ("spec", "nodeSelector"),
        ("spec", "tolerations"),
        ("spec", "schedulingGates"),
    ] {
        adopt(&mut template[part], &new[part], field);
    }
    if template["spec"]["affinity"].is_null() && new["spec"]["affinity"].is_object() {
        template["spec"]["affinity"] = json!({});
    }
    adopt(&mut template["spec"]["affinity"], &new["spec"]["affinity"], "nodeAffinity");
    let nothing_left = template["spec"]["affinity"].as_object().is_some_and(|it| it.is_empty());
    if let (true, true, Some(spec)) =
        (nothing_left, new["spec"]["affinity"].is_null(), template["spec"].as_object_mut())
    {
        spec.remove("affinity");
    }
}

fn adopt(object: &mut Value, new: &Value, field: &str) {
    let Some(members) = object.as_object_mut() else { return };
    match &new[field] {
        Value::Null => members.remove(field),
        value => members.insert(field.to_owned(), value.clone()),
    };
}

/// A CronJob's spec.
pub(super) fn cron_job(spec: &Value, old: Option<&Value>, report: &mut Report) {
    let given = text(spec, "schedule");
    if given.is_empty() {
        report.required("spec.schedule", "");
    } else {
        let had_zone = old.is_some_and(|old| text(old, "schedule").contains("TZ"));
        schedule(given, had_zone, !spec["timeZone"].is_null(), report);
    }
    report.field_not_negative(spec, "spec", "startingDeadlineSeconds");
    if old.is_none_or(|old| old["timeZone"] != spec["timeZone"]) {
        time_zone(&spec["timeZone"], report);
    }
    match text(spec, "concurrencyPolicy") {
        "" => report.required("spec.concurrencyPolicy", ""),
        _ => {
            let policies = ["Allow", "Forbid", "Replace"];
            report.field_one_of(spec, "spec", "concurrencyPolicy", &policies);
        }
    }
    let job = &spec["jobTemplate"]["spec"];
    let path = "spec.jobTemplate.spec";
    job_template(job, path, report);
    if !job["selector"].is_null() {
        let why = "`selector` will be auto-generated";
        report.invalid(format!("{path}.selector"), &job["selector"], why);
    }
    if job["manualSelector"] == true {
        report.unsupported_value(format!("{path}.manualSelector"), &true.into(), &["nil", "false"]);
    }
    let limits = ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
    report.fields_not_negative(spec, "spec", &limits);
}

fn schedule(schedule: &str, had_zone: bool, has_time_zone: bool, report: &mut Report) {
    let path = "spec.schedule";
    if let Err(why) = cron::check(schedule) {
        report.invalid(path, &schedule.into(), &why);
    }
    if !schedule.contains("TZ") {
        return;
    }
    let why = match (had_zone, has_time_zone) {
        (true, true) => "cannot use both timeZone field and TZ or CRON_TZ in schedule",
        (true, false) => return,
        (false, _) => "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
    };
    report.invalid(path, &schedule.into(), why);
}

fn time_zone(zone: &Value, report: &mut Report) {
    let path = "spec.timeZone";
    let Some(name) = zone.as_str() else { return };
    if name.is_empty() {
        return report.invalid(path, zone, "timeZone must be nil or non-empty string");
    }
    let unknown = format!("unknown time zone {name}");
    let legal = |part: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        (1..=14).contains(&part.len())
            && !matches!(part, "." | "..")
            && !part.starts_with('-')
            && part.chars().all(legal)
    };
    if !name.split('/').all(legal) {
        return report.invalid(path, zone, &unknown);
    }
    if name.eq_ignore_ascii_case("local") {
        let why = "timeZone must be an explicit time zone as defined in \
                   https://www.iana.org/time-zones";
        report.invalid(path, zone, why);
    }
    if !is_time_zone(name) && name != "Local" {
        report.invalid(path, zone, &unknown);
    }
}

/// Whether there is a time zone of a name. Where the system has no time zones at all, every name is
/// taken for one.
pub(super) fn is_time_zone(name: &str) -> bool {
    let knows = |name: &str| jiff::tz::TimeZone::get(name).is_ok();
    knows(name) || !knows("Europe/London")
}
