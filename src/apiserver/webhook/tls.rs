//! The client's side of TLS to one webhook.

use std::sync::{Arc, LazyLock};

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::verifier::{Refusal, Verifier};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// The machine's roots, read when a webhook without `caBundle` is called for the first time.
static SYSTEM_ROOTS: LazyLock<Vec<CertificateDer<'static>>> =
    LazyLock::new(|| rustls_native_certs::load_native_certs().certs);

/// Configures TLS for a server that has one of `names`.
///
/// # Errors
/// A message when the bundle holds no certificate.
pub(super) fn configure(ca_bundle: &[u8], names: &[String]) -> Result<Arc<ClientConfig>, String> {
    let trusted =
        if ca_bundle.is_empty() { SYSTEM_ROOTS.clone() } else { certificates(ca_bundle)? };
    let verifier = Verifier::new(PROVIDER.clone(), trusted, names.to_vec());
    let mut config = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("configure TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a bundle.
///
/// # Errors
/// What client-go says of a bundle without certificates, or with broken ones.
pub(crate) fn certificates(ca_bundle: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca_bundle).collect();
    let certificates = read.unwrap_or_default();
    if certificates.is_empty() {
        return Err(
            "unable to load root certificates: unable to parse bytes as PEM block".to_owned()
        );
    }
    Ok(certificates)
}

/// A failed handshake in the words of Go's `crypto/tls`.
pub(super) fn handshake_error(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) => {
            match other.0.downcast_ref::<Refusal>() {
                Some(refusal) => format!("tls: failed to verify certificate: x509: {refusal}"),
                None => format!("tls: failed to verify certificate: x509: {}", other.0),
            }
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "http: server gave HTTP response to HTTPS client".to_owned()
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("remote error: tls: {alert:?}"),
        Some(other) => format!("tls: {other}"),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        None => error.to_string(),
    }
}
