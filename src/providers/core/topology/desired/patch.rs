//! The class's patches on the desired state.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::super::blueprint::WorkerTemplates;
use super::super::patches::{self, Part, Workers};
use super::super::scope::{Scope, WorkersState};
use super::super::tree;
use super::{Desired, Generator};
use crate::runtime::ReconcileError;

impl Generator<'_> {
    /// Runs the class's patches.
    ///
    /// # Errors
    /// A patch cannot be computed or applied; nothing is changed then.
    pub(super) async fn patch(
        &self,
        scope: &Scope,
        desired: &mut Desired,
    ) -> Result<(), ReconcileError> {
        let blueprint = &*scope.blueprint;
        if blueprint.class.spec.patches.is_empty() {
            return Ok(());
        }
        let mut cluster = desired.cluster.clone();
        cluster.spec.topology.clone_from(&scope.topology);
        let state = &mut desired.state;
        let (Some(infrastructure), Some(control_plane)) =
            (&mut state.infrastructure, &mut state.control_plane)
        else {
            return Ok(());
        };
        let contract = self.kinds.contract(control_plane);
        let classes = scope.topology.workers.machine_deployments.iter();
        let classes = classes.map(|workers| (workers.name.as_str(), workers.class.as_str()));
        let deployments = Metadata::of(&state.machine_deployments);
        let pools = Metadata::of(&state.machine_pools);
        let machine_deployments = workers(
            &mut state.machine_deployments,
            &deployments,
            &blueprint.machine_deployments,
            classes.collect(),
        );
        let classes = scope.topology.workers.machine_pools.iter();
        let classes = classes.map(|workers| (workers.name.as_str(), workers.class.as_str()));
        let machine_pools =
            workers(&mut state.machine_pools, &pools, &blueprint.machine_pools, classes.collect());
        let control_plane_machines = blueprint
            .control_plane_machines
            .as_ref()
            .zip(state.control_plane_template.as_mut())
            .map(|(template, desired)| Part { template, desired });
        let input = patches::Desired {
            class: &blueprint.class,
            cluster: &cluster,
            infrastructure_cluster: Part {
                template: &blueprint.infrastructure,
                desired: infrastructure,
            },
            control_plane: Part { template: &blueprint.control_plane, desired: control_plane },
            control_plane_contract: contract,
            control_plane_machines,
            machine_deployments,
            machine_pools,
        };
        let patched = patches::apply(input, self.hooks.external()).await;
        patched.map_err(|error| ReconcileError::Other(error.to_string()))
    }
}

/// What patches see of a MachineDeployment or MachinePool.
struct Metadata {
    metadata: ObjectMeta,
    version: String,
    replicas: Option<i32>,
}

impl Metadata {
    fn of(all: &IndexMap<String, WorkersState>) -> BTreeMap<String, Self> {
        let of_one = |workers: &WorkersState| {
            let object = &workers.object;
            let metadata = serde_json::from_value(object["metadata"].clone());
            let replicas = object.pointer("/spec/replicas").and_then(Value::as_i64);
            Self {
                metadata: metadata.unwrap_or_default(),
                version: tree::text(object, "/spec/template/spec/version").to_owned(),
                replicas: replicas.and_then(|replicas| i32::try_from(replicas).ok()),
            }
        };
        all.iter().map(|(name, workers)| (name.clone(), of_one(workers))).collect()
    }
}

fn workers<'a>(
    all: &'a mut IndexMap<String, WorkersState>,
    metadata: &'a BTreeMap<String, Metadata>,
    templates: &'a BTreeMap<String, WorkerTemplates>,
    classes: BTreeMap<&str, &str>,
) -> Vec<Workers<'a>> {
    let one = |(name, state): (&'a String, &'a mut WorkersState)| {
        let templates = templates.get(*classes.get(name.as_str())?)?;
        let metadata = metadata.get(name)?;
        Some(Workers {
            topology_name: name,
            metadata: &metadata.metadata,
            version: &metadata.version,
            replicas: metadata.replicas,
            bootstrap: Part { template: &templates.bootstrap, desired: state.bootstrap.as_mut()? },
            infrastructure: Part {
                template: &templates.infrastructure,
                desired: state.infrastructure.as_mut()?,
            },
        })
    };
    all.iter_mut().filter_map(one).collect()
}
