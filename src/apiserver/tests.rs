//! The engine, driven request by request as clients drive it.

mod clients;
mod conformance;
mod conversion;
mod definitions;
mod fuzz;
mod history;
mod limits;
mod lists;
mod parity;
mod protobuf;
mod storage;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::continuation::Continuation;
use super::garbage::{DependentPolicy, GcEvent};
use super::{ApiServer, Identity, InProcess, Options, Profile};
use crate::clock::Clock;
use crate::machinery::builtin;
use crate::machinery::definition::{
    Origin, ResourceDefinition, ScalePaths, Serving, Strategy, Subresources,
};
use crate::machinery::schema::Schema;
use crate::machinery::status::Cause;

const MAPS: &str = "/api/v1/namespaces/a/configmaps";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/a/widgets";
const MERGE: &str = "application/merge-patch+json";

fn widget(version: &str) -> ResourceDefinition {
    let schema = json!({"type": "object", "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": {"type": "object", "properties": {
            "size": {"type": "integer", "default": 1},
            "replicas": {"type": "integer"},
            "color": {"type": "string", "enum": ["red", "blue"]},
        }},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    ResourceDefinition {
        group: "example.com".into(),
        version: version.into(),
        kind: "Widget".into(),
        list_kind: "WidgetList".into(),
        plural: "widgets".into(),
        singular: "widget".into(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: true,
        origin: Origin::Custom,
        schema: Schema::from_openapi(&schema).unwrap(),
        columns: Vec::new(),
        subresources: Subresources {
            status: true,
            scale: Some(ScalePaths {
                spec_replicas: "spec.replicas".into(),
                status_replicas: "status.replicas".into(),
                label_selector: None,
            }),
        },
        selectable_fields: vec!["spec.color".into()],
        strategy: Strategy {
            validate: Some(|new, old| {
                let is_refused = old.is_some() && new["spec"]["size"] == 13;
                is_refused
                    .then(|| Cause::invalid("spec.size", &json!(13), "unlucky"))
                    .into_iter()
                    .collect()
            }),
            ..Strategy::default()
        },
        serving: Serving::default(),
    }
}

struct Harness {
    server: ApiServer,
}

struct Answer {
    code: StatusCode,
    warnings: Vec<String>,
    body: Value,
}

impl Harness {
    async fn new() -> Self {
        Self::with_history(1 << 20).await
    }

    async fn with_history(history_bytes: usize) -> Self {
        let mut definitions = builtin::definitions();
        definitions.extend([widget("v1"), widget("v2")]);
        let clock = Clock::virtual_from("2026-01-02T03:04:05Z".parse().unwrap());
        let options = Options { history_bytes, ..Options::new(clock) };
        let harness = Self { server: ApiServer::new(&Profile::new(definitions), options) };
        harness.post("/api/v1/namespaces", json!({"metadata": {"name": "a"}})).await.ok();
        harness
    }

    async fn raw(&self, request: http::request::Builder, body: Body) -> Response<Body> {
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(Identity::administrator("admin"));
        self.server.handle(request).await
    }

    async fn send(&self, method: Method, path: &str, media: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .header("user-agent", "tests/1.0");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        Answer::read(self.raw(request, body).await).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", Value::Null).await
    }
    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, "application/json", body).await
    }
    async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, "application/json", body).await
    }
    async fn merge(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, MERGE, body).await
    }
    async fn apply(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, "application/apply-patch+yaml", body).await
    }
    async fn delete(&self, path: &str, body: Value) -> Answer {
        self.send(Method::DELETE, path, "application/json", body).await
    }

    async fn map(&self, name: &str, label: &str) -> Value {
        let body = json!({"metadata": {"name": name, "labels": {"l": label}}, "data": {"k": "v"}});
        self.post(MAPS, body).await.ok()
    }

    async fn watch(&self, path: &str) -> Watch {
        let response = self.raw(Request::get(path), Body::empty()).await;
        assert_eq!(response.status(), 200);
        Watch { stream: response.into_body().into_data_stream(), buffer: Vec::new() }
    }
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let warnings = parts.headers.get_all("warning").iter();
        Self {
            code: parts.status,
            warnings: warnings.map(|value| value.to_str().unwrap().to_owned()).collect(),
            body: serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned())),
        }
    }

    /// The body of a success.
    fn ok(self) -> Value {
        assert!(self.code.is_success(), "{} {}", self.code, self.body);
        self.body
    }

    /// Code, reason and message of a refusal.
    fn refused(&self) -> (u16, &str, &str) {
        let text = |field: &str| self.body[field].as_str().unwrap_or_default();
        (self.code.as_u16(), text("reason"), text("message"))
    }
}

struct Watch {
    stream: BodyDataStream,
    buffer: Vec<u8>,
}

impl Watch {
    /// The next event, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = self.stream.next().await?.unwrap();
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// The next events as `TYPE name`.
    async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            let event = self.next().await.expect("the watch goes on");
            let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
            names.push(format!("{} {name}", event["type"].as_str().unwrap()));
        }
        names
    }
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn objects_are_created_read_and_listed() {
    let harness = Harness::new().await;
    let created = harness.map("x", "1").await;
    assert_eq!(created["apiVersion"], "v1");
    assert_eq!(created["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
    assert_eq!(created["metadata"]["namespace"], "a");
    assert_eq!(created["metadata"]["managedFields"][0]["manager"], "tests");
    assert_eq!(harness.get(&format!("{MAPS}/x")).await.ok(), created);
    let list = harness.get(MAPS).await.ok();
    assert_eq!((&list["kind"], version(&list)), (&json!("ConfigMapList"), version(&created)));
    let mut item = created;
    item.as_object_mut().unwrap().retain(|name, _| name != "kind" && name != "apiVersion");
    assert_eq!(list["items"], json!([item]), "items of built-in lists carry no kind");
}

#[tokio::test(start_paused = true)]
async fn custom_items_carry_their_kind_in_the_version_asked_for() {
    let harness = Harness::new().await;
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    harness.post(WIDGETS, body).await.ok();
    let list = harness.get("/apis/example.com/v2/widgets").await.ok();
    assert_eq!(list["items"][0]["apiVersion"], "example.com/v2");
    assert_eq!(list["items"][0]["kind"], "Widget");
    let one = harness.get("/apis/example.com/v2/namespaces/a/widgets/w").await.ok();
    assert_eq!(one["apiVersion"], "example.com/v2");
}

#[tokio::test(start_paused = true)]
async fn refusals_have_upstreams_words() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let answer = harness.post(MAPS, json!({"metadata": {"name": "x"}})).await;
    let wanted = (409, "AlreadyExists", "configmaps \"x\" already exists");
    assert_eq!(answer.refused(), wanted);
    let answer = harness.get(&format!("{MAPS}/none")).await;
    assert_eq!(answer.refused(), (404, "NotFound", "configmaps \"none\" not found"));
    let answer =
        harness.post("/api/v1/namespaces/b/configmaps", json!({"metadata": {"name": "x"}})).await;
    assert_eq!(answer.refused(), (404, "NotFound", "namespaces \"b\" not found"));
    let answer = harness.get("/apis/none/v1/things").await;
    assert_eq!((answer.code.as_u16(), answer.body), (404, json!("404 page not found\n")));
    let answer = harness.get(&format!("{MAPS}?fieldSelector=x%3D1")).await;
    assert_eq!(answer.code, 400);
    let answer = harness.get(&format!("{WIDGETS}?fieldSelector=spec.size%3D1")).await;
    assert_eq!(answer.refused(), (400, "BadRequest", "field label not supported: spec.size"));
    let big = Body::from(vec![b' '; 3 * 1024 * 1024 + 1]);
    let answer = Answer::read(harness.raw(Request::post(MAPS), big).await).await;
    let wanted = (413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
    assert_eq!(answer.refused(), wanted);
    let protobuf =
        Request::post(MAPS).header("content-type", "application/vnd.kubernetes.protobuf");
    let answer = Answer::read(harness.raw(protobuf, Body::from("k8s\0")).await).await;
    assert_eq!(answer.code, 400, "an envelope without a kind");
    let only_protobuf =
        Request::get(WIDGETS).header("accept", "application/vnd.kubernetes.protobuf");
    assert_eq!(harness.raw(only_protobuf, Body::empty()).await.status(), 406);
    let anonymous = Request::get(MAPS).body(Body::empty()).unwrap();
    assert_eq!(harness.server.handle(anonymous).await.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn protobuf_bodies_are_objects_and_options() {
    let harness = Harness::new().await;
    let envelope = |kind: &str, raw: &str| {
        let length = |text: &str| char::from(u8::try_from(text.len()).unwrap());
        let meta = format!("\n\u{2}v1\u{12}{}{kind}", length(kind));
        Body::from(format!("k8s\0\n{}{meta}\u{12}{}{raw}", length(&meta), length(raw)))
    };
    let media_type = "application/vnd.kubernetes.protobuf; charset=utf-8";
    let create = Request::post(MAPS).header("content-type", media_type);
    // metadata.name is x, data.k is v.
    let raw = "\n\u{3}\n\u{1}x\u{12}\u{6}\n\u{1}k\u{12}\u{1}v";
    let created = harness.raw(create, envelope("ConfigMap", raw)).await;
    assert_eq!(Answer::read(created).await.ok()["data"], json!({"k": "v"}));
    let delete = |raw| {
        let request = Request::delete(format!("{MAPS}/x")).header("content-type", media_type);
        harness.raw(request, envelope("DeleteOptions", raw))
    };
    // preconditions.uid is u.
    let answer = Answer::read(delete("\u{12}\u{3}\n\u{1}u").await).await;
    assert_eq!(answer.code, 409);
    assert_eq!(Answer::read(delete("").await).await.code, 200);
}

#[tokio::test(start_paused = true)]
async fn updates_check_the_resource_version() {
    let harness = Harness::new().await;
    let mut object = harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    object["data"]["k"] = "new".into();
    let updated = harness.put(&path, object.clone()).await.ok();
    assert!(version(&updated) > version(&object));
    object["data"]["k"] = "stale".into();
    assert_eq!(harness.put(&path, object.clone()).await.refused().1, "Conflict");
    object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    harness.put(&path, object).await.ok();
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    harness.post(WIDGETS, body.clone()).await.ok();
    let answer = harness.put(&format!("{WIDGETS}/w"), body).await;
    assert_eq!(answer.code, 422, "custom resources have to name the version: {}", answer.body);
    assert_eq!(harness.server.counts().conflicts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_changes_nothing_writes_nothing() {
    let harness = Harness::new().await;
    let object = harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    let writes = harness.server.counts().writes;
    assert_eq!(harness.merge(&path, json!({"data": {"k": "v"}})).await.ok(), object);
    let counts = harness.server.counts();
    assert_eq!((counts.writes, counts.noop_writes), (writes, 1));
    let patched = harness.merge(&path, json!({"data": {"k": null, "n": "1"}})).await.ok();
    assert_eq!(patched["data"], json!({"n": "1"}));
    assert_eq!(version(&patched), version(&object) + 1);
}

#[tokio::test(start_paused = true)]
async fn all_patch_types_are_served() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    let patch = json!([{"op": "replace", "path": "/data/k", "value": "j"}]);
    let media = "application/json-patch+json";
    assert_eq!(harness.send(Method::PATCH, &path, media, patch).await.ok()["data"]["k"], "j");
    let media = "application/strategic-merge-patch+json";
    let patch = json!({"data": {"k": "s"}});
    let answer = harness.send(Method::PATCH, &path, media, patch.clone()).await;
    assert_eq!(answer.ok()["data"]["k"], "s");
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    let applied = harness.apply(&format!("{WIDGETS}/w?fieldManager=m"), body.clone()).await;
    assert_eq!(applied.code, 201);
    let again = harness.apply(&format!("{WIDGETS}/w?fieldManager=m"), body).await;
    assert_eq!((again.code.as_u16(), version(&again.body)), (200, version(&applied.body)));
    let answer = harness.send(Method::PATCH, &format!("{WIDGETS}/w"), media, patch).await;
    assert_eq!(answer.code, 415, "custom resources take no strategic merge patch");
}

#[tokio::test(start_paused = true)]
async fn status_and_spec_are_written_apart() {
    let harness = Harness::new().await;
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
        "spec": {}, "status": {"x": 1}});
    let created = harness.post(WIDGETS, body).await.ok();
    assert_eq!((&created["status"], &created["spec"]), (&Value::Null, &json!({"size": 1})));
    assert_eq!(created["metadata"]["generation"], 1);
    let path = format!("{WIDGETS}/w");
    let status = format!("{path}/status");
    let patch =
        json!({"status": {"x": 2}, "spec": {"size": 5}, "metadata": {"labels": {"l": "1"}}});
    let object = harness.merge(&status, patch.clone()).await.ok();
    assert_eq!((&object["status"]["x"], &object["spec"]["size"]), (&json!(2), &json!(1)));
    assert_eq!(object["metadata"]["labels"], Value::Null);
    assert_eq!(object["metadata"]["generation"], 1);
    let object = harness.merge(&path, json!({"status": {"x": 3}, "spec": {"size": 5}})).await.ok();
    assert_eq!((&object["status"]["x"], &object["spec"]["size"]), (&json!(2), &json!(5)));
    assert_eq!(object["metadata"]["generation"], 2);
    assert_eq!(harness.get(&status).await.ok(), object);
    assert_eq!(harness.delete(&status, Value::Null).await.code, 405);
}

#[tokio::test(start_paused = true)]
async fn rules_of_a_kind_are_not_those_of_its_subresources() {
    let harness = Harness::new().await;
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
        "spec": {"size": 13}});
    harness.post(WIDGETS, body).await.ok();
    let path = format!("{WIDGETS}/w");
    let refused = harness.merge(&path, json!({"spec": {"color": "red"}})).await;
    assert_eq!(refused.code, 422);
    let status = harness.merge(&format!("{path}/status"), json!({"status": {"x": 1}})).await.ok();
    assert_eq!(status["status"]["x"], 1);
    let scaled = harness.merge(&format!("{path}/scale"), json!({"spec": {"replicas": 3}})).await;
    assert_eq!(scaled.ok()["spec"]["replicas"], 3);
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_pruned_and_reported() {
    let harness = Harness::new().await;
    let body = |name: &str| {
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name},
            "spec": {"odd": 1}})
    };
    let answer = harness.post(WIDGETS, body("warned")).await;
    assert_eq!(answer.warnings, [r#"299 - "unknown field \"spec.odd\"""#]);
    assert_eq!(answer.ok()["spec"], json!({"size": 1}));
    let answer = harness.post(&format!("{WIDGETS}?fieldValidation=Strict"), body("strict")).await;
    assert!(answer.refused().2.ends_with("strict decoding error: unknown field \"spec.odd\""));
    let answer = harness.post(&format!("{WIDGETS}?fieldValidation=Ignore"), body("ignored")).await;
    assert!(answer.code.is_success() && answer.warnings.is_empty());
    let text = r#"{"metadata":{"name":"m","zz":{}},"data":{"a":"1","a":"2"},"Data":{},"b":1}"#;
    let strict = Request::post(format!("{MAPS}?fieldValidation=Strict"));
    let answer = Answer::read(harness.raw(strict, Body::from(text)).await).await;
    assert_eq!(
        answer.refused().2.split_once("strict decoding error: ").unwrap().1,
        r#"unknown field "metadata.zz", duplicate field "data.a", unknown field "Data", unknown field "b""#
    );
    let mut wrong = body("invalid");
    wrong["spec"] = json!({"color": "green"});
    assert_eq!(harness.post(WIDGETS, wrong).await.refused().1, "Invalid");
}

#[tokio::test(start_paused = true)]
async fn dry_runs_leave_no_trace() {
    let harness = Harness::new().await;
    let object = harness.map("x", "1").await;
    let revision = harness.server.store().revision();
    let dry = |path: &str| format!("{path}?dryRun=All");
    let created = harness.post(&dry(MAPS), json!({"metadata": {"name": "y"}})).await.ok();
    assert_eq!(created["metadata"]["resourceVersion"], Value::Null);
    let path = format!("{MAPS}/x");
    let patched = harness.merge(&dry(&path), json!({"data": {"k": "dry"}})).await.ok();
    assert_eq!((&patched["data"]["k"], version(&patched)), (&json!("dry"), version(&object)));
    harness.delete(&dry(&path), Value::Null).await.ok();
    assert_eq!(harness.server.store().revision(), revision);
}

#[tokio::test(start_paused = true)]
async fn names_are_generated() {
    let harness = Harness::new().await;
    let body = json!({"metadata": {"generateName": "g-"}});
    let one = harness.post(MAPS, body.clone()).await.ok();
    let two = harness.post(MAPS, body).await.ok();
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(name(&one).len(), 7);
    assert_ne!(name(&one), name(&two));
    assert_eq!(harness.post(MAPS, json!({})).await.refused().1, "Invalid");
}

#[tokio::test(start_paused = true)]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let harness = Harness::new().await;
    let path = format!("{MAPS}/x");
    let body = json!({"metadata": {"name": "x", "finalizers": ["x.y/a"]}});
    let created = harness.post(MAPS, body).await.ok();
    let mut watch =
        harness.watch(&format!("{MAPS}?watch=1&resourceVersion={}", version(&created))).await;
    let marked = harness.delete(&path, Value::Null).await.ok();
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-02T03:04:05Z");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(
        harness.delete(&path, Value::Null).await.ok(),
        marked,
        "a second delete is no write"
    );
    let more = json!({"metadata": {"finalizers": ["x.y/a", "x.y/b"]}});
    assert_eq!(harness.merge(&path, more).await.code, 422);
    let last = harness.merge(&path, json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(version(&last), version(&marked), "the last write answers the previous version");
    assert_eq!(harness.get(&path).await.code, 404);
    assert_eq!(watch.names(2).await, ["MODIFIED x", "DELETED x"]);
    harness.map("plain", "1").await;
    let gone = harness.delete(&format!("{MAPS}/plain"), Value::Null).await.ok();
    assert_eq!((&gone["kind"], &gone["status"]), (&json!("Status"), &json!("Success")));
    assert_eq!(gone["details"]["kind"], "configmaps");
}

#[tokio::test(start_paused = true)]
async fn propagation_policies_set_the_collectors_finalizers() {
    let harness = Harness::new().await;
    let mut feed = harness.server.subscribe_deletions();
    let parent = harness.map("x", "1").await;
    let uid = parent["metadata"]["uid"].as_str().unwrap().to_owned();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": uid});
    let child = json!({"metadata": {"name": "child", "ownerReferences": [owner]}});
    harness.post(MAPS, child).await.ok();
    assert_eq!(harness.server.store().dependents(&uid)[0].name, "child");
    assert!(
        matches!(feed.recv().await, Some(GcEvent::CreatedWithOwners { object }) if object.name == "child")
    );
    let path = format!("{MAPS}/x");
    let object = harness.delete(&path, json!({"propagationPolicy": "Foreground"})).await.ok();
    assert_eq!(object["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    assert!(matches!(
        feed.recv().await,
        Some(GcEvent::DeletionRequested { policy: DependentPolicy::Foreground, .. })
    ));
    harness.delete(&path, json!({"propagationPolicy": "Background"})).await.ok();
    assert!(matches!(feed.recv().await, Some(GcEvent::Deleted { uid: gone, .. }) if gone == uid));
    let stale = json!({"preconditions": {"uid": "other"}});
    assert_eq!(harness.delete(&format!("{MAPS}/child"), stale).await.refused().1, "Conflict");
}

#[tokio::test(start_paused = true)]
async fn namespaces_terminate_and_refuse_new_content() {
    let harness = Harness::new().await;
    let path = "/api/v1/namespaces/a";
    let namespace = harness.get(path).await.ok();
    assert_eq!(namespace["metadata"]["labels"]["kubernetes.io/metadata.name"], "a");
    assert_eq!(namespace["status"]["phase"], "Active");
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    let terminating = harness.delete(path, Value::Null).await.ok();
    assert_eq!(terminating["status"]["phase"], "Terminating");
    let answer = harness.post(MAPS, json!({"metadata": {"name": "x"}})).await;
    assert_eq!(answer.body["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let finalized =
        harness.put(&format!("{path}/finalize"), json!({"metadata": {"name": "a"}})).await;
    assert_eq!(finalized.ok()["spec"], json!({}));
    assert_eq!(harness.get(path).await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn scale_reads_and_writes_replicas() {
    let harness = Harness::new().await;
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"},
        "spec": {"replicas": 2}});
    harness.post(WIDGETS, body).await.ok();
    let path = format!("{WIDGETS}/w/scale");
    let scale = harness.get(&path).await.ok();
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(2)));
    let scale = harness.merge(&path, json!({"spec": {"replicas": 5}})).await.ok();
    assert_eq!(scale["spec"]["replicas"], 5);
    let strategic = "application/strategic-merge-patch+json";
    let body = json!({"spec": {"replicas": 6}});
    assert_eq!(harness.send(Method::PATCH, &path, strategic, body).await.code, 415);
    let object = harness.get(&format!("{WIDGETS}/w")).await.ok();
    assert_eq!(
        (&object["spec"]["replicas"], &object["metadata"]["generation"]),
        (&json!(5), &json!(2))
    );
    assert_eq!(
        harness.put(&path, json!({"metadata": {"name": "w"}, "spec": {"replicas": -1}})).await.code,
        422
    );
}

#[tokio::test(start_paused = true)]
async fn lists_are_selected_and_paged_consistently() {
    let harness = Harness::new().await;
    for name in ["a", "b", "c", "d"] {
        harness.map(name, if name == "b" { "2" } else { "1" }).await;
    }
    assert_eq!(
        names(&harness.get(&format!("{MAPS}?labelSelector=l%3D1")).await.ok()),
        ["a", "c", "d"]
    );
    let one = harness.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dc")).await.ok();
    assert_eq!(names(&one), ["c"]);
    let first = harness.get(&format!("{MAPS}?limit=2")).await.ok();
    assert_eq!(
        (names(&first), &first["metadata"]["remainingItemCount"]),
        (vec!["a", "b"], &json!(2))
    );
    harness.delete(&format!("{MAPS}/c"), Value::Null).await.ok();
    harness.map("e", "1").await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = harness.get(&format!("{MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!((names(&rest), version(&rest)), (vec!["c", "d"], version(&first)));
    assert_eq!(rest["metadata"]["continue"], Value::Null);
    let exact = format!("{MAPS}?resourceVersionMatch=Exact&resourceVersion={}", version(&first));
    assert_eq!(names(&harness.get(&exact).await.ok()), ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_compacted_list_goes_on_inconsistently() {
    let harness = Harness::with_history(2000).await;
    for name in ["a", "b", "c"] {
        harness.map(name, "1").await;
    }
    let first = harness.get(&format!("{MAPS}?limit=1")).await.ok();
    let mut watch =
        harness.watch(&format!("{MAPS}?watch=1&resourceVersion={}", version(&first))).await;
    for value in 0..20 {
        let patch = json!({"data": {"k": value.to_string()}});
        harness.merge(&format!("{MAPS}/c"), patch).await.ok();
    }
    let token = first["metadata"]["continue"].as_str().unwrap();
    let answer = harness.get(&format!("{MAPS}?limit=1&continue={token}")).await;
    assert_eq!((answer.code.as_u16(), answer.refused().1), (410, "Expired"));
    let token = answer.body["metadata"]["continue"].as_str().unwrap();
    let rest = harness.get(&format!("{MAPS}?continue={token}")).await.ok();
    assert_eq!(names(&rest), ["b", "c"]);
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(watch.next().await, None, "a watcher that lost events is cut off");
}

#[tokio::test(start_paused = true)]
async fn future_revisions_are_waited_for() {
    let harness = Harness::new().await;
    let revision = harness.server.store().revision();
    let answer = harness.get(&format!("{MAPS}?resourceVersion={}", revision + 1)).await;
    assert_eq!((answer.code.as_u16(), answer.refused().1), (504, "Timeout"));
    assert_eq!(answer.body["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    let path = format!("{MAPS}?resourceVersion={}", revision + 1);
    let (list, _) = tokio::join!(harness.get(&path), harness.map("x", "1"));
    assert_eq!(names(&list.ok()), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn watches_start_with_the_present_and_follow() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let mut watch = harness.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(watch.names(1).await, ["ADDED x"]);
    harness.map("y", "1").await;
    harness.merge(&format!("{MAPS}/x"), json!({"data": {"k": "2"}})).await.ok();
    let deleted = harness.delete(&format!("{MAPS}/y"), Value::Null).await;
    deleted.ok();
    assert_eq!(watch.names(3).await, ["ADDED y", "MODIFIED x", "DELETED y"]);
    harness.server.shutdown();
    assert_eq!(watch.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn leaving_and_entering_a_selection_is_deletion_and_addition() {
    let harness = Harness::new().await;
    let created = harness.map("x", "1").await;
    let from = version(&created) - 1;
    for label in ["2", "1"] {
        let patch = json!({"metadata": {"labels": {"l": label}}});
        harness.merge(&format!("{MAPS}/x"), patch).await.ok();
    }
    let path = format!("{MAPS}?watch=1&labelSelector=l%3D1&resourceVersion={from}");
    let mut watch = harness.watch(&path).await;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(watch.next().await.unwrap());
    }
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ADDED", "DELETED", "ADDED"]);
    let left = &events[1]["object"];
    assert_eq!(left["metadata"]["labels"]["l"], "1", "a deletion shows what was selected");
    assert_eq!(version(left), from + 2, "at the revision of the change");
}

#[tokio::test(start_paused = true)]
async fn watch_lists_end_with_a_bookmark() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let path = format!("{MAPS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true");
    assert_eq!(harness.get(&path).await.refused().1, "Invalid");
    let mut watch = harness.watch(&format!("{path}&resourceVersionMatch=NotOlderThan")).await;
    assert_eq!(watch.names(1).await, ["ADDED x"]);
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(version(&bookmark["object"]), harness.server.store().revision());
    let annotations = &bookmark["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
}

#[tokio::test(start_paused = true)]
async fn watches_of_the_process_hear_of_writes_elsewhere_at_once() {
    let harness = Harness::new().await;
    let path = format!("{MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=100");
    let request = Request::get(&path).extension(InProcess);
    let response = harness.raw(request, Body::empty()).await;
    let mut watch = Watch { stream: response.into_body().into_data_stream(), buffer: Vec::new() };
    assert_eq!(watch.next().await.unwrap()["type"], "BOOKMARK", "the end of the initial events");
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    let before = harness.server.clock().elapsed();
    let (event, object) = tokio::join!(watch.next(), harness.post(WIDGETS, body));
    let event = event.unwrap();
    assert_eq!(event["type"], "BOOKMARK");
    assert_eq!(version(&event["object"]), version(&object.ok()));
    let waited = harness.server.clock().elapsed() - before;
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(2), "{waited:?}");
    assert_eq!(watch.next().await, None, "without writes there is nothing until the timeout");
}

#[tokio::test(start_paused = true)]
async fn tables_and_metadata_are_served() {
    let harness = Harness::new().await;
    let object = harness.map("x", "1").await;
    let ask = |path: &str, kind: &str| {
        let accept = format!("application/json;as={kind};v=v1;g=meta.k8s.io,application/json");
        Request::get(path).header("accept", accept)
    };
    let answer = harness.raw(ask(MAPS, "Table"), Body::empty()).await;
    let table = Answer::read(answer).await.ok();
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    let row = &table["rows"][0];
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(row["object"]["metadata"], object["metadata"]);
    let answer = harness.raw(ask(MAPS, "PartialObjectMetadataList"), Body::empty()).await;
    let list = Answer::read(answer).await.ok();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"], object["metadata"]);
    assert_eq!(list["items"][0]["data"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn collections_are_deleted_by_selection() {
    let harness = Harness::new().await;
    for (name, label) in [("x", "1"), ("y", "2"), ("z", "1")] {
        harness.map(name, label).await;
    }
    harness.delete(&format!("{MAPS}?labelSelector=l%3D1"), Value::Null).await.ok();
    assert_eq!(names(&harness.get(MAPS).await.ok()), ["y"]);
    assert_eq!(harness.delete("/api/v1/namespaces", Value::Null).await.code, 405);
}

#[tokio::test(start_paused = true)]
async fn only_mirrors_of_static_pods_come_with_a_status() {
    let harness = Harness::new().await;
    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    for (name, annotations, phase) in [
        ("own", json!({}), "Pending"),
        ("mirror", json!({"kubernetes.io/config.mirror": "hash"}), "Running"),
    ] {
        let body = json!({
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
            "status": status,
        });
        let pod = harness.post("/api/v1/namespaces/a/pods", body).await.ok();
        assert_eq!(pod["status"]["phase"], phase, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_keep_encoded_data_and_their_type() {
    let harness = Harness::new().await;
    let path = "/api/v1/namespaces/a/secrets";
    let body = json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}});
    let secret = harness.post(path, body).await.ok();
    assert_eq!((&secret["data"], &secret["type"]), (&json!({"k": "dg=="}), &json!("Opaque")));
    assert_eq!(secret["stringData"], Value::Null);
    assert_eq!(harness.merge(&format!("{path}/s"), json!({"type": "x/y"})).await.code, 422);
}

#[tokio::test(start_paused = true)]
async fn resources_come_and_go_at_run_time() {
    let harness = Harness::new().await;
    let before = harness.server.resources();
    harness.server.uninstall("example.com", "widgets");
    assert_eq!(harness.get(WIDGETS).await.body, json!("404 page not found\n"));
    harness.server.install(vec![widget("v3")]);
    harness.get("/apis/example.com/v3/widgets").await.ok();
    let after = harness.server.resources();
    assert!(after.generation != before.generation && !Arc::ptr_eq(&before, &after));
}

#[tokio::test(start_paused = true)]
async fn writers_that_race_both_succeed_without_versions() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let path = format!("{MAPS}/x");
    let patches = (0..20).map(|index| {
        let patch = json!({"data": {format!("k{index}"): "v"}});
        harness.merge(&path, patch)
    });
    for answer in futures::future::join_all(patches).await {
        answer.ok();
    }
    let object = harness.get(&path).await.ok();
    assert_eq!(object["data"].as_object().unwrap().len(), 21);
}

#[tokio::test(start_paused = true)]
async fn events_of_both_groups_are_the_same_objects() {
    let harness = Harness::new().await;
    let newer = "/apis/events.k8s.io/v1/namespaces/a/events";
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "eventTime": "2026-01-02T03:04:05.000000Z", "type": "Normal", "action": "Act",
        "reason": "R", "note": "n", "reportingController": "c", "reportingInstance": "c-1",
        "regarding": {"kind": "Pod", "namespace": "a", "name": "p"},
    });
    let created = harness.post(newer, event.clone()).await.ok();
    assert_eq!((&created["note"], &created["apiVersion"]), (&event["note"], &event["apiVersion"]));
    let core = harness.get("/api/v1/namespaces/a/events/e").await.ok();
    assert_eq!((&core["message"], &core["involvedObject"]), (&event["note"], &event["regarding"]));
    let list = harness.get(&format!("{newer}?fieldSelector=regarding.name%3Dp")).await.ok();
    assert_eq!(list["items"][0]["regarding"], event["regarding"]);
    let series = json!({"series": {"count": 2, "lastObservedTime": event["eventTime"]}});
    assert_eq!(harness.merge(&format!("{newer}/e"), series).await.ok()["series"]["count"], 2);
    let mut watch = harness.watch(&format!("{newer}?watch=1&resourceVersion=0")).await;
    assert_eq!(watch.next().await.unwrap()["object"]["note"], "n");
    let nothing = harness.post(newer, json!({"metadata": {"name": "f"}})).await;
    assert_eq!(nothing.code, 422);
}

#[tokio::test(start_paused = true)]
async fn reviews_say_who_asks_and_what_is_allowed() {
    let harness = Harness::new().await;
    let myself = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = harness.post(myself, json!({})).await.ok();
    assert_eq!(review["status"]["userInfo"]["username"], "admin");
    let access = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(harness.post(path, access.clone()).await.ok()["status"]["allowed"], true);
    let as_bob = Request::post(path).header("impersonate-user", "bob");
    let answer = harness.raw(as_bob, Body::from(access.to_string())).await;
    assert_eq!(Answer::read(answer).await.ok()["status"]["allowed"], false);
    assert_eq!(harness.post(path, json!({"spec": {}})).await.code, 422);
    assert_eq!(harness.get(path).await.code, 405);
    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules = harness.post(rules, json!({"spec": {"namespace": "a"}})).await.ok();
    assert_eq!(rules["status"]["resourceRules"][0]["verbs"], json!(["*"]));
}

#[tokio::test(start_paused = true)]
async fn pods_and_templates_are_checked() {
    let harness = Harness::new().await;
    let path = "/api/v1/namespaces/a/pods";
    let pod = |spec: Value| json!({"metadata": {"name": "p"}, "spec": spec});
    let refused = [
        json!({"containers": []}),
        json!({"containers": [{"name": "c"}]}),
        json!({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}),
        json!({"containers": [{"name": "c", "image": "i"}], "restartPolicy": "X"}),
        json!({"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v"}]}]}),
    ];
    for spec in refused {
        assert_eq!(harness.post(path, pod(spec.clone())).await.code, 422, "{spec}");
    }
    let limited = json!({"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}});
    let made = harness.post(path, pod(json!({"containers": [limited]}))).await.ok();
    let resources = &made["spec"]["containers"][0]["resources"];
    assert_eq!(resources["requests"], json!({"cpu": "1"}));
    assert_eq!(made["status"]["qosClass"], "Burstable");
    let status = json!({"status": {"podIP": "10.0.0.9"}});
    let placed = harness.merge(&format!("{path}/p/status"), status).await.ok();
    assert_eq!(placed["status"]["podIPs"], json!([{"ip": "10.0.0.9"}]));
    let deployment = json!({"metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {
            "metadata": {"labels": {"app": "y"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        },
    }});
    let answer = harness.post("/apis/apps/v1/namespaces/a/deployments", deployment).await;
    assert_eq!(answer.code, 422, "the selector does not select the template's pods");
}

#[tokio::test(start_paused = true)]
async fn zeros_of_go_are_written_but_owned_by_nobody() {
    let harness = Harness::new().await;
    let node = harness.post("/api/v1/nodes", json!({"metadata": {"name": "n"}})).await.ok();
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "");
    assert_eq!(node["metadata"].get("managedFields"), None);
}
