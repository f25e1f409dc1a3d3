//! Starting and stopping a playground.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::config::{ApiPort, Config, PlaygroundError, url};
use super::identity;
use super::kubeconfig::write_private;
use super::kubelets::ManagementKubelets;
use super::providers::{self, Running};
use super::wait::Readiness;
use crate::apiserver::serve::{Endpoint, Gate, TlsMaterial};
use crate::apiserver::{ApiServer, Identity};
use crate::client::Client;
use crate::clock::Clock;
use crate::controllers::publish_kubernetes_service;
use crate::embed::Credentials;
use crate::tui;

/// A running playground.
pub struct Playground {
    server: ApiServer,
    client: Client,
    clock: Clock,
    url: String,
    kubeconfig: String,
    kubeconfig_path: PathBuf,
    /// Names of the providers that run elsewhere.
    external: Vec<&'static str>,
    running: Running,
    /// How many clients are connected; written by the listener's connections.
    clients: watch::Receiver<usize>,
    listener: JoinHandle<()>,
    stop_listener: CancellationToken,
}

impl Playground {
    /// Starts everything. The API answers when this returns; the controllers start in the
    /// background.
    ///
    /// # Errors
    /// [`PlaygroundError`]; nothing is left behind then.
    pub async fn start(config: Config) -> Result<Self, PlaygroundError> {
        let listener = bind(&config).await?;
        let address = listener.local_addr().map_err(|source| listen_error(&config, 0, source))?;
        let names = config.host_names();
        let url = url(&names[0], address.port());
        let kubelets = ManagementKubelets::new();
        let credentials = Certified::begin(config.identity.clone(), names);
        let server = providers::management_api(&config.clock, &config.webhooks, kubelets.clone());
        server.tell_clients_apart();
        let credentials = credentials.end().await?;
        let kubeconfig = credentials.kubeconfig_named(&config.context, &url);
        let stop_listener = CancellationToken::new();
        let endpoint = endpoint(&credentials, server.clone());
        let gate = Gate::new(endpoint);
        let clients = gate.clients();
        let serving = tokio::spawn(gate.serve(listener, stop_listener.clone()));
        let client = Client::in_process(&server, Identity::administrator("system:capim"), "capim");
        let started = async {
            let running =
                providers::start(&config, &server, &client, credentials.controller_settings())
                    .await?;
            let service_address = server.options().service_range.first().into();
            publish_kubernetes_service(&client, address, service_address).await?;
            kubelets.set_host(running.host.clone());
            if let Some(path) = &config.kubeconfig {
                write_private(path, &kubeconfig)
                    .map_err(|source| PlaygroundError::Kubeconfig { path: path.clone(), source })?;
            }
            Ok(running)
        };
        match started.await {
            Ok(running) => Ok(Self {
                server,
                client,
                clock: config.clock,
                url,
                kubeconfig,
                kubeconfig_path: config.kubeconfig.unwrap_or_default(),
                external: config.providers.external().iter().map(|it| it.name()).collect(),
                running,
                clients,
                listener: serving,
                stop_listener,
            }),
            Err(error) => {
                stop_listener.cancel();
                let _ = serving.await;
                Err(error)
            }
        }
    }

    /// Stops controllers, workload clusters and the management API, in this order, and joins
    /// everything.
    pub async fn stop(self) {
        self.running.stop().await;
        self.server.shutdown();
        self.stop_listener.cancel();
        let _ = self.listener.await;
    }

    /// The management API without its transport.
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// An administrator's in-process client of the management API.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The playground's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// URL of the management API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// An administrator's kubeconfig of the management API.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// Where that kubeconfig was written; empty if nowhere.
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig_path
    }

    /// Names of the providers that the user runs.
    pub fn external(&self) -> &[&'static str] {
        &self.external
    }

    /// How many clients are connected to the management API.
    pub fn clients(&self) -> watch::Receiver<usize> {
        self.clients.clone()
    }

    /// Number of Cluster objects.
    pub fn cluster_count(&self) -> usize {
        self.running.clusters.len()
    }

    /// Tells when the clusters are ready.
    pub fn readiness(&self) -> Readiness {
        Readiness::new(
            self.running.clusters.clone(),
            self.running.machines.clone(),
            self.clock.clone(),
        )
    }

    /// What the dashboard shows.
    pub fn sources(&self) -> tui::Sources {
        tui::Sources {
            clusters: self.running.clusters.clone(),
            machines: self.running.machines.clone(),
            control_planes: self.running.control_planes.clone(),
            events: self.running.events.clone(),
            clock: self.clock.clone(),
            url: self.url.clone(),
            kubeconfig: self.kubeconfig_path.display().to_string(),
            external: self.external.clone(),
            client: self.client.clone(),
            connection: tui::Connection::in_process(),
            read_only: false,
        }
    }

    /// Connections to the workload clusters.
    pub fn connections(&self) -> &crate::client::ClusterCache {
        &self.running.connections
    }

    /// The controllers' manager, for tests and benches.
    pub fn manager(&self) -> &crate::runtime::Manager {
        &self.running.manager
    }
}

/// Certificates that are made while the API server is: either costs half of a start.
struct Certified(JoinHandle<Result<Credentials, PlaygroundError>>);

impl Certified {
    fn begin(identity: Option<PathBuf>, names: Vec<String>) -> Self {
        Self(tokio::task::spawn_blocking(move || match identity {
            Some(directory) => identity::keep(&directory, &names),
            None => Ok(Credentials::generate_for(&names)?),
        }))
    }

    async fn end(self) -> Result<Credentials, PlaygroundError> {
        self.0.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

fn endpoint(credentials: &Credentials, server: ApiServer) -> Endpoint {
    let TlsMaterial { certificate_pem, key_pem, client_ca_pem } = credentials.tls();
    let tls = move || {
        Ok(TlsMaterial {
            certificate_pem: certificate_pem.clone(),
            key_pem: key_pem.clone(),
            client_ca_pem: client_ca_pem.clone(),
        })
    };
    Endpoint { server, tls: Arc::new(tls), open: Arc::new(|| true) }
}

async fn bind(config: &Config) -> Result<TcpListener, PlaygroundError> {
    let (first, last) = match config.api_port {
        ApiPort::Exact(port) => (port, port),
        ApiPort::FirstFree(first, last) => (first, last),
    };
    for port in first..=last {
        match TcpListener::bind((config.address, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(source) => return Err(listen_error(config, port, source)),
        }
    }
    Err(PlaygroundError::PortTaken { port: first })
}

fn listen_error(config: &Config, port: u16, source: std::io::Error) -> PlaygroundError {
    PlaygroundError::Listen { address: SocketAddr::new(config.address, port).to_string(), source }
}
