//! The kubelets of a workload cluster: which port of which Pod ends where.
//!
//! The only Pods with open ports are the static ones of the control plane, and their connections
//! end in this process, at the cluster's own API server and etcd members. Everywhere else nothing
//! listens.

use std::sync::Weak;

use axum::body::Body;
use jiff::Timestamp;
use tokio::io::DuplexStream;

use super::cluster::Cluster;
use super::logs;
use super::pods::Component;
use crate::apiserver::kubelets::{Kubelets, LogRequest, PodOnNode, connection_refused};
use crate::machinery::status::Status;

/// Where the API server of a control plane machine listens unless its flags say otherwise.
const API_SERVER_PORT: u16 = 6443;
const SECURE_PORT_FLAG: &str = "--secure-port=";

/// Answers for all Nodes of a cluster.
pub(super) struct WorkloadKubelets {
    /// The cluster owns the server that owns this.
    cluster: Weak<Cluster>,
}

impl WorkloadKubelets {
    pub(super) fn new(cluster: Weak<Cluster>) -> Self {
        Self { cluster }
    }
}

impl Kubelets for WorkloadKubelets {
    fn connect(&self, pod: PodOnNode<'_>, port: u16) -> Result<DuplexStream, String> {
        let cluster = self.cluster.upgrade();
        let connection = cluster.and_then(|cluster| match listener(pod, port)? {
            Component::ApiServer => cluster.connect_api_server(pod.node),
            Component::Etcd => cluster.connect_etcd(pod.node, port),
            Component::Scheduler | Component::ControllerManager => None,
        });
        connection.ok_or_else(|| connection_refused(pod, port))
    }

    fn log(&self, pod: PodOnNode<'_>, request: &LogRequest) -> Result<Body, Box<Status>> {
        logs::log(self.cluster.upgrade().as_ref(), pod, request)
    }

    fn renewed(&self, node: &str) -> Option<Timestamp> {
        let cluster = self.cluster.upgrade()?;
        Some(cluster.kubelet(node)?.renewed(cluster.now()))
    }
}

/// The component of the control plane that listens on a port of a Pod.
fn listener(pod: PodOnNode<'_>, port: u16) -> Option<Component> {
    if pod.namespace != "kube-system" {
        return None;
    }
    let component = Component::ALL.into_iter().find(|it| it.pod_name(pod.node) == pod.name)?;
    let listens = match component {
        Component::ApiServer => port == secure_port(pod),
        // The member itself knows its ports.
        Component::Etcd => true,
        Component::Scheduler | Component::ControllerManager => false,
    };
    listens.then_some(component)
}

/// The port that the API server's command names.
fn secure_port(pod: PodOnNode<'_>) -> u16 {
    let command = pod.object.pointer("/spec/containers/0/command");
    let flags = command.and_then(serde_json::Value::as_array).into_iter().flatten();
    let mut port =
        flags.filter_map(|flag| flag.as_str()?.strip_prefix(SECURE_PORT_FLAG)?.parse().ok());
    port.next_back().unwrap_or(API_SERVER_PORT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(name: &str, command: &[&str], port: u16) -> Option<Component> {
        let object = json!({"spec": {"containers": [{"command": command}]}});
        let pod = PodOnNode { namespace: "kube-system", name, node: "n", object: &object };
        listener(pod, port)
    }

    #[test]
    fn the_api_server_listens_on_its_secure_port_only() {
        assert_eq!(check("kube-apiserver-n", &[], 6443), Some(Component::ApiServer));
        assert_eq!(check("kube-apiserver-n", &[], 443), None);
        let command = ["kube-apiserver", "--secure-port=8443"];
        assert_eq!(check("kube-apiserver-n", &command, 8443), Some(Component::ApiServer));
        assert_eq!(check("kube-apiserver-n", &command, 6443), None);
        assert_eq!(check("kube-apiserver-m", &[], 6443), None, "the Pod of another Node");
        assert_eq!(check("kube-scheduler-n", &[], 6443), None);
    }
}
