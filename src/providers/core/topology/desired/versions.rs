//! Versions of control plane and workers in an upgrade: the control plane first, then one worker at
//! a time. (CAPI v1.14: computeControlPlaneVersion, computeMachineDeploymentVersion, ...)

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::hooks::{Gate, Hooks};
use super::super::labels::{DEFER_UPGRADE, HOLD_UPGRADE_SEQUENCE};
use super::super::scope::{Scope, WorkerMachines};
use super::super::tracker::{UpgradeTracker, WorkerTracker};
use super::super::tree;
use super::super::upgrade_plan::{self, Journey, Plan};
use super::super::version::{Order, compare, parse};
use crate::api::topology::{MachineDeploymentTopology, MachinePoolTopology};
use crate::contract::selector;
use crate::extensions::Hook;
use crate::runtime::ReconcileError;

fn other(message: impl Into<String>) -> ReconcileError {
    ReconcileError::Other(message.into())
}

/// Fills in which versions are ahead. (CAPI v1.14: ComputeUpgradePlan)
pub(super) async fn plan(scope: &mut Scope, hooks: &Hooks) -> Result<(), ReconcileError> {
    let Some(object) = &scope.current.control_plane else {
        scope.tracker.is_planned = true;
        return Ok(());
    };
    let desired = scope.topology.version.clone();
    let parsed_desired = parse(&desired)
        .map_err(|error| other(format!("failed to parse Cluster version {desired}: {error}")))?;
    let control_plane = tree::text(object, "/spec/version").to_owned();
    let parsed = parse(&control_plane).map_err(|error| {
        other(format!("failed to parse ControlPlane version {control_plane}: {error}"))
    })?;
    let state = &scope.current;
    let deployments = state.machine_deployments.values().map(|it| ("MachineDeployment", it));
    let pools = state.machine_pools.values().map(|it| ("MachinePool", it));
    let workers = deployments.chain(pools).map(|(kind, workers)| {
        let version = tree::text(&workers.object, "/spec/template/spec/version");
        (kind, tree::name(&workers.object), version)
    });
    let min = upgrade_plan::min_workers_version(workers, &parsed).map_err(other)?;
    scope.tracker.min_workers_version.clone_from(&min);
    scope.tracker.is_planned = true;
    let is_there = |version: &str| {
        parse(version).is_ok_and(|version| version.to_string() == parsed_desired.to_string())
    };
    if is_there(&control_plane) && (min.is_empty() || is_there(&min)) {
        return Ok(());
    }
    scope.tracker.is_planned = false;
    let journey = Journey { desired: &desired, control_plane: &control_plane, min_workers: &min };
    let plan = make_plan(scope, hooks, journey).await?;
    let plan = upgrade_plan::complete(journey, plan).map_err(other)?;
    scope.tracker.control_plane.plan = plan.control_plane;
    if !scope.current.machine_deployments.is_empty() {
        scope.tracker.machine_deployments.plan.clone_from(&plan.workers);
    }
    if !scope.current.machine_pools.is_empty() {
        scope.tracker.machine_pools.plan = plan.workers;
    }
    scope.tracker.is_planned = true;
    Ok(())
}

/// The plan of the class's extension, of its versions, or of neither.
async fn make_plan(
    scope: &Scope,
    hooks: &Hooks,
    journey: Journey<'_>,
) -> Result<Plan, ReconcileError> {
    let class = &scope.blueprint.class.spec;
    let extension = &class.upgrade.external.generate_upgrade_plan_extension;
    if !extension.is_empty() {
        let request = json!({
            "fromControlPlaneKubernetesVersion": journey.control_plane,
            "fromWorkersKubernetesVersion": journey.min_workers,
            "toKubernetesVersion": journey.desired,
        });
        let (control_plane, workers) =
            hooks.upgrade_plan(extension, &scope.cluster, request).await?;
        return Ok(Plan { control_plane, workers });
    }
    let control_plane = match class.kubernetes_versions.as_slice() {
        [] => upgrade_plan::one_minor(journey),
        versions => upgrade_plan::from_versions(versions, journey),
    };
    Ok(Plan { control_plane: control_plane.map_err(other)?, workers: Vec::new() })
}

/// Notes which workers are upgrading: those with a Machine that is not at their version.
/// (CAPI v1.14: internal/topology/check/upgrade.go)
pub(super) fn mark_upgrading(
    scope: &mut Scope,
    machines: &WorkerMachines,
) -> Result<(), ReconcileError> {
    for deployment in &machines.deployments {
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let version = deployment.spec.template.spec.version.as_str();
        if version.is_empty() {
            continue;
        }
        let wanted = &deployment.spec.selector;
        let own = machines.machines.iter().filter(|machine| {
            !selector::is_empty(wanted)
                && selector::matches(wanted, machine.metadata.labels.as_ref())
        });
        for machine in own {
            if machine.spec.version.is_empty() {
                let machine = machine.metadata.name.as_deref().unwrap_or_default();
                return Err(other(format!(
                    "failed to check if any MachineDeployment is upgrading: failed to list upgrading MachineDeployments: failed to check if MachineDeployment {name} is upgrading: Machine {machine} has no version"
                )));
            }
            let info = machine.status.as_ref().and_then(|status| status.node_info.as_ref());
            let kubelet = info.map_or("", |info| tree::text(info, "/kubeletVersion"));
            if machine.spec.version != version || (!kubelet.is_empty() && kubelet != version) {
                scope.tracker.machine_deployments.upgrading.insert(name.to_owned());
                break;
            }
        }
    }
    for (name, is_upgrading) in pools_upgrading(scope) {
        if is_upgrading {
            scope.tracker.machine_pools.upgrading.insert(name);
        }
    }
    Ok(())
}

/// MachinePools whose status does not show their version on all replicas.
fn pools_upgrading(scope: &Scope) -> Vec<(String, bool)> {
    let all = scope.current.machine_pools.values();
    all.map(|pool| {
        let version = tree::text(&pool.object, "/spec/template/spec/version");
        let versions = pool.object.pointer("/status/versions").and_then(Value::as_array);
        let is_upgrading = !version.is_empty()
            && versions.into_iter().flatten().any(|shown| shown["version"] != version);
        (tree::name(&pool.object).to_owned(), is_upgrading)
    })
    .collect()
}

/// The control plane's version: the next one of the plan once everything before it is done.
pub(super) async fn control_plane(
    scope: &mut Scope,
    hooks: &Hooks,
) -> Result<String, ReconcileError> {
    let topology = scope.topology.version.clone();
    let Some(object) = &scope.current.control_plane else { return Ok(topology) };
    let current = tree::text(object, "/spec/version").to_owned();
    scope.tracker.control_plane.is_pending_upgrade = current != topology;
    let (is_provisioning, is_upgrading) = progress(object)?;
    if is_provisioning {
        scope.tracker.control_plane.is_provisioning = true;
        return Ok(current);
    }
    if is_upgrading {
        scope.tracker.control_plane.is_upgrading = true;
        return Ok(current);
    }
    if hooks.after_control_plane_upgrade(scope, &current).await? == Gate::Closed {
        return Ok(current);
    }
    let from = scope.tracker.min_workers_version.clone();
    if hooks.before_workers_upgrade(scope, &from, &current).await? == Gate::Closed {
        return Ok(current);
    }
    // Workers that would fall too far behind go first.
    let tracker = &mut scope.tracker;
    let plans = [&tracker.machine_deployments.plan, &tracker.machine_pools.plan];
    if plans.iter().any(|plan| plan.first() == Some(&current)) {
        tracker.control_plane.is_waiting_for_workers = true;
        return Ok(current);
    }
    let workers = [&tracker.machine_deployments, &tracker.machine_pools];
    if workers.iter().any(|workers| !workers.upgrading.is_empty()) {
        return Ok(current);
    }
    if hooks.after_workers_upgrade(scope, &current).await? == Gate::Closed
        || !scope.tracker.control_plane.is_pending_upgrade
        || hooks.before_cluster_upgrade(scope, &current, &topology).await? == Gate::Closed
    {
        return Ok(current);
    }
    let Some(next) = scope.tracker.control_plane.plan.first().cloned() else {
        return Err(other(
            "cannot compute the control plane version if the control plane is pending upgrade and the upgrade plan is not set",
        ));
    };
    if hooks.before_control_plane_upgrade(scope, &current, &next).await? == Gate::Closed {
        return Ok(current);
    }
    scope.tracker.control_plane.is_starting_upgrade = true;
    scope.tracker.control_plane.is_pending_upgrade = false;
    tracing::info!(from = current, to = next, "control plane picks up its next version");
    Ok(next)
}

/// Whether a control plane has never run, and whether it is in the middle of an upgrade.
/// (CAPI v1.14: internal/contract/controlplane.go)
fn progress(control_plane: &Value) -> Result<(bool, bool), ReconcileError> {
    let spec = parse(tree::text(control_plane, "/spec/version")).map_err(|error| {
        other(format!(
            "failed to check if control plane is upgrading: failed to parse control plane spec version: {error}"
        ))
    })?;
    let versions = control_plane.pointer("/status/versions").and_then(Value::as_array);
    let mut shown: Vec<&str> =
        versions.into_iter().flatten().map(|entry| tree::text(entry, "/version")).collect();
    if shown.is_empty() {
        shown.push(tree::text(control_plane, "/status/version"));
    }
    let is_provisioning = shown[0].is_empty();
    let mut is_upgrading = false;
    for version in shown.into_iter().filter(|version| !version.is_empty()) {
        let version = parse(version).map_err(|error| {
            other(format!(
                "failed to check if control plane is upgrading: failed to parse control plane status version: {error}"
            ))
        })?;
        is_upgrading |= matches!(compare(&spec, &version), Order::Greater | Order::Different);
    }
    Ok((is_provisioning, is_upgrading))
}

/// A MachineDeployment's version. `current` is the MachineDeployment, if it exists.
pub(super) fn machine_deployment(
    scope: &mut Scope,
    topology: &MachineDeploymentTopology,
    current: Option<&Value>,
) -> Result<String, ReconcileError> {
    let all = scope.topology.workers.machine_deployments.iter();
    let annotations = all.map(|workers| (workers.name.as_str(), &workers.metadata.annotations));
    let is_deferred = is_deferred(annotations, &topology.name);
    let worker = Worker { kind: "machine deployment", name: &topology.name, current, is_deferred };
    worker.version(scope, |tracker| &mut tracker.machine_deployments)
}

/// A MachinePool's version. `current` is the MachinePool, if it exists.
pub(super) fn machine_pool(
    scope: &mut Scope,
    topology: &MachinePoolTopology,
    current: Option<&Value>,
) -> Result<String, ReconcileError> {
    let all = scope.topology.workers.machine_pools.iter();
    let annotations = all.map(|workers| (workers.name.as_str(), &workers.metadata.annotations));
    let is_deferred = is_deferred(annotations, &topology.name);
    let worker = Worker { kind: "machine pool", name: &topology.name, current, is_deferred };
    worker.version(scope, |tracker| &mut tracker.machine_pools)
}

/// Whether the user holds workers back: by an annotation of their own, or by one that holds the
/// sequence on those before them.
fn is_deferred<'a>(
    all: impl Iterator<Item = (&'a str, &'a BTreeMap<String, String>)>,
    name: &str,
) -> bool {
    for (other, annotations) in all {
        if annotations.contains_key(HOLD_UPGRADE_SEQUENCE) {
            return true;
        }
        if other == name {
            return annotations.contains_key(DEFER_UPGRADE);
        }
    }
    false
}

/// Workers whose version is decided.
struct Worker<'a> {
    kind: &'static str,
    name: &'a str,
    current: Option<&'a Value>,
    is_deferred: bool,
}

impl Worker<'_> {
    fn version(
        &self,
        scope: &mut Scope,
        own: impl Fn(&mut UpgradeTracker) -> &mut WorkerTracker,
    ) -> Result<String, ReconcileError> {
        let topology = scope.topology.version.clone();
        let hooks = [Hook::AfterControlPlaneUpgrade, Hook::BeforeWorkersUpgrade];
        let is_blocked = hooks.iter().any(|hook| scope.answers.is_blocking(*hook));
        let control_plane = &scope.tracker.control_plane;
        let (is_stable, is_stable_for_workers) =
            (control_plane.is_stable(), control_plane.is_stable_for_workers());
        let tracker = own(&mut scope.tracker);
        let Some(object) = self.current else {
            if !is_stable || is_blocked {
                tracker.pending_create.insert(self.name.to_owned());
            }
            return Ok(topology);
        };
        let current = tree::text(object, "/spec/template/spec/version").to_owned();
        if current == topology {
            return Ok(current);
        }
        let name = tree::name(object).to_owned();
        if self.is_deferred {
            tracker.deferred.insert(name.clone());
        }
        if self.is_deferred || is_blocked || tracker.is_full() || !is_stable_for_workers {
            tracker.pending_upgrade.insert(name);
            return Ok(current);
        }
        let Some(next) = tracker.plan.first().cloned() else {
            let kind = self.kind;
            return Err(other(format!(
                "cannot compute the {kind} version if the {kind} is pending upgrade and the upgrade plan is not set"
            )));
        };
        if next == current {
            // The control plane's next version comes first.
            tracker.pending_upgrade.insert(name);
            return Ok(current);
        }
        tracker.upgrading.insert(name);
        Ok(next)
    }
}
