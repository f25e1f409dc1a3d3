//! Rules of workloads, by table.

use serde_json::{Value, json};

use super::*;

/// A valid object of a kind.
fn valid(kind: &str) -> Value {
    let mut object = json!({
        "metadata": {"name": "x", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    });
    (rules(kind).default)(&mut object);
    object
}

/// What is said of an object of a kind after some of its fields were set, as `path: message`.
fn complaints(kind: &str, target: Target, changes: &[(&str, Value)]) -> Vec<String> {
    let old = valid(kind);
    let mut new = old.clone();
    for (path, value) in changes {
        let place = path.split('.').fold(&mut new, |place, name| &mut place[name]);
        *place = value.clone();
    }
    let is_create = target == Target::Main && !changes.iter().any(|(path, _)| path.is_empty());
    let old = (!is_create || target == Target::Status).then_some(&old);
    let change = Change { new: &new, old, target };
    (rules(kind).validate)(&change).iter().map(ToString::to_string).collect()
}

fn check(kind: &str, changes: &[(&str, Value)], expected: &[&str]) {
    assert_eq!(complaints(kind, Target::Main, changes), expected, "{kind} {changes:?}");
}

#[test]
fn defaults_make_every_kind_valid() {
    for kind in ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"] {
        check(kind, &[], &[]);
    }
    let set = valid("StatefulSet");
    let retention = &set["spec"]["persistentVolumeClaimRetentionPolicy"];
    assert_eq!(*retention, json!({"whenDeleted": "Retain", "whenScaled": "Retain"}));
}

#[test]
fn specs_are_refused_with_upstreams_words() {
    check(
        "Deployment",
        &[("spec.replicas", json!(-1)), ("spec.progressDeadlineSeconds", json!(0))],
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds",
        ],
    );
    check(
        "Deployment",
        &[("spec.strategy", json!({"type": "Odd"}))],
        &["spec.strategy: Unsupported value: {\"Type\":\"Odd\",\"RollingUpdate\":null}: \
             supported values: \"Recreate\", \"RollingUpdate\""],
    );
    check(
        "Deployment",
        &[("spec.strategy.rollingUpdate", json!({"maxSurge": 0, "maxUnavailable": "0%"}))],
        &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when \
           `maxSurge` is 0"],
    );
    check(
        "ReplicaSet",
        &[("spec.selector", json!({}))],
        &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    );
    check(
        "DaemonSet",
        &[("spec.updateStrategy.rollingUpdate", json!({"maxSurge": 1, "maxUnavailable": 1}))],
        &["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when \
           maxUnavailable is non-zero"],
    );
    check(
        "StatefulSet",
        &[("spec.podManagementPolicy", json!("Odd")), ("spec.ordinals", json!({"start": -1}))],
        &[
            "spec.podManagementPolicy: Invalid value: \"Odd\": must be 'OrderedReady' or 'Parallel'",
            "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
    check(
        "StatefulSet",
        &[("spec.template.spec.activeDeadlineSeconds", json!(5))],
        &["spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in \
           StatefulSet is not Supported"],
    );
}

#[test]
fn stateful_sets_keep_most_of_their_spec() {
    let old = valid("StatefulSet");
    let mut new = old.clone();
    new["spec"]["serviceName"] = "other".into();
    let change = Change { new: &new, old: Some(&old), target: Target::Main };
    let causes = (rules("StatefulSet").validate)(&change);
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0].field, "spec");
    new = old.clone();
    new["spec"]["replicas"] = 7.into();
    let change = Change { new: &new, old: Some(&old), target: Target::Main };
    assert_eq!((rules("StatefulSet").validate)(&change), []);
}

#[test]
fn counts_of_a_status_fit_together() {
    let status = json!({"replicas": 1, "readyReplicas": 1, "availableReplicas": 2});
    let said = complaints("Deployment", Target::Status, &[("status", status)]);
    assert_eq!(
        said,
        [
            "status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas",
        ]
    );
}

#[test]
fn templates_of_daemon_sets_are_numbered() {
    let mut old = valid("DaemonSet");
    (rules("DaemonSet").prepare_create)(&mut old);
    let number = |set: &Value| {
        let annotations = &set["metadata"]["annotations"];
        annotations["deprecated.daemonset.template.generation"].clone()
    };
    assert_eq!(number(&old), "1");
    let mut new = old.clone();
    new["spec"]["template"]["metadata"]["labels"]["b"] = "c".into();
    (rules("DaemonSet").prepare_update)(&mut new, &old, Target::Main);
    assert_eq!(number(&new), "2");
    (rules("DaemonSet").prepare_update)(&mut new, &old.clone(), Target::Status);
    assert_eq!(number(&new), "2");
}
