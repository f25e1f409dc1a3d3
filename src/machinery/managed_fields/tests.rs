use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::machinery::schema::Schema;
use crate::machinery::status::Status;

const TIMES: [&str; 3] = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"];

/// A widget with a list of every kind: keyed, set, atomic, untyped, granular and atomic map.
fn widget() -> Schema {
    let strings = json!({"type": "array", "items": {"type": "string"}});
    let with = |mut value: Value, key: &str, extension: Value| {
        value[key] = extension;
        value
    };
    let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    Schema::from_openapi(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "n": {"type": "integer"},
            "m": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                  "items": {"type": "object", "required": ["name"], "properties": {
                      "name": {"type": "string"}, "v": {"type": "integer"}, "w": {"type": "string"}}}},
            "p": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                  "items": {"type": "object", "required": ["port"], "properties": {
                      "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}}}},
            "s": with(strings.clone(), "x-kubernetes-list-type", json!("set")),
            "a": with(strings.clone(), "x-kubernetes-list-type", json!("atomic")),
            "u": strings,
            "g": map.clone(),
            "t": with(map, "x-kubernetes-map-type", json!("atomic")),
            "o": {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "string"}}},
            "x": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }},
    }}))
    .unwrap()
}

fn writer<'a>(manager: &'a str, now: &'a str) -> Writer<'a> {
    Writer { manager, subresource: "", api_version: "g/v1", now, reset: &[] }
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "g/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
}

/// An object with ownership, and short forms of the requests that change it.
struct Case {
    schema: Schema,
    live: Option<Value>,
    now: usize,
}

impl Case {
    fn new() -> Self {
        Self { schema: widget(), live: None, now: 0 }
    }

    fn try_apply(&mut self, manager: &str, force: Force, config: Value) -> Result<(), Box<Status>> {
        let writer = writer(manager, TIMES[self.now]);
        let schema = (self.schema.root(), &Others::new());
        let result = apply(self.live.as_ref(), &config, &writer, force, schema)?;
        self.live = Some(result);
        Ok(())
    }

    fn apply(&mut self, manager: &str, spec: Value) {
        self.try_apply(manager, Force::No, object(spec)).unwrap();
    }

    fn force(&mut self, manager: &str, spec: Value) {
        self.try_apply(manager, Force::Yes, object(spec)).unwrap();
    }

    fn conflict(&mut self, manager: &str, spec: Value) -> String {
        let error = self.try_apply(manager, Force::No, object(spec)).unwrap_err();
        assert_eq!((error.code, error.reason.as_str()), (409, "Conflict"));
        error.message
    }

    fn update(&mut self, manager: &str, change: impl FnOnce(&mut Value)) {
        let mut before = self.live.clone().unwrap_or_default();
        if let Some(metadata) = before.get_mut("metadata") {
            metadata["uid"] = json!("u");
        }
        let mut after = if before.is_null() { object(json!({})) } else { before.clone() };
        change(&mut after);
        update(&before, &mut after, &writer(manager, TIMES[self.now]), self.schema.root());
        self.live = Some(after);
    }

    fn spec(&self) -> Value {
        self.live.as_ref().unwrap()["spec"].clone()
    }

    /// `[manager, operation, fields below f:spec, time]` of each entry.
    fn owners(&self) -> Value {
        let list = self.live.as_ref().unwrap().pointer("/metadata/managedFields");
        let entries = list.and_then(Value::as_array).cloned().unwrap_or_default();
        let short = entries.iter().map(|e| {
            let time = e["time"].as_str().and_then(|time| TIMES.iter().position(|t| *t == time));
            json!([e["manager"], e["operation"], e["fieldsV1"]["f:spec"], time])
        });
        short.collect()
    }
}

#[test]
fn apply_owns_leaves_and_items() {
    let mut case = Case::new();
    case.apply(
        "m1",
        json!({"m": [{"name": "a", "v": 1}], "s": ["x", "y"], "a": ["p"], "g": {"x": "1"}, "t": {"x": "1"}, "u": ["q"],
               "p": [{"port": 80}], "x": {"deep": {"er": 1}, "list": [{"a": 1}]}}),
    );
    assert_eq!(
        case.owners(),
        json!([["m1", "Apply", {
            "f:a": {}, "f:g": {"f:x": {}}, "f:t": {}, "f:u": {},
            "f:m": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:v": {}}},
            "f:p": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
            "f:s": {"v:\"x\"": {}, "v:\"y\"": {}},
            "f:x": {"f:deep": {".": {}, "f:er": {}}, "f:list": {}},
        }, 0]])
    );
}

#[test]
fn unchanged_apply_changes_nothing() {
    let mut case = Case::new();
    case.apply("m1", json!({"n": 1, "g": {"a": "b"}}));
    let before = case.live.clone();
    case.now = 1;
    case.apply("m1", json!({"n": 1, "g": {"a": "b"}}));
    assert_eq!(case.live, before);
}

#[test]
fn second_applier_merges_and_prunes_its_own() {
    let mut case = Case::new();
    case.apply("m1", json!({"m": [{"name": "a", "v": 1}, {"name": "b", "v": 2}], "s": ["x", "y"], "g": {"x": "1"}}));
    case.apply("m2", json!({"m": [{"name": "c", "v": 3}]}));
    assert_eq!(
        case.spec()["m"],
        json!([{"name": "a", "v": 1}, {"name": "b", "v": 2}, {"name": "c", "v": 3}])
    );
    assert_eq!(
        case.conflict("m2", json!({"m": [{"name": "a", "v": 9}]})),
        r#"Apply failed with 1 conflict: conflict with "m1": .spec.m[name="a"].v"#
    );
    case.apply("m2", json!({"m": [{"name": "a", "w": "z"}]}));
    assert_eq!(case.spec()["m"], json!([{"name": "a", "v": 1, "w": "z"}, {"name": "b", "v": 2}]));
    case.apply("m2", json!({"s": ["z", "x"]}));
    assert_eq!(case.spec()["m"], json!([{"name": "a", "v": 1}, {"name": "b", "v": 2}]));
    assert_eq!(case.spec()["s"], json!(["z", "x", "y"]));
    case.apply("m2", json!({"g": {"y": "2"}}));
    assert_eq!(case.spec()["s"], json!(["x", "y"]));
    assert_eq!(case.spec()["g"], json!({"x": "1", "y": "2"}));
    case.apply("m1", json!({"m": [{"name": "b", "v": 2}], "s": ["y"]}));
    assert_eq!(case.spec(), json!({"m": [{"name": "b", "v": 2}], "s": ["y"], "g": {"y": "2"}}));
}

#[test]
fn force_takes_atomic_values() {
    let mut case = Case::new();
    case.apply("m1", json!({"a": ["p"], "t": {"x": "1"}, "n": 1}));
    assert_eq!(
        case.conflict("m2", json!({"a": ["p", "r"]})),
        r#"Apply failed with 1 conflict: conflict with "m1": .spec.a"#
    );
    case.now = 1;
    case.force("m2", json!({"a": ["p", "r"], "t": {"y": "2"}}));
    assert_eq!(case.spec(), json!({"a": ["p", "r"], "t": {"y": "2"}, "n": 1}));
    assert_eq!(
        case.owners(),
        json!([["m1", "Apply", {"f:n": {}}, 0], ["m2", "Apply", {"f:a": {}, "f:t": {}}, 1]])
    );
    // What an applier stops applying goes, as nobody else owns it now.
    case.apply("m2", json!({}));
    assert_eq!(case.spec(), json!({"n": 1}));
}

#[test]
fn equal_values_are_shared_and_the_new_entry_has_no_time() {
    let mut case = Case::new();
    case.apply("m1", json!({"m": [{"name": "b", "v": 2}]}));
    case.now = 1;
    case.apply("m3", json!({"m": [{"name": "b"}]}));
    assert_eq!(case.owners()[0][0], "m3");
    assert_eq!(case.owners()[0][3], Value::Null);
    case.now = 2;
    // The writer of a changed value becomes its only owner.
    case.update("oracle", |w| w["spec"]["m"][0]["v"] = json!(77));
    assert_eq!(
        case.owners(),
        json!([
            ["m3", "Apply", {"f:m": {"k:{\"name\":\"b\"}": {".": {}, "f:name": {}}}}, null],
            ["m1", "Apply", {"f:m": {"k:{\"name\":\"b\"}": {".": {}, "f:name": {}}}}, 0],
            ["oracle", "Update", {"f:m": {"k:{\"name\":\"b\"}": {"f:v": {}}}}, 2],
        ])
    );
    assert_eq!(
        case.conflict("m1", json!({"m": [{"name": "b", "v": 2}]})),
        r#"Apply failed with 1 conflict: conflict with "oracle" using g/v1: .spec.m[name="b"].v"#
    );
}

#[test]
fn several_conflicts_are_listed_by_manager() {
    let mut case = Case::new();
    case.apply("m1", json!({"n": 1, "g": {"x": "1"}}));
    case.update("kubectl", |w| w["spec"]["a"] = json!(["p"]));
    let error =
        case.try_apply("m2", Force::No, object(json!({"n": 2, "g": {"x": "2"}, "a": ["q"]})));
    let error = error.unwrap_err();
    assert_eq!(
        error.message,
        "Apply failed with 3 conflicts: conflicts with \"kubectl\" using g/v1:\n- .spec.a\n\
         conflicts with \"m1\":\n- .spec.n\n- .spec.g.x"
    );
    let causes = &error.details.as_ref().unwrap().causes;
    assert_eq!(causes[0].reason, "FieldManagerConflict");
    assert_eq!(causes[0].message, "conflict with \"kubectl\" using g/v1");
    assert_eq!(causes[0].field, ".spec.a");
}

#[test]
fn first_apply_to_an_untracked_object_records_what_was_there() {
    let mut case = Case::new();
    case.live = Some(object(json!({"n": 1})));
    assert_eq!(
        case.conflict("m1", json!({"n": 2})),
        r#"Apply failed with 1 conflict: conflict with "before-first-apply" using g/v1: .spec.n"#
    );
    case.apply("m1", json!({"g": {"a": "b"}}));
    assert_eq!(case.owners()[0], json!(["m1", "Apply", {"f:g": {"f:a": {}}}, 0]));
    assert_eq!(case.owners()[1][0], "before-first-apply");
}

#[test]
fn configurations_that_do_not_fit_are_refused() {
    let message = |spec: Value| {
        let error = Case::new().try_apply("m", Force::No, object(spec)).unwrap_err();
        assert_eq!(error.code, 500);
        let prefix = "failed to create typed patch object (/w; g/v1, Kind=Widget): ";
        error.message.strip_prefix(prefix).unwrap().to_owned()
    };
    assert_eq!(message(json!({"zz": 1})), ".spec.zz: field not declared in schema");
    assert_eq!(message(json!({"n": "x"})), ".spec.n: expected numeric (int or float), got string");
    assert_eq!(
        message(json!({"g": {"a": 1}})),
        ".spec.g.a: expected string, got &value.valueUnstructured{Value:1}"
    );
    assert_eq!(
        message(json!({"m": [{"name": "b"}, {"name": "b"}]})),
        r#".spec.m: duplicate entries for key [name="b"]"#
    );
    assert_eq!(message(json!({"s": ["y", "y"]})), r#".spec.s: duplicate entries for key [="y"]"#);
    assert_eq!(
        message(json!({"m": [{"v": 3}]})),
        r#".spec.m: element 0: associative list with keys has an element that omits all key fields ["name"] (and doesn't have default values for any key fields)"#
    );
    let mut owned = object(json!({}));
    owned["metadata"]["managedFields"] = json!([]);
    let error = Case::new().try_apply("m", Force::No, owned).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (400, "metadata.managedFields must be nil"));
}

#[test]
fn create_is_owned_by_its_writer() {
    let mut case = Case::new();
    case.update("curl", |w| {
        w["metadata"]["labels"] = json!({"a": "b"});
        w["metadata"]["finalizers"] = json!(["x/y"]);
        w["metadata"]["ownerReferences"] = json!([{"uid": "1", "name": "n"}]);
        w["spec"] = json!({"n": 1, "m": [{"name": "a", "v": 1}], "g": {"x": "y"}});
    });
    let list = &case.live.as_ref().unwrap()["metadata"]["managedFields"];
    assert_eq!(
        *list,
        json!([{"manager": "curl", "operation": "Update", "apiVersion": "g/v1", "time": TIMES[0], "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {
                "f:labels": {".": {}, "f:a": {}},
                "f:finalizers": {".": {}, "v:\"x/y\"": {}},
                "f:ownerReferences": {".": {}, "k:{\"uid\":\"1\"}": {}},
            },
            "f:spec": {
                ".": {}, "f:n": {}, "f:g": {".": {}, "f:x": {}},
                "f:m": {".": {}, "k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:v": {}}},
            },
        }}])
    );
}

#[test]
fn update_moves_changed_fields_and_forgets_removed_ones() {
    let mut case = Case::new();
    case.update("a", |w| w["spec"] = json!({"n": 1, "g": {"x": "1", "y": "1"}, "s": ["p", "q"]}));
    case.now = 1;
    case.update("b", |w| {
        w["spec"]["n"] = json!(2);
        w["spec"]["g"].as_object_mut().unwrap().remove("x");
        w["spec"]["s"] = json!(["q", "r"]);
    });
    assert_eq!(
        case.owners(),
        json!([
            ["a", "Update", {".": {}, "f:g": {".": {}, "f:y": {}}, "f:s": {".": {}, "v:\"q\"": {}}}, 0],
            ["b", "Update", {"f:n": {}, "f:s": {"v:\"r\"": {}}}, 1],
        ])
    );
    case.now = 2;
    // Removing only does not count as writing: no time moves.
    case.update("b", |w| drop(w["spec"].as_object_mut().unwrap().remove("s")));
    assert_eq!(
        case.owners(),
        json!([
            ["a", "Update", {".": {}, "f:g": {".": {}, "f:y": {}}}, 0],
            ["b", "Update", {"f:n": {}}, 1],
        ])
    );
}

#[test]
fn unchanged_update_changes_nothing() {
    let mut case = Case::new();
    case.update("a", |w| w["spec"] = json!({"n": 1}));
    case.update("a", |_| ());
    let before = case.live.clone();
    case.now = 1;
    case.update("b", |_| ());
    assert_eq!(case.live, before);
    // Clients that do not know managedFields do not lose them.
    case.update("b", |w| drop(w["metadata"].as_object_mut().unwrap().remove("managedFields")));
    assert_eq!(case.live, before);
}

#[test]
fn empty_list_resets_ownership() {
    let mut case = Case::new();
    case.update("a", |w| w["spec"] = json!({"n": 1}));
    case.update("a", |w| w["metadata"]["managedFields"] = json!([]));
    assert_eq!(case.owners(), json!([]));
    // An object without entries stays untracked.
    case.update("a", |w| w["spec"]["n"] = json!(2));
    assert_eq!(case.owners(), json!([]));
}

#[test]
fn subresource_writers_are_their_own_managers() {
    let schema = widget();
    let before = json!({"metadata": {"uid": "u", "managedFields": [
        {"manager": "a", "operation": "Update", "apiVersion": "g/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:n": {}}}}]},
        "spec": {"n": 1}});
    let mut after = before.clone();
    after["spec"]["n"] = json!(2);
    after["metadata"]["managedFields"] = json!([]);
    let scale = Writer { subresource: "scale", ..writer("a", TIMES[1]) };
    update(&before, &mut after, &scale, schema.root());
    let list = &after["metadata"]["managedFields"];
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["subresource"], "scale");
}

#[test]
fn eleventh_updater_folds_the_oldest() {
    let mut case = Case::new();
    case.update("m0", |w| w["spec"] = json!({"g": {"k0": ""}}));
    for index in 1..12 {
        case.now = usize::from(index > 1) + usize::from(index > 2);
        case.update(&format!("m{index:02}"), |w| w["spec"]["g"][format!("k{index}")] = json!(""));
    }
    let owners = case.owners();
    let names: Vec<&str> =
        owners.as_array().unwrap().iter().filter_map(|o| o[0].as_str()).collect();
    assert_eq!(names.len(), 10);
    assert!(names.contains(&"ancient-changes"), "{names:?}");
    assert!(!names.contains(&"m0") && !names.contains(&"m01"), "{names:?}");
}

#[test]
fn built_in_structs_and_required_lists_own_no_place() {
    let definitions = crate::machinery::builtin::definitions();
    let pod = definitions.iter().find(|d| &*d.kind == "Pod").unwrap();
    let mut object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP"}]}]},
    });
    let writer = Writer { api_version: "v1", ..writer("curl", TIMES[0]) };
    update(&Value::Null, &mut object, &writer, pod.schema.root());
    assert_eq!(
        object["metadata"]["managedFields"][0]["fieldsV1"],
        json!({"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {
            ".": {}, "f:name": {}, "f:resources": {},
            "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}},
        }}}})
    );
}

#[test]
fn an_empty_required_list_is_owned_and_an_absent_one_is_not() {
    let definitions = crate::machinery::builtin::definitions();
    let role = definitions.iter().find(|d| &*d.kind == "Role").unwrap();
    let owned = |rules: Value| {
        let mut object = json!({"metadata": {"name": "r"}, "rules": rules});
        update(&Value::Null, &mut object, &writer("curl", TIMES[0]), role.schema.root());
        object["metadata"]["managedFields"][0]["fieldsV1"].clone()
    };
    assert_eq!(owned(json!([])), json!({"f:rules": {}}));
    assert_eq!(owned(Value::Null), Value::Null);
}

#[test]
fn values_without_a_schema_are_owned_by_their_form() {
    let schema = Schema::any();
    let after = json!({"spec": {"a": 1, "l": [{"b": 1}]}});
    let comparison = compare(&Value::Null, &after, schema.root());
    assert_eq!(comparison.added.to_json(), json!({"f:spec": {".": {}, "f:a": {}, "f:l": {}}}));
}

#[test]
fn field_sets_print_what_they_read() {
    let fields = json!({"f:a": {".": {}, "f:b": {}}, "k:{\"name\":\"x\"}": {}, "v:1": {"f:z": {}}});
    assert_eq!(FieldSet::from_json(&fields).to_json(), fields);
}

fn element() -> impl Strategy<Value = String> {
    prop_oneof![
        "f:[a-c]",
        "[x-z]".prop_map(|v| format!("v:\"{v}\"")),
        "[x-y]".prop_map(|v| format!("k:{{\"name\":\"{v}\"}}")),
    ]
}

fn field_set() -> impl Strategy<Value = FieldSet> {
    prop::collection::vec(prop::collection::vec(element(), 1..4), 0..6).prop_map(|paths| {
        let mut set = FieldSet::default();
        for path in paths {
            let path: Vec<_> = path
                .iter()
                .map(|e| crate::machinery::field_path::PathElement::parse(e).unwrap())
                .collect();
            set.insert(&path);
        }
        set
    })
}

fn spec() -> impl Strategy<Value = Value> {
    let text = || "[a-b]".prop_map(Value::from);
    let map = || prop::collection::btree_map("[a-c]", text(), 0..3).prop_map(|m| json!(m));
    let set = prop::collection::btree_set("[a-c]", 1..3).prop_map(|s| json!(s));
    let keyed =
        prop::collection::btree_map("[a-c]", prop::option::of(0..3_i64), 1..3).prop_map(|items| {
            items
                .into_iter()
                .map(|(name, v)| match v {
                    Some(v) => json!({"name": name, "v": v}),
                    None => json!({"name": name}),
                })
                .collect::<Value>()
        });
    let fields = (
        prop::option::of(0..3_i64),
        prop::option::of(map()),
        prop::option::of(map()),
        prop::option::of(set),
        prop::option::of(keyed),
    );
    fields.prop_map(|(n, g, t, s, m)| {
        let mut spec = serde_json::Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                spec.insert(key.to_owned(), value);
            }
        };
        put("n", n.map(Value::from));
        put("g", g);
        put("t", t);
        put("s", s);
        put("m", m);
        Value::Object(spec)
    })
}

proptest! {
    #[test]
    fn set_algebra_holds_per_path(a in field_set(), b in field_set()) {
        let (both, either, only) = (a.intersection(&b), a.union(&b), a.difference(&b));
        for path in either.paths() {
            let (in_a, in_b) = (a.contains(&path), b.contains(&path));
            prop_assert!(in_a || in_b);
            prop_assert_eq!(both.contains(&path), in_a && in_b);
            prop_assert_eq!(only.contains(&path), in_a && !in_b);
        }
        prop_assert_eq!(only.union(&both), a.clone());
        prop_assert!(a.difference(&a).is_empty());
        prop_assert_eq!(FieldSet::from_json(&a.to_json()), a);
    }

    #[test]
    fn json_edits_equal_set_operations(a in field_set(), b in field_set()) {
        let edit = |change: fn(&FieldSet, &mut serde_json::Map<String, Value>)| {
            let mut json = a.to_json().as_object().cloned().unwrap();
            change(&b, &mut json);
            Value::Object(json)
        };
        prop_assert_eq!(edit(FieldSet::subtract_from), a.difference(&b).to_json());
        prop_assert_eq!(edit(FieldSet::add_to), a.union(&b).to_json());
    }

    #[test]
    fn apply_holds_what_it_applies_and_settles(first in spec(), second in spec(), third in spec()) {
        let mut case = Case::new();
        case.force("m1", first.clone());
        case.force("m2", second);
        case.force("m1", third.clone());
        let once = case.live.clone();
        // What was applied is there.
        let merged = merge::merge(Some(&case.spec()), Some(&third), shape::Shape::Node(case.schema.root().property("spec").unwrap()));
        prop_assert_eq!(merged.unwrap_or_default(), case.spec());
        // Applying again changes nothing, forced or not.
        case.now = 1;
        case.apply("m1", third);
        prop_assert_eq!(&case.live, &once);
        // When both stop applying, nothing is left.
        let mut nothing = object(json!({}));
        drop(nothing.as_object_mut().and_then(|object| object.remove("spec")));
        case.try_apply("m1", Force::Yes, nothing.clone()).unwrap();
        case.try_apply("m2", Force::Yes, nothing).unwrap();
        prop_assert_eq!(case.owners(), json!([]));
        prop_assert_eq!(case.spec(), Value::Null);
    }

    #[test]
    fn update_owns_exactly_what_differs(first in spec(), second in spec()) {
        let mut case = Case::new();
        case.update("a", |w| w["spec"] = first);
        case.now = 1;
        case.update("b", |w| w["spec"] = second);
        let live = case.live.clone().unwrap();
        // Between them, the two writers own every path of the object and none besides.
        let mut owned = FieldSet::default();
        for entry in live["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let fields = FieldSet::from_json(&entry["fieldsV1"]);
            prop_assert!(owned.intersection(&fields).is_empty());
            owned.extend(&fields);
        }
        let mut bare = live.clone();
        bare["metadata"].as_object_mut().unwrap().remove("managedFields");
        let all = compare(&Value::Null, &bare, case.schema.root()).added.difference(&update::UNOWNED);
        let uid = [crate::machinery::field_path::PathElement::field("metadata")];
        prop_assert!(!all.contains(&uid));
        prop_assert_eq!(owned, all);
    }
}
