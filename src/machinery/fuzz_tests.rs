//! Hostile inputs for every parser of the room: whatever comes is read or refused, without a panic,
//! a deep stack or an unbounded time.

use serde_json::{Value, json};

use super::cel::{Activation, CostBudget, Environment, Program, RUNTIME_BUDGET, Type, Val};
use super::definition::ResourceDefinition;
use super::field_path::PathElement;
use super::jsonpath::JsonPath;
use super::managed_fields::{self, FieldSet, Force, Others, Writer};
use super::patch::json::JsonPatch;
use super::patch::{merge, strategic};
use super::quantity::Quantity;
use super::random_tests::{Draw, cases};
use super::selector::{FieldSelector, LabelSelector};
use super::{builtin, cel, crd, duration, openapi, protobuf, schema, yaml};

#[test]
fn selectors_are_read_or_refused() {
    const CORPUS: [&str; 6] = [
        "a=b,c!=d",
        "x in (a,b),y notin (c),!z",
        "example.com/name==v,n>5,m<07",
        "metadata.name=a,spec.nodeName!=b\\,c",
        "a in (,)",
        "é=ü",
    ];
    const TOKENS: [&str; 16] = [
        "(", ")", ",", "=", "==", "!=", "!", ">", "<", " in ", " notin ", "\\", "/", "a", "\t", "é",
    ];
    let read = cases("selectors", 30_000, |draw| {
        let text = draw.mutant_text(&CORPUS, &TOKENS);
        let labels = LabelSelector::parse(&text);
        let fields = FieldSelector::parse(&text);
        if let Ok(selector) = &labels {
            let again = LabelSelector::parse(&selector.to_string());
            assert_eq!(again.as_ref(), Ok(selector), "{text:?}");
            selector.matches_by(|key| (key == "a").then_some("b"));
        }
        if let Ok(selector) = &fields {
            let again = FieldSelector::parse(&selector.to_string()).unwrap();
            assert_eq!(again.iter().count(), selector.iter().count(), "{text:?}");
            selector.matches_by(|path| path.to_owned());
        }
        labels.is_ok() || fields.is_ok()
    });
    assert!(read > 0);
}

#[test]
fn quantities_and_durations_are_read_or_refused() {
    const CORPUS: [&str; 8] = [
        "100m",
        "1.5Gi",
        "-2e3",
        "+.5E",
        "1h30m5.25s",
        "-1.5ms",
        "99999999999999999999Ei",
        "1e-18",
    ];
    const TOKENS: [&str; 14] = [
        "0",
        "9",
        ".",
        "-",
        "+",
        "e",
        "E",
        "Ki",
        "m",
        "µs",
        "h",
        "s",
        "n",
        "000000000000000000000",
    ];
    let read = cases("quantities and durations", 60_000, |draw| {
        let text = draw.mutant_text(&CORPUS, &TOKENS);
        let quantity = Quantity::parse(&text);
        if let Ok(quantity) = &quantity {
            let shown = quantity.to_string();
            let again =
                Quantity::parse(&shown).unwrap_or_else(|_| panic!("{text} shows as {shown}"));
            assert_eq!(again.to_string(), shown, "{text}");
            let _ = (quantity.value(), quantity.milli_value(), quantity.rounded_to_milli());
            let _ =
                (quantity.plus(&again), quantity.checked_add(again), quantity.approximate_float());
        }
        let nanoseconds = duration::parse_nanoseconds(&text);
        if let Ok(duration) = duration::parse(&text) {
            assert!(nanoseconds.is_ok(), "{text}");
            assert_eq!(duration::parse(&duration::format(duration)), Ok(duration), "{text}");
        }
        quantity.is_ok() || nanoseconds.is_ok()
    });
    assert!(read > 0);
}

#[test]
fn times_are_read_or_refused() {
    const CORPUS: [&str; 8] = [
        "2026-01-01T00:00:00Z",
        "2026-02-29T23:59:60.999999999+14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.123456Z",
        "2024-02-29T12:00:00.5-23:59",
        "2026-01-01 00:00:00",
        "2026-01-01t00:00:00z[Europe/Berlin]",
        "-000001-12-31T00:00:00Z",
    ];
    const TOKENS: [&str; 14] = [
        "0",
        "9",
        "-",
        "+",
        ":",
        ".",
        ",",
        "T",
        "Z",
        "z",
        " ",
        "24",
        "60",
        "000000000000000000000",
    ];
    let (lease, pod) = (definition("Lease"), definition("Pod"));
    let environment = Environment::new().with("self", Type::String);
    let expression = "timestamp(self) > timestamp(0) && timestamp(self).getFullYear() > 0";
    let program = Program::compile(&environment, expression).unwrap();
    let read = cases("times", 60_000, move |draw| {
        let text = draw.mutant_text(&CORPUS, &TOKENS);
        let lease_of =
            json!({"spec": {"renewTime": text}, "metadata": {"creationTimestamp": text}});
        let pod_of = json!({"status": {"startTime": text}});
        let mut any = false;
        for (definition, mut object) in [(&lease, lease_of), (&pod, pod_of)] {
            let schema = &definition.schema;
            if !schema::validate(schema, &object).is_empty() {
                continue;
            }
            any = true;
            schema::canonicalise(schema, &mut object);
            let once = object.clone();
            schema::canonicalise(schema, &mut object);
            assert_eq!(object, once, "{text:?}");
            assert_eq!(schema::validate(schema, &once), [], "{text:?}");
            let api_version = super::gvk::join_api_version(&definition.group, &definition.version);
            object["apiVersion"] = api_version.into();
            object["kind"] = (*definition.kind).into();
            let encoded = protobuf::encode(object.to_string().as_bytes()).unwrap();
            // Years beyond 9999 have no text, and Go's zero time is shown as null.
            let decoded = protobuf::decode(&encoded).unwrap_or_default();
            let shown = &decoded["spec"]["renewTime"];
            assert!(shown.is_null() || *shown == once["spec"]["renewTime"], "{text:?}");
        }
        let value = Value::from(text);
        let activation = Activation::new().with("self", Val::json(&value));
        let _ = program.evaluate(&activation, &mut CostBudget::new(RUNTIME_BUDGET));
        any
    });
    assert!(read > 0);
}

#[test]
fn json_paths_are_read_or_refused() {
    const CORPUS: [&str; 9] = [
        "{.spec.items[0].name}",
        ".spec.items[*].name",
        ".spec['a','b']",
        ".items[?(@.name==\"a\")].n",
        ".items[-1:0:2]",
        "..name",
        ".a\\.b[1:]",
        ".items[?(@.n>=1.5)]",
        "$.spec.*",
    ];
    const TOKENS: [&str; 20] = [
        "[", "]", "(", ")", "?", "@", ".", "..", "*", "'", "\"", ":", "-1", "==", "\\", "{", "}",
        ",", "[?(@", "..a",
    ];
    let object =
        json!({"spec": {"items": [{"name": "a", "n": 1}, {"name": "b"}, null, "x"], "a.b": []}});
    let read = cases("JSON paths", 30_000, move |draw| {
        let text = draw.mutant_text(&CORPUS, &TOKENS);
        let Ok(path) = JsonPath::parse(&text) else { return false };
        let found = path.evaluate(&object);
        assert!(found.len() <= 1 << 20, "{text:?} finds {}", found.len());
        assert_eq!(path.first(&object), found.first().copied(), "{text:?}");
        true
    });
    assert!(read > 0);
}

#[test]
fn yaml_is_read_or_refused() {
    const CORPUS: [&str; 7] = [
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  a: |\n    text\n  b: >-\n    folded\n",
        "a: &x [1, 2.5, 0x1F, ~, yes, .inf, 1e3]\nb: *x\n<<: {c: d}\n",
        "- {a: 'it''s', b: \"\\u00e9\\n\"}\n- ? key\n  : value\n- !!str 1\n",
        "%YAML 1.2\n---\na: 2026-01-01T00:00:00Z\n...\n---\nb: 1\n",
        "{\"a\": [1, {\"b\": null}]}",
        "a: b: c\n",
        "# comment\na:\n\t- b\n",
    ];
    const TOKENS: [&str; 24] = [
        "- ",
        ": ",
        "\n",
        "\n  ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "'",
        "\"",
        "|\n",
        ">+2\n",
        "!!binary ",
        "!x ",
        "<<: ",
        "? ",
        "---\n",
        "...\n",
        "%",
        "\t",
        "#",
    ];
    let read = cases("YAML", 20_000, |draw| {
        let text = draw.mutant_text(&CORPUS, &TOKENS);
        let Ok(document) = yaml::parse(&text) else { return false };
        assert!(document.value.to_string().len() < 1 << 20, "{} bytes grow", text.len());
        true
    });
    assert!(read > 0);
}

#[test]
fn expressions_are_compiled_or_refused_and_end() {
    const CORPUS: [&str; 10] = [
        "self.items.all(x, x.name.matches('^[a-z]+$') && x.n in [1, 2, 3])",
        "has(self.a) ? self.a.startsWith('x') : size(self.items) < 10u",
        "self.items.map(x, x.name).filter(n, n != '').exists_one(n, n == 'a')",
        "duration('1h') + timestamp('2026-01-01T00:00:00Z') > timestamp(0)",
        "quantity('1Gi').isGreaterThan(quantity('1M')) || !isURL('https://x')",
        "'%s-%d'.format(['a', 1]) == \"a\\u00e9\\x41\" + r'\\d' + b'x'.size().string()",
        "optional.of(self.?a.orValue({})[?'b']).hasValue()",
        "[[1, 2], [3]].map(x, x.sum()).sum() * -9223372036854775807 / 0",
        "{'a': self, 'b': dyn(1.5e300)}.b == 1e300 * 1.5",
        "cidr('10.0.0.0/8').containsIP(ip('10.1.2.3')) && semver('1.2.3').major() == 1",
    ];
    const TOKENS: [&str; 26] = [
        "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "!", "-", "&&", "||", "==", " in ",
        "self", "x", "1u", "1e9", "'a'", ".map(x, ", ".all(i, ", "[0]", "\"\"\"", "\\",
    ];
    let object = json!({"a": "xyz", "items": [{"name": "a", "n": 1}, {"name": "b"}, {}]});
    let compiled = cases("CEL", 15_000, move |draw| {
        let text = draw.mutant_text(&CORPUS, &TOKENS);
        let environment = Environment::new().with("self", Type::Dyn);
        let Ok(program) = Program::compile(&environment, &text) else { return false };
        let activation = Activation::new().with("self", Val::json(&object));
        // A budget far below that of a request: what it bounds is time.
        let limit = RUNTIME_BUDGET / 100;
        let _ = program.evaluate(&activation, &mut CostBudget::new(limit));
        true
    });
    assert!(compiled > 0);
}

const PATCHES: [&str; 6] = [
    r#"[{"op":"add","path":"/spec/a","value":{"b":[1]}},{"op":"move","from":"/spec/a","path":"/x~1y"}]"#,
    r#"[{"op":"copy","from":"/spec","path":"/spec/s"},{"op":"test","path":"/spec/-1","value":null}]"#,
    r#"{"spec":{"containers":[{"name":"a","image":null},{"$patch":"delete","name":"b"}],"$setElementOrder/containers":[{"name":"a"}]}}"#,
    r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["x"],"labels":{"$patch":"replace","a":"b"}},"$retainKeys":["metadata"]}"#,
    r#"{"spec":{"template":{"spec":{"volumes":[{"name":"v","$retainKeys":["name","emptyDir"],"emptyDir":{}}]}}}}"#,
    r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","labels":{"a":"b"}},"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"a","ports":[{"containerPort":80}]}]}}}}"#,
];
const PATCH_TOKENS: [&str; 18] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "\"$patch\":\"delete\",",
    "\"name\":\"a\",",
    "\"op\":\"copy\",",
    "\"$setElementOrder/a\":[],",
    "\"path\":\"/-\",",
    "1e999",
    "\"",
    "\\ud800",
    "~1",
    "{\"a\":",
    "[[",
];

/// A Deployment with something in everything that patches name.
fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "uid": "u", "finalizers": ["x", "y"], "labels": {"a": "b"}},
        "spec": {"replicas": 2, "template": {"spec": {
            "containers": [{"name": "a", "image": "1", "ports": [{"containerPort": 80}]}, {"name": "b"}],
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        }}},
    })
}

fn definition(kind: &str) -> ResourceDefinition {
    builtin::definitions().into_iter().find(|definition| &*definition.kind == kind).unwrap()
}

#[test]
fn patches_are_applied_or_refused() {
    let deployments = definition("Deployment");
    let applied = cases("patches", 20_000, move |draw| {
        let body = draw.mutant(&PATCHES, &PATCH_TOKENS);
        let schema = deployments.schema.root();
        let mut any = false;
        if let Ok(patch) = JsonPatch::parse(&body) {
            let mut object = deployment();
            any |= patch.apply(&mut object).is_ok();
        }
        let Ok(patch) = serde_json::from_slice::<Value>(&body) else { return any };
        let mut object = deployment();
        merge::apply(&mut object, &patch);
        let mut object = deployment();
        any |= strategic::apply(&mut object, &patch, schema).is_ok();
        let writer = Writer {
            manager: "m",
            subresource: "",
            api_version: "apps/v1",
            now: "2026-01-01T00:00:00Z",
            reset: &[],
        };
        let mut live = deployment();
        managed_fields::update(&Value::Null, &mut live, &writer, schema);
        for force in [Force::No, Force::Yes] {
            let applier = Writer { manager: "n", ..writer };
            let versions = (schema, &Others::new());
            let result = managed_fields::apply(Some(&live), &patch, &applier, force, versions);
            any |= result.is_ok();
        }
        any
    });
    assert!(applied > 0);
}

#[test]
fn field_sets_are_read_or_refused() {
    const CORPUS: [&str; 3] = [
        r#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"k:{\"name\":\"x\",\"port\":80}":{".":{},"f:v":{}}}}"#,
        r#"{"f:s":{"v:\"x\"":{},"v:1.5":{},"v:null":{},"i:3":{}}}"#,
        r#"{"f:a":null,"f:b":[],"k:[]":{},"":{},"f:":{"f:f:":{}}}"#,
    ];
    const TOKENS: [&str; 12] = [
        "{",
        "}",
        "\"f:",
        "\"k:{",
        "\"v:",
        "\"i:-1",
        "\":{}",
        ",",
        "\\\"",
        ".",
        "null",
        "{\"f:a\":",
    ];
    let read = cases("field sets", 30_000, |draw| {
        let body = draw.mutant_text(&CORPUS, &TOKENS);
        let _ = PathElement::parse(&body);
        let Ok(fields) = serde_json::from_str::<Value>(&body) else { return false };
        let set = FieldSet::from_json(&fields);
        assert_eq!(FieldSet::from_json(&set.to_json()), set, "{body}");
        assert!(set.difference(&set).is_empty(), "{body}");
        true
    });
    assert!(read > 0);
}

const SCHEMA: &str = r#"{"type":"object","properties":{"spec":{"type":"object","required":["n"],"properties":{
    "n":{"type":"integer","minimum":1,"default":3,"multipleOf":0.5},
    "items":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],"maxItems":3,
      "items":{"type":"object","required":["name"],"properties":{"name":{"type":"string","pattern":"^a+$"}}}},
    "set":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string","format":"date-time"}},
    "port":{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]},
    "any":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"nullable":true},
    "map":{"type":"object","additionalProperties":{"type":"number","enum":[1,2]}},
    "raw":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true}},
    "x-kubernetes-validations":[{"rule":"self.n > 0","message":"m"}]}}}"#;
const SCHEMA_TOKENS: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"type\":\"string\",",
    "\"type\":\"array\",",
    "\"nullable\":true,",
    "null",
    "-1",
    "\"default\":{},",
    "\"not\":{",
    "\"allOf\":[{",
    "\"properties\":{\"a\":{",
    "\"items\":{",
    "\"additionalProperties\":false,",
    "\"pattern\":\"(a*)*$\",",
    "\"x-kubernetes-list-type\":\"set\",",
    "1e308",
    "\"enum\":[null],",
    "\"minimum\":\"x\",",
    "\"$ref\":\"#\",",
];

/// A definition with a schema.
fn custom(schema: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "conversion": {"strategy": "None"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
        "status": {"storedVersions": ["v1"]},
    })
}

#[test]
fn definitions_are_accepted_or_refused_and_whatever_they_accept_works() {
    let whole = custom(&serde_json::from_str(SCHEMA).unwrap());
    assert_eq!(crd::validate(&whole, None), []);
    let accepted = cases("definitions", 4_000, |draw| {
        let body = draw.mutant(&[SCHEMA], &SCHEMA_TOKENS);
        let Ok(document) = serde_json::from_slice::<Value>(&body) else { return false };
        let manifest = custom(&document);
        let _ = crd::warnings(&manifest, None);
        let is_valid = crd::validate(&manifest, None).is_empty();
        let Ok(definitions) = crd::definitions_of(&manifest) else {
            assert!(!is_valid, "a valid definition has schemas: {document}");
            return false;
        };
        if !is_valid {
            return false;
        }
        let definitions: Vec<&ResourceDefinition> = definitions.iter().collect();
        let schema = &definitions[0].schema;
        for _ in 0..3 {
            let mut object = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}});
            object["spec"] = draw.json(4);
            schema::prune(schema, &mut object);
            schema::default(schema, &mut object);
            let causes = schema::validate(schema, &object);
            let _ = schema::validate_update(schema, &object, &object);
            let _ = cel::rules::evaluate(schema, &object, None, &causes);
            schema::canonicalise(schema, &mut object);
        }
        let _ = openapi::v2::document(&definitions);
        let _ = schema.to_openapi();
        true
    });
    assert!(accepted > 10, "{accepted}");
}

#[test]
fn protobuf_is_read_or_refused() {
    let kinds =
        ["Pod", "Deployment", "CustomResourceDefinition", "Secret", "Lease"].map(definition);
    let read = cases("protobuf", 20_000, move |draw| {
        let mut body = b"k8s\0".to_vec();
        let definition = &kinds[draw.below(kinds.len())];
        let api_version = super::gvk::join_api_version(&definition.group, &definition.version);
        let object = json!({
            "apiVersion": api_version, "kind": *definition.kind,
            "metadata": {"name": "x", "labels": {"a": "b"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": draw.json(3), "data": {"a": "Yg=="}, "type": "Opaque",
        });
        if let Ok(valid) = protobuf::encode(object.to_string().as_bytes()) {
            body = valid;
        }
        for _ in 0..draw.below(4) {
            disturb(draw, &mut body);
        }
        protobuf::decode(&body).is_ok_and(|decoded| {
            // What was read can be written again, and is then the same.
            let again = protobuf::encode(decoded.to_string().as_bytes());
            let again = again.unwrap_or_else(|error| panic!("{error}: {decoded}"));
            assert_eq!(protobuf::decode(&again).as_ref(), Ok(&decoded));
            true
        })
    });
    assert!(read > 0);
}

/// Changes one byte or more behind the magic ones.
fn disturb(draw: &mut Draw, body: &mut Vec<u8>) {
    if body.len() < 6 {
        return;
    }
    let at = 4 + draw.below(body.len() - 4);
    let end = (at + draw.below(16)).min(body.len());
    match draw.below(6) {
        0 => body[at] = draw.byte(),
        1 => body[at] ^= 1 << draw.below(8),
        2 => drop(body.drain(at..end)),
        3 => {
            let again = body[at..end].repeat(1 + draw.below(50));
            drop(body.splice(at..at, again));
        }
        4 => body.truncate(at),
        _ => drop(body.splice(at..at, [draw.byte()])),
    }
}
