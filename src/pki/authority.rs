//! Authorities that sign leaves.

#![expect(clippy::disallowed_methods, reason = "certificates live in wall time")]

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{CertifiedKey, KeyAlgorithm, LeafRequest, PkiError, Usage, key};

/// Lifetime of authorities. (CAPI v1.14: util/certs/consts.go)
const AUTHORITY_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How far certificates are dated back, for peers whose clocks are behind.
const BACKDATE: Duration = Duration::from_secs(5 * 60);
/// `id-at-organizationName`. rcgen keeps one value a name type; a second organization goes under
/// the bare identifier, which is encoded alike.
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];

/// A certificate authority that can sign.
pub struct CertificateAuthority {
    certificate_pem: String,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl CertificateAuthority {
    /// Makes a self-signed authority (10 years, as kubeadm).
    ///
    /// # Errors
    /// [`PkiError::Make`] when key or certificate cannot be made.
    pub fn generate(common_name: &str, algorithm: KeyAlgorithm) -> Result<Self, PkiError> {
        Self::generate_for(common_name, algorithm, AUTHORITY_VALIDITY)
    }

    /// The same with another life.
    ///
    /// # Errors
    /// [`PkiError::Make`] when key or certificate cannot be made.
    pub fn generate_for(
        common_name: &str,
        algorithm: KeyAlgorithm,
        validity: Duration,
    ) -> Result<Self, PkiError> {
        let pair = key::generate(algorithm)?;
        let mut params = params(common_name, &[], validity)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
        ];
        let certificate = params.self_signed(&pair).map_err(making("a CA certificate"))?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            key_pem: key::private_pem(&pair)?,
            issuer: Issuer::new(params, pair),
        })
    }

    /// Takes an existing authority, RSA or ECDSA; the key in PKCS#1, SEC1 or PKCS#8.
    ///
    /// # Errors
    /// [`PkiError::Parse`] when one of them cannot be read, the certificate is no authority's, or
    /// the key is not the certificate's.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let invalid = |detail: String| PkiError::Parse { what: "the CA certificate", detail };
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| invalid(error.to_string()))?;
        let pair = key::parse(key_pem)?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|error| invalid(error.to_string()))?;
        if !certificate.is_ca() {
            return Err(invalid("it does not belong to an authority (CA:TRUE is absent)".into()));
        }
        if certificate.public_key().subject_public_key.data.as_ref() != pair.public_key_raw() {
            return Err(PkiError::Parse {
                what: "the CA's private key",
                detail: "it does not match the certificate".to_owned(),
            });
        }
        let issuer =
            Issuer::from_ca_cert_der(&der, pair).map_err(|error| invalid(error.to_string()))?;
        Ok(Self {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key_pem.to_owned(),
            issuer,
        })
    }

    /// Certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Private key, PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Issues a leaf with a new key.
    ///
    /// # Errors
    /// [`PkiError::Make`] when key or certificate cannot be made, e.g. for a DNS name that is not
    /// ASCII.
    pub fn issue(
        &self,
        request: &LeafRequest,
        algorithm: KeyAlgorithm,
    ) -> Result<CertifiedKey, PkiError> {
        let pair = key::generate(algorithm)?;
        let certificate =
            leaf(request)?.signed_by(&pair, &self.issuer).map_err(making("a certificate"))?;
        Ok(CertifiedKey { certificate_pem: certificate.pem(), key_pem: key::private_pem(&pair)? })
    }

    /// Issues a leaf that was good for a minute and is no longer.
    #[cfg(test)]
    pub(crate) fn issue_expired(&self, request: &LeafRequest) -> CertifiedKey {
        let pair = key::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let mut params = leaf(request).expect("a request that makes sense");
        params.not_after = params.not_before + Duration::from_secs(60);
        let certificate = params.signed_by(&pair, &self.issuer).expect("a signature");
        let key_pem = key::private_pem(&pair).expect("a key");
        CertifiedKey { certificate_pem: certificate.pem(), key_pem }
    }

    /// Issues a leaf for an existing key (PEM), e.g. the one serving key all listeners share.
    ///
    /// # Errors
    /// [`PkiError::Parse`] for an unreadable key, [`PkiError::Make`] as [`Self::issue`].
    pub fn issue_for_key(
        &self,
        request: &LeafRequest,
        key_pem: &str,
    ) -> Result<CertifiedKey, PkiError> {
        let pair = key::parse(key_pem)?;
        let certificate =
            leaf(request)?.signed_by(&pair, &self.issuer).map_err(making("a certificate"))?;
        Ok(CertifiedKey { certificate_pem: certificate.pem(), key_pem: key_pem.to_owned() })
    }
}

/// How long a certificate (PEM) is still good for; zero if it is over.
///
/// # Errors
/// [`PkiError::Parse`] when it cannot be read.
pub fn remaining_validity(certificate_pem: &str) -> Result<Duration, PkiError> {
    let invalid = |detail: String| PkiError::Parse { what: "the certificate", detail };
    let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
        .map_err(|error| invalid(error.to_string()))?;
    let (_, certificate) =
        X509Certificate::from_der(&der).map_err(|error| invalid(error.to_string()))?;
    let left = certificate.validity().time_to_expiration();
    Ok(left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default())
}

fn leaf(request: &LeafRequest) -> Result<CertificateParams, PkiError> {
    let mut params = params(&request.common_name, &request.organizations, request.validity)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match request.usage {
        Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usage::ServerAndClient => {
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
        }
    };
    for name in &request.dns_names {
        let name = name.as_str().try_into().map_err(making("a DNS name"))?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params.subject_alt_names.extend(request.addresses.iter().copied().map(SanType::IpAddress));
    Ok(params)
}

fn params(
    common_name: &str,
    organizations: &[String],
    validity: Duration,
) -> Result<CertificateParams, PkiError> {
    let now = SystemTime::now();
    let mut subject = DistinguishedName::new();
    match organizations {
        [] => {}
        [one] => subject.push(DnType::OrganizationName, one.as_str()),
        [one, two] => {
            subject.push(DnType::OrganizationName, one.as_str());
            subject.push(DnType::CustomDnType(ORGANIZATION.to_vec()), two.as_str());
        }
        _ => {
            return Err(PkiError::TooManyOrganizations { common_name: common_name.to_owned() });
        }
    }
    subject.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + validity).into();
    params.serial_number = Some(serial_number()?);
    Ok(params)
}

/// 127 random bits: rcgen's own default depends on the key alone, and one key may get several
/// certificates of one authority.
fn serial_number() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; 16];
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).map_err(|_| {
        PkiError::Make { what: "a serial number", source: rcgen::Error::RingUnspecified }
    })?;
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn making(what: &'static str) -> impl Fn(rcgen::Error) -> PkiError {
    move |source| PkiError::Make { what, source }
}
