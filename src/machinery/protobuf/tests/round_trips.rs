//! Objects of every kind that is served survive protobuf, and no bytes make the decoder panic.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::message::Walk;
use super::super::{decode, message_name};
use super::encoder::{Style, field};
use super::generator::{Generator, Random, shape};
use crate::machinery::builtin;
use crate::machinery::schema::{Node, NodeType};
use crate::machinery::tables::messages::{FieldShape, FieldType, MessageField};

/// Kinds that are request bodies but no resources.
const BODIES: [(&str, &str); 11] = [
    ("v1", "DeleteOptions"),
    ("v1", "Binding"),
    ("autoscaling/v1", "Scale"),
    ("policy/v1", "Eviction"),
    ("authentication.k8s.io/v1", "TokenRequest"),
    ("authentication.k8s.io/v1", "TokenReview"),
    ("authentication.k8s.io/v1", "SelfSubjectReview"),
    ("authorization.k8s.io/v1", "SubjectAccessReview"),
    ("authorization.k8s.io/v1", "LocalSubjectAccessReview"),
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
];

/// apiVersion and kind of whatever may come as a body.
pub(super) fn kinds() -> Vec<(String, String)> {
    let served = builtin::definitions().into_iter().map(|definition| {
        let api_version = match &*definition.group {
            "" => definition.version.to_string(),
            group => format!("{group}/{}", definition.version),
        };
        (api_version, definition.kind.to_string())
    });
    let bodies = BODIES.map(|(api_version, kind)| (api_version.to_owned(), kind.to_owned()));
    served.chain(bodies).collect()
}

fn style(random: &mut Random) -> Style {
    Style {
        zeros: random.flip(),
        packed: random.flip(),
        reversed: random.flip(),
        nested_envelopes: random.flip(),
    }
}

/// A random object of a kind.
pub(super) fn object(api_version: &str, kind: &str, seed: u64) -> Value {
    let name = message_name(api_version, kind).unwrap_or_else(|| panic!("no message: {kind}"));
    let schema = shape(&name).unwrap_or_else(|| panic!("no shape of {name}"));
    let mut object = Generator::new(seed).message(&name, schema);
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    object
}

/// How a message of the table and a property of a schema differ, if they do.
fn difference(field: &MessageField, node: Node<'_>) -> Option<String> {
    let node = match field.shape {
        FieldShape::Single => Some(node),
        FieldShape::Repeated => node.items(),
        FieldShape::Map => node.additional(),
    };
    let Some(node) = node else { return Some("one of them is no list or map".to_owned()) };
    let kind = node.node_type();
    let is_same = match &field.value {
        FieldType::Message(name) if name.ends_with(".ExtraValue") => kind == NodeType::Array,
        FieldType::Message(name) => shape(name).is_some_and(|shape| {
            // Properties with facts of their own have unnamed shapes.
            let shape = shape.root();
            let names =
                |node: Node<'_>| node.properties().map(|(name, _)| name.to_owned()).collect();
            let (ours, theirs): (Vec<String>, Vec<String>) = (names(shape), names(node));
            node.component_name().is_none_or(|name| shape.component_name() == Some(name))
                && shape.node_type() == kind
                && ours == theirs
        }),
        FieldType::Scalar(scalar) => match &**scalar {
            "string" => kind == NodeType::String && node.format() != Some("byte"),
            "bytes" => kind == NodeType::String && node.format() == Some("byte"),
            "bool" => kind == NodeType::Boolean,
            "int32" | "int64" => {
                kind == NodeType::Integer && node.format().is_none_or(|format| format == &**scalar)
            }
            "double" => kind == NodeType::Number,
            _ => false,
        },
    };
    (!is_same).then(|| format!("{:?} is {kind:?} {:?}", field.value, node.component_name()))
}

/// Whether the JSON of a message is something else than an object of its fields.
fn is_special(message: &str) -> bool {
    super::super::special::decoder(message).is_some()
}

#[test]
fn messages_and_schemas_describe_the_same_objects() {
    let mut differences = Vec::new();
    let mut left: Vec<String> = Vec::new();
    for (api_version, kind) in kinds() {
        match message_name(&api_version, &kind) {
            Some(name) => left.push(name),
            None => differences.push(format!("{api_version} {kind} has no message")),
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(name) = left.pop() {
        if is_special(&name) || !seen.insert(name.clone()) {
            continue;
        }
        let Some(schema) = shape(&name) else {
            differences.push(format!("{name} has no shape"));
            continue;
        };
        for (member, node) in schema.root().properties() {
            match field(&name, member) {
                Some(field) => {
                    if let Some(difference) = difference(field, node) {
                        differences.push(format!("{name}.{member}: {difference}"));
                    }
                    if let FieldType::Message(name) = &field.value {
                        left.push(name.to_string());
                    }
                }
                None if matches!(member, "apiVersion" | "kind") => {}
                None => differences.push(format!("{name} has no field {member}")),
            }
        }
        let known: BTreeSet<&str> = schema.root().properties().map(|(name, _)| name).collect();
        for field in builtin::message(&name).unwrap_or_default() {
            if &*field.name != "." && !known.contains(&*field.name) {
                differences.push(format!("the schema of {name} has no {}", field.name));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(seen.len() > 400, "only {} messages are reached", seen.len());
}

#[test]
fn empty_values_are_dropped() {
    let style = Style { zeros: true, packed: false, reversed: false, nested_envelopes: false };
    let check = |object: Value, expected: Value| {
        let body = style.body(&object).expect("an object of a kind");
        assert_eq!(decode(&body).expect("a body"), expected);
    };
    check(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ""}, "data": {}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
    );
    check(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {
            "replicas": 0, "paused": false,
        }}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": {
            "replicas": 0, "strategy": {}, "template": {"metadata": {}, "spec": {}},
        }, "status": {}}),
    );
    check(
        json!({"apiVersion": "v1", "kind": "Pod", "status": {"conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "0001-01-01T00:00:00Z"},
        ]}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}, "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
        }}),
    );
}

#[test]
fn whole_doubles_have_no_fraction() {
    const NAME: &str = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    let style = Style { zeros: false, packed: false, reversed: false, nested_envelopes: false };
    for (maximum, expected) in
        [(5.0, "5"), (-3.0, "-3"), (0.0, "0"), (0.5, "0.5"), (1e300, "1e+300")]
    {
        let bytes = style.message(NAME, &json!({"maximum": maximum})).expect("a schema");
        let schema = Walk::default().message(NAME, &bytes, 0).expect("a message");
        assert_eq!(schema["maximum"].to_string(), expected);
    }
}

fn config() -> ProptestConfig {
    // A smaller seed is not a smaller object.
    ProptestConfig { cases: 24, max_shrink_iters: 0, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn objects_of_every_kind_survive(seed in any::<u64>()) {
        for (place, (api_version, kind)) in kinds().iter().enumerate() {
            let seed = seed.wrapping_add(place as u64);
            let object = object(api_version, kind, seed);
            let style = style(&mut Random(seed));
            let body = style.body(&object).map_err(TestCaseError::fail)?;
            let decoded = decode(&body).map_err(|error| {
                TestCaseError::fail(format!("{kind}: {error}, {style:?}, {object}"))
            })?;
            prop_assert_eq!(decoded, object, "{} with {:?}", kind, style);
        }
    }

    /// Each message by itself, with every field that it has.
    #[test]
    fn all_fields_of_every_message_survive(seed in any::<u64>()) {
        for (place, name) in builtin::messages().keys().enumerate() {
            let Some(schema) = shape(name) else { continue };
            if is_special(name) {
                continue;
            }
            let seed = seed.wrapping_add(place as u64);
            let object = Generator::full(seed).message(name, schema);
            let style = style(&mut Random(seed));
            let bytes = style.message(name, &object).map_err(TestCaseError::fail)?;
            let decoded = Walk::default().message(name, &bytes, 0).map_err(|error| {
                TestCaseError::fail(format!("{name}: {error}, {style:?}, {object}"))
            })?;
            prop_assert_eq!(decoded, object, "{} with {:?}", name, style);
        }
    }

    /// 24 seeds, 71 kinds, 60 changes: 102,000 bodies.
    #[test]
    fn no_change_of_a_valid_body_makes_it_panic(seed in any::<u64>()) {
        for (place, (api_version, kind)) in kinds().iter().enumerate() {
            let mut random = Random(seed.wrapping_add(place as u64));
            let object = object(api_version, kind, random.next());
            let valid = style(&mut random).body(&object).map_err(TestCaseError::fail)?;
            for _ in 0..60 {
                let mut body = valid.clone();
                for _ in 0..=random.below(3) {
                    change(&mut body, &mut random);
                }
                if let Ok(decoded) = decode(&body) {
                    prop_assert!(decoded.is_object(), "{} became {}", kind, decoded);
                }
            }
        }
    }

    /// 24 seeds, 71 kinds, 100 messages: 170,000 bodies.
    #[test]
    fn no_random_message_of_a_kind_makes_it_panic(seed in any::<u64>()) {
        let mut random = Random(seed);
        for (api_version, kind) in kinds() {
            let name = message_name(&api_version, &kind).expect("a message");
            for _ in 0..100 {
                let length = random.below(64);
                let bytes: Vec<u8> = (0..length).map(|_| byte(&mut random)).collect();
                if let Ok(decoded) = Walk::default().message(&name, &bytes, 0) {
                    prop_assert!(decoded.is_object(), "{} became {}", kind, decoded);
                }
            }
        }
    }
}

/// Mostly what begins fields and lengths.
fn byte(random: &mut Random) -> u8 {
    let byte = (random.next() & 0xff) as u8;
    if random.flip() { byte & 0x3f } else { byte }
}

/// Changes one thing: a bit, a byte, the end, what is repeated or left out.
fn change(body: &mut Vec<u8>, random: &mut Random) {
    if body.len() < 5 {
        return;
    }
    // The magic bytes stay.
    let at = 4 + random.index(body.len() - 4);
    let end = (at + 1 + random.index(16)).min(body.len());
    match random.below(6) {
        0 => body[at] ^= 1 << random.below(8),
        1 => body[at] = byte(random),
        2 => body.truncate(at),
        3 => body.insert(at, byte(random)),
        4 => {
            body.drain(at..end);
        }
        _ => {
            let again = body[at..end].to_vec();
            body.splice(at..at, again);
        }
    }
}
