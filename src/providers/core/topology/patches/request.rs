//! What generators of patches are given: templates, who holds them, and variables.
//! (CAPI v1.14: api/runtime/hooks/v1alpha1/topologymutation_types.go; patches/template.go)

use serde_json::Value;

/// Annotations that are not shown to patches.
pub(super) const HIDDEN_ANNOTATIONS: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "cluster.x-k8s.io/conversion-data"];

/// The body of a GeneratePatches request, without settings.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Variables for all templates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    /// The templates.
    pub items: Vec<Item>,
}

/// One template.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Names the item within the request.
    pub uid: String,
    /// Who refers to the template.
    #[serde(rename = "holderReference")]
    pub holder: Holder,
    /// The template as patched so far.
    pub object: Value,
    /// Variables for this template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
}

/// A variable with its value.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Value.
    pub value: Value,
}

/// The object and field that refer to a template.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// API version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Dotted path of the field.
    pub field_path: String,
}

impl Request {
    /// Adds a template, cleaned of what patches need not see.
    pub(super) fn push(&mut self, holder: Holder, mut object: Value) {
        clean(&mut object);
        // Uids only have to be unique within a request; counted ones repeat from run to run.
        let uid = format!("00000000-0000-4000-8000-{:012x}", self.items.len() + 1);
        self.items.push(Item { uid, holder, object, variables: Vec::new() });
    }
}

fn clean(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.remove("managedFields");
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    for hidden in HIDDEN_ANNOTATIONS {
        annotations.remove(hidden);
    }
    // An empty map would make extensions answer with a patch that removes it.
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}
