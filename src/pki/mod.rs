//! Certificate authorities, leaf certificates, keys and kubeconfigs. Always in wall time.

mod authority;
mod cluster;
mod digest;
mod key;
mod kubeconfig;
mod pem;
mod request;
mod signing;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

pub use authority::{CertificateAuthority, remaining_validity};
pub use cluster::{ADMIN_LIFE, ClusterPair};
pub use digest::sha256_hex;
pub use key::generate_key_pem;
pub use kubeconfig::Kubeconfig;
pub use pem::{PemBlock, pem_blocks};
pub use request::{SigningRequest, check_certificates_pem};
pub use signing::{PublicKey, SignatureAlgorithm, SigningKey};

/// Algorithm of a key pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256: 20 µs to make. The default.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// RSA with 2048 bits: 60 ms of CPU to make.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
}

/// Failures of this room.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key or certificate could not be made.
    #[error("failed to make {what}: {source}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// Cause.
        source: rcgen::Error,
    },
    /// A subject with more organizations than can be written.
    #[error("failed to make a certificate for {common_name}: more than two organizations")]
    TooManyOrganizations {
        /// The subject.
        common_name: String,
    },
    /// PEM input that is not what it should be.
    #[error("{what} is not valid PEM: {detail}")]
    Parse {
        /// What was to be read.
        what: &'static str,
        /// Cause.
        detail: String,
    },
    /// A signature or random numbers could not be made.
    #[error("failed to sign")]
    Sign,
    /// The process is going down.
    #[error("interrupted while making keys")]
    Interrupted,
}

/// A certificate with its private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedKey {
    /// Certificate, PEM.
    pub certificate_pem: String,
    /// Private key, PEM (PKCS#1 or SEC1 or PKCS#8).
    pub key_pem: String,
}

/// What a leaf certificate says.
#[derive(Clone, Debug)]
pub struct LeafRequest {
    /// Subject common name.
    pub common_name: String,
    /// Subject organizations (Kubernetes groups).
    pub organizations: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Extended key usages.
    pub usage: Usage,
    /// Lifetime from now.
    pub validity: Duration,
}

/// Extended key usage of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// TLS server.
    Server,
    /// TLS client.
    Client,
    /// Both (etcd members).
    ServerAndClient,
}

/// A key pair for service account tokens, as Secret `<cluster>-sa` holds it.
#[derive(Clone, Debug)]
pub struct ServiceAccountKeys {
    /// Public key, PEM (`PUBLIC KEY`).
    pub public_pem: String,
    /// Private key, PEM.
    pub private_pem: String,
}

impl ServiceAccountKeys {
    /// Makes a key pair.
    ///
    /// # Errors
    /// [`PkiError::Make`] when the key cannot be made.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, PkiError> {
        let pair = key::generate(algorithm)?;
        Ok(Self { public_pem: key::public_pem(&pair), private_pem: key::private_pem(&pair)? })
    }
}
