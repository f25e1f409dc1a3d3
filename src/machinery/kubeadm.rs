//! kubeadm's own documents, made from the v1beta2 shape of Cluster API, and read back into it.
//!
//! Go prints structs with `omitempty` even when they are empty (`dns: {}`) but leaves out empty
//! strings, lists and maps; the tables below say which field is which.
//! (CAPI v1.14: bootstrap/kubeadm/pkg/types)

mod read;
pub mod yaml;

pub use read::read_cluster_configuration;
use serde_json::{Map, Value, json};

/// Version of kubeadm's API that a Kubernetes version understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubeadmApi {
    /// Kubernetes 1.22 to 1.30.
    V1Beta3,
    /// Kubernetes 1.31 and later.
    V1Beta4,
}

/// What goes into a ClusterConfiguration from other objects than the KubeadmConfig.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterData {
    /// Name of the Cluster.
    pub cluster_name: String,
    /// Version of the Machine.
    pub kubernetes_version: String,
    /// `clusterNetwork.serviceDomain`.
    pub dns_domain: String,
    /// Service CIDRs, comma separated.
    pub service_subnet: String,
    /// Pod CIDRs, comma separated.
    pub pod_subnet: String,
    /// `initConfiguration.timeouts.controlPlaneComponentHealthCheckSeconds` (v1beta3 only).
    pub health_check_seconds: Option<i64>,
}

impl KubeadmApi {
    /// The API for a Kubernetes version such as `v1.34.0`.
    ///
    /// # Errors
    /// A message if the version cannot be read or is older than 1.22.
    pub fn for_version(version: &str) -> Result<Self, String> {
        let (major, minor) = major_minor(version)
            .ok_or_else(|| format!("failed to parse kubernetes version {version:?}"))?;
        match (major, minor) {
            (1, 0..22) | (0, _) => Err("the bootstrap provider for kubeadm doesn't support \
                                        Kubernetes version lower than v1.22.0"
                .to_owned()),
            (1, 22..31) => Ok(Self::V1Beta3),
            _ => Ok(Self::V1Beta4),
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::V1Beta3 => "kubeadm.k8s.io/v1beta3",
            Self::V1Beta4 => "kubeadm.k8s.io/v1beta4",
        }
    }

    /// The ClusterConfiguration document.
    pub fn cluster_configuration(self, input: &Value, data: &ClusterData) -> String {
        let mut out = Map::new();
        copy(&mut out, input, &["controlPlaneEndpoint", "certificatesDir", "imageRepository"]);
        copy_gates(&mut out, input);
        let mut api_server = self.component(&input["apiServer"]);
        copy(&mut api_server, &input["apiServer"], &["certSANs"]);
        if let (Self::V1Beta3, Some(seconds)) = (self, data.health_check_seconds) {
            api_server.insert("timeoutForControlPlane".into(), json!(duration(seconds)));
        }
        out.insert("apiServer".into(), api_server.into());
        out.insert("controllerManager".into(), self.component(&input["controllerManager"]).into());
        out.insert("scheduler".into(), self.component(&input["scheduler"]).into());
        let mut dns = Map::new();
        copy(&mut dns, &input["dns"], &["imageRepository", "imageTag"]);
        out.insert("dns".into(), dns.into());
        out.insert("etcd".into(), self.etcd(&input["etcd"]));
        out.insert("networking".into(), networking(data));
        insert_text(&mut out, "clusterName", &data.cluster_name);
        insert_text(&mut out, "kubernetesVersion", &data.kubernetes_version);
        if self == Self::V1Beta4 {
            out.insert("proxy".into(), json!({}));
            copy(&mut out, input, &["encryptionAlgorithm"]);
            for (from, to) in [
                ("certificateValidityPeriodDays", "certificateValidityPeriod"),
                ("caCertificateValidityPeriodDays", "caCertificateValidityPeriod"),
            ] {
                if let Some(days) = input[from].as_i64().filter(|days| *days != 0) {
                    out.insert(to.into(), json!(duration(days * 24 * 3600)));
                }
            }
        }
        self.document("ClusterConfiguration", out)
    }

    /// The InitConfiguration document.
    pub fn init_configuration(self, input: &Value) -> String {
        let mut out = Map::new();
        copy(&mut out, input, &["skipPhases", "patches"]);
        if let Some(tokens) = input["bootstrapTokens"].as_array().filter(|t| !t.is_empty()) {
            let tokens: Vec<Value> = tokens.iter().map(bootstrap_token).collect();
            out.insert("bootstrapTokens".into(), tokens.into());
        }
        out.insert("localAPIEndpoint".into(), endpoint(&input["localAPIEndpoint"]));
        self.node_and_timeouts(&mut out, input);
        self.document("InitConfiguration", out)
    }

    /// The JoinConfiguration document.
    pub fn join_configuration(self, input: &Value) -> String {
        let mut out = Map::new();
        copy(&mut out, input, &["caCertPath", "skipPhases", "patches"]);
        let mut discovery = Map::new();
        let from = &input["discovery"];
        copy(&mut discovery, from, &["tlsBootstrapToken"]);
        if !is_empty(&from["bootstrapToken"]) {
            let token = &from["bootstrapToken"];
            let mut to = Map::new();
            to.insert("token".into(), json!(token["token"].as_str().unwrap_or_default()));
            copy(
                &mut to,
                token,
                &["apiServerEndpoint", "caCertHashes", "unsafeSkipCAVerification"],
            );
            discovery.insert("bootstrapToken".into(), to.into());
        }
        if !is_empty(&from["file"]) {
            let path = from["file"]["kubeConfigPath"].as_str().unwrap_or_default();
            discovery.insert("file".into(), json!({"kubeConfigPath": path}));
        }
        if let (Self::V1Beta3, Some(seconds)) =
            (self, input["timeouts"]["tlsBootstrapSeconds"].as_i64())
        {
            discovery.insert("timeout".into(), json!(duration(seconds)));
        }
        out.insert("discovery".into(), discovery.into());
        if input["controlPlane"].is_object() {
            let local = endpoint(&input["controlPlane"]["localAPIEndpoint"]);
            out.insert("controlPlane".into(), json!({"localAPIEndpoint": local}));
        }
        self.node_and_timeouts(&mut out, input);
        self.document("JoinConfiguration", out)
    }

    fn document(self, kind: &str, mut out: Map<String, Value>) -> String {
        out.insert("apiVersion".into(), json!(self.api_version()));
        out.insert("kind".into(), json!(kind));
        yaml::to_string(&Value::Object(out))
    }

    /// `extraArgs` were a map before v1beta4.
    fn arguments(self, out: &mut Map<String, Value>, input: &Value, field: &str) {
        let Some(arguments) = input[field].as_array().filter(|list| !list.is_empty()) else {
            return;
        };
        let pairs = arguments.iter().map(|argument| {
            let text = |key: &str| argument[key].as_str().unwrap_or_default().to_owned();
            (text("name"), text("value"))
        });
        let value: Value = match self {
            Self::V1Beta3 => {
                pairs.map(|(name, value)| (name, json!(value))).collect::<Map<_, _>>().into()
            }
            Self::V1Beta4 => {
                pairs.map(|(name, value)| json!({"name": name, "value": value})).collect()
            }
        };
        out.insert(field.into(), value);
    }

    fn component(self, input: &Value) -> Map<String, Value> {
        let mut out = Map::new();
        self.arguments(&mut out, input, "extraArgs");
        if let Some(volumes) = input["extraVolumes"].as_array().filter(|list| !list.is_empty()) {
            let volumes: Vec<Value> = volumes.iter().map(host_path_mount).collect();
            out.insert("extraVolumes".into(), volumes.into());
        }
        if self == Self::V1Beta4 {
            copy(&mut out, input, &["extraEnvs"]);
        }
        out
    }

    fn etcd(self, input: &Value) -> Value {
        let mut out = Map::new();
        let local = &input["local"];
        if !is_empty(local) {
            let mut to = Map::new();
            to.insert("dataDir".into(), json!(local["dataDir"].as_str().unwrap_or_default()));
            copy(
                &mut to,
                local,
                &["imageRepository", "imageTag", "serverCertSANs", "peerCertSANs"],
            );
            self.arguments(&mut to, local, "extraArgs");
            if self == Self::V1Beta4 {
                copy(&mut to, local, &["extraEnvs"]);
            }
            out.insert("local".into(), to.into());
        }
        let external = &input["external"];
        if !is_empty(external) {
            let text = |key: &str| external[key].as_str().unwrap_or_default();
            out.insert(
                "external".into(),
                json!({
                    "endpoints": external["endpoints"], "caFile": text("caFile"),
                    "certFile": text("certFile"), "keyFile": text("keyFile"),
                }),
            );
        }
        out.into()
    }

    fn node_and_timeouts(self, out: &mut Map<String, Value>, input: &Value) {
        let from = &input["nodeRegistration"];
        let mut node = Map::new();
        copy(&mut node, from, &["name", "criSocket", "ignorePreflightErrors", "imagePullPolicy"]);
        node.insert("taints".into(), from["taints"].clone());
        self.arguments(&mut node, from, "kubeletExtraArgs");
        if self == Self::V1Beta4 {
            if let Some(serial) = from["imagePullSerial"].as_bool() {
                node.insert("imagePullSerial".into(), json!(serial));
            }
            if !is_empty(&input["timeouts"]) {
                out.insert("timeouts".into(), timeouts(&input["timeouts"]));
            }
        }
        out.insert("nodeRegistration".into(), node.into());
    }
}

/// Major and minor of a tolerant semantic version; `None` if it is none.
pub fn major_minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.strip_prefix('v').unwrap_or(version).split(['.', '-', '+']);
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next().map_or(Some(0), |minor| minor.parse().ok())?;
    Some((major, minor))
}

fn networking(data: &ClusterData) -> Value {
    let mut out = Map::new();
    insert_text(&mut out, "dnsDomain", &data.dns_domain);
    insert_text(&mut out, "podSubnet", &data.pod_subnet);
    insert_text(&mut out, "serviceSubnet", &data.service_subnet);
    out.into()
}

fn bootstrap_token(input: &Value) -> Value {
    let mut out = Map::new();
    out.insert("token".into(), input["token"].clone());
    copy(&mut out, input, &["description", "expires", "usages", "groups"]);
    if let Some(seconds) = input["ttlSeconds"].as_i64() {
        out.insert("ttl".into(), json!(duration(seconds)));
    }
    out.into()
}

fn endpoint(input: &Value) -> Value {
    let mut out = Map::new();
    copy(&mut out, input, &["advertiseAddress", "bindPort"]);
    out.into()
}

fn host_path_mount(input: &Value) -> Value {
    let mut out = Map::new();
    for field in ["name", "hostPath", "mountPath"] {
        out.insert(field.into(), json!(input[field].as_str().unwrap_or_default()));
    }
    copy(&mut out, input, &["readOnly", "pathType"]);
    out.into()
}

fn timeouts(input: &Value) -> Value {
    let mut out = Map::new();
    for field in [
        "controlPlaneComponentHealthCheck",
        "kubeletHealthCheck",
        "kubernetesAPICall",
        "etcdAPICall",
        "tlsBootstrap",
        "discovery",
    ] {
        if let Some(seconds) = input[format!("{field}Seconds")].as_i64() {
            out.insert(field.into(), json!(duration(seconds)));
        }
    }
    out.into()
}

/// Copies feature gates; one that is switched off says something.
fn copy_gates(out: &mut Map<String, Value>, input: &Value) {
    if let Some(gates) = input["featureGates"].as_object().filter(|gates| !gates.is_empty()) {
        out.insert("featureGates".into(), gates.clone().into());
    }
}

/// Copies fields that are not empty in Go's sense.
fn copy(out: &mut Map<String, Value>, input: &Value, fields: &[&str]) {
    for field in fields {
        if !is_empty(&input[*field]) {
            out.insert((*field).into(), input[*field].clone());
        }
    }
}

fn insert_text(out: &mut Map<String, Value>, field: &str, text: &str) {
    if !text.is_empty() {
        out.insert(field.into(), json!(text));
    }
}

/// Go's `omitempty`, with empty structs counted as empty.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
    }
}

/// Seconds as Go's `time.Duration.String` prints them.
fn duration(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_version_selects_the_kubeadm_api() {
        assert_eq!(KubeadmApi::for_version("v1.34.0"), Ok(KubeadmApi::V1Beta4));
        assert_eq!(KubeadmApi::for_version("v1.31.0-rc.1"), Ok(KubeadmApi::V1Beta4));
        assert_eq!(KubeadmApi::for_version("1.30.9"), Ok(KubeadmApi::V1Beta3));
        assert!(KubeadmApi::for_version("v1.21.0").is_err());
        assert!(KubeadmApi::for_version("nonsense").is_err());
    }

    #[test]
    fn v1beta3_has_maps_of_arguments_and_no_proxy() {
        let input = json!({"apiServer": {"extraArgs": [{"name": "v", "value": "2"}]},
            "etcd": {"local": {"imageTag": "3.5.1"}}});
        let data = ClusterData { health_check_seconds: Some(240), ..ClusterData::default() };
        assert_eq!(
            KubeadmApi::V1Beta3.cluster_configuration(&input, &data),
            "apiServer:\n  extraArgs:\n    v: \"2\"\n  timeoutForControlPlane: 4m0s\n\
             apiVersion: kubeadm.k8s.io/v1beta3\ncontrollerManager: {}\ndns: {}\n\
             etcd:\n  local:\n    dataDir: \"\"\n    imageTag: 3.5.1\n\
             kind: ClusterConfiguration\nnetworking: {}\nscheduler: {}\n"
        );
    }

    #[test]
    fn v1beta4_join_prints_durations_and_given_taints() {
        let input = json!({"nodeRegistration": {"taints": [], "imagePullSerial": false},
            "timeouts": {"tlsBootstrapSeconds": 300, "discoverySeconds": 3661}});
        assert_eq!(
            KubeadmApi::V1Beta4.join_configuration(&input),
            "apiVersion: kubeadm.k8s.io/v1beta4\ndiscovery: {}\nkind: JoinConfiguration\n\
             nodeRegistration:\n  imagePullSerial: false\n  taints: []\n\
             timeouts:\n  discovery: 1h1m1s\n  tlsBootstrap: 5m0s\n"
        );
    }
}
