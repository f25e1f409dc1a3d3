use serde_json::{Value, json};

use super::*;
use crate::machinery::schema::validate_update;

fn schema(properties: Value) -> Schema {
    let document = json!({ "type": "object", "properties": { "spec": {
        "type": "object", "properties": properties } } });
    Schema::from_openapi(&document).expect("structural")
}

/// Fields and messages of all causes.
fn found(schema: &Schema, new: &Value, old: Option<&Value>) -> Vec<(String, String)> {
    let (new, old) = (json!({ "spec": new }), old.map(|old| json!({ "spec": old })));
    let outcome = evaluate(schema, &new, old.as_ref(), &[]);
    outcome.causes.into_iter().map(|cause| (cause.field, cause.message)).collect()
}

fn pair(field: &str, message: &str) -> (String, String) {
    (field.to_owned(), message.to_owned())
}

#[test]
fn rules_are_evaluated_where_they_stand() {
    let schema = schema(json!({
        "n": { "type": "integer", "x-kubernetes-validations": [{ "rule": "self < 3" }] },
        "l": { "type": "array", "items": { "type": "string", "x-kubernetes-validations":
            [{ "rule": "self != 'x'", "message": " no x " }] } },
        "m": { "type": "object", "additionalProperties": { "type": "object",
            "properties": { "v": { "type": "integer" } },
            "x-kubernetes-validations":
            [{ "rule": "self.v > 0", "reason": "FieldValueForbidden", "fieldPath": ".v" }] } },
        "d": { "type": "string", "format": "duration",
            "x-kubernetes-validations": [{ "rule": "self < duration('1h')" }] },
        "e": { "type": "string", "x-kubernetes-validations":
            [{ "rule": "self == 'a'", "messageExpression": "'got ' + self" }] },
        "q": { "type": "string", "x-kubernetes-validations":
            [{ "rule": "quantity(self).isGreaterThan(quantity('1'))" }] },
    }));
    let good =
        json!({ "n": 2, "l": ["a"], "m": { "k": { "v": 1 } }, "d": "5m", "e": "a", "q": "2" });
    assert_eq!(found(&schema, &good, None), []);
    let bad =
        json!({ "n": 3, "l": ["a", "x"], "m": { "k": { "v": 0 } }, "d": "2h", "e": "b", "q": "y" });
    let mut causes = found(&schema, &bad, None);
    causes.sort();
    assert_eq!(
        causes,
        [
            pair("spec.d", "Invalid value: \"2h\": failed rule: self < duration('1h')"),
            pair("spec.e", "Invalid value: \"b\": got b"),
            pair("spec.l[1]", "Invalid value: \"x\": no x"),
            pair("spec.m[k].v", "Forbidden: failed rule: self.v > 0"),
            pair("spec.n", "Invalid value: 3: failed rule: self < 3"),
            pair(
                "spec.q",
                "Invalid value: \"string\": quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' evaluating rule: \
                 quantity(self).isGreaterThan(quantity('1'))"
            ),
        ]
    );
}

#[test]
fn transition_rules_see_what_corresponds() {
    let schema = schema(json!({
        "a": { "type": "string", "x-kubernetes-validations":
            [{ "rule": "self == oldSelf", "message": "is immutable" }] },
        "m": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": { "type": "object", "required": ["k"],
                "properties": { "k": { "type": "string" }, "v": { "type": "integer" } },
                "x-kubernetes-validations": [{ "rule": "self.v >= oldSelf.v", "message": "grows" }] } },
        "o": { "type": "string", "x-kubernetes-validations": [{
            "rule": "oldSelf.hasValue() || self == 'init'", "optionalOldSelf": true,
            "message": "starts as init" }] },
    }));
    let old = json!({ "a": "x", "m": [{ "k": "1", "v": 1 }, { "k": "2", "v": 2 }], "o": "init" });
    assert_eq!(found(&schema, &old, None), []);
    let new = json!({ "a": "y", "m": [{ "k": "2", "v": 1 }, { "k": "3", "v": 0 }], "o": "later" });
    let mut causes = found(&schema, &new, Some(&old));
    causes.sort();
    assert_eq!(
        causes,
        [
            pair("spec.a", "Invalid value: \"y\": is immutable"),
            pair("spec.m[0]", "Invalid value: grows"),
        ]
    );
    let causes = found(&schema, &json!({ "o": "later" }), None);
    assert_eq!(causes, [pair("spec.o", "Invalid value: \"later\": starts as init")]);
}

#[test]
fn unchanged_values_are_not_reported_again() {
    let schema = schema(json!({
        "a": { "type": "string", "maxLength": 1, "x-kubernetes-validations": [{ "rule": "self == 'a'" }] },
        "b": { "type": "string" },
    }));
    let old = json!({ "spec": { "a": "bad", "b": "1" } });
    let new = json!({ "spec": { "a": "bad", "b": "2" } });
    assert_eq!(validate_update(&schema, &new, &old), []);
    let outcome = evaluate(&schema, &new, Some(&old), &[]);
    assert!(outcome.causes.is_empty());
    assert_eq!(outcome.warnings, ["spec.a: Invalid value: \"bad\": failed rule: self == 'a'"]);
    let changed = json!({ "spec": { "a": "worse", "b": "1" } });
    assert_eq!(validate_update(&schema, &changed, &old).len(), 1);
    assert_eq!(evaluate(&schema, &changed, Some(&old), &[]).causes.len(), 1);
}

#[test]
fn only_names_of_metadata_can_be_seen() {
    let rule = |rule: &str| {
        let document = json!({ "type": "object", "x-kubernetes-validations": [{ "rule": rule }] });
        Schema::from_openapi(&document).expect("structural")
    };
    let schema = rule("self.metadata.name == 'a' && self.kind == 'Widget'");
    assert_eq!(check(&schema, "p"), []);
    let object = json!({ "kind": "Widget", "metadata": { "name": "a", "labels": {} } });
    assert!(evaluate(&schema, &object, None, &[]).causes.is_empty());
    let causes = check(&rule("size(self.metadata.labels) == 0"), "p");
    assert!(causes[0].message.contains("undefined field 'labels'"), "{causes:?}");
}

#[test]
fn what_cannot_be_compiled_is_refused_as_upstream_does() {
    let message = |property: Value| {
        let causes = check(&schema(json!({ "a": property })), "$");
        causes.into_iter().map(|cause| (cause.field, cause.message)).collect::<Vec<_>>()
    };
    let of = |kind: &str, rule: Value| {
        message(json!({ "type": kind, "x-kubernetes-validations": [rule] }))
    };
    let field =
        |name: &str| format!("$.properties[spec].properties[a].x-kubernetes-validations[0].{name}");
    assert_eq!(
        of("string", json!({ "rule": "self > 1" })),
        [(
            field("rule"),
            "Invalid value: {\"Rule\":\"self \\u003e 1\",\"Message\":\"\",\"MessageExpression\":\"\",\
             \"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}: compilation failed: ERROR: \
             <input>:1:6: found no matching overload for '_>_' applied to '(string, int)'\n | self > \
             1\n | .....^"
                .to_owned()
        )]
    );
    let optional = of("string", json!({ "rule": "true", "optionalOldSelf": true }));
    assert_eq!(
        optional,
        [(
            field("optionalOldSelf"),
            "Invalid value: true: may not be set if oldSelf is not used in rule".to_owned()
        )]
    );
    let list = message(json!({ "type": "array", "items": { "type": "string",
        "x-kubernetes-validations": [{ "rule": "self == oldSelf" }] } }));
    let uncorrelatable = "oldSelf cannot be used on the uncorrelatable portion of the schema \
                          within $.properties[spec].properties[a]";
    assert!(list.iter().any(|(_, message)| message.ends_with(uncorrelatable)), "{list:?}");
    let costly = message(json!({ "type": "array", "items": { "type": "string" },
        "x-kubernetes-validations": [{ "rule": "self.all(x, self.all(y, self.all(z, x == y && y == z)))" }] }));
    assert_eq!(costly.len(), 3);
    assert!(costly[0].1.starts_with(
        "Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying"
    ));
    let bounded = message(json!({ "type": "array", "maxItems": 10,
        "items": { "type": "string", "maxLength": 10 },
        "x-kubernetes-validations": [{ "rule": "self.all(x, self.all(y, self.all(z, x == y && y == z)))" }] }));
    assert_eq!(bounded, []);
}

#[test]
fn invalid_objects_are_not_evaluated() {
    let schema = schema(
        json!({ "a": { "type": "string", "x-kubernetes-validations": [{ "rule": "false" }] } }),
    );
    let broken = [crate::machinery::status::Cause::required("spec.b", "")];
    let outcome = evaluate(&schema, &json!({ "spec": { "a": "x" } }), None, &broken);
    assert_eq!(outcome.causes.len(), 1);
    assert_eq!(outcome.causes[0].field, "<nil>");
    assert!(outcome.causes[0].message.starts_with("Invalid value: null: some validation rules"));
}
