//! One fake workload cluster: its engine, its machines, its etcd, and when its API answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::ApiResource;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, oneshot};
use tokio_util::sync::CancellationToken;

use super::content::{self, ContentFacts, Object};
use super::etcd::Etcd;
use super::host::{Endpoint, HostError, Shared};
use super::network::{ClusterNetwork, Slots, node_address};
use super::node::{self, NodeFacts};
use super::pods::{self, Component, EtcdIds, PodFacts};
use super::tls::{CertificateFiles, ServingCertificate};
use crate::apiserver::serve;
use crate::apiserver::{ApiServer, Identity, Options};
use crate::client::{Client, ClientError, ObjectKey, Propagation, RemoteCluster};
use crate::pki::CertificateAuthority;

/// History of a workload engine: enough for a watch that reconnects, small for thousands of them.
const HISTORY_BYTES: usize = 32 * 1024;

/// User that the in-process client speaks as: kubeadm's administrator.
const ADMINISTRATOR: &str = "kubernetes-admin";

/// A machine that becomes a Node.
#[derive(Clone, Debug)]
pub struct NodeRequest<'a> {
    /// Name of the infrastructure machine, hence of the Node.
    pub name: &'a str,
    /// Provider id.
    pub provider_id: &'a str,
    /// Kubernetes version of the Machine; empty for the host's default.
    pub version: &'a str,
    /// Whether the machine belongs to the control plane.
    pub is_control_plane: bool,
}

/// A machine whose API server is ready.
#[derive(Clone, Debug)]
pub struct ApiServerRequest<'a> {
    /// Name of the Node.
    pub name: &'a str,
    /// The cluster CA.
    pub ca: &'a CertificateFiles,
}

/// A workload cluster. Exists from the moment its port is taken.
pub(super) struct Cluster {
    key: ObjectKey,
    shared: Arc<Shared>,
    endpoint: Endpoint,
    network: ClusterNetwork,
    /// Made with the first Node, whose version the API reports.
    engine: OnceLock<Engine>,
    /// Set once the namespaces are written, which the Pods of a first etcd need already.
    namespaces: OnceCell<()>,
    /// Set once the other objects of a fresh cluster are written.
    content: OnceCell<()>,
    /// Machines and their slots. Written by the machine reconcilers, never locked across a request.
    machines: Mutex<Machines>,
    /// Written by the machine and control plane reconcilers, read through `ClusterCache`.
    etcd: Arc<Mutex<Etcd>>,
    /// API servers that run. The port is open while there are any.
    api_servers: Arc<AtomicUsize>,
    /// Hands the port over to the engine, once.
    open: Mutex<Option<oneshot::Sender<serve::Endpoint>>>,
    /// Ends the port's task.
    pub(super) stop: CancellationToken,
}

struct Engine {
    server: ApiServer,
    client: Client,
}

#[derive(Default)]
struct Machines {
    slots: Slots,
    by_name: BTreeMap<String, Machine>,
}

/// What runs on a machine.
#[derive(Clone, Debug)]
struct Machine {
    slot: u32,
    version: String,
    /// uid of the Node, once that exists.
    node_uid: Option<String>,
    has_etcd: bool,
    has_api_server: bool,
}

impl Cluster {
    /// A cluster whose port is bound; `open` takes the engine when there is one to serve.
    pub(super) fn new(
        key: ObjectKey,
        shared: Arc<Shared>,
        endpoint: Endpoint,
        network: ClusterNetwork,
        open: oneshot::Sender<serve::Endpoint>,
        stop: CancellationToken,
    ) -> Self {
        let etcd = Etcd::new(shared.seed, key.clone());
        Self {
            key,
            shared,
            endpoint,
            network,
            engine: OnceLock::new(),
            namespaces: OnceCell::new(),
            content: OnceCell::new(),
            machines: Mutex::default(),
            etcd: Arc::new(Mutex::new(etcd)),
            api_servers: Arc::default(),
            open: Mutex::new(Some(open)),
            stop,
        }
    }

    /// Where the API answers.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Registers the Node of a machine, unless it was registered before.
    pub(super) async fn add_node(&self, request: &NodeRequest<'_>) -> Result<(), HostError> {
        let version = self.version_or_default(request.version);
        let slot = {
            let mut machines = self.machines.lock();
            match machines.by_name.get(request.name) {
                Some(machine) if machine.node_uid.is_some() => return Ok(()),
                Some(machine) => machine.slot,
                None => {
                    let slot = machines.slots.take();
                    let machine = Machine {
                        slot,
                        version: version.to_owned(),
                        node_uid: None,
                        has_etcd: false,
                        has_api_server: false,
                    };
                    machines.by_name.insert(request.name.to_owned(), machine);
                    slot
                }
            }
        };
        self.namespaces.get_or_try_init(|| self.write(version, content::namespaces())).await?;
        let object = node::node(&NodeFacts {
            name: request.name,
            provider_id: request.provider_id,
            version,
            is_control_plane: request.is_control_plane,
            address: node_address(slot),
            pod_cidrs: &self.network.node_pods(slot),
            identity: self.identity(request.name),
            now: self.shared.clock.now(),
        });
        let created = self.create(version, &ApiResource::erase::<Node>(&()), &object).await?;
        let uid = created.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        if let Some(machine) = self.machines.lock().by_name.get_mut(request.name) {
            machine.node_uid = Some(uid.to_owned());
        }
        Ok(())
    }

    /// Lets a machine's etcd member join and shows its Pod, unless it joined before. The machine
    /// must have a Node.
    pub(super) async fn add_etcd_member(&self, name: &str) -> Result<(), HostError> {
        let machine = self.machine(name)?;
        if machine.has_etcd {
            return Ok(());
        }
        let ids = {
            let mut etcd = self.etcd.lock();
            let member = etcd.add(name);
            let is_leader = etcd.status().leader_id == member;
            EtcdIds { cluster: etcd.cluster_id(), member, is_leader }
        };
        let pod = pods::etcd_pod(&self.pod_facts(name, &machine), &ids);
        self.create(&machine.version, &ApiResource::erase::<Pod>(&()), &pod).await?;
        self.update_machine(name, |machine| machine.has_etcd = true);
        self.shared.clusters.touch(&self.key);
        Ok(())
    }

    /// Starts a machine's API server with scheduler and controller manager, unless it runs. The
    /// first one writes what a fresh cluster contains, opens the port and makes the cluster known
    /// to the `ClusterCache`. The machine must have a Node.
    pub(super) async fn add_api_server(
        &self,
        request: &ApiServerRequest<'_>,
    ) -> Result<(), HostError> {
        let machine = self.machine(request.name)?;
        if machine.has_api_server {
            return Ok(());
        }
        self.content.get_or_try_init(|| self.write_content(request.ca, &machine.version)).await?;
        let facts = self.pod_facts(request.name, &machine);
        for component in [Component::ApiServer, Component::Scheduler, Component::ControllerManager]
        {
            let pod = pods::static_pod(component, &facts);
            self.create(&machine.version, &ApiResource::erase::<Pod>(&()), &pod).await?;
        }
        self.update_machine(request.name, |machine| machine.has_api_server = true);
        if self.api_servers.fetch_add(1, Ordering::SeqCst) == 0 {
            self.open_port(request.ca, &machine.version);
            self.register(&machine.version);
        }
        Ok(())
    }

    /// Whether a machine's API server runs.
    pub(super) fn has_api_server(&self, name: &str) -> bool {
        self.machines.lock().by_name.get(name).is_some_and(|machine| machine.has_api_server)
    }

    /// Removes what a machine ran: API server, etcd member, Pods and Node. The API stops answering
    /// with the last API server.
    pub(super) async fn remove_machine(&self, name: &str) -> Result<(), HostError> {
        let machine = self.machines.lock().by_name.get(name).cloned();
        let Some(machine) = machine else { return Ok(()) };
        if machine.has_api_server {
            self.update_machine(name, |machine| machine.has_api_server = false);
            if self.api_servers.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.shared.clusters.remove(&self.key);
            }
        }
        if machine.has_etcd {
            self.etcd_action(Etcd::remove)(name);
        }
        if let Some(engine) = self.engine.get() {
            let resource = ApiResource::erase::<Node>(&());
            self.delete(engine, &resource, ObjectKey::new("", name)).await?;
            if machine.has_etcd || machine.has_api_server {
                let resource = ApiResource::erase::<Pod>(&());
                for component in Component::ALL {
                    let key = ObjectKey::new("kube-system", component.pod_name(name));
                    self.delete(engine, &resource, key).await?;
                }
            }
        }
        let mut machines = self.machines.lock();
        machines.by_name.remove(name);
        machines.slots.release(machine.slot);
        Ok(())
    }

    /// Ends the cluster: it can no longer be reached, its watches end, its port is given back.
    pub(super) fn close(&self) {
        self.api_servers.store(0, Ordering::SeqCst);
        self.shared.clusters.remove(&self.key);
        if let Some(engine) = self.engine.get() {
            engine.server.shutdown();
        }
        self.stop.cancel();
    }

    fn version_or_default<'a>(&'a self, version: &'a str) -> &'a str {
        if version.is_empty() { &self.shared.git_version } else { version }
    }

    fn machine(&self, name: &str) -> Result<Machine, HostError> {
        let machines = self.machines.lock();
        machines
            .by_name
            .get(name)
            .filter(|machine| machine.node_uid.is_some())
            .cloned()
            .ok_or_else(|| HostError::NoNode { cluster: self.key.clone(), name: name.to_owned() })
    }

    fn update_machine(&self, name: &str, change: impl FnOnce(&mut Machine)) {
        if let Some(machine) = self.machines.lock().by_name.get_mut(name) {
            change(machine);
        }
    }

    fn engine(&self, version: &str) -> &Engine {
        self.engine.get_or_init(|| {
            let options = Options {
                history_bytes: HISTORY_BYTES,
                git_version: version.to_owned(),
                // The nodes here come up ready, and no controller would take the taint away.
                node_taint_admission: false,
                service_range: self.network.service_range(),
                ..Options::new(self.shared.clock.clone())
            };
            let server = ApiServer::new(&self.shared.profile, options);
            let identity = Identity::administrator(ADMINISTRATOR);
            let client = Client::in_process(&server, identity, "capim");
            Engine { server, client }
        })
    }

    fn identity(&self, name: &str) -> u64 {
        let ObjectKey { namespace, name: cluster } = &self.key;
        self.shared.seed.number(&[namespace, "Node", cluster, name])
    }

    fn pod_facts<'a>(&self, name: &'a str, machine: &'a Machine) -> PodFacts<'a> {
        PodFacts {
            node: name,
            node_uid: machine.node_uid.as_deref().unwrap_or_default(),
            version: &machine.version,
            address: node_address(machine.slot),
            identity: self.identity(name),
            now: self.shared.clock.now(),
        }
    }

    async fn write_content(&self, ca: &CertificateFiles, version: &str) -> Result<(), HostError> {
        // Checked here, where a condition can tell; a bad CA would otherwise only show as
        // connections that close.
        CertificateAuthority::from_pem(&ca.certificate_pem, &ca.key_pem)
            .map_err(|source| HostError::Ca { cluster: self.key.clone(), source })?;
        let objects = content::objects(&ContentFacts {
            cluster: &self.key.name,
            version,
            endpoint: &self.endpoint.to_string(),
            port: self.endpoint.port,
            network: &self.network,
            ca_pem: &ca.certificate_pem,
        });
        self.write(version, objects).await
    }

    async fn write(&self, version: &str, objects: Vec<Object>) -> Result<(), HostError> {
        for (resource, object) in &objects {
            self.create(version, resource, object).await?;
        }
        Ok(())
    }

    /// Creates an object that may be there already. A status that the server reset, as
    /// kube-apiserver does with that of a new Pod, is written again.
    async fn create(
        &self,
        version: &str,
        resource: &ApiResource,
        object: &Value,
    ) -> Result<Value, HostError> {
        let client = &self.engine(version).client;
        let key = key_of(object);
        let failed = |source| self.failed("create", resource, &key, source);
        let created = match client.create_dynamic(resource, object).await {
            Ok(created) => created,
            Err(error) if error.is_already_exists() => {
                client.get_dynamic(resource, &key).await.map_err(failed)?.unwrap_or_default()
            }
            Err(error) => return Err(failed(error)),
        };
        match object.get("status") {
            Some(status) if created.pointer("/status/conditions") != status.get("conditions") => {
                let patch = json!({"status": status});
                client.merge_patch_dynamic(resource, &key, "status", &patch).await.map_err(failed)
            }
            _ => Ok(created),
        }
    }

    async fn delete(
        &self,
        engine: &Engine,
        resource: &ApiResource,
        key: ObjectKey,
    ) -> Result<(), HostError> {
        engine
            .client
            .delete_dynamic(resource, &key, Propagation::Background)
            .await
            .map_err(|source| self.failed("delete", resource, &key, source))
    }

    fn failed(
        &self,
        verb: &'static str,
        resource: &ApiResource,
        key: &ObjectKey,
        source: ClientError,
    ) -> HostError {
        let object = format!("{} {key}", resource.kind);
        HostError::Write { verb, object, cluster: self.key.clone(), source }
    }

    /// Hands the port to the engine, the first time.
    fn open_port(&self, ca: &CertificateFiles, version: &str) {
        let Some(open) = self.open.lock().take() else { return };
        let certificate = ServingCertificate {
            ca: ca.clone(),
            key: self.shared.serving_key.clone(),
            host: self.endpoint.host.clone(),
            api_service: self.network.api_service(),
            domain: self.network.domain.clone(),
        };
        let api_servers = self.api_servers.clone();
        // The port's task is gone only when the cluster is being closed.
        let _ = open.send(serve::Endpoint {
            server: self.engine(version).server.clone(),
            tls: Arc::new(move || certificate.issue()),
            open: Arc::new(move || api_servers.load(Ordering::SeqCst) > 0),
        });
    }

    /// Makes the cluster reachable for the controllers of this process.
    fn register(&self, version: &str) {
        let etcd = self.etcd.clone();
        let status = Arc::new(move || etcd.lock().status());
        let remote = RemoteCluster::new(self.engine(version).client.clone(), status)
            .with_etcd_actions(self.etcd_action(Etcd::remove), self.etcd_action(Etcd::move_leader));
        self.shared.clusters.register(&self.key, remote);
    }

    /// An action on the membership that tells the subscribers when it changed something.
    fn etcd_action(
        &self,
        action: fn(&mut Etcd, &str) -> bool,
    ) -> impl Fn(&str) -> bool + Send + Sync + 'static {
        let (etcd, clusters, key) =
            (self.etcd.clone(), self.shared.clusters.clone(), self.key.clone());
        move |name| {
            let is_changed = action(&mut etcd.lock(), name);
            if is_changed {
                clusters.touch(&key);
            }
            is_changed
        }
    }
}

fn key_of(object: &Value) -> ObjectKey {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    ObjectKey::new(text("/metadata/namespace"), text("/metadata/name"))
}
