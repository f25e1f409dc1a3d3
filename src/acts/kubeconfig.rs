//! Kubeconfigs of workload clusters.

use k8s_openapi::api::core::v1::Secret;

use super::error::{Exit, Failure};
use crate::client::{Client, ObjectKey};
use crate::contract::secrets::Purpose;

/// Kubeconfig of a workload cluster.
///
/// # Errors
/// `E030` if there is none.
pub(crate) async fn kubeconfig_of(
    client: &Client,
    namespace: &str,
    cluster: &str,
) -> Result<String, Failure> {
    let key = ObjectKey::new(namespace, Purpose::Kubeconfig.secret_name(cluster));
    let secret: Option<Secret> =
        client.get(&key).await.map_err(|error| Failure::request("read the kubeconfig", &error))?;
    let value = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove("value"));
    let value = value.ok_or_else(|| {
        let message = format!("cluster {cluster:?} has no kubeconfig in namespace {namespace:?}");
        Failure::new("E030", Exit::NotFound, message)
            .note("it does not exist, or its control plane was not begun yet")
            .hint("capim get clusters -A")
    })?;
    String::from_utf8(value.0).map_err(Failure::other)
}
