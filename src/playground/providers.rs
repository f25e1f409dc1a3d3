//! Puts engine, controllers, providers and workload host together.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Event;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::KUBERNETES_VERSION;
use super::config::Config;
use super::inventory;
use super::kubelets::ManagementKubelets;
use super::states;
use super::wait::index_machines;
use crate::api;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::apiserver::authorization::install_default_roles;
use crate::apiserver::crds::install_builtin_crds;
use crate::apiserver::{ApiServer, HookCaller, Options, Profile, ServiceUrls};
use crate::client::{Client, ClientError, ClusterCache};
use crate::clock::{Clock, Seed};
use crate::contract::versions::ContractVersions;
use crate::controllers;
use crate::extensions::Extensions;
use crate::machinery::builtin;
use crate::metrics::Registry;
use crate::pki::KeyAlgorithm;
use crate::providers::{
    Provider, Selection, addons, bootstrap, connections, controlplane, core, infrastructure,
};
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
    pub(super) host: Host,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The management API, with all kinds of Cluster API served.
pub(super) fn management_api(
    clock: &Clock,
    webhooks: &ServiceUrls,
    kubelets: Arc<ManagementKubelets>,
) -> ApiServer {
    let mut definitions = builtin::definitions();
    let custom = api::definitions::definitions();
    definitions.extend(custom.iter().cloned());
    let options = Options {
        history_bytes: MANAGEMENT_HISTORY_BYTES,
        git_version: KUBERNETES_VERSION.to_owned(),
        webhooks: webhooks.clone(),
        kubelets: Some(kubelets),
        ..Options::new(clock.clone())
    };
    let server = ApiServer::new(&Profile::new(definitions), options);
    install_builtin_crds(&server, &custom, api::definitions::labels);
    install_default_roles(&server);
    server
}

pub(super) fn contract_versions() -> ContractVersions {
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
    // clusterctl's memory is of no use to the controllers.
    if let Err(error) = inventory::seed(client, &config.clock, &config.providers).await {
        tracing::warn!(%error, "failed to write the inventory of providers");
    }
    let clock = &config.clock;
    let connections = ClusterCache::new();
    let host = host(config, &connections);
    let metrics = Registry::default();
    let counted = client.clone().counted(&metrics);
    let manager = Arc::new(Manager::with_metrics(counted, clock.clone(), metrics));
    server.publish(manager.metrics());
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
    states::publish(manager.metrics(), &running.clusters, &running.machines);
    Providers {
        manager: &manager,
        remote: &remote,
        versions: &versions,
        seed: config.seed,
        extensions: &extensions(server, &manager),
    }
    .add(&config.providers);
    if config.providers.has(Provider::Infra) {
        infrastructure::add_controllers(&manager, &host, config.seed);
    }
    let mut tasks = vec![
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
    ];
    // Copies of workload clusters are for those who look into them.
    if config.providers.reads_workloads() {
        let stop = running.stop.clone();
        tasks.push(tokio::spawn(async move { remote.run(stop).await }));
    }
    Ok(Running { tasks, ..running })
}

/// The host of the workload clusters, which tells `connections` of them.
fn host(config: &Config, connections: &ClusterCache) -> Host {
    Host::new(HostOptions {
        address: config.address,
        names: config.host_names(),
        ports: config.workload_ports.clone(),
        profile: Profile::new(builtin::definitions()),
        clock: config.clock.clone(),
        seed: config.seed,
        clusters: connections.clone(),
        git_version: KUBERNETES_VERSION.to_owned(),
    })
}

/// Calls of runtime extensions. The store is new: there is no ExtensionConfig yet that would have to
/// be waited for.
fn extensions(server: &ApiServer, manager: &Manager) -> Extensions {
    let (client, metrics) = (manager.client().clone(), manager.metrics().clone());
    Extensions::new(client, HookCaller::of_server(server), manager.clock().clone(), metrics)
}

/// What the controllers of every provider but the infrastructure's are made from.
pub(super) struct Providers<'a> {
    pub(super) manager: &'a Manager,
    pub(super) remote: &'a RemoteInformers,
    pub(super) versions: &'a ContractVersions,
    pub(super) seed: Seed,
    pub(super) extensions: &'a Extensions,
}

impl Providers<'_> {
    /// Adds the controllers of those that run here, and, if the infrastructure runs elsewhere, the
    /// one that connects them to its workload clusters.
    pub(super) fn add(&self, selection: &Selection) {
        let Self { manager, remote, versions, seed, extensions } = *self;
        let has_infra = selection.has(Provider::Infra);
        if selection.has(Provider::Core) {
            core::add_controllers(manager, remote, versions, seed, extensions);
        }
        if selection.has(Provider::Addons) {
            addons::add_controllers(manager, remote, extensions);
        }
        // Upstream's in-memory provider reads no other keys than RSA's.
        let algorithm = if has_infra { KeyAlgorithm::EcdsaP256 } else { KeyAlgorithm::Rsa2048 };
        if selection.has(Provider::KubeadmBootstrap) {
            bootstrap::add_controllers(manager, remote, versions, algorithm);
        }
        if selection.has(Provider::KubeadmControlPlane) {
            controlplane::add_controllers(manager, remote, versions, seed, algorithm);
        }
        if selection.reads_workloads() && !has_infra {
            connections::add_controllers(manager, remote);
        }
    }
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
