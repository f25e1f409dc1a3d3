//! MachinePools of a topology. (CAPI v1.14: computeMachinePool)

use serde_json::{Value, json};

use super::super::kinds::reference_to;
use super::super::labels;
use super::super::scope::{Scope, WorkersState};
use super::super::tree::{self, merged};
use super::control_plane::{pick, timeouts};
use super::machine_deployments::own_labels;
use super::template::{self, Extras};
use super::{Generator, keep_or, name_error, template_or, versions};
use crate::api::core::{Bootstrap, MachineDeletion, MachineSpec};
use crate::api::topology::{MachinePoolClass, MachinePoolTopology};
use crate::runtime::ReconcileError;

/// Names of MachinePools unless the class says otherwise.
const NAMING: &str = "{{ .cluster.name }}-{{ .machinePool.topologyName }}-{{ .random }}";

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
        let current = current.as_ref();
        let own_object = |source: &Value, current: Option<&Value>| {
            let prefix = format!("{}-{}-", scope.name(), topology.name);
            let name = keep_or(current, || {
                Ok(self.names(&scope.cluster).generate(&prefix, &[tree::kind(source)]))
            })?;
            let extras = Extras { owner: Some(template::owner(scope)), ..Extras::default() };
            let mut own = template::object(scope, source, &name, extras);
            let path = ["metadata", "labels", labels::POOL_NAME];
            tree::set(&mut own, &path, json!(topology.name));
            Ok::<_, ReconcileError>(own)
        };
        let bootstrap = current.and_then(|current| current.bootstrap.as_ref());
        let bootstrap = own_object(&templates.bootstrap, bootstrap)?;
        let infrastructure = current.and_then(|current| current.infrastructure.as_ref());
        let infrastructure = own_object(&templates.infrastructure, infrastructure)?;
        let held = current.map(|current| &current.object);
        let version = versions::machine_pool(scope, topology, held)?;
        let name = keep_or(held, || {
            let naming = template_or(&class.naming.template, NAMING);
            let values = [("machinePool.topologyName", topology.name.as_str())];
            let names = self.names(&scope.cluster);
            names
                .render(naming, &values, &["MachinePool", &topology.name])
                .map_err(|error| name_error("MachinePool", &error))
        })?;
        let machine = MachineSpec {
            version,
            bootstrap: Bootstrap {
                config_ref: Some(reference_to(&bootstrap)),
                data_secret_name: None,
            },
            infrastructure_ref: reference_to(&infrastructure),
            ..MachineSpec::default()
        };
        Ok(WorkersState {
            object: pool(scope, class, topology, machine, &name),
            bootstrap: Some(bootstrap),
            infrastructure: Some(infrastructure),
            health_check: None,
        })
    }
}

/// The MachinePool. `machine` has what its Machines are made of.
fn pool(
    scope: &Scope,
    class: &MachinePoolClass,
    topology: &MachinePoolTopology,
    machine: MachineSpec,
    name: &str,
) -> Value {
    let mut annotations = merged(&topology.metadata.annotations, &class.metadata.annotations);
    annotations.remove(labels::HOLD_UPGRADE_SEQUENCE);
    annotations.remove(labels::DEFER_UPGRADE);
    let mut held = merged(&topology.metadata.labels, &class.metadata.labels);
    held.extend(own_labels(scope, labels::POOL_NAME, &topology.name));
    let deletion = timeouts(&topology.deletion, &class.deletion);
    let machine = MachineSpec {
        cluster_name: scope.name().to_owned(),
        min_ready_seconds: topology.min_ready_seconds.or(class.min_ready_seconds),
        taints: pick(&topology.taints, &class.taints).to_vec(),
        deletion: Some(deletion).filter(|deletion| *deletion != MachineDeletion::default()),
        ..machine
    };
    let mut object = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachinePool",
        "metadata": {"name": name, "namespace": scope.namespace(), "labels": held},
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
