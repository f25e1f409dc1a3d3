//! One reconcile of a KubeadmControlPlane.
//! (CAPI v1.14: controlplane/kubeadm/reconcilers/kubeadmcontrolplane)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use parking_lot::Mutex;

use super::infrastructure::{Infrastructure, TemplateState};
use super::propagate::Propagated;
use super::scope::{ControlPlane, OwnedMachine, Workload, listed};
use super::secrets::{Certificates, KubeconfigState, Secrets};
use super::step::{self, Plan, Step};
use super::upgrade::Settled;
use super::{
    MACHINES_BY_CLUSTER, POOLS_BY_CLUSTER, etcd, inspect, operate, remediation, status, up_to_date,
    wake,
};
use crate::api::bootstrap::KubeadmConfig;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::api::pools::MachinePool;
use crate::client::{Client, ObjectKey, Propagation};
use crate::clock::{Clock, Seed};
use crate::contract::conditions::{self, New, v1beta1};
use crate::contract::{labels, machines, owners, paused};
use crate::runtime::{
    EventRecorder, Informer, Outcome, ReconcileError, Reconciler, RemoteInformers, patch_object,
};

/// Finalizer of this provider.
pub(super) const FINALIZER: &str = "kubeadm.controlplane.cluster.x-k8s.io";
/// kubeadm's ConfigMap has no watch of ours, and neither has a CA that a user brings.
const LOOK_AGAIN: Duration = Duration::from_secs(20);
/// Last known conditions stand this long after the workload cluster was lost.
const CONNECTION_GRACE: Duration = Duration::from_secs(5 * 60);
const CA_RETRY: Duration = Duration::from_secs(30);

/// Live copies that the reconciler reads.
pub(super) struct Caches {
    pub(super) control_planes: Informer<KubeadmControlPlane>,
    pub(super) clusters: Informer<Cluster>,
    pub(super) machines: Informer<Machine>,
    pub(super) configs: Informer<KubeadmConfig>,
    pub(super) pools: Informer<MachinePool>,
}

/// Whether the state of the components is known as far as it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// It is, or there is nothing to see yet.
    Clear,
    /// The workload cluster cannot be reached.
    Lost,
}

/// Reconciles KubeadmControlPlanes.
pub(super) struct KcpReconciler {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) seed: Seed,
    pub(super) caches: Caches,
    pub(super) remote: RemoteInformers,
    pub(super) recorder: EventRecorder,
    pub(super) secrets: Secrets,
    pub(super) infrastructure: Infrastructure,
    /// Since when the workload cluster of a control plane cannot be reached. Written and read by
    /// reconciles; an entry goes with the outage or the object.
    pub(super) lost: Mutex<HashMap<ObjectKey, Timestamp>>,
    /// What the last preflight Event of a control plane said: upstream reconciles a waiting control
    /// plane every five seconds, we at every event, and telling the same again would only cost
    /// writes. Written and read by reconciles; an entry goes with the wait or the object.
    pub(super) told: Mutex<HashMap<ObjectKey, String>>,
    /// What was brought from machine templates to the objects of Machines.
    pub(super) propagated: Propagated,
    /// Workload clusters that need not be looked into again for a while.
    pub(super) settled: Settled,
}

impl Reconciler for KcpReconciler {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, ReconcileError> {
        let Some(before) = self.caches.control_planes.get(&key.namespace, &key.name) else {
            self.secrets.forget(key);
            self.infrastructure.forget(key);
            self.lost.lock().remove(key);
            self.told.lock().remove(key);
            self.settled.forget(key);
            return Ok(Outcome::Done);
        };
        let owner = owners::owner(&before.metadata, "cluster.x-k8s.io", "Cluster");
        let cluster = owner.and_then(|owner| self.caches.clusters.get(&key.namespace, &owner.name));
        let Some(cluster) = cluster else { return Ok(Outcome::Done) };
        let mut control_plane = ControlPlane {
            kcp: KubeadmControlPlane::clone(&before),
            cluster,
            now: self.clock.now(),
            ..ControlPlane::default()
        };
        let is_new = add_finalizer(&mut control_plane);
        let owner = Some(&*control_plane.cluster);
        let is_paused = paused::is_paused(owner, &before.metadata);
        let condition = paused::condition(owner, "KubeadmControlPlane", &before.metadata);
        control_plane.set(condition);
        if is_paused {
            // People change things by hand meanwhile.
            self.infrastructure.forget(key);
            self.secrets.distrust(key);
            patch_object(&self.client, &*before, &control_plane.kcp).await?;
            return Ok(Outcome::Done);
        }
        // Without its Machines nothing true can be said about a control plane.
        let orphans = self.read(&mut control_plane).await?;
        if !orphans.is_empty() {
            self.adopt(&control_plane, &orphans).await?;
            patch_object(&self.client, &*before, &control_plane.kcp).await?;
            return Ok(Outcome::Done);
        }
        let result = if control_plane.is_deleting() {
            self.delete(&mut control_plane).await
        } else {
            self.normal(&mut control_plane, is_new).await
        };
        status::update(&mut control_plane);
        if result.is_ok() {
            control_plane.status().observed_generation = control_plane.kcp.metadata.generation;
        }
        patch_object(&self.client, &*before, &control_plane.kcp).await?;
        let wake = self.wake(&control_plane);
        result.map(|outcome| match (outcome, wake) {
            (Outcome::Done, Some(wake)) => Outcome::RequeueAfter(wake),
            (outcome, _) => outcome,
        })
    }
}

/// Adds the finalizer before anything is made, so that nothing is left behind on deletion.
fn add_finalizer(control_plane: &mut ControlPlane) -> bool {
    if control_plane.is_deleting() {
        return false;
    }
    let finalizers = control_plane.kcp.metadata.finalizers.get_or_insert_default();
    if finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        return false;
    }
    finalizers.push(FINALIZER.to_owned());
    true
}

impl KcpReconciler {
    /// Reads the Machines and what belongs to them; answers Machines that nobody controls. Before
    /// the infrastructure stands there are none.
    async fn read(
        &self,
        control_plane: &mut ControlPlane,
    ) -> Result<Vec<Arc<Machine>>, ReconcileError> {
        if !control_plane.is_infrastructure_provisioned() || control_plane.endpoint().is_none() {
            return Ok(Vec::new());
        }
        let uid = control_plane.kcp.metadata.uid.clone().unwrap_or_default();
        let cluster = control_plane.cluster_key();
        let (mut owned, mut orphans, mut is_mixed) = (Vec::new(), Vec::new(), false);
        for machine in self.caches.machines.by_index(MACHINES_BY_CLUSTER, &cluster.to_string()) {
            if owners::is_controlled_by(&machine.metadata, &uid) {
                owned.push(machine);
            } else if !machines::is_control_plane(&machine) {
                control_plane.workers.push(machines::name(&machine).to_owned());
            } else if !control_plane.is_deleting() {
                match owners::controlling(&machine.metadata) {
                    Some(_) => is_mixed = true,
                    None => orphans.push(machine),
                }
            }
        }
        if !orphans.is_empty() {
            return Ok(orphans);
        }
        if is_mixed {
            return Err(ReconcileError::Other(
                "not all control plane machines are owned by this KubeadmControlPlane, refusing to \
                 operate in mixed management mode"
                    .to_owned(),
            ));
        }
        machines::sort_oldest_first(&mut owned);
        for before in owned {
            let machine = Machine::clone(&before);
            let reference = machine.spec.bootstrap.config_ref.as_ref();
            let config =
                reference.and_then(|r| self.caches.configs.get(&cluster.namespace, &r.name));
            let cloned_from = self.infrastructure.cloned_from(&machine).await?;
            let mut owned =
                OwnedMachine { before, machine, config, cloned_from, outdated: Vec::new() };
            owned.outdated = up_to_date::outdated(control_plane, &owned);
            control_plane.machines.push(owned);
        }
        Ok(Vec::new())
    }

    async fn normal(
        &self,
        control_plane: &mut ControlPlane,
        is_new: bool,
    ) -> Result<Outcome, ReconcileError> {
        if self.infrastructure.own_template(control_plane).await? == TemplateState::Missing {
            control_plane.is_template_missing = true;
            let reference = &control_plane.kcp.spec.machine_template.spec.infrastructure_ref;
            let message = format!("{} {} not found", reference.kind, reference.name);
            return Err(ReconcileError::Other(message));
        }
        if !control_plane.is_infrastructure_provisioned() {
            let message = "Waiting for Cluster status.infrastructureReady to be true";
            inspect::set_unknown(control_plane, message);
            return Ok(Outcome::Done);
        }
        if is_new {
            // The finalizer has to be stored first; its write brings us back.
            return Ok(Outcome::Done);
        }
        self.certificates(control_plane).await?;
        let Some(endpoint) = control_plane.endpoint() else {
            let message = "Waiting for Cluster spec.controlPlaneEndpoint to be set";
            inspect::set_unknown(control_plane, message);
            return Ok(Outcome::Done);
        };
        if self.secrets.kubeconfig(control_plane, &endpoint).await? == KubeconfigState::CaMissing {
            return Ok(Outcome::RequeueAfter(CA_RETRY));
        }
        self.look(control_plane).await?;
        self.propagate(control_plane).await?;
        status::set_v1beta1_machines_ready(control_plane);
        if self.set_conditions(control_plane) == Sight::Lost {
            // Nothing may be changed blindly; the return of the connection wakes us.
            self.write_machines(control_plane).await?;
            return Ok(Outcome::Done);
        }
        if !control_plane.machines.iter().any(OwnedMachine::is_deleting)
            && let Err(error) = remediation::clean_up(control_plane)
        {
            self.write_machines(control_plane).await?;
            return Err(ReconcileError::Other(error));
        }
        let Plan { step, refusal } = step::next_step(control_plane);
        if let Some(refusal) = &refusal {
            remediation::mark_refused(control_plane, refusal);
        }
        set_spec_up_to_date(control_plane, &step);
        let prepared = self.prepare(control_plane, &step);
        self.write_machines(control_plane).await?;
        prepared?;
        self.execute(control_plane, step).await?;
        control_plane.again = refusal.and_then(|refusal| refusal.again);
        Ok(Outcome::Done)
    }

    async fn certificates(&self, control_plane: &mut ControlPlane) -> Result<(), ReconcileError> {
        const TYPE: &str = "CertificatesAvailable";
        const FAILED: &str = "CertificatesGenerationFailed";
        match self.secrets.certificates(control_plane).await {
            Ok(Certificates::Available) => {
                control_plane.set_v1beta1(v1beta1::yes(TYPE));
                control_plane.set(New::yes(TYPE, "Available"));
                Ok(())
            }
            Ok(Certificates::Missing(purposes)) => {
                let verb = if purposes.len() == 1 {
                    ("certificate", "is")
                } else {
                    ("certificates", "are")
                };
                let message = format!(
                    "Cluster {} for {} {} not available, please check cluster certificate secrets",
                    verb.0,
                    purposes.join(", "),
                    verb.1
                );
                control_plane.set_v1beta1(v1beta1::no(TYPE, FAILED, "Error", &message));
                control_plane.set(New::no(TYPE, "NotAvailable", message));
                Ok(())
            }
            Err(error) => {
                let message = error.to_string();
                control_plane.set_v1beta1(v1beta1::no(TYPE, FAILED, "Warning", &message));
                let internal = "Please check controller logs for errors";
                control_plane.set(New::unknown(TYPE, "InternalError", internal));
                Err(error)
            }
        }
    }

    /// Looks into the workload cluster. Its Nodes say nothing before the Cluster knows that the
    /// control plane is initialized, because no Machine has a Node yet.
    async fn look(&self, control_plane: &mut ControlPlane) -> Result<(), ReconcileError> {
        let key = control_plane.cluster_key();
        let Some(remote) = self.remote.clusters().get(&key) else { return Ok(()) };
        let is_known = control_plane.is_initialized() && control_plane.is_v1beta1_true("Available");
        if is_known {
            control_plane.has_kubeadm_config = true;
        } else if !control_plane.machines.is_empty() {
            let config = ObjectKey::new("kube-system", "kubeadm-config");
            control_plane.has_kubeadm_config =
                remote.client.get::<ConfigMap>(&config).await?.is_some();
        }
        if !self.remote.is_synced(&key) {
            return Ok(());
        }
        let has_machine = |node: &Node| {
            let name = node.metadata.name.as_deref();
            control_plane.machines.iter().any(|owned| Some(owned.node_name()) == name)
        };
        let nodes: Vec<Arc<Node>> = self
            .remote
            .nodes(&key)
            .into_iter()
            .filter(|node| inspect::has_role(node) || has_machine(node))
            .collect();
        let mut pods = Vec::new();
        for owned in control_plane.machines.iter().filter(|owned| owned.has_node()) {
            for (_, component) in control_plane.pod_conditions() {
                let name = format!("{component}-{}", owned.node_name());
                pods.extend(self.remote.pod(&key, &name));
            }
        }
        control_plane.workload = Some(Workload { nodes, pods, etcd: remote.etcd() });
        Ok(())
    }

    /// Conditions of Machines and control plane about components and etcd.
    fn set_conditions(&self, control_plane: &mut ControlPlane) -> Sight {
        inspect::set_up_to_date(control_plane);
        if !control_plane.is_initialized() || !control_plane.is_true("Initialized") {
            control_plane.workload = None;
            let message = "Waiting for Cluster control plane to be initialized";
            inspect::set_unknown(control_plane, message);
            return Sight::Clear;
        }
        let cluster = control_plane.cluster.status.as_ref();
        let is_known_to_cluster = cluster.is_some_and(|status| {
            conditions::is_true(&status.conditions, "ControlPlaneInitialized")
        });
        if !is_known_to_cluster && !control_plane.machines.iter().any(OwnedMachine::has_node) {
            return Sight::Clear;
        }
        let key = control_plane.key();
        if control_plane.workload.is_some() {
            self.lost.lock().remove(&key);
            inspect::set_component_conditions(control_plane);
            etcd::set_conditions(control_plane);
            return Sight::Clear;
        }
        let since = *self.lost.lock().entry(key).or_insert(control_plane.now);
        if since + CONNECTION_GRACE <= control_plane.now {
            let since = since.strftime("%Y-%m-%dT%H:%M:%SZ");
            let message = format!("Last successful probe at {since}");
            inspect::set_unknown_because(control_plane, "ConnectionDown", &message);
        }
        Sight::Lost
    }

    /// Writes the Machines that differ.
    pub(super) async fn write_machines(
        &self,
        control_plane: &ControlPlane,
    ) -> Result<(), ReconcileError> {
        let is_settled = control_plane.workload.is_some();
        for owned in &control_plane.machines {
            if is_settled || differs(owned) {
                patch_object(&self.client, &*owned.before, &owned.machine).await?;
            }
        }
        Ok(())
    }

    /// When to look again without an event.
    fn wake(&self, control_plane: &ControlPlane) -> Option<Duration> {
        let changes = wake::next_change(control_plane);
        let look = if control_plane.is_deleting() { None } else { self.look_again(control_plane) };
        changes.into_iter().chain(look).min()
    }

    fn look_again(&self, control_plane: &ControlPlane) -> Option<Duration> {
        if let Some(since) = self.lost.lock().get(&control_plane.key()) {
            let left = (*since + CONNECTION_GRACE).duration_since(control_plane.now);
            return Duration::try_from(left).ok().filter(|left| !left.is_zero());
        }
        let is_reachable = self.remote.clusters().get(&control_plane.cluster_key()).is_some();
        let waits_for_kubeadm = is_reachable && !control_plane.is_initialized();
        let is_unhealthy =
            conditions::is_false(control_plane.conditions(), "ControlPlaneComponentsHealthy");
        let lacks_certificates =
            conditions::is_false(control_plane.conditions(), "CertificatesAvailable");
        (waits_for_kubeadm || is_unhealthy || lacks_certificates).then_some(LOOK_AGAIN)
    }

    /// Deletion: workers go first, then all machines at once, then the finalizer.
    async fn delete(&self, control_plane: &mut ControlPlane) -> Result<Outcome, ReconcileError> {
        if control_plane.machines.is_empty() {
            control_plane.deleting = ("DeletionCompleted", "Deletion completed".to_owned());
            if let Some(finalizers) = &mut control_plane.kcp.metadata.finalizers {
                finalizers.retain(|finalizer| finalizer != FINALIZER);
            }
            return Ok(Outcome::Done);
        }
        if let Err(error) = self.look(control_plane).await {
            tracing::debug!(object = %control_plane.key(), %error, "failed to inspect while deleting");
        }
        let _ = self.set_conditions(control_plane);
        status::set_v1beta1_machines_ready(control_plane);
        let pools = self.pools_of(control_plane);
        if !control_plane.workers.is_empty() || !pools.is_empty() {
            let message = "Waiting for worker nodes to be deleted first";
            control_plane.set_v1beta1(v1beta1::no("Resized", "Deleting", "Info", message));
            control_plane.workers.sort();
            let message = blocked_by(&pools, &control_plane.workers);
            control_plane.deleting = ("WaitingForWorkersDeletion", message);
            self.write_machines(control_plane).await?;
            return Ok(Outcome::Done);
        }
        control_plane.set_v1beta1(v1beta1::no("Resized", "Deleting", "Info", ""));
        if let Err(error) = self.delete_machines(control_plane).await {
            let message = format!(
                "Failed to delete control plane Machines for cluster {} control plane: {error}",
                control_plane.cluster_key()
            );
            self.warn(control_plane, "FailedDelete", message);
            let internal = "Please check controller logs for errors".to_owned();
            control_plane.deleting = ("InternalError", internal);
            return Err(error);
        }
        let count = control_plane.machines.len();
        let plural = if count == 1 { "" } else { "s" };
        let stale = status::stale_machines(control_plane).map(|stale| format!(" and {stale}"));
        let message = format!("Deleting {count} Machine{plural}{}", stale.unwrap_or_default());
        control_plane.deleting = ("WaitingForMachineDeletion", message);
        Ok(Outcome::Done)
    }

    /// Names of the Cluster's MachinePools, which go before its control plane.
    fn pools_of(&self, control_plane: &ControlPlane) -> Vec<String> {
        let cluster = control_plane.cluster_key().to_string();
        let pools = self.caches.pools.by_index(POOLS_BY_CLUSTER, &cluster);
        let mut names: Vec<String> =
            pools.iter().filter_map(|pool| pool.metadata.name.clone()).collect();
        names.sort();
        names
    }

    /// Nobody cares for etcd any more, so the hooks go before the machines do.
    async fn delete_machines(
        &self,
        control_plane: &mut ControlPlane,
    ) -> Result<(), ReconcileError> {
        for owned in &mut control_plane.machines {
            operate::remove_hook(&mut owned.machine);
        }
        self.write_machines(control_plane).await?;
        for owned in control_plane.machines.iter().filter(|owned| !owned.is_deleting()) {
            let key = ObjectKey::of(&owned.machine);
            self.client.delete::<Machine>(&key, Propagation::Default).await?;
        }
        Ok(())
    }
}

/// What has to go before a control plane does.
fn blocked_by(pools: &[String], workers: &[String]) -> String {
    let mut lines = vec![
        "KubeadmControlPlane deletion blocked because following objects still exist:".to_owned(),
    ];
    for (kind, names) in [("MachinePools", pools), ("Machines", workers)] {
        if !names.is_empty() {
            lines.push(format!("* {kind}: {}", listed(names, 5)));
        }
    }
    lines.join("\n")
}

/// `MachinesSpecUpToDate` of the older family appears with the first rollout.
fn set_spec_up_to_date(control_plane: &mut ControlPlane, step: &Step) {
    const TYPE: &str = "MachinesSpecUpToDate";
    // Upstream comes to this after what holds everything up.
    match step {
        Step::RemoveMember(_)
        | Step::Release { .. }
        | Step::AwaitDeletion
        | Step::AwaitUpdate
        | Step::Remediate { .. }
        | Step::CannotRemediate { .. }
        | Step::Fail(_) => return,
        Step::Nothing
        | Step::Initialize { .. }
        | Step::ScaleUp { .. }
        | Step::ScaleDown { .. }
        | Step::Wait(_) => {}
    }
    let all = control_plane.machines.len();
    let outdated = control_plane.machines.iter().filter(|owned| !owned.outdated.is_empty()).count();
    if outdated > 0 {
        let message = format!(
            "Rolling {outdated} replicas with outdated spec ({} replicas up to date)",
            all - outdated
        );
        let rolling = v1beta1::no(TYPE, "RollingUpdateInProgress", "Warning", &message);
        control_plane.set_v1beta1(rolling);
    } else if v1beta1::get(control_plane.v1beta1_conditions(), TYPE).is_some() {
        control_plane.set_v1beta1(v1beta1::yes(TYPE));
    }
}

/// Whether a Machine differs in more than the generation that its conditions speak of. While a
/// control plane starts, the generation moves with every step of the Machine controller, and each
/// move would cost a write that tells nothing; the first healthy state brings it up to date.
fn differs(owned: &OwnedMachine) -> bool {
    let mut after = owned.machine.clone();
    if let (Some(status), Some(before)) = (&mut after.status, &owned.before.status) {
        for condition in &mut status.conditions {
            let known = conditions::get(&before.conditions, &condition.type_);
            if let Some(known) = known {
                condition.observed_generation = known.observed_generation;
            }
        }
    }
    after != *owned.before
}

/// Whether a change of a Cluster matters to its control plane.
pub(super) fn matters(old: &Cluster, new: &Cluster) -> bool {
    let gates = |cluster: &Cluster| {
        let provisioned = cluster
            .status
            .as_ref()
            .and_then(|status| status.initialization.as_ref())
            .and_then(|milestones| milestones.infrastructure_provisioned);
        (
            cluster.spec.paused.unwrap_or(false),
            provisioned,
            cluster.spec.control_plane_endpoint.clone(),
        )
    };
    gates(old) != gates(new)
        || old.spec.topology.version != new.spec.topology.version
        || old.metadata.annotations != new.metadata.annotations
        || old.metadata.labels.as_ref().and_then(|l| l.get(labels::WATCH_FILTER))
            != new.metadata.labels.as_ref().and_then(|l| l.get(labels::WATCH_FILTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_generation_alone_is_not_worth_a_write() {
        let mut machine = Machine::default();
        machine.metadata.generation = Some(1);
        let mut owned = OwnedMachine { machine: machine.clone(), ..OwnedMachine::default() };
        owned.set(New::yes("UpToDate", "UpToDate"), Timestamp::UNIX_EPOCH);
        let mut before = owned.machine.clone();
        before.metadata.generation = Some(2);
        owned.before = Arc::new(before.clone());
        owned.machine = before;
        owned.set(New::yes("UpToDate", "UpToDate"), Timestamp::UNIX_EPOCH);
        assert!(!differs(&owned));
        owned.set(New::no("UpToDate", "NotUpToDate", ""), Timestamp::UNIX_EPOCH);
        assert!(differs(&owned));
    }

    #[test]
    fn finalizer_is_added_once_and_never_to_a_deleted_object() {
        let mut control_plane = ControlPlane::default();
        assert!(add_finalizer(&mut control_plane));
        assert!(!add_finalizer(&mut control_plane));
        let mut deleted = ControlPlane::default();
        deleted.kcp.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
        assert!(!add_finalizer(&mut deleted));
    }
}
