//! What exists of a topology. (CAPI v1.14: current_state.go)

use indexmap::IndexMap;
use serde_json::Value;

use super::blueprint::{Blueprint, WorkerTemplates};
use super::kinds::{Form, Kinds, core_resource, wrap};
use super::labels;
use super::scope::{ClusterState, Scope, WorkersState};
use super::tree;
use crate::api::core::{Cluster, ContractRef};
use crate::client::ObjectKey;
use crate::contract::versions::Contract;
use crate::runtime::ReconcileError;

/// Reads everything that the Cluster refers to and all its workers. `deployments` and `pools` are
/// the topology-owned ones of the Cluster.
///
/// # Errors
/// Something that is referred to does not exist or is not the topology's, or a request failed.
pub(super) async fn read(
    kinds: &Kinds,
    scope: &Scope,
    deployments: Vec<Value>,
    pools: Vec<Value>,
) -> Result<ClusterState, ReconcileError> {
    let blueprint = &*scope.blueprint;
    let mut state = ClusterState::default();
    let spec = &scope.cluster.spec;
    if let Some(reference) = &spec.infrastructure_ref {
        let template = &blueprint.infrastructure;
        state.infrastructure = Some(read_object(kinds, scope, reference, template).await?);
    }
    if let Some(reference) = &spec.control_plane_ref {
        let control_plane = read_object(kinds, scope, reference, &blueprint.control_plane).await?;
        read_control_plane_parts(kinds, scope, &control_plane, &mut state).await?;
        state.control_plane = Some(control_plane);
    }
    state.machine_deployments = read_deployments(kinds, scope, deployments).await?;
    state.machine_pools = read_pools(kinds, scope, pools).await?;
    Ok(state)
}

/// Infrastructure cluster or control plane.
async fn read_object(
    kinds: &Kinds,
    scope: &Scope,
    reference: &ContractRef,
    template: &Value,
) -> Result<Value, ReconcileError> {
    let namespace = scope.namespace();
    let object = kinds
        .read_aligned(reference, namespace, Some(template), Form::Object)
        .await
        .map_err(|error| {
            wrap(format!("failed to read {} {namespace}/{}", reference.kind, reference.name), error)
        })?;
    let cluster = ObjectKey::of(&scope.cluster);
    require_owned(&object, &format!("Cluster {cluster}"))?;
    Ok(object)
}

fn require_owned(object: &Value, referrer: &str) -> Result<(), ReconcileError> {
    if tree::is_topology_owned(object) {
        return Ok(());
    }
    Err(ReconcileError::Other(format!(
        "{} referenced from {referrer} is not topology owned",
        tree::describe(object)
    )))
}

/// Template and health check of the control plane's Machines.
async fn read_control_plane_parts(
    kinds: &Kinds,
    scope: &Scope,
    control_plane: &Value,
    state: &mut ClusterState,
) -> Result<(), ReconcileError> {
    let Some(blueprint) = &scope.blueprint.control_plane_machines else { return Ok(()) };
    let named = tree::describe(control_plane);
    let reference = machine_template_ref(control_plane, kinds.contract(control_plane));
    if reference.name.is_empty() {
        return Err(ReconcileError::Other(format!(
            "failed to get InfrastructureMachineTemplate reference for {named}"
        )));
    }
    let namespace = tree::namespace(control_plane);
    let template =
        kinds.read_aligned(&reference, namespace, Some(blueprint), Form::Template).await.map_err(
            |error| wrap(format!("failed to get InfrastructureMachineTemplate for {named}"), error),
        )?;
    require_owned(&template, &named)?;
    state.control_plane_template = Some(template);
    state.control_plane_health_check = read_health_check(kinds, control_plane).await?;
    Ok(())
}

/// The infrastructure template that a control plane's Machines are made of.
pub(super) fn machine_template_ref(control_plane: &Value, contract: Contract) -> ContractRef {
    let pointer = match contract {
        Contract::V1Beta1 => "/spec/machineTemplate/infrastructureRef",
        Contract::V1Beta2 => "/spec/machineTemplate/spec/infrastructureRef",
    };
    let Some(reference) = control_plane.pointer(pointer) else { return ContractRef::default() };
    let group = match contract {
        Contract::V1Beta1 => tree::group(reference),
        Contract::V1Beta2 => tree::text(reference, "/apiGroup"),
    };
    ContractRef {
        api_group: group.to_owned(),
        kind: tree::kind(reference).to_owned(),
        name: tree::text(reference, "/name").to_owned(),
    }
}

/// The health check that has the name of an object.
async fn read_health_check(kinds: &Kinds, object: &Value) -> Result<Option<Value>, ReconcileError> {
    let key = ObjectKey::new(tree::namespace(object), tree::name(object));
    kinds.find(&core_resource("MachineHealthCheck"), &key).await.map_err(|error| {
        wrap(format!("failed to get MachineHealthCheck for {}", tree::describe(object)), error)
    })
}

async fn read_deployments(
    kinds: &Kinds,
    scope: &Scope,
    deployments: Vec<Value>,
) -> Result<IndexMap<String, WorkersState>, ReconcileError> {
    let mut all = IndexMap::new();
    for object in deployments {
        let name = topology_name(&object, labels::DEPLOYMENT_NAME)?;
        if all.contains_key(&name) {
            return Err(duplicate(&object, labels::DEPLOYMENT_NAME, &name));
        }
        // What is being deleted needs no templates, and they go before it.
        let is_deleting = object["metadata"].get("deletionTimestamp").is_some();
        let (bootstrap, infrastructure) = match is_deleting {
            true => (None, None),
            false => {
                let templates = deployment_templates(&scope.blueprint, &scope.cluster, &name)?;
                let parts = Parts { kinds, object: &object, templates, form: Form::Template };
                let (bootstrap, infrastructure) = parts.read().await?;
                (Some(bootstrap), Some(infrastructure))
            }
        };
        let health_check = read_health_check(kinds, &object).await?;
        all.insert(name, WorkersState { object, bootstrap, infrastructure, health_check });
    }
    Ok(all)
}

async fn read_pools(
    kinds: &Kinds,
    scope: &Scope,
    pools: Vec<Value>,
) -> Result<IndexMap<String, WorkersState>, ReconcileError> {
    let mut all = IndexMap::new();
    for object in pools {
        let name = topology_name(&object, labels::POOL_NAME)?;
        if all.contains_key(&name) {
            return Err(duplicate(&object, labels::POOL_NAME, &name));
        }
        let templates = pool_templates(&scope.blueprint, &scope.cluster, &name)?;
        let parts = Parts { kinds, object: &object, templates, form: Form::Object };
        let (bootstrap, infrastructure) = parts.read().await?;
        let state = WorkersState {
            object,
            bootstrap: Some(bootstrap),
            infrastructure: Some(infrastructure),
            health_check: None,
        };
        all.insert(name, state);
    }
    Ok(all)
}

/// Name of workers within the topology.
fn topology_name(object: &Value, label: &str) -> Result<String, ReconcileError> {
    let name = object["metadata"]["labels"].get(label).and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(ReconcileError::Other(format!(
            "failed to find label {label} in {}",
            tree::describe(object)
        )));
    }
    Ok(name.to_owned())
}

fn duplicate(object: &Value, label: &str, name: &str) -> ReconcileError {
    let object = tree::describe(object);
    ReconcileError::Other(format!("duplicate {object} found for label {label}: {name}"))
}

/// Templates of the class of a MachineDeployment that the topology has.
fn deployment_templates<'a>(
    blueprint: &'a Blueprint,
    cluster: &Cluster,
    name: &str,
) -> Result<Option<&'a WorkerTemplates>, ReconcileError> {
    let topology = &cluster.spec.topology.workers.machine_deployments;
    let Some(workers) = topology.iter().find(|workers| workers.name == name) else {
        return Ok(None);
    };
    let class = &workers.class;
    blueprint.machine_deployments.get(class).map(Some).ok_or_else(|| {
        ReconcileError::Other(format!(
            "failed to find MachineDeployment class {class} in ClusterClass"
        ))
    })
}

/// Templates of the class of a MachinePool that the topology has.
fn pool_templates<'a>(
    blueprint: &'a Blueprint,
    cluster: &Cluster,
    name: &str,
) -> Result<Option<&'a WorkerTemplates>, ReconcileError> {
    let topology = &cluster.spec.topology.workers.machine_pools;
    let Some(workers) = topology.iter().find(|workers| workers.name == name) else {
        return Ok(None);
    };
    let class = &workers.class;
    blueprint.machine_pools.get(class).map(Some).ok_or_else(|| {
        ReconcileError::Other(format!("failed to find MachinePool class {class} in ClusterClass"))
    })
}

/// What workers refer to.
struct Parts<'a> {
    kinds: &'a Kinds,
    object: &'a Value,
    templates: Option<&'a WorkerTemplates>,
    form: Form,
}

impl Parts<'_> {
    /// Bootstrap and infrastructure.
    async fn read(&self) -> Result<(Value, Value), ReconcileError> {
        let named = tree::describe(self.object);
        let infrastructure_kind = match self.form {
            Form::Template => "InfrastructureMachineTemplate",
            Form::Object => "InfrastructureMachinePool",
        };
        let bootstrap = self.reference("/spec/template/spec/bootstrap/configRef");
        let infrastructure = self.reference("/spec/template/spec/infrastructureRef");
        let missing = |what: &str| {
            ReconcileError::Other(format!("{named} does not have a reference to a {what}"))
        };
        let bootstrap = bootstrap.ok_or_else(|| missing("Bootstrap Config"))?;
        let infrastructure = infrastructure.ok_or_else(|| missing(infrastructure_kind))?;
        let template = self.templates.map(|templates| &templates.bootstrap);
        let bootstrap = self.part(&bootstrap, template, "Bootstrap").await?;
        let template = self.templates.map(|templates| &templates.infrastructure);
        let infrastructure = self.part(&infrastructure, template, "Infrastructure").await?;
        Ok((bootstrap, infrastructure))
    }

    fn reference(&self, pointer: &str) -> Option<ContractRef> {
        let reference = self.object.pointer(pointer)?.clone();
        serde_json::from_value(reference).ok().filter(|it| *it != ContractRef::default())
    }

    async fn part(
        &self,
        reference: &ContractRef,
        template: Option<&Value>,
        what: &str,
    ) -> Result<Value, ReconcileError> {
        let named = tree::describe(self.object);
        let namespace = tree::namespace(self.object);
        let found = self.kinds.read_aligned(reference, namespace, template, self.form).await;
        let found = found.map_err(|error| {
            wrap(format!("{named} {what} reference could not be retrieved"), error)
        })?;
        require_owned(&found, &named)?;
        Ok(found)
    }
}
