//! Starting and stopping an API server with what belongs to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Credentials, KUBERNETES_VERSION};
use crate::apiserver::authorization::install_default_roles;
use crate::apiserver::serve::{Endpoint, TlsMaterial, serve};
use crate::apiserver::{
    Access, AdmissionPlugins, ApiServer, Identity, Options, Profile, ServiceRange,
};
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::controllers;
use crate::machinery::builtin;
use crate::pki::{CertifiedKey, PkiError};

/// History for watches that fall behind.
const HISTORY_BYTES: usize = 32 << 20;

/// The built-in kinds, shared by all servers of the process.
static PROFILE: LazyLock<Arc<Profile>> = LazyLock::new(|| Profile::new(builtin::definitions()));

/// Why an API server could not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The port could not be opened.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// Cause.
        source: io::Error,
    },
    /// Certificates could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The server refused its own first objects.
    #[error("failed to seed the API server: {0}")]
    Seed(#[from] ClientError),
}

/// What an API server shall be. Made by [`ControlPlane::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    address: IpAddr,
    advertised: Option<IpAddr>,
    port: u16,
    controllers: bool,
    serving: Option<CertifiedKey>,
    client_ca_pem: String,
    git_version: String,
    access: Arc<Access>,
    service_range: ServiceRange,
    admission_plugins: AdmissionPlugins,
    allow_privileged: bool,
}

impl Builder {
    /// Where to listen; without it on 127.0.0.1.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// The address that the Endpoints of the Service `kubernetes` name; without it the one that the
    /// server listens on. Loopback addresses are in no Endpoints.
    #[must_use]
    pub fn advertise(mut self, address: IpAddr) -> Self {
        self.advertised = Some(address);
        self
    }

    /// The port; 0, the default, takes any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// No controllers: namespaces stay Terminating, nothing is garbage collected. This is how a
    /// kube-apiserver behaves that runs alone, as in envtest.
    #[must_use]
    pub fn without_controllers(mut self) -> Self {
        self.controllers = false;
        self
    }

    /// Serves with this certificate in place of one of its own.
    #[must_use]
    pub fn serving_certificate(mut self, certificate: CertifiedKey) -> Self {
        self.serving = Some(certificate);
        self
    }

    /// Believes client certificates of these authorities (PEM), too.
    #[must_use]
    pub fn client_authorities(mut self, pem: &str) -> Self {
        self.client_ca_pem.push_str(pem);
        self
    }

    /// The addresses that Services get; 10.0.0.0/24 without it.
    #[must_use]
    pub fn service_range(mut self, range: ServiceRange) -> Self {
        self.service_range = range;
        self
    }

    /// Switches admission plug-ins on or off.
    #[must_use]
    pub fn admission_plugins(mut self, plugins: AdmissionPlugins) -> Self {
        self.admission_plugins = plugins;
        self
    }

    /// Whether containers may be privileged; they may without this.
    #[must_use]
    pub fn allow_privileged(mut self, allowed: bool) -> Self {
        self.allow_privileged = allowed;
        self
    }

    /// Decides who may in another way than by default.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = Arc::new(access);
        self
    }

    /// `gitVersion` of `/version`; without it [`KUBERNETES_VERSION`].
    #[must_use]
    pub fn git_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.git_version);
        self
    }

    /// Starts the server. It answers when this returns, and the usual namespaces exist.
    ///
    /// # Errors
    /// [`EmbedError`]; nothing is left behind then.
    pub async fn start(self) -> Result<ControlPlane, EmbedError> {
        let wanted = SocketAddr::new(self.address, self.port);
        let failed = |source| EmbedError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let advertised = self.advertised.unwrap_or(address.ip());
        let names = [address.ip(), advertised].map(reachable).map(|it| it.to_string());
        let credentials = Credentials::generate_for(&names)?;
        let clock = Clock::wall();
        let options = Options {
            history_bytes: HISTORY_BYTES,
            git_version: self.git_version.clone(),
            service_range: self.service_range.clone(),
            service_account_admission: self.admission_plugins.is_enabled("ServiceAccount"),
            owner_reference_enforcement: self
                .admission_plugins
                .is_enabled("OwnerReferencesPermissionEnforcement"),
            admission_plugins: self.admission_plugins.clone(),
            allow_privileged: self.allow_privileged,
            ..Options::new(clock.clone())
        };
        let server = ApiServer::with_access(&PROFILE, options, self.access.clone());
        install_default_roles(&server);
        let client = Client::in_process(&server, Identity::administrator("capim"), "capim");
        controllers::seed_namespaces(&client).await?;
        let service_address = self.service_range.first().into();
        let published = SocketAddr::new(advertised, address.port());
        controllers::publish_kubernetes_service(&client, published, service_address).await?;
        let stop = CancellationToken::new();
        let server_ca_pem = match &self.serving {
            Some(serving) => serving.certificate_pem.clone(),
            None => credentials.authority_pem().to_owned(),
        };
        let has_controllers = self.controllers;
        let settings = controllers::Settings {
            root_ca_pem: server_ca_pem.clone(),
            ..credentials.controller_settings()
        };
        let endpoint = self.endpoint(server.clone(), &credentials);
        let mut tasks = vec![tokio::spawn(serve(listener, endpoint, stop.clone()))];
        if has_controllers {
            let running =
                controllers::run(server.clone(), client.clone(), clock, settings, stop.clone());
            tasks.push(tokio::spawn(running));
        }
        let url = format!("https://{}", SocketAddr::new(reachable(address.ip()), address.port()));
        let stop = stop.drop_guard();
        Ok(ControlPlane { server, client, url, address, credentials, server_ca_pem, tasks, stop })
    }

    fn endpoint(self, server: ApiServer, credentials: &Credentials) -> Endpoint {
        let own = credentials.tls();
        let serving = self
            .serving
            .unwrap_or(CertifiedKey { certificate_pem: own.certificate_pem, key_pem: own.key_pem });
        let client_ca_pem = format!("{}\n{}", own.client_ca_pem, self.client_ca_pem);
        let tls = move || {
            Ok(TlsMaterial {
                certificate_pem: serving.certificate_pem.clone(),
                key_pem: serving.key_pem.clone(),
                client_ca_pem: client_ca_pem.clone(),
            })
        };
        Endpoint { server, tls: Arc::new(tls), open: Arc::new(|| true) }
    }
}

/// An address that clients on this machine can use.
fn reachable(address: IpAddr) -> IpAddr {
    if address.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address }
}

/// A running API server with its port, its controllers and an administrator's client.
pub struct ControlPlane {
    server: ApiServer,
    client: Client,
    url: String,
    address: SocketAddr,
    credentials: Credentials,
    server_ca_pem: String,
    tasks: Vec<JoinHandle<()>>,
    /// Ends the tasks when the value is dropped.
    stop: DropGuard,
}

impl ControlPlane {
    /// Settings of a server to be; they begin as [`ControlPlane::start`] has them.
    pub fn builder() -> Builder {
        Builder {
            address: Ipv4Addr::LOCALHOST.into(),
            advertised: None,
            port: 0,
            controllers: true,
            serving: None,
            client_ca_pem: String::new(),
            git_version: KUBERNETES_VERSION.to_owned(),
            access: Arc::default(),
            service_range: ServiceRange::default(),
            admission_plugins: AdmissionPlugins::default(),
            allow_privileged: true,
        }
    }

    /// A server on any free port of 127.0.0.1, with all built-in kinds, the usual namespaces and
    /// controllers for namespaces and garbage collection.
    ///
    /// # Errors
    /// [`EmbedError`]; nothing is left behind then.
    pub async fn start() -> Result<Self, EmbedError> {
        Self::builder().start().await
    }

    /// A client of an administrator, which reaches the engine without a socket.
    pub fn client(&self) -> kube::Client {
        self.client.kube().clone()
    }

    /// A client of somebody else, as `kubectl --as` would be.
    pub fn client_as(&self, identity: Identity) -> kube::Client {
        Client::in_process(&self.server, identity, "capim").kube().clone()
    }

    /// Where the server listens, e.g. `https://127.0.0.1:41235`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// An administrator's kubeconfig, with all certificates inside.
    pub fn kubeconfig(&self) -> String {
        self.credentials.kubeconfig(&self.url, &self.server_ca_pem)
    }

    /// A kubeconfig of another user: a client certificate for the name and at most two groups.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn kubeconfig_of(&self, user: &str, groups: &[&str]) -> Result<String, PkiError> {
        self.credentials.kubeconfig_of(&self.url, &self.server_ca_pem, user, groups)
    }

    /// The engine: its store, its resources, its counters.
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// Ends watches, closes the port and waits until all is gone.
    pub async fn stop(self) {
        self.server.shutdown();
        self.stop.disarm().cancel();
        for task in self.tasks {
            // A task that panicked has nothing left to stop.
            let _ = task.await;
        }
    }
}
