//! The documents that `kubeadm init` puts into ConfigMaps.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::ContentFacts;
use crate::machinery::kubeadm::{ClusterData, KubeadmApi, read_cluster_configuration, yaml};
use crate::workload::network::ClusterNetwork;

/// Registry of the project's images.
pub(super) const REGISTRY: &str = "registry.k8s.io";

/// What kubeadm works with: what it was given, and its defaults.
pub(super) struct Configuration {
    api: KubeadmApi,
    fields: Value,
    data: ClusterData,
}

impl Configuration {
    /// The configuration of a cluster. (kubernetes 1.36: cmd/kubeadm/app/apis/kubeadm)
    pub(super) fn of(facts: &ContentFacts<'_>) -> Self {
        let api = KubeadmApi::for_version(facts.version).unwrap_or(KubeadmApi::V1Beta3);
        let given = facts.configuration.and_then(|text| read_cluster_configuration(text).ok());
        let (mut fields, mut data) = given.unwrap_or_else(|| (json!({}), ClusterData::default()));
        for (field, default) in [
            ("certificatesDir", json!("/etc/kubernetes/pki")),
            ("controlPlaneEndpoint", json!(facts.endpoint)),
            ("imageRepository", json!(REGISTRY)),
            ("encryptionAlgorithm", json!("ECDSA-P256")),
            ("certificateValidityPeriodDays", json!(365)),
            ("caCertificateValidityPeriodDays", json!(3650)),
        ] {
            let known = &mut fields[field];
            if known.is_null() || *known == "" || *known == 0 {
                *known = default;
            }
        }
        let has_external =
            fields["etcd"]["external"].as_object().is_some_and(|etcd| !etcd.is_empty());
        let directory = &mut fields["etcd"]["local"]["dataDir"];
        if directory.as_str().is_none_or(str::is_empty) {
            *directory = json!("/var/lib/etcd");
        }
        if has_external && let Some(etcd) = fields["etcd"].as_object_mut() {
            etcd.remove("local");
        }
        let network = facts.network;
        for (known, default) in [
            (&mut data.cluster_name, facts.cluster.to_owned()),
            (&mut data.kubernetes_version, facts.version.to_owned()),
            (&mut data.dns_domain, network.domain.clone()),
            (&mut data.pod_subnet, network.pods.join(",")),
            (&mut data.service_subnet, network.service_block().to_string()),
        ] {
            if known.is_empty() {
                *known = default;
            }
        }
        if api == KubeadmApi::V1Beta3 {
            data.health_check_seconds.get_or_insert(240);
        }
        Self { api, fields, data }
    }

    /// The ClusterConfiguration, as kubeadm uploads it.
    pub(super) fn document(&self) -> String {
        self.api.cluster_configuration(&self.fields, &self.data)
    }

    /// Where images come from.
    pub(super) fn image_repository(&self) -> &str {
        self.fields["imageRepository"].as_str().unwrap_or(REGISTRY)
    }

    /// A field of `dns`, if it says something.
    pub(super) fn dns(&self, field: &str) -> Option<&str> {
        self.fields["dns"][field].as_str().filter(|text| !text.is_empty())
    }
}

/// The KubeletConfiguration with kubeadm's defaults; what is zero, kubelets default themselves.
pub(super) fn kubelet_configuration(network: &ClusterNetwork) -> String {
    let mut configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"cacheTTL": "0s", "enabled": true},
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
        },
        "authorization": {
            "mode": "Webhook",
            "webhook": {"cacheAuthorizedTTL": "0s", "cacheUnauthorizedTTL": "0s"},
        },
        "cgroupDriver": "systemd",
        "clusterDNS": [network.dns_service().to_string()],
        "clusterDomain": network.domain,
        "containerRuntimeEndpoint": "",
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "kind": "KubeletConfiguration",
        "logging": {
            "flushFrequency": 0,
            "options": {"json": {"infoBufferSize": "0"}, "text": {"infoBufferSize": "0"}},
            "verbosity": 0,
        },
        "memorySwap": {},
        "rotateCertificates": true,
        "staticPodPath": "/etc/kubernetes/manifests",
    });
    for field in [
        "cpuManagerReconcilePeriod",
        "evictionPressureTransitionPeriod",
        "fileCheckFrequency",
        "httpCheckFrequency",
        "imageMaximumGCAge",
        "imageMinimumGCAge",
        "nodeStatusReportFrequency",
        "nodeStatusUpdateFrequency",
        "runtimeRequestTimeout",
        "shutdownGracePeriod",
        "shutdownGracePeriodCriticalPods",
        "streamingConnectionIdleTimeout",
        "syncFrequency",
        "volumeStatsAggPeriod",
    ] {
        configuration[field] = "0s".into();
    }
    yaml::to_string(&configuration)
}

/// The kubeconfig with which a machine that joins finds the cluster.
pub(super) fn discovery(facts: &ContentFacts<'_>) -> String {
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    \
         server: https://{}\n  name: \"\"\ncontexts: null\ncurrent-context: \"\"\nkind: Config\n\
         preferences: {{}}\nusers: null\n",
        STANDARD.encode(facts.ca_pem),
        facts.endpoint
    )
}

/// The KubeProxyConfiguration.
pub(super) fn kube_proxy_configuration(network: &ClusterNetwork) -> String {
    let any = if matches!(network.dns_service(), IpAddr::V6(_)) { "::" } else { "0.0.0.0" };
    yaml::to_string(&json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "bindAddress": any,
        "bindAddressHardFail": false,
        "clientConnection": {
            "acceptContentTypes": "", "burst": 0, "contentType": "",
            "kubeconfig": "/var/lib/kube-proxy/kubeconfig.conf", "qps": 0,
        },
        "clusterCIDR": network.pods.join(","),
        "configSyncPeriod": "0s",
        "conntrack": {
            "maxPerCore": null, "min": null, "tcpBeLiberal": false,
            "tcpCloseWaitTimeout": null, "tcpEstablishedTimeout": null,
            "udpStreamTimeout": "0s", "udpTimeout": "0s",
        },
        "detectLocal": {"bridgeInterface": "", "interfaceNamePrefix": ""},
        "detectLocalMode": "",
        "enableProfiling": false,
        "healthzBindAddress": "",
        "hostnameOverride": "",
        "kind": "KubeProxyConfiguration",
        "metricsBindAddress": "",
        "mode": "",
        "nodePortAddresses": null,
        "oomScoreAdj": null,
        "portRange": "",
        "showHiddenMetricsForVersion": "",
    }))
}

/// The kubeconfig of kube-proxy's Pods.
pub(super) fn kube_proxy_kubeconfig(facts: &ContentFacts<'_>) -> String {
    let secrets = "/var/run/secrets/kubernetes.io/serviceaccount";
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    \
         certificate-authority: {secrets}/ca.crt\n    server: https://{}\n  name: default\n\
         contexts:\n- context:\n    cluster: default\n    namespace: default\n    user: default\n  \
         name: default\ncurrent-context: default\nusers:\n- name: default\n  user:\n    \
         tokenFile: {secrets}/token\n",
        facts.endpoint
    )
}
