use serde_json::json;

use super::*;
use crate::machinery::builtin;

/// The schema of a custom resource whose `spec` has these properties.
fn widget(properties: Value) -> Schema {
    let document = json!({
        "type": "object",
        "properties": { "spec": { "type": "object", "properties": properties } },
    });
    Schema::from_openapi(&document).expect("structural")
}

/// The fields of the recorded `cr-schema-errors` scenario.
fn recorded() -> Schema {
    let required_x = json!({ "required": ["x"], "properties": { "x": {} } });
    let required_y = json!({ "required": ["y"], "properties": { "y": {} } });
    let xy = json!({ "x": { "type": "string" }, "y": { "type": "string" } });
    let mut properties = json!({
        "s": { "type": "string", "minLength": 2, "maxLength": 5 },
        "p": { "type": "string", "pattern": "^[a-z]+$" },
        "e": { "type": "string", "enum": ["a", "b"] },
        "i": { "type": "integer", "minimum": 1, "maximum": 10 },
        "xi": { "type": "integer", "minimum": 1, "maximum": 10, "exclusiveMinimum": true,
            "exclusiveMaximum": true },
        "mu": { "type": "integer", "multipleOf": 3 },
        "f": { "type": "number" },
        "b": { "type": "boolean" },
        "a": { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 2 },
        "st": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
        "m": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": { "type": "object", "required": ["k"],
                "properties": { "k": { "type": "string" }, "v": { "type": "integer" } } } },
        "mp": { "type": "object", "additionalProperties": { "type": "integer" },
            "minProperties": 1, "maxProperties": 2 },
        "o": { "type": "object", "required": ["r"],
            "properties": { "r": { "type": "string" }, "q": { "type": "string" } } },
        "ios": { "x-kubernetes-int-or-string": true },
        "nn": { "type": "string", "nullable": true },
        "i32": { "type": "integer", "format": "int32" },
        "one": { "type": "object", "properties": xy, "oneOf": [required_x, required_y] },
        "anyf": { "type": "object", "properties": xy, "anyOf": [required_x, required_y] },
        "nt": { "type": "object", "properties": xy, "not": required_x },
    });
    for format in [
        "date-time",
        "date",
        "uuid",
        "ipv4",
        "ipv6",
        "cidr",
        "uri",
        "email",
        "hostname",
        "duration",
        "byte",
        "mac",
    ] {
        properties[format] = json!({ "type": "string", "format": format });
    }
    widget(properties)
}

/// Causes of a spec as `field: message`.
fn causes(spec: Value) -> Vec<String> {
    let found = validate(&recorded(), &json!({ "spec": spec }));
    found.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

#[track_caller]
fn refuses(spec: Value, expected: &[&str]) {
    let mut found = causes(spec);
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn scalars_are_refused_with_recorded_messages() {
    refuses(
        json!({ "s": "x" }),
        &["spec.s: Invalid value: \"x\": spec.s in body should be at least 2 chars long"],
    );
    refuses(json!({ "s": "toolong" }), &["spec.s: Too long: may not be more than 5 bytes"]);
    refuses(
        json!({ "s": 5 }),
        &["spec.s: Invalid value: \"integer\": spec.s in body must be of type string: \"integer\""],
    );
    refuses(
        json!({ "p": "A" }),
        &["spec.p: Invalid value: \"A\": spec.p in body should match '^[a-z]+$'"],
    );
    refuses(
        json!({ "e": "c" }),
        &["spec.e: Unsupported value: \"c\": supported values: \"a\", \"b\""],
    );
    refuses(
        json!({ "e": 1 }),
        &[
            "spec.e: Invalid value: \"integer\": spec.e in body must be of type string: \"integer\"",
            "spec.e: Unsupported value: 1: supported values: \"a\", \"b\"",
        ],
    );
    refuses(
        json!({ "i": 0 }),
        &["spec.i: Invalid value: 0: spec.i in body should be greater than or equal to 1"],
    );
    refuses(
        json!({ "i": 11 }),
        &["spec.i: Invalid value: 11: spec.i in body should be less than or equal to 10"],
    );
    refuses(
        json!({ "i": 1.5 }),
        &[
            "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec.i",
            "spec.i: Invalid value: \"number\": spec.i in body must be of type integer: \"number\"",
        ],
    );
    refuses(
        json!({ "xi": 1 }),
        &["spec.xi: Invalid value: 1: spec.xi in body should be greater than 1"],
    );
    refuses(
        json!({ "xi": 10 }),
        &["spec.xi: Invalid value: 10: spec.xi in body should be less than 10"],
    );
    refuses(
        json!({ "mu": 4 }),
        &["spec.mu: Invalid value: 4: spec.mu in body should be a multiple of 3"],
    );
    refuses(
        json!({ "b": "true" }),
        &["spec.b: Invalid value: \"string\": spec.b in body must be of type boolean: \"string\""],
    );
    refuses(
        json!({ "ios": true }),
        &[
            "spec.ios: Invalid value: \"boolean\": spec.ios in body must be of type integer,string: \"boolean\"",
        ],
    );
    refuses(
        json!({ "i32": 2147483648_i64 }),
        &[
            "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.i32",
        ],
    );
    refuses(
        json!({ "nn": 1 }),
        &[
            "spec.nn: Invalid value: \"integer\": spec.nn in body must be of type string: \"integer\"",
        ],
    );
}

#[test]
fn containers_are_refused_with_recorded_messages() {
    refuses(
        json!({ "a": [] }),
        &["spec.a: Invalid value: 0: spec.a in body should have at least 1 items"],
    );
    refuses(json!({ "a": ["a", "b", "c"] }), &["spec.a: Too many: 3: must have at most 2 items"]);
    refuses(
        json!({ "a": [null] }),
        &["spec.a[0]: Invalid value: \"null\": spec.a[0] in body must be of type string: \"null\""],
    );
    refuses(json!({ "st": ["a", "a"] }), &["spec.st[1]: Duplicate value: \"a\""]);
    refuses(
        json!({ "m": [{ "k": "a" }, { "k": "a" }] }),
        &["spec.m[1]: Duplicate value: {\"k\":\"a\"}"],
    );
    refuses(json!({ "m": [{ "v": 1 }] }), &["spec.m[0].k: Required value"]);
    refuses(
        json!({ "mp": {} }),
        &["spec.mp: Invalid value: 0: spec.mp in body should have at least 1 properties"],
    );
    refuses(
        json!({ "mp": { "a": 1, "b": 2, "c": 3 } }),
        &["spec.mp: Too many: 3: must have at most 2 items"],
    );
    refuses(
        json!({ "mp": { "a": "x" } }),
        &[
            "spec.mp.a: Invalid value: \"string\": spec.mp.a in body must be of type integer: \"string\"",
        ],
    );
    refuses(json!({ "o": {} }), &["spec.o.r: Required value"]);
    let reasons: Vec<String> = validate(&recorded(), &json!({ "spec": { "o": {} } }))
        .into_iter()
        .map(|cause| cause.reason)
        .collect();
    assert_eq!(reasons, ["FieldValueRequired"]);
}

#[test]
fn branches_are_refused_with_recorded_messages() {
    refuses(
        json!({ "one": { "x": "a", "y": "b" } }),
        &[
            "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ],
    );
    refuses(
        json!({ "one": {} }),
        &[
            "<nil>: Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found none valid",
            "spec.one.x: Required value",
        ],
    );
    refuses(
        json!({ "anyf": {} }),
        &[
            "<nil>: Invalid value: \"\": \"spec.anyf\" must validate at least one schema (anyOf)",
            "spec.anyf.x: Required value",
        ],
    );
    refuses(
        json!({ "nt": { "x": "a" } }),
        &["<nil>: Invalid value: \"\": \"spec.nt\" must not validate the schema (not)"],
    );
}

#[test]
fn formats_are_checked_as_recorded() {
    let refused = [
        ("date-time", "2020-01-01"),
        ("date", "2020-13-01"),
        ("uuid", "x"),
        ("ipv4", "1.2.3"),
        ("ipv4", "::1"),
        ("ipv6", "1.2.3.4"),
        ("cidr", "10.0.0.0"),
        ("uri", ":::"),
        ("email", "a"),
        ("hostname", "a.b"),
        ("hostname", "-"),
        ("duration", "5 parsecs"),
        ("byte", "***"),
        ("mac", "x"),
    ];
    for (format, text) in refused {
        let spec = Value::Object([(format.to_owned(), text.into())].into_iter().collect());
        let message = format!(
            "spec.{format}: Invalid value: \"{text}\": spec.{format} in body must be of type {format}: \"{text}\""
        );
        refuses(spec, &[&message]);
    }
    let accepted = json!({
        "date-time": "2020-01-01T00:00:00.5+01:00", "date": "2020-01-01",
        "uuid": "01234567-89ab-cdef-0123-456789abcdef", "ipv4": "1.2.3.4", "ipv6": "::1",
        "cidr": "10.0.0.0/8", "uri": "http://a", "email": "a@b.c", "hostname": "a.example",
        "duration": "1h30m", "byte": "YQ==", "mac": "01:23:45:67:89:ab",
    });
    refuses(accepted, &[]);
}

#[test]
fn valid_values_are_accepted() {
    refuses(
        json!({
            "s": "ok", "p": "ok", "e": "a", "i": 5, "xi": 5, "mu": 6, "f": 1.5, "b": true, "a": ["a"],
            "st": ["a", "b"], "m": [{ "k": "a" }, { "k": "b", "v": 1 }], "mp": { "a": 1 },
            "o": { "r": "x" }, "ios": "a", "nn": null, "i32": 1, "one": { "x": "a" },
            "anyf": { "x": "a" }, "nt": {},
        }),
        &[],
    );
}

#[test]
fn pruning_reports_and_removes_unknown_fields() {
    let schema = recorded();
    let mut object = json!({
        "apiVersion": "a/v1", "kind": "W", "metadata": { "name": "x", "zz": 1 }, "top": 1,
        "spec": { "s": "ok", "zz": 1, "m": [{ "k": "a", "b": 1 }], "mp": { "any": 1 } },
    });
    let mut removed = prune(&schema, &mut object);
    removed.sort_unstable();
    assert_eq!(removed, ["metadata.zz", "spec.m[0].b", "spec.zz", "top"]);
    assert_eq!(
        object,
        json!({
            "apiVersion": "a/v1", "kind": "W", "metadata": { "name": "x" },
            "spec": { "s": "ok", "m": [{ "k": "a" }], "mp": { "any": 1 } },
        })
    );
    assert!(prune(&schema, &mut object).is_empty());
}

#[test]
fn pruning_keeps_what_is_preserved_and_looks_below_it() {
    let schema = widget(json!({
        "open": { "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": { "known": { "type": "object" } } },
        "embedded": { "type": "object", "x-kubernetes-embedded-resource": true,
            "properties": { "spec": { "type": "object" } } },
    }));
    let mut object = json!({ "spec": {
        "open": { "any": { "x": 1 }, "known": { "gone": 1 } },
        "embedded": { "apiVersion": "v1", "kind": "K", "metadata": { "name": "n" }, "gone": 1 },
    } });
    let mut removed = prune(&schema, &mut object);
    removed.sort_unstable();
    assert_eq!(removed, ["spec.embedded.gone", "spec.open.known.gone"]);
    assert_eq!(object["spec"]["open"]["any"]["x"], 1);
    assert_eq!(object["spec"]["embedded"]["metadata"]["name"], "n");
}

#[test]
fn defaults_replace_absence_and_null_but_not_nullable_null() {
    let schema = widget(json!({
        "replicas": { "type": "integer", "default": 1 },
        "nullable": { "type": "string", "nullable": true, "default": "x" },
        "plain": { "type": "string" },
        "nested": { "type": "object", "default": {}, "properties": {
            "mode": { "type": "string", "default": "fast" } } },
        "items": { "type": "array", "items": { "type": "object", "properties": {
            "port": { "type": "integer", "default": 80 } } } },
    }));
    let mut object =
        json!({ "spec": { "replicas": null, "nullable": null, "plain": null, "items": [{}] } });
    default(&schema, &mut object);
    let expected = json!({
        "replicas": 1, "nullable": null, "nested": { "mode": "fast" }, "items": [{ "port": 80 }],
    });
    assert_eq!(object["spec"], expected);
}

#[test]
fn defaulting_needs_the_parent_to_exist() {
    let mut object = json!({});
    default(&widget(json!({ "a": { "type": "string", "default": "x" } })), &mut object);
    assert_eq!(object, json!({}), "spec itself has no default");
}

#[test]
fn whole_floats_become_integers() {
    let mut object = json!({ "spec": { "i": 1.0, "f": 1.5 } });
    default(&recorded(), &mut object);
    assert_eq!(object["spec"]["i"].as_i64(), Some(1));
    assert_eq!(object["spec"]["f"].as_f64(), Some(1.5));
}

#[test]
fn equal_subtrees_are_one_node() {
    let repeated = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let schema = widget(json!({ "x": repeated, "y": repeated, "z": repeated }));
    assert_eq!(schema.arena.len(), 4, "string, repeated, spec, root");
}

#[test]
fn documents_survive_a_round_trip() {
    let document = recorded().to_openapi();
    let again = Schema::from_openapi(&document).expect("structural");
    assert_eq!(again.to_openapi(), document);
    let machines = crate::api::definitions::definitions();
    for definition in machines {
        let document = definition.schema.to_openapi();
        let again = Schema::from_openapi(&document).expect("upstream's schemas are structural");
        assert_eq!(again.to_openapi(), document, "{}", definition.kind);
    }
}

fn built_in(plural: &str) -> Schema {
    let mut all = builtin::definitions().into_iter().filter(|one| &*one.plural == plural);
    all.next().expect("served").schema
}

#[test]
fn built_in_types_are_checked_as_go_decodes_them() {
    let schema = built_in("deployments");
    let object = json!({ "spec": { "replicas": "x", "template": { "spec": { "containers": [
        { "name": "c", "env": [{ "name": "a", "value": 1 }], "ports": [{ "containerPort": 5000000000_i64 }] },
    ] } } } });
    let mut messages: Vec<String> =
        validate(&schema, &object).into_iter().map(|cause| cause.message).collect();
    messages.sort_unstable();
    assert_eq!(
        messages,
        [
            "json: cannot unmarshal number 5000000000 into Go struct field ContainerPort.spec.template.spec.containers.ports.containerPort of type int32",
            "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ]
    );
    let maps = built_in("configmaps");
    let found = validate(&maps, &json!({ "data": "x", "immutable": "y" }));
    assert!(found.iter().any(|cause| cause.message
        == "json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string"));
    let found = validate(&maps, &json!({ "data": { "a": 1 } }));
    assert_eq!(
        found[0].message,
        "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
    );
}

#[test]
fn built_in_presence_and_nulls_are_not_the_schemas_business() {
    let schema = built_in("pods");
    let mut object =
        json!({ "metadata": { "creationTimestamp": null }, "spec": { "containers": null } });
    assert_eq!(validate(&schema, &object), []);
    default(&schema, &mut object);
    assert_eq!(object, json!({ "metadata": {}, "spec": {} }));
}

#[test]
fn built_in_unknown_fields_are_found_deeply() {
    let schema = built_in("deployments");
    let mut object = json!({ "metadata": { "zz": 1 }, "spec": { "zz": 1, "template": { "spec": {
        "containers": [{ "name": "c", "imagePullpolicy": "x", "resources": { "limits": { "cpu": 1 } } }],
    } } } });
    let mut removed = prune(&schema, &mut object);
    removed.sort_unstable();
    let deep = "spec.template.spec.containers[0].imagePullpolicy";
    assert_eq!(removed, ["metadata.zz", deep, "spec.zz"]);
    assert_eq!(validate(&schema, &object), []);
}

#[test]
fn quantities_are_checked() {
    let schema = built_in("pods");
    let with = |cpu: Value| json!({ "spec": { "containers": [{ "resources": { "limits": { "cpu": cpu } } }] } });
    for good in [json!("100m"), json!("1Gi"), json!(2), json!("1e3"), json!("0.5")] {
        assert_eq!(validate(&schema, &with(good)), []);
    }
    assert_eq!(validate(&schema, &with(json!("much"))).len(), 1);
}

#[test]
fn recursive_shapes_are_finite() {
    let schema = built_in("customresourcedefinitions");
    let spec = schema.root().property("spec").and_then(|spec| spec.property("versions"));
    let node =
        spec.and_then(|versions| versions.items()).and_then(|version| version.property("schema"));
    let mut node = node.and_then(|schema| schema.property("openAPIV3Schema")).expect("schema");
    for _ in 0..100 {
        node = node.property("not").expect("recursive");
    }
    assert!(schema.components().len() > 10);
}

#[test]
fn valid_machine_passes_unchanged() {
    let machines = crate::api::definitions::definitions().into_iter();
    let mut machines = machines.filter(|definition| &*definition.kind == "Machine");
    let schema = machines.next().expect("served").schema;
    let condition = json!({ "type": "Ready", "status": "True", "reason": "Ready", "message": "x".repeat(60),
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3 });
    let conditions: Vec<Value> = (0..16)
        .map(|number| {
            let mut condition = condition.clone();
            condition["type"] = format!("Condition{number}").into();
            condition
        })
        .collect();
    let mut machine = json!({
        "apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine",
        "metadata": { "name": "m", "labels": { "a": "b" }, "managedFields": [{ "fieldsV1": {} }] },
        "spec": { "clusterName": "c", "version": "v1.35.0", "bootstrap": { "dataSecretName": "s" },
            "infrastructureRef": { "apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DevMachine", "name": "m" } },
        "status": { "conditions": conditions, "phase": "Running" },
    });
    let given = machine.clone();
    assert_eq!(prune(&schema, &mut machine), Vec::<String>::new());
    default(&schema, &mut machine);
    assert_eq!(validate(&schema, &machine), []);
    assert_eq!(machine, given);
}
