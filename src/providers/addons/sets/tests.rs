//! ClusterResourceSets against real engines, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::addons::{ClusterResourceSet, ClusterResourceSetBinding};
use crate::api::core::Cluster;
use crate::apiserver::{ApiServer, HookCaller, Identity, Options, Profile};
use crate::client::{Client, ClusterCache, EtcdStatus, ObjectKey, Propagation, RemoteCluster};
use crate::clock::Clock;
use crate::contract::conditions;
use crate::extensions::Extensions;
use crate::machinery::builtin;
use crate::runtime::{Manager, RemoteInformers};

/// A management API with the controllers of this provider, and one workload API.
struct Playground {
    client: Client,
    workload: Client,
    clusters: ClusterCache,
    clock: Clock,
    stop: CancellationToken,
}

impl Playground {
    async fn start() -> Self {
        let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().expect("a time"));
        let mut definitions = builtin::definitions();
        definitions.extend(crate::api::definitions::definitions());
        let api = |definitions| {
            let server = ApiServer::new(&Profile::new(definitions), Options::new(clock.clone()));
            let client = Client::in_process(&server, Identity::administrator("test"), "test");
            (server, client)
        };
        let (server, client) = api(definitions);
        let (_, workload) = api(builtin::definitions());
        for client in [&client, &workload] {
            crate::controllers::seed_namespaces(client).await.expect("namespaces");
        }
        let clusters = ClusterCache::new();
        let manager = Arc::new(Manager::new(client.clone(), clock.clone()));
        let remote = RemoteInformers::new(clusters.clone(), clock.clone());
        let caller = HookCaller::of_server(&server);
        let metrics = manager.metrics().clone();
        let extensions = Extensions::new(client.clone(), caller, clock.clone(), metrics);
        crate::providers::addons::add_controllers(&manager, &remote, &extensions);
        let stop = CancellationToken::new();
        let (running, token) = (manager.clone(), stop.clone());
        tokio::spawn(async move { running.run(token).await });
        let token = stop.clone();
        tokio::spawn(async move { remote.run(token).await });
        manager.started().await;
        Self { client, workload, clusters, clock, stop }
    }

    async fn create<K>(&self, object: Value)
    where
        K: kube::Resource<DynamicType = ()> + serde::Serialize + serde::de::DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).expect("the shape of the kind");
        self.client.create(&object).await.expect("the object is accepted");
    }

    async fn cluster(&self, name: &str) {
        self.create::<Cluster>(json!({
            "metadata": {"name": name, "namespace": "default", "labels": {"cni": "x"}},
            "spec": {"infrastructureRef":
                {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DevCluster", "name": name}},
        }))
        .await;
    }

    fn connect(&self, name: &str) {
        let remote = RemoteCluster::new(self.workload.clone(), Arc::new(EtcdStatus::default));
        self.clusters.register(&key(name), remote);
    }

    async fn config_map(&self, name: &str, data: Value) {
        self.create::<ConfigMap>(
            json!({"metadata": {"name": name, "namespace": "default"}, "data": data}),
        )
        .await;
    }

    async fn set(&self, name: &str, strategy: &str, resources: Value) {
        self.create::<ClusterResourceSet>(json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"clusterSelector": {"matchLabels": {"cni": "x"}},
                     "strategy": strategy, "resources": resources},
        }))
        .await;
    }

    /// Steps the clock until something holds; at most a minute.
    async fn until<K>(&self, name: &str, holds: impl Fn(Option<&K>) -> bool)
    where
        K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        for _ in 0..6000 {
            let object: Option<K> = self.client.get(&key(name)).await.expect("it can be read");
            if holds(object.as_ref()) {
                return;
            }
            self.clock.sleep(Duration::from_millis(10)).await;
        }
        let object: Option<K> = self.client.get(&key(name)).await.expect("it can be read");
        panic!("{name} never gets there: {object:#?}");
    }

    /// Waits until condition ResourcesApplied has a reason.
    async fn reason(&self, set: &str, reason: &str) {
        self.until::<ClusterResourceSet>(set, |set| {
            let status = set.and_then(|set| set.status.as_ref());
            let seen =
                status.and_then(|status| conditions::get(&status.conditions, "ResourcesApplied"));
            seen.is_some_and(|seen| seen.reason == reason)
        })
        .await;
    }

    async fn data(&self, name: &str) -> Option<Value> {
        let key = ObjectKey::new("addon", name);
        let found: Option<ConfigMap> = self.workload.get(&key).await.expect("it can be read");
        found.map(|found| json!(found.data))
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn resources(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"kind": "ConfigMap", "name": name})).collect()
}

/// A namespace behind the ConfigMap that needs it.
fn manifest(value: &str) -> Value {
    json!({"all.yaml": format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: addon\n\
         data:\n  a: {value:?}\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: addon\n"
    )})
}

#[tokio::test(start_paused = true)]
async fn objects_arrive_with_the_first_answer_and_are_written_down() {
    let playground = Playground::start().await;
    playground.config_map("cni", manifest("1")).await;
    playground.set("set", "ApplyOnce", resources(&["cni"])).await;
    playground.cluster("bar").await;
    playground.reason("set", "InternalError").await;
    let owned = |object: Option<&ConfigMap>| {
        let owners = object.and_then(|object| object.metadata.owner_references.as_deref());
        owners.is_some_and(|owners| owners[0].name == "set" && owners[0].controller.is_none())
    };
    playground.until::<ConfigMap>("cni", owned).await;
    playground.connect("bar");
    playground.reason("set", "Applied").await;
    assert_eq!(playground.data("settings").await, Some(json!({"a": "1"})));
    playground
        .until::<ClusterResourceSetBinding>("bar", |binding| {
            binding.is_some_and(|binding| {
                let entry = &binding.spec.bindings[0];
                let resource = &entry.resources[0];
                entry.cluster_resource_set_name == "set"
                    && binding.spec.cluster_name == "bar"
                    && resource.applied == Some(true)
                    && resource.hash.starts_with("sha256:")
                    && resource.last_applied_time.is_some()
            })
        })
        .await;
    // Once means once.
    let changed = json!({"data": manifest("2")});
    let patched: Result<ConfigMap, _> =
        playground.client.merge_patch(&key("cni"), "", &changed).await;
    patched.expect("the data are accepted");
    playground.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(playground.data("settings").await, Some(json!({"a": "1"})));
    playground.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn reconcile_follows_changes_and_does_nothing_without() {
    let playground = Playground::start().await;
    playground.config_map("cni", manifest("1")).await;
    playground.cluster("bar").await;
    playground.connect("bar");
    playground.set("set", "Reconcile", resources(&["cni"])).await;
    playground.reason("set", "Applied").await;
    let hash = |binding: Option<&ClusterResourceSetBinding>| {
        let binding = binding?;
        Some(binding.spec.bindings.first()?.resources.first()?.hash.clone())
    };
    playground.until::<ClusterResourceSetBinding>("bar", |it| hash(it).is_some()).await;
    let before: Option<ClusterResourceSetBinding> =
        playground.client.get(&key("bar")).await.expect("it can be read");
    let changed = json!({"data": manifest("2")});
    let patched: Result<ConfigMap, _> =
        playground.client.merge_patch(&key("cni"), "", &changed).await;
    patched.expect("the data are accepted");
    let old = hash(before.as_ref());
    playground.until::<ClusterResourceSetBinding>("bar", |it| hash(it) != old).await;
    assert_eq!(playground.data("settings").await, Some(json!({"a": "2"})));
    let version = |set: Option<ClusterResourceSet>| set.and_then(|it| it.metadata.resource_version);
    let read = || async { version(playground.client.get(&key("set")).await.expect("a set")) };
    playground.clock.sleep(Duration::from_secs(1)).await;
    let settled = read().await;
    playground.clock.sleep(Duration::from_secs(7200)).await;
    assert_eq!(read().await, settled, "idle means no writes");
    playground.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_missing_resource_is_applied_when_it_comes() {
    let playground = Playground::start().await;
    playground.cluster("bar").await;
    playground.connect("bar");
    playground.config_map("there", manifest("1")).await;
    playground.set("set", "ApplyOnce", resources(&["later", "there"])).await;
    // As upstream: what is there counts.
    playground.reason("set", "Applied").await;
    let later = json!({"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: later, namespace: addon}\n"});
    playground.config_map("later", later).await;
    for _ in 0..100 {
        if playground.data("later").await.is_some() {
            playground.stop.cancel();
            return;
        }
        playground.clock.sleep(Duration::from_millis(10)).await;
    }
    panic!("the late resource is never applied");
}

#[tokio::test(start_paused = true)]
async fn secrets_of_other_types_and_objects_that_are_refused_are_reported() {
    let playground = Playground::start().await;
    playground.cluster("bar").await;
    playground.connect("bar");
    let secret = |name: &str, type_: &str, text: &str| {
        json!({"metadata": {"name": name, "namespace": "default"}, "type": type_,
               "stringData": {"a": text}})
    };
    let good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: from-a-secret}\n";
    playground.create::<Secret>(secret("good", "addons.cluster.x-k8s.io/resource-set", good)).await;
    playground.create::<Secret>(secret("opaque", "Opaque", good)).await;
    let named = |name: &str| json!([{"kind": "Secret", "name": name}]);
    playground.set("wrong", "ApplyOnce", named("opaque")).await;
    playground.reason("wrong", "WrongSecretType").await;
    playground.set("right", "ApplyOnce", named("good")).await;
    playground.reason("right", "Applied").await;
    let key = ObjectKey::new("", "from-a-secret");
    let namespace: Option<Namespace> = playground.workload.get(&key).await.expect("read");
    assert!(namespace.is_some());
    let unknown = json!({"a.yaml": "apiVersion: nowhere/v1\nkind: Nothing\nmetadata: {name: a}\n"});
    playground.config_map("unknown", unknown).await;
    playground.set("refused", "ApplyOnce", resources(&["unknown"])).await;
    playground.reason("refused", "NotApplied").await;
    let nameless = json!({"a.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: x\n"});
    playground.config_map("nameless", nameless).await;
    playground.set("hostile", "Reconcile", resources(&["nameless"])).await;
    playground.reason("hostile", "NotApplied").await;
    playground
        .until::<ClusterResourceSet>("refused", |set| {
            let status = set.and_then(|set| set.status.as_ref()).expect("a status");
            let old = status.deprecated.as_ref().and_then(|it| it.v1beta1.as_ref()).expect("both");
            old.conditions[0].message
                == "creating object nowhere/v1, Kind=Nothing a: no matches for kind \"Nothing\" \
                    in version \"nowhere/v1\""
        })
        .await;
    playground.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_set_that_goes_leaves_the_bindings_of_others() {
    let playground = Playground::start().await;
    playground.config_map("cni", manifest("1")).await;
    playground.cluster("bar").await;
    playground.connect("bar");
    for name in ["one", "two"] {
        playground.set(name, "ApplyOnce", resources(&["cni"])).await;
        playground.reason(name, "Applied").await;
    }
    let entries = |binding: Option<&ClusterResourceSetBinding>| {
        binding.map_or(0, |binding| binding.spec.bindings.len())
    };
    playground.until::<ClusterResourceSetBinding>("bar", |it| entries(it) == 2).await;
    let delete = async |name: &str| {
        let key = key(name);
        let deleted =
            playground.client.delete::<ClusterResourceSet>(&key, Propagation::Background).await;
        deleted.expect("accepted");
    };
    delete("one").await;
    playground.until::<ClusterResourceSet>("one", |set| set.is_none()).await;
    playground
        .until::<ClusterResourceSetBinding>("bar", |it| {
            entries(it) == 1
                && it.is_some_and(|it| {
                    it.metadata.owner_references.as_ref().is_some_and(|owners| owners.len() == 1)
                })
        })
        .await;
    delete("two").await;
    playground.until::<ClusterResourceSet>("two", |set| set.is_none()).await;
    playground.until::<ClusterResourceSetBinding>("bar", |it| it.is_none()).await;
    playground.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_binding_goes_with_its_cluster() {
    let playground = Playground::start().await;
    playground.config_map("cni", manifest("1")).await;
    playground.cluster("bar").await;
    playground.connect("bar");
    playground.set("set", "ApplyOnce", resources(&["cni"])).await;
    playground.until::<ClusterResourceSetBinding>("bar", |it| it.is_some()).await;
    playground
        .client
        .delete::<Cluster>(&key("bar"), Propagation::Background)
        .await
        .expect("accepted");
    playground.until::<ClusterResourceSetBinding>("bar", |it| it.is_none()).await;
    playground.stop.cancel();
}
