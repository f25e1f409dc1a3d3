//! Serving certificates of etcd members, made when the first client says hello.
//! (kubernetes v1.36: cmd/kubeadm/app/phases/certs, `etcd-server`)

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::membership::Member;
use crate::pki::{CertificateAuthority, LeafRequest, Usage};
use crate::workload::tls::{CertificateFiles, ServingKey};

/// Lifetime of a serving certificate: a year, as kubeadm's.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);

/// One provider for all members of the process.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// Whom a serving certificate is for.
#[derive(Debug)]
pub(super) struct ServingNames {
    id: u64,
    node: String,
    address: Option<IpAddr>,
}

impl ServingNames {
    /// Names of a member that has started.
    pub(super) fn of(member: &Member) -> Self {
        let address = member.client_urls.first().and_then(|url| {
            let host = url.strip_prefix("https://")?.rsplit_once(':')?.0;
            host.trim_matches(['[', ']']).parse().ok()
        });
        Self { id: member.id, node: member.name.clone(), address }
    }

    /// kubeadm's names, and that by which KubeadmControlPlane asks for the Pod.
    fn request(&self) -> LeafRequest {
        let mut addresses =
            vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        addresses.extend(self.address.filter(|address| !addresses.contains(address)));
        LeafRequest {
            common_name: self.node.clone(),
            organizations: Vec::new(),
            dns_names: vec![
                "localhost".to_owned(),
                self.node.clone(),
                format!("etcd-{}", self.node),
            ],
            addresses,
            usage: Usage::ServerAndClient,
            validity: VALIDITY,
        }
    }
}

/// The certificates of a cluster's members.
pub(super) struct ServingMaterial {
    key: ServingKey,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    /// Set by the first machine whose cluster has one.
    authority: Option<CertificateFiles>,
    /// By member. The configuration lives as long as a connection uses it: an idle cluster keeps
    /// the certificates only.
    members: BTreeMap<u64, (CertificateDer<'static>, Weak<ServerConfig>)>,
}

impl ServingMaterial {
    pub(super) fn new(key: ServingKey) -> Self {
        Self { key, made: Mutex::default() }
    }

    /// Takes the authority, unless there is one.
    pub(super) fn set_authority(&self, ca: &CertificateFiles) {
        self.made.lock().authority.get_or_insert_with(|| ca.clone());
    }

    /// The TLS configuration of a member: clients must present a certificate of the authority.
    ///
    /// # Errors
    /// A message when there is no authority or it cannot sign; the next connection tries again.
    pub(super) fn config(&self, names: &ServingNames) -> Result<Arc<ServerConfig>, String> {
        let mut made = self.made.lock();
        if let Some(config) = made.members.get(&names.id).and_then(|(_, config)| config.upgrade()) {
            return Ok(config);
        }
        let authority = made.authority.clone().ok_or("the cluster has no etcd CA")?;
        let known = made.members.get(&names.id).map(|(certificate, _)| certificate.clone());
        let certificate = match known {
            Some(certificate) => certificate,
            None => self.issue(&authority, names)?,
        };
        let config = Arc::new(self.configure(&authority, certificate.clone())?);
        made.members.insert(names.id, (certificate, Arc::downgrade(&config)));
        Ok(config)
    }

    fn issue(
        &self,
        ca: &CertificateFiles,
        names: &ServingNames,
    ) -> Result<CertificateDer<'static>, String> {
        let authority = CertificateAuthority::from_pem(&ca.certificate_pem, &ca.key_pem)
            .map_err(|error| error.to_string())?;
        let leaf = authority
            .issue_for_key(&names.request(), self.key.pem()?)
            .map_err(|error| error.to_string())?;
        CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes())
            .map_err(|error| format!("read the serving certificate: {error}"))
    }

    fn configure(
        &self,
        ca: &CertificateFiles,
        certificate: CertificateDer<'static>,
    ) -> Result<ServerConfig, String> {
        let key = PrivateKeyDer::from_pem_slice(self.key.pem()?.as_bytes())
            .map_err(|error| format!("read the serving key: {error}"))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.certificate_pem.as_bytes()) {
            let certificate = certificate.map_err(|error| format!("read the etcd CA: {error}"))?;
            roots.add(certificate).map_err(|error| format!("use the etcd CA: {error}"))?;
        }
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), PROVIDER.clone())
            .build()
            .map_err(|error| format!("use the etcd CA: {error}"))?;
        let mut config = ServerConfig::builder_with_provider(PROVIDER.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("configure TLS: {error}"))?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate], key)
            .map_err(|error| format!("use the serving certificate: {error}"))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}
