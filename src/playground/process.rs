//! Providers alone, against a management API that runs elsewhere: a playground's, or any other
//! that serves Cluster API's kinds.
//!
//! Nothing but a kubeconfig connects the two. One process of several works, elected by the Leases
//! that the providers' own managers use; it ends when it loses one. What the infrastructure
//! provider had in memory comes back from objects: ports from control plane endpoints, machines
//! that were provisioned at once.

use std::collections::BTreeSet;
use std::error::Error;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{self, FutureExt};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::KUBERNETES_VERSION;
use super::config::host_names;
use super::providers::Providers;
use crate::api;
use crate::api::runtime::ExtensionConfig;
use crate::apiserver::{HookCaller, Profile, ServiceUrls};
use crate::client::{Client, ClientError, ClusterCache, ObjectKey};
use crate::clock::{Clock, Seed};
use crate::contract::versions::ContractVersions;
use crate::extensions::Extensions;
use crate::machinery::builtin;
use crate::metrics::Registry;
use crate::providers::{Provider, Selection, infrastructure};
use crate::runtime::{LeaderElection, LeaderError, Manager, RemoteInformers};
use crate::workload::{Host, HostOptions};

#[cfg(test)]
mod tests;

/// How long the management API may take for its first answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long controllers and workload clusters may take to end.
const END_MAX: Duration = Duration::from_millis(1300);
/// How long the Leases' release may take then: whoever waits for one that was not released waits
/// longer.
const RELEASE_MAX: Duration = Duration::from_secs(5);

/// What a process of providers is to be.
pub struct ProcessConfig {
    /// The management API.
    pub client: Client,
    /// What to run.
    pub providers: Selection,
    /// Address of the workload clusters' listeners.
    pub address: IpAddr,
    /// Host names and addresses under which clients reach them; the first is what endpoints name.
    pub names: Vec<String>,
    /// Ports of the workload clusters.
    pub workload_ports: RangeInclusive<u16>,
    /// Seed of ids and jitter; the same one gives the same ids after a restart. `None` for one that
    /// belongs to the management API.
    pub seed: Option<Seed>,
    /// Source of time.
    pub clock: Clock,
    /// This process's name in Leases; `None` elects no leader.
    pub identity: Option<String>,
    /// Namespace of the Leases; `None` for each provider's own.
    pub lease_namespace: Option<String>,
}

/// Why providers cannot run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The management API does not answer.
    #[error("failed to reach the management API: {0}")]
    Unreachable(String),
    /// It does not believe the credentials.
    #[error("the management API refuses the credentials: {0}")]
    Credentials(String),
    /// Definitions are missing.
    #[error("the management API does not serve {}", .0.join(", "))]
    MissingKinds(Vec<String>),
    /// A request was refused.
    #[error("failed to {what}: {source}")]
    Request {
        /// What was tried.
        what: String,
        /// The refusal.
        source: ClientError,
    },
    /// The Lease is gone.
    #[error("leader election lost: {0}")]
    Leader(#[from] LeaderError),
}

/// What a process tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The API answers and has all kinds.
    Connected,
    /// Waits for its Leases.
    Electing,
    /// The controllers run.
    Working,
}

/// Providers against a management API; made by [`ProviderProcess::connect`].
pub struct ProviderProcess {
    config: ProcessConfig,
    seed: Seed,
    versions: ContractVersions,
    /// Families of infrastructure kinds that are served.
    has_dev_kinds: bool,
    has_in_memory_kinds: bool,
    has_pool_kinds: bool,
}

impl ProviderProcess {
    /// Looks whether the management API answers and has what the providers need.
    ///
    /// # Errors
    /// [`ProcessError`]
    pub async fn connect(config: ProcessConfig) -> Result<Self, ProcessError> {
        let asked = config.clock.timeout(ANSWER_MAX, config.client.get_json("/version")).await;
        match asked {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(unanswered(&error)),
            Err(late) => return Err(ProcessError::Unreachable(late.to_string())),
        }
        let kinds = ServedKinds::ask(&config.client).await?;
        let missing = kinds.missing(&config.providers);
        if !missing.is_empty() {
            return Err(ProcessError::MissingKinds(missing));
        }
        let versions = contract_versions(&config.client).await.map_err(|source| {
            ProcessError::Request { what: "list CustomResourceDefinitions".to_owned(), source }
        })?;
        let has_dev_kinds = kinds.has_dev();
        let has_in_memory_kinds = kinds.has_in_memory();
        let has_pool_kinds = kinds.has_pools();
        let seed = match config.seed {
            Some(seed) => seed,
            None => seed_of(&config.client).await?,
        };
        Ok(Self { config, seed, versions, has_dev_kinds, has_in_memory_kinds, has_pool_kinds })
    }

    /// Works until `stop` is cancelled, then ends within two seconds and gives its Leases back.
    /// `told` hears of every stage.
    ///
    /// # Errors
    /// [`ProcessError`]; all has ended then, too.
    pub async fn run(
        self,
        stop: CancellationToken,
        told: impl Fn(Stage),
    ) -> Result<(), ProcessError> {
        told(Stage::Connected);
        let mut elections = self.elections().await?;
        if !elections.is_empty() {
            told(Stage::Electing);
        }
        let outcome = match stop.run_until_cancelled(acquire(&mut elections)).await {
            None => Ok(()),
            Some(Err(lost)) => Err(lost.into()),
            Some(Ok(())) => {
                let running = self.start().await?;
                told(Stage::Working);
                let lost = stop.run_until_cancelled(keep(&mut elections)).await;
                // What does not end in time is dropped with the process.
                let _ = self.config.clock.timeout(END_MAX, running.stop()).await;
                lost.map_or(Ok(()), |lost| Err(lost.into()))
            }
        };
        let released = future::join_all(elections.iter_mut().map(LeaderElection::release));
        let _ = self.config.clock.timeout(RELEASE_MAX, released).await;
        outcome
    }

    /// A candidate for the Lease of every provider, in namespaces that exist.
    async fn elections(&self) -> Result<Vec<LeaderElection>, ProcessError> {
        let Some(identity) = &self.config.identity else { return Ok(Vec::new()) };
        let mut elections = Vec::new();
        for provider in self.config.providers.iter() {
            let own = self.config.lease_namespace.as_deref();
            let namespace = own.unwrap_or(provider.namespace());
            ensure_namespace(&self.config.client, namespace).await?;
            let lease = ObjectKey::new(namespace, provider.lease());
            let (client, clock) = (self.config.client.clone(), self.config.clock.clone());
            elections.push(LeaderElection::new(client, clock, lease, identity.clone()));
        }
        Ok(elections)
    }

    /// Handlers of ExtensionConfigs that are there already are waited for.
    async fn extensions(&self, metrics: Registry) -> Result<Extensions, ProcessError> {
        let ProcessConfig { client, clock, .. } = &self.config;
        let caller = HookCaller::with_names(ServiceUrls::default(), clock.clone());
        let extensions = Extensions::new(client.clone(), caller, clock.clone(), metrics);
        if self.config.providers.has(Provider::Core) {
            let configs = client.list::<ExtensionConfig>("", "").await.map_err(|source| {
                ProcessError::Request { what: "list ExtensionConfigs".to_owned(), source }
            })?;
            let names = configs.into_iter().filter_map(|config| config.metadata.name);
            extensions.await_first(names);
        }
        Ok(extensions)
    }

    async fn start(&self) -> Result<Working, ProcessError> {
        let config = &self.config;
        let clusters = ClusterCache::new();
        let clock = &config.clock;
        let remote = RemoteInformers::new(clusters.clone(), clock.clone());
        let manager = Arc::new(Manager::new(config.client.clone(), clock.clone()));
        let extensions = self.extensions(manager.metrics().clone()).await?;
        let host = Host::new(HostOptions {
            address: config.address,
            names: host_names(config.address, &config.names),
            ports: config.workload_ports.clone(),
            profile: Profile::new(builtin::definitions()),
            clock: clock.clone(),
            seed: self.seed,
            clusters,
            git_version: KUBERNETES_VERSION.to_owned(),
        });
        Providers {
            manager: &manager,
            remote: &remote,
            versions: &self.versions,
            seed: self.seed,
            extensions: &extensions,
        }
        .add(&config.providers);
        if config.providers.has(Provider::Infra) {
            if self.has_dev_kinds {
                infrastructure::add_dev_controllers(&manager, &host, self.seed);
            }
            if self.has_pool_kinds {
                infrastructure::add_pool_controllers(&manager, self.seed);
            }
            if self.has_in_memory_kinds {
                infrastructure::add_in_memory_controllers(&manager, &host, self.seed);
            }
        }
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();
        let token = stop.clone();
        tasks.push(tokio::spawn(async move { manager.run(token).await }));
        if config.providers.reads_workloads() {
            let token = stop.clone();
            tasks.push(tokio::spawn(async move { remote.run(token).await }));
        }
        Ok(Working { host, stop, tasks })
    }
}

/// Controllers and workload clusters at work.
struct Working {
    host: Host,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Working {
    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            // A task that panicked has nothing left to stop.
            let _ = task.await;
        }
        self.host.shutdown().await;
    }
}

/// Takes all Leases, one after the other, and keeps those that it has in the meantime.
async fn acquire(elections: &mut [LeaderElection]) -> Result<(), LeaderError> {
    for next in 0..elections.len() {
        let (held, waiting) = elections.split_at_mut(next);
        tokio::select! {
            acquired = waiting[0].acquire() => acquired?,
            lost = keep(held) => return Err(lost),
        }
    }
    Ok(())
}

/// Keeps all Leases until one is lost; for ever if there are none.
async fn keep(elections: &mut [LeaderElection]) -> LeaderError {
    if elections.is_empty() {
        return future::pending().await;
    }
    let keeping = elections.iter_mut().map(|election| election.keep().boxed());
    future::select_all(keeping).await.0
}

/// The same for every process that works with a management API: that of its `kube-system`. Who may
/// not read it has the same ids everywhere.
async fn seed_of(client: &Client) -> Result<Seed, ProcessError> {
    let namespace = match client.get::<Namespace>(&ObjectKey::new("", "kube-system")).await {
        Ok(namespace) => namespace,
        Err(error) if error.code() == Some(403) => None,
        Err(source) => {
            return Err(ProcessError::Request {
                what: "get namespace kube-system".to_owned(),
                source,
            });
        }
    };
    let uid = namespace.and_then(|namespace| namespace.metadata.uid);
    Ok(Seed(Seed(0).number(&[uid.as_deref().unwrap_or_default()])))
}

async fn ensure_namespace(client: &Client, name: &str) -> Result<(), ProcessError> {
    let failed = |verb: &str, source| ProcessError::Request {
        what: format!("{verb} namespace {name}"),
        source,
    };
    let key = ObjectKey::new("", name);
    match client.get::<Namespace>(&key).await {
        Ok(Some(_)) => return Ok(()),
        // Who may not read namespaces finds out with the Lease.
        Err(error) if error.code() == Some(403) => return Ok(()),
        Ok(None) => {}
        Err(source) => return Err(failed("get", source)),
    }
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    match client.create(&namespace).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_already_exists() => Ok(()),
        Err(source) => Err(failed("create", source)),
    }
}

/// The kinds of Cluster API that a server serves.
struct ServedKinds(BTreeSet<String>);

impl ServedKinds {
    async fn ask(client: &Client) -> Result<Self, ProcessError> {
        let versions: BTreeSet<String> = api::definitions::definitions()
            .iter()
            .map(|definition| format!("{}/{}", definition.group, definition.version))
            .collect();
        let mut served = BTreeSet::new();
        for version in versions {
            let path = format!("/apis/{version}");
            let list = match client.get_json(&path).await {
                Ok(list) => list,
                Err(error) if error.is_not_found() => continue,
                Err(source) => {
                    return Err(ProcessError::Request { what: format!("get {path}"), source });
                }
            };
            let resources = list.get("resources").and_then(Value::as_array);
            let names = resources.into_iter().flatten().filter_map(|it| it["name"].as_str());
            served.extend(names.map(|name| format!("{version}/{name}")));
        }
        Ok(Self(served))
    }

    /// Kinds that the providers need and the server lacks, with their version.
    fn missing(&self, providers: &Selection) -> Vec<String> {
        let mut missing = Vec::new();
        let has_some_infra = self.has_dev() || self.has_in_memory();
        let all = api::definitions::definitions().into_iter();
        for definition in all.filter(|definition| definition.serving.stored) {
            let (group, plural) = (&*definition.group, &*definition.plural);
            let is_needed = match group {
                // Everybody follows Clusters and Machines.
                "cluster.x-k8s.io" => {
                    matches!(plural, "clusters" | "machines")
                        || providers.has(Provider::Core)
                        || (plural == "machinepools" && providers.has(Provider::KubeadmBootstrap))
                }
                "infrastructure.cluster.x-k8s.io" => {
                    providers.has(Provider::Infra)
                        && !has_some_infra
                        && matches!(plural, "devclusters" | "devmachines")
                }
                // Control planes make the KubeadmConfigs of their Machines.
                "bootstrap.cluster.x-k8s.io" => {
                    providers.has(Provider::KubeadmBootstrap)
                        || providers.has(Provider::KubeadmControlPlane)
                }
                "controlplane.cluster.x-k8s.io" => providers.has(Provider::KubeadmControlPlane),
                "addons.cluster.x-k8s.io" => providers.has(Provider::Addons),
                "runtime.cluster.x-k8s.io" => providers.has(Provider::Core),
                // Those that are asked for at run time or by nobody yet.
                _ => false,
            };
            let is_template = plural.ends_with("templates");
            if is_needed && !is_template && !self.has(group, &definition.version, plural) {
                missing.push(format!("{plural}.{group} in {}", definition.version));
            }
        }
        missing
    }

    fn has(&self, group: &str, version: &str, plural: &str) -> bool {
        self.0.contains(&format!("{group}/{version}/{plural}"))
    }

    fn has_dev(&self) -> bool {
        let has = |plural| self.has("infrastructure.cluster.x-k8s.io", "v1beta2", plural);
        has("devclusters") && has("devmachines")
    }

    fn has_pools(&self) -> bool {
        self.has_dev()
            && self.has("infrastructure.cluster.x-k8s.io", "v1beta2", "devmachinepools")
            && self.has("cluster.x-k8s.io", "v1beta2", "machinepools")
    }

    fn has_in_memory(&self) -> bool {
        let has = |plural| self.has("infrastructure.cluster.x-k8s.io", "v1alpha1", plural);
        has("inmemoryclusters") && has("inmemorymachines")
    }
}

/// The contract versions of all kinds that the server has definitions of.
///
/// # Errors
/// They could not be listed.
pub(super) async fn contract_versions(client: &Client) -> Result<ContractVersions, ClientError> {
    let definitions = client.list::<CustomResourceDefinition>("", "").await?;
    let versions = ContractVersions::default();
    for definition in definitions {
        let labels = definition.metadata.labels.unwrap_or_default();
        let names = definition.spec.names;
        versions.insert_labelled(
            &definition.spec.group,
            &names.kind,
            &names.plural,
            labels.iter().map(|(label, value)| (label.as_str(), value.as_str())),
        );
    }
    Ok(versions)
}

/// Why the first request was not answered.
fn unanswered(error: &ClientError) -> ProcessError {
    match error.code() {
        Some(401 | 403) => ProcessError::Credentials(error.to_string()),
        Some(_) | None => ProcessError::Unreachable(causes(error)),
    }
}

/// An error with its causes, outermost first.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
