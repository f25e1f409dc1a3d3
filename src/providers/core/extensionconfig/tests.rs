//! The controller against a real engine and a real HTTPS server.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::runtime::ExtensionConfig;
use crate::apiserver::test_server::Reaction;
use crate::apiserver::{ApiServer, HookCaller, Identity, Options, Profile};
use crate::client::{Client, ClusterCache, ObjectKey, Propagation};
use crate::clock::{Clock, Seed};
use crate::contract::versions::ContractVersions;
use crate::extensions::test_extension::{TestExtension, success};
use crate::extensions::{Extensions, Hook};
use crate::machinery::builtin;
use crate::machinery::definition::{ResourceDefinition, Strategy};
use crate::providers::core;
use crate::runtime::{Informer, Manager, RemoteInformers};

/// A management API with the core controllers, and no others.
pub(in super::super) struct Fixture {
    pub(in super::super) client: Client,
    pub(in super::super) clock: Clock,
    pub(in super::super) extensions: Extensions,
    configs: Informer<ExtensionConfig>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Fixture {
    pub(in super::super) async fn start() -> Self {
        let clock = Clock::wall();
        let mut definitions = builtin::definitions();
        let custom = crate::api::definitions::definitions();
        let versions = versions(&custom);
        definitions.extend(custom);
        for definition in &mut definitions {
            // The rules of topologies look at classes; here they are not of interest.
            if &*definition.kind == "Cluster" {
                definition.strategy = Strategy::default();
            }
        }
        let server = ApiServer::new(&Profile::new(definitions), Options::new(clock.clone()));
        let client = Client::in_process(&server, Identity::administrator("test"), "test");
        let namespace = json!({"metadata": {"name": "default"}});
        let namespace: k8s_openapi::api::core::v1::Namespace =
            serde_json::from_value(namespace).unwrap();
        client.create(&namespace).await.unwrap();
        let manager = Arc::new(Manager::new(client.clone(), clock.clone()));
        let remote = RemoteInformers::new(ClusterCache::new(), clock.clone());
        let extensions = Extensions::new(
            client.clone(),
            HookCaller::of_server(&server),
            clock.clone(),
            manager.metrics().clone(),
        );
        core::add_controllers(&manager, &remote, &versions, Seed(1), &extensions);
        let configs = manager.informer();
        let stop = CancellationToken::new();
        let (running, token) = (manager.clone(), stop.clone());
        let task = tokio::spawn(async move { running.run(token).await });
        manager.started().await;
        Self { client, clock, extensions, configs, stop, task }
    }

    /// Waits until an ExtensionConfig shows something.
    pub(in super::super) async fn until(&self, what: impl Fn(&ExtensionConfig) -> bool) -> Value {
        let mut version = self.configs.version();
        let shown = async {
            loop {
                if let Some(config) = self.configs.get("", "ext").filter(|it| what(it)) {
                    return json!(*config);
                }
                version.changed().await.unwrap();
            }
        };
        self.clock.timeout(Duration::from_secs(20), shown).await.unwrap()
    }

    /// Waits until a hook has this many handlers.
    pub(in super::super) async fn until_handled(&self, hook: Hook, count: usize) {
        let handled = async {
            while self.extensions.handlers(hook, "default").await.unwrap().len() != count {
                self.clock.sleep(Duration::from_millis(10)).await;
            }
        };
        self.clock.timeout(Duration::from_secs(20), handled).await.unwrap();
    }

    pub(in super::super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn versions(definitions: &[ResourceDefinition]) -> ContractVersions {
    let versions = ContractVersions::default();
    for definition in definitions {
        let labels = crate::api::definitions::labels(definition);
        let labels = labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
        versions.insert_labelled(&definition.group, &definition.kind, &definition.plural, labels);
    }
    versions
}

pub(in super::super) fn condition(config: &Value, list: &str, type_: &str) -> Value {
    let conditions = config.pointer(list).and_then(Value::as_array).unwrap();
    let mut found = conditions.iter().find(|it| it["type"] == type_).unwrap().clone();
    found.as_object_mut().unwrap().remove("lastTransitionTime");
    found
}

fn is_discovered(config: &ExtensionConfig, status: &str) -> bool {
    let conditions = config.status.iter().flat_map(|it| &it.conditions);
    conditions
        .filter(|it| it.type_ == "Discovered")
        .any(|it| it.status == status && it.observed_generation == config.metadata.generation)
}

const FAMILY: &str = "/status/conditions";
const OLD_FAMILY: &str = "/status/deprecated/v1beta1/conditions";

#[tokio::test]
async fn handlers_are_discovered_registered_and_forgotten() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    extension.on(Hook::BeforeClusterDelete, |_| success(json!({})));
    fixture.client.create(&extension.config("ext")).await.unwrap();
    let config = fixture.until(|it| is_discovered(it, "True")).await;
    assert_eq!(
        config["status"]["handlers"],
        json!([{"name": "beforeclusterdelete.ext", "timeoutSeconds": 30, "failurePolicy": "Fail",
            "requestHook": {"apiVersion": "hooks.runtime.cluster.x-k8s.io/v1alpha1",
                "hook": "BeforeClusterDelete"}}])
    );
    assert_eq!(
        condition(&config, FAMILY, "Discovered"),
        json!({"type": "Discovered", "status": "True", "reason": "Discovered", "message": "",
            "observedGeneration": 1})
    );
    assert_eq!(
        condition(&config, FAMILY, "Paused"),
        json!({"type": "Paused", "status": "False", "reason": "NotPaused", "message": "",
            "observedGeneration": 1})
    );
    assert_eq!(
        condition(&config, OLD_FAMILY, "Discovered"),
        json!({"type": "Discovered", "status": "True"})
    );
    fixture.until_handled(Hook::BeforeClusterDelete, 1).await;
    let key = ObjectKey::new("", "ext");
    fixture.client.delete::<ExtensionConfig>(&key, Propagation::Default).await.unwrap();
    fixture.until_handled(Hook::BeforeClusterDelete, 0).await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_failed_discovery_is_shown_and_leaves_the_handlers() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    extension.on(Hook::BeforeClusterDelete, |_| success(json!({})));
    fixture.client.create(&extension.config("ext")).await.unwrap();
    fixture.until_handled(Hook::BeforeClusterDelete, 1).await;
    extension.on(Hook::Discovery, |_| Reaction::Bytes(500, "text/plain", "broken".into()));
    let key = ObjectKey::new("", "ext");
    let patch = json!({"spec": {"settings": {"a": "b"}}});
    fixture.client.merge_patch::<ExtensionConfig>(&key, "", &patch).await.unwrap();
    let config = fixture.until(|it| is_discovered(it, "False")).await;
    let message = "Error in discovery: failed to discover extension \"ext\": http call failed: got \
        response with status code 500 != 200: response : \"broken\"";
    assert_eq!(
        condition(&config, FAMILY, "Discovered"),
        json!({"type": "Discovered", "status": "False", "reason": "NotDiscovered",
            "message": message, "observedGeneration": 2})
    );
    assert_eq!(
        condition(&config, OLD_FAMILY, "Discovered"),
        json!({"type": "Discovered", "status": "False", "reason": "DiscoveryFailed",
            "severity": "Error", "message": message})
    );
    assert_eq!(config["status"]["handlers"].as_array().unwrap().len(), 1);
    fixture.until_handled(Hook::BeforeClusterDelete, 1).await;
    fixture.stop().await;
}

#[tokio::test]
async fn the_authority_comes_from_the_secret_of_the_annotation() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    let mut config = extension.config("ext");
    config.spec.client_config.ca_bundle = String::new();
    let annotation =
        ("runtime.cluster.x-k8s.io/inject-ca-from-secret".to_owned(), "default/ca".to_owned());
    config.metadata.annotations = Some([annotation].into());
    fixture.client.create(&config).await.unwrap();
    let secret = |authority: &str| -> k8s_openapi::api::core::v1::Secret {
        serde_json::from_value(json!({"metadata": {"name": "ca", "namespace": "default"},
            "stringData": {"ca.crt": authority}}))
        .unwrap()
    };
    fixture.client.create(&secret(&extension.server.authority_pem)).await.unwrap();
    let shown = fixture.until(|it| is_discovered(it, "True")).await;
    let expected = extension.config("ext").spec.client_config.ca_bundle;
    assert_eq!(shown["spec"]["clientConfig"]["caBundle"], json!(expected));
    // Another authority in the Secret is written, and believed.
    let other = TestExtension::start().await;
    let patch = json!({"stringData": {"ca.crt": other.server.authority_pem}});
    let key = ObjectKey::new("default", "ca");
    let patched =
        fixture.client.merge_patch::<k8s_openapi::api::core::v1::Secret>(&key, "", &patch);
    patched.await.unwrap();
    let shown = fixture.until(|it| is_discovered(it, "False")).await;
    let expected = other.config("ext").spec.client_config.ca_bundle;
    assert_eq!(shown["spec"]["clientConfig"]["caBundle"], json!(expected));
    fixture.stop().await;
}

#[tokio::test]
async fn a_paused_configuration_is_not_discovered() {
    let (fixture, extension) = (Fixture::start().await, TestExtension::start().await);
    let mut config = extension.config("ext");
    let annotation = ("cluster.x-k8s.io/paused".to_owned(), String::new());
    config.metadata.annotations = Some([annotation].into());
    fixture.client.create(&config).await.unwrap();
    let paused = |it: &ExtensionConfig| it.status.is_some();
    let shown = fixture.until(paused).await;
    assert_eq!(
        condition(&shown, FAMILY, "Paused"),
        json!({"type": "Paused", "status": "True", "reason": "Paused", "observedGeneration": 1,
            "message": "ExtensionConfig has the cluster.x-k8s.io/paused annotation"})
    );
    assert_eq!(extension.server.calls(), 0);
    fixture.stop().await;
}
