//! Objects of several versions of one resource.

use super::definitions::{CRDS, gadget, gadgets, version_of};
use super::*;
use crate::apiserver::webhook::test_server::{Reaction, TestWebhook};
use crate::machinery::definition::{Conversion, WebhookConversion};

const V1: &str = "/apis/g.example.org/v1/namespaces/a/gadgets";
const V2: &str = "/apis/g.example.org/v2/namespaces/a/gadgets";
const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.g.example.org";

fn fields(names: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    json!({"type": "object", "properties": properties})
}

/// A definition that stores v1 with `a` and `b` and serves v2 with `a` and `c`.
fn two_versions() -> Value {
    let mut definition = gadgets(fields(&["a", "b"]));
    let second = version_of("v2", fields(&["a", "c"]));
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    definition
}

fn second(name: &str, spec: Value) -> Value {
    let mut object = gadget(name, spec);
    object["apiVersion"] = json!("g.example.org/v2");
    object
}

#[tokio::test(start_paused = true)]
async fn objects_are_stored_in_the_storage_version_and_pruned_by_each() {
    let harness = Harness::new().await;
    harness.post(CRDS, two_versions()).await.ok();
    harness.post(V1, gadget("one", json!({"a": "1", "b": "2"}))).await.ok();
    let shown = harness.get(&format!("{V2}/one")).await.ok();
    assert_eq!(
        (&shown["apiVersion"], &shown["spec"]),
        (&json!("g.example.org/v2"), &json!({"a": "1"}))
    );
    let created = harness.post(V2, second("two", json!({"a": "1", "c": "3"}))).await.ok();
    assert_eq!(created["spec"], json!({"a": "1"}), "what v1 does not know is not stored");
    assert_eq!(created["apiVersion"], "g.example.org/v2");
    let key = crate::store::ResourceKey { group: "g.example.org".into(), plural: "gadgets".into() };
    let entry = harness.server.store().get(&key, "a", "two").unwrap();
    assert!(entry.raw.starts_with(br#"{"apiVersion":"g.example.org/v1""#));
    let list = harness.get(V2).await.ok();
    assert_eq!(list["items"][0]["spec"], json!({"a": "1"}));
    assert_eq!(list["items"][0]["apiVersion"], "g.example.org/v2");
    let mut watch = harness.watch(&format!("{V2}?watch=1&resourceVersion=0")).await;
    watch.names(2).await;
    harness.merge(&format!("{V1}/one"), json!({"spec": {"b": "9", "a": "8"}})).await.ok();
    let event = watch.next().await.unwrap();
    assert_eq!(event["object"]["apiVersion"], "g.example.org/v2");
    assert_eq!(event["object"]["spec"], json!({"a": "8"}));
}

#[tokio::test(start_paused = true)]
async fn the_storage_version_may_change_and_old_objects_stay_readable() {
    let harness = Harness::new().await;
    harness.post(CRDS, two_versions()).await.ok();
    harness.post(V1, gadget("one", json!({"a": "1", "b": "2"}))).await.ok();
    let mut definition = two_versions();
    definition["spec"]["versions"][0]["storage"] = json!(false);
    definition["spec"]["versions"][1]["storage"] = json!(true);
    let versions = json!({"spec": {"versions": definition["spec"]["versions"]}});
    let changed = harness.merge(PATH, versions).await.ok();
    assert_eq!(changed["status"]["storedVersions"], json!(["v1", "v2"]));
    let one = harness.get(&format!("{V1}/one")).await.ok();
    assert_eq!(one["spec"], json!({"a": "1", "b": "2"}), "still stored as v1");
    let before = one["metadata"]["resourceVersion"].clone();
    let migrated = harness.merge(&format!("{V2}/one"), json!({})).await.ok();
    assert_ne!(migrated["metadata"]["resourceVersion"], before, "an empty patch migrates");
    let again = harness.merge(&format!("{V2}/one"), json!({})).await.ok();
    assert_eq!(again["metadata"], migrated["metadata"], "a second one has nothing to do");
    assert_eq!(harness.get(&format!("{V1}/one")).await.ok()["spec"], json!({"a": "1"}));
}

#[tokio::test(start_paused = true)]
async fn owners_in_other_versions_lose_what_changes() {
    let harness = Harness::new().await;
    let mut definition = two_versions();
    definition["spec"]["versions"][1] = version_of("v2", fields(&["a", "b"]));
    harness.post(CRDS, definition).await.ok();
    let created = gadget("one", json!({"a": "1", "b": "2"}));
    harness.apply(&format!("{V1}/one?fieldManager=first"), created).await.ok();
    let change = second("one", json!({"a": "9"}));
    let answer = harness.apply(&format!("{V2}/one?fieldManager=second"), change.clone()).await;
    assert_eq!(answer.code, 409);
    assert_eq!(answer.body["details"]["causes"][0]["field"], ".spec.a");
    let path = format!("{V2}/one?fieldManager=second&force=true");
    let taken = harness.apply(&path, change).await.ok();
    let entries = taken["metadata"]["managedFields"].as_array().unwrap();
    let owned = |manager: &str| {
        let entry = entries.iter().find(|it| it["manager"] == manager).unwrap();
        (entry["apiVersion"].as_str().unwrap(), entry["fieldsV1"]["f:spec"].clone())
    };
    assert_eq!(owned("first"), ("g.example.org/v1", json!({"f:b": {}})));
    assert_eq!(owned("second"), ("g.example.org/v2", json!({"f:a": {}})));
}

#[tokio::test(start_paused = true)]
async fn ownership_is_lost_when_an_owners_version_cannot_say_the_change() {
    let harness = Harness::new().await;
    let mut definition = two_versions();
    definition["spec"]["versions"][0]["storage"] = json!(false);
    definition["spec"]["versions"][1]["storage"] = json!(true);
    harness.post(CRDS, definition).await.ok();
    harness.post(V1, gadget("one", json!({"a": "1"}))).await.ok();
    let patched = harness.merge(&format!("{V2}/one"), json!({"spec": {"c": "3"}})).await.ok();
    assert_eq!(patched["spec"], json!({"a": "1", "c": "3"}));
    assert_eq!(patched["metadata"]["managedFields"], Value::Null);
}

/// Version 1 has `size`, version 2 has `width`; the extra one of each is kept in an annotation.
fn convert(object: &mut Value, from: &str, to: &str) -> Result<(), String> {
    let (old, new) = if to == "v2" { ("size", "width") } else { ("width", "size") };
    if object["spec"][old] == "unsayable" {
        return Err(format!("cannot say it in {to}"));
    }
    if let Some(value) = object["spec"].as_object_mut().and_then(|spec| spec.remove(old)) {
        object["spec"][new] = value;
    }
    object["metadata"]["annotations"]["from"] = from.into();
    object["apiVersion"] = format!("n.example.org/{to}").into();
    Ok(())
}

fn native(version: &str, field: &str) -> ResourceDefinition {
    let schema = json!({"type": "object", "properties": {"spec": fields(&[field])}});
    ResourceDefinition {
        group: "n.example.org".into(),
        version: version.into(),
        kind: "Native".into(),
        list_kind: "NativeList".into(),
        plural: "natives".into(),
        singular: "native".into(),
        schema: Schema::from_openapi(&schema).unwrap(),
        selectable_fields: vec![format!("spec.{field}").into()],
        strategy: Strategy { convert: Some(convert), ..Strategy::default() },
        ..widget(version)
    }
}

#[tokio::test(start_paused = true)]
async fn native_kinds_convert_both_ways() {
    let harness = Harness::new().await;
    harness.server.install(vec![native("v2", "width"), native("v1", "size")]);
    let (old, new) = (
        "/apis/n.example.org/v1/namespaces/a/natives",
        "/apis/n.example.org/v2/namespaces/a/natives",
    );
    let object = |version: &str, name: &str, spec: Value| {
        json!({"apiVersion": format!("n.example.org/{version}"), "kind": "Native",
            "metadata": {"name": name}, "spec": spec})
    };
    let created = harness.post(old, object("v1", "x", json!({"size": "1"}))).await.ok();
    assert_eq!(created["spec"], json!({"size": "1"}));
    let shown = harness.get(&format!("{new}/x")).await.ok();
    assert_eq!(shown["spec"], json!({"width": "1"}));
    assert_eq!(shown["metadata"]["annotations"]["from"], "v1");
    harness.post(new, object("v2", "y", json!({"width": "2"}))).await.ok();
    let list = harness.get(&format!("{old}?fieldSelector=spec.size%3D2")).await.ok();
    assert_eq!((names(&list), &list["items"][0]["spec"]), (vec!["y"], &json!({"size": "2"})));
    let merged = harness.merge(&format!("{old}/y"), json!({"spec": {"size": "3"}})).await.ok();
    assert_eq!(merged["spec"], json!({"size": "3"}));
    assert_eq!(harness.get(&format!("{new}/y")).await.ok()["spec"], json!({"width": "3"}));
    let scale = harness.get(&format!("{old}/y/scale")).await;
    let why = "Internal error occurred: the spec replicas field \".spec.replicas\" does not exist";
    assert_eq!(scale.refused(), (500, "InternalError", why));
    let bad = object("v1", "z", json!({"size": "unsayable"}));
    assert_eq!(harness.post(old, bad).await.refused().2, "cannot say it in v2");
    harness.delete(&format!("{old}/y"), Value::Null).await.ok();
    assert_eq!(names(&harness.get(new).await.ok()), ["x"]);
}

/// A webhook that renames `a` to `c` on the way to v2, and back.
async fn webhook() -> TestWebhook {
    TestWebhook::start(|path, review| {
        let desired = review["request"]["desiredAPIVersion"].clone();
        let mut objects = review["request"]["objects"].clone();
        for object in objects.as_array_mut().unwrap() {
            let (old, new) = if desired == "g.example.org/v2" { ("a", "c") } else { ("c", "a") };
            if let Some(value) = object["spec"].as_object_mut().unwrap().remove(old) {
                object["spec"][new] = value;
            }
            object["apiVersion"] = desired.clone();
            object["metadata"]["labels"]["converted"] = json!("yes");
            object["metadata"]["generation"] = json!(99);
            if path.starts_with("/rename") {
                object["metadata"]["name"] = json!("other");
            }
        }
        let mut response = json!({"uid": review["request"]["uid"], "convertedObjects": objects,
            "result": {"status": "Success"}});
        if path.starts_with("/refuse") {
            response = json!({"uid": review["request"]["uid"],
                "result": {"status": "Failure", "message": "not today"}});
        }
        Reaction::Json(json!({"apiVersion": review["apiVersion"], "kind": "ConversionReview",
            "response": response}))
    })
    .await
}

fn by_webhook(webhook: &TestWebhook, path: &str, review_versions: Value) -> Value {
    let mut definition = two_versions();
    definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "clientConfig": webhook.config(path), "conversionReviewVersions": review_versions}});
    definition
}

/// Webhooks answer over real sockets: time does not stand still.
async fn harness() -> Harness {
    let mut definitions = builtin::definitions();
    definitions.extend([widget("v1")]);
    let options = Options::new(Clock::wall());
    let harness = Harness { server: ApiServer::new(&Profile::new(definitions), options) };
    harness.post("/api/v1/namespaces", json!({"metadata": {"name": "a"}})).await.ok();
    harness
}

#[tokio::test]
async fn spec_30_and_31_webhooks_convert_objects_and_lists_of_mixed_versions() {
    for review in ["v1", "v1beta1"] {
        let webhook = webhook().await;
        let harness = harness().await;
        let versions = json!(["v9", review]);
        harness.post(CRDS, by_webhook(&webhook, "/convert", versions)).await.ok();
        harness.post(V1, gadget("one", json!({"a": "1"}))).await.ok();
        assert_eq!(webhook.calls(), 0, "the storage version needs no conversion");
        let shown = harness.get(&format!("{V2}/one")).await.ok();
        assert_eq!(shown["spec"], json!({"c": "1"}));
        assert_eq!(shown["metadata"]["labels"], json!({"converted": "yes"}));
        assert_eq!(shown["metadata"]["generation"], 1, "other metadata is the object's own");
        let sent = &webhook.received()[0].body;
        assert_eq!(sent["apiVersion"], format!("apiextensions.k8s.io/{review}"));
        harness.post(V2, second("two", json!({"c": "2"}))).await.ok();
        let mut definition = by_webhook(&webhook, "/convert", json!([review]));
        definition["spec"]["versions"][0]["storage"] = json!(false);
        definition["spec"]["versions"][1]["storage"] = json!(true);
        harness.merge(PATH, json!({"spec": definition["spec"]})).await.ok();
        harness.post(V2, second("three", json!({"c": "3"}))).await.ok();
        let calls = webhook.calls();
        let list = harness.get(V2).await.ok();
        let specs: Vec<&Value> =
            list["items"].as_array().unwrap().iter().map(|item| &item["spec"]).collect();
        assert_eq!(specs, [&json!({"c": "1"}), &json!({"c": "3"}), &json!({"c": "2"})]);
        assert_eq!(webhook.calls(), calls + 1, "one review for all that need it");
        let objects = &webhook.received()[calls].body["request"]["objects"];
        assert_eq!(objects.as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn watchers_share_the_conversion_of_an_event() {
    let webhook = webhook().await;
    let harness = harness().await;
    harness.post(CRDS, by_webhook(&webhook, "/convert", json!(["v1"]))).await.ok();
    let mut watches = Vec::new();
    for _ in 0..5 {
        watches.push(harness.watch(&format!("{V2}?watch=1")).await);
    }
    harness.post(V1, gadget("one", json!({"a": "1"}))).await.ok();
    for watch in &mut watches {
        let event = watch.next().await.unwrap();
        assert_eq!(event["object"]["spec"], json!({"c": "1"}));
    }
    assert_eq!(webhook.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_storage_version_need_not_be_served() {
    let harness = Harness::new().await;
    let mut definition = two_versions();
    definition["spec"]["versions"][0]["served"] = json!(false);
    harness.post(CRDS, definition).await.ok();
    assert_eq!(harness.get(V1).await.code, 404);
    let created = harness.post(V2, second("one", json!({"a": "1", "c": "3"}))).await.ok();
    assert_eq!(created["spec"], json!({"a": "1"}));
    let merged = harness.merge(&format!("{V2}/one"), json!({"spec": {"a": "2"}})).await.ok();
    assert_eq!(merged["spec"], json!({"a": "2"}));
    let dry = format!("{V2}?dryRun=All");
    let tried = harness.post(&dry, second("two", json!({"a": "1", "c": "3"}))).await.ok();
    assert_eq!(tried["spec"], json!({"a": "1"}));
    assert_eq!(names(&harness.get(V2).await.ok()), ["one"]);
}

#[tokio::test]
async fn failures_of_conversion_webhooks_are_told_in_upstreams_words() {
    for (path, why) in [
        ("/refuse", "failed: not today"),
        ("/rename", "returned invalid object: must have the same name: one != other"),
    ] {
        let webhook = webhook().await;
        let harness = harness().await;
        harness.post(CRDS, by_webhook(&webhook, path, json!(["v1"]))).await.ok();
        harness.post(V1, gadget("one", json!({"a": "1"}))).await.ok();
        let answer = harness.get(&format!("{V2}/one")).await;
        let message = format!("conversion webhook for g.example.org/v1, Kind=Gadget {why}");
        assert_eq!((answer.code.as_u16(), answer.refused().2), (500, message.as_str()));
    }
}

/// A webhook that renames `size` to `width` on the way to v2, and back, and labels what it made.
async fn external() -> TestWebhook {
    TestWebhook::start(|_, review| {
        let desired = review["request"]["desiredAPIVersion"].as_str().unwrap();
        let mut objects = review["request"]["objects"].clone();
        for object in objects.as_array_mut().unwrap() {
            let from = if desired.ends_with("v2") { "v1" } else { "v2" };
            convert(object, from, desired.rsplit('/').next().unwrap()).unwrap();
            object["metadata"]["labels"]["by"] = json!("webhook");
        }
        let response = json!({"uid": review["request"]["uid"], "convertedObjects": objects,
            "result": {"status": "Success"}});
        Reaction::Json(json!({"apiVersion": review["apiVersion"], "kind": "ConversionReview",
            "response": response}))
    })
    .await
}

#[tokio::test]
async fn native_conversion_steps_aside_for_a_webhook_that_has_an_address() {
    let webhook = external().await;
    let served_by = |config: Value| {
        let hook = WebhookConversion {
            definition: "natives.n.example.org".into(),
            review_versions: vec!["v1".into()],
            client_config: config,
        };
        let conversion = Conversion::Webhook(Arc::new(hook));
        [("v2", "width"), ("v1", "size")].map(|(version, field)| ResourceDefinition {
            serving: Serving { conversion: conversion.clone(), ..Serving::default() },
            ..native(version, field)
        })
    };
    let harness = harness().await;
    let (old, new) = (
        "/apis/n.example.org/v1/namespaces/a/natives",
        "/apis/n.example.org/v2/namespaces/a/natives",
    );
    let by = async || harness.get(&format!("{old}/x")).await.ok()["metadata"]["labels"].clone();
    // A Service that is not there: the provider's manifest was applied, its manager does not run.
    let nowhere = json!({"service": {"namespace": "a", "name": "hooks"}});
    harness.server.install(served_by(nowhere.clone()).to_vec());
    let object = json!({"apiVersion": "n.example.org/v2", "kind": "Native",
        "metadata": {"name": "x"}, "spec": {"width": "1"}});
    harness.post(new, object).await.ok();
    assert_eq!(by().await, Value::Null);
    harness.server.install(served_by(webhook.config("/convert")).to_vec());
    assert_eq!(by().await, json!({"by": "webhook"}));
    // Its address stays known while it is away: it alone may say what version 1 of an object is.
    let config = webhook.config("/convert");
    drop(webhook);
    harness.server.install(served_by(config).to_vec());
    let refused = harness.get(&format!("{old}/x")).await;
    assert_eq!(refused.code, 500);
    let message = refused.refused().2.to_owned();
    let expected = "conversion webhook for n.example.org/v2, Kind=Native failed: Post ";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(harness.get(&format!("{new}/x")).await.ok()["spec"], json!({"width": "1"}));
    harness.server.install(served_by(nowhere).to_vec());
    assert_eq!(by().await, Value::Null);
}

#[tokio::test]
async fn the_serving_certificate_itself_is_enough_to_trust_a_webhook() {
    use base64::Engine as _;
    let webhook = webhook().await;
    let harness = harness().await;
    let mut definition = by_webhook(&webhook, "/convert", json!(["v1"]));
    let leaf = base64::engine::general_purpose::STANDARD.encode(&webhook.certificate_pem);
    definition["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"] = json!(leaf);
    harness.post(CRDS, definition).await.ok();
    harness.post(V1, gadget("one", json!({"a": "1"}))).await.ok();
    assert_eq!(harness.get(&format!("{V2}/one")).await.ok()["spec"], json!({"c": "1"}));
}
