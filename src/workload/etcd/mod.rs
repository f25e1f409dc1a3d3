//! The fake etcd of a workload cluster: its members, their gRPC API and the keys they hold.
//!
//! [`EtcdCluster`] is the one state that everybody reads and changes: machines that come and go,
//! controllers of this process through `client::ClusterCache`, and clients that speak gRPC to a
//! member over a connection that lives in memory. A member answers as etcd 3.6 does, errors and
//! codes included, and needs the quorum that a real one needs.
//!
//! Deliberate limits: elections are instant and never split; a member is up or down, but never
//! partitioned; the store holds what clients put, never the API server's objects; nothing is kept
//! over a restart; quota and connections are smaller than etcd's. There are no watches, leases,
//! users, hashes or snapshots: those methods answer `UNIMPLEMENTED`.

mod certificate;
mod cluster;
mod errors;
mod http;
mod kv;
mod membership;
mod messages;
mod requests;
mod serve;
mod service;
#[cfg(test)]
mod tests;
mod txn;

pub(super) use cluster::{EtcdCluster, EtcdOptions};

/// Version that the members report: that of the image that kubeadm 1.36 runs.
pub(super) const VERSION: &str = "3.6.6";
/// Version of cluster and storage: minor releases only.
const CLUSTER_VERSION: &str = "3.6.0";
