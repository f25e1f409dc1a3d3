//! The kubelets of the management cluster, which has no machines: its one Pod with ports is the
//! infrastructure provider's, behind which the workload clusters listen.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use serde_json::Value;
use tokio::io::DuplexStream;

use crate::apiserver::kubelets::{
    Kubelets, LogRequest, PodOnNode, connection_refused, log_refused,
};
use crate::machinery::status::Status;
use crate::workload::Host;

/// Where upstream's tests look for the in-memory provider. (CAPI v1.14: test/framework,
/// in-memory workload cluster proxy)
const NAMESPACE: &str = "capd-system";
const LABEL: &str = "/metadata/labels/control-plane";
const LABEL_VALUE: &str = "controller-manager";

/// Answers for all Nodes of the management cluster.
#[derive(Default)]
pub(super) struct ManagementKubelets {
    /// Set once, when the host is there: it is made after the server that owns this.
    host: OnceLock<Host>,
}

impl ManagementKubelets {
    /// Kubelets that reach the clusters of a host as soon as they have one.
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes a host's clusters reachable; the first host stays.
    pub(super) fn set_host(&self, host: Host) {
        let _ = self.host.set(host);
    }
}

impl Kubelets for ManagementKubelets {
    fn connect(&self, pod: PodOnNode<'_>, port: u16) -> Result<DuplexStream, String> {
        let label = pod.object.pointer(LABEL).and_then(Value::as_str);
        let is_provider = pod.namespace == NAMESPACE && label == Some(LABEL_VALUE);
        let host = self.host.get().filter(|_| is_provider);
        let connection = host.and_then(|host| host.connect(port));
        connection.ok_or_else(|| connection_refused(pod, port))
    }

    fn log(&self, pod: PodOnNode<'_>, request: &LogRequest) -> Result<Body, Box<Status>> {
        Err(log_refused(pod, request))
    }
}
