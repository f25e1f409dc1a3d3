//! The cluster's certificate Secrets as the bootstrap data needs them.
//! (CAPI v1.14: util/secret/certificates.go)

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;
use x509_parser::pem::Pem;

use super::cloud_init::File;
use crate::client::{Client, ClientError, ObjectKey};
use crate::contract::secrets::Purpose;
use crate::machinery::kubeadm::is_empty;
use crate::pki::{ClusterPair, KeyAlgorithm, PkiError, sha256_hex};

/// Directory of kubeadm's certificates on a machine.
const DEFAULT_DIRECTORY: &str = "/etc/kubernetes/pki";

/// A certificate that could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// The Secret could not be read.
    #[error("failed to get certificate: {0}")]
    Client(#[from] ClientError),
    /// The Secret of an external etcd is missing.
    #[error("external certificate not found: Secret {0}")]
    ExternalMissing(ObjectKey),
    /// The Secret has no certificate.
    #[error("failed to read keypair from certificate {0}: missing data for key tls.crt")]
    NoCertificate(ObjectKey),
    /// A Secret is missing altogether.
    #[error("missing certificate")]
    Missing,
    /// A Secret has no certificate, or no key.
    #[error("for certificate: {purpose}: missing {what} data")]
    Incomplete {
        /// Which certificate.
        purpose: &'static str,
        /// `crt` or `key`.
        what: &'static str,
    },
    /// Keys could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The CA cannot be parsed.
    #[error("unable to parse ca certificate: {0}")]
    Unreadable(String),
}

/// Where a certificate and its key belong on a machine; an empty key path for certificates only.
struct Place {
    /// Suffix of the Secret's name.
    suffix: &'static str,
    certificate: String,
    key: String,
    is_external: bool,
}

/// A certificate with its place.
struct Certificate {
    place: Place,
    /// PEM certificate and key; `None` if there is no Secret.
    pair: Option<(String, String)>,
}

/// What keys are made of, and whose they are.
pub(super) struct Making<'a> {
    /// The Cluster.
    pub(super) cluster: &'a ObjectKey,
    /// Algorithm of keys that `configuration` says nothing about.
    pub(super) algorithm: KeyAlgorithm,
    /// kubeadm's ClusterConfiguration.
    pub(super) configuration: &'a Value,
    /// Owner of the Secrets.
    pub(super) owner: OwnerReference,
}

/// The certificates that one kind of machine needs, in the order of its files.
pub(super) struct Certificates(Vec<Certificate>);

impl Certificates {
    /// Reads what a control plane machine needs.
    ///
    /// # Errors
    /// [`CertificateError`], but not for missing Secrets that Cluster API makes itself.
    pub(super) async fn of_control_plane(
        client: &Client,
        cluster: &ObjectKey,
        configuration: &Value,
    ) -> Result<Self, CertificateError> {
        Self::read(client, cluster, control_plane_places(configuration)).await
    }

    /// Reads what a worker needs: the cluster's CA, at `path` if that is not empty.
    ///
    /// # Errors
    /// [`CertificateError`], but not for a missing Secret.
    pub(super) async fn of_worker(
        client: &Client,
        cluster: &ObjectKey,
        path: &str,
    ) -> Result<Self, CertificateError> {
        let certificate =
            if path.is_empty() { format!("{DEFAULT_DIRECTORY}/ca.crt") } else { path.to_owned() };
        let place = Place { suffix: "ca", certificate, key: String::new(), is_external: false };
        Self::read(client, cluster, vec![place]).await
    }

    async fn read(
        client: &Client,
        cluster: &ObjectKey,
        places: Vec<Place>,
    ) -> Result<Self, CertificateError> {
        let mut certificates = Vec::with_capacity(places.len());
        for place in places {
            let name = format!("{}-{}", cluster.name, place.suffix);
            let key = ObjectKey::new(&cluster.namespace, name);
            let pair = match client.get::<Secret>(&key).await? {
                Some(secret) => Some(pair(&secret, &key)?),
                None if place.is_external => return Err(CertificateError::ExternalMissing(key)),
                None => None,
            };
            certificates.push(Certificate { place, pair });
        }
        Ok(Self(certificates))
    }

    /// Makes what is missing, but for what belongs to an external etcd.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub(super) async fn make_missing(
        &mut self,
        client: &Client,
        making: &Making<'_>,
    ) -> Result<(), CertificateError> {
        let named = making.configuration["encryptionAlgorithm"].as_str();
        let algorithm = named.and_then(KeyAlgorithm::of_kubeadm).unwrap_or(making.algorithm);
        let days = making.configuration["caCertificateValidityPeriodDays"].as_u64();
        let days = days.filter(|days| *days != 0).unwrap_or(3650);
        for certificate in self.0.iter_mut().filter(|it| it.pair.is_none()) {
            let purpose = match certificate.place.suffix {
                "ca" => Purpose::ClusterCa,
                "etcd" => Purpose::EtcdCa,
                "proxy" => Purpose::FrontProxyCa,
                "sa" => Purpose::ServiceAccount,
                _ => continue,
            };
            let made = match purpose {
                Purpose::ServiceAccount => ClusterPair::service_accounts(algorithm).await?,
                _ => ClusterPair::authority(algorithm, days).await?,
            };
            let ClusterPair { public_pem, private_pem } = made;
            let data = [("tls.crt", public_pem.clone()), ("tls.key", private_pem.clone())];
            let cluster = (making.cluster.namespace.as_str(), making.cluster.name.as_str());
            client.create(&purpose.secret(cluster, making.owner.clone(), data)).await?;
            certificate.pair = Some((public_pem, private_pem));
        }
        Ok(())
    }

    /// Fails unless every certificate is there, with its key where Cluster API needs it.
    ///
    /// # Errors
    /// [`CertificateError::Missing`], [`CertificateError::Incomplete`].
    pub(super) fn ensure_all_exist(&self) -> Result<(), CertificateError> {
        for certificate in &self.0 {
            let (certificate_pem, key_pem) =
                certificate.pair.as_ref().ok_or(CertificateError::Missing)?;
            let Place { suffix: purpose, is_external, .. } = certificate.place;
            if certificate_pem.is_empty() {
                return Err(CertificateError::Incomplete { purpose, what: "crt" });
            }
            if !is_external && key_pem.is_empty() {
                return Err(CertificateError::Incomplete { purpose, what: "key" });
            }
        }
        Ok(())
    }

    /// Certificates and keys as files.
    pub(super) fn files(&self) -> Vec<File> {
        let mut files = Vec::with_capacity(self.0.len() * 2);
        for certificate in &self.0 {
            let Some((certificate_pem, key_pem)) = &certificate.pair else { continue };
            for (path, permissions, content) in [
                (&certificate.place.certificate, "0640", certificate_pem),
                (&certificate.place.key, "0600", key_pem),
            ] {
                if !content.is_empty() {
                    files.push(File {
                        path: path.clone(),
                        owner: "root:root".to_owned(),
                        permissions: permissions.to_owned(),
                        content: content.clone(),
                        ..File::default()
                    });
                }
            }
        }
        files
    }

    /// The cluster CA, PEM.
    pub(super) fn cluster_ca(&self) -> Option<&str> {
        let ca = self.0.iter().find(|certificate| certificate.place.suffix == "ca")?;
        ca.pair.as_ref().map(|(certificate_pem, _)| certificate_pem.as_str())
    }

    /// kubeadm's hashes of the cluster CA: SHA-256 over the public key.
    ///
    /// # Errors
    /// [`CertificateError::Unreadable`].
    pub(super) fn ca_cert_hashes(&self) -> Result<Vec<String>, CertificateError> {
        let pem = self.cluster_ca().ok_or(CertificateError::Missing)?;
        let unreadable =
            |error: &dyn std::fmt::Display| CertificateError::Unreadable(error.to_string());
        let mut hashes = Vec::new();
        for block in Pem::iter_from_buffer(pem.as_bytes()) {
            let block = block.map_err(|error| unreadable(&error))?;
            let certificate = block.parse_x509().map_err(|error| unreadable(&error))?;
            hashes.push(format!("sha256:{}", sha256_hex([certificate.public_key().raw])));
        }
        Ok(hashes)
    }
}

fn pair(secret: &Secret, key: &ObjectKey) -> Result<(String, String), CertificateError> {
    let text = |field: &str| {
        let bytes = secret.data.as_ref()?.get(field)?;
        Some(String::from_utf8_lossy(&bytes.0).into_owned())
    };
    let certificate =
        text("tls.crt").ok_or_else(|| CertificateError::NoCertificate(key.clone()))?;
    Ok((certificate, text("tls.key").unwrap_or_default()))
}

/// Files in the order in which upstream writes them.
fn control_plane_places(configuration: &Value) -> Vec<Place> {
    let directory = configuration["certificatesDir"]
        .as_str()
        .filter(|directory| !directory.is_empty())
        .unwrap_or(DEFAULT_DIRECTORY)
        .trim_end_matches('/');
    let own = |suffix, certificate: &str, key: &str| Place {
        suffix,
        certificate: format!("{directory}/{certificate}"),
        key: format!("{directory}/{key}"),
        is_external: false,
    };
    let external = &configuration["etcd"]["external"];
    let text = |field: &str| external[field].as_str().unwrap_or_default().to_owned();
    let etcd = if is_empty(external) {
        own("etcd", "etcd/ca.crt", "etcd/ca.key")
    } else {
        Place { suffix: "etcd", certificate: text("caFile"), key: String::new(), is_external: true }
    };
    let mut places = vec![
        own("ca", "ca.crt", "ca.key"),
        etcd,
        own("proxy", "front-proxy-ca.crt", "front-proxy-ca.key"),
        own("sa", "sa.pub", "sa.key"),
    ];
    if !is_empty(external) {
        places.push(Place {
            suffix: "apiserver-etcd-client",
            certificate: text("certFile"),
            key: text("keyFile"),
            is_external: true,
        });
    }
    places
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn external_etcd_takes_its_own_files() {
        let places = control_plane_places(
            &json!({"certificatesDir": "/pki", "etcd": {"external": {
            "endpoints": ["https://e"], "caFile": "/e/ca", "certFile": "/e/crt", "keyFile": "/e/key"}}}),
        );
        let paths: Vec<&str> = places.iter().map(|place| place.certificate.as_str()).collect();
        assert_eq!(
            paths,
            ["/pki/ca.crt", "/e/ca", "/pki/front-proxy-ca.crt", "/pki/sa.pub", "/e/crt"]
        );
    }
}
