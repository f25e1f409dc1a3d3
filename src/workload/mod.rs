//! The fake workload clusters: one engine, one port and one etcd membership for each, and the
//! Nodes, Pods and kubeadm objects that a cluster of machines would have.
//!
//! Infrastructure providers drive a [`Host`]; everybody else meets the clusters through their API
//! or through `client::ClusterCache`.

mod cluster;
mod content;
mod etcd;
mod host;
mod journal;
mod kubelet;
mod logs;
mod manager;
mod network;
mod node;
mod pods;
mod ports;
mod templates;
#[cfg(test)]
mod tests;
mod tls;

pub use cluster::{ApiServerRequest, EtcdMemberRequest, NodeRequest};
pub use host::{Endpoint, Host, HostError, HostOptions};
pub use network::ClusterNetwork;
pub use node::{CPU as NODE_CPU, MEMORY as NODE_MEMORY};
pub use tls::CertificateFiles;
