//! How a joining node finds and trusts the control plane.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::certificates::{CertificateError, Certificates};
use super::cloud_init::File;
use super::token;
use crate::api::core::Cluster;
use crate::client::Client;
use crate::machinery::kubeadm::is_empty;
use crate::machinery::kubeadm::yaml;
use crate::runtime::ReconcileError;

/// Whether a node can be told how to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discovery {
    /// All is known.
    Complete,
    /// The endpoint or the workload cluster is not there yet; a change of either wakes us.
    Waiting,
}

/// `host:port` of a Cluster, if both are known.
pub(super) fn endpoint_of(cluster: &Cluster) -> Option<String> {
    let endpoint = cluster.spec.control_plane_endpoint.as_ref()?;
    let port = endpoint.port.filter(|port| *port != 0)?;
    match endpoint.host.as_str() {
        "" => None,
        host if host.contains(':') => Some(format!("[{host}]:{port}")),
        host => Some(format!("{host}:{port}")),
    }
}

/// Completes `join.discovery`: what the user gave stays, what is missing is filled in.
///
/// # Errors
/// The token's, or a message if the CA cannot be read.
pub(super) async fn complete(
    join: &mut Value,
    cluster: &Cluster,
    certificates: &Certificates,
    remote: Option<&Client>,
    now: Timestamp,
) -> Result<Discovery, ReconcileError> {
    if !is_empty(&join["discovery"]["file"]) {
        return complete_file(join, cluster, certificates).map_err(other);
    }
    let endpoint = endpoint_of(cluster);
    let bootstrap = &mut join["discovery"]["bootstrapToken"];
    if !bootstrap.is_object() {
        *bootstrap = json!({});
    }
    if is_empty(&bootstrap["caCertHashes"]) {
        bootstrap["caCertHashes"] = json!(certificates.ca_cert_hashes().map_err(other)?);
    }
    if is_empty(&bootstrap["apiServerEndpoint"]) {
        let Some(endpoint) = endpoint else { return Ok(Discovery::Waiting) };
        bootstrap["apiServerEndpoint"] = json!(endpoint);
    }
    if is_empty(&bootstrap["token"]) {
        let Some(remote) = remote else { return Ok(Discovery::Waiting) };
        bootstrap["token"] = json!(token::create(remote, now).await?);
    }
    if is_empty(&bootstrap["caCertHashes"]) {
        bootstrap["unsafeSkipCAVerification"] = json!(true);
    }
    Ok(Discovery::Complete)
}

fn other(error: CertificateError) -> ReconcileError {
    ReconcileError::Other(error.to_string())
}

fn complete_file(
    join: &mut Value,
    cluster: &Cluster,
    certificates: &Certificates,
) -> Result<Discovery, CertificateError> {
    let kubeconfig = &mut join["discovery"]["file"]["kubeConfig"];
    if is_empty(kubeconfig) {
        return Ok(Discovery::Complete);
    }
    let to = &mut kubeconfig["cluster"];
    if is_empty(&to["server"]) {
        let Some(endpoint) = endpoint_of(cluster) else { return Ok(Discovery::Waiting) };
        to["server"] = json!(format!("https://{endpoint}"));
    }
    if is_empty(&to["certificateAuthorityData"]) {
        let ca = certificates.cluster_ca().ok_or(CertificateError::Missing)?;
        to["certificateAuthorityData"] = json!(STANDARD.encode(ca));
    }
    Ok(Discovery::Complete)
}

/// The kubeconfig file that discovery by file needs, if the spec describes one.
pub(super) fn kubeconfig_file(join: &Value) -> Option<File> {
    let file = &join["discovery"]["file"];
    let from = &file["kubeConfig"];
    if is_empty(from) {
        return None;
    }
    let mut cluster = Map::new();
    for (field, name) in [
        ("server", "server"),
        ("tlsServerName", "tls-server-name"),
        ("insecureSkipTLSVerify", "insecure-skip-tls-verify"),
        ("certificateAuthorityData", "certificate-authority-data"),
        ("proxyURL", "proxy-url"),
    ] {
        if !is_empty(&from["cluster"][field]) {
            cluster.insert(name.to_owned(), from["cluster"][field].clone());
        }
    }
    let kubeconfig = json!({
        "clusters": [{"name": "default", "cluster": cluster}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "current-context": "default",
        "users": [{"name": "default", "user": user_of(&from["user"])}],
    });
    Some(File {
        path: file["kubeConfigPath"].as_str().unwrap_or_default().to_owned(),
        owner: "root:root".to_owned(),
        permissions: "0640".to_owned(),
        content: yaml::to_string(&kubeconfig),
        ..File::default()
    })
}

fn user_of(from: &Value) -> Value {
    let mut user = Map::new();
    let provider = &from["authProvider"];
    if !is_empty(provider) {
        user.insert(
            "auth-provider".to_owned(),
            json!({"name": provider["name"], "config": provider["config"]}),
        );
    }
    let exec = &from["exec"];
    if !is_empty(exec) {
        let version = exec["apiVersion"].as_str().filter(|version| !version.is_empty());
        user.insert(
            "exec".to_owned(),
            json!({
                "apiVersion": version.unwrap_or("client.authentication.k8s.io/v1"),
                "args": exec["args"], "command": exec["command"], "env": exec["env"],
                "interactiveMode": "Never",
                "provideClusterInfo": exec["provideClusterInfo"].as_bool().unwrap_or(false),
            }),
        );
    }
    user.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::core::ApiEndpoint;

    #[test]
    fn endpoint_needs_host_and_port() {
        let mut cluster = Cluster::default();
        assert_eq!(endpoint_of(&cluster), None);
        for (host, port, expected) in [
            ("10.0.0.1", Some(6443), Some("10.0.0.1:6443")),
            ("fd00::1", Some(1), Some("[fd00::1]:1")),
            ("h", None, None),
            ("", Some(1), None),
        ] {
            cluster.spec.control_plane_endpoint = Some(ApiEndpoint { host: host.into(), port });
            assert_eq!(endpoint_of(&cluster).as_deref(), expected);
        }
    }

    #[test]
    fn discovery_by_file_writes_a_kubeconfig() {
        let join = json!({"discovery": {"file": {"kubeConfigPath": "/k", "kubeConfig": {
            "cluster": {"server": "https://s:1"}, "user": {"exec": {"command": "c"}}}}}});
        let file = kubeconfig_file(&join).unwrap();
        assert_eq!(file.path, "/k");
        assert!(file.content.contains("    server: https://s:1\n"), "{}", file.content);
        assert!(file.content.contains("apiVersion: client.authentication.k8s.io/v1\n"));
    }
}
