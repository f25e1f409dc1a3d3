//! The handle against a real HTTPS server.

use serde_json::{Value, json};

use super::test_extension::{TestExtension, success};
use super::{Extensions, Hook, Request};
use crate::api::runtime::{ExtensionConfig, ExtensionConfigStatus};
use crate::apiserver::test_server::Reaction;
use crate::apiserver::{ApiServer, HookCaller, Identity, Options, Profile};
use crate::client::{Client, ObjectKey};
use crate::clock::Clock;
use crate::machinery::builtin;
use crate::metrics;

const HOOK: Hook = Hook::BeforeClusterCreate;

async fn extensions() -> (Extensions, metrics::Registry) {
    let clock = Clock::wall();
    let server = ApiServer::new(&Profile::new(builtin::definitions()), Options::new(clock.clone()));
    let client = Client::in_process(&server, Identity::administrator("test"), "test");
    let namespace = json!({"metadata": {"name": "default", "labels": {"a": "b"}}});
    let namespace: k8s_openapi::api::core::v1::Namespace =
        serde_json::from_value(namespace).unwrap();
    client.create(&namespace).await.unwrap();
    let metrics = metrics::Registry::default();
    let caller = HookCaller::of_server(&server);
    let extensions = Extensions::new(client, caller, clock, metrics.clone());
    (extensions, metrics)
}

/// Discovers and registers; what the status then shows.
async fn register(extensions: &Extensions, mut config: ExtensionConfig) -> Value {
    let handlers = extensions.discover(&config).await.unwrap();
    let shown = json!(handlers);
    config.status = Some(ExtensionConfigStatus { handlers, ..Default::default() });
    extensions.register(&config).unwrap();
    shown
}

fn object() -> ObjectKey {
    ObjectKey::new("default", "c")
}

fn request() -> Request {
    super::documents::with_cluster(&json!({"metadata": {"name": "c"}}))
}

async fn error(extensions: &Extensions) -> String {
    extensions.call_all(HOOK, &object(), &request()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_handler_is_discovered_and_called_with_the_settings() {
    let ((extensions, metrics), extension) = (extensions().await, TestExtension::start().await);
    extension.on(HOOK, |_| success(json!({"message": "fine"})));
    let shown = register(&extensions, extension.config("ext")).await;
    assert_eq!(
        shown,
        json!([{"name": "beforeclustercreate.ext", "timeoutSeconds": 30, "failurePolicy": "Fail",
            "requestHook": {"apiVersion": "hooks.runtime.cluster.x-k8s.io/v1alpha1",
                "hook": "BeforeClusterCreate"}}])
    );
    let response = extensions.call_all(HOOK, &object(), &request()).await.unwrap();
    assert_eq!((response.message.as_str(), response.retry_after_seconds), ("fine", 0));
    let received = extension.received(HOOK);
    assert_eq!(
        received[0].path_and_query,
        "/hooks.runtime.cluster.x-k8s.io/v1alpha1/beforeclustercreate/beforeclustercreate\
         ?timeout=30s"
    );
    assert_eq!(
        received[0].body,
        json!({"apiVersion": "hooks.runtime.cluster.x-k8s.io/v1alpha1",
            "kind": "BeforeClusterCreateRequest", "settings": {"from": "config"},
            "cluster": {"metadata": {"name": "c"}}})
    );
    let discovery = &extension.received(Hook::Discovery)[0];
    assert_eq!(discovery.body["kind"], "DiscoveryRequest");
    assert!(metrics.render().contains("hook=\"BeforeClusterCreate\",status=\"Success\"} 1"));
    extensions.unregister("ext");
    assert_eq!(extensions.handlers(HOOK, "default").await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn all_answers_become_one_with_the_shortest_wait() {
    let extensions = extensions().await.0;
    let mut running = Vec::new();
    for (name, message, seconds) in [("a", "one", 30), ("b", "", 0), ("c", "two", 10)] {
        let extension = TestExtension::start().await;
        extension
            .on(HOOK, move |_| success(json!({"message": message, "retryAfterSeconds": seconds})));
        register(&extensions, extension.config(name)).await;
        running.push(extension);
    }
    let response = extensions.call_all(HOOK, &object(), &request()).await.unwrap();
    assert_eq!((response.message.as_str(), response.retry_after_seconds), ("one, two", 10));
    // A hook that holds is not asked again before its time.
    for _ in 0..2 {
        let response = extensions.call_all_in_time(HOOK, &object(), &request()).await.unwrap();
        assert_eq!((response.message.as_str(), response.retry_after_seconds), ("one, two", 10));
    }
    assert_eq!(running[0].received(HOOK).len(), 2);
}

#[tokio::test]
async fn failures_are_told_in_upstreams_words() {
    let (extensions, extension) = (extensions().await.0, TestExtension::with_timeout(1).await);
    extension.on(HOOK, |_| Reaction::Silence);
    register(&extensions, extension.config("ext")).await;
    let prefix = "failed to call extension handlers for hook \
        \"BeforeClusterCreate.hooks.runtime.cluster.x-k8s.io\": failed to call extension handler \
        \"beforeclustercreate.ext\": ";
    let url = extension.server.url(&HOOK.path("beforeclustercreate"));
    assert_eq!(
        error(&extensions).await,
        format!("{prefix}http call failed: Post \"{url}?timeout=1s\": context deadline exceeded")
    );
    for (reaction, why) in [
        (
            Reaction::Bytes(503, "text/plain", "later\n".into()),
            "http call failed: got response with status code 503 != 200: response : \"later\\n\"",
        ),
        (
            Reaction::Bytes(302, "text/plain", "".into()),
            "http call failed: got response with status code 302 != 200: response : \"\"",
        ),
        (
            Reaction::Bytes(200, "text/html", "<p>".into()),
            "http call failed: failed to decode response: invalid character '<' looking for \
             beginning of value",
        ),
        (
            Reaction::Json(json!({"status": "Failure", "message": "no"})),
            "got failure response with message: no",
        ),
        (
            Reaction::Json(json!({"status": "Maybe"})),
            "got unknown response status \"Maybe\" with message: ",
        ),
    ] {
        extension.on(HOOK, move |_| reaction.clone());
        assert_eq!(error(&extensions).await, format!("{prefix}{why}"));
    }
    let refused = extensions.call(Hook::GeneratePatches, &object(), "x.y", &request()).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "failed to call extension handler \"x.y\": failed to get extension handler \"x.y\" from \
         registry: handler with name \"x.y\" has not been registered"
    );
    let name = "beforeclustercreate.ext";
    let refused = extensions.call(Hook::GeneratePatches, &object(), name, &request()).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "failed to call extension handler \"beforeclustercreate.ext\": handler does not match \
         GroupHook \"GeneratePatches.hooks.runtime.cluster.x-k8s.io\""
    );
}

#[tokio::test]
async fn failures_that_do_not_count_are_ignored() {
    let (extensions, extension) = (extensions().await.0, TestExtension::start().await);
    extension.on(HOOK, |_| Reaction::Bytes(500, "text/plain", "".into()));
    extension.on(Hook::Discovery, |_| {
        success(json!({"handlers": [{"name": "beforeclustercreate", "failurePolicy": "Ignore",
            "requestHook": {"apiVersion": "hooks.runtime.cluster.x-k8s.io/v1alpha1",
                "hook": "BeforeClusterCreate"}}]}))
    });
    register(&extensions, extension.config("ext")).await;
    let response = extensions.call_all(HOOK, &object(), &request()).await.unwrap();
    assert_eq!((response.status.as_str(), response.retry_after_seconds), ("Success", 0));
    // An answer that says no is no failure of the call.
    extension.on(HOOK, |_| Reaction::Json(json!({"status": "Failure", "message": "no"})));
    assert!(error(&extensions).await.ends_with("got failure response with message: no"));
}

#[tokio::test]
async fn namespaces_are_selected_by_their_labels() {
    let (extensions, extension) = (extensions().await.0, TestExtension::start().await);
    extension.on(HOOK, |_| success(json!({})));
    let mut config = extension.config("ext");
    config.spec.namespace_selector =
        serde_json::from_value(json!({"matchLabels": {"a": "b"}})).unwrap();
    register(&extensions, config.clone()).await;
    assert_eq!(extensions.handlers(HOOK, "default").await.unwrap(), ["beforeclustercreate.ext"]);
    config.spec.namespace_selector =
        serde_json::from_value(json!({"matchLabels": {"a": "c"}})).unwrap();
    register(&extensions, config).await;
    assert_eq!(extensions.handlers(HOOK, "default").await.unwrap(), Vec::<String>::new());
    let name = "beforeclustercreate.ext";
    let refused = extensions.call(HOOK, &object(), name, &request()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "failed to call extension handler \"beforeclustercreate.ext\": namespaceSelector did not \
         match object default/c"
    );
}

#[tokio::test]
async fn answers_are_remembered_until_settings_or_configuration_change() {
    let (extensions, extension) = (extensions().await.0, TestExtension::start().await);
    let hook = Hook::DiscoverVariables;
    extension.on(hook, |body| success(json!({"variables": [{"name": body["settings"]["s"]}]})));
    let mut config = extension.config("ext");
    config.metadata.resource_version = Some("1".to_owned());
    register(&extensions, config.clone()).await;
    let ask = async |setting: &str| {
        let mut request = Request::new();
        request.insert("settings".to_owned(), json!({"s": setting}));
        let name = "discovervariables.ext";
        extensions.call_remembered(hook, &object(), name, &request).await.unwrap().body
    };
    assert_eq!(ask("a").await["variables"][0]["name"], "a");
    assert_eq!(ask("a").await["variables"][0]["name"], "a");
    assert_eq!(extension.received(hook).len(), 1);
    assert_eq!(ask("b").await["variables"][0]["name"], "b");
    config.metadata.resource_version = Some("2".to_owned());
    register(&extensions, config).await;
    ask("a").await;
    assert_eq!(extension.received(hook).len(), 3);
}

#[tokio::test]
async fn nothing_is_asked_before_the_registry_is_ready() {
    let extensions = extensions().await.0;
    extensions.await_first(["ext".to_owned()]);
    assert_eq!(
        error(&extensions).await,
        "failed to call extension handlers for hook \
         \"BeforeClusterCreate.hooks.runtime.cluster.x-k8s.io\": failed to get extension handlers \
         for hook \"BeforeClusterCreate.hooks.runtime.cluster.x-k8s.io\": failed to list extension \
         handlers for GroupHook \"BeforeClusterCreate.hooks.runtime.cluster.x-k8s.io\": invalid \
         operation: List cannot be called on a registry which has not been warmed up"
    );
    extensions.unregister("ext");
    assert!(extensions.is_ready());
}

#[tokio::test]
async fn a_server_with_another_certificate_is_not_believed() {
    let (extensions, extension) = (extensions().await.0, TestExtension::start().await);
    let other = TestExtension::start().await;
    let mut config = extension.config("ext");
    config.spec.client_config.ca_bundle = other.config("x").spec.client_config.ca_bundle;
    let why = extensions.discover(&config).await.unwrap_err().to_string();
    assert!(
        why.starts_with("failed to discover extension \"ext\": http call failed: Post \"https://")
            && why
                .contains("tls: failed to verify certificate: x509: certificate signed by unknown"),
        "{why}"
    );
    config.spec.client_config.ca_bundle = "bm9uZQ==".to_owned();
    assert_eq!(
        extensions.discover(&config).await.unwrap_err().to_string(),
        "failed to discover extension \"ext\": failed to get http client: failed to create tls \
         config: unable to load root certificates: unable to parse bytes as PEM block"
    );
}
