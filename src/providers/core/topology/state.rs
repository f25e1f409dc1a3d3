//! Makes what exists what it shall be. (CAPI v1.14: reconcile_state.go)

use serde_json::{Value, json};

use super::apply::{Applier, ignored_endpoint};
use super::desired::Desired;
use super::events::Events;
use super::hooks::Hooks;
use super::kinds::{Kinds, core_resource, wrap};
use super::labels::{self, UPGRADE_STEP};
use super::names::Names;
use super::references::{Compatible, Made, Writer};
use super::scope::Scope;
use super::{current, shim, tree, workers};
use crate::api::core::Cluster;
use crate::client::Client;
use crate::clock::Seed;
use crate::contract;
use crate::contract::versions::Contract;
use crate::runtime::{Patched, ReconcileError, patch_object};

/// What the steps need.
pub(super) struct Steps<'a> {
    pub(super) client: &'a Client,
    pub(super) kinds: &'a Kinds,
    pub(super) applier: &'a Applier,
    pub(super) events: &'a Events,
    pub(super) hooks: &'a Hooks,
    pub(super) seed: Seed,
}

impl Steps<'_> {
    /// All steps, in upstream's order; the first that fails ends them.
    ///
    /// # Errors
    /// A step failed.
    pub(super) async fn reconcile(
        &self,
        scope: &mut Scope,
        desired: &mut Desired,
    ) -> Result<(), ReconcileError> {
        shim::reconcile(self.client, scope, desired).await?;
        self.hooks.after(scope).await?;
        let cluster = scope.cluster.clone();
        let writer = Writer {
            kinds: self.kinds,
            applier: self.applier,
            events: self.events,
            names: Names { seed: self.seed, cluster: &cluster },
            cluster: &cluster,
        };
        let is_infrastructure_made = self.infrastructure(&writer, scope, desired).await?;
        let control_plane = self.control_plane(&writer, scope, desired).await;
        if let Err(error) = control_plane {
            // A new infrastructure cluster is not left without its reference.
            if is_infrastructure_made {
                if cluster.spec.control_plane_ref.is_none() {
                    desired.cluster.spec.control_plane_ref = None;
                }
                if let Err(second) = self.cluster(scope, desired).await {
                    return Err(ReconcileError::Other(format!("[{error}, {second}]")));
                }
            }
            return Err(error);
        }
        self.cluster(scope, desired).await?;
        workers::machine_deployments(&writer, self.client, scope, desired).await?;
        workers::machine_pools(&writer, self.client, scope, desired).await
    }

    async fn infrastructure(
        &self,
        writer: &Writer<'_>,
        scope: &Scope,
        desired: &Desired,
    ) -> Result<bool, ReconcileError> {
        let Some(wanted) = &desired.state.infrastructure else { return Ok(false) };
        let ignored = ignored_endpoint(wanted);
        writer.object(scope.current.infrastructure.as_ref(), wanted, &ignored).await
    }

    /// Health check, template, control plane; the template that is replaced goes last.
    async fn control_plane(
        &self,
        writer: &Writer<'_>,
        scope: &Scope,
        desired: &mut Desired,
    ) -> Result<(), ReconcileError> {
        let state = &mut desired.state;
        let held = &scope.current;
        health_check(
            writer,
            held.control_plane_health_check.as_ref(),
            state.control_plane_health_check.as_ref(),
        )
        .await?;
        // What waits for its next version gets everything with it, in one rollout.
        if scope.tracker.control_plane.is_pending_upgrade {
            return Ok(());
        }
        let Some(wanted) = &mut state.control_plane else { return Ok(()) };
        let mut made: Made<'_> = None;
        if let Some(template) = &mut state.control_plane_template {
            let prefix = format!("{}-", scope.name());
            let current = held.control_plane_template.as_ref();
            let is_made =
                writer.template(current, template, &prefix, Compatible::KindAndNamespace).await?;
            set_template_name(wanted, self.kinds.contract(wanted), tree::name(template));
            made = is_made.then_some(&*template);
        }
        let ignored = ignored_endpoint(wanted);
        if let Err(error) = writer.object(held.control_plane.as_ref(), wanted, &ignored).await {
            writer.clean_up(&[made]).await;
            return Err(error);
        }
        let replaced = held.control_plane_template.as_ref();
        let replaced =
            replaced.filter(|old| made.is_some_and(|new| tree::name(new) != tree::name(old)));
        if let Some(old) = replaced {
            let resource = self.kinds.resource_of(old)?;
            self.applier.delete(&resource, old).await.map_err(|error| {
                let (old, of) = (tree::describe(old), tree::describe(wanted));
                wrap(format!("failed to delete old {old} of {of}"), error.into())
            })?;
        }
        Ok(())
    }

    /// Labels, the step of the upgrade and the references of the Cluster.
    async fn cluster(&self, scope: &mut Scope, desired: &Desired) -> Result<(), ReconcileError> {
        let before = scope.cluster.clone();
        let mut after = before.clone();
        let wanted = &desired.cluster;
        after.metadata.labels.clone_from(&wanted.metadata.labels);
        after.spec.infrastructure_ref.clone_from(&wanted.spec.infrastructure_ref);
        after.spec.control_plane_ref.clone_from(&wanted.spec.control_plane_ref);
        set_step(&mut after, wanted);
        let patched = patch_object(self.client, &before, &after).await.map_err(|error| {
            let key = crate::client::ObjectKey::of(&before);
            wrap(format!("failed to patch Cluster {key}"), error.into())
        })?;
        if let Patched::Changed(_) = patched {
            let key = crate::client::ObjectKey::of(&before).to_string();
            self.events.updated(&before, format!("Updated Cluster {key:?}"));
        }
        scope.written.metadata = after.metadata.clone();
        scope.written.spec.infrastructure_ref.clone_from(&after.spec.infrastructure_ref);
        scope.written.spec.control_plane_ref.clone_from(&after.spec.control_plane_ref);
        scope.cluster = after;
        Ok(())
    }
}

fn set_step(cluster: &mut Cluster, wanted: &Cluster) {
    let step = wanted.metadata.annotations.as_ref().and_then(|held| held.get(UPGRADE_STEP));
    match step {
        Some(step) => {
            let held = cluster.metadata.annotations.get_or_insert_with(Default::default);
            held.insert(UPGRADE_STEP.to_owned(), step.clone());
        }
        None => {
            if let Some(held) = &mut cluster.metadata.annotations {
                held.remove(UPGRADE_STEP);
            }
        }
    }
}

fn set_template_name(control_plane: &mut Value, contract: Contract, name: &str) {
    let reference = current::machine_template_ref(control_plane, contract);
    if reference.name == name {
        return;
    }
    let path: &[&str] = match contract {
        Contract::V1Beta1 => &["spec", "machineTemplate", "infrastructureRef", "name"],
        Contract::V1Beta2 => &["spec", "machineTemplate", "spec", "infrastructureRef", "name"],
    };
    tree::set(control_plane, path, json!(name));
}

/// Makes, changes or deletes a health check. (CAPI v1.14: reconcileMachineHealthCheck)
pub(super) async fn health_check(
    writer: &Writer<'_>,
    current: Option<&Value>,
    desired: Option<&Value>,
) -> Result<(), ReconcileError> {
    match (current, desired) {
        (None, None) => Ok(()),
        (None, Some(desired)) => {
            let key = tree::key(desired);
            let made = writer.create(desired, &[]).await.map_err(|error| {
                wrap(format!("failed to create MachineHealthCheck {key}"), error)
            })?;
            let message = format!("Created MachineHealthCheck {key:?}");
            writer.events.on(&made, "TopologyCreate", message);
            Ok(())
        }
        (Some(current), None) => {
            let resource = core_resource("MachineHealthCheck");
            let key = tree::key(current);
            writer.applier.delete(&resource, current).await.map_err(|error| {
                wrap(format!("failed to delete MachineHealthCheck {key}"), error.into())
            })?;
            let message = format!("Deleted MachineHealthCheck {key:?}");
            writer.events.on(current, "TopologyDelete", message);
            Ok(())
        }
        (Some(current), Some(desired)) => {
            if writer.update(current, desired, &[]).await? {
                let message = format!("Updated MachineHealthCheck {:?}", tree::key(current));
                writer.events.on(current, "TopologyUpdate", message);
            }
            Ok(())
        }
    }
}

/// Label selector of a Cluster's topology-owned objects.
pub(super) fn owned_selector(cluster: &str) -> String {
    format!("{}={cluster},{}=", contract::labels::CLUSTER_NAME, labels::OWNED)
}
