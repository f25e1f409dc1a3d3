//! The CustomResourceDefinition object of a kind that is built into the program.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::machinery::definition::{Cell, Column, ResourceDefinition, ScalePaths};

/// The CustomResourceDefinition of one group and kind with these versions, the storage version
/// first. There is no status: when names are accepted is for the caller to say. Null for no
/// versions at all.
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
    let versions: Vec<Value> =
        versions.iter().enumerate().map(|(number, one)| version(one, number == 0)).collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "conversion": { "strategy": "None" },
            "group": first.group,
            "names": names,
            "scope": if first.namespaced { "Namespaced" } else { "Cluster" },
            "versions": versions,
        },
    })
}

fn version(definition: &ResourceDefinition, is_storage: bool) -> Value {
    let mut version = json!({
        "name": definition.version,
        "schema": { "openAPIV3Schema": definition.schema.to_openapi() },
        "served": true,
        "storage": is_storage,
    });
    let mut subresources = Map::new();
    if definition.subresources.status {
        subresources.insert("status".into(), json!({}));
    }
    if let Some(paths) = &definition.subresources.scale {
        subresources.insert("scale".into(), scale(paths));
    }
    if !subresources.is_empty() {
        version["subresources"] = subresources.into();
    }
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
