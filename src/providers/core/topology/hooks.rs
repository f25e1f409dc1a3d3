//! Lifecycle hooks: when extensions are asked, and what their answers hold back.
//! (CAPI v1.14: exp/topology/desiredstate/lifecycle_hooks.go, internal/hooks,
//! exp/topology/scope/hookresponsetracker.go)
//!
//! Who calls the extensions is [`Extensions`]'s business. Without it, or while it is not in use,
//! nothing is asked and nothing is noted on Clusters.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::labels::{BEFORE_UPGRADE_PREFIX, OK_TO_DELETE};
use super::patches::External;
use super::scope::{Scope, is_being_created};
use crate::api::core::Cluster;
use crate::client::{Client, ObjectKey};
use crate::contract::conditions;
use crate::extensions::documents::{UpgradePlan, UpgradeStep, with_cluster};
use crate::extensions::{ExtensionError, Extensions, Hook, Request, Response, pending};
use crate::runtime::{ReconcileError, patch_object};

/// An upgrade plan that an extension made: versions of the control plane and of the workers.
pub(super) type ExtensionPlan = (Vec<String>, Vec<String>);

/// Answers of one reconcile.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(BTreeMap<Hook, Response>);

impl Answers {
    /// Whether a hook holds back what it is for.
    pub(super) fn is_blocking(&self, hook: Hook) -> bool {
        self.0.get(&hook).is_some_and(|answer| answer.retry_after_seconds != 0)
    }

    /// When the first hook that holds something back is to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.blocking().map(|(_, answer)| answer.retry_after_seconds).min()?;
        // A negative time blocks, too.
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1)))
    }

    /// What the hooks that hold `action` back say; empty if none does.
    pub(super) fn message(&self, action: &str) -> String {
        let mut all: Vec<String> = self
            .blocking()
            .map(|(hook, answer)| match answer.message.as_str() {
                "" => hook.name().to_owned(),
                message => format!("{}: {message}", hook.name()),
            })
            .collect();
        if all.is_empty() {
            return String::new();
        }
        all.sort();
        format!("Following hooks are blocking {action}: {}", all.join("; "))
    }

    fn blocking(&self) -> impl Iterator<Item = (&Hook, &Response)> {
        self.0.iter().filter(|(_, answer)| answer.retry_after_seconds != 0)
    }
}

/// Whether a hook may go on with what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Go on.
    Open,
    /// Wait; the answer is in the scope.
    Closed,
}

/// Calls hooks and notes which are still to be called.
pub(crate) struct Hooks {
    client: Client,
    extensions: Option<Extensions>,
}

impl Hooks {
    pub(crate) fn new(client: &Client, extensions: Option<Extensions>) -> Self {
        Self { client: client.clone(), extensions }
    }

    /// Whether hooks are on at all.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled().is_some()
    }

    fn enabled(&self) -> Option<&Extensions> {
        self.extensions.as_ref().filter(|extensions| extensions.is_in_use())
    }

    /// Who makes external patches.
    pub(super) fn external(&self) -> Option<&dyn External> {
        self.extensions.as_ref().map(|extensions| extensions as &dyn External)
    }

    /// The upgrade plan of an extension (GenerateUpgradePlan). `request` has the fields of the
    /// request beside `cluster`.
    ///
    /// # Errors
    /// The extension failed, or hooks are off.
    pub(super) async fn upgrade_plan(
        &self,
        extension: &str,
        cluster: &Cluster,
        request: Value,
    ) -> Result<ExtensionPlan, ReconcileError> {
        let Some(extensions) = self.enabled() else {
            return Err(ReconcileError::Other(format!(
                "can not use GenerateUpgradePlan extension {extension:?} if RuntimeSDK feature flag is disabled"
            )));
        };
        let (hook, object) = (Hook::GenerateUpgradePlan, ObjectKey::of(cluster));
        let key = format!("{object}: {request}");
        let request = about(cluster, request);
        let response = extensions.call_once_for(hook, &object, extension, key, &request).await;
        let plan = response.and_then(|response| {
            response.decode::<UpgradePlan>().map_err(|why| {
                ExtensionError(format!(
                    "failed to call extension handler {extension:?}: http call failed: failed to \
                     decode response: {why}"
                ))
            })
        });
        let plan = plan.map_err(|error| {
            super::kinds::wrap("failed to get upgrade plan from extension", other(error))
        })?;
        let versions = |steps: Option<Vec<UpgradeStep>>| {
            steps.unwrap_or_default().into_iter().map(|step| step.version).collect()
        };
        Ok((versions(plan.control_plane_upgrades), versions(plan.workers_upgrades)))
    }

    /// Asks a hook, unless it said lately that it wants to wait. `None`: nobody is there to ask.
    async fn ask(
        &self,
        scope: &mut Scope,
        hook: Hook,
        request: Value,
    ) -> Result<Option<Gate>, ReconcileError> {
        let Some(extensions) = self.enabled() else { return Ok(None) };
        let object = ObjectKey::of(&scope.cluster);
        if extensions.handlers(hook, &object.namespace).await.map_err(other)?.is_empty() {
            return Ok(None);
        }
        let request = about(&scope.cluster, request);
        let answer = extensions.call_all_in_time(hook, &object, &request).await.map_err(other)?;
        let gate = if answer.retry_after_seconds == 0 { Gate::Open } else { Gate::Closed };
        scope.answers.0.insert(hook, answer);
        Ok(Some(gate))
    }

    /// Before anything is made. (CAPI v1.14: callBeforeClusterCreateHook)
    pub(super) async fn before_cluster_create(
        &self,
        scope: &mut Scope,
    ) -> Result<Gate, ReconcileError> {
        if !scope.is_being_created() {
            return Ok(Gate::Open);
        }
        let gate = self.ask(scope, Hook::BeforeClusterCreate, json!({})).await?;
        Ok(gate.unwrap_or(Gate::Open))
    }

    /// Before the first step of an upgrade: annotations hold it back, then extensions.
    pub(super) async fn before_cluster_upgrade(
        &self,
        scope: &mut Scope,
        from: &str,
        to: &str,
    ) -> Result<Gate, ReconcileError> {
        if !self.is_enabled() {
            return Ok(Gate::Open);
        }
        if !is_pending(&scope.cluster, Hook::AfterClusterUpgrade) {
            if let Some(answer) = held_by_annotations(&scope.cluster) {
                scope.answers.0.insert(Hook::BeforeClusterUpgrade, answer);
                return Ok(Gate::Closed);
            }
            let request = step_request(scope, from, to);
            let gate = self.ask(scope, Hook::BeforeClusterUpgrade, request).await?;
            if gate == Some(Gate::Closed) {
                return Ok(Gate::Closed);
            }
        }
        self.mark_pending(scope, &[Hook::AfterClusterUpgrade]).await?;
        Ok(Gate::Open)
    }

    /// Before each step of the control plane; what follows the step is noted.
    pub(super) async fn before_control_plane_upgrade(
        &self,
        scope: &mut Scope,
        from: &str,
        to: &str,
    ) -> Result<Gate, ReconcileError> {
        if !self.is_enabled() {
            return Ok(Gate::Open);
        }
        let request = step_request(scope, from, to);
        let gate = self.ask(scope, Hook::BeforeControlPlaneUpgrade, request).await?;
        if gate == Some(Gate::Closed) {
            return Ok(Gate::Closed);
        }
        let mut next = vec![Hook::AfterControlPlaneUpgrade];
        let tracker = &scope.tracker;
        let plans = [&tracker.machine_deployments.plan, &tracker.machine_pools.plan];
        if plans.iter().any(|plan| plan.first().is_some_and(|first| first == to)) {
            next.extend([Hook::BeforeWorkersUpgrade, Hook::AfterWorkersUpgrade]);
        }
        self.mark_pending(scope, &next).await?;
        Ok(Gate::Open)
    }

    /// After each step of the control plane.
    pub(super) async fn after_control_plane_upgrade(
        &self,
        scope: &mut Scope,
        version: &str,
    ) -> Result<Gate, ReconcileError> {
        let request = done_request(scope, version);
        self.pending(scope, Hook::AfterControlPlaneUpgrade, request).await
    }

    /// Before each step of the workers.
    pub(super) async fn before_workers_upgrade(
        &self,
        scope: &mut Scope,
        from: &str,
        to: &str,
    ) -> Result<Gate, ReconcileError> {
        let request = step_request(scope, from, to);
        self.pending(scope, Hook::BeforeWorkersUpgrade, request).await
    }

    /// After each step of the workers.
    pub(super) async fn after_workers_upgrade(
        &self,
        scope: &mut Scope,
        version: &str,
    ) -> Result<Gate, ReconcileError> {
        let request = done_request(scope, version);
        self.pending(scope, Hook::AfterWorkersUpgrade, request).await
    }

    /// Hooks that follow what this reconcile has found done: a first control plane, an upgrade.
    /// (CAPI v1.14: callAfterHooks)
    pub(super) async fn after(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        if self.is_enabled() && is_being_created(&scope.cluster) {
            self.mark_pending(scope, &[Hook::AfterControlPlaneInitialized]).await?;
        }
        let status = scope.cluster.status.as_ref();
        let is_initialized = status.is_some_and(|status| {
            conditions::is_true(&status.conditions, "ControlPlaneInitialized")
        });
        if is_initialized && is_pending(&scope.cluster, Hook::AfterControlPlaneInitialized) {
            self.ask(scope, Hook::AfterControlPlaneInitialized, json!({})).await?;
            self.mark_done(scope, Hook::AfterControlPlaneInitialized).await?;
        }
        let waits = [Hook::AfterControlPlaneUpgrade, Hook::AfterWorkersUpgrade];
        let tracker = &scope.tracker;
        let is_upgraded = !waits.iter().any(|hook| is_pending(&scope.cluster, *hook))
            && tracker.control_plane.is_stable()
            && !tracker.machine_deployments.is_anything_open()
            && !tracker.machine_pools.is_anything_open();
        if is_upgraded {
            let version = scope.topology.version.clone();
            let request = json!({ "kubernetesVersion": version });
            self.pending(scope, Hook::AfterClusterUpgrade, request).await?;
        }
        Ok(())
    }

    /// Before anything is deleted; an annotation tells the Cluster controller to go on.
    pub(super) async fn before_cluster_delete(
        &self,
        scope: &mut Scope,
    ) -> Result<Gate, ReconcileError> {
        let annotations = scope.cluster.metadata.annotations.as_ref();
        let is_ok = annotations.is_some_and(|held| held.contains_key(OK_TO_DELETE));
        if !self.is_enabled() || is_ok {
            return Ok(Gate::Open);
        }
        if self.ask(scope, Hook::BeforeClusterDelete, json!({})).await? == Some(Gate::Closed) {
            return Ok(Gate::Closed);
        }
        self.annotate(scope, |metadata| {
            let held = metadata.annotations.get_or_insert_default();
            held.insert(OK_TO_DELETE.to_owned(), String::new());
        })
        .await?;
        Ok(Gate::Open)
    }

    /// Asks a hook that is noted on the Cluster, and takes the note away once it is open. Without
    /// anybody to ask it is: notes may be older than the process.
    async fn pending(
        &self,
        scope: &mut Scope,
        hook: Hook,
        request: Value,
    ) -> Result<Gate, ReconcileError> {
        if !is_pending(&scope.cluster, hook) {
            return Ok(Gate::Open);
        }
        if self.ask(scope, hook, request).await? == Some(Gate::Closed) {
            return Ok(Gate::Closed);
        }
        self.mark_done(scope, hook).await?;
        Ok(Gate::Open)
    }

    async fn mark_pending(&self, scope: &mut Scope, hooks: &[Hook]) -> Result<(), ReconcileError> {
        self.annotate(scope, |metadata| pending::mark(metadata, hooks)).await
    }

    async fn mark_done(&self, scope: &mut Scope, hook: Hook) -> Result<(), ReconcileError> {
        self.annotate(scope, |metadata| pending::mark_done(metadata, hook)).await
    }

    /// Changes annotations of the Cluster, in the scope and on the server.
    async fn annotate(
        &self,
        scope: &mut Scope,
        change: impl FnOnce(&mut ObjectMeta),
    ) -> Result<(), ReconcileError> {
        let before = scope.cluster.clone();
        change(&mut scope.cluster.metadata);
        patch_object(&self.client, &before, &scope.cluster).await?;
        scope.written.metadata.annotations.clone_from(&scope.cluster.metadata.annotations);
        Ok(())
    }
}

/// Whether a hook is still to be called.
pub(super) fn is_pending(cluster: &Cluster, hook: Hook) -> bool {
    pending::is_pending(&cluster.metadata, hook)
}

fn other(error: ExtensionError) -> ReconcileError {
    ReconcileError::Other(error.to_string())
}

/// A request about a Cluster with more fields; those that say nothing are left out, as Go does.
fn about(cluster: &Cluster, more: Value) -> Request {
    let mut request = with_cluster(cluster);
    if let Value::Object(more) = more {
        request
            .extend(more.into_iter().filter(|(_, value)| {
                !(value == "" || value.as_array().is_some_and(Vec::is_empty))
            }));
    }
    request
}

/// Users may hold back an upgrade by annotations.
fn held_by_annotations(cluster: &Cluster) -> Option<Response> {
    /// The removal of the annotation wakes the Cluster; this only marks the answer as blocking.
    const SECONDS: i32 = 20 * 60;
    let annotations = cluster.metadata.annotations.iter().flatten().map(|(key, _)| key.as_str());
    let held: Vec<&str> =
        annotations.filter(|key| key.starts_with(BEFORE_UPGRADE_PREFIX)).collect();
    let message = match held.as_slice() {
        [] => return None,
        [one] => format!("annotation {one} is set"),
        all => format!("annotations {} are set", all.join(", ")),
    };
    Some(Response { retry_after_seconds: SECONDS, message, ..Response::default() })
}

/// Steps that are left, as requests name them.
fn steps(scope: &Scope) -> (Value, Value) {
    let list = |plan: &[String]| -> Value {
        plan.iter().map(|version| json!({ "version": version })).collect()
    };
    let tracker = &scope.tracker;
    let workers = match tracker.machine_deployments.plan.as_slice() {
        [] => &tracker.machine_pools.plan,
        _ => &tracker.machine_deployments.plan,
    };
    (list(&tracker.control_plane.plan), list(workers))
}

fn step_request(scope: &Scope, from: &str, to: &str) -> Value {
    let (control_plane, workers) = steps(scope);
    json!({
        "fromKubernetesVersion": from,
        "toKubernetesVersion": to,
        "controlPlaneUpgrades": control_plane,
        "workersUpgrades": workers,
    })
}

fn done_request(scope: &Scope, version: &str) -> Value {
    let (control_plane, workers) = steps(scope);
    json!({
        "kubernetesVersion": version,
        "controlPlaneUpgrades": control_plane,
        "workersUpgrades": workers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocking_hooks_are_named_with_the_shortest_wait() {
        let answer = |seconds, message: &str| Response {
            retry_after_seconds: seconds,
            message: message.to_owned(),
            ..Response::default()
        };
        let answers = Answers(
            [
                (Hook::BeforeWorkersUpgrade, answer(30, "")),
                (Hook::AfterControlPlaneUpgrade, answer(5, "wait")),
                (Hook::AfterWorkersUpgrade, answer(0, "fine")),
            ]
            .into(),
        );
        assert!(answers.is_blocking(Hook::BeforeWorkersUpgrade));
        assert!(!answers.is_blocking(Hook::AfterWorkersUpgrade));
        assert_eq!(answers.retry_after(), Some(Duration::from_secs(5)));
        assert_eq!(
            answers.message("upgrade"),
            "Following hooks are blocking upgrade: AfterControlPlaneUpgrade: wait; BeforeWorkersUpgrade"
        );
        assert_eq!(Answers::default().message("upgrade"), "");
    }

    #[test]
    fn annotations_hold_an_upgrade_back() {
        let mut cluster = Cluster::default();
        assert_eq!(held_by_annotations(&cluster), None);
        let key = |suffix: &str| (format!("{BEFORE_UPGRADE_PREFIX}/{suffix}"), String::new());
        cluster.metadata.annotations = Some([key("b"), key("a")].into());
        let message = held_by_annotations(&cluster).unwrap().message;
        assert_eq!(
            message,
            format!("annotations {BEFORE_UPGRADE_PREFIX}/a, {BEFORE_UPGRADE_PREFIX}/b are set")
        );
    }
}
