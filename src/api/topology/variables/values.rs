//! Values of variables in Clusters.
//! (CAPI v1.14: internal/topology/variables/cluster_variable_{defaulting,validation}.go, utils.go)

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::schema::{self, WRAPPER};
use crate::api::topology::{ClusterVariable, StatusVariable, VariableSchema};
use crate::machinery::cel;
use crate::machinery::schema::{default, prune, validate};
use crate::machinery::status::{Cause, quote};

/// The Cluster's values with defaults, and values for variables that have a default and no value.
pub fn default_values(
    values: &[ClusterVariable],
    definitions: &[StatusVariable],
    path: &str,
) -> Result<Vec<ClusterVariable>, Vec<Cause>> {
    defaulted(values, definitions, path, Missing::Made)
}

/// Overrides with defaults inside them; none are added.
pub fn default_overrides(
    values: &[ClusterVariable],
    definitions: &[StatusVariable],
    path: &str,
) -> Result<Vec<ClusterVariable>, Vec<Cause>> {
    defaulted(values, definitions, path, Missing::Left)
}

/// Checks the Cluster's values: each is defined and fits, required ones are there.
pub fn validate_values(
    values: &[ClusterVariable],
    old: &[ClusterVariable],
    definitions: &[StatusVariable],
    path: &str,
) -> Vec<Cause> {
    validated(values, old, definitions, path, true)
}

/// Checks the overrides of a control plane, MachineDeployment or MachinePool.
pub fn validate_overrides(
    values: &[ClusterVariable],
    old: &[ClusterVariable],
    definitions: &[StatusVariable],
    path: &str,
) -> Vec<Cause> {
    validated(values, old, definitions, path, false)
}

/// What happens to variables without a value.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Made,
    Left,
}

fn defaulted(
    values: &[ClusterVariable],
    definitions: &[StatusVariable],
    path: &str,
    missing: Missing,
) -> Result<Vec<ClusterVariable>, Vec<Cause>> {
    let known = index_values(values, path)?;
    let defined = index_definitions(definitions, path)?;
    let mut causes = Vec::new();
    let mut made = Vec::new();
    for variable in values {
        match defined.get(variable.name.as_str()) {
            None => causes.push(undefined(variable, path)),
            Some(definition) => made.push(ClusterVariable {
                name: variable.name.clone(),
                value: default_value(&variable.value, schema_of(definition)),
            }),
        }
    }
    // Existing values come first, so that their order never changes.
    let absent = definitions.iter().filter(|one| !known.contains_key(one.name.as_str()));
    for definition in absent.filter(|_| missing == Missing::Made) {
        let schema = schema_of(definition);
        if schema.open_api_v3_schema.get("default").is_some_and(|value| !value.is_null()) {
            made.push(ClusterVariable {
                name: definition.name.clone(),
                value: default_value(&Value::Null, schema),
            });
        }
    }
    if causes.is_empty() { Ok(made) } else { Err(causes) }
}

fn default_value(value: &Value, schema: &VariableSchema) -> Value {
    let compiled = schema::compile(&schema.open_api_v3_schema);
    let mut wrapped = schema::wrap(value);
    default(&compiled.wrapped, &mut wrapped);
    wrapped[WRAPPER].take()
}

fn validated(
    values: &[ClusterVariable],
    old: &[ClusterVariable],
    definitions: &[StatusVariable],
    path: &str,
    requires: bool,
) -> Vec<Cause> {
    let indexed = || {
        let known = index_values(values, path)?;
        Ok((known, index_values(old, path)?, index_definitions(definitions, path)?))
    };
    let (known, old, defined) = match indexed() {
        Ok(indexed) => indexed,
        Err(causes) => return causes,
    };
    let mut causes = Vec::new();
    for definition in definitions.iter().filter(|_| requires) {
        let is_required = definition.definitions.first().and_then(|one| one.required);
        if is_required == Some(true) && !known.contains_key(definition.name.as_str()) {
            let detail = format!("required variable {} must be set", quote(&definition.name));
            causes.push(Cause::required(path, &detail));
        }
    }
    for variable in values {
        let Some(definition) = defined.get(variable.name.as_str()) else {
            causes.push(undefined(variable, path));
            continue;
        };
        let old = old.get(variable.name.as_str()).map(|old| &old.value);
        let path = format!("{path}[{}]", variable.name);
        causes.extend(validate_value(variable, old, schema_of(definition), &path));
    }
    causes
}

/// Checks one value; `path` is the variable's.
pub fn validate_value(
    variable: &ClusterVariable,
    old: Option<&Value>,
    schema: &VariableSchema,
    path: &str,
) -> Vec<Cause> {
    let value = &variable.value;
    let compiled = schema::compile(&schema.open_api_v3_schema);
    let raw = schema::raw(value);
    let at_value = format!("{path}.value");
    let causes = validate(&compiled.bare, value);
    if !causes.is_empty() {
        let shown = causes.into_iter().map(|mut cause| {
            cause.field = schema::below(&at_value, &cause.field);
            schema::showing(cause, &raw)
        });
        return shown.collect();
    }
    let mut wrapped = schema::wrap(value);
    let unknown = prune(&compiled.wrapped, &mut wrapped);
    if !unknown.is_empty() {
        let start = format!("{WRAPPER}.");
        let fields: Vec<&str> =
            unknown.iter().map(|field| field.strip_prefix(&start).unwrap_or(field)).collect();
        let detail = format!(
            "failed validation: {} field(s) are not specified in the variable schema of variable {}",
            quote(&fields.join(",")),
            quote(&variable.name)
        );
        return vec![Cause::invalid(path, &Value::String(raw), &detail)];
    }
    let old = old.filter(|old| !old.is_null()).map(schema::wrap);
    let outcome = cel::rules::evaluate(&compiled.wrapped, &wrapped, old.as_ref(), &[]);
    let causes = outcome.causes.into_iter().map(|mut cause| {
        let inner = cause.field.strip_prefix(WRAPPER).unwrap_or(&cause.field);
        cause.field = schema::below(&at_value, inner.strip_prefix('.').unwrap_or(inner));
        schema::showing(cause, &raw)
    });
    causes.collect()
}

fn undefined(variable: &ClusterVariable, path: &str) -> Cause {
    let path = format!("{path}[{}]", variable.name);
    let raw = schema::raw(&variable.value);
    Cause::invalid(path, &Value::String(raw), "variable is not defined")
}

/// The schema of a variable whose definitions do not differ.
fn schema_of(definition: &StatusVariable) -> &VariableSchema {
    static NONE: VariableSchema = VariableSchema { open_api_v3_schema: Value::Null };
    definition.definitions.first().map_or(&NONE, |one| &one.schema)
}

fn index_values<'a>(
    values: &'a [ClusterVariable],
    path: &str,
) -> Result<BTreeMap<&'a str, &'a ClusterVariable>, Vec<Cause>> {
    let mut found = BTreeMap::new();
    let mut causes = Vec::new();
    for variable in values {
        if found.insert(variable.name.as_str(), variable).is_some() {
            let path = format!("{path}[{}]", variable.name);
            let raw = schema::raw(&variable.value);
            let detail = format!("variable {} is set more than once", quote(&variable.name));
            causes.push(Cause::invalid(path, &Value::String(raw), &detail));
        }
    }
    if causes.is_empty() { Ok(found) } else { Err(causes) }
}

fn index_definitions<'a>(
    definitions: &'a [StatusVariable],
    path: &str,
) -> Result<BTreeMap<&'a str, &'a StatusVariable>, Vec<Cause>> {
    let mut found = BTreeMap::new();
    let mut errors = Vec::new();
    let mut told = BTreeSet::new();
    for definition in definitions {
        let name = quote(&definition.name);
        let mut error = |what: &str| {
            let error = format!("variable {name} has {what} definitions");
            if told.insert(error.clone()) {
                errors.push(error);
            }
        };
        if definition.definitions.is_empty() {
            error("no");
        }
        if definition.definitions_conflict == Some(true) {
            error("conflicting");
        }
        found.insert(definition.name.as_str(), definition);
    }
    if errors.is_empty() {
        return Ok(found);
    }
    let names: Vec<String> =
        definitions.iter().map(|definition| format!("Name: {}", definition.name)).collect();
    let shown = quote(&format!("[{}]", names.join(",")));
    let errors =
        if errors.len() == 1 { errors.remove(0) } else { format!("[{}]", errors.join(", ")) };
    Err(vec![Cause {
        reason: "FieldValueTypeInvalid".to_owned(),
        message: format!(
            "Invalid value: {shown}: variable definitions in the ClusterClass not valid: {errors}"
        ),
        field: path.to_owned(),
    }])
}
