//! The bootstrap data itself: for `kubeadm init`, a joining control plane machine, or a worker.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use super::cloud_init::{self, Action, File};
use super::{discovery, ignition};
use crate::api::bootstrap::KubeadmConfig;
use crate::api::core::{Cluster, NetworkRanges};
use crate::contract::secrets::CLUSTER_SECRET_TYPE;
use crate::contract::{labels, owners};
use crate::machinery::kubeadm::{ClusterData, KubeadmApi};

/// Taint of a worker until Cluster API has initialised its Node.
const UNINITIALIZED: &str = "node.cluster.x-k8s.io/uninitialized";

/// kubeadm's documents for the first control plane machine. The endpoint of the Cluster enters
/// the KubeadmConfig itself, as upstream does.
///
/// # Errors
/// A message for a version that kubeadm cannot serve.
pub(super) fn init(
    config: &mut KubeadmConfig,
    cluster: &Cluster,
    version: &str,
) -> Result<Action, String> {
    let api = KubeadmApi::for_version(version)?;
    let configuration = config.spec.cluster_configuration.get_or_insert_with(|| json!({}));
    let has_endpoint =
        configuration["controlPlaneEndpoint"].as_str().is_some_and(|endpoint| !endpoint.is_empty());
    if let (false, Some(endpoint)) = (has_endpoint, discovery::endpoint_of(cluster)) {
        configuration["controlPlaneEndpoint"] = json!(endpoint);
    }
    let init = config.spec.init_configuration.as_ref().unwrap_or(&Value::Null);
    let network = cluster.spec.cluster_network.clone().unwrap_or_default();
    let data = ClusterData {
        cluster_name: cluster.metadata.name.clone().unwrap_or_default(),
        kubernetes_version: version.to_owned(),
        dns_domain: network.service_domain.clone(),
        service_subnet: joined(network.services.as_ref()),
        pod_subnet: joined(network.pods.as_ref()),
        health_check_seconds: init["timeouts"]["controlPlaneComponentHealthCheckSeconds"].as_i64(),
    };
    Ok(Action::Init {
        cluster: api.cluster_configuration(configuration, &data),
        init: api.init_configuration(init),
    })
}

fn joined(ranges: Option<&NetworkRanges>) -> String {
    ranges.map(|ranges| ranges.cidr_blocks.join(",")).unwrap_or_default()
}

/// kubeadm's document for a joining control plane machine.
///
/// # Errors
/// A message for a version that kubeadm cannot serve.
pub(super) fn join_control_plane(join: &Value, version: &str) -> Result<Action, String> {
    Ok(Action::JoinControlPlane(KubeadmApi::for_version(version)?.join_configuration(join)))
}

/// kubeadm's document for a worker. The taint goes into the data only, not into the object.
///
/// # Errors
/// A message for a version that kubeadm cannot serve, or a worker that joins as control plane.
pub(super) fn join_worker(join: &Value, version: &str) -> Result<Action, String> {
    let api = KubeadmApi::for_version(version)?;
    if join["controlPlane"].is_object() {
        let message = "Machine is a Worker, but JoinConfiguration.ControlPlane is set in the \
                       KubeadmConfig object";
        return Err(message.to_owned());
    }
    let mut join = join.clone();
    let taints = &mut join["nodeRegistration"]["taints"];
    if !taints.is_array() {
        *taints = json!([]);
    }
    if let Some(taints) = taints.as_array_mut() {
        let is_there = taints
            .iter()
            .any(|taint| taint["key"] == UNINITIALIZED && taint["effect"] == "NoSchedule");
        if !is_there {
            taints.push(json!({"key": UNINITIALIZED, "effect": "NoSchedule"}));
        }
    }
    Ok(Action::JoinWorker(api.join_configuration(&join)))
}

/// The Secret with the data, controlled by its KubeadmConfig.
///
/// # Errors
/// What cannot be expressed in the format that the spec asks for.
pub(super) fn secret(
    config: &KubeadmConfig,
    cluster: &Cluster,
    action: &Action,
    files: &[File],
    users: &[Value],
) -> Result<Secret, String> {
    let spec = &config.spec;
    let (value, format) = match spec.format.as_str() {
        "ignition" => (ignition::render(spec, action, files, users)?, "ignition"),
        _ => (cloud_init::render(spec, action, files, users), "cloud-config"),
    };
    let mut secret = Secret {
        type_: Some(CLUSTER_SECRET_TYPE.to_owned()),
        data: Some(
            [
                ("value".to_owned(), ByteString(value.into_bytes())),
                ("format".to_owned(), ByteString(format.as_bytes().to_vec())),
            ]
            .into(),
        ),
        ..Secret::default()
    };
    let cluster_name = cluster.metadata.name.clone().unwrap_or_default();
    secret.metadata.name = config.metadata.name.clone();
    secret.metadata.namespace = config.metadata.namespace.clone();
    secret.metadata.labels = Some([(labels::CLUSTER_NAME.to_owned(), cluster_name)].into());
    secret.metadata.owner_references = Some(vec![owner_reference(config)]);
    Ok(secret)
}

/// Unlike other controllers, upstream does not set `blockOwnerDeletion` here.
pub(super) fn owner_reference(config: &KubeadmConfig) -> OwnerReference {
    OwnerReference { controller: Some(true), ..owners::owner_of(config) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::core::{ApiEndpoint, ClusterNetwork};

    fn cluster() -> Cluster {
        let mut cluster = Cluster::default();
        cluster.metadata.name = Some("bar".into());
        cluster.spec.control_plane_endpoint =
            Some(ApiEndpoint { host: "127.0.0.1".into(), port: Some(20000) });
        cluster.spec.cluster_network = Some(ClusterNetwork {
            service_domain: "cluster.local".into(),
            services: Some(NetworkRanges { cidr_blocks: vec!["10.128.0.0/12".into()] }),
            pods: Some(NetworkRanges { cidr_blocks: vec!["192.168.0.0/16".into()] }),
            ..ClusterNetwork::default()
        });
        cluster
    }

    fn config(spec: Value) -> KubeadmConfig {
        let mut config = KubeadmConfig::default();
        config.metadata.name = Some("bar-cp-1".into());
        config.metadata.uid = Some("u".into());
        config.spec = serde_json::from_value(spec).unwrap();
        config
    }

    /// Certificate files as the recordings show them: placeholders for the PEM blocks.
    fn certificates() -> Vec<File> {
        let file = |path: &str, permissions: &str, kind: &str| File {
            path: format!("/etc/kubernetes/pki/{path}"),
            owner: "root:root".into(),
            permissions: permissions.into(),
            content: format!("<pem {kind}>\n"),
            ..File::default()
        };
        let mut files = Vec::new();
        for name in ["ca", "etcd/ca", "front-proxy-ca"] {
            files.push(file(&format!("{name}.crt"), "0640", "CERTIFICATE"));
            files.push(file(&format!("{name}.key"), "0600", "RSA PRIVATE KEY"));
        }
        files.push(file("sa.pub", "0640", "PUBLIC KEY"));
        files.push(file("sa.key", "0600", "RSA PRIVATE KEY"));
        files
    }

    fn value(secret: &Secret) -> String {
        String::from_utf8(secret.data.as_ref().unwrap()["value"].0.clone()).unwrap()
    }

    #[test]
    fn init_data_equals_the_recording() {
        let mut config = config(json!({"clusterConfiguration": {
            "apiServer": {"certSANs": ["localhost", "127.0.0.1"]},
            "featureGates": {"ControlPlaneKubeletLocalMode": true}}}));
        let action = init(&mut config, &cluster(), "v1.34.0").unwrap();
        let secret = secret(&config, &cluster(), &action, &certificates(), &[]).unwrap();
        let text = value(&secret).replace("127.0.0.1:20000", "<endpoint>");
        assert_eq!(text, include_str!("testdata/init.txt"));
        let endpoint = &config.spec.cluster_configuration.unwrap()["controlPlaneEndpoint"];
        assert_eq!(endpoint, "127.0.0.1:20000");
        let owner = &secret.metadata.owner_references.unwrap()[0];
        assert_eq!((owner.controller, owner.block_owner_deletion), (Some(true), None));
        assert_eq!(secret.type_.as_deref(), Some("cluster.x-k8s.io/secret"));
    }

    fn join() -> Value {
        json!({"discovery": {"bootstrapToken": {"apiServerEndpoint": "<endpoint>",
            "caCertHashes": ["<cahash>"], "token": "<token>"}}})
    }

    #[test]
    fn control_plane_join_data_equals_the_recording() {
        let config = config(json!({}));
        let mut join = join();
        join["controlPlane"] = json!({});
        let action = join_control_plane(&join, "v1.34.0").unwrap();
        let secret = secret(&config, &cluster(), &action, &certificates(), &[]).unwrap();
        assert_eq!(value(&secret), include_str!("testdata/join-control-plane.txt"));
    }

    #[test]
    fn worker_join_data_equals_the_recording() {
        let config = config(json!({}));
        let mut join = join();
        join["nodeRegistration"]["kubeletExtraArgs"] =
            json!([{"name": "eviction-hard", "value": "nodefs.available<0%"}]);
        let action = join_worker(&join, "v1.34.0").unwrap();
        let secret = secret(&config, &cluster(), &action, &[], &[]).unwrap();
        assert_eq!(value(&secret), include_str!("testdata/join-worker.txt"));
    }

    #[test]
    fn worker_must_not_join_as_control_plane() {
        assert!(join_worker(&json!({"controlPlane": {}}), "v1.34.0").is_err());
    }

    #[test]
    fn every_section_is_rendered_as_upstreams_templates_do() {
        let config = config(json!({
            "preKubeadmCommands": ["echo \"a\""], "postKubeadmCommands": ["true"],
            "bootCommands": ["boot"], "verbosity": 5,
            "ntp": {"enabled": true, "servers": ["pool"]},
            "diskSetup": {
                "partitions": [{"device": "/dev/sdb", "layout": true, "tableType": "gpt"}],
                "filesystems": [{"device": "/dev/sdb1", "filesystem": "ext4", "label": "d",
                                 "extraOpts": ["-E"]}]},
            "mounts": [["LABEL=d", "/data"]]
        }));
        let users = [
            json!({"name": "u", "lockPassword": false, "sudo": "ALL", "sshAuthorizedKeys": ["k"]}),
        ];
        let action = join_worker(&json!({}), "v1.34.0").unwrap();
        let text = value(&secret(&config, &cluster(), &action, &[], &users).unwrap());
        let tail = text.split("with Windows)\"").nth(1).unwrap();
        assert_eq!(
            tail,
            "\nbootcmd:\n  - \"boot\"\nruncmd:\n  - \"echo \\\"a\\\"\"\n  - kubeadm join --config \
             /run/kubeadm/kubeadm-join-config.yaml --v 5 && echo success > \
             /run/cluster-api/bootstrap-success.complete\n  - \"true\"\nntp:\n  enabled: true\n  \
             servers:\n    - pool\nusers:\n  - name: u\n    lock_passwd: false\n    sudo: ALL\n    \
             ssh_authorized_keys:\n      - k\ndisk_setup:\n  /dev/sdb:\n    table_type: gpt\n    \
             layout: true\nfs_setup:\n  - label: d\n    filesystem: ext4\n    device: /dev/sdb1\n    \
             extra_opts:\n      - -E\nmounts:\n  - - LABEL=d\n    - /data\n    \n"
        );
    }
}
