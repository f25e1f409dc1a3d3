//! Mutating webhooks: the behaviours of the conformance specs, by number, and what lies between.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::harness::{
    Engine, MAPS, MUTATING, VALIDATING, WIDGETS, allowing, map, patched, patching, review, webhook,
    widget,
};
use crate::apiserver::webhook::test_server::TestWebhook;

#[tokio::test]
async fn spec_15_the_second_webhook_sees_what_the_first_changed() {
    let engine = Engine::new().await;
    let first = TestWebhook::start(|_, body| {
        patched(&body, json!([{"op": "add", "path": "/data/stage-1", "value": "yes"}]))
    })
    .await;
    let second = TestWebhook::start(|_, body| {
        let patch = match body["request"]["object"]["data"]["stage-1"].as_str() {
            Some("yes") => json!([{"op": "add", "path": "/data/stage-2", "value": "yes"}]),
            _ => json!([]),
        };
        patched(&body, patch)
    })
    .await;
    engine.configure(MUTATING, "b", webhook(second.config("/"), json!({}))).await;
    engine.configure(MUTATING, "a", webhook(first.config("/"), json!({}))).await;
    let created = engine.post(MAPS, map("m")).await.ok();
    assert_eq!(created["data"], json!({"k": "v", "stage-1": "yes", "stage-2": "yes"}));
    // As upstream: nobody owns what admission adds.
    let owned = &created["metadata"]["managedFields"][0]["fieldsV1"]["f:data"];
    assert_eq!(*owned, json!({".": {}, "f:k": {}}));
}

#[tokio::test]
async fn specs_16_and_17_custom_resources_are_mutated_in_every_version() {
    let engine = Engine::new().await;
    let hook = patching(json!([{"op": "add", "path": "/spec/marks", "value": ["seen"]}])).await;
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
    let created = engine.post(WIDGETS, widget("w")).await.ok();
    assert_eq!(created["spec"], json!({"color": "red", "size": 1, "marks": ["seen"]}));
    let mut other = widget("x");
    other["apiVersion"] = "example.com/v2".into();
    let created = engine.post(&WIDGETS.replace("v1", "v2"), other).await.ok();
    assert_eq!(created["spec"]["marks"], json!(["seen"]));
    assert_eq!(hook.received()[1].body["request"]["object"]["apiVersion"], "example.com/v2");
}

#[tokio::test]
async fn spec_18_what_the_schema_does_not_know_is_pruned_again() {
    let engine = Engine::new().await;
    let hook = patching(json!([
        {"op": "add", "path": "/spec/unknown", "value": 1},
        {"op": "add", "path": "/unknown", "value": 1},
        {"op": "remove", "path": "/spec/size"},
    ]))
    .await;
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
    let created = engine.post(WIDGETS, widget("w")).await.ok();
    assert_eq!(created["spec"], json!({"color": "red", "size": 1}));
    assert_eq!(created.get("unknown"), None);
}

#[tokio::test]
async fn spec_20_pods_are_defaulted_after_mutation() {
    let engine = Engine::new().await;
    let container = json!({"name": "added", "image": "i"});
    let hook =
        patching(json!([{"op": "add", "path": "/spec/initContainers", "value": [container]}]))
            .await;
    let rules = json!([{
        "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
    }]);
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({"rules": rules}))).await;
    let pod = json!({
        "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let created = engine.post("/api/v1/namespaces/a/pods", pod).await.ok();
    let added = &created["spec"]["initContainers"][0];
    assert_eq!(added["terminationMessagePolicy"], "File");
    assert_eq!(added["terminationMessagePath"], "/dev/termination-log");
}

#[tokio::test]
async fn mutations_are_validated() {
    let engine = Engine::new().await;
    let hook = patching(json!([{"op": "add", "path": "/spec/color", "value": "green"}])).await;
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
    let answer = engine.post(WIDGETS, widget("w")).await;
    assert_eq!(answer.code, 422);
    assert!(answer.refused().2.contains("spec.color: Unsupported value: \"green\""));
}

#[tokio::test]
async fn updates_patches_and_applies_are_mutated() {
    let engine = Engine::new().await;
    let hook = patching(json!([{"op": "add", "path": "/data/by", "value": "hook"}])).await;
    engine.post(MAPS, map("m")).await.ok();
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
    let one = format!("{MAPS}/m");
    let put = engine.put(&one, json!({"metadata": {"name": "m"}, "data": {"k": "1"}})).await.ok();
    assert_eq!(put["data"], json!({"k": "1", "by": "hook"}));
    let merged = engine.merge(&one, json!({"data": {"k": "2"}})).await.ok();
    assert_eq!(merged["data"], json!({"k": "2", "by": "hook"}));
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": {"k": "3"},
    });
    let path = format!("{MAPS}/n?fieldManager=me");
    let applied = engine.apply(&path, config.clone()).await.ok();
    assert_eq!(applied["data"], json!({"k": "3", "by": "hook"}));
    let again = engine.apply(&path, config).await.ok();
    assert_eq!(again["metadata"]["resourceVersion"], applied["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn broken_managed_fields_are_put_back() {
    let engine = Engine::new().await;
    let broken = json!([{"operation": "Update", "manager": "x"}]);
    let hook =
        patching(json!([{"op": "add", "path": "/metadata/managedFields", "value": broken}])).await;
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
    let answer = engine.post(MAPS, map("m")).await;
    let warning = &answer.warnings[0];
    assert!(warning.contains(".metadata.managedFields was in an invalid state after admission"));
    assert_eq!(answer.ok()["metadata"]["managedFields"][0]["manager"], "tester");
}

#[tokio::test]
async fn webhooks_that_ask_for_it_are_called_again_after_changes() {
    let engine = Engine::new().await;
    let first = allowing().await;
    let second = patching(json!([{"op": "add", "path": "/data/x", "value": "y"}])).await;
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    engine.configure(MUTATING, "a", webhook(first.config("/"), again)).await;
    engine.configure(MUTATING, "b", webhook(second.config("/"), json!({}))).await;
    engine.post(MAPS, map("m")).await.ok();
    assert_eq!((first.calls(), second.calls()), (2, 1));
    assert_eq!(first.received()[1].body["request"]["object"]["data"]["x"], "y");
}

#[tokio::test]
async fn new_objects_have_no_system_fields_yet() {
    let (engine, hook) = (Engine::new().await, allowing().await);
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
    engine.post(MAPS, json!({"metadata": {"generateName": "g-"}})).await.ok();
    let request = &hook.received()[0].body["request"];
    assert_eq!(request.get("name"), None);
    let metadata = &request["object"]["metadata"];
    assert_eq!((&metadata["uid"], &metadata["name"]), (&Value::Null, &Value::Null));
    assert_eq!(metadata["generateName"], "g-");
    assert!(metadata["managedFields"].is_array());
}

#[tokio::test]
async fn deletions_cannot_be_mutated() {
    let engine = Engine::new().await;
    let hook = patching(json!([{"op": "add", "path": "/data/x", "value": "y"}])).await;
    engine.post(MAPS, map("m")).await.ok();
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
    let answer = engine.delete(&format!("{MAPS}/m")).await;
    let message = "Internal error occurred: admission webhook \"hook.example.com\" attempted to \
                   modify the object, which is not supported for this operation";
    assert_eq!(answer.refused(), (500, "InternalError", message));
}

#[tokio::test]
async fn rules_of_another_version_mutate_through_conversion() {
    let engine = Engine::new().await;
    let hook = patching(json!([{"op": "add", "path": "/spec/marks", "value": ["v2"]}])).await;
    let rules = json!([{
        "operations": ["CREATE"], "apiGroups": ["example.com"], "apiVersions": ["v2"],
        "resources": ["widgets"],
    }]);
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({"rules": rules}))).await;
    let created = engine.post(WIDGETS, widget("w")).await.ok();
    assert_eq!(created["apiVersion"], "example.com/v1");
    assert_eq!(created["spec"]["marks"], json!(["v2"]));
    assert_eq!(hook.received()[0].body["request"]["object"]["apiVersion"], "example.com/v2");
}

#[tokio::test]
async fn validating_webhooks_see_the_mutated_object() {
    let engine = Engine::new().await;
    let hook = patching(json!([{"op": "add", "path": "/data/x", "value": "y"}])).await;
    let guard = allowing().await;
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
    engine.configure(VALIDATING, "c", webhook(guard.config("/"), json!({}))).await;
    let created = engine.post(MAPS, map("m")).await.ok();
    let seen = &guard.received()[0].body["request"]["object"];
    assert_eq!(seen["data"], created["data"]);
    assert_eq!(seen["metadata"]["uid"], created["metadata"]["uid"]);
}

#[tokio::test]
async fn concurrent_writes_are_admitted_anew() {
    let engine = Engine::new().await;
    engine.post(MAPS, map("m")).await.ok();
    let one = format!("{MAPS}/m");
    let hook = TestWebhook::start(|_, body| review(&body, json!({"allowed": true}))).await;
    engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
    let (first, second) = tokio::join!(
        engine.merge(&one, json!({"data": {"a": "1"}})),
        engine.merge(&one, json!({"data": {"b": "2"}})),
    );
    assert_eq!((first.code, second.code), (200, 200));
    let stored = engine.get(&one).await.ok();
    assert_eq!(stored["data"], json!({"k": "v", "a": "1", "b": "2"}));
    let calls: Vec<Value> =
        hook.received().iter().map(|it| it.body["request"]["object"]["data"].clone()).collect();
    assert!(calls.contains(&stored["data"]), "{calls:?}");
}

/// Small JSON patches over a config map, most of which do not apply.
fn patches() -> impl Strategy<Value = Value> {
    let place = prop::sample::select(vec![
        "/data/k",
        "/data/x",
        "/data/-",
        "/metadata/labels",
        "/metadata/name",
        "/none/x",
        "",
        "k",
        "/metadata/managedFields",
        "/metadata",
        "/kind",
        "/apiVersion",
        "/data",
    ]);
    let operation =
        prop::sample::select(vec!["add", "remove", "replace", "test", "move", "copy", "x"]);
    let value = prop::sample::select(vec![
        json!("text"),
        json!(7),
        json!({"a": "b"}),
        json!([]),
        json!(null),
        json!({"a": 1}),
    ]);
    let one = (operation, place.clone(), place, value).prop_map(|(operation, path, from, value)| {
        json!({"op": operation, "path": path, "from": from, "value": value})
    });
    prop::collection::vec(one, 0..4).prop_map(Value::from)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a webhook answers, the write ends as an object of the kind that was sent or as a
    /// refusal, and a refusal stores nothing.
    #[test]
    fn no_patch_breaks_an_object(patch in patches()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let engine = Engine::new().await;
            let hook = patching(patch.clone()).await;
            engine.configure(MUTATING, "c", webhook(hook.config("/"), json!({}))).await;
            let answer = engine.post(MAPS, map("m")).await;
            let stored = engine.get(MAPS).await.ok()["items"].as_array().unwrap().len();
            if answer.code == 201 {
                assert_eq!(answer.body["kind"], "ConfigMap", "{patch}");
                assert_eq!(stored, 1, "{patch}");
            } else {
                assert!(matches!(answer.code, 400 | 422 | 500), "{patch}: {}", answer.body);
                assert_eq!(answer.body["kind"], "Status", "{patch}");
                assert_eq!(stored, 0, "{patch}");
            }
        });
    }
}
