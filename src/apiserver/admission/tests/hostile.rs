//! Webhooks that answer anything but what they should: the server goes on, and says why not.

use bytes::Bytes;
use serde_json::{Value, json};

use super::harness::{Engine, MAPS, MUTATING, VALIDATING, map, review, webhook};
use crate::apiserver::webhook::test_server::{Reaction, TestWebhook};

/// What the client is told after `failed calling webhook "hook.example.com": `.
async fn check(path: &str, answer: impl Fn(&Value) -> Reaction + Send + Sync + 'static, why: &str) {
    let engine = Engine::new().await;
    let hook = TestWebhook::start(move |_, body| answer(&body)).await;
    let object = engine.configure(path, "c", webhook(hook.config("/"), json!({}))).await;
    let refusal = engine.post(MAPS, map("m")).await;
    let expected =
        format!("Internal error occurred: failed calling webhook \"hook.example.com\": {why}");
    let expected = expected.replace("UID", &uid_of(&hook));
    assert_eq!(refusal.refused(), (500, "InternalError", expected.as_str()));
    let mut object = object;
    object["webhooks"][0]["failurePolicy"] = "Ignore".into();
    engine.put(&format!("{path}/c"), object).await.ok();
    engine.post(MAPS, map("m")).await.ok();
}

fn uid_of(hook: &TestWebhook) -> String {
    hook.received()[0].body["request"]["uid"].as_str().unwrap().to_owned()
}

fn bytes(code: u16, text: &'static str) -> impl Fn(&Value) -> Reaction {
    move |_| Reaction::Bytes(code, "application/json", Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn answers_that_are_no_reviews() {
    let invalid = "received invalid webhook response: ";
    check(VALIDATING, bytes(200, "{}"), &format!("{invalid}webhook response was absent")).await;
    check(VALIDATING, bytes(200, "[1]"), &format!("{invalid}webhook response was absent")).await;
    let garbage = "failed to call webhook: couldn't get version/kind; json parse error: invalid \
                   character '<' looking for beginning of value";
    check(VALIDATING, bytes(200, "<html>"), garbage).await;
    let broken = "failed to call webhook: an error on the server (\"unknown\") has prevented the \
                  request from succeeding";
    check(VALIDATING, bytes(500, "{}"), broken).await;
    let other = format!("{invalid}expected response.uid=\"UID\", got \"\"");
    check(VALIDATING, bytes(200, r#"{"response": {"allowed": true}}"#), &other).await;
    let version = |request: &Value| {
        let uid = &request["request"]["uid"];
        Reaction::Json(json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1",
            "response": {"uid": uid, "allowed": true},
        }))
    };
    let why = format!(
        "{invalid}expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got \
         admission.k8s.io/v1beta1, Kind=AdmissionReview"
    );
    check(VALIDATING, version, &why).await;
}

#[tokio::test]
async fn patches_where_and_how_they_do_not_belong() {
    let invalid = "received invalid webhook response: ";
    let with = |response: Value| move |request: &Value| review(request, response.clone());
    let patch = json!({"allowed": true, "patch": "W10=", "patchType": "JSONPatch"});
    let why = format!("{invalid}validating webhook may not return response.patch");
    check(VALIDATING, with(patch), &why).await;
    let untyped = json!({"allowed": true, "patch": "W10="});
    let why = format!("{invalid}webhook returned response.patch but not response.patchType");
    check(MUTATING, with(untyped), &why).await;
    let empty = json!({"allowed": true, "patchType": "JSONPatch"});
    let why = format!("{invalid}webhook returned response.patchType but not response.patch");
    check(MUTATING, with(empty), &why).await;
    let object = json!({"allowed": true, "patch": "e30=", "patchType": "JSONPatch"});
    let why = "received undecodable patch in webhook response: json: cannot unmarshal object into \
               Go value of type jsonpatch.Patch";
    check(MUTATING, with(object), why).await;
    let kind = json!({"allowed": true, "patch": "W3t9XQ==", "patchType": "Merge"});
    check(MUTATING, with(kind), "unsupported patch type \"Merge\"").await;
}

#[tokio::test]
async fn huge_answers_are_not_read_to_the_end() {
    let engine = Engine::new().await;
    let huge = Bytes::from(vec![b'x'; 10 << 20]);
    let hook =
        TestWebhook::start(move |_, _| Reaction::Bytes(200, "application/json", huge.clone()))
            .await;
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    let answer = engine.post(MAPS, map("m")).await;
    assert!(answer.refused().2.ends_with("the response is larger than 8388608 bytes"));
}

#[tokio::test]
async fn a_deeply_nested_answer_is_refused() {
    let engine = Engine::new().await;
    let deep = Bytes::from("[".repeat(100_000));
    let hook =
        TestWebhook::start(move |_, _| Reaction::Bytes(200, "application/json", deep.clone()))
            .await;
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    assert_eq!(engine.post(MAPS, map("m")).await.code, 500);
    assert_eq!(engine.get(MAPS).await.code, 200);
}
