//! Zeros that Go leaves out of the JSON of built-in kinds: `hostname: ""`, `tolerations: []`.
//!
//! What a field with `omitempty` holds when it is empty is the same as nothing, unless the field is
//! a pointer; kube-apiserver forgets the difference when it decodes. Charts write many of these.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::builtin;
use super::tables::messages::{FieldShape, FieldType, MessageField, Zero};
use super::zeros::is_special;

/// Shapes of messages by position; names as components have them, without `io.k8s.` or `k8s.io.`.
struct Shapes {
    positions: HashMap<&'static str, usize>,
    shapes: Vec<HashMap<&'static str, Field>>,
}

#[derive(Clone, Copy)]
struct Field {
    /// Whether an empty value is left out.
    omitted: bool,
    shape: FieldShape,
    /// The message that the field holds.
    child: Option<usize>,
}

static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::compile);

const PREFIX: usize = "k8s.io.".len();

/// Removes what Go would leave out of an object of a built-in kind; `component` is the OpenAPI name
/// of the kind (`io.k8s.api.core.v1.Pod`). Metadata is left alone.
pub fn remove(component: &str, object: &mut Value) {
    let shapes = &*SHAPES;
    let position = component.get(PREFIX..).and_then(|name| shapes.positions.get(name));
    let (Some(position), Value::Object(object)) = (position, object) else { return };
    let metadata = object.remove("metadata");
    shapes.object(*position, object);
    if let Some(metadata) = metadata {
        object.insert("metadata".to_owned(), metadata);
    }
}

impl Shapes {
    fn compile() -> Self {
        let messages = builtin::messages();
        let mut names: Vec<&'static str> = messages.keys().map(String::as_str).collect();
        names.sort_unstable();
        let by_name: HashMap<&str, usize> = names.iter().copied().zip(0..).collect();
        let shapes = names
            .iter()
            .map(|name| {
                let mut fields = HashMap::new();
                collect(&messages[*name], &by_name, &mut fields);
                fields
            })
            .collect();
        let positions = by_name
            .into_iter()
            .filter(|(name, _)| !name.starts_with("k8s.io.apiextensions_apiserver."))
            .map(|(name, position)| (&name[PREFIX..], position))
            .collect();
        Self { positions, shapes }
    }

    fn object(&self, position: usize, object: &mut Map<String, Value>) {
        let Some(fields) = self.shapes.get(position) else { return };
        object.retain(|name, value| {
            let Some(field) = fields.get(name.as_str()) else { return true };
            if field.omitted && is_empty(value, field.shape) {
                return false;
            }
            if let Some(child) = field.child {
                self.children(child, field.shape, value);
            }
            true
        });
    }

    fn children(&self, child: usize, shape: FieldShape, value: &mut Value) {
        match (shape, value) {
            (FieldShape::Single, Value::Object(object)) => self.object(child, object),
            (FieldShape::Repeated, Value::Array(list)) => {
                for item in list.iter_mut().filter_map(Value::as_object_mut) {
                    self.object(child, item);
                }
            }
            (FieldShape::Map, Value::Object(map)) => {
                for entry in map.values_mut().filter_map(Value::as_object_mut) {
                    self.object(child, entry);
                }
            }
            _ => {}
        }
    }
}

fn collect(
    message: &'static [MessageField],
    by_name: &HashMap<&str, usize>,
    fields: &mut HashMap<&'static str, Field>,
) {
    for field in message {
        let child = match &field.value {
            FieldType::Message(name) if !is_special(name) => Some(&**name),
            _ => None,
        };
        if &*field.name == "." {
            if let Some(inlined) = child.and_then(|name| builtin::messages().get(name)) {
                collect(inlined, by_name, fields);
            }
            continue;
        }
        let is_struct = matches!(field.value, FieldType::Message(_));
        let omitted =
            field.zero == Zero::Omitted && (field.shape != FieldShape::Single || !is_struct);
        let child = child.and_then(|name| by_name.get(name)).copied();
        fields.insert(&field.name, Field { omitted, shape: field.shape, child });
    }
}

fn is_empty(value: &Value, shape: FieldShape) -> bool {
    match (shape, value) {
        (FieldShape::Single, Value::String(text)) => text.is_empty(),
        (FieldShape::Single, Value::Bool(flag)) => !flag,
        (FieldShape::Single, Value::Number(number)) => number.as_i64() == Some(0),
        (FieldShape::Repeated, Value::Array(list)) => list.is_empty(),
        (FieldShape::Map, Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(component: &str, mut object: Value, expected: &Value) {
        remove(component, &mut object);
        assert_eq!(object, *expected);
    }

    #[test]
    fn empty_values_are_left_out_unless_they_are_pointers() {
        check(
            "io.k8s.api.core.v1.Pod",
            json!({"spec": {
                "hostname": "", "hostNetwork": false, "tolerations": [], "nodeSelector": {},
                "imagePullSecrets": [{"name": ""}], "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "c", "env": [], "securityContext": {}, "tty": false}],
                "enableServiceLinks": false, "affinity": {},
            }}),
            &json!({"spec": {
                "imagePullSecrets": [{}], "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "c", "securityContext": {}}],
                "enableServiceLinks": false, "affinity": {},
            }}),
        );
        check(
            "io.k8s.api.core.v1.ConfigMap",
            json!({"data": {"a": ""}, "immutable": false, "metadata": {"name": ""}}),
            &json!({"data": {"a": ""}, "immutable": false, "metadata": {"name": ""}}),
        );
        check("io.x.Unknown", json!({"a": ""}), &json!({"a": ""}));
    }
}
