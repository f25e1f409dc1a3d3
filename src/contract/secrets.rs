//! Names and shapes of the Secrets that providers share. (CAPI v1.14: util/secret)

/// Secret type of Cluster API's own secrets.
pub const CLUSTER_SECRET_TYPE: &str = "cluster.x-k8s.io/secret";

/// What a cluster's Secret holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Cluster CA: `<cluster>-ca`.
    ClusterCa,
    /// etcd CA: `<cluster>-etcd`.
    EtcdCa,
    /// Front proxy CA: `<cluster>-proxy`.
    FrontProxyCa,
    /// Service account keys: `<cluster>-sa`.
    ServiceAccount,
    /// Kubeconfig: `<cluster>-kubeconfig`, key `value`.
    Kubeconfig,
}

impl Purpose {
    /// Name of the Secret for a cluster.
    pub fn secret_name(self, cluster: &str) -> String {
        let suffix = match self {
            Self::ClusterCa => "ca",
            Self::EtcdCa => "etcd",
            Self::FrontProxyCa => "proxy",
            Self::ServiceAccount => "sa",
            Self::Kubeconfig => "kubeconfig",
        };
        format!("{cluster}-{suffix}")
    }
}
