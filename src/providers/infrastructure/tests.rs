//! The provider against real engines, in virtual time.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::kinds::{InfraMachine, Kind};
use crate::api::conditions::V1Beta1Condition;
use crate::api::core::{Cluster, Machine};
use crate::api::infrastructure::{DevCluster, DevMachine, InMemoryCluster, InMemoryMachine};
use crate::apiserver::{ApiServer, Identity, Options, Profile};
use crate::client::{Client, ClusterCache, ObjectKey, Propagation};
use crate::clock::{Clock, Seed};
use crate::contract::conditions;
use crate::machinery::builtin;
use crate::pki::{CertificateAuthority, KeyAlgorithm};
use crate::runtime::Manager;
use crate::workload::{Host, HostOptions};

/// A management API with this provider's controllers.
struct Playground {
    client: Client,
    clock: Clock,
    clusters: ClusterCache,
    host: Host,
    manager: Arc<Manager>,
    stop: CancellationToken,
}

impl Playground {
    async fn start(ports: RangeInclusive<u16>) -> Self {
        let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().expect("a time"));
        let mut definitions = builtin::definitions();
        definitions.extend(crate::api::definitions::definitions());
        let options = Options::new(clock.clone());
        let server = ApiServer::new(&Profile::new(definitions), options);
        let client = Client::in_process(&server, Identity::administrator("test"), "test");
        let clusters = ClusterCache::new();
        let host = Host::new(HostOptions {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            names: Vec::new(),
            ports,
            profile: Profile::new(builtin::definitions()),
            clock: clock.clone(),
            seed: Seed(1),
            clusters: clusters.clone(),
            git_version: "v1.36.2".to_owned(),
        });
        let manager = Arc::new(Manager::new(client.clone(), clock.clone()));
        super::add_controllers(&manager, &host, Seed(1));
        let stop = CancellationToken::new();
        let (running, token) = (manager.clone(), stop.clone());
        tokio::spawn(async move { running.run(token).await });
        manager.started().await;
        let default = Namespace {
            metadata: ObjectMeta { name: Some("default".to_owned()), ..Default::default() },
            ..Default::default()
        };
        match client.create(&default).await {
            Ok(_) => {}
            Err(error) => assert!(error.is_already_exists(), "{error}"),
        }
        Self { client, clock, clusters, host, manager, stop }
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: kube::Resource<DynamicType = ()> + serde::Serialize + serde::de::DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).expect("the shape of the kind");
        self.client.create(&object).await.expect("the object is accepted")
    }

    /// A Cluster whose infrastructure is of a kind, with its CA.
    async fn cluster(&self, infrastructure: &str) -> Cluster {
        let cluster: Cluster = self
            .create(json!({
                "metadata": {"name": "bar", "namespace": "default"},
                "spec": {
                    "clusterNetwork": {"pods": {"cidrBlocks": ["192.168.0.0/16"]}},
                    "infrastructureRef": {
                        "apiGroup": "infrastructure.cluster.x-k8s.io",
                        "kind": infrastructure,
                        "name": "bar",
                    },
                },
            }))
            .await;
        let ca = CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256)
            .expect("an authority");
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some("bar-ca".to_owned()),
                namespace: Some("default".to_owned()),
                ..Default::default()
            },
            data: Some(
                [("tls.crt", ca.certificate_pem()), ("tls.key", ca.key_pem())]
                    .map(|(name, pem)| (name.to_owned(), ByteString(pem.as_bytes().to_vec())))
                    .into(),
            ),
            ..Default::default()
        };
        self.client.create(&secret).await.expect("the Secret is accepted");
        cluster
    }

    async fn infrastructure<K: Kind>(&self, cluster: &Cluster, spec: Value) {
        let owner = crate::contract::owners::owner_of(cluster);
        let _: K = self
            .create(json!({
                "metadata": {"name": "bar", "namespace": "default", "ownerReferences": [owner]},
                "spec": spec,
            }))
            .await;
    }

    /// What core does once the infrastructure is provisioned.
    async fn report_infrastructure(&self) {
        let status = json!({"status": {"initialization": {"infrastructureProvisioned": true}}});
        let patched: Result<Cluster, _> =
            self.client.merge_patch(&key("bar"), "status", &status).await;
        patched.expect("the status is accepted");
    }

    /// A Machine with bootstrap data and its infrastructure machine.
    async fn machine<K: InfraMachine>(&self, name: &str, is_control_plane: bool, spec: Value) {
        let mut labels = json!({"cluster.x-k8s.io/cluster-name": "bar"});
        if is_control_plane {
            labels["cluster.x-k8s.io/control-plane"] = "".into();
        }
        let machine: Machine = self
            .create(json!({
                "metadata": {"name": name, "namespace": "default", "labels": labels},
                "spec": {
                    "clusterName": "bar",
                    "version": "v1.34.0",
                    "bootstrap": {"dataSecretName": name},
                    "infrastructureRef": {
                        "apiGroup": "infrastructure.cluster.x-k8s.io",
                        "kind": K::KIND,
                        "name": name,
                    },
                },
            }))
            .await;
        let owner = crate::contract::owners::controller_of(&machine);
        let _: K = self
            .create(json!({
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "labels": labels,
                    "ownerReferences": [owner],
                },
                "spec": spec,
            }))
            .await;
    }

    /// Steps the clock until an object satisfies a condition; at most a minute.
    async fn until<K: Kind>(&self, name: &str, what: &str, holds: impl Fn(Option<&K>) -> bool) {
        for _ in 0..6000 {
            let object: Option<K> = self.client.get(&key(name)).await.expect("it can be read");
            if holds(object.as_ref()) {
                return;
            }
            self.clock.sleep(Duration::from_millis(10)).await;
        }
        let object: Option<K> = self.client.get(&key(name)).await.expect("it can be read");
        panic!("{} {name} is never {what}: {object:#?}", K::KIND);
    }

    async fn until_ready<K: Kind>(&self, name: &str) {
        self.until::<K>(name, "Ready", |object| {
            object.is_some_and(|object| conditions::v1beta1::is_true(object.v1beta1(), "Ready"))
        })
        .await;
    }

    async fn finish(self) {
        self.stop.cancel();
        self.host.shutdown().await;
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn dev_cluster() -> Value {
    json!({"backend": {"inMemory": {}}})
}

fn part(duration: &str) -> Value {
    json!({"provisioning": {"startupDuration": duration}})
}

#[tokio::test(start_paused = true)]
async fn a_cluster_gets_an_endpoint_and_gives_it_back() {
    let playground = Playground::start(41000..=41099).await;
    let cluster = playground.cluster("DevCluster").await;
    playground.infrastructure::<DevCluster>(&cluster, dev_cluster()).await;
    playground
        .until::<DevCluster>("bar", "provisioned", |object| {
            let status = object.and_then(|object| object.status.as_ref());
            let done = status.and_then(|status| status.initialization.as_ref());
            done.is_some_and(|done| done.provisioned == Some(true))
        })
        .await;
    let object: DevCluster = playground.client.get(&key("bar")).await.expect("read").expect("is");
    let endpoint = playground.host.endpoint(&key("bar")).expect("the cluster has a port");
    assert!((41000..=41099).contains(&endpoint.port));
    let published = object.spec.control_plane_endpoint.expect("an endpoint");
    assert_eq!(published.host, "127.0.0.1");
    assert_eq!(published.port, Some(i32::from(endpoint.port)));
    assert_eq!(
        object.metadata.annotations.expect("annotations")["inmemorycluster.infrastructure.cluster.x-k8s.io/listener"],
        "default/bar"
    );
    let conditions = object.status.expect("status").conditions;
    assert_eq!(conditions.len(), 1);
    assert_eq!(
        (conditions[0].type_.as_str(), conditions[0].reason.as_str()),
        ("Paused", "NotPaused")
    );
    assert_eq!(conditions[0].observed_generation, object.metadata.generation);

    playground.client.delete::<DevCluster>(&key("bar"), Propagation::Background).await.expect("ok");
    playground.until::<DevCluster>("bar", "gone", |object| object.is_none()).await;
    assert!(playground.host.is_empty());
    playground.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_machine_without_durations_starts_at_once() {
    let playground = Playground::start(41100..=41199).await;
    let cluster = playground.cluster("DevCluster").await;
    playground.infrastructure::<DevCluster>(&cluster, dev_cluster()).await;
    playground.report_infrastructure().await;
    let events = Arc::new(AtomicUsize::new(0));
    let counted = events.clone();
    playground.manager.informer::<DevMachine>().on_change(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    playground.machine::<DevMachine>("cp", true, dev_cluster()).await;
    playground.until_ready::<DevMachine>("cp").await;
    playground.clock.sleep(Duration::from_secs(5)).await;
    assert_eq!(events.load(Ordering::Relaxed), 3, "made, then object and status written once");
    let machine: DevMachine = playground.client.get(&key("cp")).await.expect("read").expect("is");
    assert_eq!(machine.spec.provider_id, "in-memory://cp");
    let status = machine.status.expect("status");
    assert!(status.conditions.iter().all(|c| c.observed_generation == machine.metadata.generation));

    let remote = playground.clusters.get(&key("bar")).expect("the cluster can be reached");
    let node: Node = remote.client.get(&ObjectKey::new("", "cp")).await.expect("read").expect("is");
    assert_eq!(node.spec.expect("spec").pod_cidr.as_deref(), Some("192.168.0.0/24"));
    assert!(node.status.expect("status").conditions.is_some_and(|all| all.len() == 4));
    let pods: Vec<Pod> =
        remote.client.list("kube-system", "tier=control-plane").await.expect("listed");
    let running = |pod: &Pod| {
        pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"))
    };
    assert_eq!(pods.iter().filter(|pod| running(pod)).count(), 4);
    let config: ConfigMap = remote
        .client
        .get(&ObjectKey::new("kube-system", "kubeadm-config"))
        .await
        .expect("read")
        .expect("kubeadm has been here");
    assert!(config.data.expect("data")["ClusterConfiguration"].contains("v1.34.0"));
    let etcd = remote.etcd();
    assert_eq!(etcd.members.len(), 1);
    assert_eq!(etcd.leader_id, etcd.members[0].id);

    playground.client.delete::<DevMachine>(&key("cp"), Propagation::Background).await.expect("ok");
    playground.until::<DevMachine>("cp", "gone", |object| object.is_none()).await;
    assert!(playground.clusters.get(&key("bar")).is_none(), "the last API server stopped");
    assert_eq!(remote.etcd().leader_id, 0, "etcd went with the machine");
    let node: Option<Node> = remote.client.get(&ObjectKey::new("", "cp")).await.expect("read");
    assert!(node.is_none());
    playground.finish().await;
}

#[tokio::test(start_paused = true)]
async fn stages_end_at_their_times() {
    let playground = Playground::start(41200..=41299).await;
    let seen: Arc<Mutex<Vec<(String, f64)>>> = Arc::default();
    {
        let (seen, clock) = (seen.clone(), playground.clock.clone());
        playground.manager.informer::<DevMachine>().on_change(move |change| {
            let Some(new) = &change.new else { return };
            let is_new = |condition: &&V1Beta1Condition| {
                let old = change.old.as_ref().map(|old| old.v1beta1()).unwrap_or_default();
                condition.status == "True" && !conditions::v1beta1::is_true(old, &condition.type_)
            };
            for condition in new.v1beta1().iter().filter(is_new) {
                seen.lock().push((condition.type_.clone(), clock.elapsed().as_secs_f64()));
            }
        });
    }
    let cluster = playground.cluster("DevCluster").await;
    playground.infrastructure::<DevCluster>(&cluster, dev_cluster()).await;
    playground.report_infrastructure().await;
    let start = playground.clock.elapsed().as_secs_f64();
    let spec = json!({"backend": {"inMemory": {
        "vm": part("10s"),
        "node": part("2500ms"),
        "etcd": part("2s"),
        "apiServer": part("3s"),
    }}});
    playground.machine::<DevMachine>("cp", true, spec).await;
    playground.until_ready::<DevMachine>("cp").await;
    let expected = [
        ("VMProvisioned", 10.0),
        ("NodeProvisioned", 12.5),
        ("EtcdProvisioned", 14.5),
        ("Ready", 15.5),
        ("APIServerProvisioned", 15.5),
    ];
    let seen = seen.lock().clone();
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    for ((type_, at), (expected_type, after)) in seen.iter().zip(expected) {
        assert_eq!(type_, expected_type, "{seen:?}");
        assert!((at - start - after).abs() < 0.05, "{type_} at {}", at - start);
    }
    playground.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_kinds_of_2023_work_the_same() {
    let playground = Playground::start(41300..=41399).await;
    let cluster = playground.cluster("InMemoryCluster").await;
    playground.infrastructure::<InMemoryCluster>(&cluster, json!({})).await;
    playground
        .until::<InMemoryCluster>("bar", "ready", |object| {
            let status = object.and_then(|object| object.status.as_ref());
            status.is_some_and(|status| status.ready == Some(true))
        })
        .await;
    playground.report_infrastructure().await;
    let spec = json!({"behaviour": {"vm": part("1s"), "node": part("1s")}});
    playground.machine::<InMemoryMachine>("cp", true, spec).await;
    playground.until_ready::<InMemoryMachine>("cp").await;
    let machine: InMemoryMachine =
        playground.client.get(&key("cp")).await.expect("read").expect("is");
    assert_eq!(machine.spec.provider_id, "in-memory://cp");
    assert_eq!(machine.status.expect("status").ready, Some(true));
    assert!(playground.clusters.get(&key("bar")).is_some());
    playground.finish().await;
}

#[tokio::test(start_paused = true)]
async fn exhausted_ports_show_as_a_condition() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let playground = Playground::start(port..=port).await;
    let cluster = playground.cluster("DevCluster").await;
    playground.infrastructure::<DevCluster>(&cluster, dev_cluster()).await;
    playground
        .until::<DevCluster>("bar", "refused", |object| {
            let conditions = object.and_then(|object| object.status.as_ref());
            let conditions = conditions.map(|status| status.conditions.as_slice());
            conditions
                .and_then(|all| conditions::get(all, "Ready"))
                .is_some_and(|ready| ready.reason == "PortsExhausted")
        })
        .await;
    drop(taken);
    playground
        .until::<DevCluster>("bar", "provisioned after all", |object| {
            object.is_some_and(|object| object.spec.control_plane_endpoint.is_some())
        })
        .await;
    playground.finish().await;
}
