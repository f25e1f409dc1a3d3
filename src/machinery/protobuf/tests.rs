//! Bodies that Go clients sent, and bodies made up.

mod answers;
mod encoder;
mod generator;
mod round_trips;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Error, decode};

/// controller-runtime's update of a Secret.
const SECRET: &str = "azhzAAoMCgJ2MRIGU2VjcmV0EtkCCqsCCgR6ei1hEgAaB2RlZmF1bHQiACokOWFlZjRjNTItNmYwNC00YTA0\
         LWJmZGYtNjc1ODNmMjYyNGM3MgMyMTI4AEIICITQi9gGEABaBgoBYRIBYmoXCglDb25maWdNYXAaAXgiA3Ut\
         MSoCdjGKAbwBCgh6emNsaWVudBIGVXBkYXRlGgJ2MSIICITQi9gGEAAyCEZpZWxkc1YxOo0BCooBeyJmOmRh\
         dGEiOnsiLiI6e30sImY6ayI6e319LCJmOm1ldGFkYXRhIjp7ImY6bGFiZWxzIjp7Ii4iOnt9LCJmOmEiOnt9\
         fSwiZjpvd25lclJlZmVyZW5jZXMiOnsiLiI6e30sIms6e1widWlkXCI6XCJ1LTFcIn0iOnt9fX0sImY6dHlw\
         ZSI6e319QgASBgoBaxIBdhIICgJrMhICdjIaF2NsdXN0ZXIueC1rOHMuaW8vc2VjcmV0GgAiAA==";

fn body(base64: &str) -> Value {
    decode(&BASE64.decode(base64).expect("base64")).expect("a body")
}

/// An envelope around a message, both made of `(field number, bytes)`.
fn envelope(api_version: &str, kind: &str, fields: &[(u8, &[u8])]) -> Vec<u8> {
    let meta = message(&[(1, api_version.as_bytes()), (2, kind.as_bytes())]);
    let mut body = b"k8s\0".to_vec();
    body.extend(message(&[(1, &meta), (2, &message(fields))]));
    body
}

fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, value) in fields {
        bytes.push(number << 3 | 2);
        let mut length = value.len();
        while length > 0x7f {
            bytes.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).expect("seven bits"));
        bytes.extend_from_slice(value);
    }
    bytes
}

#[test]
fn secrets_have_base64_data_times_and_managed_fields() {
    let secret = body(SECRET);
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "zz-a",
            "namespace": "default",
            "uid": "9aef4c52-6f04-4a04-bfdf-67583f2624c7",
            "resourceVersion": "212",
            "creationTimestamp": "2026-11-22T13:03:00Z",
            "labels": {"a": "b"},
            "ownerReferences": [{"kind": "ConfigMap", "name": "x", "uid": "u-1", "apiVersion": "v1"}],
            "managedFields": [{
                "manager": "zzclient",
                "operation": "Update",
                "apiVersion": "v1",
                "time": "2026-11-22T13:03:00Z",
                "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:data": {".": {}, "f:k": {}},
                    "f:metadata": {
                        "f:labels": {".": {}, "f:a": {}},
                        "f:ownerReferences": {".": {}, "k:{\"uid\":\"u-1\"}": {}},
                    },
                    "f:type": {},
                },
            }],
        },
        "data": {"k": "dg==", "k2": "djI="},
        "type": "cluster.x-k8s.io/secret",
    });
    assert_eq!(secret, expected);
}

#[test]
fn leases_keep_microseconds_and_zeros_behind_pointers() {
    // client-go's leader election creates its Lease with zero transitions.
    let lease = body(
        "azhzAAofChZjb29yZGluYXRpb24uazhzLmlvL3YxEgVMZWFzZRJtCiAKCXp6LWxlYWRlchIAGgdkZWZhdWx0\
         IgAqADIAOABCABJJCid2bV9jNDU1MjNkOS1lMDc5LTQ3YjAtYjVkYS1kNWFjODczYWRlNjUQDxoMCITQi9gG\
         EJjFq/EBIgwIhNCL2AYQmMWr8QEoABoAIgA=",
    );
    assert_eq!(
        lease["spec"],
        json!({
            "holderIdentity": "vm_c45523d9-e079-47b0-b5da-d5ac873ade65",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-11-22T13:03:00.506127Z",
            "renewTime": "2026-11-22T13:03:00.506127Z",
            "leaseTransitions": 0,
        })
    );
    assert_eq!(lease["metadata"], json!({"name": "zz-leader", "namespace": "default"}));
}

#[test]
fn events_and_reviews_drop_empty_text() {
    let event = body(
        "azhzAAoZChBldmVudHMuazhzLmlvL3YxEgVFdmVudBK7AQovChhkZWZhdWx0LjE4ZWE1ZmE4ZWU5NmY1MDMS\
         ABoHZGVmYXVsdCIAKgAyADgAQgASDAiE0IvYBhDQku+oAiIDenoyKgZ6ejItdm0yA0FjdDoEVGVzdEJGCglO\
         YW1lc3BhY2USABoHZGVmYXVsdCIkMDQ2OGVjOWMtNmFhMi00ZmUzLTlkZmMtY2JiNWIzNjRhNWU1KgJ2MTIC\
         MTU6AFIGaGVsbG8yWgZOb3JtYWxiBAoAEgBqAHIAeAAaACIA",
    );
    assert_eq!(event["apiVersion"], "events.k8s.io/v1");
    assert_eq!(event["eventTime"], "2026-11-22T13:03:00.622578Z");
    assert_eq!(event["note"], "hello2");
    assert_eq!(event.get("deprecatedCount"), None);
    let review = body(
        "azhzAAonChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESC1Rva2VuUmV2aWV3EiMKEAoAEgAaACIAKgAyADgA\
         QgASAwoBeBoKCAASBAoAEgAaABoAIgA=",
    );
    assert_eq!(review["spec"], json!({"token": "x"}));
}

#[test]
fn delete_options_carry_preconditions() {
    let options = body(
        "azhzAAoTCgJ2MRINRGVsZXRlT3B0aW9ucxI0EiYKJDlhZWY0YzUyLTZmMDQtNGEwNC1iZmRmLTY3NTgzZjI2\
         MjRjNyIKQmFja2dyb3VuZBoAIgA=",
    );
    let expected = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "9aef4c52-6f04-4a04-bfdf-67583f2624c7"},
        "propagationPolicy": "Background",
    });
    assert_eq!(options, expected);
}

#[test]
fn embedded_structs_are_members_of_their_parent() {
    let volume = message(&[(1, b"v"), (2, &message(&[(2, &[])]))]);
    let probe = message(&[(1, &message(&[(3, &message(&[(1, &[0x08, 0, 0x10, 80])]))]))]);
    let container = message(&[(1, b"c"), (10, &probe)]);
    let spec = message(&[(1, &volume), (2, &container)]);
    let pod = decode(&envelope("v1", "Pod", &[(2, &spec)])).expect("a Pod");
    assert_eq!(pod["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
    let container = json!([{"name": "c", "livenessProbe": {"tcpSocket": {"port": 80}}}]);
    assert_eq!(pod["spec"]["containers"], container);
}

#[test]
fn quantities_and_named_lists_are_plain() {
    let hard = message(&[(1, b"cpu"), (2, &message(&[(1, b"500m")]))]);
    let spec = message(&[(1, &hard)]);
    let quota = decode(&envelope("v1", "ResourceQuota", &[(2, &spec)])).expect("a quota");
    assert_eq!(quota["spec"], json!({"hard": {"cpu": "500m"}}));
    let extra = message(&[(1, b"k"), (2, &message(&[(1, b"a"), (1, b"b")]))]);
    let spec = message(&[(5, &extra)]);
    let review = envelope("authorization.k8s.io/v1", "SubjectAccessReview", &[(2, &spec)]);
    let review = decode(&review).expect("a review");
    assert_eq!(review["spec"]["extra"], json!({"k": ["a", "b"]}));
}

#[test]
fn schemas_of_definitions_have_their_json_names() {
    let mut schema = message(&[(5, b"array")]);
    // Tags above 15 take two bytes.
    schema.extend([0xd2, 0x02, 3]);
    schema.extend(b"set");
    schema.extend([0xb0, 0x02, 1]);
    let version = message(&[(1, b"v1"), (4, &message(&[(1, &schema)]))]);
    let spec = message(&[(1, b"x.io"), (7, &version)]);
    let body = envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &[(2, &spec)]);
    let definition = decode(&body).expect("a definition");
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let expected = json!({
        "type": "array",
        "x-kubernetes-list-type": "set",
        "x-kubernetes-preserve-unknown-fields": true,
    });
    assert_eq!(*schema, expected);
}

#[test]
fn what_is_no_object_is_an_error() {
    assert_eq!(decode(b"{}"), Err(Error::NoEnvelope));
    assert_eq!(decode(b"k8s\0"), Err(Error::NoKind));
    let custom = envelope("cluster.x-k8s.io/v1beta2", "Cluster", &[]);
    assert!(matches!(decode(&custom), Err(Error::UnknownKind { .. })));
    let mut cut = envelope("v1", "ConfigMap", &[(2, &message(&[(1, b"k")]))]);
    cut.pop();
    assert!(matches!(decode(&cut), Err(Error::Malformed(_))));
}

#[test]
fn nesting_is_bounded() {
    // JSONSchemaProps.not holds a schema.
    let mut schema = Vec::new();
    for _ in 0..2000 {
        let mut outer = vec![0xe2, 0x01];
        let inner = message(&[(1, &schema)]);
        outer.extend_from_slice(&inner[1..]);
        schema = outer;
    }
    let version = message(&[(4, &message(&[(1, &schema)]))]);
    let spec = message(&[(7, &version)]);
    let body = envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &[(2, &spec)]);
    assert_eq!(decode(&body), Err(Error::TooDeep));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        for (api_version, kind) in [
            ("v1", "Pod"),
            ("v1", "DeleteOptions"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("rbac.authorization.k8s.io/v1", "Role"),
        ] {
            let meta = message(&[(1, api_version.as_bytes()), (2, kind.as_bytes())]);
            let mut body = b"k8s\0".to_vec();
            body.extend(message(&[(1, &meta), (2, &bytes)]));
            let _ = decode(&body);
        }
    }

    #[test]
    fn no_changed_byte_makes_it_panic(at in 0usize..370, byte in any::<u8>()) {
        let mut secret = BASE64.decode(SECRET).expect("base64");
        if let Some(place) = secret.get_mut(at) {
            *place = byte;
        }
        let _ = decode(&secret);
    }
}
