//! Variables of a class: those defined in the class itself and those of its external patches.
//! (CAPI v1.14: reconcileVariables)

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::topology::variables::validate_definitions;
use crate::api::topology::{
    ClusterClass, ClusterClassPatch, ClusterClassVariable, INLINE, StatusVariable,
    StatusVariableDefinition, VariableSchema,
};
use crate::client::ObjectKey;
use crate::extensions::{Extensions, Hook, Request};

/// `variables` of a DiscoverVariablesResponse.
#[derive(Deserialize)]
struct Discovered {
    #[serde(default)]
    variables: Option<Vec<ClusterClassVariable>>,
}

/// Lists the variables in the status, by name.
///
/// # Errors
/// An extension gave no answer, or definitions of a variable differ. The variables stay as they
/// were in the first case.
pub(super) async fn reconcile(
    extensions: &Extensions,
    class: &mut ClusterClass,
) -> Result<(), String> {
    let mut all: BTreeMap<String, StatusVariable> = BTreeMap::new();
    for variable in &class.spec.variables {
        add(&mut all, variable, INLINE);
    }
    let mut errors = Vec::new();
    // Without an ExtensionConfig there is nobody to ask.
    let patches = if extensions.is_in_use() { class.spec.patches.as_slice() } else { &[] };
    for patch in patches {
        match discover(extensions, class, patch).await {
            Err(error) => errors.push(error),
            // Nothing is listed after a failure.
            Ok(_) if !errors.is_empty() => {}
            Ok(variables) => {
                let path = format!("{}.variables", patch.name);
                let causes = validate_definitions(&variables, &path);
                if causes.is_empty() {
                    variables.iter().for_each(|variable| add(&mut all, variable, &patch.name));
                } else {
                    errors.push(aggregated(causes.iter().map(ToString::to_string).collect()));
                }
            }
        }
    }
    if !errors.is_empty() {
        return Err(format!("VariableDiscovery failed: {}", aggregated(errors)));
    }
    settle(class, all)
}

/// Lists the variables as [`reconcile`] does, but asks nobody: what extensions said last stays.
///
/// # Errors
/// Definitions of a variable differ.
pub(in super::super) fn list_known(class: &mut ClusterClass) -> Result<(), String> {
    let mut all: BTreeMap<String, StatusVariable> = BTreeMap::new();
    for variable in &class.spec.variables {
        add(&mut all, variable, INLINE);
    }
    for known in class.status.iter().flat_map(|status| &status.variables) {
        for definition in known.definitions.iter().filter(|it| it.from != INLINE) {
            insert(&mut all, &known.name, definition.clone());
        }
    }
    settle(class, all)
}

fn settle(class: &mut ClusterClass, all: BTreeMap<String, StatusVariable>) -> Result<(), String> {
    let conflicts: Vec<&str> = all
        .values()
        .filter(|variable| variable.definitions_conflict == Some(true))
        .map(|variable| variable.name.as_str())
        .collect();
    let conflicts = conflicts.join(",");
    class.status.get_or_insert_default().variables = all.into_values().collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    Err(format!(
        "VariableDiscovery failed: the following variables have conflicting schemas: {conflicts}"
    ))
}

/// The variables that the extension of a patch brings along. Extensions give the same answer for a
/// while, so that many classes with the same settings cost one call.
async fn discover(
    extensions: &Extensions,
    class: &ClusterClass,
    patch: &ClusterClassPatch,
) -> Result<Vec<ClusterClassVariable>, String> {
    let Some(external) =
        patch.external.as_ref().filter(|it| !it.discover_variables_extension.is_empty())
    else {
        return Ok(Vec::new());
    };
    let mut request = Request::new();
    if !external.settings.is_empty() {
        request.insert("settings".to_owned(), json!(external.settings));
    }
    let (hook, name) = (Hook::DiscoverVariables, &external.discover_variables_extension);
    let response = extensions.call_remembered(hook, &ObjectKey::of(class), name, &request).await;
    let failed =
        |why: String| format!("failed to call DiscoverVariables for patch {}: {why}", patch.name);
    let response = response.map_err(|error| failed(error.to_string()))?;
    let discovered: Discovered = response.decode().map_err(|why| {
        failed(format!(
            "failed to call extension handler {name:?}: http call failed: failed to decode \
             response: {why}"
        ))
    })?;
    Ok(discovered.variables.unwrap_or_default())
}

/// Errors as apimachinery prints an aggregate.
fn aggregated(mut errors: Vec<String>) -> String {
    match errors.len() {
        1 => errors.remove(0),
        _ => format!("[{}]", errors.join(", ")),
    }
}

/// Adds a definition to its variable.
fn add(all: &mut BTreeMap<String, StatusVariable>, variable: &ClusterClassVariable, from: &str) {
    insert(all, &variable.name, definition(variable, from));
}

fn insert(all: &mut BTreeMap<String, StatusVariable>, name: &str, new: StatusVariableDefinition) {
    let known = all.entry(name.to_owned()).or_insert_with(|| StatusVariable {
        name: name.to_owned(),
        definitions_conflict: Some(false),
        definitions: Vec::new(),
    });
    if known.definitions.iter().any(|definition| definition.from == new.from) {
        // Two definitions of one name in one place are refused when the class is written.
        return;
    }
    if known.definitions.first().is_some_and(|first| !is_same(first, &new)) {
        known.definitions_conflict = Some(true);
    }
    known.definitions.push(new);
}

fn definition(variable: &ClusterClassVariable, from: &str) -> StatusVariableDefinition {
    StatusVariableDefinition {
        from: from.to_owned(),
        required: variable.required,
        deprecated_v1beta1_metadata: variable.deprecated_v1beta1_metadata.clone(),
        schema: variable.schema.clone(),
    }
}

fn is_same(a: &StatusVariableDefinition, b: &StatusVariableDefinition) -> bool {
    let schema = |schema: &VariableSchema| {
        let mut schema = schema.open_api_v3_schema.clone();
        drop_false(&mut schema);
        schema
    };
    a.required.unwrap_or(false) == b.required.unwrap_or(false)
        && schema(&a.schema) == schema(&b.schema)
        && a.deprecated_v1beta1_metadata == b.deprecated_v1beta1_metadata
}

/// Takes out what is the same whether it is said or not. (CAPI v1.14: dropFalsePtrBool)
fn drop_false(schema: &mut Value) {
    const FLAGS: [&str; 5] = [
        "uniqueItems",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
    ];
    let Some(fields) = schema.as_object_mut() else { return };
    fields.retain(|name, value| *value != false || !FLAGS.contains(&name.as_str()));
    for (name, value) in fields.iter_mut() {
        match name.as_str() {
            "properties" => {
                let properties = value.as_object_mut().into_iter().flat_map(|map| map.values_mut());
                properties.for_each(drop_false);
            }
            "additionalProperties" | "items" | "not" => drop_false(value),
            "allOf" | "oneOf" | "anyOf" => {
                let schemas = value.as_array_mut().into_iter().flatten();
                schemas.for_each(drop_false);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(schema: Value) -> ClusterClassVariable {
        let schema = VariableSchema { open_api_v3_schema: schema };
        ClusterClassVariable { name: "a".to_owned(), schema, ..Default::default() }
    }

    fn is_conflict(a: Value, b: Value) -> bool {
        let mut all = BTreeMap::new();
        add(&mut all, &variable(a), INLINE);
        add(&mut all, &variable(b), "patch");
        let found = &all["a"];
        assert_eq!(found.definitions.len(), 2);
        found.definitions_conflict == Some(true)
    }

    #[test]
    fn definitions_of_one_variable_must_agree() {
        let text = json!({"type": "string"});
        assert!(!is_conflict(text.clone(), json!({"type": "string", "uniqueItems": false})));
        assert!(is_conflict(text, json!({"type": "integer"})));
        let nested = |flag: bool| {
            json!({"type": "object", "properties": {"a": {"type": "object",
                "x-kubernetes-preserve-unknown-fields": flag}}})
        };
        assert!(is_conflict(nested(false), nested(true)));
    }
}
