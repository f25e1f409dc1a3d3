//! Lifecycle hooks: when extensions are asked, and what their answers hold back.
//! (CAPI v1.14: exp/topology/desiredstate/lifecycle_hooks.go, internal/hooks,
//! exp/topology/scope/hookresponsetracker.go)
//!
//! Who calls the extensions is [`Extensions`]'s business. Without one, or while it says that hooks
//! are off, nothing is asked and nothing is noted on Clusters.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::labels::{BEFORE_UPGRADE_PREFIX, OK_TO_DELETE, PENDING_HOOKS};
use super::patches::External;
use super::scope::{Scope, is_being_created};
use crate::api::core::Cluster;
use crate::client::Client;
use crate::clock::Clock;
use crate::contract::conditions;
use crate::runtime::{ReconcileError, patch_object};

/// A hook of a Cluster's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Hook {
    /// Before anything is made.
    BeforeClusterCreate,
    /// Once the control plane answers.
    AfterControlPlaneInitialized,
    /// Before the first step of an upgrade.
    BeforeClusterUpgrade,
    /// Before each step of the control plane.
    BeforeControlPlaneUpgrade,
    /// After each step of the control plane.
    AfterControlPlaneUpgrade,
    /// Before each step of the workers.
    BeforeWorkersUpgrade,
    /// After each step of the workers.
    AfterWorkersUpgrade,
    /// After the last step of an upgrade.
    AfterClusterUpgrade,
    /// Before anything is deleted.
    BeforeClusterDelete,
}

impl Hook {
    /// Name in the catalog.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BeforeClusterCreate => "BeforeClusterCreate",
            Self::AfterControlPlaneInitialized => "AfterControlPlaneInitialized",
            Self::BeforeClusterUpgrade => "BeforeClusterUpgrade",
            Self::BeforeControlPlaneUpgrade => "BeforeControlPlaneUpgrade",
            Self::AfterControlPlaneUpgrade => "AfterControlPlaneUpgrade",
            Self::BeforeWorkersUpgrade => "BeforeWorkersUpgrade",
            Self::AfterWorkersUpgrade => "AfterWorkersUpgrade",
            Self::AfterClusterUpgrade => "AfterClusterUpgrade",
            Self::BeforeClusterDelete => "BeforeClusterDelete",
        }
    }
}

/// What all extensions of a hook said together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Ask again after so many seconds, and wait until then; 0 does not hold anything back.
    pub retry_after_seconds: u32,
    /// Message for people.
    pub message: String,
}

/// An upgrade plan that an extension made: versions of the control plane and of the workers.
pub(crate) type ExtensionPlan = (Vec<String>, Vec<String>);

/// Whoever calls extensions. (CAPI v1.14: exp/runtime/client)
pub(crate) trait Extensions: External + Send + Sync {
    /// Whether hooks are on at all.
    fn is_enabled(&self) -> bool;

    /// Asks all extensions of a hook that match the Cluster's namespace; `None` if there are none.
    /// `request` has the fields of the hook's request beside `cluster`.
    fn call<'a>(
        &'a self,
        hook: Hook,
        cluster: &'a Cluster,
        request: Value,
    ) -> BoxFuture<'a, Result<Option<Answer>, ReconcileError>>;

    /// Asks one extension for the plan of an upgrade (GenerateUpgradePlan). `request` has the fields
    /// of the request beside `cluster`.
    fn upgrade_plan<'a>(
        &'a self,
        extension: &'a str,
        cluster: &'a Cluster,
        request: Value,
    ) -> BoxFuture<'a, Result<ExtensionPlan, ReconcileError>>;
}

/// Answers of one reconcile.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(BTreeMap<Hook, Answer>);

impl Answers {
    /// Whether a hook holds back what it is for.
    pub(super) fn is_blocking(&self, hook: Hook) -> bool {
        self.0.get(&hook).is_some_and(|answer| answer.retry_after_seconds > 0)
    }

    /// When the first hook that holds something back is to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.blocking().map(|(_, answer)| answer.retry_after_seconds).min()?;
        Some(Duration::from_secs(seconds.into()))
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

    fn blocking(&self) -> impl Iterator<Item = (&Hook, &Answer)> {
        self.0.iter().filter(|(_, answer)| answer.retry_after_seconds > 0)
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
    clock: Clock,
    extensions: Option<Arc<dyn Extensions>>,
    /// Answers that hold something back, until they are asked for again: extensions are not asked
    /// more often than they want. By uid of the Cluster and hook.
    waiting: Mutex<HashMap<(String, Hook), Waiting>>,
}

struct Waiting {
    until: Duration,
    message: String,
}

/// Answers that are remembered; when there are more, extensions are asked more often.
const WAITING_MAX: usize = 10_000;

impl Hooks {
    pub(crate) fn new(
        client: &Client,
        clock: &Clock,
        extensions: Option<Arc<dyn Extensions>>,
    ) -> Self {
        let waiting = Mutex::default();
        Self { client: client.clone(), clock: clock.clone(), extensions, waiting }
    }

    /// Whether hooks are on at all.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled().is_some()
    }

    fn enabled(&self) -> Option<&dyn Extensions> {
        self.extensions.as_deref().filter(|extensions| extensions.is_enabled())
    }

    /// Who makes external patches.
    pub(super) fn external(&self) -> Option<&dyn External> {
        self.extensions.as_deref().map(|extensions| extensions as &dyn External)
    }

    /// The upgrade plan of an extension.
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
        let plan = extensions.upgrade_plan(extension, cluster, request).await;
        plan.map_err(|error| super::kinds::wrap("failed to get upgrade plan from extension", error))
    }

    /// Asks a hook, unless it said lately that it wants to wait. `None`: nobody is there to ask.
    async fn ask(
        &self,
        scope: &mut Scope,
        hook: Hook,
        request: Value,
    ) -> Result<Option<Gate>, ReconcileError> {
        let Some(extensions) = self.enabled() else { return Ok(None) };
        let uid = scope.cluster.metadata.uid.clone().unwrap_or_default();
        let now = self.clock.elapsed();
        let waiting = self.waiting.lock().get(&(uid.clone(), hook)).and_then(|waiting| {
            let left = waiting.until.checked_sub(now).filter(|left| !left.is_zero())?;
            let seconds = u32::try_from(left.as_secs() + 1).unwrap_or(u32::MAX);
            Some(Answer { retry_after_seconds: seconds, message: waiting.message.clone() })
        });
        if let Some(answer) = waiting {
            scope.answers.0.insert(hook, answer);
            return Ok(Some(Gate::Closed));
        }
        let Some(answer) = extensions.call(hook, &scope.cluster, request).await? else {
            return Ok(None);
        };
        scope.answers.0.insert(hook, answer.clone());
        let mut held = self.waiting.lock();
        if answer.retry_after_seconds == 0 {
            held.remove(&(uid, hook));
            return Ok(Some(Gate::Open));
        }
        if held.len() >= WAITING_MAX {
            held.retain(|_, waiting| waiting.until > now);
        }
        if held.len() < WAITING_MAX {
            let until = now + Duration::from_secs(answer.retry_after_seconds.into());
            held.insert((uid, hook), Waiting { until, message: answer.message });
        }
        Ok(Some(Gate::Closed))
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
        if !self.is_enabled() {
            return Ok(());
        }
        if is_being_created(&scope.cluster) {
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
        self.annotate(scope, OK_TO_DELETE, Some(String::new())).await?;
        Ok(Gate::Open)
    }

    /// Asks a hook that is noted on the Cluster, and takes the note away once it is open.
    async fn pending(
        &self,
        scope: &mut Scope,
        hook: Hook,
        request: Value,
    ) -> Result<Gate, ReconcileError> {
        if !self.is_enabled() || !is_pending(&scope.cluster, hook) {
            return Ok(Gate::Open);
        }
        if self.ask(scope, hook, request).await? == Some(Gate::Closed) {
            return Ok(Gate::Closed);
        }
        self.mark_done(scope, hook).await?;
        Ok(Gate::Open)
    }

    async fn mark_pending(&self, scope: &mut Scope, hooks: &[Hook]) -> Result<(), ReconcileError> {
        let mut all = pending_hooks(&scope.cluster);
        all.extend(hooks.iter().map(|hook| hook.name().to_owned()));
        self.note(scope, all).await
    }

    async fn mark_done(&self, scope: &mut Scope, hook: Hook) -> Result<(), ReconcileError> {
        let mut all = pending_hooks(&scope.cluster);
        all.remove(hook.name());
        self.note(scope, all).await
    }

    async fn note(&self, scope: &mut Scope, hooks: BTreeSet<String>) -> Result<(), ReconcileError> {
        let text = hooks.into_iter().collect::<Vec<_>>().join(",");
        self.annotate(scope, PENDING_HOOKS, Some(text).filter(|text| !text.is_empty())).await
    }

    /// Sets or removes an annotation of the Cluster, on the server and in the scope.
    async fn annotate(
        &self,
        scope: &mut Scope,
        annotation: &str,
        value: Option<String>,
    ) -> Result<(), ReconcileError> {
        let before = scope.cluster.clone();
        let held = scope.cluster.metadata.annotations.get_or_insert_with(Default::default);
        match value {
            Some(value) => held.insert(annotation.to_owned(), value),
            None => held.remove(annotation),
        };
        patch_object(&self.client, &before, &scope.cluster).await?;
        scope.written.metadata.annotations.clone_from(&scope.cluster.metadata.annotations);
        Ok(())
    }
}

fn pending_hooks(cluster: &Cluster) -> BTreeSet<String> {
    let annotations = cluster.metadata.annotations.as_ref();
    let text = annotations.and_then(|held| held.get(PENDING_HOOKS)).map_or("", String::as_str);
    text.split(',').filter(|hook| !hook.is_empty()).map(str::to_owned).collect()
}

/// Whether a hook is still to be called.
pub(super) fn is_pending(cluster: &Cluster, hook: Hook) -> bool {
    pending_hooks(cluster).contains(hook.name())
}

/// Users may hold back an upgrade by annotations.
fn held_by_annotations(cluster: &Cluster) -> Option<Answer> {
    /// The removal of the annotation wakes the Cluster; this only marks the answer as blocking.
    const SECONDS: u32 = 20 * 60;
    let annotations = cluster.metadata.annotations.iter().flatten().map(|(key, _)| key.as_str());
    let held: Vec<&str> =
        annotations.filter(|key| key.starts_with(BEFORE_UPGRADE_PREFIX)).collect();
    let message = match held.as_slice() {
        [] => return None,
        [one] => format!("annotation {one} is set"),
        all => format!("annotations {} are set", all.join(", ")),
    };
    Some(Answer { retry_after_seconds: SECONDS, message })
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
        let answer = |seconds, message: &str| Answer {
            retry_after_seconds: seconds,
            message: message.to_owned(),
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
