//! Patches of classes. (CAPI v1.14: core/webhooks/admission/patch_validation.go)

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::topology::{
    ClusterClass, ClusterClassPatch, INLINE, JsonPatchDefinition, PatchSelector, SelectorNames,
    TemplateRef,
};
use crate::machinery::gotemplate::Template;
use crate::machinery::names;
use crate::machinery::status::{Cause, quote};

const OPERATIONS: [&str; 3] = ["add", "remove", "replace"];

/// Paths below `builtin.` that `valueFrom.variable` may name.
const BUILTINS: [&str; 37] = [
    "cluster",
    "cluster.name",
    "cluster.namespace",
    "cluster.uid",
    "cluster.metadata.labels",
    "cluster.metadata.annotations",
    "cluster.topology",
    "cluster.topology.classRef.name",
    "cluster.topology.classRef.namespace",
    "cluster.topology.class",
    "cluster.topology.classNamespace",
    "cluster.topology.version",
    "cluster.network",
    "cluster.network.serviceDomain",
    "cluster.network.services",
    "cluster.network.pods",
    "controlPlane",
    "controlPlane.name",
    "controlPlane.replicas",
    "controlPlane.version",
    "controlPlane.metadata.labels",
    "controlPlane.metadata.annotations",
    "controlPlane.machineTemplate.infrastructureRef.name",
    "machineDeployment",
    "machineDeployment.class",
    "machineDeployment.name",
    "machineDeployment.replicas",
    "machineDeployment.topologyName",
    "machineDeployment.version",
    "machineDeployment.metadata.labels",
    "machineDeployment.metadata.annotations",
    "machineDeployment.bootstrap.configRef.name",
    "machineDeployment.infrastructureRef.name",
    "machinePool",
    "machinePool.class",
    "machinePool.name",
    "machinePool.replicas",
];
/// The rest of [`BUILTINS`].
const POOL_BUILTINS: [&str; 6] = [
    "machinePool.topologyName",
    "machinePool.version",
    "machinePool.metadata.labels",
    "machinePool.metadata.annotations",
    "machinePool.bootstrap.configRef.name",
    "machinePool.infrastructureRef.name",
];

/// Checks all patches; `written` is the class as JSON.
pub(super) fn validate(class: &ClusterClass, written: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut names = BTreeSet::new();
    for (index, patch) in class.spec.patches.iter().enumerate() {
        let path = format!("spec.patches[{index}]");
        causes.extend(validate_name(&patch.name, !names.insert(&patch.name), &path));
        causes.extend(validate_patch(patch, class, &written["spec"]["patches"][index], &path));
    }
    causes
}

fn validate_name(name: &str, is_known: bool, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let at = format!("{path}.name");
    if name.is_empty() {
        causes.push(Cause::required(at.as_str(), "patch name must be defined"));
    }
    if name == INLINE {
        let detail = format!("{} can not be used as the name of a patch", quote(INLINE));
        causes.push(Cause::required(at.as_str(), &detail));
    }
    if is_known {
        let detail = format!(
            "patch names must be unique. Patch with name {} is defined more than once",
            quote(name)
        );
        causes.push(Cause::invalid(at, &json!(name), &detail));
    }
    causes
}

fn validate_patch(
    patch: &ClusterClassPatch,
    class: &ClusterClass,
    written: &Value,
    path: &str,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    if !patch.enabled_if.is_empty()
        && let Err(error) = Template::parse("enabledIf", &patch.enabled_if)
    {
        let detail = format!("template can not be parsed: {error}");
        let at = format!("{path}.enabledIf");
        causes.push(Cause::invalid(at, &json!(patch.enabled_if), &detail));
    }
    let has_definitions = written["definitions"].is_array();
    match (has_definitions, &patch.external) {
        (false, None) => {
            causes.push(Cause::required(path, "one of definitions or external must be defined"));
        }
        (true, Some(_)) => {
            let detail = "only one of definitions or external can be defined";
            causes.push(Cause::invalid(path, written, detail));
        }
        _ => {}
    }
    for (index, definition) in patch.definitions.iter().enumerate() {
        let at = format!("{path}.definitions[{index}]");
        for (number, operation) in definition.json_patches.iter().enumerate() {
            let written = &written["definitions"][index]["jsonPatches"][number];
            let at = format!("{at}.jsonPatches[{number}]");
            causes.extend(validate_operation(operation, class, written, &at));
        }
        let written = &written["definitions"][index]["selector"];
        let at = format!("{at}.selector");
        causes.extend(validate_selector(&definition.selector, class, written, &at));
    }
    if let Some(external) = &patch.external
        && external.validate_topology_extension.is_empty()
        && external.generate_patches_extension.is_empty()
    {
        let detail =
            "one of validateTopologyExtension and generatePatchesExtension must be defined";
        let at = format!("{path}.external");
        causes.push(Cause::invalid(at, &written["external"], detail));
    }
    causes
}

/// A value as upstream shows it.
fn pretty(written: &Value) -> Value {
    json!(serde_json::to_string_pretty(written).unwrap_or_default())
}

fn validate_operation(
    operation: &JsonPatchDefinition,
    class: &ClusterClass,
    written: &Value,
    path: &str,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let op = operation.op.as_str();
    if !OPERATIONS.contains(&op) {
        causes.push(Cause::not_supported(format!("{path}.op"), &pretty(written), &OPERATIONS));
    }
    let at = format!("{path}.path");
    if !operation.path.starts_with("/spec") {
        let detail = "jsonPatch path must start with \"/spec\"";
        causes.push(Cause::invalid(at.as_str(), &pretty(written), detail));
    }
    for part in operation.path.split('/') {
        let Ok(index) = part.parse::<i64>() else { continue };
        let detail = match op {
            "add" if index != 0 => {
                "arrays can only be accessed using \"0\" (prepend) or \"-\" (append)".to_owned()
            }
            "replace" | "remove" => {
                format!("elements in arrays can not be accessed in a {op} operation")
            }
            _ => continue,
        };
        causes.push(Cause::invalid(at.as_str(), &json!(operation.path), &detail));
    }
    if ["add", "replace"].contains(&op) {
        causes.extend(validate_value(operation, class, written, path));
    }
    causes
}

fn validate_value(
    operation: &JsonPatchDefinition,
    class: &ClusterClass,
    written: &Value,
    path: &str,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut refuse = |field: &str, value: &Value, detail: &str| {
        causes.push(Cause::invalid(format!("{path}{field}"), value, detail));
    };
    match (&operation.value, &operation.value_from) {
        (None, None) => {
            refuse("", &pretty(written), "jsonPatch must define one of value or valueFrom");
        }
        (Some(_), Some(_)) => {
            refuse("", &pretty(written), "jsonPatch can not define both value and valueFrom");
        }
        _ => {}
    }
    let Some(source) = &operation.value_from else { return causes };
    let (template, variable) = (source.template.as_str(), source.variable.as_str());
    let shown = pretty(&written["valueFrom"]);
    match (template, variable) {
        ("", "") => {
            refuse(".valueFrom", &shown, "valueFrom must set either template or variable");
        }
        (template, variable) if !template.is_empty() && !variable.is_empty() => {
            refuse(".valueFrom", &shown, "valueFrom can not set both template and variable");
        }
        _ => {}
    }
    if !template.is_empty()
        && let Err(error) = Template::parse("valueFrom.template", template)
    {
        let detail = format!("template can not be parsed: {error}");
        refuse(".valueFrom.template", &json!(template), &detail);
    }
    let at = ".valueFrom.variable";
    if let Some(builtin) = variable.strip_prefix("builtin.") {
        if !BUILTINS.contains(&builtin) && !POOL_BUILTINS.contains(&builtin) {
            refuse(at, &json!(variable), "not a defined builtin variable");
        }
    } else if !variable.is_empty() {
        let name = variable.split(['[', '.']).find(|part| !part.is_empty()).unwrap_or_default();
        if !class.spec.variables.iter().any(|one| one.name == name) {
            let detail = format!("variable with name {variable} cannot be found");
            refuse(at, &json!(variable), &detail);
        }
    }
    causes
}

fn validate_selector(
    selector: &PatchSelector,
    class: &ClusterClass,
    written: &Value,
    path: &str,
) -> Vec<Cause> {
    let uses = &selector.match_resources;
    let names = |names: &Option<SelectorNames>| {
        names.as_ref().map(|names| names.names.clone()).unwrap_or_default()
    };
    let deployments = names(&uses.machine_deployment_class);
    let pools = names(&uses.machine_pool_class);
    let of_cluster = uses.infrastructure_cluster == Some(true);
    let of_control_plane = uses.control_plane == Some(true);
    if !of_cluster && !of_control_plane && deployments.is_empty() && pools.is_empty() {
        return vec![Cause::invalid(path, &pretty(written), "no selector enabled")];
    }
    let spec = &class.spec;
    let is_match = |template: &TemplateRef| {
        selector.kind == template.kind && selector.api_version == template.api_version
    };
    let mut causes = Vec::new();
    let mut refuse = |field: &str, value: Value, detail: &str| {
        let at = format!("{path}.matchResources.{field}");
        causes.push(Cause::invalid(at, &value, detail));
    };
    if of_cluster && !is_match(&spec.infrastructure.template_ref) {
        let detail = "selector is enabled but does not match the infrastructure ref";
        refuse("infrastructureCluster", json!(true), detail);
    }
    let machines = &spec.control_plane.machine_infrastructure.template_ref;
    if of_control_plane
        && !is_match(&spec.control_plane.template_ref)
        && !(machines.is_defined() && is_match(machines))
    {
        let detail = "selector is enabled but matches neither the controlPlane ref nor the \
                      controlPlane machineInfrastructure ref";
        refuse("controlPlane", json!(true), detail);
    }
    let classes = spec.workers.machine_deployments.iter();
    let classes = classes.map(|one| (one.class.as_str(), &one.bootstrap, &one.infrastructure));
    let pool_classes = spec.workers.machine_pools.iter();
    let pool_classes =
        pool_classes.map(|one| (one.class.as_str(), &one.bootstrap, &one.infrastructure));
    let lists = [
        ("machineDeploymentClass", "MachineDeployment", deployments, classes.collect::<Vec<_>>()),
        ("machinePoolClass", "MachinePool", pools, pool_classes.collect()),
    ];
    for (field, kind, names, classes) in lists {
        for (index, name) in names.iter().enumerate() {
            let at = format!("{field}.names[{index}]");
            if let Some(detail) = name_error(name) {
                refuse(&at, json!(name), detail);
                break;
            }
            let is_found = classes.iter().any(|(class, bootstrap, infrastructure)| {
                is_class(name, class)
                    && (is_match(&infrastructure.template_ref) || is_match(&bootstrap.template_ref))
            });
            if !is_found {
                let detail = format!(
                    "selector is enabled but matches neither the bootstrap ref nor the \
                     infrastructure ref of a {kind} class"
                );
                refuse(&at, json!(name), &detail);
            }
        }
    }
    causes
}

fn is_class(pattern: &str, class: &str) -> bool {
    pattern == class
        || pattern.strip_prefix('*').is_some_and(|end| class.ends_with(end))
        || pattern.strip_suffix('*').is_some_and(|start| class.starts_with(start))
}

/// What is wrong with a pattern for names of classes.
fn name_error(name: &str) -> Option<&'static str> {
    if !name.contains('*') {
        return None;
    }
    if name.matches('*').count() > 1 {
        return Some("selector can at most contain a single \"*\" rune");
    }
    if !name.starts_with('*') && !name.ends_with('*') {
        return Some("\"*\" rune can only appear at the beginning, or ending of the selector");
    }
    let is_named = names::check_label_key(&name.replace('*', "a")).is_empty();
    (!is_named).then_some("selector does not comply with the Kubernetes naming standards")
}
