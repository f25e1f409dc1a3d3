//! Serving certificates for the webhooks of providers that run outside.
//!
//! One authority a run and one certificate for all Services, in the three files that
//! controller-runtime and cert-manager agree on. The management API believes the authority for
//! calls to these Services where a configuration brings no `caBundle` of its own, so that no
//! cert-manager is needed; nothing is written into configurations.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::kubeconfig::write_private;
use crate::apiserver::{ServiceUrl, ServiceUrls};
use crate::pki::{CertificateAuthority, KeyAlgorithm, LeafRequest, PkiError, Usage};

/// Lifetime of the certificate.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why webhooks have no certificate.
#[derive(Debug, thiserror::Error)]
pub enum WebhookCertificateError {
    /// It could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A file could not be written.
    #[error("failed to write {path}: {source}")]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// Makes a certificate for the Services and their local names, writes `tls.crt`, `tls.key` and
/// `ca.crt` (mode 0600) into a directory, and answers the addresses with the authority to believe.
///
/// # Errors
/// [`WebhookCertificateError`]
pub fn certify_webhooks(
    services: &[ServiceUrl],
    directory: &Path,
) -> Result<ServiceUrls, WebhookCertificateError> {
    let authority = CertificateAuthority::generate("capim-webhooks", KeyAlgorithm::EcdsaP256)?;
    let leaf = authority.issue(&request(services), KeyAlgorithm::EcdsaP256)?;
    let files = [
        ("tls.key", leaf.key_pem.as_str()),
        ("tls.crt", leaf.certificate_pem.as_str()),
        ("ca.crt", authority.certificate_pem()),
    ];
    for (name, content) in files {
        let path = directory.join(name);
        write_private(&path, content)
            .map_err(|source| WebhookCertificateError::Write { path, source })?;
    }
    let urls: ServiceUrls = services.iter().cloned().collect();
    Ok(urls.with_authority(authority.certificate_pem()))
}

fn request(services: &[ServiceUrl]) -> LeafRequest {
    let mut dns_names = vec!["localhost".to_owned()];
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    for service in services {
        let name = format!("{}.{}.svc", service.name(), service.namespace());
        for name in [format!("{name}.cluster.local"), name] {
            if !dns_names.contains(&name) {
                dns_names.push(name);
            }
        }
        match service.host().parse::<IpAddr>() {
            Ok(address) if addresses.contains(&address) => {}
            Ok(address) => addresses.push(address),
            Err(_) if dns_names.iter().any(|name| name == service.host()) => {}
            Err(_) => dns_names.push(service.host().to_owned()),
        }
    }
    LeafRequest {
        common_name: "webhook".to_owned(),
        organizations: Vec::new(),
        dns_names,
        addresses,
        usage: Usage::Server,
        validity: VALIDITY,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_certificate_has_the_names_of_all_services() {
        let services: Vec<ServiceUrl> = ["a/one=https://127.0.0.1:9443", "b/two=https://host.lima"]
            .map(|text| text.parse().unwrap())
            .into();
        let request = request(&services);
        for name in ["localhost", "one.a.svc", "two.b.svc.cluster.local", "host.lima"] {
            assert!(request.dns_names.iter().any(|it| it == name), "{:?}", request.dns_names);
        }
        assert_eq!(request.addresses.len(), 2);
        let directory = tempfile::tempdir().unwrap();
        certify_webhooks(&services, directory.path()).unwrap();
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            let file = std::fs::metadata(directory.path().join(name)).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }
}
