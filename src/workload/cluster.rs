//! One fake workload cluster: its engine, its machines, its etcd, and when its API answers.

mod members;
mod static_pods;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::ApiResource;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::sync::{Mutex as AsyncMutex, OnceCell, oneshot};
use tokio_util::sync::CancellationToken;

use self::members::EtcdPod;
use super::content::{self, ContentFacts, Object};
use super::etcd::EtcdCluster;
use super::host::{Endpoint, HostError, Shared};
use super::journal::{Fact, Journal};
use super::kubelet::WorkloadKubelets;
use super::manager::Chore;
use super::network::{ClusterNetwork, Slots, default_pod_block, node_address};
use super::node::{self, NodeFacts};
use super::pods::{Component, PodFacts, Run};
use super::tls::{CertificateFiles, ServingCertificate};
use crate::apiserver::serve;
use crate::apiserver::{ApiServer, Identity, Options};
use crate::client::{Client, ClientError, ObjectKey, Propagation, RemoteCluster};
use crate::pki::CertificateAuthority;

/// History of a workload engine: enough for a watch that reconnects, small for thousands of them.
const HISTORY_BYTES: usize = 16 * 1024;

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

/// A machine whose etcd member is ready.
#[derive(Clone, Debug)]
pub struct EtcdMemberRequest<'a> {
    /// Name of the Node.
    pub name: &'a str,
    /// The cluster's etcd CA; without one, nobody can connect to the member.
    pub ca: Option<&'a CertificateFiles>,
}

/// A machine whose API server is ready.
#[derive(Clone, Debug)]
pub struct ApiServerRequest<'a> {
    /// Name of the Node.
    pub name: &'a str,
    /// The cluster CA.
    pub ca: &'a CertificateFiles,
    /// kubeadm's ClusterConfiguration in the machine's bootstrap data, as YAML. Only the first
    /// machine's counts; without it the cluster is what kubeadm makes by default.
    pub configuration: Option<&'a str>,
}

/// A workload cluster. Exists from the moment its port is taken.
pub(super) struct Cluster {
    /// Itself, for what the engine calls back.
    me: Weak<Cluster>,
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
    /// Written by the machine and control plane reconcilers and by etcd's own clients, read through
    /// `ClusterCache`.
    etcd: Arc<EtcdCluster>,
    /// Held while the etcd Pods' annotations are brought up to date.
    annotating: AsyncMutex<()>,
    /// What happened to the control plane, for its logs. Written with what it tells of.
    journal: Arc<Journal>,
    /// Held while the mirrors of static Pods are written.
    mirroring: AsyncMutex<()>,
    /// Whether any API server runs, as far as the port and the `ClusterCache` know.
    is_serving: Arc<AtomicBool>,
    /// Whether the cluster was closed. Locked while `is_serving` changes and what hangs on it is
    /// done, never across a request, and before `machines`.
    closed: Mutex<bool>,
    /// Hands the port over to the engine, once.
    open: Mutex<Option<oneshot::Sender<serve::Gate>>>,
    /// The port, from then on, for connections in memory.
    gate: OnceLock<serve::Gate>,
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
    etcd: EtcdPod,
    has_api_server: bool,
    /// What of the control plane its kubelet keeps up, from the Pod's first appearance on.
    static_pods: BTreeMap<Component, Run>,
    /// What their mirrors were last made to show.
    shown: BTreeMap<Component, Run>,
    /// Since when the kubelet runs.
    kubelet_started: Timestamp,
    /// Since when it does not.
    kubelet_stopped: Option<Timestamp>,
}

impl Machine {
    /// Whether its API server takes connections.
    fn serves(&self) -> bool {
        let run = self.static_pods.get(&Component::ApiServer);
        self.has_api_server && run.is_some_and(|run| run.stopped.is_none())
    }
}

/// A machine's kubelet.
#[derive(Clone, Debug)]
pub(super) struct Kubelet {
    /// The Node's address.
    pub(super) address: IpAddr,
    /// Where its Pods get theirs.
    pub(super) pod_block: String,
    /// Since when it runs.
    pub(super) started: Timestamp,
    /// Since when it does not.
    pub(super) stopped: Option<Timestamp>,
}

impl Kubelet {
    /// When it renewed its Lease for the last time.
    pub(super) fn renewed(&self, now: Timestamp) -> Timestamp {
        let end = self.stopped.map_or(now, |stopped| stopped.min(now));
        let ran = end.duration_since(self.started).as_secs().max(0);
        let renewals = ran / node::RENEWAL_SECONDS * node::RENEWAL_SECONDS;
        self.started.checked_add(SignedDuration::from_secs(renewals)).unwrap_or(self.started)
    }
}

impl Cluster {
    /// A cluster whose port is bound; `open` takes the engine when there is one to serve.
    pub(super) fn new(
        key: ObjectKey,
        shared: Arc<Shared>,
        endpoint: Endpoint,
        network: ClusterNetwork,
        open: oneshot::Sender<serve::Gate>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            etcd: members::etcd(&key, &shared, me.clone()),
            me: me.clone(),
            key,
            shared,
            endpoint,
            network,
            engine: OnceLock::new(),
            namespaces: OnceCell::new(),
            content: OnceCell::new(),
            machines: Mutex::default(),
            journal: Arc::default(),
            annotating: AsyncMutex::new(()),
            mirroring: AsyncMutex::new(()),
            is_serving: Arc::default(),
            closed: Mutex::default(),
            open: Mutex::new(Some(open)),
            gate: OnceLock::new(),
            stop,
        })
    }

    /// Connects in memory to the API server of a Node, if it runs.
    pub(super) fn connect_api_server(&self, node: &str) -> Option<DuplexStream> {
        let serves = self.machines.lock().by_name.get(node).is_some_and(Machine::serves);
        if serves { self.connect() } else { None }
    }

    /// Connects in memory to where the API answers.
    pub(super) fn connect(&self) -> Option<DuplexStream> {
        self.gate.get()?.connect()
    }

    /// Where the API answers.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Bytes of the objects in the engine.
    pub(super) fn stored_bytes(&self) -> usize {
        self.engine.get().map_or(0, |engine| engine.server.store().bytes())
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
                        etcd: EtcdPod::Absent,
                        has_api_server: false,
                        static_pods: BTreeMap::new(),
                        shown: BTreeMap::new(),
                        kubelet_started: self.now(),
                        kubelet_stopped: None,
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
        let lease = node::lease(request.name, uid, self.now());
        self.create(version, &ApiResource::erase::<Lease>(&()), &lease).await?;
        self.update_machine(request.name, |machine| machine.node_uid = Some(uid.to_owned()));
        // Pods may have been bound to the Node before it had a kubelet.
        self.shared.chores.add(&self.key, Chore::Node(request.name.to_owned()));
        Ok(())
    }

    /// Stops or starts the kubelet of a Node; false if there is no such machine.
    pub(super) fn set_kubelet(&self, node: &str, is_running: bool) -> bool {
        let now = self.now();
        let mut machines = self.machines.lock();
        let Some(machine) = machines.by_name.get_mut(node) else { return false };
        if is_running == machine.kubelet_stopped.is_none() {
            return true;
        }
        if is_running {
            machine.kubelet_started = now;
            machine.kubelet_stopped = None;
        } else {
            machine.kubelet_stopped = Some(now);
        }
        drop(machines);
        self.shared.chores.add(&self.key, Chore::Node(node.to_owned()));
        if is_running {
            // What was deleted, stopped and started while it was away.
            self.shared.chores.add(&self.key, Chore::StaticPods(node.to_owned()));
        }
        true
    }

    /// The kubelet of a Node, if a machine stands for it.
    pub(super) fn kubelet(&self, node: &str) -> Option<Kubelet> {
        let machines = self.machines.lock();
        let machine = machines.by_name.get(node).filter(|machine| machine.node_uid.is_some())?;
        let blocks = self.network.node_pods(machine.slot);
        Some(Kubelet {
            address: node_address(machine.slot),
            pod_block: blocks.into_iter().next().unwrap_or_else(|| default_pod_block(machine.slot)),
            started: machine.kubelet_started,
            stopped: machine.kubelet_stopped,
        })
    }

    /// Engine and administrator's client, once there is a Node.
    pub(super) fn running(&self) -> Option<(&ApiServer, &Client)> {
        self.engine.get().map(|engine| (&engine.server, &engine.client))
    }

    /// Namespace and name of the Cluster.
    pub(super) fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// What happened to the control plane.
    pub(super) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Now, as written into objects.
    pub(super) fn now(&self) -> Timestamp {
        self.shared.clock.now()
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
        self.content.get_or_try_init(|| self.write_content(request, &machine.version)).await?;
        self.shared.chores.add(&self.key, Chore::DaemonSets);
        self.shared.chores.add(&self.key, Chore::Deployments("kube-system".to_owned()));
        for component in [Component::ApiServer, Component::Scheduler, Component::ControllerManager]
        {
            self.run_static_pod(request.name, component).await?;
        }
        self.open_port(request.ca, &machine.version);
        let mut is_new = false;
        self.update_machine(request.name, |machine| {
            is_new = !std::mem::replace(&mut machine.has_api_server, true) && machine.serves();
        });
        if is_new {
            self.journal.add(self.now(), Fact::Started { node: request.name.to_owned() });
        }
        self.settle_api();
        Ok(())
    }

    /// Whether `kubeadm init` has left its objects.
    pub(super) fn is_initialized(&self) -> bool {
        self.content.initialized()
    }

    /// Makes port and `ClusterCache` follow the API servers: the first one that runs makes the
    /// cluster known, with the last one all connections end.
    fn settle_api(&self) {
        let closed = self.closed.lock();
        let serving = {
            let machines = self.machines.lock();
            let mut serving = machines.by_name.values().filter(|machine| machine.serves());
            serving.next().filter(|_| !*closed).map(|machine| machine.version.clone())
        };
        if self.is_serving.swap(serving.is_some(), Ordering::SeqCst) == serving.is_some() {
            return;
        }
        if let Some(version) = serving {
            self.register(&version);
            return;
        }
        self.shared.clusters.remove(&self.key);
        if let Some(gate) = self.gate.get() {
            gate.cut();
        }
    }

    /// Whether a machine's API server runs.
    pub(super) fn has_api_server(&self, name: &str) -> bool {
        self.machines.lock().by_name.get(name).is_some_and(|machine| machine.has_api_server)
    }

    /// Removes what a machine ran: API server, etcd member, Pods and Node. The API stops answering
    /// with the last API server.
    pub(super) async fn remove_machine(&self, name: &str) -> Result<(), HostError> {
        let machine = {
            let mut machines = self.machines.lock();
            let Some(machine) = machines.by_name.get_mut(name) else { return Ok(()) };
            let before = machine.clone();
            // From here on its kubelet keeps nothing up.
            machine.has_api_server = false;
            machine.static_pods.clear();
            machine.shown.clear();
            before
        };
        if machine.serves() {
            self.journal.add(self.now(), Fact::Stopped { node: name.to_owned() });
        }
        self.settle_api();
        if machine.etcd != EtcdPod::Absent {
            self.end_etcd_member(name).await;
        }
        if let Some(engine) = self.engine.get() {
            let resource = ApiResource::erase::<Node>(&());
            self.delete(engine, &resource, ObjectKey::new("", name)).await?;
            let resource = ApiResource::erase::<Lease>(&());
            self.delete(engine, &resource, ObjectKey::new("kube-node-lease", name)).await?;
            if machine.etcd != EtcdPod::Absent || machine.has_api_server {
                let resource = ApiResource::erase::<Pod>(&());
                for component in Component::ALL {
                    let key = ObjectKey::new("kube-system", component.pod_name(name));
                    self.delete(engine, &resource, key).await?;
                }
            }
        }
        let mut machines = self.machines.lock();
        if machines.by_name.remove(name).is_some() {
            machines.slots.release(machine.slot);
        }
        Ok(())
    }

    /// Ends the cluster: it can no longer be reached, its watches end, its port is given back.
    pub(super) fn close(&self) {
        {
            let mut closed = self.closed.lock();
            *closed = true;
            self.is_serving.store(false, Ordering::SeqCst);
            self.shared.clusters.remove(&self.key);
        }
        self.shared.chores.forget(&self.key);
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
                kubelets: Some(Arc::new(WorkloadKubelets::new(self.me.clone()))),
                on_commit: self.shared.chores.feed(&self.key),
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

    fn pod_facts<'a>(&self, name: &'a str, machine: &'a Machine, run: Run) -> PodFacts<'a> {
        PodFacts {
            node: name,
            node_uid: machine.node_uid.as_deref().unwrap_or_default(),
            version: &machine.version,
            address: node_address(machine.slot),
            identity: self.identity(name),
            run,
        }
    }

    async fn write_content(
        &self,
        request: &ApiServerRequest<'_>,
        version: &str,
    ) -> Result<(), HostError> {
        let ca = request.ca;
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
            configuration: request.configuration,
        });
        self.write(version, objects).await
    }

    async fn write(&self, version: &str, objects: Vec<Object>) -> Result<(), HostError> {
        let templates = &self.shared.templates;
        let endpoint = self.endpoint.to_string();
        for (resource, object) in &objects {
            let server = &self.engine(version).server;
            let text = object.to_string();
            // What names the endpoint is this cluster's alone.
            let is_common = !text.contains(&endpoint);
            if is_common && templates.create(server, &text) {
                continue;
            }
            let created = self.create(version, resource, object).await?;
            if is_common {
                templates.keep(server, resource, &created, text);
            }
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
            names: self.shared.names.clone(),
            api_service: self.network.api_service(),
            domain: self.network.domain.clone(),
        };
        let is_serving = self.is_serving.clone();
        let gate = serve::Gate::new(serve::Endpoint {
            server: self.engine(version).server.clone(),
            tls: Arc::new(move || certificate.issue()),
            open: Arc::new(move || is_serving.load(Ordering::SeqCst)),
        });
        let gate = self.gate.get_or_init(|| gate).clone();
        // The port's task is gone only when the cluster is being closed.
        let _ = open.send(gate);
    }

    /// Makes the cluster reachable for the controllers of this process.
    fn register(&self, version: &str) {
        let (etcd, remover, mover) = (self.etcd.clone(), self.etcd.clone(), self.etcd.clone());
        let status = Arc::new(move || etcd.status());
        let remote = RemoteCluster::new(self.engine(version).client.clone(), status)
            .with_etcd_actions(
                move |name| remover.remove(name),
                move |name| mover.move_leader(name),
            );
        self.shared.clusters.register(&self.key, remote);
    }
}

fn key_of(object: &Value) -> ObjectKey {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    ObjectKey::new(text("/metadata/namespace"), text("/metadata/name"))
}
