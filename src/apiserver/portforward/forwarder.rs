//! The Pod whose ports a connection forwards.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::DuplexStream;

use crate::apiserver::kubelets::{Kubelets, PodOnNode, sandbox_id};

/// Connects to the ports of one Pod. Cheap to clone.
#[derive(Clone)]
pub(super) struct Forwarder(Arc<Inner>);

struct Inner {
    kubelets: Arc<dyn Kubelets>,
    namespace: String,
    name: String,
    node: String,
    object: Value,
}

impl Forwarder {
    pub(super) fn new(
        kubelets: Arc<dyn Kubelets>,
        (namespace, name, node): (&str, &str, &str),
        object: Value,
    ) -> Self {
        let (namespace, name, node) = (namespace.into(), name.into(), node.into());
        Self(Arc::new(Inner { kubelets, namespace, name, node, object }))
    }

    /// Connects to a port.
    ///
    /// # Errors
    /// The text that goes to the error stream. (kubernetes 1.36:
    /// kubelet/pkg/cri/streaming/portforward/httpstream.go; the runtime knows the Pod by the id of
    /// its sandbox, and no uid)
    pub(super) fn connect(&self, port: u16) -> Result<DuplexStream, String> {
        let Self(inner) = self;
        let pod = PodOnNode {
            namespace: &inner.namespace,
            name: &inner.name,
            node: &inner.node,
            object: &inner.object,
        };
        inner.kubelets.connect(pod, port).map_err(|error| {
            format!("error forwarding port {port} to pod {}, uid : {error}", sandbox_id(pod))
        })
    }
}
