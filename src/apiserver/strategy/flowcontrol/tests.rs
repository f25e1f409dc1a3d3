//! Rules of flow control, by table.

use serde_json::{Value, json};

use super::*;
use crate::apiserver::strategy::Change;
use crate::apiserver::write::Target;

fn said(kind: &str, name: &str, spec: Value) -> Vec<String> {
    let mut object = json!({"metadata": {"name": name}, "spec": spec, "status": {}});
    (rules(kind).default)(&mut object);
    let change = Change { new: &object, old: None, target: Target::Main };
    (rules(kind).validate)(&change).iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_fresh_cluster_has_is_valid() {
    for (name, spec) in bootstrap::schemas() {
        assert_eq!(said("FlowSchema", name, spec), Vec::<String>::new(), "{name}");
    }
    for (name, spec) in bootstrap::levels() {
        assert_eq!(said("PriorityLevelConfiguration", name, spec), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn schemas_are_refused_with_upstreams_words() {
    let level = json!({"name": "l"});
    assert_eq!(
        said(
            "FlowSchema",
            "s",
            json!({"priorityLevelConfiguration": level, "rules": [{}],
            "matchingPrecedence": 1})
        ),
        [
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have \
             matchingPrecedence 1",
            "spec.rules[0].subjects: Required value: subjects must contain at least one value",
            "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has \
             to be non-empty",
        ]
    );
    let subject = json!({"kind": "User", "user": {"name": "u"}, "group": {"name": "g"}});
    let path = json!({"verbs": ["get"], "nonResourceURLs": ["a", "/x*"]});
    let rule = json!({"subjects": [subject], "nonResourceRules": [path]});
    assert_eq!(
        said("FlowSchema", "s", json!({"priorityLevelConfiguration": level, "rules": [rule]})),
        [
            "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is \
             not 'Group'",
            "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"a\": must \
             start with slash",
            "spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"/x*\": \
             wildcard can only do suffix matching",
        ]
    );
}

#[test]
fn levels_queue_or_reject() {
    let queue = json!({"type": "Queue", "queuing": {"queues": 2, "handSize": 3}});
    assert_eq!(
        said(
            "PriorityLevelConfiguration",
            "l",
            json!({"type": "Limited", "limited": {"limitResponse": queue, "lendablePercent": 101}}),
        ),
        [
            "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, \
             inclusive",
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 3: should not be greater \
             than queues (2)",
        ]
    );
    assert_eq!(
        said("PriorityLevelConfiguration", "l", json!({"type": "Exempt"})),
        ["spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if `name` is \
          'exempt'"]
    );
}
