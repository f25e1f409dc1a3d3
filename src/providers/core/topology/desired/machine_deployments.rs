//! MachineDeployments of a topology. (CAPI v1.14: computeMachineDeployment)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::super::kinds::reference_to;
use super::super::labels;
use super::super::scope::{Scope, WorkersState};
use super::super::tree::{self, merged};
use super::control_plane::{pick, timeouts};
use super::{Generator, health_check, keep_or, name_error, template, template_or, versions};
use crate::api::core::{
    MachineDeletion, MachineDeployment, MachineDeploymentRollout, MachineSetDeletion, MachineSpec,
    RemediationLimits, RolloutStrategy,
};
use crate::api::topology::{
    MachineDeploymentClass, MachineDeploymentTopology, MachineDeploymentTopologyRollout,
};
use crate::contract;
use crate::runtime::ReconcileError;

/// Names of MachineDeployments unless the class says otherwise.
const NAMING: &str = "{{ .cluster.name }}-{{ .machineDeployment.topologyName }}-{{ .random }}";

impl Generator<'_> {
    /// A MachineDeployment with its templates and its health check.
    pub(super) fn machine_deployment(
        &self,
        scope: &mut Scope,
        topology: &MachineDeploymentTopology,
    ) -> Result<WorkersState, ReconcileError> {
        let blueprint = scope.blueprint.clone();
        let (class, templates) = blueprint.machine_deployment(&topology.class)?;
        let current = scope.current.machine_deployments.get(&topology.name).cloned();
        let current = current.as_ref();
        let own_template = |source: &Value, current: Option<&Value>| {
            let prefix = format!("{}-{}-", scope.name(), topology.name);
            let name = keep_or(current, || {
                Ok(self.names(&scope.cluster).generate(&prefix, &[tree::kind(source)]))
            })?;
            let mut own = template::template(scope, source, &name);
            let path = ["metadata", "labels", labels::DEPLOYMENT_NAME];
            tree::set(&mut own, &path, json!(topology.name));
            Ok::<_, ReconcileError>(own)
        };
        let bootstrap = current.and_then(|current| current.bootstrap.as_ref());
        let bootstrap = own_template(&templates.bootstrap, bootstrap)?;
        let infrastructure = current.and_then(|current| current.infrastructure.as_ref());
        let infrastructure = own_template(&templates.infrastructure, infrastructure)?;
        let held = current.map(|current| &current.object);
        let version = versions::machine_deployment(scope, topology, held)?;
        let name = keep_or(held, || {
            let naming = template_or(&class.naming.template, NAMING);
            let values = [("machineDeployment.topologyName", topology.name.as_str())];
            let names = self.names(&scope.cluster);
            names
                .render(naming, &values, &["MachineDeployment", &topology.name])
                .map_err(|error| name_error("MachineDeployment", &error))
        })?;
        let machine = MachineSpec {
            version,
            bootstrap: crate::api::core::Bootstrap {
                config_ref: Some(reference_to(&bootstrap)),
                data_secret_name: None,
            },
            infrastructure_ref: reference_to(&infrastructure),
            ..MachineSpec::default()
        };
        let object = deployment(scope, class, topology, machine, &name);
        let health_check = health_check::of_deployment(scope, class, topology, &object);
        Ok(WorkersState {
            object,
            bootstrap: Some(bootstrap),
            infrastructure: Some(infrastructure),
            health_check,
        })
    }
}

/// The MachineDeployment. `machine` has what its Machines are made of.
fn deployment(
    scope: &Scope,
    class: &MachineDeploymentClass,
    topology: &MachineDeploymentTopology,
    machine: MachineSpec,
    name: &str,
) -> Value {
    let mut annotations = merged(&topology.metadata.annotations, &class.metadata.annotations);
    annotations.remove(labels::HOLD_UPGRADE_SEQUENCE);
    annotations.remove(labels::DEFER_UPGRADE);
    let own = own_labels(scope, labels::DEPLOYMENT_NAME, &topology.name);
    let mut held = merged(&topology.metadata.labels, &class.metadata.labels);
    held.extend(own.clone());
    let mut deployment = MachineDeployment::default();
    deployment.metadata.name = Some(name.to_owned());
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
        cluster_name: scope.name().to_owned(),
        failure_domain: domain.clone(),
        min_ready_seconds: topology.min_ready_seconds.or(class.min_ready_seconds),
        readiness_gates: pick(&topology.readiness_gates, &class.readiness_gates).to_vec(),
        taints: pick(&topology.taints, &class.taints).to_vec(),
        deletion: Some(deletion).filter(|deletion| *deletion != MachineDeletion::default()),
        ..machine
    };
    let mut object = json!(deployment);
    tree::set(&mut object, &["apiVersion"], json!("cluster.x-k8s.io/v1beta2"));
    tree::set(&mut object, &["kind"], json!("MachineDeployment"));
    object
}

/// Labels by which workers of a topology are known.
pub(super) fn own_labels(scope: &Scope, label: &str, name: &str) -> BTreeMap<String, String> {
    [(contract::labels::CLUSTER_NAME, scope.name()), (labels::OWNED, ""), (label, name)]
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into()
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
