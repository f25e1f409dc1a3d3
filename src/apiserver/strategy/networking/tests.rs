//! Rules of the group's kinds, by table.

use serde_json::{Value, json};

use super::*;
use crate::apiserver::strategy::Change;
use crate::apiserver::write::Target;

fn check(kind: &str, object: Value, expected: &[&str]) {
    let mut object = object;
    (rules(kind).default)(&mut object);
    let change = Change { new: &object, old: None, target: Target::Main };
    let said: Vec<String> =
        (rules(kind).validate)(&change).iter().map(ToString::to_string).collect();
    assert_eq!(said, expected, "{object}");
}

fn ingress(path_type: &str, path: &str, backend: &Value) -> Value {
    let path = json!({"pathType": path_type, "path": path, "backend": backend});
    json!({"metadata": {"name": "i"}, "spec": {"rules": [{"http": {"paths": [path]}}]}})
}

#[test]
fn ingresses_have_paths_and_backends() {
    let service = json!({"service": {"name": "s", "port": {"number": 80}}});
    check("Ingress", ingress("Prefix", "/", &service), &[]);
    check(
        "Ingress",
        ingress("Exact", "a//b", &service),
        &[
            "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must be an absolute path",
            "spec.rules[0].http.paths[0].path: Invalid value: \"a//b\": must not contain '//'",
        ],
    );
    check(
        "Ingress",
        ingress("Odd", "/", &json!({})),
        &[
            "spec.rules[0].http.paths[0].pathType: Unsupported value: \"Odd\": supported values: \
             \"Exact\", \"ImplementationSpecific\", \"Prefix\"",
            "spec.rules[0].http.paths[0].backend: Invalid value: \"\": resource or service \
             backend is required",
        ],
    );
    check(
        "Ingress",
        json!({"spec": {}}),
        &["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    );
    let rule = json!([{"host": "1.2.3.4"}, {"host": "*.a.com"}, {"host": "A"}]);
    let said = {
        let object = json!({"spec": {"rules": rule}});
        let change = Change { new: &object, old: None, target: Target::Main };
        (rules("Ingress").validate)(&change)
    };
    let fields: Vec<&str> = said.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, ["spec.rules[0].host", "spec.rules[2].host"]);
}

#[test]
fn classes_name_a_controller() {
    check("IngressClass", json!({"spec": {"controller": "a.io/b"}}), &[]);
    let parameters = json!({"kind": "K", "name": "n", "namespace": "x"});
    check(
        "IngressClass",
        json!({"spec": {"controller": "b", "parameters": parameters}}),
        &[
            "spec.controller: Invalid value: \"b\": must be a domain-prefixed path (such as \
             \"acme.io/foo\")",
            "spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'",
        ],
    );
}

#[test]
fn policies_get_their_types_and_are_checked() {
    let mut policy = json!({"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 1}]}]}});
    default_policy(&mut policy);
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(policy["spec"]["egress"][0]["ports"][0]["protocol"], "TCP");
    let block = json!({"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]});
    let ports = json!([{"port": 10, "endPort": 5}, {"port": "UPPER"}]);
    let rule = json!({"from": [{"ipBlock": block}, {}], "ports": ports});
    check(
        "NetworkPolicy",
        json!({"spec": {"podSelector": {}, "ingress": [rule]}}),
        &[
            "spec.ingress[0].ports[0].endPort: Invalid value: 10: must be greater than or equal to \
             `port`",
            "spec.ingress[0].ports[1].port: Invalid value: \"UPPER\": must contain only \
             alpha-numeric characters (a-z, 0-9), and hyphens (-)",
            "spec.ingress[0].ports[1].port: Invalid value: \"UPPER\": must contain at least one \
             letter (a-z)",
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a \
             strict subset of `cidr`",
            "spec.ingress[0].from[1]: Required value: must specify a peer",
        ],
    );
}

#[test]
fn blocks_are_one_of_each_family() {
    check("ServiceCIDR", json!({"spec": {"cidrs": ["10.0.0.0/8", "fd00::/64"]}}), &[]);
    check(
        "ServiceCIDR",
        json!({"spec": {"cidrs": ["10.0.0.1/8"]}}),
        &[
            "spec.cidrs[0]: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix \
           length",
        ],
    );
    let parent = json!({"resource": "services", "name": "s", "namespace": "d"});
    check("IPAddress", json!({"spec": {"parentRef": parent}}), &[]);
    check("IPAddress", json!({"spec": {}}), &["spec.parentRef: Required value"]);
}
