//! One pass over a topology: read, compute, write. The controller runs it, and so does the preview.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::apply::Applier;
use super::blueprint::Blueprint;
use super::desired::Generator;
use super::events::Events;
use super::hooks::{Gate, Hooks};
use super::kinds::{Kinds, core_resource};
use super::labels;
use super::scope::{Scope, WorkerMachines};
use super::state::Steps;
use super::status::{self, Reconciled};
use super::{current, tree};
use crate::api::core::Cluster;
use crate::api::topology::variables::default_and_validate;
use crate::api::topology::{ClusterClass, Topology};
use crate::client::{Client, ObjectKey};
use crate::clock::Seed;
use crate::contract::versions::ContractVersions;
use crate::contract::{conditions, paused};
use crate::machinery::status::Status;
use crate::metrics::Registry;
use crate::runtime::{Outcome, ReconcileError};

/// What a pass needs beside the Cluster.
pub(crate) struct Engine {
    pub(super) client: Client,
    pub(super) kinds: Kinds,
    applier: Applier,
    events: Events,
    hooks: Hooks,
    seed: Seed,
}

/// What the pass reads that others may have in memory.
pub(super) struct Inputs {
    /// The Cluster's class, if it exists.
    pub class: Option<Arc<ClusterClass>>,
    /// The class with its templates, if they are known.
    pub blueprint: Option<Arc<Blueprint>>,
    /// Topology-owned workers and the Cluster's Machines.
    pub machines: WorkerMachines,
}

/// How a pass ended.
pub(super) struct Pass {
    /// The Cluster as far as the pass has written it.
    pub written: Cluster,
    /// The Cluster with its conditions, to be written.
    pub cluster: Cluster,
    /// When to look again.
    pub outcome: Result<Outcome, ReconcileError>,
}

/// What [`Engine::new`] takes.
pub(crate) struct Parts<'a> {
    pub(crate) client: &'a Client,
    pub(crate) versions: &'a ContractVersions,
    pub(crate) metrics: &'a Registry,
    pub(crate) events: Events,
    pub(crate) hooks: Hooks,
    pub(crate) seed: Seed,
}

impl Engine {
    pub(crate) fn new(parts: Parts<'_>) -> Self {
        Self {
            client: parts.client.clone(),
            kinds: Kinds::new(parts.client, parts.versions),
            applier: Applier::new(parts.client, parts.metrics),
            events: parts.events,
            hooks: parts.hooks,
            seed: parts.seed,
        }
    }

    /// One pass over the topology of a Cluster.
    pub(super) async fn run(&self, before: &Cluster, inputs: Inputs, now: Timestamp) -> Pass {
        if paused::is_paused(Some(before), &before.metadata) {
            return ended(before, before, status::of_paused(before), Ok(Outcome::Done), now);
        }
        let placeholder = Arc::new(Blueprint::empty());
        if before.metadata.deletion_timestamp.is_some() {
            let mut scope = Scope::new(before, placeholder);
            let outcome = self.hooks.before_cluster_delete(&mut scope).await;
            let condition = match &outcome {
                Ok(_) => status::of_deletion(&scope.answers.message("delete")),
                Err(error) => status::of_error(&error.to_string()),
            };
            let outcome = outcome.map(|_| next(&scope));
            return ended(&scope.cluster, &scope.cluster, condition, outcome, now);
        }
        let prepared = match class_of(before, &inputs) {
            Ok(class) => self.prepare(before, class, &inputs).await,
            Err(error) => Err(error),
        };
        let (topology, blueprint) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let condition = status::of_error(&error.to_string());
                return ended(before, before, condition, Err(error), now);
            }
        };
        let mut scope = Scope::new(before, blueprint);
        scope.cluster.spec.topology.clone_from(&topology);
        scope.topology = topology;
        let outcome = self.reconcile(&mut scope, inputs).await;
        let condition = match &outcome {
            Ok(version) => status::of_scope(&scope, version),
            Err(error) => status::of_error(&error.to_string()),
        };
        let plans = status::write_plans(&self.client, before, &scope.tracker).await;
        let outcome = outcome.and_then(|_| plans.map_err(Into::into)).map(|()| next(&scope));
        ended(&scope.written, &scope.cluster, condition, outcome, now)
    }

    /// The topology with its variables defaulted, and the class with its templates.
    async fn prepare(
        &self,
        cluster: &Cluster,
        class: &Arc<ClusterClass>,
        inputs: &Inputs,
    ) -> Result<(Topology, Arc<Blueprint>), ReconcileError> {
        let topology = defaulted(cluster, class)?;
        if let Some(known) = &inputs.blueprint {
            return Ok((topology, known.clone()));
        }
        let read = Blueprint::read(&self.kinds, class).await;
        let blueprint =
            read.map_err(|error| super::kinds::wrap("error reading the ClusterClass", error))?;
        Ok((topology, Arc::new(blueprint)))
    }

    /// Answers the control plane's desired version, empty if nothing was computed.
    async fn reconcile(&self, scope: &mut Scope, inputs: Inputs) -> Result<String, ReconcileError> {
        let machines = &inputs.machines;
        let deployments = self.in_full("MachineDeployment", &machines.deployments).await?;
        let pools = self.in_full("MachinePool", &machines.pools).await?;
        scope.current =
            current::read(&self.kinds, scope, deployments, pools).await.map_err(|error| {
                super::kinds::wrap("error reading current state of the Cluster topology", error)
            })?;
        if self.hooks.before_cluster_create(scope).await? == Gate::Closed {
            return Ok(String::new());
        }
        let generator = Generator { kinds: &self.kinds, hooks: &self.hooks, seed: self.seed };
        let mut desired = generator.generate(scope, &inputs.machines).await.map_err(|error| {
            super::kinds::wrap("error computing the desired state of the Cluster topology", error)
        })?;
        let steps = Steps {
            client: &self.client,
            kinds: &self.kinds,
            applier: &self.applier,
            events: &self.events,
            hooks: &self.hooks,
            seed: self.seed,
        };
        steps
            .reconcile(scope, &mut desired)
            .await
            .map_err(|error| super::kinds::wrap("error reconciling the Cluster topology", error))?;
        let control_plane = desired.state.control_plane.as_ref();
        Ok(control_plane.map(|it| tree::text(it, "/spec/version").to_owned()).unwrap_or_default())
    }

    /// Workers with all their fields.
    async fn in_full<K: kube::Resource>(
        &self,
        kind: &str,
        workers: &[Arc<K>],
    ) -> Result<Vec<Value>, ReconcileError> {
        let resource = core_resource(kind);
        let mut all = Vec::with_capacity(workers.len());
        for one in workers {
            all.extend(self.kinds.find(&resource, &ObjectKey::of(&**one)).await?);
        }
        Ok(all)
    }
}

/// The Cluster's class, if it may be used.
fn class_of<'a>(
    cluster: &Cluster,
    inputs: &'a Inputs,
) -> Result<&'a Arc<ClusterClass>, ReconcileError> {
    let Some(class) = &inputs.class else {
        let (namespace, name) = cluster.class_key().unwrap_or_default();
        return Err(ReconcileError::Other(format!(
            "failed to retrieve ClusterClass {namespace}/{name}: ClusterClass.cluster.x-k8s.io {name:?} not found"
        )));
    };
    check_class(class)?;
    Ok(class)
}

/// The topology with values and defaults of its variables. The webhook does the same, unless the
/// class came after the Cluster. (CAPI v1.14: DefaultAndValidateVariables)
fn defaulted(cluster: &Cluster, class: &ClusterClass) -> Result<Topology, ReconcileError> {
    let definitions = class.status.as_ref().map_or(&[][..], |status| &status.variables);
    let mut cluster = cluster.clone();
    let causes = default_and_validate(&mut cluster, None, definitions);
    if causes.is_empty() {
        return Ok(cluster.spec.topology);
    }
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let refusal = Status::invalid("cluster.x-k8s.io", "Cluster", name, causes);
    Err(ReconcileError::Other(refusal.message))
}

/// Whether a class may be used: its variables are known, and its status speaks of its spec.
fn check_class(class: &ClusterClass) -> Result<(), ReconcileError> {
    const VARIABLES: &str = "VariablesReady";
    let status = class.status.as_ref();
    let held = status.map_or(&[][..], |status| &status.conditions);
    let condition = conditions::get(held, VARIABLES);
    if condition.is_none_or(|condition| condition.status == "False") {
        return Err(ReconcileError::Other(format!(
            "ClusterClass is not successfully reconciled: status of {VARIABLES} condition on ClusterClass must be \"True\""
        )));
    }
    let generation = class.metadata.generation.unwrap_or_default();
    let observed = status.and_then(|status| status.observed_generation).unwrap_or_default();
    if generation != observed {
        return Err(ReconcileError::Other(format!(
            "ClusterClass is not successfully reconciled: ClusterClass.status.observedGeneration must be {generation}, but is {observed}"
        )));
    }
    Ok(())
}

fn next(scope: &Scope) -> Outcome {
    scope.answers.retry_after().map_or(Outcome::Done, Outcome::RequeueAfter)
}

fn ended(
    written: &Cluster,
    cluster: &Cluster,
    condition: Reconciled,
    outcome: Result<Outcome, ReconcileError>,
    now: Timestamp,
) -> Pass {
    let mut cluster = cluster.clone();
    condition.set_on(&mut cluster, now);
    Pass { written: written.clone(), cluster, outcome }
}

/// Whether an object is topology-owned, by its labels.
pub(super) fn is_owned(
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> bool {
    metadata.labels.as_ref().is_some_and(|held| held.contains_key(labels::OWNED))
}
