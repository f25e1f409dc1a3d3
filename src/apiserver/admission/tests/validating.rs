//! Validating webhooks: the behaviours of the conformance specs, by number, and what lies between.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::harness::{
    Engine, MAPS, VALIDATING, WIDGETS, allowing, configuration, denying, map, review, webhook,
    widget,
};
use crate::apiserver::webhook::test_server::{Reaction, TestWebhook};

const DENIED: &str = "admission webhook \"hook.example.com\" denied the request: no";

#[tokio::test]
async fn specs_3_and_4_configurations_are_listed_effective_and_deleted_together() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    for index in 0..10 {
        let mut object =
            configuration(&format!("c{index}"), json!([webhook(hook.config("/"), json!({}))]));
        object["metadata"]["labels"] = json!({"set": "x"});
        engine.post(VALIDATING, object).await.ok();
    }
    let selected = format!("{VALIDATING}?labelSelector=set%3Dx");
    let list = engine.get(&selected).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 10);
    assert_eq!(engine.post(MAPS, map("m")).await.refused(), (400, "", DENIED));
    engine.delete(&selected).await.ok();
    engine.post(MAPS, map("m")).await.ok();
}

#[tokio::test]
async fn specs_5_and_6_changed_rules_take_effect_at_once() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    let one = format!("{VALIDATING}/c");
    assert_eq!(engine.post(MAPS, map("m")).await.code, 400);
    let mut object = engine.get(&one).await.ok();
    object["webhooks"][0]["rules"][0]["operations"] = json!(["UPDATE"]);
    engine.put(&one, object).await.ok();
    engine.post(MAPS, map("m")).await.ok();
    let rules =
        json!([{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}]);
    engine.send(Method::PATCH, &one, "application/json-patch+json", rules).await.ok();
    assert_eq!(engine.post(MAPS, map("n")).await.refused(), (400, "", DENIED));
}

#[tokio::test]
async fn spec_10_custom_resources_are_denied_creation_update_and_deletion() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    engine.post(WIDGETS, widget("w")).await.ok();
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    let one = format!("{WIDGETS}/w");
    assert_eq!(engine.post(WIDGETS, widget("x")).await.refused(), (400, "", DENIED));
    let change = json!({"spec": {"color": "blue"}});
    assert_eq!(engine.merge(&one, change).await.refused(), (400, "", DENIED));
    assert_eq!(engine.delete(&one).await.refused(), (400, "", DENIED));
    assert_eq!(engine.delete(WIDGETS).await.refused(), (400, "", DENIED));
    let seen: Vec<_> = hook
        .received()
        .into_iter()
        .map(|it| {
            let request = &it.body["request"];
            let name = request["name"].as_str().unwrap_or_default().to_owned();
            (request["operation"].as_str().unwrap().to_owned(), name)
        })
        .collect();
    let expected = [("CREATE", "x"), ("UPDATE", "w"), ("DELETE", "w"), ("DELETE", "")];
    assert_eq!(seen, expected.map(|(operation, name)| (operation.to_owned(), name.to_owned())));
    engine.delete(&format!("{VALIDATING}/c")).await.ok();
    engine.delete(&one).await.ok();
}

#[tokio::test]
async fn spec_11_pods_are_denied_and_exempt_namespaces_are_not() {
    let engine = Engine::new().await;
    let hook = TestWebhook::start(|_, body| {
        let pod = &body["request"]["object"];
        let denied = pod["spec"]["containers"][0]["name"] == "bad";
        review(&body, json!({"allowed": !denied, "status": {"reason": "Bad name"}}))
    })
    .await;
    let rules = json!([{
        "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
    }]);
    let selector = json!({"matchExpressions": [
        {"key": "name", "operator": "NotIn", "values": ["b"]},
    ]});
    let changes = json!({"rules": rules, "namespaceSelector": selector});
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), changes)).await;
    let pod = |container: &str| {
        let containers = json!([{"name": container, "image": "i"}]);
        json!({"metadata": {"name": container}, "spec": {"containers": containers}})
    };
    let answer = engine.post("/api/v1/namespaces/a/pods", pod("bad")).await;
    let message = "admission webhook \"hook.example.com\" denied the request: Bad name";
    assert_eq!(answer.refused(), (400, "Bad name", message));
    engine.post("/api/v1/namespaces/a/pods", pod("good")).await.ok();
    engine.post("/api/v1/namespaces/b/pods", pod("bad")).await.ok();
    assert_eq!(hook.calls(), 2);
}

#[tokio::test]
async fn spec_12_definitions_are_denied() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    let rules = json!([{
        "operations": ["CREATE"], "apiGroups": ["apiextensions.k8s.io"], "apiVersions": ["*"],
        "resources": ["customresourcedefinitions"],
    }]);
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({"rules": rules}))).await;
    let mut definition = super::harness::widgets();
    definition["metadata"]["name"] = "gadgets.example.com".into();
    definition["spec"]["names"] = json!({"plural": "gadgets", "kind": "Gadget"});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(engine.post(definitions, definition).await.refused(), (400, "", DENIED));
    assert_eq!(engine.get("/apis/example.com/v1/gadgets").await.code, 404);
}

#[tokio::test]
async fn spec_13_time_limits_are_honoured() {
    let engine = Engine::new().await;
    let hook = TestWebhook::start(|_, _| Reaction::Silence).await;
    let limited = |policy: &str| {
        webhook(hook.config("/"), json!({"timeoutSeconds": 1, "failurePolicy": policy}))
    };
    let object = engine.configure(VALIDATING, "c", limited("Fail")).await;
    let message = format!(
        "Internal error occurred: failed calling webhook \"hook.example.com\": failed to call \
         webhook: Post \"{}?timeout=1s\": context deadline exceeded",
        hook.url("/")
    );
    let started = engine.server.clock().elapsed();
    let answer = engine.post(MAPS, map("m")).await;
    assert_eq!(answer.refused(), (500, "InternalError", message.as_str()));
    let took = engine.server.clock().elapsed() - started;
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    let mut object = object;
    object["webhooks"][0]["failurePolicy"] = "Ignore".into();
    engine.put(&format!("{VALIDATING}/c"), object).await.ok();
    engine.post(MAPS, map("m")).await.ok();
}

#[tokio::test]
async fn spec_24_what_cannot_be_reached_refuses_where_it_must() {
    let engine = Engine::new().await;
    let client = json!({"service": {"name": "none", "namespace": "a", "path": "/x"}});
    engine.configure(VALIDATING, "c", webhook(client, json!({}))).await;
    let message = "Internal error occurred: failed calling webhook \"hook.example.com\": failed to \
                   call webhook: Post \"https://none.a.svc:443/x?timeout=10s\": service \"none\" \
                   not found";
    assert_eq!(engine.post(MAPS, map("m")).await.refused(), (500, "InternalError", message));
}

#[tokio::test]
async fn spec_21_configurations_are_never_asked_about() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    let rules = json!([{
        "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"],
    }]);
    let all = webhook(hook.config("/"), json!({"rules": rules}));
    engine.configure(VALIDATING, "c", all.clone()).await;
    engine.configure(super::harness::MUTATING, "c", all).await;
    engine.delete(&format!("{VALIDATING}/c")).await.ok();
    engine.delete(&format!("{}/c", super::harness::MUTATING)).await.ok();
    assert_eq!(hook.calls(), 0);
}

#[tokio::test]
async fn reviews_say_everything_about_the_request() {
    let (engine, hook) = (Engine::new().await, allowing().await);
    engine.post(WIDGETS, widget("w")).await.ok();
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    let path = format!("{WIDGETS}/w?fieldManager=me&dryRun=All&fieldValidation=Strict");
    engine.merge(&path, json!({"spec": {"color": "blue"}})).await.ok();
    let mut body = hook.received()[0].body.clone();
    let request = body["request"].as_object_mut().unwrap();
    let object = request.remove("object").unwrap();
    let old = request.remove("oldObject").unwrap();
    assert_eq!((&object["spec"]["color"], &old["spec"]["color"]), (&json!("blue"), &json!("red")));
    assert_eq!(object["metadata"]["uid"], old["metadata"]["uid"]);
    assert!(old["metadata"]["managedFields"].is_array());
    assert_eq!(request.remove("uid").unwrap().as_str().unwrap().len(), 36);
    assert_eq!(
        body,
        json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": {
                "kind": {"group": "example.com", "version": "v1", "kind": "Widget"},
                "resource": {"group": "example.com", "version": "v1", "resource": "widgets"},
                "requestKind": {"group": "example.com", "version": "v1", "kind": "Widget"},
                "requestResource": {"group": "example.com", "version": "v1", "resource": "widgets"},
                "name": "w", "namespace": "a", "operation": "UPDATE",
                "userInfo": {
                    "username": "admin", "groups": ["system:masters", "system:authenticated"],
                },
                "dryRun": true,
                "options": {
                    "kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1",
                    "fieldManager": "me", "dryRun": ["All"], "fieldValidation": "Strict",
                },
            },
        })
    );
    let stored = engine.get(&format!("{WIDGETS}/w")).await.ok();
    assert_eq!(stored["spec"]["color"], "red");
}

#[tokio::test]
async fn deletions_show_the_old_object_and_their_options() {
    let (engine, hook) = (Engine::new().await, allowing().await);
    engine.post(MAPS, map("m")).await.ok();
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    let path = format!("{MAPS}/m");
    let options = json!({"propagationPolicy": "Orphan", "gracePeriodSeconds": 0});
    engine.send(Method::DELETE, &path, "application/json", options).await.ok();
    let request = &hook.received()[0].body["request"];
    assert_eq!(request["object"], Value::Null);
    assert_eq!(request["oldObject"]["data"], json!({"k": "v"}));
    assert_eq!(
        request["options"],
        json!({
            "kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1",
            "propagationPolicy": "Orphan", "gracePeriodSeconds": 0,
        })
    );
}

#[tokio::test]
async fn code_reason_and_details_of_a_denial_are_passed_on() {
    let engine = Engine::new().await;
    let hook = TestWebhook::start(|_, body| {
        let status = json!({
            "code": 422, "reason": "Invalid", "message": "bad",
            "details": {"causes": [{"message": "m", "field": "f"}]},
        });
        review(&body, json!({"allowed": false, "status": status, "warnings": ["careful"]}))
    })
    .await;
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    let answer = engine.post(MAPS, map("m")).await;
    let message = "admission webhook \"hook.example.com\" denied the request: bad";
    assert_eq!(answer.refused(), (422, "Invalid", message));
    assert_eq!(answer.body["details"]["causes"], json!([{"message": "m", "field": "f"}]));
    assert_eq!(answer.warnings, ["299 - \"careful\""]);
}

#[tokio::test]
async fn denials_without_words_say_so() {
    let engine = Engine::new().await;
    let hook = TestWebhook::start(|_, body| review(&body, json!({"allowed": false}))).await;
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    let message = "admission webhook \"hook.example.com\" denied the request without explanation";
    assert_eq!(engine.post(MAPS, map("m")).await.refused(), (400, "", message));
}

#[tokio::test]
async fn warnings_of_an_accepted_request_reach_the_client() {
    let engine = Engine::new().await;
    let hook = TestWebhook::start(|_, body| {
        review(&body, json!({"allowed": true, "warnings": ["one", "two \"quoted\""]}))
    })
    .await;
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    let answer = engine.post(MAPS, map("m")).await;
    assert_eq!(answer.warnings, ["299 - \"one\"", "299 - \"two \\\"quoted\\\"\""]);
}

#[tokio::test]
async fn other_versions_are_converted_for_equivalent_rules_only() {
    let (engine, hook) = (Engine::new().await, allowing().await);
    let rules = json!([{
        "operations": ["CREATE"], "apiGroups": ["example.com"], "apiVersions": ["v2"],
        "resources": ["widgets"],
    }]);
    let object =
        engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({"rules": rules}))).await;
    engine.post(WIDGETS, widget("w")).await.ok();
    let received = hook.received();
    let request = &received[0].body["request"];
    assert_eq!(request["kind"]["version"], "v2");
    assert_eq!(request["requestKind"]["version"], "v1");
    assert_eq!(request["resource"]["version"], "v2");
    assert_eq!(request["object"]["apiVersion"], "example.com/v2");
    let mut object = object;
    object["webhooks"][0]["matchPolicy"] = "Exact".into();
    engine.put(&format!("{VALIDATING}/c"), object).await.ok();
    engine.post(WIDGETS, widget("x")).await.ok();
    assert_eq!(hook.calls(), 1);
}

#[tokio::test]
async fn objects_are_selected_by_old_or_new_labels() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    let selector = json!({"matchLabels": {"guarded": "yes"}});
    let changes = json!({"objectSelector": selector});
    engine.post(MAPS, map("m")).await.ok();
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), changes)).await;
    let one = format!("{MAPS}/m");
    engine.merge(&one, json!({"data": {"k": "w"}})).await.ok();
    let labelled = json!({"metadata": {"labels": {"guarded": "yes"}}});
    assert_eq!(engine.merge(&one, labelled).await.code, 400);
    assert_eq!(hook.calls(), 1);
}

#[tokio::test]
async fn dry_runs_do_not_call_what_has_side_effects() {
    let (engine, hook) = (Engine::new().await, allowing().await);
    let changes = json!({"sideEffects": "NoneOnDryRun"});
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), changes)).await;
    engine.post(&format!("{MAPS}?dryRun=All"), map("m")).await.ok();
    assert_eq!(hook.received()[0].body["request"]["dryRun"], true);
}

#[tokio::test]
async fn the_status_subresource_has_rules_of_its_own() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    let rules = json!([{
        "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
        "resources": ["widgets/status"],
    }]);
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({"rules": rules}))).await;
    engine.post(WIDGETS, widget("w")).await.ok();
    let status = json!({"status": {"replicas": 1}});
    let answer = engine.merge(&format!("{WIDGETS}/w/status"), status).await;
    assert_eq!(answer.refused(), (400, "", DENIED));
    let request = &hook.received()[0].body["request"];
    assert_eq!(
        (&request["subResource"], &request["requestSubResource"]),
        (&json!("status"), &json!("status"))
    );
}

#[tokio::test]
async fn the_scale_subresource_shows_a_scale() {
    let (engine, hook) = (Engine::new().await, denying("no").await);
    let rules = json!([{
        "operations": ["UPDATE"], "apiGroups": ["*"], "apiVersions": ["*"],
        "resources": ["widgets/scale"],
    }]);
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({"rules": rules}))).await;
    engine.post(WIDGETS, widget("w")).await.ok();
    let answer =
        engine.merge(&format!("{WIDGETS}/w/scale"), json!({"spec": {"replicas": 3}})).await;
    assert_eq!(answer.refused(), (400, "", DENIED));
    let request = &hook.received()[0].body["request"];
    assert_eq!(request["kind"], json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}));
    assert_eq!(request["object"]["spec"], json!({"replicas": 3}));
    assert_eq!(request["oldObject"]["spec"], json!({}));
}

#[tokio::test]
async fn all_webhooks_are_asked_and_the_first_refusal_counts() {
    let engine = Engine::new().await;
    let (first, second) = (denying("first").await, denying("second").await);
    engine.configure(VALIDATING, "b", webhook(second.config("/"), json!({}))).await;
    engine.configure(VALIDATING, "a", webhook(first.config("/"), json!({}))).await;
    let answer = engine.post(MAPS, map("m")).await;
    assert!(answer.refused().2.ends_with("first"), "{}", answer.body);
    assert_eq!((first.calls(), second.calls()), (1, 1));
}

#[tokio::test]
async fn generated_names_are_told_to_validating_webhooks() {
    let (engine, hook) = (Engine::new().await, allowing().await);
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), json!({}))).await;
    let created = engine.post(MAPS, json!({"metadata": {"generateName": "g-"}})).await.ok();
    let request = &hook.received()[0].body["request"];
    assert_eq!(request["name"], created["metadata"]["name"]);
}

#[tokio::test]
async fn version_v1beta1_is_spoken_where_it_comes_first() {
    let (engine, hook) = (Engine::new().await, allowing().await);
    let changes = json!({"admissionReviewVersions": ["v2", "v1beta1", "v1"]});
    engine.configure(VALIDATING, "c", webhook(hook.config("/"), changes)).await;
    engine.post(MAPS, map("m")).await.ok();
    assert_eq!(hook.received()[0].body["apiVersion"], "admission.k8s.io/v1beta1");
}
