//! One reconcile of a KubeadmConfig.
//! (CAPI v1.14: bootstrap/kubeadm/reconcilers/kubeadmconfig/kubeadmconfig_controller.go)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::certificates::{CertificateError, Certificates, Making};
use super::cloud_init::{Action, File};
use super::discovery::{self, Discovery};
use super::lock::{self, Lock};
use super::owner::ConfigOwner;
use super::status::{self, Conditions, Severity};
use super::token::{self, TokenState};
use super::{data, files};
use crate::api::bootstrap::KubeadmConfig;
use crate::api::core::{Cluster, Machine};
use crate::api::pools::MachinePool;
use crate::client::{Client, ClusterCache, ObjectKey};
use crate::clock::Clock;
use crate::contract::versions::ContractVersions;
use crate::contract::{conditions, owners, paused};
use crate::machinery::gvk::split_api_version;
use crate::machinery::kubeadm::is_empty;
use crate::pki::KeyAlgorithm;
use crate::runtime::{Informer, Outcome, ReconcileError, Reconciler, patch_object};

/// No event tells when the machine that holds the init lock is gone.
const LOCK_RETRY: Duration = Duration::from_secs(30);

/// Live copies that the reconciler reads.
pub(super) struct Caches {
    pub(super) configs: Informer<KubeadmConfig>,
    pub(super) machines: Informer<Machine>,
    pub(super) pools: Informer<MachinePool>,
    pub(super) clusters: Informer<Cluster>,
}

/// Reconciles KubeadmConfigs.
pub(super) struct KubeadmConfigReconciler {
    client: Client,
    clock: Clock,
    caches: Caches,
    remotes: ClusterCache,
    versions: ContractVersions,
    /// Algorithm of the keys of control planes that have no provider and name none.
    algorithm: KeyAlgorithm,
    /// Uid of the KubeadmConfig whose Secret is known to name it as controller, by key. Written
    /// and read by reconciles only; saves a read of the Secret in each of them. An entry goes with
    /// its KubeadmConfig.
    adopted: Mutex<HashMap<ObjectKey, String>>,
}

/// What a reconcile has read.
struct Scope {
    cluster: Arc<Cluster>,
    owner: ConfigOwner,
}

impl Scope {
    fn is_cluster_initialized(&self) -> bool {
        let status = self.cluster.status.as_ref();
        status.is_some_and(|s| conditions::is_true(&s.conditions, "ControlPlaneInitialized"))
    }
}

impl Reconciler for KubeadmConfigReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let Some(before) = self.caches.configs.get(&key.namespace, &key.name) else {
            self.adopted.lock().remove(key);
            return Ok(Outcome::Done);
        };
        let Some(scope) = self.scope(&before) else { return Ok(Outcome::Done) };
        let mut config = KubeadmConfig::clone(&before);
        let cluster = Some(&*scope.cluster);
        let is_paused = paused::is_paused(cluster, &before.metadata);
        let condition = paused::condition(cluster, "KubeadmConfig", &before.metadata);
        self.conditions(&mut config).set(condition);
        if is_paused {
            // People change Secrets by hand meanwhile.
            self.adopted.lock().remove(key);
        }
        let mut result = Ok(Outcome::Done);
        if !is_paused && before.metadata.deletion_timestamp.is_none() {
            result = self.phases(&scope, &mut config).await;
            self.conditions(&mut config).summarise();
            if result.is_ok() {
                config.status.get_or_insert_default().observed_generation =
                    config.metadata.generation;
            }
        }
        patch_object(&self.client, &*before, &config).await?;
        result
    }
}

impl KubeadmConfigReconciler {
    pub(super) fn new(
        client: Client,
        clock: Clock,
        caches: Caches,
        remotes: ClusterCache,
        versions: ContractVersions,
        algorithm: KeyAlgorithm,
    ) -> Self {
        Self { client, clock, caches, remotes, versions, algorithm, adopted: Mutex::default() }
    }

    fn conditions<'a>(&self, config: &'a mut KubeadmConfig) -> Conditions<'a> {
        Conditions::of(config, self.clock.now())
    }

    /// The owner and its Cluster; the appearance of either wakes us.
    fn scope(&self, config: &KubeadmConfig) -> Option<Scope> {
        let namespace = config.metadata.namespace.as_deref().unwrap_or_default();
        let references = config.metadata.owner_references.as_ref()?;
        let mut owners = references.iter().filter(|owner| {
            split_api_version(&owner.api_version).0 == "cluster.x-k8s.io"
                && matches!(owner.kind.as_str(), "Machine" | "MachinePool")
        });
        let owner = owners.next()?;
        let owner = if owner.kind == "Machine" {
            ConfigOwner::Machine(self.caches.machines.get(namespace, &owner.name)?)
        } else {
            ConfigOwner::Pool(self.caches.pools.get(namespace, &owner.name)?)
        };
        let cluster = self.caches.clusters.get(namespace, owner.cluster_name())?;
        Some(Scope { cluster, owner })
    }

    async fn phases(
        &self,
        scope: &Scope,
        config: &mut KubeadmConfig,
    ) -> Result<Outcome, ReconcileError> {
        if !status::is_infrastructure_provisioned(&scope.cluster) {
            self.conditions(config).data_secret_waits(
                "WaitingForClusterInfrastructure",
                "Waiting for Cluster status.infrastructureReady to be true",
            );
            return Ok(Outcome::Done);
        }
        let named = scope.owner.data_secret_name();
        let has_status = status::is_created(config)
            && config.status.as_ref().is_some_and(|status| !status.data_secret_name.is_empty());
        if let (Some(secret), false) = (named, has_status) {
            // A moved or restored object comes without its status.
            status::mark_created(config, secret);
            self.conditions(config).data_secret_available();
            self.conditions(config).certificates_were_available();
            return Ok(Outcome::Done);
        }
        if status::is_created(config) {
            self.conditions(config).data_secret_available();
            self.conditions(config).certificates_were_available();
            self.ensure_secret_owner(config).await?;
            return self.keep_token_alive(scope, config).await;
        }
        if !scope.is_cluster_initialized() {
            return self.init(scope, config).await;
        }
        lock::release(&self.client, &scope.cluster).await?;
        self.join(scope, config).await
    }

    /// Makes the KubeadmConfig the controller of its Secret, e.g. after a restore gave it another
    /// uid.
    async fn ensure_secret_owner(&self, config: &KubeadmConfig) -> Result<(), ReconcileError> {
        let key = ObjectKey::of(config);
        let uid = config.metadata.uid.clone().unwrap_or_default();
        if self.adopted.lock().get(&key) == Some(&uid) {
            return Ok(());
        }
        if let Some(mut secret) = self.client.get::<Secret>(&key).await? {
            let reference = data::owner_reference(config);
            if let Some(other) = owners::controlling(&secret.metadata)
                && other.kind != reference.kind
            {
                return Err(ReconcileError::Other(format!(
                    "could not add KubeadmConfig {} as ownerReference to bootstrap Secret {}, it \
                     is already controlled by {} {}",
                    key.name, key.name, other.kind, other.name
                )));
            }
            if !owners::has(&secret.metadata, &reference) {
                owners::ensure(&mut secret.metadata, reference);
                let patch =
                    json!({"metadata": {"ownerReferences": secret.metadata.owner_references}});
                self.client.merge_patch::<Secret>(&key, "", &patch).await?;
            }
        }
        self.adopted.lock().insert(key, uid);
        Ok(())
    }

    /// A token lives until its node has joined. That of a pool is made anew from then on, so that
    /// the pool can grow.
    async fn keep_token_alive(
        &self,
        scope: &Scope,
        config: &mut KubeadmConfig,
    ) -> Result<Outcome, ReconcileError> {
        let join = config.spec.join_configuration.as_ref().unwrap_or(&Value::Null);
        let bootstrap = &join["discovery"]["bootstrapToken"];
        let token = bootstrap["token"].as_str().unwrap_or_default().to_owned();
        let (is_pool, has_nodes) = (scope.owner.is_pool(), scope.owner.has_nodes());
        if is_empty(bootstrap) || (has_nodes && !is_pool) {
            return Ok(Outcome::Done);
        }
        let Some(remote) = self.remotes.get(&ObjectKey::of(&*scope.cluster)) else {
            // The workload cluster's next answer wakes us; until then tokens run out.
            return Ok(Outcome::Done);
        };
        let now = self.clock.now();
        let state = if has_nodes {
            token::check_rotation(&remote.client, &token, now).await?
        } else {
            token::refresh(&remote.client, &token, now).await?
        };
        match state {
            TokenState::Good => Ok(Outcome::RequeueAfter(token::CHECK_INTERVAL)),
            TokenState::Old => self.recreate_token(scope, config, &remote.client).await,
            TokenState::Missing if is_pool => {
                self.recreate_token(scope, config, &remote.client).await
            }
            TokenState::Missing => Err(ReconcileError::Other(format!(
                "failed to get bootstrap token secret in order to refresh it: secrets {:?} not \
                 found",
                token::secret_name(&token)
            ))),
        }
    }

    /// A new token and the data with it.
    async fn recreate_token(
        &self,
        scope: &Scope,
        config: &mut KubeadmConfig,
        remote: &Client,
    ) -> Result<Outcome, ReconcileError> {
        let token = token::create(remote, self.clock.now()).await?;
        let join = config.spec.join_configuration.get_or_insert_with(|| json!({}));
        join["discovery"]["bootstrapToken"]["token"] = json!(token);
        self.join(scope, config).await
    }

    /// The control plane does not answer yet: one control plane machine initialises it, all others
    /// wait until the Cluster says so.
    async fn init(
        &self,
        scope: &Scope,
        config: &mut KubeadmConfig,
    ) -> Result<Outcome, ReconcileError> {
        if !self.conditions(config).has_data_secret() {
            self.conditions(config).data_secret_waits(
                "WaitingForControlPlaneAvailable",
                "Waiting for Cluster control plane to be initialized",
            );
        }
        if !scope.owner.is_control_plane() {
            return Ok(Outcome::Done);
        }
        if lock::acquire(&self.client, &scope.cluster, scope.owner.name()).await? == Lock::Busy {
            return Ok(Outcome::RequeueAfter(LOCK_RETRY));
        }
        let result = self.init_locked(scope, config).await;
        if result.is_err() {
            lock::release(&self.client, &scope.cluster).await?;
        }
        result.map(|()| Outcome::Done)
    }

    async fn init_locked(
        &self,
        scope: &Scope,
        config: &mut KubeadmConfig,
    ) -> Result<(), ReconcileError> {
        let version = scope.owner.version();
        let action = data::init(config, &scope.cluster, version).map_err(ReconcileError::Other)?;
        let certificates = self.first_certificates(scope, config).await;
        let certificates = certificates.map_err(|error| {
            let reason = "CertificatesGenerationFailed";
            let mut conditions = self.conditions(config);
            conditions.certificates_failed(reason, Severity::Warning, &error);
            ReconcileError::Other(error)
        })?;
        self.conditions(config).certificates_available();
        self.store(scope, config, &action, certificates.files()).await
    }

    /// The certificates of the machine that initialises a control plane. Where no control plane
    /// provider makes them, it is done here.
    async fn first_certificates(
        &self,
        scope: &Scope,
        config: &KubeadmConfig,
    ) -> Result<Certificates, String> {
        if scope.cluster.spec.control_plane_ref.is_some() {
            return self.control_plane_certificates(scope, config).await;
        }
        let configuration = config.spec.cluster_configuration.as_ref().unwrap_or(&Value::Null);
        let cluster = &ObjectKey::of(&*scope.cluster);
        let making = Making {
            cluster,
            algorithm: self.algorithm,
            configuration,
            owner: owners::controller_of(config),
        };
        let made = async {
            let mut certificates =
                Certificates::of_control_plane(&self.client, cluster, configuration).await?;
            certificates.make_missing(&self.client, &making).await?;
            certificates.ensure_all_exist()?;
            Ok(certificates)
        };
        made.await.map_err(|error: CertificateError| error.to_string())
    }

    async fn control_plane_certificates(
        &self,
        scope: &Scope,
        config: &KubeadmConfig,
    ) -> Result<Certificates, String> {
        let configuration = config.spec.cluster_configuration.as_ref().unwrap_or(&Value::Null);
        let cluster = ObjectKey::of(&*scope.cluster);
        let certificates = Certificates::of_control_plane(&self.client, &cluster, configuration)
            .await
            .map_err(|error| error.to_string())?;
        // Upstream would render data without keys here; a machine could do nothing with it.
        certificates.ensure_all_exist().map_err(|error| error.to_string())?;
        Ok(certificates)
    }

    async fn join(
        &self,
        scope: &Scope,
        config: &mut KubeadmConfig,
    ) -> Result<Outcome, ReconcileError> {
        let cluster = ObjectKey::of(&*scope.cluster);
        let certificates = if scope.owner.is_control_plane() {
            self.control_plane_certificates(scope, config).await
        } else {
            let join = config.spec.join_configuration.as_ref().unwrap_or(&Value::Null);
            let path = join["caCertPath"].as_str().unwrap_or_default();
            let read = Certificates::of_worker(&self.client, &cluster, path).await;
            let complete = read.and_then(|read| read.ensure_all_exist().map(|()| read));
            complete.map_err(|error| error.to_string())
        };
        let certificates = certificates.map_err(|error| {
            let mut conditions = self.conditions(config);
            conditions.certificates_failed("CertificatesCorrupted", Severity::Error, &error);
            ReconcileError::Other(error)
        })?;
        self.conditions(config).certificates_available();

        let now = self.clock.now();
        let remote = self.remotes.get(&cluster).map(|remote| remote.client);
        let join = config.spec.join_configuration.get_or_insert_with(|| json!({}));
        if scope.owner.is_control_plane() && !join["controlPlane"].is_object() {
            join["controlPlane"] = json!({});
        }
        let done = discovery::complete(join, &scope.cluster, &certificates, remote.as_ref(), now);
        if done.await? == Discovery::Waiting {
            return Ok(Outcome::Done);
        }
        let version = scope.owner.version();
        let (action, certificates) = if scope.owner.is_control_plane() {
            (data::join_control_plane(join, version), Some(certificates))
        } else {
            (data::join_worker(join, version), None)
        };
        let action = action.map_err(ReconcileError::Other)?;
        let first = certificates.map(|certificates| certificates.files()).unwrap_or_default();
        self.store(scope, config, &action, first).await?;
        Ok(Outcome::RequeueAfter(token::CHECK_INTERVAL))
    }

    /// Renders the data and writes the Secret; `files` come before the spec's own.
    async fn store(
        &self,
        scope: &Scope,
        config: &mut KubeadmConfig,
        action: &Action,
        mut files: Vec<File>,
    ) -> Result<(), ReconcileError> {
        let namespace = config.metadata.namespace.clone().unwrap_or_default();
        match self.own_files(scope, config, &namespace).await {
            Ok(own) => files.extend(own),
            Err(error) => {
                let message = format!("Failed to prepare spec.files: {error}");
                self.conditions(config).data_secret_failed(&message, &error);
                return Err(ReconcileError::Other(error));
            }
        }
        let users = files::resolve_users(&self.client, &namespace, &config.spec.users).await;
        let users = users.map_err(|error| {
            let message = "Failed to read password from secrets for spec.users";
            self.conditions(config).data_secret_failed(message, &error);
            ReconcileError::Other(error)
        })?;
        if !matches!(action, Action::Init { .. }) {
            let join = config.spec.join_configuration.as_ref().unwrap_or(&Value::Null);
            files.extend(discovery::kubeconfig_file(join));
        }
        let secret = data::secret(config, &scope.cluster, action, &files, &users);
        let secret = secret.map_err(ReconcileError::Other)?;
        self.write(&secret).await?;
        let key = ObjectKey::of(config);
        status::mark_created(config, &key.name);
        self.conditions(config).data_secret_available();
        self.adopted.lock().insert(key, config.metadata.uid.clone().unwrap_or_default());
        Ok(())
    }

    /// A Secret of an earlier, half finished reconcile is overwritten.
    async fn write(&self, secret: &Secret) -> Result<(), ReconcileError> {
        match self.client.create(secret).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_already_exists() => {
                let patch = json!({
                    "metadata": {
                        "labels": secret.metadata.labels,
                        "ownerReferences": secret.metadata.owner_references,
                    },
                    "data": secret.data,
                });
                self.client.merge_patch::<Secret>(&ObjectKey::of(secret), "", &patch).await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn own_files(
        &self,
        scope: &Scope,
        config: &KubeadmConfig,
        namespace: &str,
    ) -> Result<Vec<File>, String> {
        let is_template = |file: &Value| file["contentFormat"] == "Template";
        let version = if config.spec.files.iter().any(is_template) {
            self.control_plane_version(&scope.cluster).await?
        } else {
            String::new()
        };
        files::resolve_files(&self.client, namespace, &config.spec.files, &version).await
    }

    /// `spec.version` of the Cluster's control plane object; empty if it has none.
    async fn control_plane_version(&self, cluster: &Cluster) -> Result<String, String> {
        let Some(reference) = &cluster.spec.control_plane_ref else { return Ok(String::new()) };
        let failed = |error: String| format!("failed to read control plane version: {error}");
        let kind = self.versions.resolve(reference).map_err(|error| failed(error.to_string()))?;
        let namespace = cluster.metadata.namespace.clone().unwrap_or_default();
        let key = ObjectKey::new(namespace, &reference.name);
        let object = self
            .client
            .get_dynamic(&kind.resource, &key)
            .await
            .map_err(|error| failed(error.to_string()))?
            .ok_or_else(|| failed(format!("{} {key} not found", reference.kind)))?;
        Ok(object["spec"]["version"].as_str().unwrap_or_default().to_owned())
    }
}
