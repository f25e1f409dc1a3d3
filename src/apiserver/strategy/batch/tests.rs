//! Rules of Jobs and CronJobs, by table.

use serde_json::{Value, json};

use super::*;

fn valid(kind: &str) -> Value {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
    let mut object = match kind {
        "Job" => json!({
            "metadata": {"name": "j", "uid": "u"},
            "spec": {"template": {"spec": pod}},
        }),
        _ => json!({
            "metadata": {"name": "c"},
            "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}},
        }),
    };
    (rules(kind).default)(&mut object);
    (rules(kind).prepare_create)(&mut object);
    object
}

/// What is said of a new object with these fields.
fn check(kind: &str, changes: &[(&str, Value)], expected: &[&str]) {
    let mut object = valid(kind);
    for (path, value) in changes {
        let place = path.split('.').fold(&mut object, |place, name| &mut place[name]);
        *place = value.clone();
    }
    let change = Change { new: &object, old: None, target: Target::Main };
    let said: Vec<String> =
        (rules(kind).validate)(&change).iter().map(ToString::to_string).collect();
    assert_eq!(said, expected, "{kind} {changes:?}");
}

#[test]
fn a_new_job_selects_its_own_pods() {
    let job = valid("Job");
    let labels = json!({
        "batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "j",
        "controller-uid": "u", "job-name": "j",
    });
    assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(job["metadata"]["labels"], labels);
    let selector = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}});
    assert_eq!(job["spec"]["selector"], selector);
    assert_eq!(job["spec"]["backoffLimit"], 6);
    assert_eq!(job["spec"]["podReplacementPolicy"], "TerminatingOrFailed");
    check("Job", &[], &[]);
    check("CronJob", &[], &[]);
}

#[test]
fn specs_are_refused_with_upstreams_words() {
    check(
        "Job",
        &[("spec.template.spec.restartPolicy", json!("Always"))],
        &[
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ],
    );
    check(
        "Job",
        &[("spec.backoffLimitPerIndex", json!(1))],
        &["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
    );
    check(
        "Job",
        &[("spec.completionMode", json!("Indexed")), ("spec.completions", Value::Null)],
        &["spec.completions: Required value: when completion mode is Indexed"],
    );
    check(
        "Job",
        &[
            ("spec.podFailurePolicy", json!({"rules": [{"action": "FailJob"}]})),
            ("spec.podReplacementPolicy", json!("Failed")),
        ],
        &["spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and \
           OnPodConditions is required"],
    );
    check(
        "Job",
        &[("spec.managedBy", json!("me"))],
        &["spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \
           \"acme.io/foo\")"],
    );
    check(
        "CronJob",
        &[("spec.timeZone", json!("Nowhere/At-All")), ("spec.concurrencyPolicy", json!("Odd"))],
        &[
            "spec.timeZone: Invalid value: \"Nowhere/At-All\": unknown time zone Nowhere/At-All",
            "spec.concurrencyPolicy: Unsupported value: \"Odd\": supported values: \"Allow\", \
             \"Forbid\", \"Replace\"",
        ],
    );
}

#[test]
fn schedules_are_read_as_the_cron_library_reads_them() {
    for schedule in ["*/5 0-3 1,15 jan-MAR ?", "@hourly", "@every 1h30m", "0 0 * * sun"] {
        assert_eq!(cron::check(schedule), Ok(()), "{schedule}");
    }
    for (schedule, why) in [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
        ("@never", "unrecognized descriptor: @never"),
    ] {
        assert_eq!(cron::check(schedule), Err(why.to_owned()), "{schedule}");
    }
}

#[test]
fn index_lists_rise() {
    assert_eq!(indexes::count("1,3-5,7", 10), Ok(5));
    assert_eq!(indexes::count("", 0), Ok(0));
    let wrong = "non-increasing order, previous: 3, current: 2";
    assert_eq!(indexes::count("3,2", 10), Err(wrong.to_owned()));
    assert_eq!(indexes::count("12", 10), Err("too large index: \"12\"".to_owned()));
}

#[test]
fn what_a_job_is_may_not_change() {
    let old = valid("Job");
    let mut new = old.clone();
    new["spec"]["completions"] = 5.into();
    let change = Change { new: &new, old: Some(&old), target: Target::Main };
    let causes = (rules("Job").validate)(&change);
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0].to_string(), "spec.completions: Invalid value: 5: field is immutable");
    new = old.clone();
    new["spec"]["parallelism"] = 2.into();
    let change = Change { new: &new, old: Some(&old), target: Target::Main };
    assert_eq!((rules("Job").validate)(&change), []);
}

#[test]
fn a_finished_job_needs_its_conditions_and_times() {
    let old = valid("Job");
    let mut new = old.clone();
    new["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    let change = Change { new: &new, old: Some(&old), target: Target::Status };
    let fields: Vec<String> =
        (rules("Job").validate)(&change).into_iter().map(|cause| cause.field).collect();
    assert_eq!(fields, ["status.conditions", "status.completionTime", "status.startTime"]);
}
