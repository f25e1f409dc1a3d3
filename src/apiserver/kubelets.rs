//! The seam to what runs Pods: whoever embeds an API server says where their logs and ports are.

use std::sync::Arc;

use axum::body::Body;
use jiff::Timestamp;
use tokio::io::DuplexStream;

use crate::machinery::status::Status;

/// A Pod as it is stored, on the Node it is bound to.
#[derive(Clone, Copy, Debug)]
pub struct PodOnNode<'a> {
    /// Namespace.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// Name of the Node.
    pub node: &'a str,
    /// The stored object.
    pub object: &'a serde_json::Value,
}

/// Which lines of a log are wanted: PodLogOptions of core/v1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Name of the container.
    pub container: String,
    /// Whether the answer goes on with new lines.
    pub follow: bool,
    /// Whether the log of the container's previous run is meant.
    pub previous: bool,
    /// Only lines younger than this many seconds.
    pub since_seconds: Option<i64>,
    /// Only lines younger than this time, RFC 3339.
    pub since_time: Option<String>,
    /// Whether every line starts with its time.
    pub timestamps: bool,
    /// Only so many of the last lines.
    pub tail_lines: Option<i64>,
    /// Only so many bytes.
    pub limit_bytes: Option<i64>,
}

/// What answers for the kubelets of a cluster's Nodes. Calls must not block; connections are
/// in memory and never lead to an address that a request or an object names.
pub trait Kubelets: Send + Sync + 'static {
    /// Opens a connection to a port of a Pod, for port forwarding.
    ///
    /// # Errors
    /// What the kubelet writes to the error stream, e.g. that nothing listens there.
    fn connect(&self, pod: PodOnNode<'_>, port: u16) -> Result<DuplexStream, String>;

    /// The log of a container, in plain text.
    ///
    /// # Errors
    /// The Status that kube-apiserver passes on from the kubelet.
    fn log(&self, pod: PodOnNode<'_>, request: &LogRequest) -> Result<Body, Box<Status>>;

    /// When a Node's kubelet last renewed its Lease, which is stored once and shown with this
    /// time; `None` for a Node without a kubelet.
    fn renewed(&self, _node: &str) -> Option<Timestamp> {
        None
    }
}

/// The kubelets of a server, if it has any.
pub type SharedKubelets = Option<Arc<dyn Kubelets>>;

/// Name of the sandbox that a container runtime would run a Pod in.
pub fn sandbox_id(pod: PodOnNode<'_>) -> String {
    let uid = pod.object.pointer("/metadata/uid").and_then(serde_json::Value::as_str);
    let digits: String = uid.unwrap_or(pod.name).chars().filter(char::is_ascii_hexdigit).collect();
    digits.chars().chain(digits.chars().rev()).cycle().take(SANDBOX_ID_LENGTH).collect()
}

const SANDBOX_ID_LENGTH: usize = 64;

/// What the container runtime says of a port on which nobody listens. (containerd 2.1:
/// internal/cri/server/sandbox_portforward_linux.go)
pub fn connection_refused(pod: PodOnNode<'_>, port: u16) -> String {
    let id = sandbox_id(pod);
    let is_on_host = pod.object.pointer("/spec/hostNetwork").and_then(serde_json::Value::as_bool);
    let network = match is_on_host {
        Some(true) => "host".to_owned(),
        _ => format!("/var/run/netns/cni-{}", id.get(..8).unwrap_or_default()),
    };
    format!(
        "failed to execute portforward in network namespace {network:?}: failed to connect to \
         localhost:{port} inside namespace {id:?}, IPv4: dial tcp4 127.0.0.1:{port}: connect: \
         connection refused IPv6 dial tcp6 [::1]:{port}: connect: connection refused "
    )
}

/// The answer to a request for a log where no kubelet listens. (kubernetes 1.36:
/// apiserver/pkg/registry/generic/rest/streamer.go)
pub fn log_refused(pod: PodOnNode<'_>, request: &LogRequest) -> Box<Status> {
    let host = pod.object.pointer("/status/hostIP").and_then(serde_json::Value::as_str);
    let address = format!("{}:10250", host.unwrap_or(pod.node));
    let PodOnNode { namespace, name, .. } = pod;
    let url = format!("https://{address}/containerLogs/{namespace}/{name}/{}", request.container);
    Status::unknown(format!("Get {url:?}: dial tcp {address}: connect: connection refused"))
}
