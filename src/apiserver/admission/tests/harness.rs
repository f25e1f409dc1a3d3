//! An engine with a custom resource, and webhooks that answer as a test wants.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::apiserver::webhook::test_server::{Reaction, TestWebhook};
use crate::apiserver::{ApiServer, Identity, Options, Profile};
use crate::clock::Clock;
use crate::machinery::builtin;

pub(super) const MAPS: &str = "/api/v1/namespaces/a/configmaps";
pub(super) const WIDGETS: &str = "/apis/example.com/v1/namespaces/a/widgets";
pub(super) const MUTATING: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
pub(super) const VALIDATING: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// An engine with the namespaces `a` and `b` and the custom resource `widgets.example.com`.
pub(super) struct Engine {
    pub(super) server: ApiServer,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) warnings: Vec<String>,
    pub(super) body: Value,
}

impl Answer {
    /// The body of a success.
    pub(super) fn ok(self) -> Value {
        assert!((200..300).contains(&self.code), "{} {}", self.code, self.body);
        self.body
    }

    /// Code, reason and message of a refusal.
    pub(super) fn refused(&self) -> (u16, &str, &str) {
        let text = |field: &str| self.body[field].as_str().unwrap_or_default();
        (self.code, text("reason"), text("message"))
    }
}

impl Engine {
    pub(super) async fn new() -> Self {
        let options = Options::new(Clock::wall());
        let server = ApiServer::new(&Profile::new(builtin::definitions()), options);
        let engine = Self { server };
        for name in ["a", "b"] {
            let namespace = json!({"metadata": {"name": name, "labels": {"name": name}}});
            engine.post("/api/v1/namespaces", namespace).await.ok();
        }
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        engine.post(definitions, widgets()).await.ok();
        engine
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        media: &str,
        body: Value,
    ) -> Answer {
        let admin = Identity::administrator("admin");
        self.send_as(admin, method, path, (media, body)).await
    }

    /// Posts as a user who is in no group of his own.
    pub(super) async fn post_as(&self, user: &str, path: &str, body: Value) -> Answer {
        let identity = Identity::new(user, ["system:authenticated"]);
        self.send_as(identity, Method::POST, path, ("application/json", body)).await
    }

    async fn send_as(
        &self,
        identity: Identity,
        method: Method,
        path: &str,
        (media, body): (&str, Value),
    ) -> Answer {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .header("user-agent", "tester/1")
            .body(body)
            .unwrap();
        request.extensions_mut().insert(identity);
        let (parts, body) = self.server.handle(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let warnings = parts.headers.get_all("warning").iter();
        Answer {
            code: parts.status.as_u16(),
            warnings: warnings.map(|value| value.to_str().unwrap().to_owned()).collect(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", Value::Null).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, "application/json", body).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, "application/json", body).await
    }

    pub(super) async fn merge(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, "application/merge-patch+json", body).await
    }

    pub(super) async fn apply(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, "application/apply-patch+yaml", body).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "application/json", Value::Null).await
    }

    /// Stores a configuration with one webhook.
    pub(super) async fn configure(&self, path: &str, name: &str, webhook: Value) -> Value {
        self.post(path, configuration(name, json!([webhook]))).await.ok()
    }
}

/// A configuration object without kind.
pub(super) fn configuration(name: &str, webhooks: Value) -> Value {
    json!({"metadata": {"name": name}, "webhooks": webhooks})
}

/// A webhook of a configuration: all writes of config maps and widgets, with `changes`.
pub(super) fn webhook(client: Value, changes: Value) -> Value {
    let mut webhook = json!({
        "name": "hook.example.com",
        "clientConfig": client,
        "rules": [{
            "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"],
            "resources": ["configmaps", "widgets"],
        }],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    });
    for (name, value) in changes.as_object().unwrap() {
        webhook[name] = value.clone();
    }
    webhook
}

/// The definition of `widgets.example.com` with versions `v1` (stored) and `v2`.
pub(super) fn widgets() -> Value {
    let version = |name: &str, stored: bool| {
        json!({
            "name": name, "served": true, "storage": stored,
            "subresources": {
                "status": {},
                "scale": {
                    "specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas",
                },
            },
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {
                    "size": {"type": "integer", "default": 1},
                    "color": {"type": "string", "enum": ["red", "blue"]},
                    "replicas": {"type": "integer"},
                    "marks": {"type": "array", "items": {"type": "string"}},
                }},
                "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
            }}},
        })
    };
    json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version("v1", true), version("v2", false)],
        },
    })
}

pub(super) fn widget(name: &str) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": name}, "spec": {"color": "red"},
    })
}

pub(super) fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"k": "v"}})
}

/// The answer to a review.
pub(super) fn review(request: &Value, response: Value) -> Reaction {
    let mut response = response;
    response["uid"] = request["request"]["uid"].clone();
    let (kind, version) = (request["kind"].clone(), request["apiVersion"].clone());
    Reaction::Json(json!({"kind": kind, "apiVersion": version, "response": response}))
}

/// The answer that allows a request and patches its object.
pub(super) fn patched(request: &Value, patch: Value) -> Reaction {
    let patch = STANDARD.encode(patch.to_string());
    review(request, json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}))
}

pub(super) async fn allowing() -> TestWebhook {
    TestWebhook::start(|_, body| review(&body, json!({"allowed": true}))).await
}

pub(super) async fn denying(message: &'static str) -> TestWebhook {
    let answer = move |_: &str, body: Value| {
        review(&body, json!({"allowed": false, "status": {"message": message}}))
    };
    TestWebhook::start(answer).await
}

/// A webhook that patches every object.
pub(super) async fn patching(patch: Value) -> TestWebhook {
    TestWebhook::start(move |_, body| patched(&body, patch.clone())).await
}
