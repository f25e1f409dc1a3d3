//! kube-proxy and CoreDNS, as kubeadm installs them.
//! (kubernetes 1.36: cmd/kubeadm/app/phases/addons)

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::Service;
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::documents::{self, Configuration, REGISTRY};
use super::{ContentFacts, Object, SYSTEM, config_map, minor, service_account};
use crate::workload::network::ClusterNetwork;

/// All that belongs to kube-proxy but its permissions.
pub(super) fn kube_proxy(facts: &ContentFacts<'_>, configuration: &Configuration) -> [Object; 3] {
    let (resource, mut map) = config_map(
        SYSTEM,
        "kube-proxy",
        json!({
            "config.conf": documents::kube_proxy_configuration(facts.network),
            "kubeconfig.conf": documents::kube_proxy_kubeconfig(facts),
        }),
    );
    map["metadata"]["labels"] = json!({"app": "kube-proxy"});
    [
        service_account(SYSTEM, "kube-proxy"),
        (resource, map),
        daemon_set(facts.version, configuration.image_repository()),
    ]
}

fn daemon_set(version: &str, repository: &str) -> Object {
    let labels = json!({"k8s-app": "kube-proxy"});
    let image = format!("{repository}/kube-proxy:{}", version.replace('+', "_"));
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
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/usr/local/bin/kube-proxy",
                            "--config=/var/lib/kube-proxy/config.conf",
                            "--hostname-override=$(NODE_NAME)"],
                        "env": [{
                            "name": "NODE_NAME",
                            "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}},
                        }],
                        "securityContext": {"privileged": true},
                        "volumeMounts": [
                            {"mountPath": "/var/lib/kube-proxy", "name": "kube-proxy"},
                            {"mountPath": "/run/xtables.lock", "name": "xtables-lock"},
                            {"mountPath": "/lib/modules", "name": "lib-modules", "readOnly": true},
                        ],
                    }],
                    "hostNetwork": true,
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "priorityClassName": "system-node-critical",
                    "serviceAccountName": "kube-proxy",
                    "tolerations": [{"operator": "Exists"}],
                    "volumes": [
                        {"name": "kube-proxy", "configMap": {"name": "kube-proxy"}},
                        {
                            "name": "xtables-lock",
                            "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"},
                        },
                        {"name": "lib-modules", "hostPath": {"path": "/lib/modules"}},
                    ],
                },
            },
            "updateStrategy": {"type": "RollingUpdate"},
        },
    });
    (ApiResource::erase::<DaemonSet>(&()), object)
}

/// All that belongs to CoreDNS but its permissions.
pub(super) fn coredns(facts: &ContentFacts<'_>, configuration: &Configuration) -> [Object; 4] {
    [
        service_account(SYSTEM, "coredns"),
        config_map(SYSTEM, "coredns", json!({"Corefile": corefile(facts)})),
        deployment(&coredns_image(facts.version, configuration)),
        service(facts.network),
    ]
}

/// CoreDNS' version is kubeadm's, unless its configuration names another.
/// (kubernetes: cmd/kubeadm/app/constants, release by release)
fn coredns_image(version: &str, configuration: &Configuration) -> String {
    let tag = configuration.dns("imageTag").unwrap_or(match minor(version) {
        0..29 => "v1.10.1",
        29 | 30 => "v1.11.1",
        31 | 32 => "v1.11.3",
        33 => "v1.12.0",
        34 => "v1.12.1",
        35 => "v1.13.1",
        _ => "v1.14.2",
    });
    let repository = configuration.dns("imageRepository");
    match repository.unwrap_or(configuration.image_repository()) {
        REGISTRY => format!("{REGISTRY}/coredns/coredns:{tag}"),
        other => format!("{other}/coredns:{tag}"),
    }
}

fn corefile(facts: &ContentFacts<'_>) -> String {
    let domain = &facts.network.domain;
    // Since 1.33 answers about the cluster itself are not cached.
    let cache = if minor(facts.version) < 33 {
        "    cache 30\n".to_owned()
    } else {
        let (success, denial) =
            (format!("       disable success {domain}"), format!("       disable denial {domain}"));
        format!("    cache 30 {{\n{success}\n{denial}\n    }}\n")
    };
    format!(
        ".:53 {{\n    errors\n    health {{\n       lameduck 5s\n    }}\n    ready\n    \
         kubernetes {domain} in-addr.arpa ip6.arpa {{\n       pods insecure\n       \
         fallthrough in-addr.arpa ip6.arpa\n       ttl 30\n    }}\n    prometheus :9153\n    \
         forward . /etc/resolv.conf {{\n       max_concurrent 1000\n    }}\n{cache}    \
         loop\n    reload\n    loadbalance\n}}\n"
    )
}

fn deployment(image: &str) -> Object {
    let labels = json!({"k8s-app": "kube-dns"});
    let port = |name: &str, port: u16, protocol: &str| json!({"containerPort": port, "name": name, "protocol": protocol});
    let container = json!({
        "name": "coredns",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080, "scheme": "HTTP"},
            "initialDelaySeconds": 60, "timeoutSeconds": 5, "successThreshold": 1,
            "failureThreshold": 5,
        },
        "ports": [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181, "scheme": "HTTP"}},
        "resources": {
            "limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [
            {"mountPath": "/etc/coredns", "name": "config-volume", "readOnly": true},
        ],
    });
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": SYSTEM, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "affinity": {"podAntiAffinity": anti_affinity()},
                    "containers": [container],
                    "dnsPolicy": "Default",
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "priorityClassName": "system-cluster-critical",
                    "serviceAccountName": "coredns",
                    "tolerations": [
                        {"key": "CriticalAddonsOnly", "operator": "Exists"},
                        {"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"},
                    ],
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

fn anti_affinity() -> Value {
    let expression = json!({"key": "k8s-app", "operator": "In", "values": ["kube-dns"]});
    let term = json!({
        "labelSelector": {"matchExpressions": [expression]},
        "topologyKey": "kubernetes.io/hostname",
    });
    json!({"preferredDuringSchedulingIgnoredDuringExecution": [
        {"podAffinityTerm": term, "weight": 100},
    ]})
}

fn service(network: &ClusterNetwork) -> Object {
    let address = network.dns_service().to_string();
    let port = |name: &str, port: u16, protocol: &str| json!({"name": name, "port": port, "protocol": protocol, "targetPort": port});
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": SYSTEM,
            "annotations": {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"},
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")],
            "selector": {"k8s-app": "kube-dns"},
            "type": "ClusterIP",
        },
    });
    (ApiResource::erase::<Service>(&()), object)
}
