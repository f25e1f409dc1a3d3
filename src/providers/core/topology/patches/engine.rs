//! All patches of a class in order. (CAPI v1.14: patches/engine.go)

use std::collections::BTreeSet;

use serde_json::Value;

use super::fields::{self, Copy, Path};
use super::request::{Holder, Request};
use super::{Desired, External, GeneratedPatch, Part, PatchError, Workers};
use super::{inline, json_patch, variables};
use crate::api::topology::{ClusterClass, ClusterClassPatch, INLINE, VariableOverrides};
use crate::contract::versions::Contract;
use crate::machinery::status::quote;

const CORE: &str = "cluster.x-k8s.io/v1beta2";
const INFRASTRUCTURE: &str = "spec.infrastructureRef";
const CONTROL_PLANE: &str = "spec.controlPlaneRef";
const WORKER_BOOTSTRAP: &str = "spec.template.spec.bootstrap.configRef";
const WORKER_INFRASTRUCTURE: &str = "spec.template.spec.infrastructureRef";

/// Labels and annotations that are the topology controller's.
const KEPT: &[Path<'_>] = &[
    &["metadata", "labels", "cluster.x-k8s.io/cluster-name"],
    &["metadata", "labels", "topology.cluster.x-k8s.io/owned"],
    &["metadata", "labels", "topology.cluster.x-k8s.io/deployment-name"],
    &["metadata", "labels", "topology.cluster.x-k8s.io/pool-name"],
    &["metadata", "annotations", "cluster.x-k8s.io/cloned-from-name"],
    &["metadata", "annotations", "cluster.x-k8s.io/cloned-from-groupkind"],
];

/// Fields of a control plane that the topology controller computes, in both contracts.
const KEPT_IN_CONTROL_PLANE: &[Path<'_>] = &[
    &["spec", "machineTemplate", "metadata"],
    &["spec", "machineTemplate", "readinessGates"],
    &["spec", "machineTemplate", "spec", "readinessGates"],
    &["spec", "machineTemplate", "taints"],
    &["spec", "machineTemplate", "spec", "taints"],
    &["spec", "machineTemplate", "infrastructureRef"],
    &["spec", "machineTemplate", "spec", "infrastructureRef"],
    &["spec", "machineTemplate", "nodeDrainTimeout"],
    &["spec", "machineTemplate", "nodeVolumeDetachTimeout"],
    &["spec", "machineTemplate", "nodeDeletionTimeout"],
    &["spec", "machineTemplate", "spec", "deletion", "nodeDrainTimeoutSeconds"],
    &["spec", "machineTemplate", "spec", "deletion", "nodeVolumeDetachTimeoutSeconds"],
    &["spec", "machineTemplate", "spec", "deletion", "nodeDeletionTimeoutSeconds"],
    &["spec", "replicas"],
    &["spec", "version"],
    &["spec", "rollout", "after"],
];

/// Which objects a worker's templates become.
#[derive(Clone, Copy, PartialEq)]
enum WorkerKind {
    MachineDeployment,
    MachinePool,
}

impl WorkerKind {
    fn kind(self) -> &'static str {
        match self {
            Self::MachineDeployment => "MachineDeployment",
            Self::MachinePool => "MachinePool",
        }
    }

    /// Its field in `builtin`.
    fn builtin(self) -> &'static str {
        match self {
            Self::MachineDeployment => "machineDeployment",
            Self::MachinePool => "machinePool",
        }
    }

    /// How metadata of the desired object gets into its template.
    fn metadata(self) -> &'static [Copy<'static>] {
        match self {
            Self::MachineDeployment => fields::TEMPLATE_METADATA,
            Self::MachinePool => fields::METADATA_INTO_TEMPLATE,
        }
    }

    /// How a patched template gets into the desired object.
    fn result(self) -> &'static [Copy<'static>] {
        match self {
            Self::MachineDeployment => fields::TEMPLATE_INTO_TEMPLATE,
            Self::MachinePool => fields::TEMPLATE_INTO_OBJECT,
        }
    }
}

/// Changes the desired objects as the class's patches say. `external` answers for patches by
/// runtime extensions, where the Runtime SDK is on. On an error nothing is changed.
pub async fn apply(
    mut desired: Desired<'_>,
    external: Option<&dyn External>,
) -> Result<(), PatchError> {
    let patches = &desired.class.spec.patches;
    if patches.is_empty() {
        return Ok(());
    }
    let mut request = request(&desired)
        .map_err(|error| PatchError(format!("failed to generate patch request: {error}")))?;
    for patch in patches {
        let failed = |what: &str, error: String| {
            PatchError(format!("failed to {what} patch {}: {error}", quote(&patch.name)))
        };
        let from = if patch.external.is_some() { &patch.name } else { INLINE };
        add_variables(&desired, &mut request, from)
            .map_err(|error| failed("calculate variables for", error))?;
        let generated = generate(patch, &desired, &request, external).await?;
        for one in &generated {
            apply_to_request(&mut request, one)
                .map_err(|error| failed("apply patches for", error))?;
        }
    }
    validate(&desired, &request, external).await?;
    update(&mut desired, &request)
        .map_err(|error| PatchError(format!("failed to apply patches to desired state: {error}")))
}

async fn generate(
    patch: &ClusterClassPatch,
    desired: &Desired<'_>,
    request: &Request,
    external: Option<&dyn External>,
) -> Result<Vec<GeneratedPatch>, PatchError> {
    let name = quote(&patch.name);
    let generated = if !patch.definitions.is_empty() {
        inline::generate(patch, request)
    } else if patch.external.as_ref().is_some_and(|e| !e.generate_patches_extension.is_empty()) {
        let Some(external) = external else {
            return Err(PatchError(format!(
                "can not use external patch {name} if RuntimeSDK feature flag is disabled"
            )));
        };
        external.generate(patch, desired.cluster, request).await
    } else {
        let message = format!("failed to create patch generator for patch {name}");
        return Err(PatchError(message));
    };
    generated.map_err(|error| {
        PatchError(format!("failed to generate patches for patch {name}: {error}"))
    })
}

async fn validate(
    desired: &Desired<'_>,
    request: &Request,
    external: Option<&dyn External>,
) -> Result<(), PatchError> {
    for patch in &desired.class.spec.patches {
        let Some(extensions) = &patch.external else { continue };
        if extensions.validate_topology_extension.is_empty() {
            continue;
        }
        let answer = match external {
            Some(external) => external.validate(patch, desired.cluster, request).await,
            None => Err(format!(
                "can not use external patch {} if RuntimeSDK feature flag is disabled",
                quote(&extensions.validate_topology_extension)
            )),
        };
        answer.map_err(|error| {
            PatchError(format!("validation of patch {} failed: {error}", quote(&patch.name)))
        })?;
    }
    Ok(())
}

/// All templates with their holders, without variables.
fn request(desired: &Desired<'_>) -> Result<Request, String> {
    let mut request = Request::default();
    let held_by_cluster = |field: &str| Holder {
        api_version: CORE.to_owned(),
        kind: "Cluster".to_owned(),
        namespace: desired.cluster.metadata.namespace.clone().unwrap_or_default(),
        name: desired.cluster.metadata.name.clone().unwrap_or_default(),
        field_path: field.to_owned(),
    };
    let part = &desired.infrastructure_cluster;
    let template = prepared(part, fields::METADATA_INTO_TEMPLATE)?;
    request.push(held_by_cluster(INFRASTRUCTURE), template);
    let part = &desired.control_plane;
    let template = prepared(part, fields::METADATA_INTO_TEMPLATE)?;
    request.push(held_by_cluster(CONTROL_PLANE), template);
    if let Some(part) = &desired.control_plane_machines {
        let template = prepared(part, fields::TEMPLATE_METADATA)?;
        request.push(control_plane_holder(desired), template);
    }
    for (kind, workers) in all_workers(desired) {
        for (part, field) in [
            (&workers.bootstrap, WORKER_BOOTSTRAP),
            (&workers.infrastructure, WORKER_INFRASTRUCTURE),
        ] {
            let template = prepared(part, kind.metadata())?;
            let holder = Holder {
                api_version: CORE.to_owned(),
                kind: kind.kind().to_owned(),
                namespace: workers.metadata.namespace.clone().unwrap_or_default(),
                name: workers.metadata.name.clone().unwrap_or_default(),
                field_path: field.to_owned(),
            };
            request.push(holder, template);
        }
    }
    Ok(request)
}

/// The template of a part with the labels and annotations that the desired object got, so that
/// patches see them.
fn prepared(part: &Part<'_>, metadata: &[Copy<'_>]) -> Result<Value, String> {
    let mut template = part.template.clone();
    let name = fields::object_name(&template);
    fields::copy(part.desired, &mut template, metadata, &[])
        .map_err(|error| format!("failed to prepare {name} for patching: {error}"))?;
    Ok(template)
}

fn control_plane_holder(desired: &Desired<'_>) -> Holder {
    let object = &desired.control_plane.desired;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Holder {
        api_version: text(&object["apiVersion"]),
        kind: text(&object["kind"]),
        namespace: text(&object["metadata"]["namespace"]),
        name: text(&object["metadata"]["name"]),
        field_path: control_plane_field(desired.control_plane_contract).to_owned(),
    }
}

fn control_plane_field(contract: Contract) -> &'static str {
    match contract {
        Contract::V1Beta1 => "spec.machineTemplate.infrastructureRef",
        Contract::V1Beta2 => "spec.machineTemplate.spec.infrastructureRef",
    }
}

fn all_workers<'d, 'a>(
    desired: &'d Desired<'a>,
) -> impl Iterator<Item = (WorkerKind, &'d Workers<'a>)> {
    let deployments = desired.machine_deployments.iter();
    let pools = desired.machine_pools.iter();
    let deployments = deployments.map(|workers| (WorkerKind::MachineDeployment, workers));
    deployments.chain(pools.map(|workers| (WorkerKind::MachinePool, workers)))
}

/// Gives every item the variables that a patch from `from` may see.
fn add_variables(desired: &Desired<'_>, request: &mut Request, from: &str) -> Result<(), String> {
    if from.is_empty() {
        return Err("failed to calculate variables: no patch name provided".to_owned());
    }
    let defined = definitions(desired.class, from);
    request.variables = variables::global(desired.cluster, &defined);
    let control_plane = variables::control_plane(desired, &defined)
        .map_err(|error| format!("failed to calculate ControlPlane variables: {error}"))?;
    let of_machines = control_plane_field(desired.control_plane_contract);
    for item in &mut request.items {
        if [CONTROL_PLANE, of_machines].contains(&item.holder.field_path.as_str()) {
            item.variables = control_plane.clone();
        }
    }
    for (kind, workers) in all_workers(desired) {
        let (class, overrides) = topology_of(desired, kind, workers.topology_name)?;
        let found = variables::workers(kind.builtin(), workers, class, overrides, &defined);
        let name = workers.metadata.name.as_deref().unwrap_or_default();
        for item in &mut request.items {
            if item.holder.kind == kind.kind() && item.holder.name == name {
                item.variables = found.clone();
            }
        }
    }
    Ok(())
}

/// Class and overrides of a MachineDeployment or MachinePool in the Cluster's topology.
fn topology_of<'d>(
    desired: &'d Desired<'_>,
    kind: WorkerKind,
    name: &str,
) -> Result<(&'d str, &'d VariableOverrides), String> {
    let workers = &desired.cluster.spec.topology.workers;
    let (found, list) = match kind {
        WorkerKind::MachineDeployment => {
            let found = workers.machine_deployments.iter().find(|one| one.name == name);
            (found.map(|one| (one.class.as_str(), &one.variables)), "machineDeployments")
        }
        WorkerKind::MachinePool => {
            let found = workers.machine_pools.iter().find(|one| one.name == name);
            (found.map(|one| (one.class.as_str(), &one.variables)), "machinePools")
        }
    };
    found.ok_or_else(|| {
        let (kind, name) = (kind.kind(), quote(name));
        format!("failed to lookup {kind} topology {name} in Cluster.spec.topology.workers.{list}")
    })
}

/// Names of the variables with a definition from a patch.
fn definitions<'a>(class: &'a ClusterClass, from: &str) -> BTreeSet<&'a str> {
    let variables = class.status.iter().flat_map(|status| &status.variables);
    let defined = variables.filter(|variable| variable.definitions.iter().any(|d| d.from == from));
    defined.map(|variable| variable.name.as_str()).collect()
}

fn apply_to_request(request: &mut Request, patch: &GeneratedPatch) -> Result<(), String> {
    let Some(item) = request.items.iter_mut().find(|item| item.uid == patch.uid) else {
        return Err("unable to find corresponding request item for patch".to_owned());
    };
    let Some(patched) = json_patch::apply(&item.object, patch)
        .map_err(|error| format!("failed to apply patch: {error}"))?
    else {
        return Ok(());
    };
    let failed = |error: String| format!("failed to apply patch to template: {error}");
    if patched["kind"].as_str().unwrap_or_default().is_empty() {
        return Err(failed(format!(
            "failed to convert patched object to Unstructured: failed to unmarshal object from \
             json: Object 'Kind' is missing in '{patched}'"
        )));
    }
    fields::copy(&patched, &mut item.object, fields::PATCHABLE, &[])
        .map_err(|error| failed(format!("failed to apply patch to object: {error}")))
}

/// Copies the patched templates into the desired objects.
fn update(desired: &mut Desired<'_>, request: &Request) -> Result<(), String> {
    let mut patched = request.items.iter().map(|item| &item.object);
    let mut next = || patched.next().ok_or("failed to get request item");
    finish(&mut desired.infrastructure_cluster, next()?, fields::TEMPLATE_INTO_OBJECT, &[])?;
    let (kept, into) = (KEPT_IN_CONTROL_PLANE, fields::TEMPLATE_INTO_OBJECT);
    finish(&mut desired.control_plane, next()?, into, kept)?;
    if let Some(machines) = &mut desired.control_plane_machines {
        finish(machines, next()?, fields::TEMPLATE_INTO_TEMPLATE, &[])?;
    }
    let deployments = desired.machine_deployments.iter_mut();
    let deployments = deployments.map(|workers| (WorkerKind::MachineDeployment, workers));
    let pools = desired.machine_pools.iter_mut();
    for (kind, workers) in deployments.chain(pools.map(|one| (WorkerKind::MachinePool, one))) {
        finish(&mut workers.bootstrap, next()?, kind.result(), &[])?;
        finish(&mut workers.infrastructure, next()?, kind.result(), &[])?;
    }
    Ok(())
}

fn finish(
    part: &mut Part<'_>,
    patched: &Value,
    copies: &[Copy<'_>],
    kept: &[Path<'_>],
) -> Result<(), String> {
    let kept: Vec<Path<'_>> = kept.iter().chain(KEPT).copied().collect();
    let name = fields::object_name(part.desired);
    fields::copy(patched, part.desired, copies, &kept)
        .map_err(|error| format!("failed to apply patch to {name}: {error}"))
}
