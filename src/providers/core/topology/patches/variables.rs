//! The variables that patches see: the user's as far as the patch defines them, and `builtin`.
//! (CAPI v1.14: patches/variables/variables.go; exp/runtime/topologymutation/variables.go)

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::request::{HIDDEN_ANNOTATIONS, Variable};
use super::{Desired, Workers};
use crate::api::core::Cluster;
use crate::api::topology::{ClusterVariable, VariableOverrides};

/// Name of the variable that cannot be set.
pub(super) const BUILTIN: &str = "builtin";

/// Names of the variables that a patch may see: those with a definition from it.
pub(super) type Defined<'a> = BTreeSet<&'a str>;

/// Variables that hold for all templates.
pub(super) fn global(cluster: &Cluster, defined: &Defined<'_>) -> Vec<Variable> {
    let topology = &cluster.spec.topology;
    let users = topology.variables.iter().filter(|variable| variable.name != BUILTIN);
    let mut variables = visible(users, defined);
    let (namespace, class) = cluster.class_key().unwrap_or_default();
    let mut described = json!({
        "topology": {
            "classRef": {"name": class, "namespace": namespace},
        },
    });
    let metadata = &cluster.metadata;
    set_text(&mut described, "name", metadata.name.as_deref());
    set_text(&mut described, "namespace", metadata.namespace.as_deref());
    set_text(&mut described, "uid", metadata.uid.as_deref());
    set_text(&mut described["topology"], "version", Some(&topology.version));
    set_text(&mut described["topology"], "class", Some(class));
    set_text(&mut described["topology"], "classNamespace", Some(namespace));
    set(&mut described, "metadata", labels_and_annotations(metadata));
    set(&mut described, "network", network(cluster));
    variables.push(builtin("cluster", described));
    variables
}

/// Variables that hold for the control plane and its machines.
pub(super) fn control_plane(
    desired: &Desired<'_>,
    defined: &Defined<'_>,
) -> Result<Vec<Variable>, String> {
    let topology = &desired.cluster.spec.topology.control_plane;
    let object = &*desired.control_plane.desired;
    let mut variables = overrides(&topology.variables, defined);
    let mut described = json!({});
    set_text(&mut described, "name", object["metadata"]["name"].as_str());
    if topology.replicas.is_some() {
        let replicas = object["spec"].get("replicas").ok_or_else(|| {
            "failed to get spec.replicas from the ControlPlane: path .spec.replicas: field not \
             found"
                .to_owned()
        })?;
        set(&mut described, "replicas", Some(replicas.clone()));
    }
    set(&mut described, "metadata", raw_labels_and_annotations(&object["metadata"]));
    let version = object["spec"]["version"].as_str().ok_or_else(|| {
        "failed to get spec.version from the ControlPlane: path .spec.version: field not found"
            .to_owned()
    })?;
    set_text(&mut described, "version", Some(version));
    if let Some(machines) = &desired.control_plane_machines {
        let mut reference = json!({});
        set_text(&mut reference, "name", machines.desired["metadata"]["name"].as_str());
        set(&mut described, "machineTemplate", Some(json!({"infrastructureRef": reference})));
    }
    variables.push(builtin("controlPlane", described));
    Ok(variables)
}

/// Variables that hold for a MachineDeployment (`machineDeployment`) or MachinePool
/// (`machinePool`): the overrides of its topology, and what it is.
pub(super) fn workers(
    field: &str,
    workers: &Workers<'_>,
    class: &str,
    held: &VariableOverrides,
    defined: &Defined<'_>,
) -> Vec<Variable> {
    let mut variables = overrides(held, defined);
    let name_of = |object: &Value| {
        let mut reference = json!({});
        set_text(&mut reference, "name", object["metadata"]["name"].as_str());
        reference
    };
    let mut described = json!({
        "bootstrap": {"configRef": name_of(workers.bootstrap.desired)},
        "infrastructureRef": name_of(workers.infrastructure.desired),
    });
    set_text(&mut described, "version", Some(workers.version));
    set_text(&mut described, "class", Some(class));
    set_text(&mut described, "name", workers.metadata.name.as_deref());
    set_text(&mut described, "topologyName", Some(workers.topology_name));
    set(&mut described, "replicas", workers.replicas.map(Value::from));
    set(&mut described, "metadata", labels_and_annotations(workers.metadata));
    variables.push(builtin(field, described));
    variables
}

/// One map of all variables of a template; its own ones win, `builtin` has the fields of both.
pub(super) fn merge(global: &[Variable], own: &[Variable]) -> BTreeMap<String, Value> {
    let mut merged: BTreeMap<String, Value> = BTreeMap::new();
    for variable in global.iter().chain(own) {
        match (merged.get_mut(&variable.name), &variable.value) {
            (Some(Value::Object(held)), Value::Object(added)) if variable.name == BUILTIN => {
                held.extend(added.clone());
            }
            _ => {
                merged.insert(variable.name.clone(), variable.value.clone());
            }
        }
    }
    merged
}

fn overrides(held: &VariableOverrides, defined: &Defined<'_>) -> Vec<Variable> {
    visible(held.overrides.iter(), defined)
}

fn visible<'a>(
    variables: impl Iterator<Item = &'a ClusterVariable>,
    defined: &Defined<'_>,
) -> Vec<Variable> {
    let known = variables.filter(|variable| defined.contains(variable.name.as_str()));
    known.map(|one| Variable { name: one.name.clone(), value: one.value.clone() }).collect()
}

fn builtin(field: &str, described: Value) -> Variable {
    let mut value = Map::new();
    value.insert(field.to_owned(), described);
    Variable { name: BUILTIN.to_owned(), value: Value::Object(value) }
}

fn network(cluster: &Cluster) -> Option<Value> {
    let network = cluster.spec.cluster_network.as_ref()?;
    let mut described = json!({});
    set_text(&mut described, "serviceDomain", Some(&network.service_domain));
    for (field, ranges) in [("services", &network.services), ("pods", &network.pods)] {
        let blocks = ranges.as_ref().map(|ranges| &ranges.cidr_blocks);
        set(&mut described, field, blocks.filter(|blocks| !blocks.is_empty()).map(|b| json!(b)));
    }
    described.as_object().is_some_and(|map| !map.is_empty()).then_some(described)
}

fn labels_and_annotations(metadata: &ObjectMeta) -> Option<Value> {
    let maps = json!({"labels": metadata.labels, "annotations": metadata.annotations});
    raw_labels_and_annotations(&maps)
}

/// Absent if an object has neither; what is hidden from patches is left out.
fn raw_labels_and_annotations(metadata: &Value) -> Option<Value> {
    let map = |field: &str| metadata.get(field).and_then(Value::as_object).cloned();
    let (labels, annotations) = (map("labels"), map("annotations"));
    if labels.is_none() && annotations.is_none() {
        return None;
    }
    let mut annotations = annotations.unwrap_or_default();
    for hidden in HIDDEN_ANNOTATIONS {
        annotations.remove(hidden);
    }
    let mut described = json!({});
    for (field, map) in [("labels", labels.unwrap_or_default()), ("annotations", annotations)] {
        set(&mut described, field, (!map.is_empty()).then_some(Value::Object(map)));
    }
    Some(described)
}

fn set_text(object: &mut Value, field: &str, text: Option<&str>) {
    set(object, field, text.filter(|text| !text.is_empty()).map(Value::from));
}

fn set(object: &mut Value, field: &str, value: Option<Value>) {
    if let (Some(map), Some(value)) = (object.as_object_mut(), value) {
        map.insert(field.to_owned(), value);
    }
}
