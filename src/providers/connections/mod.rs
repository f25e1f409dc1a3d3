//! Connections to workload clusters whose API servers run elsewhere.
//! (CAPI v1.14: controllers/clustercache)
//!
//! While the infrastructure provider runs in this process, its host registers every cluster with
//! the [`ClusterCache`]. Where it does not, this controller does so from what every Cluster API
//! controller uses: the Secret `<cluster>-kubeconfig`. A cluster is registered when its API server
//! has answered `GET /`, asked every ten seconds from then on, and taken back after five failures,
//! at once when it refuses the credentials or the Cluster is gone.
//!
//! etcd's members are read from the annotations that in-memory providers keep on its Pods, or taken
//! to be those whose Pods run; removing one and moving the lead are annotations, too, as upstream's
//! in-memory provider stores them. etcd itself is not asked.

mod controller;
mod etcd;
#[cfg(test)]
mod tests;

pub use controller::add_controllers;
