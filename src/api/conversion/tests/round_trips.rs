//! There and back.

use serde_json::{Value, json};

use super::drawing::Dice;
use super::fixtures::{forget_blanks, forget_zeros, settle_hub, settle_spoke};
use crate::api::conversion::convert;
use crate::api::definitions::{definitions, schema};
use crate::machinery::definition::ResourceDefinition;
use crate::machinery::schema::{self as schemas, Schema};
use crate::machinery::status::Cause;

/// Objects drawn of each version.
const ROUNDS: u64 = 60;
const DATA: &str = "cluster.x-k8s.io/conversion-data";

fn spokes() -> Vec<ResourceDefinition> {
    let all = definitions().into_iter();
    all.filter(|it| !it.serving.stored).collect()
}

fn hub_schema(spoke: &ResourceDefinition) -> &'static Schema {
    schema(&spoke.group, &spoke.kind, "v1beta2").expect("every spoke has a hub")
}

fn without_data(object: &mut Value) {
    if let Some(annotations) = object.pointer_mut("/metadata/annotations") {
        annotations.as_object_mut().expect("annotations").remove(DATA);
    }
}

/// Where two trees differ.
fn differences(a: &Value, b: &Value, path: &str, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(left), Value::Object(right)) => {
            let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
            for name in names {
                differences(&a[name], &b[name], &format!("{path}.{name}"), found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (number, (left, right)) in left.iter().zip(right).enumerate() {
                differences(left, right, &format!("{path}[{number}]"), found);
            }
        }
        _ if a == b => {}
        _ => found.push(format!("{path}: {a} became {b}")),
    }
}

/// Converts `before` there and back; says what was lost on the way, or was wrong.
fn round_trip(
    before: &Value,
    (from, schema): (&str, &Schema),
    (to, other): (&str, &Schema),
    settle: fn(&mut Value),
) -> Vec<String> {
    let mut object = before.clone();
    if let Err(why) = convert(&mut object, from, to) {
        return vec![why];
    }
    let mut found = schemas::prune(other, &mut object);
    if to == "v1beta2" {
        // It asks for more than the others did, and sets limits where they set none.
        let causes = schemas::validate(other, &object).into_iter();
        let is_tighter = |cause: &Cause| {
            let limits = ["should match", "should be greater", "should have at least"];
            cause.reason == "FieldValueRequired"
                || limits.iter().any(|limit| cause.message.contains(limit))
        };
        let wrong = causes.filter(|cause| !is_tighter(cause));
        found.extend(wrong.map(|cause| cause.to_string()));
    }
    if let Err(why) = convert(&mut object, to, from) {
        return vec![why];
    }
    found.extend(schemas::prune(schema, &mut object));
    if from != "v1beta2" {
        without_data(&mut object);
    }
    settle(&mut object);
    differences(before, &object, "", &mut found);
    found
}

/// Round trips of objects of every spoke, or of the hub by every spoke.
fn check_all(by_hub: bool) {
    let mut failures = Vec::new();
    for spoke in spokes() {
        let (group, kind) = (&spoke.group, &spoke.kind);
        let own = (&*spoke.version, &spoke.schema);
        let hub = ("v1beta2", hub_schema(&spoke));
        for seed in 0..ROUNDS {
            let (from, to, settle) = match by_hub {
                true => (hub, own, settle_hub as fn(&mut Value)),
                false => (own, hub, settle_spoke as fn(&mut Value)),
            };
            let api_version = format!("{group}/{}", from.0);
            let mut before = Dice(seed).object(from.1.root(), &api_version, kind);
            settle(&mut before);
            let found = round_trip(&before, from, to, settle);
            if !found.is_empty() {
                let what = format!("{kind} from {} to {}, seed {seed}", from.0, to.0);
                failures.push(format!("{what}:\n  {}", found.join("\n  ")));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn objects_of_the_hub_come_back_from_every_spoke() {
    check_all(true);
}

#[test]
fn objects_of_every_spoke_come_back_from_the_hub_and_are_valid_there() {
    check_all(false);
}

#[test]
fn objects_without_spec_and_with_hostile_fields_convert_or_are_refused() {
    let odd = [json!(null), json!([]), json!("x"), json!(1), json!({"template": 1, "a": [1]})];
    for spoke in spokes() {
        let (group, kind, version) = (&spoke.group, &spoke.kind, &*spoke.version);
        for (from, to) in [(version, "v1beta2"), ("v1beta2", version)] {
            let schema = schema(group, kind, from).expect("served");
            let api_version = format!("{group}/{from}");
            let mut bare = json!({"apiVersion": api_version, "kind": &**kind});
            convert(&mut bare, from, to).expect("a bare object converts");
            for seed in 0..ROUNDS {
                let mut dice = Dice(seed);
                let mut object = dice.object(schema.root(), &api_version, kind);
                spoil(&mut object, &mut dice, &odd);
                let _ = convert(&mut object, from, to);
            }
        }
    }
}

/// Puts odd values into an object, names and version aside.
fn spoil(value: &mut Value, dice: &mut Dice, odd: &[Value]) {
    let children: Vec<&mut Value> = match value {
        Value::Object(fields) => fields
            .iter_mut()
            .filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind"))
            .map(|(_, value)| value)
            .collect(),
        Value::Array(list) => list.iter_mut().collect(),
        _ => return,
    };
    for child in children {
        if dice.below(12) == 0 {
            *child = odd[dice.below(odd.len() as u64) as usize].clone();
        } else {
            spoil(child, dice, odd);
        }
    }
}

#[test]
fn kept_data_that_is_no_json_is_refused() {
    let mut object = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "metadata": {"annotations": {DATA: "{"}},
    });
    let why = convert(&mut object, "v1beta1", "v1beta2").expect_err("refused");
    assert!(
        why.starts_with("conversion webhook for cluster.x-k8s.io/v1beta1, Kind=Cluster failed")
    );
    let mut object = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Machine",
        "spec": {"nodeDrainTimeout": "soon"},
    });
    let why = convert(&mut object, "v1beta1", "v1beta2").expect_err("refused");
    assert!(why.ends_with("time: invalid duration \"soon\""), "{why}");
}

#[test]
fn kept_data_of_other_types_is_refused() {
    let converted = |kept: Value| {
        let mut object = json!({
            "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Machine",
            "metadata": {"annotations": {DATA: kept.to_string()}},
        });
        convert(&mut object, "v1beta1", "v1beta2").map(|()| object)
    };
    let good = converted(json!({"spec": {"minReadySeconds": 3, "unknown": {}}, "status": null}));
    assert_eq!(good.expect("converts")["spec"]["minReadySeconds"], 3);
    for (path, bad) in [
        ("spec.minReadySeconds", json!({"spec": {"minReadySeconds": "x"}})),
        ("status.phase", json!({"status": {"phase": {}}})),
        ("spec.taints", json!({"spec": {"taints": {"a": 1}}})),
        ("status.conditions", json!({"status": {"conditions": [1]}})),
    ] {
        let why = converted(bad).expect_err(path);
        assert!(why.contains("json: cannot unmarshal") && why.contains(path), "{why}");
    }
}

#[test]
fn zeros_that_the_hub_does_not_allow_are_left_out() {
    let mut object = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "metadata": {"name": "a", "namespace": "b"},
        "spec": {
            "paused": false,
            "controlPlaneEndpoint": {"host": "", "port": 0},
            "clusterNetwork": {"serviceDomain": "", "services": {"cidrBlocks": []}},
            "infrastructureRef": {
                "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "DevCluster",
                "name": "a", "namespace": "b"},
        },
    });
    convert(&mut object, "v1beta1", "v1beta2").expect("converts");
    let hub = schema("cluster.x-k8s.io", "Cluster", "v1beta2").expect("served");
    assert_eq!(schemas::validate(hub, &object), []);
    assert_eq!(
        object["spec"],
        json!({"infrastructureRef": {
            "apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DevCluster", "name": "a"}})
    );
    convert(&mut object, "v1beta2", "v1beta1").expect("converts");
    let reference = &object["spec"]["infrastructureRef"];
    assert_eq!(reference["apiVersion"], "infrastructure.cluster.x-k8s.io/v1beta2");
    assert_eq!(reference["namespace"], "b");
    assert_eq!(object["status"]["infrastructureReady"], false);
    forget_zeros(&mut object);
    forget_blanks(&mut object);
    assert_eq!(object["spec"]["controlPlaneEndpoint"], Value::Null);
}
