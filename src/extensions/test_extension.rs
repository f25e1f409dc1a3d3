//! An extension in the test's process: a real HTTPS server with handlers that the test writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::hook::{GROUP, Hook, VERSION};
use crate::api::runtime::ExtensionConfig;
use crate::apiserver::test_server::{Reaction, Received, TestWebhook};

type Handler = Arc<dyn Fn(&Value) -> Reaction + Send + Sync>;

/// A listening extension; ends when it is dropped.
pub(crate) struct TestExtension {
    pub(crate) server: TestWebhook,
    handlers: Arc<Mutex<BTreeMap<Hook, Handler>>>,
}

/// An answer of success with more fields.
pub(crate) fn success(more: Value) -> Reaction {
    let mut answer = json!({"status": "Success"});
    if let (Some(answer), Value::Object(more)) = (answer.as_object_mut(), more) {
        answer.extend(more);
    }
    Reaction::Json(answer)
}

impl TestExtension {
    /// An extension without handlers. It announces each under the lower-case name of its hook, with
    /// more time than an answer takes on any machine.
    pub(crate) async fn start() -> Self {
        Self::with_timeout(30).await
    }

    /// The same with so many seconds for an answer.
    pub(crate) async fn with_timeout(seconds: i32) -> Self {
        let handlers = Arc::new(Mutex::new(BTreeMap::<Hook, Handler>::new()));
        let known = handlers.clone();
        let server =
            TestWebhook::start(move |path, body| react(&known.lock(), seconds, path, &body)).await;
        Self { server, handlers }
    }

    /// Handles a hook from now on; what was announced before is not changed by it.
    pub(crate) fn on(
        &self,
        hook: Hook,
        handler: impl Fn(&Value) -> Reaction + Send + Sync + 'static,
    ) {
        self.handlers.lock().insert(hook, Arc::new(handler));
    }

    /// An ExtensionConfig of it.
    pub(crate) fn config(&self, name: &str) -> ExtensionConfig {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"clientConfig": self.server.config(""), "settings": {"from": "config"},
                "namespaceSelector": {}},
        }))
        .unwrap()
    }

    /// Requests to a hook, oldest first.
    pub(crate) fn received(&self, hook: Hook) -> Vec<Received> {
        let path = hook.path("");
        let mut received = self.server.received();
        received.retain(|it| {
            let asked = it.path_and_query.split('?').next().unwrap_or_default();
            asked.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        received
    }
}

fn react(handlers: &BTreeMap<Hook, Handler>, seconds: i32, path: &str, body: &Value) -> Reaction {
    if path == Hook::Discovery.path("") {
        if let Some(discovery) = handlers.get(&Hook::Discovery) {
            return discovery(body);
        }
        let announced: Vec<Value> = handlers
            .keys()
            .map(|hook| {
                json!({"name": hook.name().to_lowercase(), "timeoutSeconds": seconds, "requestHook":
                    {"apiVersion": format!("{GROUP}/{VERSION}"), "hook": hook.name()}})
            })
            .collect();
        return success(json!({ "handlers": announced }));
    }
    let called = handlers.iter().find(|(hook, _)| hook.path(&hook.name().to_lowercase()) == path);
    match called {
        Some((_, handler)) => handler(body),
        None => Reaction::Bytes(404, "text/plain", "404 page not found\n".into()),
    }
}
