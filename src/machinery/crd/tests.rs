use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn widget(schema: Value) -> Value {
    json!({
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "kind": "Widget" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": schema } } } }],
        },
    })
}

/// Field (with `$` for the schema), message and short reason of the first cause.
fn refusal(crd: &Value) -> (String, String, String) {
    let mut crd = crd.clone();
    set_defaults(&mut crd);
    crd["status"]["storedVersions"] = json!(["v1"]);
    let causes = validate(&crd, None);
    let cause = causes.into_iter().next().expect("a cause");
    (cause.field.replace("spec.validation.openAPIV3Schema", "$"), cause.message, cause.reason)
}

#[track_caller]
fn refuses(schema: Value, field: &str, message: &str) {
    let (found_field, found_message, _) = refusal(&widget(schema));
    assert_eq!((found_field.as_str(), found_message.as_str()), (field, message));
}

#[test]
fn names_and_columns_have_defaults() {
    let definitions = definitions_of(&widget(json!({ "type": "object" }))).expect("valid");
    let definition = &definitions[0];
    assert_eq!((&*definition.singular, &*definition.list_kind), ("widget", "WidgetList"));
    assert_eq!(&*definition.columns[0].name, "Age");
    assert!(!definition.subresources.status);
}

#[test]
fn storage_version_comes_first_and_others_say_whether_they_are_served() {
    let mut crd = widget(json!({ "type": "object" }));
    let version = crd["spec"]["versions"][0].clone();
    for (name, served) in [("v1alpha1", false), ("v1beta1", true)] {
        let mut other = version.clone();
        other["name"] = name.into();
        other["served"] = served.into();
        other["storage"] = false.into();
        crd["spec"]["versions"].as_array_mut().expect("list").insert(0, other);
    }
    let definitions = definitions_of(&crd).expect("valid");
    let versions: Vec<_> =
        definitions.iter().map(|it| (&*it.version, it.serving.served, it.serving.stored)).collect();
    let expected = [("v1", true, true), ("v1beta1", true, false), ("v1alpha1", false, false)];
    assert_eq!(versions, expected);
}

#[test]
fn deprecated_versions_name_the_best_other() {
    let mut crd = widget(json!({ "type": "object" }));
    let version = crd["spec"]["versions"][0].clone();
    for (name, warning) in [("v1alpha1", None), ("v2alpha1", Some("do not"))] {
        let mut other = version.clone();
        other["name"] = name.into();
        other["storage"] = false.into();
        other["deprecated"] = true.into();
        if let Some(warning) = warning {
            other["deprecationWarning"] = warning.into();
        }
        crd["spec"]["versions"].as_array_mut().expect("list").push(other);
    }
    let definitions = definitions_of(&crd).expect("valid");
    let warnings: Vec<_> =
        definitions.iter().map(|it| it.serving.deprecation.as_deref().unwrap_or("")).collect();
    let better = "example.com/v1alpha1 Widget is deprecated; use example.com/v1 Widget";
    assert_eq!(warnings, ["", better, "do not"]);
}

#[test]
fn schemas_that_are_not_structural_are_refused_as_upstream_does() {
    refuses(
        json!({ "properties": { "a": { "type": "string" } } }),
        "$.properties[spec].type",
        "Required value: must not be empty for specified object fields",
    );
    refuses(
        json!({ "type": "bogus" }),
        "$.properties[spec].type",
        "Unsupported value: \"bogus\": supported values: \"array\", \"boolean\", \"integer\", \
         \"number\", \"object\", \"string\"",
    );
    refuses(
        json!({ "type": "array" }),
        "$.properties[spec].items",
        "Required value: must be specified",
    );
    refuses(
        json!({ "type": "object", "not": { "type": "string" } }),
        "$.properties[spec].not.type",
        "Forbidden: must be empty to be structural",
    );
    refuses(
        json!({ "type": "string", "pattern": "(" }),
        "$.properties[spec].pattern",
        "Invalid value: \"(\": must be a valid regular expression, but isn't: error parsing \
         regexp: missing closing ): `(`",
    );
    refuses(
        json!({ "type": "string", "pattern": "^(?!x)" }),
        "$.properties[spec].pattern",
        "Invalid value: \"^(?!x)\": must be a valid regular expression, but isn't: error parsing \
         regexp: invalid or unsupported Perl syntax: `(?!`",
    );
    refuses(
        json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "bogus" }),
        "$.properties[spec].x-kubernetes-list-type",
        "Unsupported value: \"bogus\": supported values: \"atomic\", \"set\", \"map\"",
    );
    refuses(
        json!({ "type": "object", "properties": { "a": { "$ref": "#/x" } } }),
        "$.properties[spec].properties[a].$ref",
        "Forbidden: $ref is not supported",
    );
}

#[test]
fn defaults_must_fit_their_schema() {
    refuses(
        json!({ "type": "string", "default": 1 }),
        "$.properties[spec].default",
        "Invalid value: \"integer\":  in body must be of type string: \"integer\"",
    );
}

#[test]
fn selectable_fields_must_be_declared_scalars() {
    let mut crd = widget(json!({ "type": "object", "properties": { "a": { "type": "string" } } }));
    crd["spec"]["versions"][0]["selectableFields"] = json!([{ "jsonPath": ".spec.a" }]);
    let definitions = definitions_of(&crd).expect("valid");
    assert_eq!(&*definitions[0].selectable_fields[0], "spec.a");
    crd["spec"]["versions"][0]["selectableFields"] = json!([{ "jsonPath": ".spec.zz" }]);
    let (field, message, _) = refusal(&crd);
    assert_eq!(field, "spec.selectableFields[0].jsonPath");
    assert_eq!(
        message,
        "Invalid value: \".spec.zz\": is an invalid path: does not refer to a valid field"
    );
}

#[test]
fn names_are_checked() {
    let mut crd = widget(json!({ "type": "object" }));
    crd["metadata"]["name"] = "other.x".into();
    crd["spec"]["scope"] = "Bogus".into();
    crd["status"]["storedVersions"] = json!(["v1"]);
    set_defaults(&mut crd);
    let causes = validate(&crd, None);
    let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, ["metadata.name", "spec.scope"]);
}

#[test]
fn manifest_and_definitions_are_inverse() {
    let mut crd = widget(json!({
        "type": "object",
        "required": ["a"],
        "properties": { "a": { "type": "string", "default": "x", "pattern": "^x$" } },
    }));
    crd["spec"]["versions"][0]["subresources"] = json!({ "status": {}, "scale": { "specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n" } });
    let definitions = definitions_of(&crd).expect("valid");
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let manifest = manifest(&[&definitions[0]], &labels);
    assert_eq!(manifest["metadata"]["labels"]["a"], "b");
    assert_eq!(manifest["spec"]["versions"][0]["schema"], crd["spec"]["versions"][0]["schema"]);
    let again = definitions_of(&manifest).expect("valid");
    assert_eq!(again[0].subresources, definitions[0].subresources);
    assert_eq!(format!("{:?}", again[0].columns), format!("{:?}", definitions[0].columns));
}
