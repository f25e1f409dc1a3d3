//! What a fresh cluster contains after `kubeadm init`, beyond Nodes and static Pods.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::network::ClusterNetwork;

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
}

const SYSTEM: &str = "kube-system";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Group of the tokens by which Nodes join.
const JOINING: &str = "system:bootstrappers:kubeadm:default-node-token";

const NAMESPACES: [&str; 4] = ["default", SYSTEM, "kube-public", "kube-node-lease"];

/// The namespaces that every cluster has.
pub(super) fn namespaces() -> Vec<Object> {
    NAMESPACES.map(namespace).into()
}

/// All objects inside the [`namespaces`].
pub(super) fn objects(facts: &ContentFacts<'_>) -> Vec<Object> {
    let mut objects = Vec::with_capacity(40);
    objects.extend(NAMESPACES.map(|name| service_account(name, "default")));
    objects.push(service_account(SYSTEM, "coredns"));
    objects.push(service_account(SYSTEM, "kube-proxy"));
    objects.push(config_map(
        SYSTEM,
        "kubeadm-config",
        json!({"ClusterConfiguration": cluster_configuration(facts)}),
    ));
    objects.push(config_map(
        SYSTEM,
        "kubelet-config",
        json!({"kubelet": kubelet_configuration(facts.network)}),
    ));
    objects.push(config_map(
        "kube-public",
        "cluster-info",
        json!({"kubeconfig": discovery(facts)}),
    ));
    objects.push(kube_proxy_config(facts));
    objects.push(kube_proxy(facts.version));
    objects.push(config_map(SYSTEM, "coredns", json!({"Corefile": corefile(facts.network)})));
    objects.push(coredns());
    objects.push(dns_service(facts.network));
    objects.push(api_service(facts));
    objects.extend(get_nodes_role());
    objects.push(cluster_admins());
    objects.extend(joining());
    objects
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

/// kubeadm's ClusterConfiguration; v1beta4 exists since Kubernetes 1.31.
fn cluster_configuration(facts: &ContentFacts<'_>) -> String {
    let minor = facts.version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    let is_v1beta4 = minor.is_none_or(|minor| minor >= 31);
    let mut lines = vec![
        "apiServer: {}".to_owned(),
        format!("apiVersion: kubeadm.k8s.io/{}", if is_v1beta4 { "v1beta4" } else { "v1beta3" }),
    ];
    if is_v1beta4 {
        lines.push("caCertificateValidityPeriod: 87600h0m0s".to_owned());
        lines.push("certificateValidityPeriod: 8760h0m0s".to_owned());
    }
    lines.extend([
        "certificatesDir: /etc/kubernetes/pki".to_owned(),
        format!("clusterName: {}", facts.cluster),
        format!("controlPlaneEndpoint: {}", facts.endpoint),
        "controllerManager: {}".to_owned(),
        "dns: {}".to_owned(),
    ]);
    if is_v1beta4 {
        lines.push("encryptionAlgorithm: ECDSA-P256".to_owned());
    }
    lines.extend([
        "etcd:\n  local:\n    dataDir: /var/lib/etcd".to_owned(),
        "imageRepository: registry.k8s.io".to_owned(),
        "kind: ClusterConfiguration".to_owned(),
        format!("kubernetesVersion: {}", facts.version),
        format!("networking:\n  dnsDomain: {}", facts.network.domain),
    ]);
    if !facts.network.pods.is_empty() {
        lines.push(format!("  podSubnet: {}", facts.network.pods.join(",")));
    }
    lines.push(format!("  serviceSubnet: {}", facts.network.service_block()));
    if is_v1beta4 {
        lines.push("proxy: {}".to_owned());
    }
    lines.push("scheduler: {}\n".to_owned());
    lines.join("\n")
}

fn kubelet_configuration(network: &ClusterNetwork) -> String {
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1\ncgroupDriver: systemd\nclusterDNS:\n- {}\n\
         clusterDomain: {}\nkind: KubeletConfiguration\nrotateCertificates: true\n\
         staticPodPath: /etc/kubernetes/manifests\n",
        network.dns_service(),
        network.domain
    )
}

/// The kubeconfig with which a machine that joins finds the cluster.
fn discovery(facts: &ContentFacts<'_>) -> String {
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    \
         server: https://{}\n  name: \"\"\ncontexts: null\ncurrent-context: \"\"\nkind: Config\n\
         preferences: {{}}\nusers: null\n",
        STANDARD.encode(facts.ca_pem),
        facts.endpoint
    )
}

fn kube_proxy_config(facts: &ContentFacts<'_>) -> Object {
    let config = format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nclusterCIDR: {}\nkind: \
         KubeProxyConfiguration\nmode: iptables\n",
        facts.network.pods.join(",")
    );
    config_map(SYSTEM, "kube-proxy", json!({"config.conf": config}))
}

fn kube_proxy(version: &str) -> Object {
    let labels = json!({"k8s-app": "kube-proxy"});
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "kube-proxy", "namespace": SYSTEM, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [{
                        "name": "kube-proxy",
                        "image": format!("registry.k8s.io/kube-proxy:{}", version.replace('+', "_")),
                        "command": ["/usr/local/bin/kube-proxy",
                            "--config=/var/lib/kube-proxy/config.conf"],
                    }],
                    "hostNetwork": true,
                    "priorityClassName": "system-node-critical",
                    "serviceAccountName": "kube-proxy",
                    "tolerations": [{"operator": "Exists"}],
                },
            },
            "updateStrategy": {"type": "RollingUpdate"},
        },
    });
    (ApiResource::erase::<DaemonSet>(&()), object)
}

fn corefile(network: &ClusterNetwork) -> String {
    let domain = &network.domain;
    format!(
        ".:53 {{\n    errors\n    health {{\n       lameduck 5s\n    }}\n    ready\n    \
         kubernetes {domain} in-addr.arpa ip6.arpa {{\n       pods insecure\n       \
         fallthrough in-addr.arpa ip6.arpa\n       ttl 30\n    }}\n    prometheus :9153\n    \
         forward . /etc/resolv.conf {{\n       max_concurrent 1000\n    }}\n    cache 30\n    \
         loop\n    reload\n    loadbalance\n}}\n"
    )
}

fn coredns() -> Object {
    let labels = json!({"k8s-app": "kube-dns"});
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": SYSTEM, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [{
                        "name": "coredns",
                        "image": "registry.k8s.io/coredns/coredns:v1.12.1",
                        "args": ["-conf", "/etc/coredns/Corefile"],
                        "ports": [
                            {"containerPort": 53, "name": "dns", "protocol": "UDP"},
                            {"containerPort": 53, "name": "dns-tcp", "protocol": "TCP"},
                        ],
                        "volumeMounts": [
                            {"mountPath": "/etc/coredns", "name": "config-volume", "readOnly": true},
                        ],
                    }],
                    "priorityClassName": "system-cluster-critical",
                    "serviceAccountName": "coredns",
                    "volumes": [{
                        "name": "config-volume",
                        "configMap": {
                            "name": "coredns",
                            "items": [{"key": "Corefile", "path": "Corefile"}],
                        },
                    }],
                },
            },
        },
    });
    (ApiResource::erase::<Deployment>(&()), object)
}

fn dns_service(network: &ClusterNetwork) -> Object {
    let address = network.dns_service().to_string();
    let port = |name: &str, protocol: &str| json!({"name": name, "port": 53, "protocol": protocol, "targetPort": 53});
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": SYSTEM,
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")],
            "selector": {"k8s-app": "kube-dns"},
            "type": "ClusterIP",
        },
    });
    (ApiResource::erase::<Service>(&()), object)
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

fn binding(name: &str, role: &str, group: &str) -> Object {
    let object = json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": group}],
    });
    (ApiResource::erase::<ClusterRoleBinding>(&()), object)
}

fn get_nodes_role() -> [Object; 2] {
    let name = "kubeadm:get-nodes";
    let role = json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}],
    });
    [(ApiResource::erase::<ClusterRole>(&()), role), binding(name, name, JOINING)]
}

/// What nodes may read and ask for before and after they have joined, and what kube-proxy may.
/// (kubeadm 1.36: phases/bootstraptoken, phases/uploadconfig, phases/addons/proxy)
fn joining() -> Vec<Object> {
    let group = |name: &str| json!({"apiGroup": RBAC_GROUP, "kind": "Group", "name": name});
    let anonymous = json!({"apiGroup": RBAC_GROUP, "kind": "User", "name": "system:anonymous"});
    let nodes = || json!([group(JOINING), group("system:nodes")]);
    let requests = "system:certificates.k8s.io:certificatesigningrequests";
    let mut objects = Vec::with_capacity(12);
    for (namespace, name, map, subjects) in [
        ("kube-public", "kubeadm:bootstrap-signer-clusterinfo", "cluster-info", json!([anonymous])),
        (SYSTEM, "kubeadm:kubelet-config", "kubelet-config", nodes()),
        (SYSTEM, "kubeadm:nodes-kubeadm-config", "kubeadm-config", nodes()),
        (SYSTEM, "kube-proxy", "kube-proxy", json!([group(JOINING)])),
    ] {
        objects.extend(reader(namespace, name, map, &subjects));
    }
    objects.push(binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", JOINING));
    let role = format!("{requests}:nodeclient");
    objects.push(binding("kubeadm:node-autoapprove-bootstrap", &role, JOINING));
    let role = format!("{requests}:selfnodeclient");
    let name = "kubeadm:node-autoapprove-certificate-rotation";
    objects.push(binding(name, &role, "system:nodes"));
    let (resource, mut proxier) = binding("kubeadm:node-proxier", "system:node-proxier", "");
    let account = json!({"kind": "ServiceAccount", "name": "kube-proxy", "namespace": SYSTEM});
    proxier["subjects"] = json!([account]);
    objects.push((resource, proxier));
    objects
}

/// A Role that reads one ConfigMap, and its binding.
fn reader(namespace: &str, name: &str, map: &str, subjects: &Value) -> [Object; 2] {
    let metadata = json!({"name": name, "namespace": namespace});
    let role = json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": "Role",
        "metadata": metadata,
        "rules": [{
            "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [map],
            "verbs": ["get"],
        }],
    });
    let binding = json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": name},
        "subjects": subjects,
    });
    [(ApiResource::erase::<Role>(&()), role), (ApiResource::erase::<RoleBinding>(&()), binding)]
}

fn cluster_admins() -> Object {
    binding("kubeadm:cluster-admins", "cluster-admin", "kubeadm:cluster-admins")
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
