use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use super::*;
use crate::runtime::fake::Memory;

const PATH: &str = "/api/v1/nodes/n";

fn node(value: &Value) -> Node {
    serde_json::from_value(value.clone()).unwrap()
}

fn condition(kind: &str, status: &str) -> Value {
    json!({"type": kind, "status": status, "reason": "R", "message": "m"})
}

/// A server with a Node that has these conditions, and the Node as read.
fn server(uid: &str, conditions: &[Value]) -> (Memory, Node) {
    let memory = Memory::default();
    let object = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n", "uid": uid, "finalizers": ["f"], "labels": {"a": "1", "b": "1"}},
        "status": {"conditions": conditions}});
    let stored = node(&memory.put(PATH, object));
    (memory, stored)
}

fn set(node: &mut Node, kind: &str, status: &str) {
    let conditions = node.status.as_mut().unwrap().conditions.as_mut().unwrap();
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(serde_json::from_value(condition(kind, status)).unwrap());
}

fn statuses(object: &Value) -> Vec<String> {
    items(object, "/status/conditions")
        .iter()
        .map(|item| format!("{}={}", text(item, "/type"), text(item, "/status")))
        .collect()
}

#[tokio::test]
async fn equal_objects_send_nothing() {
    let (memory, before) = server("patch-equal", &[]);
    let done = patch_object(&memory.client(), &before, &before.clone()).await.unwrap();
    assert!(matches!(done, Patched::Unchanged));
    assert!(memory.requests().is_empty());
}

#[tokio::test]
async fn metadata_goes_first_and_status_second_in_one_write_each() {
    let (memory, before) = server("patch-order", &[condition("Ready", "False")]);
    let mut after = before.clone();
    after.metadata.labels.as_mut().unwrap().remove("a");
    set(&mut after, "Ready", "True");
    let done = patch_object(&memory.client(), &before, &after).await.unwrap();
    let Patched::Changed(done) = done else { panic!("changed") };
    let done = done.decode().unwrap();
    assert_eq!(memory.requests(), [format!("PATCH {PATH}"), format!("PATCH {PATH}/status")]);
    assert_eq!(done.metadata.labels.unwrap().len(), 1);
    assert_eq!(statuses(&memory.object(PATH).unwrap()), ["Ready=True"]);
}

#[tokio::test]
async fn own_stale_copies_merge_without_a_conflict() {
    let (memory, before) = server("patch-own", &[condition("A", "False"), condition("B", "False")]);
    let client = memory.client();
    for kind in ["A", "B"] {
        let mut after = before.clone();
        set(&mut after, kind, "True");
        assert!(matches!(
            patch_object(&client, &before, &after).await.unwrap(),
            Patched::Changed(_)
        ));
    }
    let mut now = statuses(&memory.object(PATH).unwrap());
    now.sort();
    assert_eq!(now, ["A=True", "B=True"]);
    let status = format!("PATCH {PATH}/status");
    assert_eq!(memory.requests(), [status.clone(), format!("GET {PATH}"), status]);
}

#[tokio::test]
async fn foreign_changes_are_kept_after_a_conflict() {
    let (memory, before) = server("patch-foreign", &[condition("A", "False")]);
    let mut foreign = memory.object(PATH).unwrap();
    foreign["status"]["conditions"] = json!([condition("A", "False"), condition("X", "True")]);
    memory.put(PATH, foreign);
    let mut after = before.clone();
    set(&mut after, "A", "True");
    patch_object(&memory.client(), &before, &after).await.unwrap();
    assert_eq!(statuses(&memory.object(PATH).unwrap()), ["A=True", "X=True"]);
    assert_eq!(memory.requests().len(), 3);
}

#[tokio::test]
async fn what_the_server_already_has_is_not_sent() {
    let (memory, before) = server("patch-known", &[condition("A", "False")]);
    let client = memory.client();
    let mut after = before.clone();
    set(&mut after, "A", "True");
    patch_object(&client, &before, &after).await.unwrap();
    memory.forget_requests();
    let again = patch_object(&client, &before, &after).await.unwrap();
    assert!(matches!(again, Patched::Unchanged));
    assert_eq!(memory.requests(), [format!("GET {PATH}")]);
}

#[tokio::test]
async fn status_goes_first_when_the_last_finalizer_goes() {
    let (memory, _) = server("patch-release", &[condition("A", "False")]);
    let mut object = memory.object(PATH).unwrap();
    object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let before = node(&memory.put(PATH, object));
    let mut after = before.clone();
    after.metadata.finalizers = None;
    set(&mut after, "A", "True");
    patch_object(&memory.client(), &before, &after).await.unwrap();
    assert_eq!(memory.requests(), [format!("PATCH {PATH}/status"), format!("PATCH {PATH}")]);
    assert!(memory.object(PATH).is_none());
    let again = patch_object(&memory.client(), &before, &after).await.unwrap();
    assert!(matches!(again, Patched::Unchanged));
}

#[test]
fn lists_merge_by_identity_and_keep_their_order() {
    let check = |before: &str, after: &str, newest: &str, expected: &str| {
        let parse = |text: &str| -> Vec<Value> {
            text.split_whitespace()
                .map(|item| {
                    let (kind, status) = item.split_at(1);
                    json!({"type": kind, "status": status})
                })
                .collect()
        };
        let (before, after, newest) = (parse(before), parse(after), parse(newest));
        let sides = Sides { before: &before, after: &after, newest: &newest, identity: "type" };
        assert_eq!(sides.merge(), parse(expected));
    };
    check("A1", "A2", "A1", "A2");
    check("A1 C1", "A1 B1 C1", "A1 C2", "A1 B1 C2");
    check("A1 B1", "A1", "A1 B1 D1", "A1 D1");
    check("A1", "A1 B1", "A1 B2", "A1 B1");
    check("A1", "A1", "C1", "C1");
    check("", "A1", "B1", "A1 B1");
}

#[test]
fn unknown_sections_stay_when_a_section_becomes_empty() {
    let before = json!({"spec": {"a": 1}, "status": {"b": 1}});
    let after = json!({});
    assert_eq!(main_difference(&before, &after), Some(json!({"spec": {"a": null}})));
    assert_eq!(status_difference(&before, &after), Some(json!({"status": {"b": null}})));
}

#[test]
fn a_transition_time_alone_is_no_change_of_state() {
    let newest =
        json!({"type": "A", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"});
    let after =
        json!({"type": "A", "status": "True", "lastTransitionTime": "2026-01-01T00:00:02Z"});
    let sides = Sides {
        before: &[],
        after: std::slice::from_ref(&after),
        newest: std::slice::from_ref(&newest),
        identity: "type",
    };
    assert_eq!(sides.merge(), std::slice::from_ref(&newest));
}
