//! Pods, Nodes and budgets of a real workload cluster, in virtual time.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Resource;
use kube::api::{Api, EvictParams, ListParams, LogParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::pod_life::STUBBORN;
use super::site::{condition, is_true};
use crate::apiserver::Profile;
use crate::client::{Client, ClusterCache, ObjectKey, Propagation};
use crate::clock::{Clock, Seed};
use crate::machinery::builtin;
use crate::pki::{CertificateAuthority, KeyAlgorithm};
use crate::workload::{
    ApiServerRequest, CertificateFiles, ClusterNetwork, EtcdMemberRequest, Host, HostOptions,
    NodeRequest,
};

/// A workload cluster with control plane `cp` and worker `w`.
struct Cluster {
    host: Host,
    clock: Clock,
    clusters: ClusterCache,
    client: Client,
}

fn key() -> ObjectKey {
    ObjectKey::new("default", "bar")
}

fn named(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

impl Cluster {
    async fn start(ports: RangeInclusive<u16>) -> Self {
        let clock = Clock::virtual_from("2026-01-01T00:00:00Z".parse().expect("a time"));
        let clusters = ClusterCache::new();
        let host = Host::new(HostOptions {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports,
            profile: Profile::new(builtin::definitions()),
            clock: clock.clone(),
            seed: Seed(1),
            clusters: clusters.clone(),
            git_version: "v1.36.2".to_owned(),
            names: Vec::new(),
        });
        let network =
            ClusterNetwork { pods: vec!["192.168.0.0/16".to_owned()], ..ClusterNetwork::default() };
        host.add_cluster(&key(), "", None, network).expect("a port");
        for (name, is_control_plane) in [("cp", true), ("w", false)] {
            let request =
                NodeRequest { name, provider_id: name, version: "v1.36.2", is_control_plane };
            host.add_node(&key(), &request).await.expect("a Node");
        }
        let member = EtcdMemberRequest { name: "cp", ca: None };
        host.add_etcd_member(&key(), &member).await.expect("a member");
        let ca = CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256)
            .expect("an authority");
        let ca = CertificateFiles {
            certificate_pem: ca.certificate_pem().to_owned(),
            key_pem: ca.key_pem().to_owned(),
        };
        host.add_api_server(&key(), &ApiServerRequest { name: "cp", ca: &ca, configuration: None })
            .await
            .expect("an API server");
        let client = clusters.get(&key()).expect("registered").client;
        Self { host, clock, clusters, client }
    }

    async fn create<K: Resource<DynamicType = ()>>(&self, mut object: Value) {
        let resource = ApiResource::erase::<K>(&());
        object["apiVersion"] = resource.api_version.clone().into();
        object["kind"] = resource.kind.clone().into();
        if resource.kind != "VolumeAttachment" {
            object["metadata"]["namespace"] = "default".into();
        }
        self.client.create_dynamic(&resource, &object).await.expect("accepted");
    }

    async fn pod(&self, name: &str, change: Value) {
        let mut pod = json!({
            "metadata": {"name": name, "labels": {"app": "a"}},
            "spec": {"nodeName": "w", "containers": [{"name": "c", "image": "nginx"}]},
        });
        crate::machinery::patch::merge::apply(&mut pod, &change);
        self.create::<Pod>(pod).await;
    }

    async fn get<K: Resource<DynamicType = ()>>(&self, key: &ObjectKey) -> Option<Value> {
        let resource = ApiResource::erase::<K>(&());
        self.client.get_dynamic(&resource, key).await.expect("an answer")
    }

    /// Waits until an object (or its absence) is as wanted; answers the seconds that took.
    async fn until<K: Resource<DynamicType = ()>>(
        &self,
        key: &ObjectKey,
        what: &str,
        holds: impl Fn(Option<&Value>) -> bool,
    ) -> u64 {
        let start = self.clock.elapsed();
        for _ in 0..100_000 {
            let object = self.get::<K>(key).await;
            if holds(object.as_ref()) {
                return (self.clock.elapsed() - start).as_secs();
            }
            self.clock.sleep(Duration::from_millis(10)).await;
        }
        panic!("{key} does not become {what}: {:?}", self.get::<K>(key).await)
    }

    async fn until_ready(&self, name: &str) -> Value {
        let is_ready = |pod: Option<&Value>| pod.is_some_and(|pod| is_true(pod, "Ready"));
        self.until::<Pod>(&named(name), "Ready", is_ready).await;
        self.get::<Pod>(&named(name)).await.expect("it is there")
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.kube().clone(), "default")
    }
}

#[tokio::test(start_paused = true)]
async fn bound_pods_run_and_stop() {
    let cluster = Cluster::start(42400..=42449).await;
    let init = json!({"spec": {"initContainers": [{"name": "i", "image": "i"}]}});
    cluster.pod("a", init).await;
    let pod = cluster.until_ready("a").await;
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(pod["status"]["podIP"], "192.168.1.2");
    assert_eq!(pod["status"]["hostIP"], "172.18.0.3");
    assert_eq!(pod["status"]["containerStatuses"][0]["image"], "docker.io/library/nginx:latest");
    let init = &pod["status"]["initContainerStatuses"][0]["state"]["terminated"];
    assert_eq!(init["reason"], "Completed");
    cluster.pod("b", json!({"spec": {"restartPolicy": "Never"}})).await;
    assert_eq!(cluster.until_ready("b").await["status"]["podIP"], "192.168.1.3");
    let is_gone = |pod: Option<&Value>| pod.is_none();
    cluster.client.delete::<Pod>(&named("a"), Propagation::Default).await.unwrap();
    assert_eq!(cluster.until::<Pod>(&named("a"), "gone", is_gone).await, 0);

    cluster.pod("c", json!({"metadata": {"annotations": {STUBBORN: "true"}}})).await;
    cluster.until_ready("c").await;
    cluster.client.delete::<Pod>(&named("c"), Propagation::Default).await.unwrap();
    let seconds = cluster.until::<Pod>(&named("c"), "gone", is_gone).await;
    assert!((29..=30).contains(&seconds), "gone after {seconds} s");
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn unbound_pods_wait_for_a_binding() {
    let cluster = Cluster::start(42450..=42499).await;
    cluster.pod("a", json!({"spec": {"nodeName": null}})).await;
    cluster.clock.sleep(Duration::from_secs(60)).await;
    let pod = cluster.get::<Pod>(&named("a")).await.unwrap();
    assert_eq!(pod["status"]["phase"], "Pending");
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"},
        "target": {"kind": "Node", "name": "w"},
    });
    let path = "/api/v1/namespaces/default/pods/a/binding";
    cluster.client.create_json(path, &binding).await.expect("bound");
    cluster.until_ready("a").await;
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_first_refuses_then_allows() {
    let cluster = Cluster::start(42500..=42549).await;
    cluster
        .create::<PodDisruptionBudget>(json!({
            "metadata": {"name": "b"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
        }))
        .await;
    cluster.pod("a", json!({})).await;
    cluster.until_ready("a").await;
    let counts = |healthy: u64, allowed: u64| {
        move |budget: Option<&Value>| {
            budget.is_some_and(|budget| {
                let status = &budget["status"];
                status["currentHealthy"] == healthy && status["disruptionsAllowed"] == allowed
            })
        }
    };
    cluster.until::<PodDisruptionBudget>(&named("b"), "counted", counts(1, 0)).await;
    let refused = cluster.pods().evict("a", &EvictParams::default()).await;
    let Err(kube::Error::Api(status)) = refused else { panic!("{refused:?}") };
    assert_eq!(status.code, 429);
    let causes = status.details.as_ref().map(|details| details.causes.clone()).unwrap();
    assert_eq!(
        causes[0].message,
        "The disruption budget b needs 1 healthy pods and has 1 currently"
    );
    cluster.pod("c", json!({})).await;
    cluster.until::<PodDisruptionBudget>(&named("b"), "sufficient", counts(2, 1)).await;
    let budget = cluster.get::<PodDisruptionBudget>(&named("b")).await.unwrap();
    assert_eq!(condition(&budget, "DisruptionAllowed").unwrap()["reason"], "SufficientPods");
    cluster.pods().evict("a", &EvictParams::default()).await.expect("allowed");
    cluster.until::<Pod>(&named("a"), "gone", |pod| pod.is_none()).await;
    let is_settled = move |budget: Option<&Value>| {
        counts(1, 0)(budget)
            && budget.is_some_and(|budget| {
                budget["status"]["disruptedPods"].as_object().is_none_or(|held| held.is_empty())
            })
    };
    cluster.until::<PodDisruptionBudget>(&named("b"), "settled", is_settled).await;
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_kubelet_loses_its_pods() {
    let cluster = Cluster::start(42550..=42599).await;
    cluster.pod("a", json!({})).await;
    let finicky = json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists",
                          "effect": "NoExecute", "tolerationSeconds": 10}]);
    cluster.pod("b", json!({"spec": {"tolerations": finicky}})).await;
    cluster.until_ready("a").await;
    cluster.until_ready("b").await;
    let node = ObjectKey::new("", "w");
    let ready = |wanted: &'static str| {
        move |node: Option<&Value>| {
            node.and_then(|node| condition(node, "Ready")).is_some_and(|it| it["status"] == wanted)
        }
    };
    assert!(cluster.host.stop_kubelet(&key(), "w"));
    let seconds = cluster.until::<Node>(&node, "Unknown", ready("Unknown")).await;
    assert!((40..=51).contains(&seconds), "Unknown after {seconds} s");
    let object = cluster.get::<Node>(&node).await.unwrap();
    let condition_ = condition(&object, "MemoryPressure").unwrap();
    assert_eq!(condition_["reason"], "NodeStatusUnknown");
    assert_eq!(condition_["message"], "Kubelet stopped posting node status.");
    let is_tainted = |node: Option<&Value>| {
        let taints = node.and_then(|node| node["spec"]["taints"].as_array().cloned());
        taints
            .unwrap_or_default()
            .iter()
            .any(|it| it["key"] == "node.kubernetes.io/unreachable" && it["effect"] == "NoExecute")
    };
    cluster.until::<Node>(&node, "tainted", is_tainted).await;
    let pod = cluster.get::<Pod>(&named("a")).await.unwrap();
    assert_eq!(condition(&pod, "Ready").unwrap()["status"], "False");

    let is_going = |pod: Option<&Value>| pod.is_some_and(super::site::is_deleting);
    let seconds = cluster.until::<Pod>(&named("b"), "evicted", is_going).await;
    assert!(seconds <= 10, "b is evicted after {seconds} s");
    let rest = cluster.until::<Pod>(&named("a"), "evicted", is_going).await;
    assert!((288..=300).contains(&(seconds + rest)), "a is evicted after {rest} s more");
    let pod = cluster.get::<Pod>(&named("a")).await.unwrap();
    assert_eq!(condition(&pod, "DisruptionTarget").unwrap()["reason"], "DeletionByTaintManager");
    cluster.clock.sleep(Duration::from_secs(600)).await;
    assert!(cluster.get::<Pod>(&named("a")).await.is_some(), "nobody confirms that it stopped");

    assert!(cluster.host.start_kubelet(&key(), "w"));
    assert_eq!(cluster.until::<Node>(&node, "Ready", ready("True")).await, 0);
    cluster.until::<Node>(&node, "untainted", move |node| !is_tainted(node)).await;
    cluster.until::<Pod>(&named("a"), "gone", |pod| pod.is_none()).await;
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_is_silent_for_a_while_recovers() {
    let cluster = Cluster::start(42600..=42649).await;
    cluster.host.stop_kubelet(&key(), "cp");
    let pod = ObjectKey::new("kube-system", "etcd-cp");
    let is_ready = |pod: Option<&Value>| pod.is_some_and(|pod| is_true(pod, "Ready"));
    cluster.until::<Pod>(&pod, "unready", move |pod| !is_ready(pod)).await;
    cluster.host.start_kubelet(&key(), "cp");
    cluster.until::<Pod>(&pod, "ready", is_ready).await;
    assert!(!cluster.host.stop_kubelet(&key(), "nobody"));
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_without_writes() {
    let cluster = Cluster::start(42650..=42699).await;
    let lease = ObjectKey::new("kube-node-lease", "w");
    let time = |lease: Option<Value>| lease.unwrap()["spec"]["renewTime"].clone();
    let revision = |lease: Option<Value>| lease.unwrap()["metadata"]["resourceVersion"].clone();
    let first = cluster.get::<Lease>(&lease).await;
    assert_eq!(time(first.clone()), "2026-01-01T00:00:00.000000Z");
    cluster.clock.sleep(Duration::from_secs(25)).await;
    let second = cluster.get::<Lease>(&lease).await;
    assert_eq!(time(second.clone()), "2026-01-01T00:00:20.000000Z");
    assert_eq!(revision(second), revision(first));
    cluster.host.stop_kubelet(&key(), "w");
    cluster.clock.sleep(Duration::from_secs(25)).await;
    assert_eq!(time(cluster.get::<Lease>(&lease).await), "2026-01-01T00:00:20.000000Z");
    let leases: Vec<Lease> = cluster.client.list("kube-node-lease", "").await.unwrap();
    assert_eq!(leases.len(), 2);
    cluster.host.remove_machine(&key(), "w").await.unwrap();
    assert!(cluster.get::<Lease>(&lease).await.is_none());
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_gone_go_after_a_while() {
    let cluster = Cluster::start(42700..=42749).await;
    cluster.pod("a", json!({})).await;
    cluster.until_ready("a").await;
    cluster.host.remove_machine(&key(), "w").await.unwrap();
    let seconds = cluster.until::<Pod>(&named("a"), "gone", |pod| pod.is_none()).await;
    assert!((39..=41).contains(&seconds), "gone after {seconds} s");
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn workloads_report_what_runs() {
    let cluster = Cluster::start(42750..=42799).await;
    let proxy = ObjectKey::new("kube-system", "kube-proxy");
    let numbers = |desired: u64, ready: u64| {
        move |set: Option<&Value>| {
            set.is_some_and(|set| {
                set["status"]["desiredNumberScheduled"] == desired
                    && set["status"]["numberReady"] == ready
            })
        }
    };
    cluster.until::<DaemonSet>(&proxy, "counted", numbers(2, 0)).await;
    let dns = ObjectKey::new("kube-system", "coredns");
    let is_missing =
        |it: Option<&Value>| it.is_some_and(|it| it["status"]["unavailableReplicas"] == 2);
    cluster.until::<Deployment>(&dns, "counted", is_missing).await;
    let set = cluster.get::<DaemonSet>(&proxy).await.unwrap();
    let owner = json!([{
        "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "kube-proxy",
        "uid": set["metadata"]["uid"], "controller": true,
    }]);
    let resource = ApiResource::erase::<Pod>(&());
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "kube-proxy-x", "namespace": "kube-system", "ownerReferences": owner},
        "spec": {"nodeName": "w", "hostNetwork": true,
                 "containers": [{"name": "c", "image": "c"}]},
    });
    cluster.client.create_dynamic(&resource, &pod).await.unwrap();
    cluster.until::<DaemonSet>(&proxy, "running", numbers(2, 1)).await;
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn static_pods_tell_their_story() {
    let cluster = Cluster::start(42800..=42849).await;
    cluster.clock.sleep(Duration::from_secs(100)).await;
    let request =
        NodeRequest { name: "cp2", provider_id: "cp2", version: "v1.36.2", is_control_plane: true };
    cluster.host.add_node(&key(), &request).await.unwrap();
    let member = EtcdMemberRequest { name: "cp2", ca: None };
    cluster.host.add_etcd_member(&key(), &member).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(cluster.client.kube().clone(), "kube-system");
    let log = async |name: &str, parameters: &LogParams| pods.logs(name, parameters).await;
    let text = log("etcd-cp", &LogParams::default()).await.unwrap();
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["msg"].as_str()).collect();
    assert!(messages.contains(&"became the leader"), "{messages:?}");
    assert_eq!(lines.last().unwrap()["added-member"], "cp2");
    let tail = LogParams { tail_lines: Some(1), ..LogParams::default() };
    assert_eq!(log("etcd-cp", &tail).await.unwrap().lines().count(), 1);
    let recent = LogParams { since_seconds: Some(50), ..LogParams::default() };
    assert_eq!(log("etcd-cp", &recent).await.unwrap().lines().count(), 1);
    let text = log("kube-scheduler-cp", &LogParams::default()).await.unwrap();
    assert!(text.contains("Holding the lease kube-system/kube-scheduler as cp"), "{text}");
    let previous = LogParams { previous: true, ..LogParams::default() };
    let Err(kube::Error::Api(status)) = log("etcd-cp", &previous).await else { panic!("refused") };
    assert_eq!(status.code, 400);
    cluster.host.stop_kubelet(&key(), "cp");
    let Err(kube::Error::Api(status)) = log("etcd-cp", &tail).await else { panic!("refused") };
    assert!(status.message.ends_with("connect: connection refused"), "{}", status.message);
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_followed_goes_on_until_its_pod_is_gone() {
    use futures::{AsyncBufReadExt, StreamExt};
    let cluster = Cluster::start(42950..=42999).await;
    let pods: Api<Pod> = Api::namespaced(cluster.client.kube().clone(), "kube-system");
    let parameters =
        LogParams { follow: true, tail_lines: Some(1), timestamps: true, ..LogParams::default() };
    let mut lines = pods.log_stream("etcd-cp", &parameters).await.expect("a log").lines();
    let first = lines.next().await.expect("a line").expect("text");
    assert!(first.starts_with("2026-01-01T00:00:00."), "{first}");
    let request =
        NodeRequest { name: "cp2", provider_id: "cp2", version: "v1.36.2", is_control_plane: true };
    cluster.clock.sleep(Duration::from_secs(10)).await;
    cluster.host.add_node(&key(), &request).await.unwrap();
    let member = EtcdMemberRequest { name: "cp2", ca: None };
    cluster.host.add_etcd_member(&key(), &member).await.unwrap();
    let news = lines.next().await.expect("a line").expect("text");
    assert!(news.starts_with("2026-01-01T00:00:10") && news.contains("cp2"), "{news}");
    cluster.host.remove_machine(&key(), "cp").await.unwrap();
    while let Some(line) = lines.next().await {
        line.expect("the log ends in good order");
    }
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn log_options_that_make_no_sense_are_refused() {
    let cluster = Cluster::start(43000..=43049).await;
    for (query, code, message) in [
        ("tailLines=-1", 422, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", 422, "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=0", 422, "sinceSeconds: Invalid value: 0: must be greater than 0"),
        (
            "sinceSeconds=1&sinceTime=2026-01-01T00%3A00%3A00Z",
            422,
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
        ("container=other", 400, "container other is not valid for pod etcd-cp"),
    ] {
        let path = format!("/api/v1/namespaces/kube-system/pods/etcd-cp/log?{query}");
        let error = cluster.client.get_json(&path).await.expect_err(query);
        assert_eq!(error.code(), Some(code), "{query}: {error}");
        assert!(error.to_string().contains(message), "{query}: {error}");
    }
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn static_pods_that_are_deleted_come_back() {
    let cluster = Cluster::start(43050..=43099).await;
    let etcd = ObjectKey::new("kube-system", "etcd-cp");
    let is_back = |old: &Value| {
        let uid = old["metadata"]["uid"].clone();
        move |pod: Option<&Value>| {
            pod.is_some_and(|pod| pod["metadata"]["uid"] != uid && is_true(pod, "Ready"))
        }
    };
    let id = "etcd.inmemory.infrastructure.cluster.x-k8s.io/member-id";
    for grace in [None, Some(0)] {
        let old = cluster.get::<Pod>(&etcd).await.expect("a mirror");
        super::site::delete_pod(&cluster.client, &old, grace).await.expect("deleted");
        cluster.until::<Pod>(&etcd, "back", is_back(&old)).await;
        let new = cluster.get::<Pod>(&etcd).await.expect("a mirror");
        assert_eq!(new["metadata"]["annotations"][id], old["metadata"]["annotations"][id]);
        assert_eq!(new["status"]["startTime"], old["status"]["startTime"], "it went on running");
        assert!(new["metadata"].get("deletionTimestamp").is_none());
    }
    // A kubelet that is away brings back what is missing when it returns.
    cluster.host.stop_kubelet(&key(), "cp");
    let scheduler = ObjectKey::new("kube-system", "kube-scheduler-cp");
    let old = cluster.get::<Pod>(&scheduler).await.expect("a mirror");
    super::site::delete_pod(&cluster.client, &old, Some(0)).await.expect("deleted");
    cluster.clock.sleep(Duration::from_secs(20)).await;
    assert!(cluster.get::<Pod>(&scheduler).await.is_none());
    cluster.host.start_kubelet(&key(), "cp");
    cluster.until::<Pod>(&scheduler, "back", is_back(&old)).await;
    // Of a machine that goes nothing stays.
    cluster.host.remove_machine(&key(), "cp").await.unwrap();
    cluster.clock.sleep(Duration::from_secs(60)).await;
    assert!(cluster.get::<Pod>(&etcd).await.is_none());
    assert!(cluster.get::<Pod>(&scheduler).await.is_none());
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn components_stop_and_start_again() {
    let cluster = Cluster::start(43100..=43149).await;
    let etcd = ObjectKey::new("kube-system", "etcd-cp");
    let stop = async |names: &[&str]| {
        let names = names.iter().copied();
        cluster.host.stop_components(&key(), "cp", names).await.expect("done");
    };
    stop(&["etcd", "kube-scheduler", "nonsense"]).await;
    let pod = cluster.get::<Pod>(&etcd).await.expect("a mirror");
    assert!(!is_true(&pod, "Ready"));
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
    let pods: Api<Pod> = Api::namespaced(cluster.client.kube().clone(), "kube-system");
    let previous = LogParams { previous: true, ..LogParams::default() };
    assert!(!pods.logs("etcd-cp", &previous).await.expect("what it wrote").is_empty());
    // It stays so when its mirror comes back.
    super::site::delete_pod(&cluster.client, &pod, Some(0)).await.expect("deleted");
    let is_back = |new: Option<&Value>| {
        new.is_some_and(|new| {
            new["metadata"]["uid"] != pod["metadata"]["uid"] && condition(new, "Ready").is_some()
        })
    };
    cluster.until::<Pod>(&etcd, "back", is_back).await;
    assert!(!is_true(&cluster.get::<Pod>(&etcd).await.expect("a mirror"), "Ready"));
    stop(&["kube-scheduler"]).await;
    let pod = cluster.get::<Pod>(&etcd).await.expect("a mirror");
    assert!(is_true(&pod, "Ready"));
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 1);
    let scheduler = ObjectKey::new("kube-system", "kube-scheduler-cp");
    assert!(!is_true(&cluster.get::<Pod>(&scheduler).await.expect("a mirror"), "Ready"));
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn volume_attachments_belong_to_who_makes_them() {
    let cluster = Cluster::start(43150..=43199).await;
    let attachment = json!({
        "metadata": {"name": "va-w", "finalizers": ["test.example.com/block"]},
        "spec": {"attacher": "manual", "nodeName": "w", "source": {"persistentVolumeName": "foo"}},
        "status": {"attached": true},
    });
    cluster.create::<VolumeAttachment>(attachment).await;
    let named = ObjectKey::new("", "va-w");
    let resource = ApiResource::erase::<VolumeAttachment>(&());
    let status = json!({"status": {"attached": true}});
    let patched = cluster.client.merge_patch_dynamic(&resource, &named, "status", &status).await;
    assert_eq!(patched.expect("patched")["status"]["attached"], true);
    let volumes = json!([{"name": "kubernetes.io/csi/d^foo", "devicePath": ""}]);
    let status = json!({"status": {"volumesAttached": volumes}});
    let nodes = ApiResource::erase::<Node>(&());
    let node = ObjectKey::new("", "w");
    cluster.client.merge_patch_dynamic(&nodes, &node, "status", &status).await.expect("patched");
    // Nobody detaches what nobody here attached, and what kubelets write leaves it alone.
    cluster.host.stop_kubelet(&key(), "w");
    cluster.clock.sleep(Duration::from_secs(60)).await;
    cluster.host.start_kubelet(&key(), "w");
    cluster.clock.sleep(Duration::from_secs(60)).await;
    let held = cluster.get::<VolumeAttachment>(&named).await.expect("it stays");
    assert_eq!(held["status"]["attached"], true);
    let held = cluster.get::<Node>(&node).await.expect("a Node");
    assert_eq!(held["status"]["volumesAttached"], volumes);
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn machines_that_join_find_signed_cluster_info() {
    let cluster = Cluster::start(42900..=42949).await;
    let key = ObjectKey::new("kube-public", "cluster-info");
    let signature = async || {
        let map = cluster.get::<ConfigMap>(&key).await.unwrap();
        map["data"].get("jws-kubeconfig-abcdef").cloned()
    };
    assert_eq!(signature().await, None);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system"},
        "stringData": {"token-id": "abcdef", "token-secret": "0123456789abcdef",
                       "usage-bootstrap-signing": "true"},
    });
    cluster.client.create_dynamic(&ApiResource::erase::<Secret>(&()), &secret).await.unwrap();
    assert!(signature().await.is_some_and(|it| it.as_str().unwrap().contains("..")));
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_cluster_writes_nothing() {
    let cluster = Cluster::start(42850..=42899).await;
    cluster.pod("a", json!({})).await;
    cluster.until_ready("a").await;
    cluster.clock.sleep(Duration::from_secs(1)).await;
    // A list tells the revision of the whole store.
    let revision = async || {
        let list = cluster.pods().list(&ListParams::default()).await.unwrap();
        list.metadata.resource_version.unwrap()
    };
    let before = revision().await;
    cluster.clock.sleep(Duration::from_secs(3600)).await;
    assert_eq!(revision().await, before);
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn static_pods_are_reported_once_their_kubelet_speaks() {
    let cluster = Cluster::start(43270..=43299).await;
    let scheduler = ObjectKey::new("kube-system", "kube-scheduler-cp");
    let is_ready = |pod: Option<&Value>| pod.is_some_and(|pod| is_true(pod, "Ready"));
    cluster.host.stop_kubelet(&key(), "cp");
    let names = ["kube-scheduler", "kube-apiserver"].into_iter();
    cluster.host.stop_components(&key(), "cp", names).await.expect("done");
    assert!(cluster.clusters.get(&key()).is_none(), "the API server stopped");
    cluster.clock.sleep(Duration::from_secs(20)).await;
    assert!(is_ready(cluster.get::<Pod>(&scheduler).await.as_ref()), "nobody tells of it");
    cluster.host.start_kubelet(&key(), "cp");
    cluster.until::<Pod>(&scheduler, "unready", move |pod| !is_ready(pod)).await;
    cluster.host.stop_components(&key(), "cp", std::iter::empty()).await.expect("done");
    assert!(is_ready(cluster.get::<Pod>(&scheduler).await.as_ref()));
    assert!(cluster.clusters.get(&key()).is_some(), "the API server started");
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_could_not_be_written_is_written_later() {
    let cluster = Cluster::start(43200..=43249).await;
    let resource = ApiResource::erase::<ValidatingWebhookConfiguration>(&());
    let name = ObjectKey::new("", "refuse");
    // Nobody listens there.
    let webhooks = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name.name},
        "webhooks": [{
            "name": "refuse.example.com", "sideEffects": "None", "failurePolicy": "Fail",
            "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"],
                       "resources": ["pods/status"]}],
        }],
    });
    cluster.client.create_dynamic(&resource, &webhooks).await.expect("created");
    let stop = async || {
        let names = ["kube-scheduler"].into_iter();
        cluster.host.stop_components(&key(), "cp", names).await
    };
    stop().await.expect_err("the status is refused");
    cluster.client.delete_dynamic(&resource, &name, Propagation::Background).await.expect("gone");
    let scheduler = ObjectKey::new("kube-system", "kube-scheduler-cp");
    assert!(is_true(&cluster.get::<Pod>(&scheduler).await.expect("a mirror"), "Ready"));
    stop().await.expect("done");
    assert!(!is_true(&cluster.get::<Pod>(&scheduler).await.expect("a mirror"), "Ready"));
    cluster.host.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_known_while_an_api_server_runs() {
    let cluster = Cluster::start(43250..=43269).await;
    let stop = async |name: &str| {
        let names = ["kube-apiserver"].into_iter();
        cluster.host.stop_components(&key(), name, names).await.expect("done");
    };
    for _ in 0..2 {
        stop("cp").await;
        assert!(cluster.clusters.get(&key()).is_none());
    }
    cluster.host.stop_components(&key(), "cp", std::iter::empty()).await.expect("done");
    assert!(cluster.clusters.get(&key()).is_some());
    // A machine that goes twice takes its API server away once.
    let remove = async || cluster.host.remove_machine(&key(), "cp").await;
    let (first, second) = tokio::join!(remove(), remove());
    first.and(second).expect("gone");
    assert!(cluster.clusters.get(&key()).is_none());
    cluster.host.shutdown().await;
}
