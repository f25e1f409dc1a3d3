//! Deletion of a Machine: hooks, drain, volumes, infrastructure, bootstrap, Node.
//! (CAPI v1.14: machine_controller.go, reconcileDelete)

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::externals::Lookup;
use super::super::owned::elapsed;
use super::super::{remove_finalizer, v1beta1_status};
use super::drain_rules::is_unreachable;
use super::volumes::Attached;
use super::{MachineReconciler, Scope, status};
use crate::api::core::{MachineDeletionStatus, NodeRef};
use crate::client::{ObjectKey, Propagation};
use crate::contract::conditions::{v1beta1, whole_seconds};
use crate::contract::{labels, machines};
use crate::runtime::{EventType, Outcome, ReconcileError, patch_object};

/// Pause between looks at a Node whose Pods or volumes are going; nothing watches those.
const RETRY: Duration = Duration::from_secs(20);
/// The same after all Pods were told to go: most stop at once.
const RETRY_SOON: Duration = Duration::from_secs(1);

/// A step of the deletion.
enum Step {
    /// Go on with the next one.
    Done,
    /// Stop here until something changes.
    Wait(Outcome),
}

impl MachineReconciler {
    /// Goes as far through the steps as is possible now.
    pub(super) async fn reconcile_delete(
        &self,
        scope: &mut Scope,
    ) -> Result<Outcome, ReconcileError> {
        scope.deleting = Some(("Deleting", "Deletion started".to_owned()));
        let is_node_deleted = match self.may_delete_node(scope).await {
            Ok(is_node_deleted) => is_node_deleted,
            Err(error) => {
                let message = "Please check controller logs for errors";
                scope.deleting = Some(("InternalError", message.to_owned()));
                return Err(ReconcileError::Other(format!(
                    "failed to check if Kubernetes Node deletion is allowed: {error}"
                )));
            }
        };
        if is_node_deleted && let Step::Wait(outcome) = self.leave_node(scope).await? {
            return Ok(outcome);
        }
        if let Step::Wait(outcome) = self.wait_for_hooks(scope, Hook::PreTerminate) {
            return Ok(outcome);
        }
        let infrastructure = scope.infrastructure.clone();
        let names = ("InfrastructureReady", "WaitingForInfrastructureDeletion");
        let kind = scope.machine.spec.infrastructure_ref.kind.clone();
        if !self.delete_external(scope, &infrastructure, &kind, names).await? {
            return Ok(Outcome::Done);
        }
        if let Some(reference) = scope.machine.spec.bootstrap.config_ref.clone() {
            let bootstrap = scope.bootstrap.clone();
            let names = ("BootstrapReady", "WaitingForBootstrapDeletion");
            if !self.delete_external(scope, &bootstrap, &reference.kind, names).await? {
                return Ok(Outcome::Done);
            }
        }
        if is_node_deleted {
            self.delete_node(scope).await?;
        }
        scope.deleting = Some(("DeletionCompleted", "Deletion completed".to_owned()));
        remove_finalizer(&mut scope.machine.metadata, labels::MACHINE_FINALIZER);
        Ok(Outcome::Done)
    }

    /// Whether the Node is drained and deleted: not when the whole cluster or control plane goes,
    /// and not for the last control plane Machine.
    async fn may_delete_node(&self, scope: &mut Scope) -> Result<bool, ReconcileError> {
        if scope.cluster.metadata.deletion_timestamp.is_some() {
            return Ok(false);
        }
        if scope.node_name().is_none() && scope.probe.is_connected {
            self.find_late_node(scope);
        }
        if scope.node_name().is_none() {
            return Ok(false);
        }
        if let Some(reference) = &scope.cluster.spec.control_plane_ref {
            let control_plane = self.context.find(reference, &scope.key.namespace).await?;
            if let Some(external) = control_plane {
                if external.object.is_deleting() {
                    return Ok(false);
                }
                if external.object.status.external_managed_control_plane == Some(true) {
                    return Ok(true);
                }
            }
        }
        let others = self.context.machines_of(&scope.cluster_key);
        Ok(others
            .iter()
            .any(|machine| machines::is_control_plane(machine) && !machines::is_deleting(machine)))
    }

    /// A Node may have come up after the deletion began.
    fn find_late_node(&self, scope: &mut Scope) {
        if scope.machine.spec.provider_id.is_empty() {
            let infrastructure = scope.infrastructure.found();
            let Some(id) = infrastructure
                .map(|external| external.object.spec.provider_id.clone())
                .filter(|id| !id.is_empty())
            else {
                return;
            };
            let nodes = self.context.remote.nodes(&scope.cluster_key);
            let node = nodes.iter().find(|node| {
                node.spec.as_ref().and_then(|spec| spec.provider_id.as_ref()) == Some(&id)
            });
            if let Some(name) = node.and_then(|node| node.metadata.name.clone()) {
                scope.status().node_ref = Some(NodeRef { name });
            }
        }
    }

    /// Pre-drain hooks, drain, and volumes.
    async fn leave_node(&self, scope: &mut Scope) -> Result<Step, ReconcileError> {
        if let Step::Wait(outcome) = self.wait_for_hooks(scope, Hook::PreDrain) {
            return Ok(Step::Wait(outcome));
        }
        let now = self.context.clock.now();
        if may_leave(scope, labels::EXCLUDE_NODE_DRAINING)
            && !is_timed_out(scope, now, Timeout::Drain)
            && let Step::Wait(outcome) = self.drain_node(scope).await?
        {
            return Ok(Step::Wait(outcome));
        }
        if may_leave(scope, labels::EXCLUDE_WAIT_FOR_VOLUME_DETACH)
            && !is_timed_out(scope, now, Timeout::Volumes)
        {
            return self.wait_for_volumes(scope).await;
        }
        Ok(Step::Done)
    }

    /// Writes down that the drain begins, so that it is seen however short it is.
    async fn announce_drain(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        const TYPE: &str = "DrainingSucceeded";
        let held = &mut v1beta1_status(&mut scope.status().deprecated).conditions;
        if v1beta1::get(held, TYPE).is_some() {
            return Ok(());
        }
        let before = scope.machine.clone();
        let now = self.context.clock.now();
        deletion(scope).node_drain_start_time.get_or_insert(whole_seconds(now));
        let message = "Draining the node before deletion";
        scope.set_v1beta1(v1beta1::no(TYPE, "Draining", "Info", message), now);
        status::set_v1beta1_ready(scope, now);
        patch_object(&self.context.client, &before, &scope.machine).await?;
        Ok(())
    }

    async fn drain_node(&self, scope: &mut Scope) -> Result<Step, ReconcileError> {
        self.announce_drain(scope).await?;
        let now = self.context.clock.now();
        let name = scope.node_name().unwrap_or_default().to_owned();
        let started = deletion(scope).node_drain_start_time.get_or_insert(whole_seconds(now)).0;
        let result = match self.context.remote.clusters().get(&scope.cluster_key) {
            None => Err(ReconcileError::Other(format!(
                "failed to drain Node {name}: connection to the workload cluster is down"
            ))),
            Some(remote) => match remote.client.get::<Node>(&ObjectKey::new("", &name)).await {
                Ok(Some(node)) => self.drain(scope, &remote.client, &node).await,
                // A Node that is gone needs no drain.
                Ok(None) => Ok(super::drain::Remaining::default()),
                Err(error) => Err(error.into()),
            },
        };
        match result {
            Ok(remaining) if remaining.is_empty() => {
                scope.set_v1beta1(v1beta1::yes("DrainingSucceeded"), now);
                let message = format!("success draining Machine's node {name:?}");
                self.record(scope, EventType::Normal, "SuccessfulDrainNode", message);
                Ok(Step::Done)
            }
            Ok(remaining) => {
                let message = remaining.message(started);
                let condition = v1beta1::no("DrainingSucceeded", "Draining", "Info", &message);
                scope.set_v1beta1(condition, now);
                scope.deleting = Some(("DrainingNode", message));
                let retry = if remaining.was_just_evicted() { RETRY_SOON } else { RETRY };
                Ok(Step::Wait(Outcome::RequeueAfter(retry)))
            }
            Err(error) => {
                let text = error.to_string();
                let condition =
                    v1beta1::no("DrainingSucceeded", "DrainingFailed", "Warning", &text);
                scope.set_v1beta1(condition, now);
                let message = "Error draining Node, please check controller logs for errors";
                scope.deleting = Some(("DrainingNode", message.to_owned()));
                let message = format!("error draining Machine's node {name:?}: {error}");
                self.record(scope, EventType::Warning, "FailedDrainNode", message);
                Err(error)
            }
        }
    }

    /// Waits until no volumes are attached to the Node; an unreachable Node is not waited for.
    async fn wait_for_volumes(&self, scope: &mut Scope) -> Result<Step, ReconcileError> {
        let now = self.context.clock.now();
        let started = deletion(scope)
            .wait_for_node_volume_detach_start_time
            .get_or_insert(whole_seconds(now))
            .0;
        let name = scope.node_name().unwrap_or_default().to_owned();
        let attached = self.attached_volumes(scope, &name).await;
        let attached = match attached {
            Ok(attached) => attached,
            Err(error) => {
                let message = "Error waiting for volumes to be detached from Node, please check \
                               controller logs for errors";
                scope.deleting = Some(("WaitingForVolumeDetach", message.to_owned()));
                let message = format!(
                    "error waiting for node volumes detaching, Machine's node {name:?}: {error}"
                );
                self.record(scope, EventType::Warning, "FailedWaitForVolumeDetach", message);
                return Err(error);
            }
        };
        if attached.is_empty() {
            scope.set_v1beta1(v1beta1::yes("VolumeDetachSucceeded"), now);
            let message =
                format!("success waiting for node volumes detaching Machine's node {name:?}");
            self.record(scope, EventType::Normal, "NodeVolumesDetached", message);
            return Ok(Step::Done);
        }
        let message = "Waiting for node volumes to be detached";
        let condition =
            v1beta1::no("VolumeDetachSucceeded", "WaitingForVolumeDetach", "Info", message);
        scope.set_v1beta1(condition, now);
        scope.deleting = Some(("WaitingForVolumeDetach", attached.message(started)));
        Ok(Step::Wait(Outcome::RequeueAfter(RETRY)))
    }

    /// The volumes of a Node as its cluster knows them now; none if it is gone or unreachable.
    async fn attached_volumes(
        &self,
        scope: &Scope,
        name: &str,
    ) -> Result<Attached, ReconcileError> {
        let Some(remote) = self.context.remote.clusters().get(&scope.cluster_key) else {
            return Err(ReconcileError::Other(format!(
                "failed to look for volumes of Node {name}: connection to the workload cluster is \
                 down"
            )));
        };
        match remote.client.get::<Node>(&ObjectKey::new("", name)).await? {
            Some(node) if !is_unreachable(&node) => {
                self.attached(scope, &remote.client, &node).await
            }
            _ => Ok(Attached::default()),
        }
    }

    fn wait_for_hooks(&self, scope: &mut Scope, hook: Hook) -> Step {
        let now = self.context.clock.now();
        let (prefix, condition, reason, name) = hook.names();
        let hooks: Vec<String> = scope
            .machine
            .metadata
            .annotations
            .iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .filter(|key| key.starts_with(prefix))
            .collect();
        if hooks.is_empty() {
            scope.set_v1beta1(v1beta1::yes(condition), now);
            return Step::Done;
        }
        let started = match hook {
            Hook::PreDrain => &mut deletion(scope).wait_for_pre_drain_hook_start_time,
            Hook::PreTerminate => &mut deletion(scope).wait_for_pre_terminate_hook_start_time,
        };
        started.get_or_insert(whole_seconds(now));
        scope.set_v1beta1(v1beta1::no(condition, "WaitingExternalHook", "Info", ""), now);
        let message = format!("Waiting for {name} hooks to succeed (hooks: {})", hooks.join(","));
        scope.deleting = Some((reason, message));
        Step::Wait(Outcome::Done)
    }

    /// Deletes a provider object; true once it is gone.
    async fn delete_external(
        &self,
        scope: &mut Scope,
        lookup: &Lookup,
        kind: &str,
        (v1beta1_type, reason): (&str, &'static str),
    ) -> Result<bool, ReconcileError> {
        if lookup.is_missing() {
            let now = self.context.clock.now();
            scope.set_v1beta1(v1beta1::no(v1beta1_type, "Deleted", "Info", ""), now);
            return Ok(true);
        }
        if let Some(external) = lookup.found()
            && let Err(error) = external.delete(&self.context.client).await
        {
            let message =
                format!("Failed to delete {kind}, please check controller logs for errors");
            scope.deleting = Some(("InternalError", message));
            return Err(error);
        }
        scope.deleting = Some((reason, format!("Waiting for {kind} to be deleted")));
        Ok(false)
    }

    /// Deletes the Node; gives up after `nodeDeletionTimeoutSeconds` (0 never gives up).
    async fn delete_node(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let name = scope.node_name().unwrap_or_default().to_owned();
        let error = match self.context.remote.clusters().get(&scope.cluster_key) {
            None => ReconcileError::Other(
                "failed deleting Node because connection to the workload cluster is down"
                    .to_owned(),
            ),
            Some(remote) => {
                let key = ObjectKey::new("", &name);
                match remote.client.delete::<Node>(&key, Propagation::Default).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error.into(),
                }
            }
        };
        let now = self.context.clock.now();
        scope.set_v1beta1(v1beta1::no("NodeHealthy", "DeletionFailed", "Warning", ""), now);
        let message = format!("error deleting Machine's Node: {error}");
        self.record(scope, EventType::Warning, "FailedDeleteNode", message);
        if is_timed_out(scope, now, Timeout::NodeDeletion) {
            return Ok(());
        }
        let message = "Error deleting Node, please check controller logs for errors";
        scope.deleting = Some(("DeletingNode", message.to_owned()));
        Err(error)
    }

    fn record(&self, scope: &Scope, event_type: EventType, reason: &str, message: String) {
        self.recorder.event(&scope.machine, event_type, reason, message);
    }
}

/// Annotations that hold a deletion.
#[derive(Clone, Copy)]
enum Hook {
    PreDrain,
    PreTerminate,
}

impl Hook {
    /// Annotation prefix, v1beta1 condition, reason, and name in messages.
    fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::PreDrain => (
                labels::PRE_DRAIN_HOOK_PREFIX,
                "PreDrainDeleteHookSucceeded",
                "WaitingForPreDrainHook",
                "pre-drain",
            ),
            Self::PreTerminate => (
                labels::PRE_TERMINATE_HOOK_PREFIX,
                "PreTerminateDeleteHookSucceeded",
                "WaitingForPreTerminateHook",
                "pre-terminate",
            ),
        }
    }
}

fn deletion(scope: &mut Scope) -> &mut MachineDeletionStatus {
    scope.status().deletion.get_or_insert_default()
}

/// Drain and volumes are seen to before the infrastructure is touched, and only once.
fn may_leave(scope: &Scope, excluding_annotation: &str) -> bool {
    let is_past = scope
        .machine
        .status
        .as_ref()
        .and_then(|status| status.deletion.as_ref())
        .is_some_and(|deletion| deletion.wait_for_pre_terminate_hook_start_time.is_some());
    let has_infrastructure =
        scope.infrastructure.found().is_some_and(|external| !external.object.is_deleting());
    !labels::has_annotation(&scope.machine.metadata, excluding_annotation)
        && !is_past
        && has_infrastructure
}

#[derive(Clone, Copy)]
enum Timeout {
    Drain,
    Volumes,
    NodeDeletion,
}

/// Whether a step has used up its time; without a limit (or with 0) it never has.
fn is_timed_out(scope: &Scope, now: Timestamp, timeout: Timeout) -> bool {
    let Some(limits) = &scope.machine.spec.deletion else { return false };
    let times = scope.machine.status.as_ref().and_then(|status| status.deletion.as_ref());
    let (limit, since): (Option<i32>, Option<&Time>) = match timeout {
        Timeout::Drain => (
            limits.node_drain_timeout_seconds,
            times.and_then(|times| times.node_drain_start_time.as_ref()),
        ),
        Timeout::Volumes => (
            limits.node_volume_detach_timeout_seconds,
            times.and_then(|times| times.wait_for_node_volume_detach_start_time.as_ref()),
        ),
        Timeout::NodeDeletion => (
            limits.node_deletion_timeout_seconds,
            scope.machine.metadata.deletion_timestamp.as_ref(),
        ),
    };
    match (limit.and_then(|limit| u64::try_from(limit).ok()), since) {
        (Some(limit), Some(since)) if limit > 0 => {
            elapsed(since.0, now) >= Duration::from_secs(limit)
        }
        _ => false,
    }
}
