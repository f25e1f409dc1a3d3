//! Inline patches of a class: which templates they select and what they do to them.
//! (CAPI v1.14: patches/inline/json_patch_generator.go)

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::request::{Item, Request};
use super::value::variable_value;
use super::variables::{self, BUILTIN};
use super::{GeneratedPatch, PatchType};
use crate::api::topology::{ClusterClassPatch, JsonPatchDefinition, PatchSelector, SelectorNames};
use crate::machinery::gotemplate::Template;
use crate::machinery::status::quote;
use crate::machinery::yaml;

/// The patches of all definitions for all templates that they select.
pub(super) fn generate(
    patch: &ClusterClassPatch,
    request: &Request,
) -> Result<Vec<GeneratedPatch>, String> {
    let mut generated = Vec::new();
    let mut errors = Vec::new();
    for item in &request.items {
        let matching: Vec<_> =
            patch.definitions.iter().filter(|one| is_selected(item, &one.selector)).collect();
        if matching.is_empty() {
            continue;
        }
        let kind = quote(item.object["kind"].as_str().unwrap_or_default());
        let variables = Known::new(variables::merge(&request.variables, &item.variables));
        match is_enabled(&patch.enabled_if, &variables) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                errors.push(format!(
                    "failed to calculate if patch is enabled for {kind}: failed to calculate \
                     value for enabledIf: {error}"
                ));
                continue;
            }
        }
        for definition in matching {
            match operations(&definition.json_patches, &variables) {
                Ok(operations) => generated.push(GeneratedPatch {
                    uid: item.uid.clone(),
                    patch_type: PatchType::Json,
                    patch: operations.to_string().into_bytes(),
                }),
                Err(error) => {
                    errors.push(format!("failed to generate JSON patches for {kind}: {error}"));
                }
            }
        }
    }
    if errors.is_empty() { Ok(generated) } else { Err(aggregated(errors)) }
}

/// Errors as apimachinery prints an aggregate.
fn aggregated(errors: Vec<String>) -> String {
    let mut unique: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        if !unique.contains(&error) {
            unique.push(error);
        }
    }
    if unique.len() == 1 { unique.remove(0) } else { format!("[{}]", unique.join(", ")) }
}

fn is_selected(item: &Item, selector: &PatchSelector) -> bool {
    if item.object["apiVersion"] != *selector.api_version || item.object["kind"] != *selector.kind {
        return false;
    }
    let uses = &selector.match_resources;
    let (holder, field) = (item.holder.kind.as_str(), item.holder.field_path.as_str());
    if uses.infrastructure_cluster == Some(true)
        && (holder, field) == ("Cluster", "spec.infrastructureRef")
    {
        return true;
    }
    if uses.control_plane == Some(true) {
        let is_control_plane = (holder, field) == ("Cluster", "spec.controlPlaneRef");
        let of_machines = [
            "spec.machineTemplate.infrastructureRef",
            "spec.machineTemplate.spec.infrastructureRef",
        ];
        if is_control_plane || of_machines.contains(&field) {
            return true;
        }
    }
    let of_workers =
        ["spec.template.spec.bootstrap.configRef", "spec.template.spec.infrastructureRef"];
    let is_class = |kind: &str, field: &str, names: &Option<SelectorNames>| {
        let Some(names) = names.as_ref().filter(|_| holder == kind) else { return false };
        let builtin = item.variables.iter().find(|variable| variable.name == BUILTIN);
        let class = builtin.and_then(|builtin| builtin.value[field]["class"].as_str());
        class.is_some_and(|class| names.names.iter().any(|name| is_match(name, class)))
    };
    of_workers.contains(&field)
        && (is_class("MachineDeployment", "machineDeployment", &uses.machine_deployment_class)
            || is_class("MachinePool", "machinePool", &uses.machine_pool_class))
}

/// A name of a selector is exact, or has a `*` at its beginning or end.
fn is_match(pattern: &str, class: &str) -> bool {
    pattern == class
        || pattern.strip_prefix('*').is_some_and(|end| class.ends_with(end))
        || pattern.strip_suffix('*').is_some_and(|start| class.starts_with(start))
}

/// The variables of a template, for paths and for templates.
struct Known {
    by_name: BTreeMap<String, Value>,
    data: Value,
}

impl Known {
    fn new(by_name: BTreeMap<String, Value>) -> Self {
        let data = by_name.iter().map(|(name, value)| (name.clone(), value.clone()));
        Self { data: Value::Object(data.collect()), by_name }
    }
}

fn is_enabled(enabled_if: &str, variables: &Known) -> Result<bool, String> {
    if enabled_if.is_empty() {
        return Ok(true);
    }
    Ok(render(enabled_if, variables)? == Value::Bool(true))
}

/// An RFC 6902 patch.
fn operations(definitions: &[JsonPatchDefinition], variables: &Known) -> Result<Value, String> {
    let mut operations = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let mut operation = Map::new();
        operation.insert("op".to_owned(), json!(definition.op));
        operation.insert("path".to_owned(), json!(definition.path));
        if ["add", "replace"].contains(&definition.op.as_str()) {
            operation.insert("value".to_owned(), value(definition, variables)?);
        }
        operations.push(Value::Object(operation));
    }
    Ok(Value::Array(operations))
}

/// The value that a patch adds.
fn value(patch: &JsonPatchDefinition, variables: &Known) -> Result<Value, String> {
    let failed = |error: &str| format!("failed to calculate value: {error}");
    let source = match (&patch.value, &patch.value_from) {
        (None, None) => return Err(failed("neither .value nor .valueFrom are set")),
        (Some(_), Some(_)) => return Err(failed("both .value and .valueFrom are set")),
        (Some(value), None) => return Ok(value.clone()),
        (None, Some(source)) => source,
    };
    match (source.variable.as_str(), source.template.as_str()) {
        ("", "") => Err(failed(
            ".valueFrom is set, but neither .valueFrom.variable nor .valueFrom.template are set",
        )),
        ("", template) => render(template, variables)
            .map_err(|error| format!("failed to calculate value for template: {error}")),
        (variable, "") => {
            variable_value(&variables.by_name, variable).map_err(|error| failed(&error.to_string()))
        }
        _ => Err(failed(
            ".valueFrom is set, but both .valueFrom.variable and .valueFrom.template are set",
        )),
    }
}

/// Templates that are kept; when there are more, all are parsed anew.
const PARSED_MAX: usize = 1_000;

/// Parsed templates by their text, shared by all Clusters. Read and written by every expression of
/// a patch, locked for a look.
static PARSED: LazyLock<Mutex<HashMap<String, Arc<Template>>>> = LazyLock::new(Mutex::default);

fn parsed(text: &str) -> Result<Arc<Template>, String> {
    if let Some(known) = PARSED.lock().get(text) {
        return Ok(known.clone());
    }
    let template = Arc::new(Template::parse("tpl", text)?);
    let mut all = PARSED.lock();
    if all.len() >= PARSED_MAX {
        all.clear();
    }
    all.insert(text.to_owned(), template.clone());
    Ok(template)
}

/// What a template renders to, read as YAML.
fn render(template: &str, variables: &Known) -> Result<Value, String> {
    let parsed = parsed(template)
        .map_err(|error| format!("failed to parse template: {}: {error}", quote(template)))?;
    let rendered = parsed
        .execute(&variables.data)
        .map_err(|error| format!("failed to render template: {}: {error}", quote(template)))?;
    let document = yaml::parse(&rendered).map_err(|error| {
        let rendered = quote(&rendered);
        format!(
            "failed to unmarshal rendered template: {rendered}: error converting YAML to JSON: \
             {error}"
        )
    })?;
    Ok(document.value)
}
