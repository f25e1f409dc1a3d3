//! What a fresh cluster contains after `kubeadm init`, beyond Nodes and static Pods.

mod addons;
mod documents;
mod rbac;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service, ServiceAccount};
use kube::core::ApiResource;
use serde_json::{Value, json};

use self::documents::Configuration;
use super::network::ClusterNetwork;
use crate::machinery::kubeadm::major_minor;

/// An object to be created, with its resource.
pub(super) type Object = (ApiResource, Value);

/// What the objects depend on.
pub(super) struct ContentFacts<'a> {
    /// Name of the Cluster.
    pub(super) cluster: &'a str,
    /// Kubernetes version, with `v`.
    pub(super) version: &'a str,
    /// `host:port` of the control plane endpoint.
    pub(super) endpoint: &'a str,
    /// Port of the control plane endpoint.
    pub(super) port: u16,
    /// Network of the cluster.
    pub(super) network: &'a ClusterNetwork,
    /// Certificate of the cluster CA, PEM.
    pub(super) ca_pem: &'a str,
    /// kubeadm's ClusterConfiguration out of the first machine's bootstrap data, if there is any.
    pub(super) configuration: Option<&'a str>,
}

const SYSTEM: &str = "kube-system";

const NAMESPACES: [&str; 4] = ["default", SYSTEM, "kube-public", "kube-node-lease"];

/// The namespaces that every cluster has.
pub(super) fn namespaces() -> Vec<Object> {
    NAMESPACES.map(namespace).into()
}

/// All objects inside the [`namespaces`].
pub(super) fn objects(facts: &ContentFacts<'_>) -> Vec<Object> {
    let configuration = Configuration::of(facts);
    let mut objects = Vec::with_capacity(48);
    objects.extend(NAMESPACES.map(|name| service_account(name, "default")));
    objects.push(config_map(
        SYSTEM,
        "kubeadm-config",
        json!({"ClusterConfiguration": configuration.document()}),
    ));
    objects.push(config_map(
        SYSTEM,
        "kubelet-config",
        json!({"kubelet": documents::kubelet_configuration(facts.network)}),
    ));
    objects.push(config_map(
        "kube-public",
        "cluster-info",
        json!({"kubeconfig": documents::discovery(facts)}),
    ));
    objects.extend(addons::kube_proxy(facts, &configuration));
    objects.extend(addons::coredns(facts, &configuration));
    objects.push(api_service(facts));
    objects.extend(rbac::objects(facts.version));
    objects
}

/// The minor number of a Kubernetes version; that of none is the greatest.
fn minor(version: &str) -> u64 {
    major_minor(version).map_or(u64::MAX, |(_, minor)| minor)
}

fn namespace(name: &str) -> Object {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
    });
    (ApiResource::erase::<Namespace>(&()), object)
}

fn service_account(namespace: &str, name: &str) -> Object {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
    });
    (ApiResource::erase::<ServiceAccount>(&()), object)
}

fn config_map(namespace: &str, name: &str, data: Value) -> Object {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    });
    (ApiResource::erase::<ConfigMap>(&()), object)
}

fn api_service(facts: &ContentFacts<'_>) -> Object {
    let address = facts.network.api_service().to_string();
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [{
                "name": "https",
                "port": 443,
                "protocol": "TCP",
                "targetPort": facts.port,
            }],
            "type": "ClusterIP",
        },
    });
    (ApiResource::erase::<Service>(&()), object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(version: &str) -> Vec<Object> {
        objects(&ContentFacts {
            cluster: "bar",
            version,
            endpoint: "127.0.0.1:20000",
            port: 20000,
            network: &ClusterNetwork {
                pods: vec!["192.168.0.0/16".to_owned()],
                services: vec!["10.128.0.0/12".to_owned()],
                domain: "cluster.local".to_owned(),
            },
            ca_pem: "CA",
            configuration: None,
        })
    }

    fn data<'a>(objects: &'a [Object], name: &str, key: &str) -> &'a str {
        let (_, object) = objects
            .iter()
            .find(|(resource, object)| {
                resource.kind == "ConfigMap" && object["metadata"]["name"] == name
            })
            .expect("the ConfigMap exists");
        object["data"][key].as_str().expect("the key exists")
    }

    #[test]
    fn kubeadm_config_is_a_real_cluster_configuration() {
        let objects = build("v1.34.0");
        let text = data(&objects, "kubeadm-config", "ClusterConfiguration");
        let parsed: Value = serde_saphyr::from_str(text).expect("YAML");
        assert_eq!(parsed["apiVersion"], "kubeadm.k8s.io/v1beta4");
        assert_eq!(parsed["kubernetesVersion"], "v1.34.0");
        assert_eq!(parsed["controlPlaneEndpoint"], "127.0.0.1:20000");
        assert_eq!(parsed["networking"]["podSubnet"], "192.168.0.0/16");
        assert_eq!(parsed["etcd"]["local"]["dataDir"], "/var/lib/etcd");
        let old = build("v1.30.3");
        assert!(
            data(&old, "kubeadm-config", "ClusterConfiguration").contains("kubeadm.k8s.io/v1beta3")
        );
    }

    #[test]
    fn the_other_documents_are_yaml_too() {
        let objects = build("v1.34.0");
        for (name, key) in [
            ("kubelet-config", "kubelet"),
            ("cluster-info", "kubeconfig"),
            ("kube-proxy", "config.conf"),
        ] {
            let parsed: Value = serde_saphyr::from_str(data(&objects, name, key)).expect("YAML");
            assert!(parsed["kind"].is_string(), "{name}");
        }
        let info: Value =
            serde_saphyr::from_str(data(&objects, "cluster-info", "kubeconfig")).expect("YAML");
        assert_eq!(info["clusters"][0]["cluster"]["server"], "https://127.0.0.1:20000");
    }

    #[test]
    fn every_object_finds_its_namespace() {
        for (resource, object) in build("v1.34.0") {
            let name = &object["metadata"]["name"];
            if let Some(namespace) = object["metadata"]["namespace"].as_str() {
                assert!(NAMESPACES.contains(&namespace), "{} {name}", resource.kind);
            }
        }
    }
}
