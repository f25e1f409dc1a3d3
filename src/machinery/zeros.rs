//! Zeros that Go writes into the JSON of built-in kinds: `eventTime: null`, `restartCount: 0`,
//! `status: {}`.
//!
//! kube-apiserver decodes an object into Go structs and encodes these again, so every field without
//! `omitempty` is there, and every struct that is not behind a pointer. Which ones is part of the
//! table of messages. It is compiled once; kinds and fields below which nothing is ever missing cost
//! nothing.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::builtin;
use super::tables::messages::{FieldShape, FieldType, MessageField, Zero};

static PLANS: LazyLock<Plans> = LazyLock::new(Plans::compile);

/// Plans by position; [`Plans::positions`] finds those of kinds.
struct Plans {
    /// By name without its prefix, which components (`io.k8s.`) and messages (`k8s.io.`) have in
    /// different forms of the same length.
    positions: HashMap<&'static str, usize>,
    plans: Vec<Plan>,
}

/// What to do with one kind of struct.
#[derive(Default)]
struct Plan {
    /// Fields that are always there, and their zeros.
    zeros: Vec<(&'static str, Value)>,
    /// Fields whose values have plans that do something; `.` is the same object.
    children: Vec<(&'static str, FieldShape, usize)>,
}

const PREFIX: usize = "k8s.io.".len();

/// Adds the zeros that an object of a built-in kind lacks; `component` is the OpenAPI name of the
/// kind (`io.k8s.api.core.v1.Pod`).
pub fn fill(component: &str, object: &mut Value) {
    let plans = &*PLANS;
    let name = component.get(PREFIX..).unwrap_or_default();
    let position = plans.positions.get(name).or_else(|| {
        // Go's package of the aggregator is written differently in the two kinds of names.
        name.starts_with("kube-aggregator.")
            .then(|| name.replacen('-', "_", 1))
            .and_then(|name| plans.positions.get(&*name))
    });
    if let (Some(position), Value::Object(object)) = (position, object) {
        plans.fill(*position, object);
    }
}

/// The zero object of a built-in kind.
pub fn object(component: &str) -> Value {
    let mut object = Value::Object(Map::new());
    fill(component, &mut object);
    object
}

impl Plans {
    fn compile() -> Self {
        let messages = builtin::messages();
        let mut names: Vec<&'static str> = messages.keys().map(String::as_str).collect();
        names.sort_unstable();
        let positions: HashMap<&str, usize> = names.iter().copied().zip(0..).collect();
        let mut plans: Vec<Plan> =
            names.iter().map(|name| Plan::compile(&messages[*name], &positions)).collect();
        // A plan is of use if it or a plan below it adds something; recursive kinds need rounds.
        let mut useful: Vec<bool> = plans.iter().map(|plan| !plan.zeros.is_empty()).collect();
        loop {
            let more = plans.iter().zip(&useful).map(|(plan, useful_now)| {
                *useful_now || plan.children.iter().any(|(_, _, child)| useful[*child])
            });
            let more: Vec<bool> = more.collect();
            if more == useful {
                break;
            }
            useful = more;
        }
        for plan in &mut plans {
            plan.children.retain(|(_, _, child)| useful[*child]);
        }
        let positions = positions
            .into_iter()
            .filter(|(name, position)| useful[*position] && !is_extension(name))
            .map(|(name, position)| (&name[PREFIX..], position))
            .collect();
        Self { positions, plans }
    }

    fn fill(&self, position: usize, object: &mut Map<String, Value>) {
        let Some(plan) = self.plans.get(position) else { return };
        for (name, zero) in &plan.zeros {
            if !object.contains_key(*name) {
                object.insert((*name).to_owned(), zero.clone());
            }
        }
        for (name, shape, child) in &plan.children {
            if *name == "." {
                self.fill(*child, object);
                continue;
            }
            let Some(value) = object.get_mut(*name) else { continue };
            match (shape, value) {
                (FieldShape::Single, Value::Object(value)) => self.fill(*child, value),
                (FieldShape::Repeated, Value::Array(list)) => {
                    list.iter_mut()
                        .filter_map(Value::as_object_mut)
                        .for_each(|item| self.fill(*child, item));
                }
                (FieldShape::Map, Value::Object(map)) => {
                    map.values_mut()
                        .filter_map(Value::as_object_mut)
                        .for_each(|item| self.fill(*child, item));
                }
                _ => {}
            }
        }
    }
}

impl Plan {
    fn compile(fields: &'static [MessageField], positions: &HashMap<&str, usize>) -> Self {
        let mut plan = Self::default();
        for field in fields {
            if field.zero == Zero::Written {
                plan.zeros.push((&field.name, zero(field)));
            }
            if let FieldType::Message(name) = &field.value
                && let Some(position) = positions.get(&**name)
                && !is_special(name)
            {
                plan.children.push((&field.name, field.shape, *position));
            }
        }
        plan
    }
}

/// Definitions have their own strategy, which knows what to write.
fn is_extension(name: &str) -> bool {
    name.starts_with("k8s.io.apiextensions_apiserver.")
}

/// Messages that are no objects in JSON.
pub(super) fn is_special(name: &str) -> bool {
    name.ends_with(".Time")
        || name.ends_with(".MicroTime")
        || name.ends_with(".Quantity")
        || name.ends_with(".IntOrString")
        || name.ends_with(".RawExtension")
        || name.ends_with(".FieldsV1")
        || name.ends_with(".ExtraValue")
}

fn zero(field: &MessageField) -> Value {
    if field.shape != FieldShape::Single {
        return Value::Null;
    }
    match &field.value {
        FieldType::Message(name) if name.ends_with(".IntOrString") => 0.into(),
        FieldType::Message(name) if name.ends_with(".Quantity") => "0".into(),
        FieldType::Message(name) if is_special(name) => Value::Null,
        FieldType::Message(_) => Value::Object(Map::new()),
        FieldType::Scalar(kind) => match &**kind {
            "string" => "".into(),
            "bool" => false.into(),
            "bytes" => Value::Null,
            _ => 0.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(component: &str, mut object: Value, expected: &Value) {
        fill(component, &mut object);
        assert_eq!(object, *expected);
    }

    #[test]
    fn structs_and_fields_without_omitempty_are_always_there() {
        let node = json!({
            "metadata": {},
            "spec": {},
            "status": {
                "conditions": [{
                    "type": "Ready", "status": "True",
                    "lastHeartbeatTime": null, "lastTransitionTime": null,
                }],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
                "nodeInfo": {
                    "architecture": "", "bootID": "", "containerRuntimeVersion": "",
                    "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "",
                    "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": "",
                },
            },
        });
        let conditions = json!([{"type": "Ready", "status": "True"}]);
        check("io.k8s.api.core.v1.Node", json!({"status": {"conditions": conditions}}), &node);
    }

    #[test]
    fn nothing_is_added_behind_pointers() {
        let lease = json!({"metadata": {}, "spec": {}});
        check("io.k8s.api.coordination.v1.Lease", json!({}), &lease);
        check("io.k8s.api.core.v1.ConfigMap", json!({}), &json!({"metadata": {}}));
        check("io.x.Unknown", json!({}), &json!({}));
    }
}
