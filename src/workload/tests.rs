//! The host with real engines and real sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::*;
use crate::apiserver::Profile;
use crate::client::{Client, ClusterCache, ObjectKey};
use crate::clock::{Clock, Seed};
use crate::machinery::builtin;
use crate::pki::{CertificateAuthority, KeyAlgorithm, Kubeconfig, LeafRequest, Usage};

fn host(ports: RangeInclusive<u16>) -> (Host, ClusterCache) {
    let clusters = ClusterCache::new();
    let host = Host::new(HostOptions {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
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
    let node = NodeRequest { name, provider_id: name, version: "v1.34.0", is_control_plane: true };
    host.add_node(&key(), &node).await.expect("a Node");
    host.add_etcd_member(&key(), name).await.expect("a member");
    let request = ApiServerRequest { name, ca };
    host.add_api_server(&key(), &request).await.expect("an API server");
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
    host.add_etcd_member(&key(), "a").await.expect("no error");
    assert_eq!(names(&remote), ["b", "c"], "a member that was removed does not come back");
    host.remove_machine(&key(), "b").await.expect("removed");
    assert_eq!(names(&remote), ["c"]);
    assert_eq!(remote.etcd().leader_id, remote.etcd().members[0].id);
    host.shutdown().await;
}

#[tokio::test]
async fn a_ca_that_cannot_sign_is_an_error_of_the_api_server() {
    let (host, clusters) = host(42300..=42399);
    host.add_cluster(&key(), "", None, ClusterNetwork::default()).expect("a port");
    let node = NodeRequest { name: "cp", provider_id: "cp", version: "", is_control_plane: true };
    host.add_node(&key(), &node).await.expect("a Node");
    let ca = CertificateFiles { certificate_pem: "no".to_owned(), key_pem: "no".to_owned() };
    let refused = host.add_api_server(&key(), &ApiServerRequest { name: "cp", ca: &ca }).await;
    assert!(matches!(refused, Err(HostError::Ca { .. })));
    assert!(clusters.get(&key()).is_none());
    host.shutdown().await;
}
