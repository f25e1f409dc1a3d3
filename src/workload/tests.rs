//! The host with real engines and real sockets.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::apiserver::Profile;
use crate::apiserver::kubelets::{Kubelets, PodOnNode};
use crate::client::{Client, ClusterCache, ObjectKey};
use crate::clock::{Clock, Seed};
use crate::machinery::builtin;
use crate::pki::{CertificateAuthority, KeyAlgorithm, Kubeconfig, LeafRequest, Usage};

fn host(ports: RangeInclusive<u16>) -> (Host, ClusterCache) {
    let clusters = ClusterCache::new();
    let host = Host::new(HostOptions {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        names: Vec::new(),
        ports,
        profile: Profile::new(builtin::definitions()),
        clock: Clock::wall(),
        seed: Seed(1),
        clusters: clusters.clone(),
        git_version: "v1.36.2".to_owned(),
    });
    (host, clusters)
}

fn key() -> ObjectKey {
    ObjectKey::new("default", "bar")
}

fn authority(algorithm: KeyAlgorithm) -> CertificateAuthority {
    CertificateAuthority::generate("kubernetes", algorithm).expect("an authority")
}

fn files(ca: &CertificateAuthority) -> CertificateFiles {
    CertificateFiles {
        certificate_pem: ca.certificate_pem().to_owned(),
        key_pem: ca.key_pem().to_owned(),
    }
}

async fn add_control_plane(host: &Host, name: &str, ca: &CertificateFiles) {
    add_control_plane_of(host, &key(), name, ca).await;
}

async fn add_control_plane_of(host: &Host, key: &ObjectKey, name: &str, ca: &CertificateFiles) {
    let node = NodeRequest { name, provider_id: name, version: "v1.34.0", is_control_plane: true };
    host.add_node(key, &node).await.expect("a Node");
    let member = EtcdMemberRequest { name, ca: None };
    host.add_etcd_member(key, &member).await.expect("a member");
    let request = ApiServerRequest { name, ca, configuration: None };
    host.add_api_server(key, &request).await.expect("an API server");
}

/// A client over the network with a certificate of the cluster's CA, as clusterctl's kubeconfig.
async fn connect(ca: &CertificateAuthority, endpoint: &Endpoint) -> Client {
    let leaf = LeafRequest {
        common_name: "kubernetes-admin".to_owned(),
        organizations: vec!["system:masters".to_owned()],
        dns_names: Vec::new(),
        addresses: Vec::new(),
        usage: Usage::Client,
        validity: Duration::from_secs(3600),
    };
    let certificate = ca.issue(&leaf, KeyAlgorithm::EcdsaP256).expect("a certificate");
    let text = Kubeconfig {
        cluster: "bar",
        user: "bar-admin",
        context: "bar-admin@bar",
        server: &format!("https://{endpoint}"),
        certificate_authority_pem: ca.certificate_pem(),
        client: &certificate,
    }
    .to_yaml();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("kubeconfig");
    std::fs::write(&file, text).expect("written");
    Client::from_kubeconfig_file(&file, "test").await.expect("a usable kubeconfig")
}

/// Whether a port closes connections at once.
async fn is_closed(endpoint: &Endpoint) -> bool {
    let Ok(mut stream) = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await else {
        return true;
    };
    let mut buffer = [0; 1];
    let closed = stream.read(&mut buffer);
    let closed = Clock::wall().timeout(Duration::from_secs(1), closed).await;
    matches!(closed, Ok(Ok(0) | Err(_)))
}

async fn check_served_over_tls(algorithm: KeyAlgorithm, ports: RangeInclusive<u16>) {
    let (host, clusters) = host(ports);
    let ca = authority(algorithm);
    let endpoint = host.add_cluster(&key(), "", None, ClusterNetwork::default()).expect("a port");
    assert!(is_closed(&endpoint).await, "nothing answers before the first API server");
    add_control_plane(&host, "cp", &files(&ca)).await;

    let client = connect(&ca, &endpoint).await;
    let node: Option<Node> = client.get(&ObjectKey::new("", "cp")).await.expect("an answer");
    assert!(node.is_some());
    let pod: Option<Pod> = clusters
        .get(&key())
        .expect("registered")
        .client
        .get(&ObjectKey::new("kube-system", "kube-apiserver-cp"))
        .await
        .expect("an answer");
    let status = pod.and_then(|pod| pod.status).expect("a status");
    assert_eq!(status.phase.as_deref(), Some("Running"));

    host.remove_machine(&key(), "cp").await.expect("removed");
    assert!(is_closed(&endpoint).await, "nothing answers after the last API server");
    host.remove_cluster(&key());
    let next = host.add_cluster(&key(), "", None, ClusterNetwork::default()).expect("a port");
    assert_ne!(next.port, endpoint.port, "a port rests before it is used again");
    host.shutdown().await;
}

#[tokio::test]
async fn a_cluster_is_served_over_tls_while_it_has_an_api_server() {
    check_served_over_tls(KeyAlgorithm::EcdsaP256, 42000..=42099).await;
}

#[tokio::test]
async fn a_cluster_with_an_rsa_authority_is_served_too() {
    check_served_over_tls(KeyAlgorithm::Rsa2048, 42100..=42199).await;
}

#[tokio::test]
async fn etcd_follows_the_machines_and_tells_the_subscribers() {
    let (host, clusters) = host(42200..=42299);
    let ca = files(&authority(KeyAlgorithm::EcdsaP256));
    host.add_cluster(&key(), "", None, ClusterNetwork::default()).expect("a port");
    for name in ["a", "b", "c"] {
        add_control_plane(&host, name, &ca).await;
    }
    let remote = clusters.get(&key()).expect("registered");
    let names = |remote: &crate::client::RemoteCluster| {
        remote.etcd().members.into_iter().map(|member| member.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&remote), ["a", "b", "c"]);
    let mut changes = clusters.subscribe();
    assert!(remote.move_etcd_leader("b"));
    assert!(remote.remove_etcd_member("a"));
    assert_eq!(changes.try_recv().ok(), Some(key()));
    assert_eq!(changes.try_recv().ok(), Some(key()));
    assert!(!remote.remove_etcd_member("a"));
    let member = EtcdMemberRequest { name: "a", ca: None };
    host.add_etcd_member(&key(), &member).await.expect("no error");
    assert_eq!(names(&remote), ["b", "c"], "a member that was removed does not come back");
    until_shown(&remote, "a", (None, true)).await;
    until_shown(&remote, "b", (Some(()), false)).await;
    host.remove_machine(&key(), "b").await.expect("removed");
    assert_eq!(names(&remote), ["b", "c"], "a machine that goes leaves its member behind");
    assert_eq!(remote.etcd().leader_id, 0, "one of two is no majority");
    assert!(!remote.remove_etcd_member("b"), "which could let nobody go");
    host.shutdown().await;
}

#[tokio::test]
async fn the_port_answers_while_one_of_three_api_servers_runs() {
    let (host, clusters) = host(42600..=42699);
    let ca = authority(KeyAlgorithm::EcdsaP256);
    let endpoint = host.add_cluster(&key(), "", None, ClusterNetwork::default()).expect("a port");
    for name in ["a", "b", "c"] {
        add_control_plane(&host, name, &files(&ca)).await;
    }
    let stop = async |name: &str, components: &[&str]| {
        let components = components.iter().copied();
        host.stop_components(&key(), name, components).await.expect("stopped");
    };
    let cluster = host.cluster(&key()).expect("a cluster");
    let client = connect(&ca, &endpoint).await;
    let answers = async || client.get::<Node>(&ObjectKey::new("", "a")).await.is_ok();
    stop("a", &["kube-apiserver"]).await;
    assert!(answers().await, "two are left");
    assert!(
        cluster.connect_api_server("a").is_none(),
        "a forwarded port leads to the one it names"
    );
    assert!(cluster.connect_api_server("b").is_some());
    host.remove_machine(&key(), "b").await.expect("removed");
    assert!(answers().await, "one is left");
    stop("c", &["kube-apiserver"]).await;
    assert!(is_closed(&endpoint).await, "none is left");
    assert!(!answers().await, "the connection that there was is gone");
    assert!(clusters.get(&key()).is_none());
    stop("c", &[]).await;
    assert!(answers().await, "it runs again");
    assert!(clusters.get(&key()).is_some());
    host.remove_machine(&key(), "a").await.expect("a stopped one can go");
    assert!(answers().await);
    host.remove_machine(&key(), "c").await.expect("removed");
    assert!(is_closed(&endpoint).await);
    assert!(!answers().await);
    host.shutdown().await;
}

#[tokio::test]
async fn machines_go_without_harm_once_their_members_are_removed() {
    let (host, clusters) = host(42700..=42799);
    let ca = files(&authority(KeyAlgorithm::EcdsaP256));
    host.add_cluster(&key(), "", None, ClusterNetwork::default()).expect("a port");
    for name in ["a", "b", "c"] {
        add_control_plane(&host, name, &ca).await;
    }
    let remote = clusters.get(&key()).expect("registered");
    // A rollout as KubeadmControlPlane does it: one more, then one less, member first.
    for (old, new) in [("a", "d"), ("b", "e"), ("c", "f")] {
        add_control_plane(&host, new, &ca).await;
        assert!(remote.remove_etcd_member(old));
        host.remove_machine(&key(), old).await.expect("removed");
        let etcd = remote.etcd();
        assert_eq!(etcd.members.len(), 3);
        assert!(etcd.members.iter().any(|member| member.id == etcd.leader_id));
    }
    // By hand: the member stays, does not answer and counts.
    host.remove_machine(&key(), "d").await.expect("removed");
    assert_eq!(remote.etcd().members.len(), 3);
    assert_ne!(remote.etcd().leader_id, 0, "two of three agree");
    assert!(host.cluster(&key()).expect("a cluster").connect_etcd("d", 2379).is_none());
    host.remove_machine(&key(), "e").await.expect("removed");
    assert_eq!(remote.etcd().leader_id, 0, "one of three is no majority");
    assert!(!remote.remove_etcd_member("d"), "and can let nobody go");
    let node = NodeRequest { name: "g", provider_id: "g", version: "", is_control_plane: true };
    host.add_node(&key(), &node).await.expect("a Node");
    let joined = host.add_etcd_member(&key(), &EtcdMemberRequest { name: "g", ca: None }).await;
    assert!(matches!(joined, Err(HostError::Etcd { .. })), "nor let anybody in: {joined:?}");
    host.shutdown().await;
}

#[tokio::test]
async fn a_member_that_its_pod_calls_removed_leaves_with_its_machine() {
    let (host, clusters) = host(42500..=42599);
    let ca = files(&authority(KeyAlgorithm::EcdsaP256));
    host.add_cluster(&key(), "", None, ClusterNetwork::default()).expect("a port");
    for name in ["a", "b"] {
        add_control_plane(&host, name, &ca).await;
    }
    let remote = clusters.get(&key()).expect("registered");
    let removed = "etcd.inmemory.infrastructure.cluster.x-k8s.io/member-removed";
    let patch = serde_json::json!({"metadata": {"annotations": {removed: ""}}});
    let resource = kube::core::ApiResource::erase::<Pod>(&());
    let pod = ObjectKey::new("kube-system", "etcd-a");
    remote.client.merge_patch_dynamic(&resource, &pod, "", &patch).await.expect("patched");
    host.remove_machine(&key(), "a").await.expect("removed");
    let etcd = remote.etcd();
    assert_eq!(etcd.members.len(), 1);
    assert_eq!(etcd.leader_id, etcd.members[0].id, "the rest keeps its quorum");
    host.shutdown().await;
}

/// Waits for the etcd Pod of a machine to show whether its member leads, and whether it was
/// removed.
async fn until_shown(
    remote: &crate::client::RemoteCluster,
    name: &str,
    expected: (Option<()>, bool),
) {
    let key = ObjectKey::new("kube-system", format!("etcd-{name}"));
    let group = "etcd.inmemory.infrastructure.cluster.x-k8s.io";
    let shown = async || {
        let pod: Pod = remote.client.get(&key).await.expect("an answer").expect("a Pod");
        let annotations = pod.metadata.annotations.expect("annotations");
        assert!(annotations.contains_key(&format!("{group}/member-id")));
        let leads = annotations.get(&format!("{group}/leader-from")).map(drop);
        (leads, annotations.contains_key(&format!("{group}/member-removed")))
    };
    let wait = async {
        while shown().await != expected {
            tokio::task::yield_now().await;
        }
    };
    Clock::wall().timeout(Duration::from_secs(10), wait).await.expect("the Pod tells");
}

#[tokio::test]
async fn a_forwarded_port_of_an_etcd_pod_ends_at_the_member() {
    let (host, clusters) = host(42400..=42499);
    let ca = files(&authority(KeyAlgorithm::EcdsaP256));
    host.add_cluster(&key(), "", None, ClusterNetwork::default()).expect("a port");
    add_control_plane(&host, "cp", &ca).await;
    let remote = clusters.get(&key()).expect("registered");
    let pod: serde_json::Value = remote
        .client
        .get_dynamic(
            &kube::core::ApiResource::erase::<Pod>(&()),
            &ObjectKey::new("kube-system", "etcd-cp"),
        )
        .await
        .expect("an answer")
        .expect("a Pod");
    let on_node = PodOnNode { namespace: "kube-system", name: "etcd-cp", node: "cp", object: &pod };
    let cluster = host.cluster(&key()).expect("a cluster");
    let kubelets = super::kubelet::WorkloadKubelets::new(std::sync::Arc::downgrade(&cluster));
    let mut stream = kubelets.connect(on_node, 2381).expect("somebody listens");
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with(r#"{"health":"true","reason":""}"#), "{answer}");
    assert!(kubelets.connect(on_node, 2379).is_ok());
    assert!(kubelets.connect(on_node, 2380).is_err());
    host.remove_machine(&key(), "cp").await.expect("removed");
    assert!(kubelets.connect(on_node, 2379).is_err(), "the machine is gone");
    host.shutdown().await;
}

#[tokio::test]
async fn a_ca_that_cannot_sign_is_an_error_of_the_api_server() {
    let (host, clusters) = host(42300..=42399);
    host.add_cluster(&key(), "", None, ClusterNetwork::default()).expect("a port");
    let node = NodeRequest { name: "cp", provider_id: "cp", version: "", is_control_plane: true };
    host.add_node(&key(), &node).await.expect("a Node");
    let ca = CertificateFiles { certificate_pem: "no".to_owned(), key_pem: "no".to_owned() };
    let refused = host
        .add_api_server(&key(), &ApiServerRequest { name: "cp", ca: &ca, configuration: None })
        .await;
    assert!(matches!(refused, Err(HostError::Ca { .. })));
    assert!(clusters.get(&key()).is_none());
    host.shutdown().await;
}

/// The objects of a cluster that do not name its endpoint, and their uids; times and revisions left
/// out.
async fn content(clusters: &ClusterCache, key: &ObjectKey) -> (Vec<Value>, BTreeSet<String>) {
    let client = clusters.get(key).expect("registered").client;
    let (mut objects, mut uids) = (Vec::new(), BTreeSet::new());
    for path in [
        "/api/v1/namespaces",
        "/api/v1/serviceaccounts",
        "/api/v1/configmaps",
        "/api/v1/services",
        "/apis/apps/v1/daemonsets",
        "/apis/apps/v1/deployments",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    ] {
        let list = client.get_json(path).await.expect("a list");
        for mut object in list["items"].as_array().expect("items").clone() {
            let metadata = object["metadata"].as_object_mut().expect("metadata");
            let uid = metadata.remove("uid").expect("a uid");
            uids.insert(uid.as_str().expect("text").to_owned());
            metadata.remove("creationTimestamp").expect("a time");
            metadata.remove("resourceVersion").expect("a revision");
            // Default bindings have none.
            let owners = metadata.get_mut("managedFields").and_then(Value::as_array_mut);
            for owner in owners.into_iter().flatten() {
                owner.as_object_mut().expect("an entry").remove("time").expect("a time");
            }
            let name = metadata["name"].as_str().expect("a name").to_owned();
            let name = name.as_str();
            let names_endpoint = !object["data"]["kubeconfig.conf"].is_null();
            if !names_endpoint && !matches!(name, "kubeadm-config" | "cluster-info" | "kubernetes")
            {
                objects.push(object);
            }
        }
    }
    (objects, uids)
}

#[tokio::test]
async fn clusters_have_the_same_content_under_uids_of_their_own() {
    let (host, clusters) = host(42400..=42499);
    let ca = files(&authority(KeyAlgorithm::EcdsaP256));
    let mut contents = Vec::new();
    for name in ["one", "two"] {
        let key = ObjectKey::new("default", name);
        host.add_cluster(&key, "", None, ClusterNetwork::default()).expect("a port");
        add_control_plane_of(&host, &key, "cp", &ca).await;
        contents.push(content(&clusters, &key).await);
    }
    let [(one, uids), (two, other_uids)] = &contents[..] else { panic!("two contents") };
    assert_eq!(one, two);
    assert!(one.len() > 15, "{}", one.len());
    assert!(uids.is_disjoint(other_uids));
    host.shutdown().await;
}
