//! Memory of workload clusters: one control plane and one worker machine each, and none at all.

use std::net::{IpAddr, Ipv4Addr};

use capim::apiserver::Profile;
use capim::client::{ClusterCache, ObjectKey};
use capim::clock::{Clock, Seed};
use capim::machinery::builtin;
use capim::pki::{CertificateAuthority, KeyAlgorithm};
use capim::workload::{
    ApiServerRequest, CertificateFiles, ClusterNetwork, EtcdMemberRequest, Host, HostOptions,
    NodeRequest,
};
use serde_json::json;

use crate::measure::{self, cpu_seconds, descriptors, micros, resident_bytes};

const CLUSTERS: usize = 1_000;
const VERSION: &str = capim::playground::KUBERNETES_VERSION;

/// What a cluster may have of its own beyond the bytes of its objects, and what a port may.
const CLUSTER_GOAL: usize = 64 << 10;
const LISTENER_GOAL: usize = 2 << 10;

pub async fn clusters() {
    let host = host();
    let authority = CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256)
        .expect("an authority");
    let ca = CertificateFiles {
        certificate_pem: authority.certificate_pem().to_owned(),
        key_pem: authority.key_pem().to_owned(),
    };
    // The first cluster makes what all share.
    provision(&host, CLUSTERS, &ca).await;
    let (memory, objects, cpu) = (resident_bytes(), host.stored_bytes(), cpu_seconds());
    for number in 0..CLUSTERS {
        provision(&host, number, &ca).await;
    }
    let cpu = cpu_seconds() - cpu;
    let each = |bytes: f64| (bytes / CLUSTERS as f64).round();
    let objects = each((host.stored_bytes() - objects) as f64);
    let resident = each(resident_bytes() - memory);
    measure::print(&json!({
        "bench": format!("memory of {CLUSTERS} workload clusters"),
        "cpu_us_per_cluster": micros(cpu, CLUSTERS),
        "resident_bytes_per_cluster": resident,
        "object_bytes_per_cluster": objects,
        "other_bytes_per_cluster": resident - objects,
        "goal": CLUSTER_GOAL,
    }));
    host.shutdown().await;
}

pub async fn listeners() {
    let host = host();
    add(&host, CLUSTERS);
    let (memory, before) = (resident_bytes(), descriptors());
    for number in 0..CLUSTERS {
        add(&host, number);
    }
    let each = |total: f64| measure::rounded(total / CLUSTERS as f64);
    measure::print(&json!({
        "bench": format!("memory of {CLUSTERS} idle listeners"),
        "resident_bytes_per_listener": each(resident_bytes() - memory),
        "descriptors_per_listener": each((descriptors() - before) as f64),
        "goal": LISTENER_GOAL,
    }));
    host.shutdown().await;
}

fn host() -> Host {
    Host::new(HostOptions {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        names: Vec::new(),
        ports: 20_000..=29_999,
        profile: Profile::new(builtin::definitions()),
        clock: Clock::wall(),
        seed: Seed(1),
        clusters: ClusterCache::new(),
        git_version: VERSION.to_owned(),
    })
}

fn key(number: usize) -> ObjectKey {
    ObjectKey::new("default", format!("cluster-{number:04}"))
}

fn add(host: &Host, number: usize) {
    let network =
        ClusterNetwork { pods: vec!["192.168.0.0/16".to_owned()], ..ClusterNetwork::default() };
    host.add_cluster(&key(number), "", None, network).expect("a port");
}

async fn provision(host: &Host, number: usize, ca: &CertificateFiles) {
    add(host, number);
    let key = key(number);
    let (control_plane, worker) = (format!("{}-cp", key.name), format!("{}-md", key.name));
    for (name, is_control_plane) in [(&control_plane, true), (&worker, false)] {
        let provider_id = format!("in-memory:////{name}");
        let request =
            NodeRequest { name, provider_id: &provider_id, version: VERSION, is_control_plane };
        host.add_node(&key, &request).await.expect("a Node");
        if is_control_plane {
            host.add_etcd_member(&key, &EtcdMemberRequest { name, ca: None })
                .await
                .expect("an etcd member");
            let request = ApiServerRequest { name, ca, configuration: None };
            host.add_api_server(&key, &request).await.expect("an API server");
        }
    }
}
