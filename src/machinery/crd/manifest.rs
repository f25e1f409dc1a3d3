//! The CustomResourceDefinition object of a kind that is built into the program.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::deprecation_warning;
use crate::machinery::definition::{Cell, Column, Conversion, ResourceDefinition, ScalePaths};

/// The CustomResourceDefinition of one group and kind with these versions, the storage version
/// first; it lists them by name, as controller-gen does. There is no status: when names are
/// accepted is for the caller to say. Null for no versions at all.
pub fn manifest(versions: &[&ResourceDefinition], labels: &BTreeMap<String, String>) -> Value {
    let Some(first) = versions.first() else { return Value::Null };
    let mut names = json!({
        "kind": first.kind,
        "listKind": first.list_kind,
        "plural": first.plural,
        "singular": first.singular,
    });
    for (field, list) in [("shortNames", &first.short_names), ("categories", &first.categories)] {
        if !list.is_empty() {
            names[field] = json!(list);
        }
    }
    let mut metadata = json!({ "name": format!("{}.{}", first.plural, first.group) });
    if !labels.is_empty() {
        metadata["labels"] = json!(labels);
    }
    let mut sorted = versions.to_vec();
    sorted.sort_by(|a, b| a.version.cmp(&b.version));
    let listed = sorted.iter().map(|one| version(one, one.version == first.version));
    let mut crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "conversion": conversion(&first.serving.conversion),
            "group": first.group,
            "names": names,
            "scope": if first.namespaced { "Namespaced" } else { "Cluster" },
            "versions": listed.collect::<Vec<_>>(),
        },
    });
    // What is said by default need not be in the object.
    let spec = crd["spec"].clone();
    for listed in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
        let own = sorted.iter().find(|one| listed["name"] == *one.version);
        if let Some(warning) = own.and_then(|one| one.serving.deprecation.as_deref())
            && warning != deprecation_warning(&spec, listed["name"].as_str().unwrap_or_default())
        {
            listed["deprecationWarning"] = warning.into();
        }
    }
    crd
}

fn conversion(conversion: &Conversion) -> Value {
    match conversion {
        Conversion::None => json!({ "strategy": "None" }),
        Conversion::Webhook(hook) => json!({
            "strategy": "Webhook",
            "webhook": {
                "clientConfig": hook.client_config,
                "conversionReviewVersions": hook.review_versions,
            },
        }),
    }
}

fn version(definition: &ResourceDefinition, is_storage: bool) -> Value {
    let mut version = json!({
        "name": definition.version,
        "schema": { "openAPIV3Schema": definition.schema.to_openapi() },
        "served": definition.serving.served,
        "storage": is_storage,
    });
    if definition.serving.deprecation.is_some() {
        version["deprecated"] = true.into();
    }
    let mut subresources = Map::new();
    if definition.subresources.status {
        subresources.insert("status".into(), json!({}));
    }
    if let Some(paths) = &definition.subresources.scale {
        subresources.insert("scale".into(), scale(paths));
    }
    // Empty in definitions that controller-gen makes, too.
    version["subresources"] = subresources.into();
    let columns: Vec<Value> = definition.columns.iter().filter_map(column).collect();
    if !columns.is_empty() {
        version["additionalPrinterColumns"] = columns.into();
    }
    let fields = definition.selectable_fields.iter();
    let fields: Vec<Value> = fields.map(|path| json!({ "jsonPath": format!(".{path}") })).collect();
    if !fields.is_empty() {
        version["selectableFields"] = fields.into();
    }
    version
}

fn scale(paths: &ScalePaths) -> Value {
    let mut scale = json!({
        "specReplicasPath": format!(".{}", paths.spec_replicas),
        "statusReplicasPath": format!(".{}", paths.status_replicas),
    });
    if let Some(path) = &paths.label_selector {
        scale["labelSelectorPath"] = format!(".{path}").into();
    }
    scale
}

fn column(column: &Column) -> Option<Value> {
    let Cell::JsonPath(path) = &column.cell else { return None };
    let mut out = json!({ "jsonPath": path, "name": column.name, "type": column.kind });
    for (field, text) in [("format", &column.format), ("description", &column.description)] {
        if !text.is_empty() {
            out[field] = (&**text).into();
        }
    }
    if column.priority != 0 {
        out["priority"] = column.priority.into();
    }
    Some(out)
}
