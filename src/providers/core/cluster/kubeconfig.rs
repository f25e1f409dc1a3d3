//! The kubeconfig of a Cluster whose control plane has no provider of its own.
//! (CAPI v1.14: cluster_controller_phases.go, reconcileKubeconfig)

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;

use super::{ClusterReconciler, Scope};
use crate::client::ObjectKey;
use crate::contract::owners;
use crate::contract::secrets::Purpose;
use crate::pki::{ClusterPair, KeyAlgorithm};
use crate::runtime::{Outcome, ReconcileError};

/// The CA comes with the first machine, and nothing here watches Secrets.
const CA_RETRY: Duration = Duration::from_secs(30);

impl ClusterReconciler {
    /// Makes the Secret once there is an endpoint and a CA.
    pub(super) async fn reconcile_kubeconfig(
        &self,
        scope: &Scope,
    ) -> Result<Outcome, ReconcileError> {
        let spec = &scope.cluster.spec;
        let endpoint = spec.control_plane_endpoint.as_ref();
        let Some((host, port)) = endpoint.and_then(|it| Some((it.host.as_str(), it.port?))) else {
            return Ok(Outcome::Done);
        };
        if host.is_empty() || port <= 0 || spec.control_plane_ref.is_some() {
            return Ok(Outcome::Done);
        }
        let client = &self.context.client;
        let ObjectKey { namespace, name } = &scope.key;
        let named =
            |purpose: Purpose| ObjectKey::new(namespace.as_str(), purpose.secret_name(name));
        if client.get::<Secret>(&named(Purpose::Kubeconfig)).await?.is_some() {
            return Ok(Outcome::Done);
        }
        let Some(ca) = client.get::<Secret>(&named(Purpose::ClusterCa)).await? else {
            return Ok(Outcome::RequeueAfter(CA_RETRY));
        };
        let text = |key: &str| {
            let bytes = ca.data.as_ref().and_then(|data| data.get(key));
            bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
        };
        let ca = ClusterPair { public_pem: text("tls.crt"), private_pem: text("tls.key") };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let server = format!("https://{host}:{port}");
        let yaml = ca.admin_kubeconfig(KeyAlgorithm::default(), name, &server).await;
        let yaml = yaml.map_err(|error| ReconcileError::Other(error.to_string()))?;
        let owner = owners::owner_of(&scope.cluster);
        let secret = Purpose::Kubeconfig.secret((namespace, name), owner, [("value", yaml)]);
        client.create(&secret).await?;
        Ok(Outcome::Done)
    }
}
