//! Puts engine, controllers, providers and workload host together.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Event;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::KUBERNETES_VERSION;
use super::config::Config;
use super::wait::index_machines;
use crate::api;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::apiserver::authorization::install_default_roles;
use crate::apiserver::crds::install_builtin_crds;
use crate::apiserver::{ApiServer, Options, Profile, ServiceUrls};
use crate::client::{Client, ClientError, ClusterCache};
use crate::clock::Clock;
use crate::contract::versions::ContractVersions;
use crate::controllers;
use crate::machinery::builtin;
use crate::providers::{bootstrap, controlplane, core, infrastructure};
use crate::runtime::{Informer, Manager, RemoteInformers};
use crate::workload::{Host, HostOptions};

/// History of the management API, for watches that fall behind.
const MANAGEMENT_HISTORY_BYTES: usize = 32 << 20;

/// What runs behind the management API.
pub(super) struct Running {
    pub(super) clusters: Informer<Cluster>,
    pub(super) machines: Informer<Machine>,
    pub(super) control_planes: Informer<KubeadmControlPlane>,
    pub(super) events: Option<Informer<Event>>,
    pub(super) manager: Arc<Manager>,
    pub(super) connections: ClusterCache,
    host: Host,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The management API, with all kinds of Cluster API served.
pub(super) fn management_api(clock: &Clock, webhooks: &ServiceUrls) -> ApiServer {
    let mut definitions = builtin::definitions();
    let custom = api::definitions::definitions();
    definitions.extend(custom.iter().cloned());
    let options = Options {
        history_bytes: MANAGEMENT_HISTORY_BYTES,
        git_version: KUBERNETES_VERSION.to_owned(),
        webhooks: webhooks.clone(),
        ..Options::new(clock.clone())
    };
    let server = ApiServer::new(&Profile::new(definitions), options);
    install_builtin_crds(&server, &custom, api::definitions::labels);
    install_default_roles(&server);
    server
}

fn contract_versions() -> ContractVersions {
    let versions = ContractVersions::default();
    for definition in api::definitions::definitions() {
        let labels = api::definitions::labels(&definition);
        let labels = labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
        versions.insert_labelled(&definition.group, &definition.kind, &definition.plural, labels);
    }
    versions
}

/// Starts the controllers and the workload host.
pub(super) async fn start(
    config: &Config,
    server: &ApiServer,
    client: &Client,
    settings: controllers::Settings,
) -> Result<Running, ClientError> {
    controllers::seed_namespaces(client).await?;
    let clock = &config.clock;
    let connections = ClusterCache::new();
    let host = Host::new(HostOptions {
        address: config.address,
        ports: config.workload_ports.clone(),
        profile: Profile::new(builtin::definitions()),
        clock: clock.clone(),
        seed: config.seed,
        clusters: connections.clone(),
        git_version: KUBERNETES_VERSION.to_owned(),
    });
    let manager = Arc::new(Manager::new(client.clone(), clock.clone()));
    let remote = RemoteInformers::new(connections.clone(), clock.clone());
    let versions = contract_versions();
    let machines = manager.informer::<Machine>();
    index_machines(&machines);
    let running = Running {
        clusters: manager.informer(),
        machines,
        control_planes: manager.informer(),
        events: config.watch_events.then(|| manager.informer()),
        manager: manager.clone(),
        connections: connections.clone(),
        host: host.clone(),
        stop: CancellationToken::new(),
        tasks: Vec::new(),
    };
    core::add_controllers(&manager, &remote, &versions, config.seed);
    bootstrap::add_controllers(&manager, &remote, &versions);
    controlplane::add_controllers(&manager, &remote, &versions, config.seed);
    infrastructure::add_controllers(&manager, &host, config.seed);
    let tasks = vec![
        tokio::spawn(controllers::run(
            server.clone(),
            client.clone(),
            clock.clone(),
            settings,
            running.stop.clone(),
        )),
        tokio::spawn({
            let (manager, stop) = (manager, running.stop.clone());
            async move { manager.run(stop).await }
        }),
        tokio::spawn({
            let stop = running.stop.clone();
            async move { remote.run(stop).await }
        }),
    ];
    Ok(Running { tasks, ..running })
}

impl Running {
    /// Stops controllers, then workload clusters, and joins them.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            let _ = task.await;
        }
        self.host.shutdown().await;
    }
}
