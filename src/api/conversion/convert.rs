//! Conversion of whole objects: which function is a kind's, and what is kept for the way back.

use serde_json::{Map, Value};

use super::fields::{Fields, object};
use super::values::Outcome;
use super::{
    addons, clusterclass, controlplane, core, infrastructure, ipam, kubeadm, machines, runtime,
    zeros,
};
use crate::api::definitions;
use crate::machinery::definition::ConvertObject;
use crate::machinery::gvk::{join_api_version, split_api_version};
use crate::machinery::schema::{Node, NodeType, Schema};

/// Where down-conversion keeps the hub's object, metadata aside.
/// (CAPI v1.14: util/conversion/conversion.go)
const DATA: &str = "cluster.x-k8s.io/conversion-data";
/// The version to and from which all others are converted.
const HUB: &str = "v1beta2";

/// The conversions of a kind, between the hub and any spoke.
#[derive(Clone, Copy)]
pub(super) struct Converter {
    /// Turns an object of a spoke into the hub's; the second one is what was kept of the hub's
    /// object when the spoke's was made.
    pub(super) up: fn(&mut Fields, Option<&Value>) -> Outcome,
    /// Turns an object of the hub into a spoke's.
    pub(super) down: fn(&mut Fields),
    /// Whether the hub's object is kept in an annotation of the spoke's.
    pub(super) keeps: bool,
}

/// The conversion of a kind that has several versions.
pub fn of(group: &str, kind: &str) -> Option<ConvertObject> {
    converter(group, kind, "v1beta1").map(|_| convert as ConvertObject)
}

/// Makes an object of one version one of another, apiVersion included.
///
/// # Errors
/// A text if the object has no such version, or a field cannot be read.
pub fn convert(value: &mut Value, from: &str, to: &str) -> Outcome {
    if from == to {
        return Ok(());
    }
    let (group, kind) = {
        let (group, _) = split_api_version(value["apiVersion"].as_str().unwrap_or_default());
        (group.to_owned(), value["kind"].as_str().unwrap_or_default().to_owned())
    };
    let spoke = if from == HUB { to } else { from };
    let unknown = || format!("{group}/{from}, Kind={kind} has no conversion to {group}/{to}");
    let fields = value.as_object_mut().ok_or_else(unknown)?;
    if from != HUB {
        let converter = converter(&group, &kind, from).ok_or_else(unknown)?;
        let schema = definitions::schema(&group, &kind, HUB);
        up(fields, converter, schema.map(Schema::root)).map_err(|why| {
            format!("conversion webhook for {group}/{from}, Kind={kind} failed: {why}")
        })?;
        if let Some(schema) = schema {
            tidy(schema.root(), fields);
        }
    }
    if to != HUB {
        let converter = converter(&group, &kind, to).ok_or_else(unknown)?;
        down(fields, converter);
        if let Some(schema) = definitions::schema(&group, &kind, spoke) {
            complete(schema.root(), fields);
        }
    }
    fields.insert("apiVersion".to_owned(), join_api_version(&group, to).into());
    Ok(())
}

fn tidy(node: crate::machinery::schema::Node<'_>, fields: &mut Fields) {
    let mut value = Value::Object(std::mem::take(fields));
    zeros::tidy(node, &mut value);
    if let Value::Object(tidied) = value {
        *fields = tidied;
    }
}

fn complete(node: crate::machinery::schema::Node<'_>, fields: &mut Fields) {
    let mut value = Value::Object(std::mem::take(fields));
    zeros::complete(node, &mut value);
    if let Value::Object(completed) = value {
        *fields = completed;
    }
}

/// Anybody can write the annotation: what does not fit the hub's `types` is refused, as Go does when
/// it decodes it.
fn up(fields: &mut Fields, converter: Converter, types: Option<Node<'_>>) -> Outcome {
    let kept = converter.keeps.then(|| take_kept(fields)).flatten();
    let restored: Option<Value> = match kept {
        Some(text) => Some(serde_json::from_str(&text).map_err(|error| error.to_string())?),
        None => None,
    };
    if let (Some(restored), Some(types)) = (&restored, types) {
        check_types(types, restored, "")?;
    }
    (converter.up)(fields, restored.as_ref())
}

/// Whether all values have the types that the schema gives them, in Go's words if not.
fn check_types(node: Node<'_>, value: &Value, path: &str) -> Outcome {
    let fits = match (node.node_type(), value) {
        (NodeType::Any, _) | (_, Value::Null) => return Ok(()),
        (NodeType::Object, Value::Object(_)) | (NodeType::Array, Value::Array(_)) => true,
        (NodeType::String, Value::String(_)) | (NodeType::Boolean, Value::Bool(_)) => true,
        (NodeType::Integer, number) => number.is_i64(),
        (NodeType::Number, number) => number.is_number(),
        (NodeType::IntOrString, value) => value.is_i64() || value.is_string(),
        _ => false,
    };
    if !fits {
        let (is, should) = (json_type(value), node.node_type());
        return Err(format!(
            "json: cannot unmarshal {is} into Go struct field {path} of type {should:?}"
        ));
    }
    let join =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => {
            let mut known =
                fields.iter().filter_map(|(name, value)| Some((name, node.child(name)?, value)));
            known.try_for_each(|(name, child, value)| check_types(child, value, &join(name)))
        }
        Value::Array(list) => {
            let Some(items) = node.items() else { return Ok(()) };
            list.iter().try_for_each(|item| check_types(items, item, path))
        }
        _ => Ok(()),
    }
}

/// What Go's decoder calls a JSON value.
fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn down(fields: &mut Fields, converter: Converter) {
    let mut kept = None;
    if converter.keeps {
        let own = fields.iter().filter(|(name, _)| *name != "metadata");
        let own: Map<_, _> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        kept = Some(Value::Object(own).to_string());
    }
    (converter.down)(fields);
    if let Some(kept) = kept {
        super::fields::ensure(fields, "metadata.annotations").insert(DATA.to_owned(), kept.into());
    }
}

/// Removes and returns the kept object.
fn take_kept(fields: &mut Fields) -> Option<String> {
    let annotations = object(fields, "metadata.annotations")?;
    let kept = annotations.remove(DATA)?;
    if annotations.is_empty() {
        object(fields, "metadata")?.remove("annotations");
    }
    kept.as_str().map(str::to_owned)
}

fn converter(group: &str, kind: &str, spoke: &str) -> Option<Converter> {
    match (group, kind) {
        ("cluster.x-k8s.io", "Cluster") => Some(core::CLUSTER),
        ("cluster.x-k8s.io", "ClusterClass") => Some(clusterclass::CLUSTER_CLASS),
        ("cluster.x-k8s.io", "MachineHealthCheck") => Some(core::MACHINE_HEALTH_CHECK),
        ("cluster.x-k8s.io", "MachineDrainRule") => Some(core::MACHINE_DRAIN_RULE),
        ("cluster.x-k8s.io", _) => machines::converter(kind),
        ("bootstrap.cluster.x-k8s.io", "KubeadmConfig") => Some(kubeadm::CONFIG),
        ("bootstrap.cluster.x-k8s.io", "KubeadmConfigTemplate") => Some(kubeadm::TEMPLATE),
        ("controlplane.cluster.x-k8s.io", "KubeadmControlPlane") => {
            Some(controlplane::CONTROL_PLANE)
        }
        ("controlplane.cluster.x-k8s.io", "KubeadmControlPlaneTemplate") => {
            Some(controlplane::TEMPLATE)
        }
        ("infrastructure.cluster.x-k8s.io", _) => infrastructure::converter(kind),
        ("addons.cluster.x-k8s.io", _) => addons::converter(kind),
        ("ipam.cluster.x-k8s.io", _) => ipam::converter(kind, spoke),
        ("runtime.cluster.x-k8s.io", "ExtensionConfig") => Some(runtime::EXTENSION_CONFIG),
        _ => None,
    }
}
