//! Reconciles the infrastructure of machines: walks the stages and writes what each brings into
//! the workload cluster.
//! (CAPI v1.14: devmachine_controller.go, backends/inmemory/inmemorymachine_backend.go)

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use super::bootstrap_data;
use super::cluster::network;
use super::kinds::{InfraMachine, add_finalizer, has_finalizer, remove_finalizer};
use super::pool;
use super::stages::{self, Progress, Stage, Subject, Timeline, Timelines};
use super::status::{self, Blocker, Moment, State};
use super::watches::{is_control_plane_initialized, is_infrastructure_provisioned, label};
use crate::api::core::{Cluster, Machine};
use crate::client::{Client, ObjectKey};
use crate::clock::{Clock, Seed};
use crate::contract::conditions;
use crate::contract::secrets::Purpose;
use crate::contract::{labels, owners, paused};
use crate::runtime::{Informer, Outcome, ReconcileError, Reconciler, patch_object};
use crate::workload::{ApiServerRequest, CertificateFiles, EtcdMemberRequest, Host, NodeRequest};

/// Annotation of Machines that started under another provider process; they do not wait again.
/// (CAPI v1.14: #13595)
const BOOTSTRAPPED: &str = "machine.inmemory.infrastructure.cluster.x-k8s.io/bootstrapped";

/// Annotation of infrastructure machines: with the value `stopped` the kubelet of the machine's
/// Node stops, without it the kubelet runs.
const KUBELET: &str = "capim.dev/kubelet";
/// Annotation of infrastructure machines of control planes: components that have stopped, with
/// commas between them.
const STOPPED: &str = "capim.dev/stopped";

/// Reconciler of one kind of infrastructure machine.
pub(super) struct MachineReconciler<K> {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) host: Host,
    pub(super) seed: Seed,
    pub(super) own: Informer<K>,
    pub(super) clusters: Informer<Cluster>,
    pub(super) machines: Informer<Machine>,
    pub(super) timelines: Timelines,
}

/// What a reconcile works on.
struct Scope<K> {
    cluster_key: ObjectKey,
    cluster: Arc<Cluster>,
    machine: Arc<Machine>,
    is_control_plane: bool,
    before: Arc<K>,
    after: K,
    now: Timestamp,
}

/// What the stages came to.
#[derive(Default)]
struct Walk {
    states: Vec<(Stage, State)>,
    /// When the next stage ends.
    wake: Option<Timestamp>,
    /// Whether a failed stage may succeed when it is tried again.
    retry: Option<String>,
}

impl<K: InfraMachine> Reconciler for MachineReconciler<K> {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let Some(before) = self.own.get(&key.namespace, &key.name) else {
            self.timelines.forget(key);
            return Ok(Outcome::Done);
        };
        let Some(mut scope) = self.scope(&before) else {
            // Only the finalizer is left to do when the Machine is gone.
            if before.meta().deletion_timestamp.is_some() && has_finalizer(&*before) {
                let cluster = label(before.meta(), labels::CLUSTER_NAME).unwrap_or_default();
                let cluster = ObjectKey::new(key.namespace.clone(), cluster);
                self.delete(&before, &cluster).await?;
            }
            return Ok(Outcome::Done);
        };
        let is_deleting = before.meta().deletion_timestamp.is_some();
        if paused::is_paused(Some(&scope.cluster), before.meta()) {
            if !is_deleting {
                add_finalizer(&mut scope.after);
            }
            return self.settle(scope, Walk::default()).await;
        }
        if is_deleting {
            self.delete(&before, &scope.cluster_key).await?;
            return Ok(Outcome::Done);
        }
        add_finalizer(&mut scope.after);
        let walk = self.walk(&mut scope).await;
        self.settle(scope, walk).await
    }
}

impl<K: InfraMachine> MachineReconciler<K> {
    /// Everything that is read. `None` until the Machine controller has set the owner and the
    /// caches know Machine and Cluster; their arrival wakes the machine again.
    fn scope(&self, before: &Arc<K>) -> Option<Scope<K>> {
        let meta = before.meta();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let owner = owners::owner(meta, "cluster.x-k8s.io", "Machine")?;
        let machine = self.machines.get(namespace, &owner.name)?;
        let cluster_name = label(&machine.metadata, labels::CLUSTER_NAME)?;
        let cluster = self.clusters.get(namespace, cluster_name)?;
        Some(Scope {
            cluster_key: ObjectKey::new(namespace, cluster_name),
            is_control_plane: label(&machine.metadata, labels::CONTROL_PLANE).is_some(),
            cluster,
            machine,
            before: before.clone(),
            after: (**before).clone(),
            now: self.clock.now(),
        })
    }

    /// Walks the stages as far as time allows.
    async fn walk(&self, scope: &mut Scope<K>) -> Walk {
        let mut walk = Walk::default();
        if scope.before.unsupported().is_some() || !is_ours(scope) {
            return walk;
        }
        if let Some(blocker) = blocker(scope) {
            for stage in Stage::of(scope.is_control_plane) {
                let state = match stage {
                    Stage::Vm => State::Blocked(blocker),
                    _ => State::WaitingForVm,
                };
                walk.states.push((*stage, state));
            }
            return walk;
        }
        let uid = scope.before.meta().uid.clone().unwrap_or_default();
        let key = ObjectKey::of(&*scope.before);
        let mut timeline = self.timelines.get(&key, &uid, scope.before.v1beta1());
        self.walk_stages(scope, &mut timeline, &mut walk).await;
        if walk.states.iter().all(|(_, state)| *state == State::Provisioned) {
            self.timelines.forget(&key);
        } else {
            self.timelines.set(&key, &uid, timeline);
        }
        walk
    }

    async fn walk_stages(&self, scope: &mut Scope<K>, timeline: &mut Timeline, walk: &mut Walk) {
        let start = *timeline.vm_start.get_or_insert(scope.now);
        if let Some(end) = self.pass(scope, Stage::Vm, (start, timeline.vm_end), walk) {
            timeline.vm_end = Some(end);
            let provider_id = provider_id(&scope.before);
            let domain = pool::annotation(scope.before.meta(), pool::FAILURE_DOMAIN);
            let domain = domain.unwrap_or(&scope.machine.spec.failure_domain);
            scope.after.set_provisioned(provider_id, domain);
            walk.states.push((Stage::Vm, State::Provisioned));
        }
        let Some(start) = timeline.vm_end.filter(|_| walk.is_provisioned(Stage::Vm)) else {
            walk.states.extend(
                Stage::of(scope.is_control_plane)[1..]
                    .iter()
                    .map(|stage| (*stage, State::WaitingForVm)),
            );
            return;
        };
        if let Some(end) = self.pass(scope, Stage::Node, (start, timeline.node_end), walk) {
            let result = self.start_node(scope).await;
            walk.finish(Stage::Node, result);
            if walk.is_provisioned(Stage::Node) {
                timeline.node_end = Some(end);
            }
        }
        if !scope.is_control_plane {
            return;
        }
        let Some(start) = timeline.node_end.filter(|_| walk.is_provisioned(Stage::Node)) else {
            walk.states.push((Stage::Etcd, State::WaitingForNode));
            walk.states.push((Stage::ApiServer, State::WaitingForNode));
            return;
        };
        if self.pass(scope, Stage::Etcd, (start, None), walk).is_some() {
            let result = self.start_etcd_member(scope).await;
            walk.finish(Stage::Etcd, result);
        }
        if self.pass(scope, Stage::ApiServer, (start, None), walk).is_some() {
            let result = self.start_api_server(scope).await;
            walk.finish(Stage::ApiServer, result);
        }
        if let Err(error) = self.stop_components(scope).await {
            walk.retry.get_or_insert(error);
        }
    }

    /// Stops the components that the annotation names, and no others.
    async fn stop_components(&self, scope: &Scope<K>) -> Result<(), String> {
        let annotations = scope.before.meta().annotations.as_ref();
        let names = annotations.and_then(|annotations| annotations.get(STOPPED));
        let names = names.map(String::as_str).unwrap_or_default().split(',').map(str::trim);
        let name = name_of(&*scope.before);
        let stopped = self.host.stop_components(&scope.cluster_key, name, names).await;
        stopped.map_err(|error| error.to_string())
    }

    /// When a stage ended, if it is over: now, or earlier (`known`). Otherwise its state is noted.
    fn pass(
        &self,
        scope: &Scope<K>,
        stage: Stage,
        (start, known): (Timestamp, Option<Timestamp>),
        walk: &mut Walk,
    ) -> Option<Timestamp> {
        if known.is_some() {
            return known;
        }
        let was_provisioned =
            conditions::v1beta1::is_true(scope.before.v1beta1(), stage.condition());
        let annotations = scope.machine.metadata.annotations.as_ref();
        if was_provisioned || annotations.is_some_and(|all| all.contains_key(BOOTSTRAPPED)) {
            return Some(scope.now);
        }
        let meta = scope.before.meta();
        let subject = Subject {
            seed: self.seed,
            namespace: meta.namespace.as_deref().unwrap_or_default(),
            kind: K::KIND,
            name: meta.name.as_deref().unwrap_or_default(),
        };
        match stages::duration(stage, scope.before.behaviour(), subject) {
            Ok(duration) => match stages::stage(scope.now, start, duration) {
                Progress::Done(end) => return Some(end),
                Progress::WaitUntil(end) => {
                    walk.states.push((stage, State::Starting));
                    walk.wake = Some(walk.wake.map_or(end, |wake| wake.min(end)));
                }
            },
            Err(detail) => {
                let message = format!("{}.{detail}", K::BEHAVIOUR_PATH);
                walk.states.push((stage, State::Failed(message)));
            }
        }
        None
    }

    async fn start_node(&self, scope: &Scope<K>) -> Result<(), String> {
        // After a restart a machine may come before the infrastructure of its cluster.
        let endpoint = scope.cluster.spec.control_plane_endpoint.clone().unwrap_or_default();
        let port = endpoint.port.and_then(|port| u16::try_from(port).ok());
        let port = port.filter(|port| *port != 0);
        let network = network(&scope.cluster);
        self.host
            .add_cluster(&scope.cluster_key, &endpoint.host, port, network)
            .map_err(|error| error.to_string())?;
        let request = NodeRequest {
            name: name_of(&*scope.before),
            provider_id: &provider_id(&scope.before),
            version: version_of(scope),
            is_control_plane: scope.is_control_plane,
        };
        let added = self.host.add_node(&scope.cluster_key, &request).await;
        added.map_err(|error| error.to_string())?;
        let annotations = scope.before.meta().annotations.as_ref();
        let kubelet = annotations.and_then(|annotations| annotations.get(KUBELET));
        if kubelet.is_some_and(|state| state == "stopped") {
            self.host.stop_kubelet(&scope.cluster_key, request.name);
        } else {
            self.host.start_kubelet(&scope.cluster_key, request.name);
        }
        Ok(())
    }

    async fn start_etcd_member(&self, scope: &Scope<K>) -> Result<(), String> {
        let name = name_of(&*scope.before);
        if self.host.has_etcd_member(&scope.cluster_key, name) {
            return Ok(());
        }
        let ca = self.authority(&scope.cluster_key, Purpose::EtcdCa).await?;
        let request = EtcdMemberRequest { name, ca: ca.as_ref() };
        let added = self.host.add_etcd_member(&scope.cluster_key, &request).await;
        added.map_err(|error| error.to_string())
    }

    async fn start_api_server(&self, scope: &Scope<K>) -> Result<(), String> {
        let name = name_of(&*scope.before);
        if self.host.has_api_server(&scope.cluster_key, name) {
            return Ok(());
        }
        let ca =
            self.authority(&scope.cluster_key, Purpose::ClusterCa).await?.ok_or_else(|| {
                format!(
                    "failed to get Secret {}: not found",
                    Purpose::ClusterCa.secret_name(&scope.cluster_key.name)
                )
            })?;
        let configuration = if self.host.is_initialized(&scope.cluster_key) {
            None
        } else {
            self.cluster_configuration(scope).await?
        };
        let request = ApiServerRequest { name, ca: &ca, configuration: configuration.as_deref() };
        let added = self.host.add_api_server(&scope.cluster_key, &request).await;
        added.map_err(|error| error.to_string())
    }

    /// What the bootstrap data tell kubeadm about the cluster, if they do.
    async fn cluster_configuration(&self, scope: &Scope<K>) -> Result<Option<String>, String> {
        let Some(name) = &scope.machine.spec.bootstrap.data_secret_name else { return Ok(None) };
        let key = ObjectKey::new(scope.cluster_key.namespace.clone(), name);
        let secret: Option<Secret> = self
            .client
            .get(&key)
            .await
            .map_err(|error| format!("failed to get Secret {key}: {error}"))?;
        let data = secret.and_then(|secret| secret.data?.remove("value"));
        let text = data.and_then(|data| String::from_utf8(data.0).ok());
        Ok(text.and_then(|text| bootstrap_data::cluster_configuration(&text)))
    }

    /// A CA of a cluster, from its Secret, if there is one.
    async fn authority(
        &self,
        cluster: &ObjectKey,
        purpose: Purpose,
    ) -> Result<Option<CertificateFiles>, String> {
        let key = ObjectKey::new(cluster.namespace.clone(), purpose.secret_name(&cluster.name));
        let secret: Option<Secret> = self
            .client
            .get(&key)
            .await
            .map_err(|error| format!("failed to get Secret {key}: {error}"))?;
        let Some(secret) = secret else { return Ok(None) };
        let text = |field: &str| {
            let bytes = secret.data.as_ref().and_then(|data| data.get(field));
            let bytes = bytes.ok_or_else(|| format!("Secret {key} has no data for {field}"))?;
            String::from_utf8(bytes.0.clone())
                .map_err(|_| format!("{field} of Secret {key} is not valid PEM"))
        };
        Ok(Some(CertificateFiles { certificate_pem: text("tls.crt")?, key_pem: text("tls.key")? }))
    }

    /// Takes everything back and lets the object go.
    async fn delete(&self, before: &Arc<K>, cluster: &ObjectKey) -> Result<(), ReconcileError> {
        self.timelines.forget(&ObjectKey::of(&**before));
        self.host
            .remove_machine(cluster, name_of(&**before))
            .await
            .map_err(|error| ReconcileError::Other(error.to_string()))?;
        let mut after = (**before).clone();
        remove_finalizer(&mut after);
        patch_object(&self.client, &**before, &after).await?;
        Ok(())
    }

    /// Writes what has changed and says when to come back.
    async fn settle(&self, scope: Scope<K>, walk: Walk) -> Result<Outcome, ReconcileError> {
        let Scope { cluster, before, mut after, now, .. } = scope;
        // Setting the provider id makes a new generation; conditions speak of that one.
        let is_spec_changed = before.provider_id() != after.provider_id();
        let generation =
            before.meta().generation.map(|generation| generation + i64::from(is_spec_changed));
        let moment = Moment { now, generation };
        let paused = paused::condition(Some(&cluster), K::KIND, before.meta());
        if let Some(list) = after.conditions_mut() {
            conditions::set(list, paused, generation, now);
        }
        if let Some(message) = before.unsupported() {
            let problem = Err(("DockerBackendNotSupported", message.as_str()));
            status::report_problem(&mut after, problem, moment);
        } else if !walk.states.is_empty() {
            status::report(&mut after, &walk.states, moment);
        }
        patch_object(&self.client, &*before, &after).await?;
        if let Some(message) = walk.retry {
            return Err(ReconcileError::Other(message));
        }
        // The time that the writes took counts.
        Ok(walk.wake.map_or(Outcome::Done, |wake| {
            let rest = Duration::try_from(wake.duration_since(self.clock.now()));
            Outcome::RequeueAfter(rest.unwrap_or(Duration::ZERO))
        }))
    }
}

impl Walk {
    /// Notes the outcome of a stage's work.
    fn finish(&mut self, stage: Stage, result: Result<(), String>) {
        let state = match result {
            Ok(()) => State::Provisioned,
            Err(message) => {
                self.retry.get_or_insert_with(|| message.clone());
                State::Failed(message)
            }
        };
        self.states.push((stage, state));
    }

    fn is_provisioned(&self, stage: Stage) -> bool {
        self.states.iter().any(|(known, state)| *known == stage && *state == State::Provisioned)
    }
}

/// Whether the cluster's infrastructure is this provider's, of the matching kind.
fn is_ours<K: InfraMachine>(scope: &Scope<K>) -> bool {
    let reference = scope.cluster.spec.infrastructure_ref.as_ref();
    reference.is_some_and(|reference| reference.kind == K::CLUSTER_KIND)
}

/// What keeps the machine from starting.
fn blocker<K: InfraMachine>(scope: &Scope<K>) -> Option<Blocker> {
    if !is_infrastructure_provisioned(&scope.cluster) {
        return Some(Blocker::ClusterInfrastructure);
    }
    if scope.machine.spec.bootstrap.data_secret_name.is_some() {
        return None;
    }
    if !scope.is_control_plane && !is_control_plane_initialized(&scope.cluster) {
        return Some(Blocker::ControlPlane);
    }
    Some(Blocker::BootstrapData)
}

/// The version of the machine's Node. Machines of a MachinePool tell theirs only once the Node
/// does; their pool has written down what they were made for.
fn version_of<K: InfraMachine>(scope: &Scope<K>) -> &str {
    match scope.machine.spec.version.as_str() {
        "" => pool::annotation(scope.before.meta(), pool::VERSION).unwrap_or_default(),
        version => version,
    }
}

fn name_of<K: InfraMachine>(machine: &K) -> &str {
    machine.meta().name.as_deref().unwrap_or_default()
}

fn provider_id<K: InfraMachine>(machine: &Arc<K>) -> String {
    format!("in-memory://{}", name_of(&**machine))
}
