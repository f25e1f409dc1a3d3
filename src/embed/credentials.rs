//! The certificates of one API server and its administrator.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::apiserver::serve::TlsMaterial;
use crate::controllers;
use crate::pki::{
    CertificateAuthority, CertifiedKey, KeyAlgorithm, Kubeconfig, LeafRequest, PkiError, Usage,
    remaining_validity,
};

/// Lifetime of the certificates.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A kept certificate is renewed when less than this is left of it.
const VALIDITY_LEFT_MIN: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Names by which Pods reach the API server.
const SERVICE_NAMES: [&str; 4] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// An authority of an API server's own, its serving certificate and an administrator's.
pub struct Credentials {
    authority: Arc<CertificateAuthority>,
    serving: CertifiedKey,
    administrator: CertifiedKey,
}

/// The part of [`Credentials`] that clients have copies of.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptCredentials {
    /// Certificate of the authority, PEM.
    pub authority_pem: String,
    /// Its key, PEM.
    pub authority_key_pem: String,
    /// The administrator's certificate, if there is one yet.
    pub administrator: Option<CertifiedKey>,
}

impl Credentials {
    /// New certificates for a server that listens on `address`.
    ///
    /// # Errors
    /// When keys or certificates cannot be made.
    pub fn generate(address: IpAddr) -> Result<Self, PkiError> {
        Self::generate_for(&[address.to_string()])
    }

    /// New certificates for a server that is reached under these names and addresses, and under
    /// those of the loopback interface.
    ///
    /// # Errors
    /// When keys or certificates cannot be made.
    pub fn generate_for(names: &[String]) -> Result<Self, PkiError> {
        let authority = CertificateAuthority::generate("capim", KeyAlgorithm::EcdsaP256)?;
        let administrator = administrator(&authority)?;
        Self::signed_by(authority, administrator, names)
    }

    /// Credentials that were kept, with a new serving certificate for these names. The
    /// administrator's certificate is renewed when it is about to end.
    ///
    /// # Errors
    /// When the kept ones cannot be read or do not fit together.
    pub fn from_kept(kept: &KeptCredentials, names: &[String]) -> Result<Self, PkiError> {
        let authority =
            CertificateAuthority::from_pem(&kept.authority_pem, &kept.authority_key_pem)?;
        let usable = |it: &&CertifiedKey| {
            remaining_validity(&it.certificate_pem).is_ok_and(|left| left > VALIDITY_LEFT_MIN)
        };
        let administrator = match kept.administrator.as_ref().filter(usable) {
            Some(administrator) => administrator.clone(),
            None => administrator(&authority)?,
        };
        Self::signed_by(authority, administrator, names)
    }

    /// What is worth keeping: all that clients have copies of.
    pub fn to_keep(&self) -> KeptCredentials {
        KeptCredentials {
            authority_pem: self.authority_pem().to_owned(),
            authority_key_pem: self.authority.key_pem().to_owned(),
            administrator: Some(self.administrator.clone()),
        }
    }

    fn signed_by(
        authority: CertificateAuthority,
        administrator: CertifiedKey,
        names: &[String],
    ) -> Result<Self, PkiError> {
        let mut addresses = vec![IpAddr::from([127, 0, 0, 1])];
        let mut dns_names = SERVICE_NAMES.map(str::to_owned).to_vec();
        for name in names {
            match name.parse::<IpAddr>() {
                Ok(address) if addresses.contains(&address) => {}
                Ok(address) => addresses.push(address),
                Err(_) if dns_names.contains(name) => {}
                Err(_) => dns_names.push(name.clone()),
            }
        }
        let serving =
            LeafRequest { dns_names, addresses, ..leaf("kube-apiserver", &[], Usage::Server) };
        let serving = authority.issue(&serving, KeyAlgorithm::EcdsaP256)?;
        Ok(Self { authority: Arc::new(authority), serving, administrator })
    }

    /// What the controllers of the server are to know: the authority signs for its clients.
    pub fn controller_settings(&self) -> controllers::Settings {
        controllers::Settings {
            root_ca_pem: self.authority_pem().to_owned(),
            authority: Some(self.authority.clone()),
        }
    }

    /// The certificate that signed the others, PEM.
    pub fn authority_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// Certificate and key of the server.
    pub fn serving(&self) -> &CertifiedKey {
        &self.serving
    }

    /// What a port needs. It accepts clients of this authority.
    pub fn tls(&self) -> TlsMaterial {
        TlsMaterial {
            certificate_pem: self.serving.certificate_pem.clone(),
            key_pem: self.serving.key_pem.clone(),
            client_ca_pem: self.authority_pem().to_owned(),
        }
    }

    /// The administrator's kubeconfig for the server at `url`, whose certificate `server_ca_pem`
    /// has signed.
    pub fn kubeconfig(&self, url: &str, server_ca_pem: &str) -> String {
        render("capim", (url, server_ca_pem), "capim-admin", &self.administrator)
    }

    /// The same with another name of cluster and context; the user is `NAME-admin`.
    pub fn kubeconfig_named(&self, name: &str, url: &str) -> String {
        render(name, (url, self.authority_pem()), &format!("{name}-admin"), &self.administrator)
    }

    /// A kubeconfig for another user.
    ///
    /// # Errors
    /// When the certificate cannot be made, e.g. for more than two groups.
    pub fn kubeconfig_of(
        &self,
        url: &str,
        server_ca_pem: &str,
        user: &str,
        groups: &[&str],
    ) -> Result<String, PkiError> {
        let request = leaf(user, groups, Usage::Client);
        let certificate = self.authority.issue(&request, KeyAlgorithm::EcdsaP256)?;
        Ok(render("capim", (url, server_ca_pem), user, &certificate))
    }
}

fn administrator(authority: &CertificateAuthority) -> Result<CertifiedKey, PkiError> {
    let request = leaf("kubernetes-admin", &["system:masters"], Usage::Client);
    authority.issue(&request, KeyAlgorithm::EcdsaP256)
}

fn render(
    name: &str,
    (url, server_ca_pem): (&str, &str),
    user: &str,
    client: &CertifiedKey,
) -> String {
    let kubeconfig = Kubeconfig {
        cluster: name,
        user,
        context: name,
        server: url,
        certificate_authority_pem: server_ca_pem,
        client,
    };
    kubeconfig.to_yaml()
}

fn leaf(common_name: &str, organizations: &[&str], usage: Usage) -> LeafRequest {
    LeafRequest {
        common_name: common_name.to_owned(),
        organizations: organizations.iter().map(|name| (*name).to_owned()).collect(),
        dns_names: Vec::new(),
        addresses: Vec::new(),
        usage,
        validity: VALIDITY,
    }
}
