//! Key pairs and their PEM form: what Go writes is written, what Go reads is read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PublicKeyData, RsaKeySize};

use super::{KeyAlgorithm, PkiError};

/// DER tags that occur in private keys.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;

/// Object identifiers of the named curves, encoded with tag and length.
const OID_P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// Makes a private key: `RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC1) PEM, as kubeadm and
/// Cluster API write keys. (CAPI v1.14: util/certs/certs.go)
///
/// # Errors
/// [`PkiError::Make`] when the key cannot be made.
pub fn generate_key_pem(algorithm: KeyAlgorithm) -> Result<String, PkiError> {
    private_pem(&generate(algorithm)?)
}

pub(super) fn generate(algorithm: KeyAlgorithm) -> Result<KeyPair, PkiError> {
    let pair = match algorithm {
        KeyAlgorithm::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyAlgorithm::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyAlgorithm::Rsa2048 => rsa(RsaKeySize::_2048),
        KeyAlgorithm::Rsa3072 => rsa(RsaKeySize::_3072),
        KeyAlgorithm::Rsa4096 => rsa(RsaKeySize::_4096),
    };
    pair.map_err(|source| PkiError::Make { what: "a private key", source })
}

fn rsa(size: RsaKeySize) -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)
}

/// Reads a private key in PKCS#1, SEC1 or PKCS#8, RSA or ECDSA.
pub(super) fn parse(pem: &str) -> Result<KeyPair, PkiError> {
    KeyPair::from_pem(pem)
        .map_err(|error| PkiError::Parse { what: "the private key", detail: error.to_string() })
}

/// The public half, `PUBLIC KEY` PEM.
pub(super) fn public_pem(pair: &KeyPair) -> String {
    pem("PUBLIC KEY", &pair.subject_public_key_info())
}

/// The private half of a key made by [`generate`] in Go's traditional PEM form.
pub(super) fn private_pem(pair: &KeyPair) -> Result<String, PkiError> {
    let unreadable = || PkiError::Parse {
        what: "the new private key",
        detail: "it is not in the PKCS#8 form that was expected".to_owned(),
    };
    let inner = pkcs8_inner(pair.serialized_der()).ok_or_else(unreadable)?;
    let curve = if pair.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
        OID_P256
    } else if pair.is_compatible(&rcgen::PKCS_ECDSA_P384_SHA384) {
        OID_P384
    } else {
        return Ok(pem("RSA PRIVATE KEY", inner));
    };
    let scalar = sec1_scalar(inner).ok_or_else(unreadable)?;
    Ok(pem("EC PRIVATE KEY", &sec1(scalar, curve, pair.public_key_raw())))
}

/// `ECPrivateKey` of RFC 5915 with the optional curve and public key, which Go always writes and,
/// outside PKCS#8, needs.
fn sec1(scalar: &[u8], curve: &[u8], public: &[u8]) -> Vec<u8> {
    let mut bits = vec![0];
    bits.extend_from_slice(public);
    let fields = [
        element(INTEGER, &[1]),
        element(OCTET_STRING, scalar),
        element(0xa0, curve),
        element(0xa1, &element(BIT_STRING, &bits)),
    ];
    element(SEQUENCE, &fields.concat())
}

/// The algorithm's own key structure inside a PKCS#8 `PrivateKeyInfo`.
fn pkcs8_inner(der: &[u8]) -> Option<&[u8]> {
    let (info, _) = read(SEQUENCE, der)?;
    let (_version, rest) = read(INTEGER, info)?;
    let (_algorithm, rest) = read(SEQUENCE, rest)?;
    read(OCTET_STRING, rest).map(|(key, _)| key)
}

fn sec1_scalar(der: &[u8]) -> Option<&[u8]> {
    let (key, _) = read(SEQUENCE, der)?;
    let (_version, rest) = read(INTEGER, key)?;
    read(OCTET_STRING, rest).map(|(scalar, _)| scalar)
}

/// Splits a DER element with `tag` into its content and what follows it.
fn read(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
    };
    rest.split_at_checked(length)
}

/// Modulus and exponent of a PKCS#1 `RSAPublicKey`, without leading zeros.
pub(super) fn rsa_public(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, _) = read(SEQUENCE, der)?;
    let (modulus, rest) = read(INTEGER, key)?;
    let (exponent, _) = read(INTEGER, rest)?;
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent))
}

/// A DER element. Contents here are less than 16 MiB.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    match content.len() {
        length @ 0..0x80 => der.push(length as u8),
        length @ 0x80..0x100 => der.extend([0x81, length as u8]),
        length @ 0x100..0x1_0000 => der.extend([0x82, (length >> 8) as u8, length as u8]),
        length => der.extend([0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8]),
    }
    der.extend_from_slice(content);
    der
}

/// PEM with lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
