//! CustomResourceDefinitions: from the object to definitions and back.

mod approval;
mod conversion_rules;
mod manifest;
mod normalise;
mod report;
mod validation;
mod version_rules;
mod warnings;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

use super::cel;
use super::definition::{
    Cell, Column, Conversion, Origin, ResourceDefinition, ScalePaths, Serving, Strategy,
    Subresources, WebhookConversion,
};
use super::gvk::compare_versions;
use super::schema::{self, Schema};
use super::status::Cause;

pub use approval::{Approval, approval, is_protected_group};
pub use manifest::manifest;
pub use validation::{is_established, validate, validate_status};
pub use warnings::warnings;

use report::Report;

/// The definitions of a CustomResourceDefinition (`apiextensions.k8s.io/v1`) that is valid: one for
/// each version, served or not, the storage version first. Names that are not given have
/// Kubernetes' defaults. The object itself is not changed; [`set_defaults`] does that.
///
/// Causes say which versions have no schema.
pub fn definitions_of(crd: &Value) -> Result<Vec<ResourceDefinition>, Vec<Cause>> {
    let mut crd = crd.clone();
    set_defaults(&mut crd);
    let mut report = Report::default();
    let mut definitions = Vec::new();
    for (number, version) in array(&crd["spec"], "versions").iter().enumerate() {
        let document = &version["schema"]["openAPIV3Schema"];
        if !document.is_object() {
            report.required(&format!("spec.versions[{number}].schema.openAPIV3Schema"), "");
            continue;
        }
        definitions.push(definition(&crd, version, schema::compile(document)));
    }
    if !report.causes.is_empty() {
        return Err(report.causes);
    }
    definitions.sort_by_key(|definition| !definition.serving.stored);
    Ok(definitions)
}

/// What is wrong with the rules (`x-kubernetes-validations`) of a CustomResourceDefinition whose
/// schemas are right: compiles all of them and estimates what they cost.
fn check_rules(crd: &Value) -> Vec<Cause> {
    let versions = array(&crd["spec"], "versions");
    let shared = is_shared(versions, "schema");
    let mut causes = Vec::new();
    for (number, version) in versions.iter().enumerate().take(if shared { 1 } else { usize::MAX }) {
        let prefix = match shared {
            true => "spec.validation.openAPIV3Schema".to_owned(),
            false => format!("spec.versions[{number}].schema.openAPIV3Schema"),
        };
        let document = &version["schema"]["openAPIV3Schema"];
        let found = cel::rules::check(&schema::compile(document), &prefix);
        if found.is_empty() {
            causes.extend(check_defaults(document, &prefix));
        }
        causes.extend(found);
    }
    causes
}

/// What rules that compile say against the defaults of a schema.
/// (kubernetes 1.36: apiextensions-apiserver pkg/apiserver/schema/defaulting/validation.go)
fn check_defaults(document: &Value, prefix: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (path, schema, value) in schema::defaults(document, prefix) {
        let found = cel::rules::evaluate(&schema, &value, Some(&value), &[]).causes;
        causes.extend(found.into_iter().map(|mut cause| {
            cause.field = match cause.field.as_str() {
                "" | "<nil>" => path.clone(),
                inner if inner.starts_with('[') => format!("{path}{inner}"),
                inner => format!("{path}.{inner}"),
            };
            cause
        }));
    }
    causes
}

/// Whether all versions say the same about a field, which kube-apiserver then reports above the
/// versions.
fn is_shared(versions: &[Value], field: &str) -> bool {
    versions.windows(2).all(|pair| pair[0][field] == pair[1][field])
}

/// Fills in what kube-apiserver fills in when a CustomResourceDefinition is written (singular and
/// list names, the conversion strategy, a webhook's port) and leaves out what it leaves out.
pub fn set_defaults(crd: &mut Value) {
    normalise::normalise(crd);
    let Some(spec) = crd.get_mut("spec").and_then(Value::as_object_mut) else { return };
    spec.entry("conversion").or_insert_with(|| serde_json::json!({"strategy": "None"}));
    let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) else { return };
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind.is_empty() {
        return;
    }
    for (name, value) in [("singular", kind.to_lowercase()), ("listKind", format!("{kind}List"))] {
        let entry = names.entry(name).or_insert(Value::Null);
        if entry.as_str().is_none_or(str::is_empty) {
            *entry = value.into();
        }
    }
}

fn definition(crd: &Value, version: &Value, schema: Schema) -> ResourceDefinition {
    let spec = &crd["spec"];
    let names = &spec["names"];
    let subresources = &version["subresources"];
    let scale = &subresources["scale"];
    let label_selector = text(scale, "labelSelectorPath").trim_start_matches('.');
    ResourceDefinition {
        group: text(spec, "group").into(),
        version: text(version, "name").into(),
        kind: text(names, "kind").into(),
        list_kind: text(names, "listKind").into(),
        plural: text(names, "plural").into(),
        singular: text(names, "singular").into(),
        short_names: texts(names, "shortNames"),
        categories: texts(names, "categories"),
        namespaced: text(spec, "scope") == "Namespaced",
        origin: Origin::Custom,
        schema,
        columns: columns(version),
        subresources: Subresources {
            status: subresources["status"].is_object(),
            scale: scale.is_object().then(|| ScalePaths {
                spec_replicas: text(scale, "specReplicasPath").trim_start_matches('.').into(),
                status_replicas: text(scale, "statusReplicasPath").trim_start_matches('.').into(),
                label_selector: (!label_selector.is_empty()).then(|| label_selector.into()),
            }),
        },
        selectable_fields: array(version, "selectableFields")
            .iter()
            .map(|field| text(field, "jsonPath").trim_start_matches('.').into())
            .collect(),
        strategy: Strategy::default(),
        serving: serving(crd, version),
    }
}

fn serving(crd: &Value, version: &Value) -> Serving {
    let conversion = &crd["spec"]["conversion"];
    let webhook = &conversion["webhook"];
    let conversion = match text(conversion, "strategy") {
        "Webhook" => Conversion::Webhook(Arc::new(WebhookConversion {
            definition: text(&crd["metadata"], "name").into(),
            review_versions: texts(webhook, "conversionReviewVersions"),
            client_config: webhook["clientConfig"].clone(),
        })),
        _ => Conversion::None,
    };
    let warning = || match version["deprecationWarning"].as_str() {
        Some(warning) => warning.into(),
        None => deprecation_warning(&crd["spec"], text(version, "name")).into(),
    };
    Serving {
        served: version["served"] == true,
        stored: version["storage"] == true,
        terminating: false,
        deprecation: (version["deprecated"] == true).then(warning),
        conversion,
    }
}

/// What is said of a deprecated version that says nothing itself.
/// (kubernetes 1.36: apiextensions-apiserver pkg/apiserver/customresource_handler.go)
fn deprecation_warning(spec: &Value, deprecated: &str) -> String {
    let (group, kind) = (text(spec, "group"), text(&spec["names"], "kind"));
    let message = format!("{group}/{deprecated} {kind} is deprecated");
    let better = array(spec, "versions")
        .iter()
        .filter(|version| version["served"] == true && version["deprecated"] != true)
        .map(|version| text(version, "name"))
        .filter(|name| compare_versions(name, deprecated).is_lt())
        .min_by(|a, b| compare_versions(a, b));
    match better {
        Some(better) => format!("{message}; use {group}/{better} {kind}"),
        None => message,
    }
}

/// Columns as given, or the age alone.
fn columns(version: &Value) -> Vec<Column> {
    let given = array(version, "additionalPrinterColumns");
    if given.is_empty() {
        return vec![Column {
            name: "Age".into(),
            kind: "date".into(),
            format: "".into(),
            description: "".into(),
            priority: 0,
            cell: Cell::JsonPath(".metadata.creationTimestamp".into()),
        }];
    }
    let column = |column: &Value| Column {
        name: text(column, "name").into(),
        kind: text(column, "type").into(),
        format: text(column, "format").into(),
        description: text(column, "description").into(),
        priority: column["priority"].as_i64().unwrap_or_default() as i32,
        cell: Cell::JsonPath(text(column, "jsonPath").into()),
    };
    given.iter().map(column).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn texts(value: &Value, name: &str) -> Vec<Arc<str>> {
    array(value, name).iter().filter_map(Value::as_str).map(Arc::from).collect()
}

fn array<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}
