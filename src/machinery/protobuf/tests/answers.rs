//! What answers are encoded to, read by the decoder and byte by byte.

use serde_json::{Value, json};

use super::super::{decode, encode, write_event};
use super::round_trips::{kinds, object};
use super::{SECRET, body};
use crate::machinery::random_tests::{cases, multiplied};

fn encoded(object: &Value) -> Vec<u8> {
    encode(object.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {object}"))
}

#[test]
fn objects_of_every_kind_are_encoded() {
    let kinds = kinds();
    let count = kinds.len() as u64;
    let encoded = cases("protobuf answers", 2_000, move |draw| {
        let (api_version, kind) = &kinds[draw.below(kinds.len())];
        let object = object(api_version, kind, draw.number());
        let decoded = decode(&encoded(&object)).unwrap_or_else(|error| panic!("{error}: {object}"));
        assert_eq!(decoded, object, "{kind}");
        true
    });
    assert!(encoded == multiplied(2_000) && count > 60, "{encoded} of {count} kinds");
}

#[test]
fn what_clients_sent_is_encoded_as_they_sent_it() {
    let secret = body(SECRET);
    assert_eq!(decode(&encoded(&secret)), Ok(secret));
}

#[test]
fn bytes_are_those_of_the_wire_format() {
    let text =
        br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"k":"v"}}"#;
    let mut expected = b"k8s\0".to_vec();
    expected.extend(b"\x0a\x0f\x0a\x02v1\x12\x09ConfigMap");
    expected.extend(b"\x12\x0d\x0a\x03\x0a\x01x\x12\x06\x0a\x01k\x12\x01v");
    expected.extend(b"\x1a\x00\x22\x00");
    assert_eq!(encode(text).unwrap(), expected);
    // The order of members does not matter.
    let other =
        br#"{"data":{"k":"v"},"metadata":{"name":"x"},"kind":"ConfigMap","apiVersion":"v1"}"#;
    assert_eq!(decode(&encode(other).unwrap()), decode(&expected));
}

#[test]
fn lists_and_statuses_are_encoded() {
    let list = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [
        {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}},
            "livenessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 3}}]}, "status": {}},
        {"metadata": {"name": "b".repeat(300)}, "spec": {}, "status": {}},
    ]});
    let decoded = decode(&encoded(&list)).unwrap();
    assert_eq!(decoded["items"][0]["spec"]["containers"], list["items"][0]["spec"]["containers"]);
    assert_eq!(decoded["items"][1]["metadata"], list["items"][1]["metadata"]);
    assert_eq!(decoded["metadata"], list["metadata"]);
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound",
        "message": "no", "details": {"name": "x", "kind": "pods"}, "code": 404});
    assert_eq!(decode(&encoded(&status)), Ok(status));
}

#[test]
fn metadata_of_custom_resources_are_encoded_and_they_themselves_are_not() {
    let items = json!([{"metadata": {"name": "a"}}]);
    for (version, mark) in [("v1", 0x12), ("v1beta1", 0x0a)] {
        let api_version = format!("meta.k8s.io/{version}");
        let list =
            json!({"kind": "PartialObjectMetadataList", "apiVersion": api_version, "items": items});
        let bytes = encoded(&list);
        // Items are the first field of the older version and the second of the other.
        let tail = [&[mark, 5][..], b"\x0a\x03\x0a\x01a\x1a\x00\x22\x00"].concat();
        assert!(bytes.ends_with(&tail), "{bytes:?}");
    }
    let custom = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {}});
    assert_eq!(
        encode(custom.to_string().as_bytes()).unwrap_err().to_string(),
        "no message for kind \"Widget\" of \"example.com/v1\""
    );
    assert!(encode(b"{\"kind\":").is_err() && encode(b"[]").is_err());
}

#[test]
fn events_of_watches_are_frames() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let mut frames = Vec::new();
    for kind in ["ADDED", "DELETED"] {
        write_event(&mut frames, kind, object.to_string().as_bytes()).unwrap();
    }
    let inner = encoded(&object);
    for kind in ["ADDED", "DELETED"] {
        let length = u32::from_be_bytes(*frames.first_chunk().unwrap()) as usize;
        let frame: Vec<u8> = frames.drain(..length + 4).skip(4).collect();
        let head = [&[0x0a, kind.len() as u8], kind.as_bytes()].concat();
        assert!(frame.starts_with(&head) && frame.ends_with(&inner), "{frame:?}");
        let lengths = [inner.len() as u8 + 2, 0x0a, inner.len() as u8];
        assert_eq!(frame[head.len()..][..4], [&[0x12][..], &lengths].concat()[..]);
    }
    assert!(frames.is_empty());
    let custom = json!({"apiVersion": "example.com/v1", "kind": "Widget"});
    assert!(write_event(&mut frames, "ADDED", custom.to_string().as_bytes()).is_err());
    assert!(frames.is_empty());
}
