use serde_json::{Value, json};

use super::*;
use crate::api::topology::{ClusterClassVariable, ClusterVariable, StatusVariable};
use crate::machinery::status::Cause;

const PATH: &str = "spec.topology.variables";

fn definition(name: &str, required: bool, schema: Value) -> StatusVariable {
    serde_json::from_value(json!({"name": name, "definitions": [
        {"from": "inline", "required": required, "schema": {"openAPIV3Schema": schema}}]}))
    .expect("a definition")
}

fn value(name: &str, value: Value) -> ClusterVariable {
    ClusterVariable { name: name.into(), value }
}

fn told(causes: Vec<Cause>) -> Vec<String> {
    causes.iter().map(Cause::to_string).collect()
}

fn check(schema: Value, given: Value) -> Vec<String> {
    let definitions = [definition("v", true, schema)];
    told(validate_values(&[value("v", given)], &[], &definitions, PATH))
}

fn defined(variable: Value) -> Vec<String> {
    let variable: ClusterClassVariable = serde_json::from_value(variable).expect("a variable");
    told(validate_definitions(&[variable], "spec.variables"))
}

#[test]
fn values_must_fit_their_schema() {
    assert_eq!(check(json!({"type": "integer", "minimum": 1}), json!(2)), Vec::<String>::new());
    for (schema, given, expected) in [
        (
            json!({"type": "integer"}),
            json!("a"),
            r#"spec.topology.variables[v].value: Invalid value: "\"a\"": must be of type integer: "string""#,
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("abc"),
            r#"spec.topology.variables[v].value: Too long: may not be more than 2 bytes"#,
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            r#"spec.topology.variables[v].value: Unsupported value: "\"c\"": supported values: "a", "b""#,
        ),
        (
            json!({"type": "integer", "minimum": 3}),
            json!(1),
            r#"spec.topology.variables[v].value: Invalid value: "1": should be greater than or equal to 3"#,
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
            json!({}),
            r#"spec.topology.variables[v].value.a: Required value"#,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            json!({"a": 1}),
            r#"spec.topology.variables[v].value.a: Invalid value: "{\"a\":1}": a in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}),
            json!({"a": {"b": 1}, "c": 2}),
            r#"spec.topology.variables[v]: Invalid value: "{\"a\":{\"b\":1},\"c\":2}": failed validation: "a.b,c" field(s) are not specified in the variable schema of variable "v""#,
        ),
    ] {
        assert_eq!(check(schema.clone(), given), [expected], "{schema}");
    }
}

#[test]
fn rules_of_a_schema_see_old_values() {
    let schema = json!({"type": "integer", "x-kubernetes-validations": [
        {"rule": "self > 1", "message": "must be more than one"},
        {"rule": "self >= oldSelf", "message": "must not shrink"}]});
    let definitions = [definition("v", false, schema)];
    let check = |new: i64, old: Option<i64>| {
        let old: Vec<_> = old.into_iter().map(|old| value("v", json!(old))).collect();
        told(validate_values(&[value("v", json!(new))], &old, &definitions, PATH))
    };
    assert_eq!(check(2, None), Vec::<String>::new());
    assert_eq!(
        check(1, None),
        [r#"spec.topology.variables[v].value: Invalid value: "1": must be more than one"#]
    );
    assert_eq!(
        check(2, Some(3)),
        [r#"spec.topology.variables[v].value: Invalid value: "2": must not shrink"#]
    );
}

#[test]
fn variables_are_defined_set_once_and_there_if_required() {
    let definitions = [definition("a", true, json!({"type": "string"}))];
    let check = |values: &[ClusterVariable]| told(validate_values(values, &[], &definitions, PATH));
    assert_eq!(
        check(&[]),
        [r#"spec.topology.variables: Required value: required variable "a" must be set"#]
    );
    assert_eq!(
        check(&[value("a", json!("x")), value("b", json!(1))]),
        [r#"spec.topology.variables[b]: Invalid value: "1": variable is not defined"#]
    );
    assert_eq!(
        check(&[value("a", json!("x")), value("a", json!("y"))]),
        [
            r#"spec.topology.variables[a]: Invalid value: "\"y\"": variable "a" is set more than once"#
        ]
    );
    assert_eq!(told(validate_overrides(&[], &[], &definitions, PATH)), Vec::<String>::new());
}

#[test]
fn conflicting_definitions_are_told() {
    let mut definitions = [definition("a", false, json!({"type": "string"}))];
    definitions[0].definitions_conflict = Some(true);
    assert_eq!(
        told(validate_values(&[], &[], &definitions, PATH)),
        [
            r#"spec.topology.variables: Invalid value: "[Name: a]": variable definitions in the ClusterClass not valid: variable "a" has conflicting definitions"#
        ]
    );
}

#[test]
fn defaults_are_filled_in_and_added() {
    let object = json!({"type": "object", "default": {}, "properties": {
        "a": {"type": "string", "default": "x"}, "b": {"type": "integer"}}});
    let definitions = [
        definition("none", false, json!({"type": "string"})),
        definition("object", false, object),
        definition("text", false, json!({"type": "string", "default": "t"})),
    ];
    let values = [value("object", json!({"b": 1}))];
    assert_eq!(
        default_values(&values, &definitions, PATH),
        Ok(vec![value("object", json!({"a": "x", "b": 1})), value("text", json!("t"))])
    );
    assert_eq!(
        default_overrides(&values, &definitions, PATH),
        Ok(vec![value("object", json!({"a": "x", "b": 1}))])
    );
    assert_eq!(
        default_values(&[], &definitions, PATH),
        Ok(vec![value("object", json!({"a": "x"})), value("text", json!("t"))])
    );
    let refused = default_values(&[value("z", json!(1))], &definitions, PATH).unwrap_err();
    assert_eq!(
        told(refused),
        [r#"spec.topology.variables[z]: Invalid value: "1": variable is not defined"#]
    );
}

#[test]
fn definitions_have_names_and_structural_schemas() {
    let schema = |schema: Value| json!({"name": "v", "schema": {"openAPIV3Schema": schema}});
    assert_eq!(defined(schema(json!({"type": "string", "default": "a"}))), Vec::<String>::new());
    let at = "spec.variables[v].schema.openAPIV3Schema";
    for (given, expected) in [
        (
            json!({"type": "integer", "default": "a"}),
            format!(
                r#"{at}.default: Invalid value: "string":  in body must be of type integer: "string""#
            ),
        ),
        (
            json!({"type": "object", "properties": {"a": {}}}),
            format!(
                "{at}.properties[a].type: Required value: must not be empty for specified object fields"
            ),
        ),
        (json!({"type": "array"}), format!("{at}.items: Required value: must be specified")),
        (
            json!({"type": "string", "enum": ["a", 1]}),
            format!(
                r#"{at}.enum[1]: Invalid value: "integer":  in body must be of type string: "integer""#
            ),
        ),
        (
            json!({"type": "string", "x-metadata": {"labels": {"a b": "c"}}}),
            format!("{at}.x-metadata.labels: Invalid value: \"a b\": "),
        ),
        (
            json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self > 'a'"}]}),
            format!("{at}.x-kubernetes-validations[0].rule: Invalid value: "),
        ),
        (
            json!({"type": "integer", "default": 1,
            "x-kubernetes-validations": [{"rule": "self > 1", "message": "too small"}]}),
            format!("{at}.default: Invalid value: "),
        ),
    ] {
        let found = defined(schema(given.clone()));
        assert!(found.iter().any(|one| one.starts_with(&expected)), "{given}: {found:?}");
    }
    let named = |name: &str| {
        defined(json!({"name": name, "schema": {"openAPIV3Schema": {"type": "string"}}}))
    };
    assert_eq!(
        named("builtin"),
        [
            r#"spec.variables[builtin].name: Invalid value: "builtin": "builtin" is a reserved variable name"#
        ]
    );
    assert_eq!(
        named("a.b"),
        [r#"spec.variables[a.b].name: Invalid value: "a.b": variable name cannot contain ".""#]
    );
}
