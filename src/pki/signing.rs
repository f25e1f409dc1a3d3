//! Keys that sign and verify messages, as tokens of service accounts need them.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::PublicKeyData as _;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::pem::pem_blocks;
use super::{KeyAlgorithm, PkiError, key};

const OID_RSA: &str = "1.2.840.113549.1.1.1";
const OID_P256: &str = "1.2.840.10045.3.1.7";
const OID_P384: &str = "1.3.132.0.34";
const OID_P521: &str = "1.3.132.0.35";

/// Algorithm of a signature, by its name in JSON Web Algorithms (RFC 7518).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSA, PKCS#1 v1.5, with SHA-256.
    Rs256,
}

impl SignatureAlgorithm {
    /// E.g. `ES256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Rs256 => "RS256",
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
            Self::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        }
    }

    fn ecdsa(self) -> Option<&'static EcdsaSigningAlgorithm> {
        match self {
            Self::Es256 => Some(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::Es384 => Some(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::Es512 => Some(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Self::Rs256 => None,
        }
    }
}

/// A private key that signs messages.
#[derive(Debug)]
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

#[derive(Debug)]
enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl SigningKey {
    /// Makes a key for ES256, which takes 20 µs.
    ///
    /// # Errors
    /// [`PkiError`] when the key cannot be made.
    pub fn generate() -> Result<Self, PkiError> {
        Self::of(&key::generate(KeyAlgorithm::EcdsaP256)?)
    }

    /// Reads a private key in PKCS#1, SEC1 or PKCS#8, RSA or ECDSA.
    ///
    /// # Errors
    /// [`PkiError::Parse`].
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        Self::of(&key::parse(pem)?)
    }

    fn of(pair: &rcgen::KeyPair) -> Result<Self, PkiError> {
        let public = PublicKey::from_spki(&pair.subject_public_key_info())?;
        let unusable = |detail: String| PkiError::Parse { what: "the signing key", detail };
        let der = pair.serialized_der();
        // The key is in whatever form it was given.
        let rsa = || RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
        let pair = match public.algorithm.ecdsa() {
            Some(algorithm) => EcdsaKeyPair::from_private_key_der(algorithm, der).map(Pair::Ecdsa),
            None => rsa().map(Box::new).map(Pair::Rsa),
        };
        Ok(Self { pair: pair.map_err(|error| unusable(error.to_string()))?, public })
    }

    /// Signs a message; the signature is in the form that JSON Web Signatures have.
    ///
    /// # Errors
    /// [`PkiError::Sign`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => {
                let signed = pair.sign(&random, message).map_err(|_| PkiError::Sign)?;
                Ok(signed.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                let padding = &signature::RSA_PKCS1_SHA256;
                pair.sign(padding, &random, message, &mut signed).map_err(|_| PkiError::Sign)?;
                Ok(signed)
            }
        }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// A public key that verifies signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: SignatureAlgorithm,
    /// A point of a curve, or a PKCS#1 `RSAPublicKey`.
    raw: Vec<u8>,
    id: String,
}

impl PublicKey {
    /// Reads the keys of a file: public keys, private keys and certificates, as
    /// `--service-account-key-file` takes them.
    ///
    /// # Errors
    /// [`PkiError::Parse`] when there is none, or one that cannot be read.
    pub fn all_from_pem(pem: &str) -> Result<Vec<Self>, PkiError> {
        let mut keys = Vec::new();
        for block in pem_blocks(pem.as_bytes()) {
            match block.label.as_str() {
                "PUBLIC KEY" => keys.push(Self::from_spki(&block.der)?),
                "CERTIFICATE" => {
                    let (_, certificate) = X509Certificate::from_der(&block.der)
                        .map_err(|error| unreadable(&error.to_string()))?;
                    keys.push(Self::from_spki(certificate.public_key().raw)?);
                }
                label if label.ends_with("PRIVATE KEY") => {
                    let text = key::pem(label, &block.der);
                    keys.push(SigningKey::from_pem(&text)?.public);
                }
                _ => {}
            }
        }
        if keys.is_empty() {
            return Err(unreadable("there is none"));
        }
        Ok(keys)
    }

    fn from_spki(der: &[u8]) -> Result<Self, PkiError> {
        let (_, info) =
            SubjectPublicKeyInfo::from_der(der).map_err(|error| unreadable(&error.to_string()))?;
        let curve = || {
            let oid = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
            Some(oid.to_id_string())
        };
        let algorithm = if info.algorithm.algorithm.to_id_string() == OID_RSA {
            SignatureAlgorithm::Rs256
        } else {
            match curve().as_deref() {
                Some(OID_P256) => SignatureAlgorithm::Es256,
                Some(OID_P384) => SignatureAlgorithm::Es384,
                Some(OID_P521) => SignatureAlgorithm::Es512,
                _ => return Err(unreadable("its algorithm is unknown")),
            }
        };
        // kubernetes 1.36: pkg/serviceaccount/jwt.go, keyIDFromPublicKey
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, der));
        Ok(Self { algorithm, raw: info.subject_public_key.data.to_vec(), id })
    }

    /// How the key signs.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The key's id in tokens: a hash of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the private half signed `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(self.algorithm.verification(), &self.raw);
        key.verify(message, signature).is_ok()
    }

    /// The members of a JSON Web Key (RFC 7517) that hold the key itself, in order of their names.
    pub fn web_key(&self) -> Vec<(&'static str, String)> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let curve = match self.algorithm {
            SignatureAlgorithm::Rs256 => {
                let Some((modulus, exponent)) = key::rsa_public(&self.raw) else {
                    return vec![("kty", "RSA".into())];
                };
                return vec![
                    ("e", encode(exponent)),
                    ("kty", "RSA".into()),
                    ("n", encode(modulus)),
                ];
            }
            SignatureAlgorithm::Es256 => "P-256",
            SignatureAlgorithm::Es384 => "P-384",
            SignatureAlgorithm::Es512 => "P-521",
        };
        // An uncompressed point: a tag and two coordinates.
        let coordinates = self.raw.get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        vec![("crv", curve.into()), ("kty", "EC".into()), ("x", encode(x)), ("y", encode(y))]
    }
}

fn unreadable(detail: &str) -> PkiError {
    PkiError::Parse { what: "the public key", detail: detail.to_owned() }
}

/// Whether `key`, a `SubjectPublicKeyInfo`, verifies a signature of an X.509 algorithm.
pub(super) fn verifies(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &str,
    message: &[u8],
    signed: &[u8],
) -> bool {
    let is_p256 = || matches!(key.parsed(), Ok(Parsed::EC(point)) if point.data().len() == 65);
    let is_p521 = || matches!(key.parsed(), Ok(Parsed::EC(point)) if point.data().len() == 133);
    let algorithm: &'static dyn VerificationAlgorithm = match algorithm {
        "1.2.840.113549.1.1.11" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "1.2.840.113549.1.1.12" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "1.2.840.113549.1.1.13" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "1.2.840.10045.4.3.2" if is_p256() => &signature::ECDSA_P256_SHA256_ASN1,
        "1.2.840.10045.4.3.2" => &signature::ECDSA_P384_SHA256_ASN1,
        "1.2.840.10045.4.3.3" if is_p256() => &signature::ECDSA_P256_SHA384_ASN1,
        "1.2.840.10045.4.3.3" => &signature::ECDSA_P384_SHA384_ASN1,
        "1.2.840.10045.4.3.4" if is_p521() => &signature::ECDSA_P521_SHA512_ASN1,
        "1.2.840.10045.4.3.4" => &signature::ECDSA_P384_SHA512_ASN1,
        "1.3.101.112" => &signature::ED25519,
        _ => return false,
    };
    UnparsedPublicKey::new(algorithm, &key.subject_public_key.data).verify(message, signed).is_ok()
}
