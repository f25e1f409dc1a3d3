//! Names and shapes of the Secrets that providers share. (CAPI v1.14: util/secret)

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::labels;

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
    /// The end of the Secret's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::ClusterCa => "ca",
            Self::EtcdCa => "etcd",
            Self::FrontProxyCa => "proxy",
            Self::ServiceAccount => "sa",
            Self::Kubeconfig => "kubeconfig",
        }
    }

    /// Name of the Secret for a cluster.
    pub fn secret_name(self, cluster: &str) -> String {
        format!("{cluster}-{}", self.suffix())
    }

    /// A cluster's Secret with its label and owner, which makes it Cluster API's own; `data` by
    /// key.
    pub fn secret(
        self,
        (namespace, cluster): (&str, &str),
        owner: OwnerReference,
        data: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Secret {
        let data = data.into_iter();
        let data = data.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())));
        let mut secret = Secret {
            type_: Some(CLUSTER_SECRET_TYPE.to_owned()),
            data: Some(data.collect()),
            ..Secret::default()
        };
        let metadata = &mut secret.metadata;
        metadata.name = Some(self.secret_name(cluster));
        metadata.namespace = Some(namespace.to_owned());
        metadata.labels = Some([(labels::CLUSTER_NAME.to_owned(), cluster.to_owned())].into());
        metadata.owner_references = Some(vec![owner]);
        secret
    }
}
