//! Type checks of a policy's expressions against the kinds that it is about.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/policy/validating/typechecking.go)

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::texts;
use crate::apiserver::ApiServer;
use crate::apiserver::admission::expressions::{self, PolicyCompiler};
use crate::apiserver::profile::Resource;
use crate::machinery::cel::{Declared, Type};

/// Kinds that a policy is checked against at most.
const KINDS_MAX: usize = 10;

/// `status.typeChecking.expressionWarnings` of a policy.
pub(super) fn warnings(server: &ApiServer, policy: &Value) -> Vec<Value> {
    let spec = &policy["spec"];
    let kinds = kinds(server, spec);
    let mut warnings = Vec::new();
    for (index, validation) in spec["validations"].as_array().into_iter().flatten().enumerate() {
        for field in ["expression", "messageExpression"] {
            let expression = validation[field].as_str().unwrap_or_default();
            if expression.is_empty() {
                continue;
            }
            let issues: Vec<String> =
                kinds.iter().filter_map(|kind| check(server, spec, kind, expression)).collect();
            if !issues.is_empty() {
                warnings.push(json!({
                    "fieldRef": format!("spec.validations[{index}].{field}"),
                    "warning": issues.join("\n"),
                }));
            }
        }
    }
    warnings
}

/// What is wrong with an expression for objects of one kind.
fn check(
    server: &ApiServer,
    spec: &Value,
    kind: &Arc<Resource>,
    expression: &str,
) -> Option<String> {
    let params = spec["paramKind"].as_object().map(|params| {
        let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
        let resources = server.resources();
        let mut all = resources.iter();
        let found = all.find(|it| {
            *it.api_version == *text("apiVersion") && *it.definition.kind == *text("kind")
        });
        found.map_or(Type::Dyn, |found| declared(found))
    });
    let has_params = params.is_some();
    let objects =
        expressions::Objects { object: declared(kind), params: params.unwrap_or(Type::Dyn) };
    let mut compiler = PolicyCompiler::of(objects, has_params);
    for variable in spec["variables"].as_array().into_iter().flatten() {
        let text = |name: &str| variable[name].as_str().unwrap_or_default();
        // One that fails may be anything to those after it.
        let _ = compiler.add_variable(text("name"), text("expression"));
    }
    let why = compiler.check(expression).err()?;
    Some(format!("{}, Kind={}: {why}\n", kind.api_version, kind.definition.kind))
}

/// The type of a kind's objects.
fn declared(resource: &Resource) -> Type {
    let definition = &resource.definition;
    // Schemas of definitions contain themselves.
    if &*definition.group == "apiextensions.k8s.io" {
        return Type::Dyn;
    }
    let root = definition.schema.root();
    Declared::of(root, true, &definition.kind).map_or(Type::Dyn, |declared| declared.kind().clone())
}

/// The kinds that rules name without wildcards, by group, version and kind.
fn kinds(server: &ApiServer, spec: &Value) -> Vec<Arc<Resource>> {
    let mut found: BTreeMap<[String; 3], Arc<Resource>> = BTreeMap::new();
    for rule in spec["matchConstraints"]["resourceRules"].as_array().into_iter().flatten() {
        let plain = |name: &str| -> Vec<&str> {
            let all: Vec<&str> = texts(&rule[name]).collect();
            if all.iter().any(|text| text.contains('*')) { Vec::new() } else { all }
        };
        for group in plain("apiGroups") {
            for version in plain("apiVersions") {
                for plural in texts(&rule["resources"]).filter(|it| !it.contains(['*', '/'])) {
                    let Some(resource) = server.resolve(group, version, plural) else { continue };
                    let kind = resource.definition.kind.to_string();
                    found.insert([group.to_owned(), version.to_owned(), kind], resource);
                    if found.len() == KINDS_MAX {
                        return found.into_values().collect();
                    }
                }
            }
        }
    }
    found.into_values().collect()
}
