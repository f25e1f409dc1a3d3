//! The examples of pools and add-ons, on the virtual clock.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret};
use serde_json::{Value, json};

use super::{Config, Playground, apply_manifests, read_manifests};
use crate::api::addons::ClusterResourceSet;
use crate::api::bootstrap::KubeadmConfig;
use crate::api::core::{Cluster, Machine};
use crate::api::infrastructure::DevMachine;
use crate::api::pools::{DevMachinePool, MachinePool};
use crate::client::{Client, ObjectKey, Propagation};
use crate::clock::{Clock, Seed};
use crate::contract::conditions::{self, v1beta1};
use crate::contract::owners;

const LIMIT: Duration = Duration::from_secs(300);

async fn start(example: &str, cluster: &str) -> Playground {
    let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().expect("a time"));
    let config = Config { seed: Seed(3), watch_events: true, ..Config::new(clock) };
    let playground = Playground::start(config).await.expect("started");
    playground.manager().started().await;
    let manifests = read_manifests(&[PathBuf::from(example)]).expect("the example can be read");
    apply_manifests(playground.client(), "default", &manifests).await.expect("accepted");
    let key = ObjectKey::new("default", cluster);
    playground.readiness().expecting([key]).wait(LIMIT).await.expect("ready");
    playground
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

/// Steps the clock until an object satisfies a condition; at most five minutes.
async fn until<K>(playground: &Playground, name: &str, holds: impl Fn(Option<&K>) -> bool)
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + std::fmt::Debug,
{
    for _ in 0..6000 {
        let object: Option<K> = playground.client().get(&key(name)).await.expect("readable");
        if holds(object.as_ref()) {
            return;
        }
        playground.clock().sleep(Duration::from_millis(50)).await;
    }
    let object: Option<K> = playground.client().get(&key(name)).await.expect("readable");
    panic!("{name} never gets there: {object:#?}");
}

async fn pool_has(playground: &Playground, replicas: i32, version: &str) {
    until::<MachinePool>(playground, "pool-mp-0", |pool| {
        let Some(status) = pool.and_then(|pool| pool.status.as_ref()) else { return false };
        let old = status.deprecated.as_ref().and_then(|old| old.v1beta1.as_ref());
        let versions: Vec<&str> =
            status.versions.iter().map(|version| version.version.as_str()).collect();
        status.phase == "Running"
            && status.replicas == Some(replicas)
            && status.ready_replicas == Some(replicas)
            && status.available_replicas == Some(replicas)
            && status.up_to_date_replicas == Some(replicas)
            && i32::try_from(status.node_refs.len()) == Ok(replicas)
            && versions == [version]
            && old.is_some_and(|old| {
                old.ready_replicas == Some(replicas) && v1beta1::is_true(&old.conditions, "Ready")
            })
    })
    .await;
}

async fn patch<K>(playground: &Playground, name: &str, patch: Value)
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned,
{
    let patched: Result<K, _> = playground.client().merge_patch(&key(name), "", &patch).await;
    patched.expect("accepted");
}

async fn workload(playground: &Playground, cluster: &str) -> Client {
    playground.connections().get(&key(cluster)).expect("it answers").client
}

#[tokio::test(start_paused = true)]
async fn a_machine_pool_grows_shrinks_rolls_and_goes() {
    let playground = start("examples/machine-pool.yaml", "pool").await;
    let client = playground.client();
    pool_has(&playground, 2, "v1.36.1").await;
    let machines: Vec<Machine> =
        client.list("default", "cluster.x-k8s.io/pool-name=pool-mp-0").await.expect("listed");
    assert_eq!(machines.len(), 2);
    for machine in &machines {
        let owner = owners::controlling(&machine.metadata).expect("a controller");
        assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("MachinePool", "pool-mp-0"));
        assert_eq!(machine.spec.bootstrap.data_secret_name.as_deref(), Some(""));
        assert_eq!(machine.spec.version, "v1.36.1");
        let name = machine.metadata.name.as_deref().expect("a name");
        let infra: DevMachine = client.get(&key(name)).await.expect("read").expect("there");
        let kinds: Vec<&str> =
            infra.metadata.owner_references.iter().flatten().map(|it| it.kind.as_str()).collect();
        assert_eq!(kinds, ["DevMachinePool", "Machine"]);
    }
    let remote = workload(&playground, "pool").await;
    let nodes: Vec<Node> = remote.list("", "").await.expect("listed");
    assert_eq!(nodes.len(), 3);
    let pool: DevMachinePool = client.get(&key("pool-mp-0")).await.expect("read").expect("there");
    assert_eq!(pool.spec.provider_id, "dev:////pool-dmp-pool-mp-0");
    assert_eq!(pool.spec.provider_id_list.len(), 2);
    let status = pool.status.expect("a status");
    assert_eq!(status.infrastructure_machine_kind, "DevMachine");
    assert!(conditions::is_true(&status.conditions, "Ready"));

    patch::<MachinePool>(&playground, "pool-mp-0", json!({"spec": {"replicas": 3}})).await;
    pool_has(&playground, 3, "v1.36.1").await;
    patch::<MachinePool>(&playground, "pool-mp-0", json!({"spec": {"replicas": 1}})).await;
    pool_has(&playground, 1, "v1.36.1").await;
    let version = json!({"spec": {"template": {"spec": {"version": "v1.36.2"}}}});
    patch::<MachinePool>(&playground, "pool-mp-0", version).await;
    pool_has(&playground, 1, "v1.36.2").await;
    let nodes: Vec<Node> = remote.list("", "").await.expect("listed");
    assert_eq!(nodes.len(), 2);
    until::<Cluster>(&playground, "pool", |cluster| {
        let workers = cluster.and_then(|it| it.status.as_ref()?.workers.as_ref());
        workers.is_some_and(|it| it.desired_replicas == Some(1) && it.ready_replicas == Some(1))
    })
    .await;

    client
        .delete::<MachinePool>(&key("pool-mp-0"), Propagation::Background)
        .await
        .expect("accepted");
    until::<MachinePool>(&playground, "pool-mp-0", |pool| pool.is_none()).await;
    let left: Vec<Machine> =
        client.list("default", "cluster.x-k8s.io/pool-name=pool-mp-0").await.expect("listed");
    assert!(left.is_empty(), "{left:?}");
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pools_token_is_made_anew_and_idle_pools_write_nothing_else() {
    let playground = start("examples/machine-pool.yaml", "pool").await;
    pool_has(&playground, 2, "v1.36.1").await;
    let token = |config: Option<&KubeadmConfig>| {
        let join = config?.spec.join_configuration.as_ref()?;
        Some(join["discovery"]["bootstrapToken"]["token"].as_str()?.to_owned())
    };
    let config: Option<KubeadmConfig> =
        playground.client().get(&key("pool-mp-0")).await.expect("read");
    let first = token(config.as_ref()).expect("a token");
    let version = async || {
        let pool: Option<MachinePool> =
            playground.client().get(&key("pool-mp-0")).await.expect("read");
        pool.and_then(|pool| pool.metadata.resource_version)
    };
    playground.clock().sleep(Duration::from_secs(10)).await;
    let settled = version().await;
    playground.clock().sleep(Duration::from_secs(500)).await;
    until::<KubeadmConfig>(&playground, "pool-mp-0", |config| {
        token(config).is_some_and(|token| token != first)
    })
    .await;
    let config: Option<KubeadmConfig> =
        playground.client().get(&key("pool-mp-0")).await.expect("read");
    let second = token(config.as_ref()).expect("a token");
    let secret: Secret =
        playground.client().get(&key("pool-mp-0")).await.expect("read").expect("data");
    let data = String::from_utf8(secret.data.expect("data")["value"].0.clone()).expect("text");
    assert!(data.contains(&second) && !data.contains(&first));
    playground.clock().sleep(Duration::from_secs(7200)).await;
    assert_eq!(version().await, settled, "idle means no writes");
    playground.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_example_cluster_gets_its_add_ons() {
    let playground = start("examples/cluster-resource-set.yaml", "addons").await;
    until::<ClusterResourceSet>(&playground, "calico", |set| {
        let status = set.and_then(|set| set.status.as_ref());
        status.is_some_and(|status| conditions::is_true(&status.conditions, "ResourcesApplied"))
    })
    .await;
    let remote = workload(&playground, "addons").await;
    let within = |name: &str| ObjectKey::new("calico-system", name);
    let config: Option<ConfigMap> = remote.get(&within("calico-config")).await.expect("read");
    assert_eq!(config.expect("applied").data.expect("data")["veth_mtu"], "1440");
    let secret: Option<Secret> = remote.get(&within("credentials")).await.expect("read");
    assert_eq!(secret.expect("applied").data.expect("data")["token"].0, b"not-a-secret");
    playground.stop().await;
}
