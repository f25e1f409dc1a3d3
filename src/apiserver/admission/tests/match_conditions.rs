//! Match conditions of webhooks.

use serde_json::{Value, json};

use super::harness::{
    Engine, MAPS, MUTATING, VALIDATING, allowing, configuration, denying, map, patching, webhook,
};

fn conditions(expressions: &[&str]) -> Value {
    let condition = |(index, expression): (usize, &&str)| json!({"name": format!("c{index}"), "expression": expression});
    json!({"matchConditions": expressions.iter().enumerate().map(condition).collect::<Vec<_>>()})
}

#[tokio::test]
async fn specs_7_and_8_conditions_are_stored_and_changed() {
    let engine = Engine::new().await;
    for path in [VALIDATING, MUTATING] {
        let hook = webhook(json!({"url": "https://example.com"}), conditions(&["true"]));
        let mut object = engine.configure(path, "c", hook).await;
        assert_eq!(object["webhooks"][0]["matchConditions"][0]["expression"], "true");
        object["webhooks"][0]["matchConditions"][0]["expression"] = "1 < 2".into();
        let changed = engine.put(&format!("{path}/c"), object).await.ok();
        assert_eq!(changed["webhooks"][0]["matchConditions"][0]["expression"], "1 < 2");
    }
}

#[tokio::test]
async fn spec_19_everything_but_skip_me_is_mutated() {
    let engine = Engine::new().await;
    let hook = patching(json!([{"op": "add", "path": "/data/x", "value": "y"}])).await;
    let changes = conditions(&["object.metadata.name != 'skip-me'"]);
    engine.configure(MUTATING, "c", webhook(hook.config("/"), changes)).await;
    assert_eq!(engine.post(MAPS, map("skip-me")).await.ok()["data"], json!({"k": "v"}));
    assert_eq!(engine.post(MAPS, map("m")).await.ok()["data"], json!({"k": "v", "x": "y"}));
    assert_eq!(hook.calls(), 1);
}

#[tokio::test]
async fn specs_22_and_23_conditions_that_do_not_compile_are_refused() {
    let engine = Engine::new().await;
    for path in [VALIDATING, MUTATING] {
        let hook = webhook(json!({"url": "https://example.com"}), conditions(&["... [] bad"]));
        let answer = engine.post(path, configuration("c", json!([hook]))).await;
        assert_eq!(answer.code, 422, "{}", answer.body);
        let message = answer.refused().2;
        assert!(message.contains("webhooks[0].matchConditions[0].expression: Invalid value: "));
        assert!(
            message.contains("compilation failed: ERROR: <input>:1:2: Syntax error"),
            "{message}"
        );
        let hook = webhook(json!({"url": "https://example.com"}), conditions(&["'text'"]));
        let answer = engine.post(path, configuration("c", json!([hook]))).await;
        assert!(answer.refused().2.ends_with("must evaluate to bool but got string"));
    }
}

#[tokio::test]
async fn conditions_see_the_request_and_the_user() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    let changes = conditions(&[
        "request.operation == 'UPDATE' && request.userInfo.username == 'admin'",
        "request.namespace == 'a' && 'system:masters' in request.userInfo.groups",
        "authorizer.group('').resource('pods').check('delete').allowed()",
        "authorizer.requestResource.check('get').allowed()",
        "oldObject.data.k != object.data.k && request.dryRun == false",
        "request.resource.resource == 'configmaps' && request.options.kind == 'UpdateOptions'",
    ]);
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), changes)).await;
    engine.post(MAPS, map("m")).await.ok();
    let one = format!("{MAPS}/m");
    engine.merge(&one, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(engine.merge(&one, json!({"data": {"k": "w"}})).await.code, 400);
    assert_eq!(hook.calls(), 1);
}

#[tokio::test]
async fn conditions_that_fail_follow_the_failure_policy() {
    let (engine, hook) = (Engine::new().await, allowing().await);
    let mut changes = conditions(&["object.data.none == 'x'"]);
    let object =
        engine.configure(VALIDATING, "c", webhook(hook.config("/"), changes.clone())).await;
    let message = "configmaps \"m\" is forbidden: expression 'object.data.none == 'x'' resulted in \
                   error: no such key: none";
    assert_eq!(engine.post(MAPS, map("m")).await.refused(), (403, "Forbidden", message));
    changes["failurePolicy"] = "Ignore".into();
    let mut object = object;
    object["webhooks"][0]["failurePolicy"] = "Ignore".into();
    engine.put(&format!("{VALIDATING}/c"), object).await.ok();
    engine.post(MAPS, map("m")).await.ok();
    assert_eq!(hook.calls(), 0);
}
