//! What a kubeadm cluster needs of keys: its authorities and the kubeconfig of its administrator.

use std::time::Duration;

use super::{
    CertificateAuthority, KeyAlgorithm, Kubeconfig, LeafRequest, PkiError, ServiceAccountKeys,
    Usage,
};

/// Life of a kubeconfig's client certificate.
pub const ADMIN_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

impl KeyAlgorithm {
    /// The algorithm that kubeadm calls so (`RSA-2048`, `ECDSA-P256`, ...).
    pub fn of_kubeadm(name: &str) -> Option<Self> {
        match name {
            "ECDSA-P256" => Some(Self::EcdsaP256),
            "ECDSA-P384" => Some(Self::EcdsaP384),
            "RSA-2048" => Some(Self::Rsa2048),
            "RSA-3072" => Some(Self::Rsa3072),
            "RSA-4096" => Some(Self::Rsa4096),
            _ => None,
        }
    }

    fn is_slow(self) -> bool {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 => false,
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => true,
        }
    }
}

/// A public and a private part, as Secrets of clusters hold them: a CA with its key, or the keys of
/// service account tokens. Both PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterPair {
    /// `tls.crt`: certificate or public key.
    pub public_pem: String,
    /// `tls.key`: private key.
    pub private_pem: String,
}

impl ClusterPair {
    /// Makes a certificate authority that lives for so many days (no more than a hundred years).
    ///
    /// # Errors
    /// [`PkiError`] when it cannot be made.
    pub async fn authority(algorithm: KeyAlgorithm, days: u64) -> Result<Self, PkiError> {
        let validity = Duration::from_secs(days.min(36_500) * 24 * 3600);
        off_the_worker(algorithm, move || {
            let ca = CertificateAuthority::generate_for("kubernetes", algorithm, validity)?;
            Ok(Self {
                public_pem: ca.certificate_pem().to_owned(),
                private_pem: ca.key_pem().to_owned(),
            })
        })
        .await
    }

    /// Makes keys for service account tokens.
    ///
    /// # Errors
    /// [`PkiError`] when they cannot be made.
    pub async fn service_accounts(algorithm: KeyAlgorithm) -> Result<Self, PkiError> {
        off_the_worker(algorithm, move || {
            let ServiceAccountKeys { public_pem, private_pem } =
                ServiceAccountKeys::generate(algorithm)?;
            Ok(Self { public_pem, private_pem })
        })
        .await
    }

    /// With this CA: the kubeconfig of a cluster's administrator for a server's URL. Its client
    /// certificate lives for [`ADMIN_LIFE`].
    ///
    /// # Errors
    /// [`PkiError`] when the CA cannot be read or the certificate cannot be made.
    pub async fn admin_kubeconfig(
        self,
        algorithm: KeyAlgorithm,
        cluster: &str,
        server: &str,
    ) -> Result<String, PkiError> {
        let request = LeafRequest {
            common_name: "kubernetes-admin".to_owned(),
            organizations: vec!["system:masters".to_owned()],
            dns_names: Vec::new(),
            addresses: Vec::new(),
            usage: Usage::Client,
            validity: ADMIN_LIFE,
        };
        let issue = move || {
            let ca = CertificateAuthority::from_pem(&self.public_pem, &self.private_pem)?;
            Ok((ca.certificate_pem().to_owned(), ca.issue(&request, algorithm)?))
        };
        let (ca, client) = off_the_worker(algorithm, issue).await?;
        let user = format!("{cluster}-admin");
        let kubeconfig = Kubeconfig {
            cluster,
            user: &user,
            context: &format!("{user}@{cluster}"),
            server,
            certificate_authority_pem: &ca,
            client: &client,
        };
        Ok(kubeconfig.to_yaml())
    }
}

/// Runs work on keys; RSA keys take so long that they must not hold up other tasks.
async fn off_the_worker<T: Send + 'static>(
    algorithm: KeyAlgorithm,
    work: impl FnOnce() -> Result<T, PkiError> + Send + 'static,
) -> Result<T, PkiError> {
    if !algorithm.is_slow() {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(PkiError::Interrupted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_have_kubeadms_names() {
        assert_eq!(KeyAlgorithm::of_kubeadm("ECDSA-P256"), Some(KeyAlgorithm::EcdsaP256));
        assert_eq!(KeyAlgorithm::of_kubeadm("RSA-4096"), Some(KeyAlgorithm::Rsa4096));
        assert_eq!(KeyAlgorithm::of_kubeadm(""), None);
    }

    #[tokio::test]
    async fn an_administrator_is_signed_by_the_cluster() {
        let algorithm = KeyAlgorithm::EcdsaP256;
        let ca = ClusterPair::authority(algorithm, 3650).await.unwrap();
        let yaml = ca.admin_kubeconfig(algorithm, "bar", "https://h:1").await.unwrap();
        assert!(yaml.contains("current-context: bar-admin@bar\n"), "{yaml}");
        assert!(yaml.contains("server: https://h:1\n"), "{yaml}");
        let keys = ClusterPair::service_accounts(algorithm).await.unwrap();
        assert!(keys.admin_kubeconfig(algorithm, "bar", "https://h:1").await.is_err());
    }
}
