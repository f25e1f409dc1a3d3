//! The TLS configuration of a port, made when it is first needed.

use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsMaterial;
use crate::apiserver::authentication::{AcceptAnyClient, ClientAuthority};

/// One provider for all ports of the process.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// A port's side of TLS.
pub(super) struct PortTls {
    /// Handshake configuration.
    pub(super) config: Arc<ServerConfig>,
    /// Judges client certificates after the handshake.
    pub(super) clients: ClientAuthority,
}

/// Makes [`PortTls`] once.
pub(super) struct LazyConfig {
    make: Arc<dyn Fn() -> Result<TlsMaterial, String> + Send + Sync>,
    /// Set by the first connection for which `make` succeeds, read by all.
    made: Mutex<Option<Arc<PortTls>>>,
}

impl LazyConfig {
    pub(super) fn new(make: Arc<dyn Fn() -> Result<TlsMaterial, String> + Send + Sync>) -> Self {
        Self { make, made: Mutex::new(None) }
    }

    /// The configuration. Connections that arrive while it is made wait for it.
    ///
    /// # Errors
    /// A message when it cannot be made; the next connection tries again.
    pub(super) fn get(&self) -> Result<Arc<PortTls>, String> {
        let mut made = self.made.lock();
        if let Some(tls) = &*made {
            return Ok(tls.clone());
        }
        let tls = Arc::new(configure(&(self.make)()?)?);
        *made = Some(tls.clone());
        Ok(tls)
    }
}

fn configure(material: &TlsMaterial) -> Result<PortTls, String> {
    let chain = CertificateDer::pem_slice_iter(material.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("read the serving certificate: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(material.key_pem.as_bytes())
        .map_err(|error| format!("read the serving key: {error}"))?;
    let clients = ClientAuthority::new(&material.client_ca_pem, &PROVIDER)?;
    let verifier = AcceptAnyClient::new(&clients, PROVIDER.clone());
    let mut config = ServerConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("configure TLS: {error}"))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(chain, key)
        .map_err(|error| format!("use the serving certificate: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(PortTls { config: Arc::new(config), clients })
}
