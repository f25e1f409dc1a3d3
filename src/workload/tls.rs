//! Serving certificates of the workload API servers, made when the first client says hello.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::apiserver::serve::TlsMaterial;
use crate::pki::{CertificateAuthority, KeyAlgorithm, LeafRequest, Usage, generate_key_pem};

/// Lifetime of a serving certificate: a year, as kubeadm's.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);

/// Certificate and private key of the cluster CA as Secret `<cluster>-ca` holds them, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Certificate, PEM (`tls.crt`).
    pub certificate_pem: String,
    /// Private key, PEM (`tls.key`), RSA or ECDSA.
    pub key_pem: String,
}

/// The one serving key that all listeners of a process share. Made on first use.
#[derive(Clone, Default)]
pub(super) struct ServingKey(Arc<OnceLock<Result<String, String>>>);

impl ServingKey {
    pub(super) fn pem(&self) -> Result<&str, String> {
        let made =
            self.0.get_or_init(|| generate_key_pem(KeyAlgorithm::EcdsaP256).map_err(describe));
        made.as_deref().map_err(Clone::clone)
    }
}

/// What a serving certificate is made from.
pub(super) struct ServingCertificate {
    /// Signs the certificate; client certificates must chain to it too.
    pub(super) ca: CertificateFiles,
    /// Shared key.
    pub(super) key: ServingKey,
    /// Host of the control plane endpoint.
    pub(super) host: String,
    /// Further names and addresses of the server.
    pub(super) names: Vec<String>,
    /// Address of Service `default/kubernetes`.
    pub(super) api_service: IpAddr,
    /// DNS domain of the cluster.
    pub(super) domain: String,
}

impl ServingCertificate {
    /// Issues the certificate, with kubeadm's names in it.
    pub(super) fn issue(&self) -> Result<TlsMaterial, String> {
        let key_pem = self.key.pem()?;
        let authority = CertificateAuthority::from_pem(&self.ca.certificate_pem, &self.ca.key_pem)
            .map_err(describe)?;
        let leaf = authority.issue_for_key(&self.request(), key_pem).map_err(describe)?;
        Ok(TlsMaterial {
            certificate_pem: leaf.certificate_pem,
            key_pem: key_pem.to_owned(),
            client_ca_pem: self.ca.certificate_pem.clone(),
        })
    }

    fn request(&self) -> LeafRequest {
        let mut dns_names: Vec<String> =
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
                .map(str::to_owned)
                .into();
        dns_names.push(format!("kubernetes.default.svc.{}", self.domain));
        let mut addresses = vec![
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            self.api_service,
        ];
        for name in std::iter::once(&self.host).chain(&self.names) {
            match name.parse::<IpAddr>() {
                Ok(address) if !addresses.contains(&address) => addresses.push(address),
                Ok(_) => {}
                Err(_) if dns_names.contains(name) => {}
                Err(_) => dns_names.push(name.clone()),
            }
        }
        LeafRequest {
            common_name: "kube-apiserver".to_owned(),
            organizations: Vec::new(),
            dns_names,
            addresses,
            usage: Usage::Server,
            validity: VALIDITY,
        }
    }
}

fn describe(error: crate::pki::PkiError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str) -> LeafRequest {
        let ca = CertificateFiles { certificate_pem: String::new(), key_pem: String::new() };
        ServingCertificate {
            ca,
            key: ServingKey::default(),
            host: host.to_owned(),
            names: vec!["10.1.2.3".to_owned(), "localhost".to_owned()],
            api_service: IpAddr::from([10, 128, 0, 1]),
            domain: "cluster.local".to_owned(),
        }
        .request()
    }

    #[test]
    fn the_certificate_names_the_api_server_as_kubeadm_does() {
        let request = request("127.0.0.1");
        assert_eq!(request.common_name, "kube-apiserver");
        assert_eq!(
            request.dns_names,
            [
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "localhost",
                "kubernetes.default.svc.cluster.local"
            ]
        );
        let addresses: Vec<String> = request.addresses.iter().map(IpAddr::to_string).collect();
        assert_eq!(addresses, ["127.0.0.1", "::1", "10.128.0.1", "10.1.2.3"]);
        assert_eq!(request.usage, Usage::Server);
    }

    #[test]
    fn the_endpoint_host_is_in_the_certificate() {
        assert!(request("play.example").dns_names.contains(&"play.example".to_owned()));
        assert!(request("10.9.8.7").addresses.contains(&IpAddr::from([10, 9, 8, 7])));
    }
}
