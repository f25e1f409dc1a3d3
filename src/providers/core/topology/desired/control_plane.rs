//! Infrastructure cluster and control plane.

use serde_json::{Value, json};

use super::super::kinds::reference_to;
use super::super::labels;
use super::super::scope::Scope;
use super::super::tree::{self, merged, set};
use super::template::{Extras, object, template};
use super::{Generator, keep_or, name_error, template_or};
use crate::api::core::{ContractRef, MachineDeletion};
use crate::contract;
use crate::contract::versions::Contract;
use crate::machinery::duration;
use crate::runtime::ReconcileError;

/// Names of infrastructure clusters and control planes unless the class says otherwise.
const NAMING: &str = "{{ .cluster.name }}-{{ .random }}";

impl Generator<'_> {
    /// The infrastructure cluster. It gets its owner from the Cluster controller once the Cluster
    /// refers to it.
    pub(super) fn infrastructure(&self, scope: &Scope) -> Result<Value, ReconcileError> {
        let class = &scope.blueprint.class.spec.infrastructure;
        let source = &scope.blueprint.infrastructure;
        let naming = template_or(&class.naming.template, NAMING);
        let reference = scope.cluster.spec.infrastructure_ref.as_ref();
        let name = self.name(scope, reference, naming, source)?;
        let mut infrastructure = object(scope, source, &name, Extras::default());
        carry_shim(scope, scope.current.infrastructure.as_ref(), &mut infrastructure);
        Ok(infrastructure)
    }

    /// The Cluster's copy of the template for the control plane's Machines.
    pub(super) fn control_plane_template(
        &self,
        scope: &Scope,
    ) -> Result<Option<Value>, ReconcileError> {
        let Some(source) = &scope.blueprint.control_plane_machines else { return Ok(None) };
        let prefix = format!("{}-", scope.name());
        let name = keep_or(scope.current.control_plane_template.as_ref(), || {
            Ok(self.names(&scope.cluster).generate(&prefix, &["control-plane", tree::kind(source)]))
        })?;
        Ok(Some(template(scope, source, &name)))
    }

    /// The control plane at a version. `machines` is the template for its Machines.
    pub(super) fn control_plane(
        &self,
        scope: &Scope,
        machines: Option<&Value>,
        version: &str,
    ) -> Result<Value, ReconcileError> {
        let class = &scope.blueprint.class.spec.control_plane;
        let topology = &scope.topology.control_plane;
        let source = &scope.blueprint.control_plane;
        let mut held = merged(&topology.metadata.labels, &class.metadata.labels);
        held.insert(contract::labels::CLUSTER_NAME.to_owned(), scope.name().to_owned());
        held.insert(labels::OWNED.to_owned(), String::new());
        let annotations = merged(&topology.metadata.annotations, &class.metadata.annotations);
        let naming = template_or(&class.naming.template, NAMING);
        let reference = scope.cluster.spec.control_plane_ref.as_ref();
        let name = self.name(scope, reference, naming, source)?;
        let extras = Extras { labels: held.clone(), annotations: annotations.clone(), owner: None };
        let mut control_plane = object(scope, source, &name, extras);
        carry_shim(scope, scope.current.control_plane.as_ref(), &mut control_plane);
        let speaks = self.kinds.contract(&control_plane);
        if let Some(machines) = machines {
            set_machine_template(scope, &mut control_plane, machines, speaks);
            let held = merged(
                &held,
                &tree::strings(&control_plane, "/spec/machineTemplate/metadata/labels"),
            );
            let pointer = "/spec/machineTemplate/metadata/annotations";
            let annotations = merged(&annotations, &tree::strings(&control_plane, pointer));
            let path = |field| ["spec", "machineTemplate", "metadata", field];
            tree::set_strings(&mut control_plane, &path("labels"), &held);
            tree::set_strings(&mut control_plane, &path("annotations"), &annotations);
        }
        if let Some(replicas) = topology.replicas {
            set(&mut control_plane, &["spec", "replicas"], json!(replicas));
        }
        if let Some(after) = &topology.rollout.after {
            set(&mut control_plane, &["spec", "rollout", "after"], json!(after));
        }
        set_machine_fields(scope, &mut control_plane, speaks);
        set(&mut control_plane, &["spec", "version"], json!(version));
        Ok(control_plane)
    }

    /// Name of the object that a reference names, or a new one.
    fn name(
        &self,
        scope: &Scope,
        reference: Option<&ContractRef>,
        naming: &str,
        template: &Value,
    ) -> Result<String, ReconcileError> {
        let current = reference.map(|reference| reference.name.as_str()).unwrap_or_default();
        if !current.is_empty() {
            return Ok(current.to_owned());
        }
        let kind = tree::kind(template);
        let kind = kind.strip_suffix("Template").unwrap_or(kind);
        let names = self.names(&scope.cluster);
        names.render(naming, &[], &[kind]).map_err(|error| name_error(kind, &error))
    }
}

/// Keeps the temporary owner of a new object: an apply without it would take it away.
fn carry_shim(scope: &Scope, current: Option<&Value>, desired: &mut Value) {
    let shim = super::super::shim::name(&scope.cluster);
    let owner = current.and_then(|current| tree::owner(current, "Secret", &shim));
    if let Some(owner) = owner {
        set(desired, &["metadata", "ownerReferences"], json!([owner]));
    }
}

fn set_machine_template(
    scope: &Scope,
    control_plane: &mut Value,
    machines: &Value,
    contract: Contract,
) {
    match contract {
        Contract::V1Beta2 => {
            let path = ["spec", "machineTemplate", "spec", "infrastructureRef"];
            set(control_plane, &path, json!(reference_to(machines)));
        }
        Contract::V1Beta1 => {
            let mut api_version = machines["apiVersion"].clone();
            // The control plane's controller may have gone on to a newer version.
            let current = scope.current.control_plane.as_ref();
            let current = current.map(|it| &it["spec"]["machineTemplate"]["infrastructureRef"]);
            if let Some(current) = current
                && tree::group(current) == tree::group(machines)
                && tree::kind(current) == tree::kind(machines)
            {
                api_version.clone_from(&current["apiVersion"]);
            }
            let reference = json!({
                "apiVersion": api_version,
                "kind": machines.get("kind"),
                "namespace": tree::namespace(machines),
                "name": tree::name(machines),
            });
            let path = ["spec", "machineTemplate", "infrastructureRef"];
            set(control_plane, &path, reference);
        }
    }
}

/// Fields of the control plane's Machines that topology or class set.
fn set_machine_fields(scope: &Scope, control_plane: &mut Value, contract: Contract) {
    let class = &scope.blueprint.class.spec.control_plane;
    let topology = &scope.topology.control_plane;
    let base: &[&str] = match contract {
        Contract::V1Beta1 => &["spec", "machineTemplate"],
        Contract::V1Beta2 => &["spec", "machineTemplate", "spec"],
    };
    let mut put = |path: &[&str], value: Value| {
        set(control_plane, &[base, path].concat(), value);
    };
    let gates = pick(&topology.readiness_gates, &class.readiness_gates);
    if !gates.is_empty() {
        put(&["readinessGates"], json!(gates));
    }
    let taints = pick(&topology.taints, &class.taints);
    if !taints.is_empty() {
        put(&["taints"], json!(taints));
    }
    let deletion = timeouts(&topology.deletion, &class.deletion);
    let all = [
        ("nodeDrainTimeout", deletion.node_drain_timeout_seconds),
        ("nodeVolumeDetachTimeout", deletion.node_volume_detach_timeout_seconds),
        ("nodeDeletionTimeout", deletion.node_deletion_timeout_seconds),
    ];
    for (field, seconds) in all {
        let Some(seconds) = seconds else { continue };
        match contract {
            Contract::V1Beta1 => {
                let seconds = u64::try_from(seconds).unwrap_or(0);
                let text = duration::format(std::time::Duration::from_secs(seconds));
                put(&[field], json!(text));
            }
            Contract::V1Beta2 => put(&["deletion", &format!("{field}Seconds")], json!(seconds)),
        }
    }
}

/// The topology's list, or the class's if it has none.
pub(super) fn pick<'a, T>(topology: &'a [T], class: &'a [T]) -> &'a [T] {
    if topology.is_empty() { class } else { topology }
}

/// The topology's timeouts, each one the class's if it has none.
pub(super) fn timeouts(topology: &MachineDeletion, class: &MachineDeletion) -> MachineDeletion {
    MachineDeletion {
        node_drain_timeout_seconds: topology
            .node_drain_timeout_seconds
            .or(class.node_drain_timeout_seconds),
        node_volume_detach_timeout_seconds: topology
            .node_volume_detach_timeout_seconds
            .or(class.node_volume_detach_timeout_seconds),
        node_deletion_timeout_seconds: topology
            .node_deletion_timeout_seconds
            .or(class.node_deletion_timeout_seconds),
    }
}
