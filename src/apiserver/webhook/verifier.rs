//! Which serving certificates of webhooks hold: what Go's verification accepts, in its words.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What Go says of a certificate that does not hold, after `x509: `.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// Verifies chains to a set of roots, and names.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Verifies chains; `None` without any authority.
    chains: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that are trusted as they are: Go's pool makes no difference between an
    /// authority and a leaf.
    trusted: Vec<CertificateDer<'static>>,
    /// Names of which the certificate must have one.
    names: Vec<String>,
}

impl Verifier {
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        trusted: Vec<CertificateDer<'static>>,
        names: Vec<String>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        Self { chains: builder.build().ok(), provider, trusted, names }
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let (_, certificate) = X509Certificate::from_der(leaf)
            .map_err(|error| Refusal(format!("malformed certificate: {error}")))?;
        check_validity(&certificate, now)?;
        let names = Names::of(&certificate);
        if !self.names.iter().any(|name| names.cover(name)) {
            let wanted = self.names.first().map(String::as_str).unwrap_or_default();
            return Err(Refusal(names.mismatch(wanted)));
        }
        if self.trusted.iter().any(|known| known == leaf) {
            return Ok(());
        }
        self.check_chain(leaf, intermediates, now)
    }

    fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let unknown = || Refusal("certificate signed by unknown authority".to_owned());
        let chains = self.chains.as_ref().ok_or_else(unknown)?;
        for name in &self.names {
            let Ok(name) = ServerName::try_from(name.as_str()) else { continue };
            match chains.verify_server_cert(leaf, intermediates, &name, &[], now) {
                Ok(_) => return Ok(()),
                Err(Error::InvalidCertificate(error)) if is_about_name(&error) => {}
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                    return Err(unknown());
                }
                Err(Error::InvalidCertificate(CertificateError::BadSignature)) => {
                    return Err(wrong_key(leaf));
                }
                Err(Error::InvalidCertificate(
                    CertificateError::InvalidPurpose
                    | CertificateError::InvalidPurposeContext { .. },
                )) => {
                    let why = "certificate specifies an incompatible key usage";
                    return Err(Refusal(why.to_owned()));
                }
                Err(error) => return Err(Refusal(error.to_string())),
            }
        }
        Err(unknown())
    }
}

/// Another authority of the same name.
fn wrong_key(leaf: &CertificateDer<'_>) -> Refusal {
    /// `ecdsa-with-SHA2`, the parent of the algorithms' identifiers.
    const ECDSA: &str = "1.2.840.10045.4";
    let unknown = "certificate signed by unknown authority";
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return Refusal(unknown.to_owned());
    };
    let issuer = certificate.issuer().iter_common_name().next();
    let issuer = issuer.and_then(|name| name.as_str().ok()).unwrap_or_default();
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    let why = match algorithm.starts_with(ECDSA) {
        true => "x509: ECDSA verification failure",
        false => "crypto/rsa: verification error",
    };
    Refusal(format!(
        "{unknown} (possibly because of \"{why}\" while trying to verify candidate authority \
         certificate \"{issuer}\")"
    ))
}

fn is_about_name(error: &CertificateError) -> bool {
    matches!(
        error,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    )
}

fn check_validity(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Refusal> {
    let validity = certificate.validity();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let shown = |seconds: i64| {
        jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
    };
    let (relation, bound) = if seconds > validity.not_after.timestamp() {
        ("after", validity.not_after.timestamp())
    } else if seconds < validity.not_before.timestamp() {
        ("before", validity.not_before.timestamp())
    } else {
        return Ok(());
    };
    Err(Refusal(format!(
        "certificate has expired or is not yet valid: current time {} is {relation} {}",
        shown(seconds),
        shown(bound),
    )))
}

/// The names that a certificate is for. (Go 1.26: crypto/x509/verify.go, VerifyHostname)
struct Names {
    domains: Vec<String>,
    addresses: Vec<IpAddr>,
    has_common_name: bool,
}

impl Names {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let subject = certificate.subject().iter_common_name().next();
        let mut names = Self {
            domains: Vec::new(),
            addresses: Vec::new(),
            has_common_name: subject
                .and_then(|name| name.as_str().ok())
                .is_some_and(|name| name.contains('.') || name == "localhost"),
        };
        let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return names };
        for name in &alternatives.value.general_names {
            match name {
                GeneralName::DNSName(domain) => names.domains.push((*domain).to_owned()),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        names
    }

    fn cover(&self, wanted: &str) -> bool {
        if let Ok(address) = wanted.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let wanted = wanted.trim_end_matches('.');
        self.domains.iter().any(|pattern| covers(pattern, wanted))
    }

    fn mismatch(&self, wanted: &str) -> String {
        if self.domains.is_empty() && self.addresses.is_empty() && self.has_common_name {
            return "certificate relies on legacy Common Name field, use SANs instead".to_owned();
        }
        if wanted.parse::<IpAddr>().is_ok() {
            if self.addresses.is_empty() {
                return format!(
                    "cannot validate certificate for {wanted} because it doesn't contain any IP SANs"
                );
            }
            let listed: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
            return format!("certificate is valid for {}, not {wanted}", listed.join(", "));
        }
        if self.domains.is_empty() {
            return format!("certificate is not valid for any names, but wanted to match {wanted}");
        }
        format!("certificate is valid for {}, not {wanted}", self.domains.join(", "))
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// Whether a name of a certificate covers a host: a first label `*` stands for any one label.
fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(host),
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(leaf, intermediates, now).map(|()| ServerCertVerified::assertion()).map_err(
            |refusal| {
                let other = OtherError(Arc::new(refusal));
                Error::InvalidCertificate(CertificateError::Other(other))
            },
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
