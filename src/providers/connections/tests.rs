use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::add_controllers;
use crate::api::core::Cluster;
use crate::apiserver::authorization::install_default_roles;
use crate::apiserver::{ApiServer, Identity, Options, Profile};
use crate::client::{Client, ClusterCache, ObjectKey};
use crate::clock::Clock;
use crate::embed::ControlPlane;
use crate::machinery::builtin;
use crate::runtime::{Manager, RemoteInformers};

/// A management API with the Cluster kinds, and a manager with the controller.
struct Fixture {
    client: Client,
    clock: Clock,
    cache: ClusterCache,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Fixture {
    async fn start() -> Self {
        let clock = Clock::wall();
        let mut definitions = builtin::definitions();
        definitions.extend(crate::api::definitions::definitions());
        let server = ApiServer::new(&Profile::new(definitions), Options::new(clock.clone()));
        install_default_roles(&server);
        let client = Client::in_process(&server, Identity::administrator("test"), "test");
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
        client.create(&namespace).await.unwrap();
        let cache = ClusterCache::new();
        let remote = RemoteInformers::new(cache.clone(), clock.clone());
        let manager = Arc::new(Manager::new(client.clone(), clock.clone()));
        add_controllers(&manager, &remote);
        let stop = CancellationToken::new();
        let (one, two) = (stop.clone(), stop.clone());
        let tasks = vec![
            tokio::spawn(async move { manager.run(one).await }),
            tokio::spawn(async move { remote.run(two).await }),
        ];
        Self { client, clock, cache, stop, tasks }
    }

    async fn create_cluster(&self, name: &str) {
        let cluster = json!({"metadata": {"name": name, "namespace": "default"},
            "spec": {"infrastructureRef": {"apiGroup": "infrastructure.cluster.x-k8s.io",
                "kind": "DevCluster", "name": name}}});
        let cluster: Cluster = serde_json::from_value(cluster).unwrap();
        self.client.create(&cluster).await.unwrap();
        let status = json!({"status": {"initialization": {"infrastructureProvisioned": true}}});
        let key = ObjectKey::new("default", name);
        self.client.merge_patch::<Cluster>(&key, "status", &status).await.unwrap();
    }

    async fn create_kubeconfig(&self, name: &str, kubeconfig: &str) {
        let secret = json!({"metadata": {"name": format!("{name}-kubeconfig"),
            "namespace": "default"}, "stringData": {"value": kubeconfig}});
        let mut secret: Secret = serde_json::from_value(secret).unwrap();
        secret.type_ = Some("cluster.x-k8s.io/secret".to_owned());
        self.client.create(&secret).await.unwrap();
    }

    /// Waits until the cluster is in the cache, or is not.
    async fn until(&self, name: &str, is_there: bool) {
        let key = ObjectKey::new("default", name);
        let mut changes = self.cache.subscribe();
        let settled = async {
            while self.cache.get(&key).is_some() != is_there {
                let _ = changes.recv().await;
            }
        };
        self.clock.timeout(Duration::from_secs(20), settled).await.unwrap();
    }

    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_cluster_is_reached_through_its_kubeconfig_until_it_goes() {
    let workload = ControlPlane::start().await.unwrap();
    let fixture = Fixture::start().await;
    fixture.create_cluster("a").await;
    fixture.create_kubeconfig("a", &workload.kubeconfig()).await;
    fixture.until("a", true).await;
    let remote = fixture.cache.get(&ObjectKey::new("default", "a")).unwrap();
    let version = remote.client.get_json("/version").await.unwrap();
    assert_eq!(version["gitVersion"], crate::embed::KUBERNETES_VERSION);
    assert!(remote.etcd().members.is_empty() && !remote.remove_etcd_member("nobody"));
    let key = ObjectKey::new("default", "a");
    fixture.client.delete::<Cluster>(&key, crate::client::Propagation::Background).await.unwrap();
    fixture.until("a", false).await;
    fixture.stop().await;
    workload.stop().await;
}

#[tokio::test]
async fn a_kubeconfig_that_does_not_work_yet_is_tried_again() {
    let fixture = Fixture::start().await;
    let workload = ControlPlane::start().await.unwrap();
    let (port, kubeconfig) = (workload.port(), workload.kubeconfig());
    workload.stop().await;
    fixture.create_cluster("a").await;
    fixture.create_kubeconfig("a", &kubeconfig).await;
    // Another server at the same place: other certificates, so it must stay unreachable.
    let stranger = ControlPlane::builder().port(port).start().await.unwrap();
    fixture.clock.sleep(Duration::from_millis(500)).await;
    assert!(fixture.cache.get(&ObjectKey::new("default", "a")).is_none());
    let patch = json!({"stringData": {"value": stranger.kubeconfig()}});
    let key = ObjectKey::new("default", "a-kubeconfig");
    fixture.client.merge_patch::<Secret>(&key, "", &patch).await.unwrap();
    fixture.until("a", true).await;
    fixture.stop().await;
    stranger.stop().await;
}
