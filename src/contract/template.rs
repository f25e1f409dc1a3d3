//! Objects made from templates of any kind. (CAPI v1.14: controllers/external/util.go)

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value, json};

use super::labels;
use crate::api::core::ContractRef;

/// What a clone is made of.
#[derive(Clone, Debug)]
pub struct CloneInput<'a> {
    /// The template object as read (`spec.template.{metadata,spec}`).
    pub template: &'a Value,
    /// Reference by which the template was found.
    pub reference: &'a ContractRef,
    /// Namespace of the clone.
    pub namespace: &'a str,
    /// Name of the clone.
    pub name: &'a str,
    /// Cluster that the clone belongs to.
    pub cluster_name: &'a str,
    /// Owner of the clone, if any.
    pub owner: Option<OwnerReference>,
    /// Labels on top of the template's.
    pub labels: &'a BTreeMap<String, String>,
    /// Annotations on top of the template's.
    pub annotations: &'a BTreeMap<String, String>,
}

/// The object that a template describes: its spec, labels and annotations, the annotations that
/// name the template, the cluster label, and the owner.
pub fn clone_template(input: &CloneInput<'_>) -> Value {
    let inner = input.template.pointer("/spec/template");
    let field = |name: &str| inner.and_then(|inner| inner.get(name)).cloned();
    let string =
        |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut metadata = match field("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    for dropped in ["resourceVersion", "finalizers", "uid", "selfLink"] {
        metadata.remove(dropped);
    }
    metadata.insert("name".into(), input.name.into());
    metadata.insert("namespace".into(), input.namespace.into());
    let group_kind = format!("{}.{}", input.reference.kind, input.reference.api_group);
    let cloned_from = [
        (labels::CLONED_FROM_NAME, input.reference.name.as_str()),
        (labels::CLONED_FROM_GROUP_KIND, group_kind.as_str()),
    ];
    merge_strings(&mut metadata, "annotations", pairs(input.annotations).chain(cloned_from));
    let cluster = [(labels::CLUSTER_NAME, input.cluster_name)];
    merge_strings(&mut metadata, "labels", pairs(input.labels).chain(cluster));
    if let Some(owner) = &input.owner {
        metadata.insert("ownerReferences".into(), json!([owner]));
    }
    let kind = string(input.template.get("kind"));
    let mut object = match inner {
        Some(Value::Object(inner)) => inner.clone(),
        _ => Map::new(),
    };
    object.insert("metadata".into(), Value::Object(metadata));
    object.entry("apiVersion").or_insert_with(|| string(input.template.get("apiVersion")).into());
    object.entry("kind").or_insert_with(|| kind.strip_suffix("Template").unwrap_or(&kind).into());
    Value::Object(object)
}

fn pairs(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn merge_strings<'a>(
    metadata: &mut Map<String, Value>,
    field: &str,
    entries: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let held = metadata.entry(field).or_insert_with(|| json!({}));
    if !held.is_object() {
        *held = json!({});
    }
    if let Some(held) = held.as_object_mut() {
        for (key, value) in entries {
            held.insert(key.to_owned(), value.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_names_its_template_and_cluster() {
        let template = json!({
            "apiVersion": "g/v1", "kind": "DevMachineTemplate", "metadata": {"name": "t"},
            "spec": {"template": {"metadata": {"labels": {"a": "b"}, "uid": "x"}, "spec": {"s": 1}}}
        });
        let reference = ContractRef {
            api_group: "g".into(),
            kind: "DevMachineTemplate".into(),
            name: "t".into(),
        };
        let clone = clone_template(&CloneInput {
            template: &template,
            reference: &reference,
            namespace: "ns",
            name: "m",
            cluster_name: "c",
            owner: None,
            labels: &[("l".to_owned(), "1".to_owned())].into(),
            annotations: &BTreeMap::new(),
        });
        assert_eq!(
            clone,
            json!({
                "apiVersion": "g/v1", "kind": "DevMachine",
                "metadata": {
                    "name": "m", "namespace": "ns",
                    "labels": {"a": "b", "l": "1", "cluster.x-k8s.io/cluster-name": "c"},
                    "annotations": {
                        "cluster.x-k8s.io/cloned-from-name": "t",
                        "cluster.x-k8s.io/cloned-from-groupkind": "DevMachineTemplate.g"
                    }
                },
                "spec": {"s": 1}
            })
        );
    }
}
