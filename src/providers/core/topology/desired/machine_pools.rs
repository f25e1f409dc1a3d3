//! MachinePools of a topology. (CAPI v1.14: computeMachinePool)

use serde_json::{Value, json};

use super::super::labels;
use super::super::scope::{Scope, WorkersState};
use super::super::tree::{self, merged};
use super::control_plane::{pick, timeouts};
use super::template::{self, Extras};
use super::workers::{Input, Parts, WorkerKind, annotations};
use super::{Generator, versions};
use crate::api::core::{MachineDeletion, MachineSpec};
use crate::api::topology::{MachinePoolClass, MachinePoolTopology};
use crate::runtime::ReconcileError;

static KIND: WorkerKind = WorkerKind {
    kind: "MachinePool",
    label: labels::POOL_NAME,
    named: "machinePool.topologyName",
    naming: "{{ .cluster.name }}-{{ .machinePool.topologyName }}-{{ .random }}",
    object: |scope, source, name| {
        let extras = Extras { owner: Some(template::owner(scope)), ..Extras::default() };
        template::object(scope, source, name, extras)
    },
};

impl Generator<'_> {
    /// A MachinePool with its bootstrap configuration and its infrastructure.
    pub(super) fn machine_pool(
        &self,
        scope: &mut Scope,
        topology: &MachinePoolTopology,
    ) -> Result<WorkersState, ReconcileError> {
        let blueprint = scope.blueprint.clone();
        let (class, templates) = blueprint.machine_pool(&topology.class)?;
        let current = scope.current.machine_pools.get(&topology.name).cloned();
        let held = current.as_ref().map(|current| &current.object);
        let version = versions::machine_pool(scope, topology, held)?;
        let input = Input {
            kind: &KIND,
            topology_name: &topology.name,
            naming: &class.naming.template,
            templates,
            current: current.as_ref(),
            version,
            left: Vec::new(),
        };
        let parts = self.parts(scope, input)?;
        Ok(WorkersState {
            object: pool(scope, class, topology, &parts),
            bootstrap: Some(parts.bootstrap),
            infrastructure: Some(parts.infrastructure),
            health_check: None,
        })
    }
}

/// The MachinePool.
fn pool(
    scope: &Scope,
    class: &MachinePoolClass,
    topology: &MachinePoolTopology,
    parts: &Parts,
) -> Value {
    let annotations = annotations(&topology.metadata, &class.metadata);
    let mut held = merged(&topology.metadata.labels, &class.metadata.labels);
    held.extend(parts.own_labels.clone());
    let deletion = timeouts(&topology.deletion, &class.deletion);
    let machine = MachineSpec {
        min_ready_seconds: topology.min_ready_seconds.or(class.min_ready_seconds),
        taints: pick(&topology.taints, &class.taints).to_vec(),
        deletion: Some(deletion).filter(|deletion| *deletion != MachineDeletion::default()),
        ..parts.machine.clone()
    };
    let mut object = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachinePool",
        "metadata": {"name": parts.name, "namespace": scope.namespace(), "labels": held},
        "spec": {
            "clusterName": scope.name(),
            "template": {"metadata": {"labels": held}, "spec": machine},
        },
    });
    tree::set_strings(&mut object, &["metadata", "annotations"], &annotations);
    let path = ["spec", "template", "metadata", "annotations"];
    tree::set_strings(&mut object, &path, &annotations);
    let domains = pick(&topology.failure_domains, &class.failure_domains);
    if !domains.is_empty() {
        tree::set(&mut object, &["spec", "failureDomains"], json!(domains));
    }
    if let Some(replicas) = topology.replicas {
        tree::set(&mut object, &["spec", "replicas"], json!(replicas));
    }
    object
}
