//! kubeadm's ClusterConfiguration read back into the shape that Cluster API has of it.

use serde_json::{Map, Value, json};

use super::{ClusterData, KubeadmApi, copy, copy_gates, is_empty};
use crate::machinery::duration;
use crate::machinery::yaml;

const DAY_NANOSECONDS: i64 = 24 * 3600 * 1_000_000_000;
const SECOND_NANOSECONDS: i64 = 1_000_000_000;

/// Reads a ClusterConfiguration of kubeadm v1beta3 or v1beta4: what Cluster API knows of it, and
/// what it keeps elsewhere. Fields that Cluster API does not know are dropped.
/// (CAPI v1.14: bootstrap/kubeadm/pkg/types)
///
/// # Errors
/// Upstream's message for a text that is none of these.
pub fn read_cluster_configuration(text: &str) -> Result<(Value, ClusterData), String> {
    let unknown = || "unknown kubeadm types".to_owned();
    let document = yaml::parse(text).map_err(|_| unknown())?.value;
    let api = match document["apiVersion"].as_str() {
        Some("kubeadm.k8s.io/v1beta3") => KubeadmApi::V1Beta3,
        Some("kubeadm.k8s.io/v1beta4") => KubeadmApi::V1Beta4,
        _ => return Err(unknown()),
    };
    if document["kind"] != "ClusterConfiguration" {
        return Err(unknown());
    }
    Ok((api.known(&document), data(&document)))
}

fn data(document: &Value) -> ClusterData {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let networking = &document["networking"];
    let timeout = &document["apiServer"]["timeoutForControlPlane"];
    ClusterData {
        cluster_name: text(&document["clusterName"]),
        kubernetes_version: text(&document["kubernetesVersion"]),
        dns_domain: text(&networking["dnsDomain"]),
        service_subnet: text(&networking["serviceSubnet"]),
        pod_subnet: text(&networking["podSubnet"]),
        health_check_seconds: nanoseconds(timeout).map(|time| time / SECOND_NANOSECONDS),
    }
}

impl KubeadmApi {
    fn known(self, document: &Value) -> Value {
        let mut out = Map::new();
        copy(&mut out, document, &["controlPlaneEndpoint", "certificatesDir", "imageRepository"]);
        copy_gates(&mut out, document);
        for component in ["apiServer", "controllerManager", "scheduler"] {
            out.insert(component.into(), self.known_component(&document[component]));
        }
        let mut dns = Map::new();
        copy(&mut dns, &document["dns"], &["imageRepository", "imageTag"]);
        out.insert("dns".into(), dns.into());
        let mut etcd = Map::new();
        let local = &document["etcd"]["local"];
        if !is_empty(local) {
            let mut to = self.arguments_of(local);
            let fields =
                ["dataDir", "imageRepository", "imageTag", "serverCertSANs", "peerCertSANs"];
            copy(&mut to, local, &fields);
            etcd.insert("local".into(), to.into());
        }
        copy(&mut etcd, &document["etcd"], &["external"]);
        out.insert("etcd".into(), etcd.into());
        if self == Self::V1Beta4 {
            copy(&mut out, document, &["encryptionAlgorithm"]);
            for (from, to) in [
                ("certificateValidityPeriod", "certificateValidityPeriodDays"),
                ("caCertificateValidityPeriod", "caCertificateValidityPeriodDays"),
            ] {
                if let Some(time) = nanoseconds(&document[from]) {
                    let days = (time / DAY_NANOSECONDS).min(i64::from(i32::MAX));
                    out.insert(to.into(), json!(days));
                }
            }
        }
        out.into()
    }

    fn known_component(self, component: &Value) -> Value {
        let mut out = self.arguments_of(component);
        copy(&mut out, component, &["extraVolumes", "certSANs"]);
        out.into()
    }

    /// Arguments, which were a map before v1beta4, and environment.
    fn arguments_of(self, component: &Value) -> Map<String, Value> {
        let mut out = Map::new();
        match self {
            Self::V1Beta3 => {
                let arguments = component["extraArgs"].as_object().into_iter().flatten();
                let arguments: Vec<Value> =
                    arguments.map(|(name, value)| json!({"name": name, "value": value})).collect();
                if !arguments.is_empty() {
                    out.insert("extraArgs".into(), arguments.into());
                }
            }
            Self::V1Beta4 => copy(&mut out, component, &["extraArgs", "extraEnvs"]),
        }
        out
    }
}

fn nanoseconds(value: &Value) -> Option<i64> {
    duration::parse_nanoseconds(value.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let configuration = json!({
            "apiServer": {"certSANs": ["localhost"], "extraArgs": [{"name": "v", "value": "2"}],
                "extraVolumes": [{"name": "n", "hostPath": "/a", "mountPath": "/b"}]},
            "certificatesDir": "/etc/kubernetes/pki",
            "controlPlaneEndpoint": "127.0.0.1:20000",
            "controllerManager": {},
            "dns": {"imageTag": "v1.12.1"},
            "etcd": {"local": {"dataDir": "/var/lib/etcd",
                "extraArgs": [{"name": "quota", "value": "1"}]}},
            "featureGates": {"PublicKeysECDSA": false},
            "imageRepository": "registry.k8s.io",
            "scheduler": {},
        });
        let data = ClusterData {
            cluster_name: "bar".to_owned(),
            kubernetes_version: "v1.34.0".to_owned(),
            dns_domain: "cluster.local".to_owned(),
            service_subnet: "10.96.0.0/12".to_owned(),
            pod_subnet: "192.168.0.0/16".to_owned(),
            health_check_seconds: None,
        };
        let v1beta4 = KubeadmApi::V1Beta4.cluster_configuration(&configuration, &data);
        let read = read_cluster_configuration(&v1beta4);
        assert_eq!(read, Ok((configuration.clone(), data.clone())), "{v1beta4}");
        let data = ClusterData { health_check_seconds: Some(240), ..data };
        let v1beta3 = KubeadmApi::V1Beta3.cluster_configuration(&configuration, &data);
        assert_eq!(read_cluster_configuration(&v1beta3), Ok((configuration, data)), "{v1beta3}");
    }

    #[test]
    fn periods_are_whole_days() {
        let text = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n\
                    certificateValidityPeriod: 8760h0m0s\ncaCertificateValidityPeriod: 36h\n\
                    dns:\n  disabled: true\nproxy: {}\n";
        let (configuration, _) = read_cluster_configuration(text).unwrap();
        assert_eq!(configuration["certificateValidityPeriodDays"], 365);
        assert_eq!(configuration["caCertificateValidityPeriodDays"], 1);
        assert_eq!(configuration["dns"], json!({}));
    }

    #[test]
    fn other_documents_are_refused() {
        for text in [
            "",
            "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\n",
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n",
            "\t{",
        ] {
            let read = read_cluster_configuration(text);
            assert_eq!(read, Err("unknown kubeadm types".to_owned()), "{text}");
        }
    }
}
