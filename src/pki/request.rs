//! Certificate signing requests: what they ask for, and the certificates that answer them.

#![expect(clippy::disallowed_methods, reason = "certificates live in wall time")]

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::Timestamp;
use rcgen::SigningKey as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::key::{BIT_STRING, INTEGER, OCTET_STRING, SEQUENCE, element, pem};
use super::pem::pem_blocks;
use super::{CertificateAuthority, PkiError, key, signing};

const OID: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[3]` of a certificate: its extensions.
const EXTENSIONS: u8 = 0xa3;

const OID_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const OID_SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const OID_AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
const OID_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// `id-kp`, to which one more number is added.
const OID_KEY_PURPOSE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03];

/// How far certificates are dated back. (kubernetes 1.36: pkg/controller/certificates/authority)
const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// A signing request whose signature holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SigningRequest {
    /// Subject common name.
    pub common_name: String,
    /// Subject organizations, in order.
    pub organizations: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Email addresses.
    pub emails: Vec<String>,
    /// URIs.
    pub uris: Vec<String>,
    subject: Vec<u8>,
    public_key: Vec<u8>,
}

impl SigningRequest {
    /// Reads a request, `CERTIFICATE REQUEST` PEM.
    ///
    /// # Errors
    /// kube-apiserver's message where it has one of its own.
    pub fn from_pem(text: &[u8]) -> Result<Self, String> {
        let block = pem_blocks(text).into_iter().next();
        let Some(block) = block.filter(|block| block.label == "CERTIFICATE REQUEST") else {
            return Err("PEM block type must be CERTIFICATE REQUEST".to_owned());
        };
        let (rest, request) = X509CertificationRequest::from_der(&block.der)
            .map_err(|error| format!("x509: malformed certificate request: {error}"))?;
        if !rest.is_empty() {
            return Err("asn1: syntax error: trailing data".to_owned());
        }
        let info = &request.certification_request_info;
        let algorithm = request.signature_algorithm.algorithm.to_id_string();
        let signed = &request.signature_value.data;
        if !signing::verifies(&info.subject_pki, &algorithm, info.raw, signed) {
            return Err("x509: certificate request signature is invalid".to_owned());
        }
        let text = |name: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            name.as_str().unwrap_or_default().to_owned()
        };
        let mut parsed = Self {
            common_name: info.subject.iter_common_name().last().map(text).unwrap_or_default(),
            organizations: info.subject.iter_organization().map(text).collect(),
            subject: info.subject.as_raw().to_vec(),
            public_key: info.subject_pki.raw.to_vec(),
            ..Self::default()
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                names.general_names.iter().for_each(|name| parsed.add_name(name));
            }
        }
        Ok(parsed)
    }

    fn add_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => self.emails.push((*name).to_owned()),
            GeneralName::URI(name) => self.uris.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                if let Ok(bytes) = <[u8; 4]>::try_from(*bytes) {
                    self.addresses.push(IpAddr::from(bytes));
                } else if let Ok(bytes) = <[u8; 16]>::try_from(*bytes) {
                    self.addresses.push(IpAddr::from(bytes));
                }
            }
            _ => {}
        }
    }

    /// The extension that holds the alternative names, if there are any.
    fn alternative_names(&self) -> Option<Vec<u8>> {
        let mut names = Vec::new();
        self.emails.iter().for_each(|name| names.extend(element(0x81, name.as_bytes())));
        self.dns_names.iter().for_each(|name| names.extend(element(0x82, name.as_bytes())));
        self.uris.iter().for_each(|name| names.extend(element(0x86, name.as_bytes())));
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => names.extend(element(0x87, &address.octets())),
                IpAddr::V6(address) => names.extend(element(0x87, &address.octets())),
            }
        }
        let is_critical = self.subject == [SEQUENCE, 0];
        (!names.is_empty())
            .then(|| extension(OID_SUBJECT_ALT_NAME, is_critical, &element(SEQUENCE, &names)))
    }
}

/// Whether a text consists of certificates only, and of one at least.
///
/// # Errors
/// kube-apiserver's message. (kubernetes 1.36: pkg/apis/certificates/validation)
pub fn check_certificates_pem(text: &[u8]) -> Result<(), String> {
    let blocks = pem_blocks(text);
    for block in &blocks {
        if block.label != "CERTIFICATE" {
            let label = &block.label;
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found \"{label}\""));
        }
        if block.has_headers {
            return Err("no PEM block headers are permitted".to_owned());
        }
        X509Certificate::from_der(&block.der)
            .map_err(|error| format!("x509: malformed certificate: {error}"))?;
    }
    if blocks.is_empty() {
        return Err("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    Ok(())
}

impl CertificateAuthority {
    /// Signs a request for usages as Kubernetes names them (`client auth`, `digital signature`);
    /// unknown ones are left out. The certificate ends with the authority at the latest.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn sign_request(
        &self,
        request: &SigningRequest,
        usages: &[&str],
        validity: Duration,
    ) -> Result<String, PkiError> {
        let pair = key::parse(self.key_pem())?;
        let algorithm = algorithm_identifier(&pair);
        let der = self.to_be_signed(request, usages, validity, algorithm)?;
        let making = |source| PkiError::Make { what: "a certificate", source };
        let signed = pair.sign(&der).map_err(making)?;
        let mut bits = vec![0];
        bits.extend(signed);
        let parts = [der, algorithm.to_vec(), element(BIT_STRING, &bits)];
        Ok(pem("CERTIFICATE", &element(SEQUENCE, &parts.concat())))
    }

    fn to_be_signed(
        &self,
        request: &SigningRequest,
        usages: &[&str],
        validity: Duration,
        algorithm: &[u8],
    ) -> Result<Vec<u8>, PkiError> {
        let blocks = pem_blocks(self.certificate_pem().as_bytes());
        let der = blocks.first().map(|block| block.der.as_slice()).unwrap_or_default();
        let (_, authority) = X509Certificate::from_der(der).map_err(|error| PkiError::Parse {
            what: "the CA certificate",
            detail: error.to_string(),
        })?;
        let now = SystemTime::now();
        let end = seconds(now + validity).min(authority.validity().not_after.timestamp());
        let mut extensions = usage_extensions(usages);
        extensions.extend(extension(OID_BASIC_CONSTRAINTS, true, &element(SEQUENCE, &[])));
        let id = authority.extensions().iter().find_map(|it| match it.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        });
        if let Some(id) = id {
            let id = element(SEQUENCE, &element(0x80, id));
            extensions.extend(extension(OID_AUTHORITY_KEY, false, &id));
        }
        extensions.extend(request.alternative_names().unwrap_or_default());
        let times = [time(seconds(now - BACKDATE)), time(end)].concat();
        let fields = [
            element(0xa0, &element(INTEGER, &[2])),
            element(INTEGER, &serial_number()?),
            algorithm.to_vec(),
            authority.subject().as_raw().to_vec(),
            element(SEQUENCE, &times),
            request.subject.clone(),
            request.public_key.clone(),
            element(EXTENSIONS, &element(SEQUENCE, &extensions)),
        ];
        Ok(element(SEQUENCE, &fields.concat()))
    }
}

fn algorithm_identifier(pair: &rcgen::KeyPair) -> &'static [u8] {
    if pair.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
        &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]
    } else if pair.is_compatible(&rcgen::PKCS_ECDSA_P384_SHA384) {
        &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]
    } else {
        &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0]
    }
}

/// Key usage and extended key usage.
fn usage_extensions(usages: &[&str]) -> Vec<u8> {
    let mut bits = 0_u16;
    let mut purposes = Vec::new();
    for usage in usages {
        match *usage {
            "signing" | "digital signature" => bits |= 1 << 15,
            "content commitment" => bits |= 1 << 14,
            "key encipherment" => bits |= 1 << 13,
            "data encipherment" => bits |= 1 << 12,
            "key agreement" => bits |= 1 << 11,
            "cert sign" => bits |= 1 << 10,
            "crl sign" => bits |= 1 << 9,
            "encipher only" => bits |= 1 << 8,
            "decipher only" => bits |= 1 << 7,
            "server auth" => purposes.push(1),
            "client auth" => purposes.push(2),
            "code signing" => purposes.push(3),
            "email protection" | "s/mime" => purposes.push(4),
            "timestamping" => purposes.push(8),
            "ocsp signing" => purposes.push(9),
            _ => {}
        }
    }
    let mut extensions = Vec::new();
    if bits != 0 {
        let bytes = bits.to_be_bytes();
        let bytes = if bytes[1] == 0 { &bytes[..1] } else { &bytes[..] };
        let unused = bytes.last().map_or(0, |byte| byte.trailing_zeros());
        let mut content = vec![u8::try_from(unused).unwrap_or(0)];
        content.extend_from_slice(bytes);
        extensions.extend(extension(OID_KEY_USAGE, true, &element(BIT_STRING, &content)));
    }
    if !purposes.is_empty() {
        let mut content = Vec::new();
        for purpose in purposes {
            let oid: Vec<u8> = OID_KEY_PURPOSE.iter().copied().chain([purpose]).collect();
            content.extend(element(OID, &oid));
        }
        let content = element(SEQUENCE, &content);
        extensions.extend(extension(OID_EXTENDED_KEY_USAGE, false, &content));
    }
    extensions
}

fn extension(oid: &[u8], is_critical: bool, content: &[u8]) -> Vec<u8> {
    let mut fields = element(OID, oid);
    if is_critical {
        fields.extend(element(BOOLEAN, &[0xff]));
    }
    fields.extend(element(OCTET_STRING, content));
    element(SEQUENCE, &fields)
}

/// A positive random number.
fn serial_number() -> Result<Vec<u8>, PkiError> {
    let mut serial = vec![0; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| PkiError::Sign)?;
    serial[0] = (serial[0] & 0x7f) | 0x40;
    Ok(serial)
}

fn seconds(time: SystemTime) -> i64 {
    Timestamp::try_from(time).map_or(0, Timestamp::as_second)
}

/// A time of a certificate: two digits of the year until 2049, then four.
fn time(seconds: i64) -> Vec<u8> {
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    let text = time.strftime("%Y%m%d%H%M%SZ").to_string();
    if text.as_str() < "2050" {
        return element(UTC_TIME, &text.as_bytes()[2..]);
    }
    element(GENERALIZED_TIME, text.as_bytes())
}
