//! Client certificates.
//!
//! A client certificate that does not hold is no reason to break off the TLS handshake: like
//! kube-apiserver, the server accepts any certificate whose key the client proves to have, looks
//! at it afterwards ([`ClientAuthority::inspect`]) and answers 401. (kubernetes 1.36:
//! apiserver/pkg/authentication/request/x509)

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::identity::{CREDENTIAL_ID, Identity};

/// Attribute of a subject that holds the user's uid. (kubernetes 1.36:
/// apiserver/pkg/authentication/request/x509, AllowParsingUserUIDFromCertAuth)
const UID: &str = "1.3.6.1.4.1.57683.2";

/// What a connection's client certificate says. Kept with the connection, read for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// No certificate was sent.
    Anonymous,
    /// A certificate of a client authority.
    Known(Identity),
    /// A certificate that is foreign, expired or not made for clients.
    Refused,
}

/// The authorities whose client certificates are believed.
#[derive(Debug)]
pub(crate) struct ClientAuthority {
    /// Checks chain, validity and extended key usage.
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientAuthority {
    /// Believes what the certificates in `authorities_pem` have signed.
    ///
    /// # Errors
    /// A message when no certificate can be read.
    pub(crate) fn new(
        authorities_pem: &str,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities_pem.as_bytes()) {
            let certificate =
                certificate.map_err(|error| format!("read the client CA: {error}"))?;
            roots.add(certificate).map_err(|error| format!("use the client CA: {error}"))?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map(|verifier| Self { verifier })
            .map_err(|error| format!("use the client CA: {error}"))
    }

    /// Judges the certificates that a client sent, its own first. Wall time decides on validity.
    pub(crate) fn inspect(&self, certificates: &[CertificateDer<'_>]) -> Peer {
        let Some((leaf, intermediates)) = certificates.split_first() else {
            return Peer::Anonymous;
        };
        match self.verifier.verify_client_cert(leaf, intermediates, UnixTime::now()) {
            Ok(_) => identity_of(leaf).map_or(Peer::Refused, Peer::Known),
            Err(error) => {
                tracing::debug!(%error, "refused a client certificate");
                Peer::Refused
            }
        }
    }
}

/// Common name as user, organizations as groups; the certificate's hash as the credential's id.
fn identity_of(der: &CertificateDer<'_>) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let user = subject.iter_common_name().next().and_then(|name| name.as_str().ok())?;
    let groups = subject.iter_organization().filter_map(|name| name.as_str().ok());
    let uid = subject.iter_attributes().find(|part| part.attr_type().to_id_string() == UID);
    let uid = uid.and_then(|part| part.as_str().ok()).unwrap_or_default();
    let mut identity = Identity { uid: uid.into(), ..Identity::new(user, groups) }.authenticated();
    let hash = digest(&SHA256, der);
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    identity.extra.insert(CREDENTIAL_ID.into(), vec![format!("X509SHA256={hash}").into()]);
    (!user.is_empty()).then_some(identity)
}

/// Accepts every client certificate whose key the client has; the judgement comes later.
#[derive(Debug)]
pub(crate) struct AcceptAnyClient {
    provider: Arc<CryptoProvider>,
    /// Names of the authorities, by which clients choose a certificate.
    hints: Vec<DistinguishedName>,
}

impl AcceptAnyClient {
    /// Offers the names of `authority` to clients.
    pub(crate) fn new(authority: &ClientAuthority, provider: Arc<CryptoProvider>) -> Self {
        Self { provider, hints: authority.verifier.root_hint_subjects().to_vec() }
    }
}

impl ClientCertVerifier for AcceptAnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pki::{CertificateAuthority, KeyAlgorithm, LeafRequest, Usage};

    fn authority() -> CertificateAuthority {
        CertificateAuthority::generate("kubernetes", KeyAlgorithm::EcdsaP256).unwrap()
    }

    fn certificate(
        authority: &CertificateAuthority,
        user: &str,
        usage: Usage,
        validity: Duration,
    ) -> CertificateDer<'static> {
        let request = LeafRequest {
            common_name: user.into(),
            organizations: vec!["system:masters".into()],
            dns_names: vec![],
            addresses: vec![],
            usage,
            validity,
        };
        let leaf = authority.issue(&request, KeyAlgorithm::EcdsaP256).unwrap();
        CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).unwrap()
    }

    fn inspect(authority: &CertificateAuthority, leaf: CertificateDer<'_>) -> Peer {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientAuthority::new(authority.certificate_pem(), &provider).unwrap().inspect(&[leaf])
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn common_name_is_user_and_organizations_are_groups() {
        let ca = authority();
        let peer = inspect(&ca, certificate(&ca, "admin", Usage::Client, HOUR));
        let Peer::Known(identity) = peer else { panic!("{peer:?}") };
        let administrator = Identity::administrator("admin");
        assert_eq!(
            (identity.user.clone(), identity.groups.clone()),
            (administrator.user, administrator.groups)
        );
        let id = identity.extra_value(CREDENTIAL_ID).unwrap();
        assert_eq!(id.len(), "X509SHA256=".len() + 64, "{id}");
    }

    #[test]
    fn foreign_server_and_nameless_certificates_are_refused() {
        let ca = authority();
        let foreign = certificate(&authority(), "admin", Usage::Client, HOUR);
        assert_eq!(inspect(&ca, foreign), Peer::Refused);
        assert_eq!(inspect(&ca, certificate(&ca, "admin", Usage::Server, HOUR)), Peer::Refused);
        assert_eq!(inspect(&ca, certificate(&ca, "", Usage::Client, HOUR)), Peer::Refused);
    }

    #[test]
    fn unreadable_authorities_are_an_error() {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        assert!(ClientAuthority::new("", &provider).is_err());
    }
}
