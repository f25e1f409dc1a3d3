//! The Secrets that a control plane keeps: certificate authorities, service account keys and the
//! kubeconfig. (CAPI v1.14: util/secret, util/kubeconfig, helpers.go of controlplane/kubeadm)
//!
//! What Secrets hold is read live, not through an informer. What a look has found good is trusted
//! for ten minutes, upstream's resync period, or until a Secret goes or changes owners, so that a
//! busy control plane does not read five Secrets in every reconcile. The memory is tied to the uid
//! of the KubeadmControlPlane.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use parking_lot::Mutex;
use serde_json::json;

use super::scope::{ControlPlane, GROUP, KIND};
use crate::api::controlplane::KubeadmControlPlane;
use crate::client::{Client, ObjectKey};
use crate::clock::Clock;
use crate::contract::owners;
use crate::contract::secrets::{CLUSTER_SECRET_TYPE, Purpose};
use crate::pki::{ADMIN_LIFE, ClusterPair, KeyAlgorithm, PkiError};
use crate::runtime::ReconcileError;

/// How long a finding is trusted.
const TRUST: Duration = Duration::from_secs(600);

/// Purposes in the order in which the Secrets are made.
const PURPOSES: [Purpose; 4] =
    [Purpose::ClusterCa, Purpose::ServiceAccount, Purpose::FrontProxyCa, Purpose::EtcdCa];
/// Client certificate for an external etcd; the user brings it.
const ETCD_CLIENT: &str = "apiserver-etcd-client";

/// Whether all certificates are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Certificates {
    /// They are.
    Available,
    /// These are missing and must not be made anew, because machines use them.
    Missing(Vec<&'static str>),
}

/// Whether the kubeconfig is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KubeconfigState {
    /// It is.
    Available,
    /// It cannot be made without the cluster CA.
    CaMissing,
}

/// Keeps the Secrets of all control planes.
pub(super) struct Secrets {
    client: Client,
    clock: Clock,
    default_algorithm: KeyAlgorithm,
    /// Findings by control plane. Written and read by reconciles; an entry goes with its object.
    known: Mutex<HashMap<ObjectKey, Known>>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    uid: String,
    /// When the certificates, and the kubeconfig, were last found good (`Clock::elapsed`).
    certificates: Option<Duration>,
    kubeconfig: Option<Duration>,
}

impl Secrets {
    /// Keys are of `default_algorithm` where a control plane names none.
    pub(super) fn new(client: Client, clock: Clock, default_algorithm: KeyAlgorithm) -> Self {
        Self { client, clock, default_algorithm, known: Mutex::default() }
    }

    fn algorithm(&self, control_plane: &ControlPlane) -> KeyAlgorithm {
        let named = control_plane.cluster_configuration()["encryptionAlgorithm"].as_str();
        named.and_then(KeyAlgorithm::of_kubeadm).unwrap_or(self.default_algorithm)
    }

    /// Forgets a control plane that is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.known.lock().remove(key);
    }

    /// Looks at everything again the next time: a Secret was changed or deleted.
    pub(super) fn distrust(&self, key: &ObjectKey) {
        if let Some(known) = self.known.lock().get_mut(key) {
            (known.certificates, known.kubeconfig) = (None, None);
        }
    }

    fn is_trusted(&self, control_plane: &ControlPlane, of: fn(&Known) -> Option<Duration>) -> bool {
        let known = self.known.lock();
        known.get(&control_plane.key()).is_some_and(|known| {
            Some(&known.uid) == control_plane.kcp.metadata.uid.as_ref()
                && of(known).is_some_and(|since| self.clock.elapsed() < since + TRUST)
        })
    }

    fn trust(&self, control_plane: &ControlPlane, set: fn(&mut Known, Duration)) {
        let uid = control_plane.kcp.metadata.uid.clone().unwrap_or_default();
        let mut known = self.known.lock();
        let entry = known.entry(control_plane.key()).or_default();
        if entry.uid != uid {
            *entry = Known { uid, ..Known::default() };
        }
        set(entry, self.clock.elapsed());
    }

    /// Looks the certificates up and makes what is missing, unless a machine uses them already.
    ///
    /// # Errors
    /// The requests', or a message about a Secret of an external etcd that is missing.
    pub(super) async fn certificates(
        &self,
        control_plane: &ControlPlane,
    ) -> Result<Certificates, ReconcileError> {
        if self.is_trusted(control_plane, |known| known.certificates) {
            return Ok(Certificates::Available);
        }
        let is_managed = control_plane.is_etcd_managed();
        let mut found = Vec::with_capacity(PURPOSES.len());
        for purpose in PURPOSES {
            let is_external = purpose == Purpose::EtcdCa && !is_managed;
            let key = secret_key(control_plane, purpose);
            found.push(self.look_up(&key, is_external).await?);
        }
        if !is_managed {
            let cluster = control_plane.cluster_key();
            let key = ObjectKey::new(cluster.namespace, format!("{}-{ETCD_CLIENT}", cluster.name));
            self.look_up(&key, true).await?;
        }
        let may_generate = !control_plane.is_true("Initialized");
        let mut missing = Vec::new();
        for (purpose, secret) in PURPOSES.into_iter().zip(found) {
            match secret {
                Some(secret) => self.adopt(control_plane, secret).await?,
                None if may_generate => {
                    let (days, algorithm) = (ca_days(control_plane), self.algorithm(control_plane));
                    let pair = match purpose {
                        Purpose::ServiceAccount => ClusterPair::service_accounts(algorithm).await,
                        _ => ClusterPair::authority(algorithm, days).await,
                    };
                    let pair = pair.map_err(other)?;
                    self.client.create(&certificate_secret(control_plane, purpose, pair)).await?;
                }
                None => missing.push(purpose.suffix()),
            }
        }
        if missing.is_empty() {
            self.trust(control_plane, |known, now| known.certificates = Some(now));
            return Ok(Certificates::Available);
        }
        Ok(Certificates::Missing(missing))
    }

    /// A Secret with a certificate; that of an external etcd must be there.
    async fn look_up(
        &self,
        key: &ObjectKey,
        is_external: bool,
    ) -> Result<Option<Secret>, ReconcileError> {
        let secret = self.client.get::<Secret>(key).await?;
        match &secret {
            None if is_external => Err(ReconcileError::Other(format!(
                "external certificate not found: secrets {:?} not found",
                key.name
            ))),
            Some(secret) if text_of(secret, "tls.crt").is_none() => {
                Err(ReconcileError::Other(format!(
                    "failed to read keypair from certificate {key}: missing data for key tls.crt"
                )))
            }
            _ => Ok(secret),
        }
    }

    /// Makes the control plane the controller of a Secret of Cluster API's own type.
    async fn adopt(
        &self,
        control_plane: &ControlPlane,
        secret: Secret,
    ) -> Result<(), ReconcileError> {
        let reference = owners::controller_of(&control_plane.kcp);
        let Some(wanted) = adopted(&secret, &reference) else { return Ok(()) };
        let patch = json!({"metadata": {"ownerReferences": wanted}});
        self.client.merge_patch::<Secret>(&ObjectKey::of(&secret), "", &patch).await?;
        Ok(())
    }

    /// Makes the kubeconfig, and renews its client certificate at half of its life.
    ///
    /// # Errors
    /// The requests', or what is wrong with the CA.
    pub(super) async fn kubeconfig(
        &self,
        control_plane: &ControlPlane,
        endpoint: &str,
    ) -> Result<KubeconfigState, ReconcileError> {
        if self.is_trusted(control_plane, |known| known.kubeconfig) {
            return Ok(KubeconfigState::Available);
        }
        let key = secret_key(control_plane, Purpose::Kubeconfig);
        match self.client.get::<Secret>(&key).await? {
            None => {
                let server = format!("https://{endpoint}");
                let Some(yaml) = self.render(control_plane, &server).await? else {
                    return Ok(KubeconfigState::CaMissing);
                };
                self.client.create(&kubeconfig_secret(control_plane, yaml)).await?;
            }
            Some(secret) => {
                let yaml = text_of(&secret, "value").unwrap_or_default();
                let is_ours = owners::controller(&secret.metadata, GROUP, KIND).is_some()
                    || secret.type_.as_deref() == Some(CLUSTER_SECRET_TYPE);
                self.adopt(control_plane, secret).await?;
                if is_ours && needs_renewal(&yaml, self.clock.now()) {
                    let default = format!("https://{endpoint}");
                    let server = field_of(&yaml, "server").unwrap_or(&default).to_owned();
                    let Some(yaml) = self.render(control_plane, &server).await? else {
                        return Ok(KubeconfigState::CaMissing);
                    };
                    let patch = json!({"data": {"value": STANDARD.encode(yaml)}});
                    self.client.merge_patch::<Secret>(&key, "", &patch).await?;
                }
            }
        }
        self.trust(control_plane, |known, now| known.kubeconfig = Some(now));
        Ok(KubeconfigState::Available)
    }

    /// The kubeconfig's text; `None` without a CA.
    async fn render(
        &self,
        control_plane: &ControlPlane,
        server: &str,
    ) -> Result<Option<String>, ReconcileError> {
        let key = secret_key(control_plane, Purpose::ClusterCa);
        let Some(secret) = self.client.get::<Secret>(&key).await? else { return Ok(None) };
        let ca = ClusterPair {
            public_pem: text_of(&secret, "tls.crt").unwrap_or_default(),
            private_pem: text_of(&secret, "tls.key").unwrap_or_default(),
        };
        let algorithm = self.algorithm(control_plane);
        let cluster = control_plane.cluster.metadata.name.as_deref().unwrap_or_default();
        let yaml = ca.admin_kubeconfig(algorithm, cluster, server).await.map_err(other)?;
        Ok(Some(yaml))
    }
}

fn other(error: PkiError) -> ReconcileError {
    ReconcileError::Other(error.to_string())
}

/// Days that a new CA lives.
fn ca_days(control_plane: &ControlPlane) -> u64 {
    let days = control_plane.cluster_configuration()["caCertificateValidityPeriodDays"].as_u64();
    days.filter(|days| *days != 0).unwrap_or(3650)
}

fn secret_key(control_plane: &ControlPlane, purpose: Purpose) -> ObjectKey {
    let cluster = control_plane.cluster_key();
    ObjectKey::new(cluster.namespace, purpose.secret_name(&cluster.name))
}

fn secret(
    control_plane: &ControlPlane,
    purpose: Purpose,
    data: impl IntoIterator<Item = (&'static str, String)>,
) -> Secret {
    let ObjectKey { namespace, name } = control_plane.cluster_key();
    purpose.secret((&namespace, &name), owners::controller_of(&control_plane.kcp), data)
}

fn certificate_secret(control_plane: &ControlPlane, purpose: Purpose, pair: ClusterPair) -> Secret {
    let data = [("tls.crt", pair.public_pem), ("tls.key", pair.private_pem)];
    secret(control_plane, purpose, data)
}

fn kubeconfig_secret(control_plane: &ControlPlane, yaml: String) -> Secret {
    secret(control_plane, Purpose::Kubeconfig, [("value", yaml)])
}

/// Owner references that a Secret should have, if they are not what it has.
fn adopted(secret: &Secret, reference: &OwnerReference) -> Option<Vec<OwnerReference>> {
    let mut metadata = secret.metadata.clone();
    let is_own_type = secret.type_.as_deref() == Some(CLUSTER_SECRET_TYPE);
    let controller = owners::controlling(&metadata).cloned();
    if is_own_type {
        if let (Some(controller), Some(all)) = (controller, &mut metadata.owner_references) {
            all.retain(|owner| *owner != controller || owner == reference);
        }
        owners::ensure(&mut metadata, reference.clone());
    } else if controller.is_some_and(|controller| controller.kind == reference.kind) {
        owners::ensure(&mut metadata, reference.clone());
    }
    if metadata.owner_references == secret.metadata.owner_references {
        return None;
    }
    metadata.owner_references
}

fn text_of(secret: &Secret, field: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(field)?;
    Some(String::from_utf8_lossy(&bytes.0).into_owned())
}

/// A scalar of a kubeconfig; those that we wrote have one of each.
fn field_of<'a>(yaml: &'a str, field: &str) -> Option<&'a str> {
    yaml.lines().find_map(|line| {
        let value = line.trim_start().trim_start_matches("- ").strip_prefix(field)?;
        Some(value.strip_prefix(':')?.trim().trim_matches('"'))
    })
}

/// Whether the client certificate has less than half of its life left. An unreadable one is left
/// alone.
fn needs_renewal(yaml: &str, now: Timestamp) -> bool {
    let Some(encoded) = field_of(yaml, "client-certificate-data") else { return false };
    let Ok(pem) = STANDARD.decode(encoded) else { return false };
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(&pem) else { return false };
    let Ok(certificate) = pem.parse_x509() else { return false };
    let not_after = Timestamp::from_second(certificate.validity().not_after.timestamp());
    not_after.is_ok_and(|not_after| not_after < now + ADMIN_LIFE / 2)
}

/// When the API server's certificate of a Node expires: kubeadm issues it for a year (or
/// `certificateValidityPeriodDays`) when the Node is made.
pub(super) fn serving_certificate_expiry(kcp: &KubeadmControlPlane, created: Timestamp) -> String {
    let configuration = kcp.spec.kubeadm_config_spec.cluster_configuration.as_ref();
    let days = configuration.and_then(|c| c["certificateValidityPeriodDays"].as_u64());
    let days = days.filter(|days| *days > 0).unwrap_or(365);
    let expiry = created + Duration::from_secs(days * 24 * 3600);
    expiry.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::core::Cluster;

    fn control_plane() -> ControlPlane {
        let mut control_plane = ControlPlane::default();
        control_plane.kcp.metadata.name = Some("bar-cp".into());
        control_plane.kcp.metadata.uid = Some("kcp-uid".into());
        let mut cluster = Cluster::default();
        cluster.metadata.name = Some("bar".into());
        cluster.metadata.namespace = Some("ns".into());
        control_plane.cluster = Arc::new(cluster);
        control_plane
    }

    #[test]
    fn secrets_have_the_recorded_shape() {
        let pair = ClusterPair { public_pem: "crt".into(), private_pem: "key".into() };
        let secret = certificate_secret(&control_plane(), Purpose::FrontProxyCa, pair);
        let value = serde_json::to_value(&secret).unwrap();
        assert_eq!(value["metadata"]["name"], "bar-proxy");
        assert_eq!(value["metadata"]["labels"], json!({"cluster.x-k8s.io/cluster-name": "bar"}));
        assert_eq!(value["type"], "cluster.x-k8s.io/secret");
        assert_eq!(value["data"], json!({"tls.crt": "Y3J0", "tls.key": "a2V5"}));
        assert_eq!(
            value["metadata"]["ownerReferences"],
            json!([{"apiVersion": "controlplane.cluster.x-k8s.io/v1beta2", "kind": "KubeadmControlPlane",
                "name": "bar-cp", "uid": "kcp-uid", "controller": true, "blockOwnerDeletion": true}])
        );
        let kubeconfig = kubeconfig_secret(&control_plane(), "y".into());
        assert_eq!(kubeconfig.data.unwrap().keys().collect::<Vec<_>>(), ["value"]);
    }

    #[test]
    fn secrets_of_other_owners_are_taken_over_and_user_secrets_left_alone() {
        let reference = owners::controller_of(&control_plane().kcp);
        let mut secret =
            certificate_secret(&control_plane(), Purpose::ClusterCa, Default::default());
        assert_eq!(adopted(&secret, &reference), None);
        let config =
            OwnerReference { kind: "KubeadmConfig".into(), name: "m".into(), ..reference.clone() };
        secret.metadata.owner_references = Some(vec![config]);
        assert_eq!(adopted(&secret, &reference), Some(vec![reference.clone()]));
        secret.type_ = Some("Opaque".into());
        assert_eq!(adopted(&secret, &reference), None);
    }

    #[test]
    fn fields_of_a_kubeconfig_are_found() {
        let yaml =
            "clusters:\n- cluster:\n    server: https://h:1\n  name: bar\nusers:\n- name: u\n";
        assert_eq!(field_of(yaml, "server"), Some("https://h:1"));
        assert_eq!(field_of(yaml, "client-certificate-data"), None);
        assert!(!needs_renewal(yaml, Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn serving_certificates_live_a_year() {
        let mut kcp = KubeadmControlPlane::default();
        let expiry = serving_certificate_expiry(&kcp, Timestamp::UNIX_EPOCH);
        assert_eq!(expiry, "1971-01-01T00:00:00Z");
        kcp.spec.kubeadm_config_spec.cluster_configuration =
            Some(json!({"certificateValidityPeriodDays": 1}));
        assert_eq!(serving_certificate_expiry(&kcp, Timestamp::UNIX_EPOCH), "1970-01-02T00:00:00Z");
    }
}
