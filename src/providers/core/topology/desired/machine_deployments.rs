//! MachineDeployments of a topology. (CAPI v1.14: computeMachineDeployment)

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::super::labels;
use super::super::scope::{Scope, WorkersState};
use super::super::tree::{self, merged};
use super::control_plane::{pick, timeouts};
use super::workers::{Input, Parts, WorkerKind, annotations};
use super::{Generator, health_check, template, versions};
use crate::api::core::{
    MachineDeletion, MachineDeployment, MachineDeploymentRollout, MachineSet, MachineSetDeletion,
    MachineSpec, RemediationLimits, RolloutStrategy,
};
use crate::api::topology::{
    MachineDeploymentClass, MachineDeploymentTopology, MachineDeploymentTopologyRollout,
};
use crate::runtime::ReconcileError;

static KIND: WorkerKind = WorkerKind {
    kind: "MachineDeployment",
    label: labels::DEPLOYMENT_NAME,
    named: "machineDeployment.topologyName",
    naming: "{{ .cluster.name }}-{{ .machineDeployment.topologyName }}-{{ .random }}",
    object: template::template,
};

impl Generator<'_> {
    /// A MachineDeployment with its templates and its health check. `current` is what exists
    /// of it, `sets` are the Cluster's.
    pub(super) fn machine_deployment(
        &self,
        scope: &mut Scope,
        topology: &MachineDeploymentTopology,
        current: Option<&WorkersState>,
        sets: &[Arc<MachineSet>],
    ) -> Result<WorkersState, ReconcileError> {
        let blueprint = scope.blueprint.clone();
        let (class, templates) = blueprint.machine_deployment(&topology.class)?;
        let held = current.map(|current| &current.object);
        let version = versions::machine_deployment(scope, topology, held)?;
        let input = Input {
            kind: &KIND,
            topology_name: &topology.name,
            naming: &class.naming.template,
            templates,
            current,
            version,
            left: left(&topology.name, sets),
        };
        let parts = self.parts(scope, input)?;
        let object = deployment(scope, class, topology, &parts);
        let health_check = health_check::of_deployment(scope, class, topology, &object);
        Ok(WorkersState {
            object,
            bootstrap: Some(parts.bootstrap),
            infrastructure: Some(parts.infrastructure),
            health_check,
        })
    }
}

/// Uids of the MachineSets that bear the name of a MachineDeployment within the topology.
fn left(name: &str, sets: &[Arc<MachineSet>]) -> Vec<String> {
    let is_its = |set: &&Arc<MachineSet>| {
        let labels = set.metadata.labels.as_ref();
        labels.and_then(|held| held.get(labels::DEPLOYMENT_NAME)).is_some_and(|held| held == name)
    };
    let mut all: Vec<String> =
        sets.iter().filter(is_its).filter_map(|set| set.metadata.uid.clone()).collect();
    all.sort();
    all
}

/// The MachineDeployment.
fn deployment(
    scope: &Scope,
    class: &MachineDeploymentClass,
    topology: &MachineDeploymentTopology,
    parts: &Parts,
) -> Value {
    let annotations = annotations(&topology.metadata, &class.metadata);
    let own = parts.own_labels.clone();
    let mut held = merged(&topology.metadata.labels, &class.metadata.labels);
    held.extend(own.clone());
    let mut deployment = MachineDeployment::default();
    deployment.metadata.name = Some(parts.name.clone());
    deployment.metadata.namespace = Some(scope.namespace().to_owned());
    deployment.metadata.labels = Some(held.clone());
    deployment.metadata.annotations = Some(annotations.clone()).filter(|held| !held.is_empty());
    let spec = &mut deployment.spec;
    scope.name().clone_into(&mut spec.cluster_name);
    spec.replicas = topology.replicas;
    spec.rollout = rollout(class, topology);
    let order = if topology.deletion.order.is_empty() {
        &class.deletion.order
    } else {
        &topology.deletion.order
    };
    spec.deletion = (!order.is_empty()).then(|| MachineSetDeletion { order: order.clone() });
    let of_topology = topology.health_check.remediation.max_in_flight.as_ref();
    let in_flight = of_topology.or(class.health_check.remediation.max_in_flight.as_ref());
    spec.remediation =
        in_flight.map(|limit| RemediationLimits { max_in_flight: Some(limit.clone()) });
    spec.selector = LabelSelector { match_labels: Some(own), ..LabelSelector::default() };
    spec.template.metadata.labels = held;
    spec.template.metadata.annotations = annotations;
    let deletion = timeouts(&topology.deletion.timeouts(), &class.deletion.timeouts());
    let domain = if topology.failure_domain.is_empty() {
        &class.failure_domain
    } else {
        &topology.failure_domain
    };
    spec.template.spec = MachineSpec {
        failure_domain: domain.clone(),
        min_ready_seconds: topology.min_ready_seconds.or(class.min_ready_seconds),
        readiness_gates: pick(&topology.readiness_gates, &class.readiness_gates).to_vec(),
        taints: pick(&topology.taints, &class.taints).to_vec(),
        deletion: Some(deletion).filter(|deletion| *deletion != MachineDeletion::default()),
        ..parts.machine.clone()
    };
    let mut object = json!(deployment);
    tree::set(&mut object, &["apiVersion"], json!("cluster.x-k8s.io/v1beta2"));
    tree::set(&mut object, &["kind"], json!("MachineDeployment"));
    object
}

/// The topology's rollout if it has one, be it only the time after which to roll out; otherwise the
/// class's.
fn rollout(
    class: &MachineDeploymentClass,
    topology: &MachineDeploymentTopology,
) -> Option<MachineDeploymentRollout> {
    let (after, strategy) = match topology.rollout == MachineDeploymentTopologyRollout::default() {
        true => (None, &class.rollout.strategy),
        false => (topology.rollout.after.clone(), &topology.rollout.strategy),
    };
    let strategy = Some(strategy.clone()).filter(|it| *it != RolloutStrategy::default());
    let rollout = MachineDeploymentRollout { after, strategy };
    Some(rollout).filter(|rollout| *rollout != MachineDeploymentRollout::default())
}
