//! Access to a Kubernetes API: a `kube::Client` with an identity and a field manager, over the
//! in-process engine or over the network. The reconcilers know nothing else.

mod api_clients;
mod cluster_cache;
mod discovery;
mod error;
mod etcd;
mod key;
mod preview;
mod raw;
mod requests;
mod target;
mod transport;
mod verbs;
mod written;

pub use api_clients::{ClientRequests, ClientRequestsList};
pub use cluster_cache::{ClusterCache, EtcdMember, EtcdStatus, RemoteCluster};
pub use discovery::ServedResource;
pub use error::ClientError;
#[cfg(test)]
pub(crate) use etcd::EtcdError;
pub(crate) use etcd::{EtcdReader, EtcdReport, MemberReport};
pub use key::ObjectKey;
pub use preview::{Preview, Tried};
pub use raw::WatchEvents;
pub(crate) use target::{Target, percent_encode};
pub use transport::Client;
pub(crate) use transport::{AnswerBody, Call};
pub use verbs::Propagation;
pub(crate) use written::newest;
pub use written::{Written, recording};
