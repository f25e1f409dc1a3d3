//! Answers in protobuf, to clients that prefer it as client-go's typed clients do.

use super::*;
use crate::machinery::protobuf;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What client-go's typed clients accept.
const TYPED: &str = "application/vnd.kubernetes.protobuf,application/json";

/// A decoded answer, and its content type.
async fn read(response: Response<Body>) -> (u16, String, Value) {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let media = parts.headers["content-type"].to_str().unwrap().to_owned();
    let value = match &*media {
        PROTOBUF => protobuf::decode(&bytes).unwrap(),
        "application/json" => serde_json::from_slice(&bytes).unwrap(),
        _ => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
    };
    (parts.status.as_u16(), media, value)
}

async fn send(
    harness: &Harness,
    method: Method,
    path: &str,
    accept: &str,
    body: &Value,
) -> (u16, String, Value) {
    let media = if method == Method::PATCH { MERGE } else { "application/json" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("accept", accept)
        .header("content-type", media);
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    read(harness.raw(request, body).await).await
}

#[tokio::test(start_paused = true)]
async fn every_verb_answers_built_in_kinds_in_protobuf() {
    let harness = Harness::new().await;
    let map = json!({"metadata": {"name": "x", "labels": {"l": "1"}}, "data": {"k": "v"}});
    let named = format!("{MAPS}/x");
    let none = Value::Null;
    let (code, media, created) = send(&harness, Method::POST, MAPS, TYPED, &map).await;
    assert_eq!((code, &*media), (201, PROTOBUF));
    assert_eq!(created["data"], map["data"]);
    let (code, media, got) = send(&harness, Method::GET, &named, TYPED, &none).await;
    assert_eq!((code, &*media), (200, PROTOBUF));
    assert_eq!(got, created);
    // It is what JSON shows, too.
    assert_eq!(harness.get(&named).await.ok(), got);
    let (_, media, list) = send(&harness, Method::GET, MAPS, TYPED, &none).await;
    assert_eq!((&*media, &list["kind"]), (PROTOBUF, &json!("ConfigMapList")));
    assert_eq!(list["items"][0]["metadata"], got["metadata"]);
    let change = json!({"data": {"k": "w"}});
    let (_, media, patched) = send(&harness, Method::PATCH, &named, TYPED, &change).await;
    assert_eq!((&*media, &patched["data"]["k"]), (PROTOBUF, &json!("w")));
    let (_, media, put) = send(&harness, Method::PUT, &named, TYPED, &patched).await;
    assert_eq!((&*media, &put), (PROTOBUF, &patched));
    let (code, media, deleted) = send(&harness, Method::DELETE, &named, TYPED, &none).await;
    assert_eq!((code, &*media, &deleted["status"]), (200, PROTOBUF, &json!("Success")));
    let (code, media, missing) = send(&harness, Method::GET, &named, TYPED, &none).await;
    assert_eq!((code, &*media, &missing["reason"]), (404, PROTOBUF, &json!("NotFound")));
    assert_eq!(missing["details"]["kind"], "configmaps");
    let (code, media, review) = send(
        &harness,
        Method::POST,
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        TYPED,
        &json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}),
    )
    .await;
    assert_eq!((code, &*media, &review["status"]["allowed"]), (201, PROTOBUF, &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn custom_resources_have_no_protobuf_but_their_metadata_do() {
    let harness = Harness::new().await;
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}});
    harness.post(WIDGETS, body).await.ok();
    let get = async |path: &str, accept: &str| {
        send(&harness, Method::GET, path, accept, &Value::Null).await
    };
    let named = format!("{WIDGETS}/x");
    let (code, media, widget) = get(&named, "application/vnd.kubernetes.protobuf, */*").await;
    assert_eq!((code, &*media, &widget["kind"]), (200, "application/json", &json!("Widget")));
    let (code, media, refusal) = get(&named, PROTOBUF).await;
    // The refusal itself is a Status, which has a message.
    assert_eq!((code, &*media, &refusal["reason"]), (406, PROTOBUF, &json!("NotAcceptable")));
    let metadata =
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let request = Request::get(&named).header("accept", metadata);
    let response = harness.raw(request, Body::empty()).await;
    assert_eq!(response.headers()["content-type"], PROTOBUF);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let shown = harness
        .raw(
            Request::get(&named).header("accept", metadata.replace(PROTOBUF, "application/json")),
            Body::empty(),
        )
        .await;
    let shown = shown.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, protobuf::encode(&shown).unwrap());
    let list =
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let response = harness.raw(Request::get(WIDGETS).header("accept", list), Body::empty()).await;
    assert_eq!(response.headers()["content-type"], PROTOBUF);
    let (_, media, table) = get(
        MAPS,
        "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,application/json;as=Table;g=meta.k8s.io;v=v1",
    )
    .await;
    assert_eq!((&*media, &table["kind"]), ("application/json", &json!("Table")));
}

/// The next frame of a watch: the event's type and its object.
async fn frame(stream: &mut BodyDataStream, buffer: &mut Vec<u8>) -> (String, Value) {
    loop {
        if let Some((length, rest)) = buffer.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if let Some(event) = rest.get(..length) {
                // Field 1 is the type; field 2 holds field 1, the object with its envelope.
                let (head, body) = event[2..].split_at(event[1].into());
                let start = body.windows(4).position(|window| window == b"k8s\0").unwrap();
                let read = (
                    String::from_utf8(head.to_vec()).unwrap(),
                    protobuf::decode(&body[start..]).unwrap(),
                );
                buffer.drain(..length + 4);
                return read;
            }
        }
        buffer.extend(stream.next().await.unwrap().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn watches_stream_frames() {
    let harness = Harness::new().await;
    harness.map("x", "1").await;
    let uri = format!(
        "{MAPS}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    );
    let response = harness.raw(Request::get(uri).header("accept", TYPED), Body::empty()).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/vnd.kubernetes.protobuf;stream=watch"
    );
    let (mut stream, mut buffer) = (response.into_body().into_data_stream(), Vec::new());
    let (kind, object) = frame(&mut stream, &mut buffer).await;
    assert_eq!((&*kind, &object["metadata"]["name"]), ("ADDED", &json!("x")));
    assert_eq!(object, harness.get(&format!("{MAPS}/x")).await.ok());
    let (kind, object) = frame(&mut stream, &mut buffer).await;
    assert_eq!((&*kind, &object["kind"]), ("BOOKMARK", &json!("ConfigMap")));
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    harness.map("y".repeat(250).as_str(), "1").await;
    let (kind, object) = frame(&mut stream, &mut buffer).await;
    assert_eq!((&*kind, object["metadata"]["name"].as_str().unwrap().len()), ("ADDED", 250));
    harness.delete(&format!("{MAPS}/x"), Value::Null).await.ok();
    assert_eq!(frame(&mut stream, &mut buffer).await.0, "DELETED");
    let old = harness
        .raw(
            Request::get(format!("{MAPS}?watch=true&resourceVersion=1")).header("accept", TYPED),
            Body::empty(),
        )
        .await;
    let (mut stream, mut buffer) = (old.into_body().into_data_stream(), Vec::new());
    let (kind, _) = frame(&mut stream, &mut buffer).await;
    assert!(kind == "ADDED" || kind == "ERROR", "{kind}");
    let custom = harness
        .raw(Request::get(format!("{WIDGETS}?watch=true")).header("accept", TYPED), Body::empty())
        .await;
    assert_eq!(custom.headers()["content-type"], "application/json");
}

#[tokio::test(start_paused = true)]
async fn every_built_in_resource_has_a_message_in_all_its_versions() {
    let harness = Harness::new().await;
    let resources: Vec<(String, String, String)> = harness
        .server
        .resources()
        .iter()
        .filter(|resource| resource.is_built_in())
        .map(|it| {
            (
                it.api_version.to_string(),
                it.definition.kind.to_string(),
                it.definition.list_kind.to_string(),
            )
        })
        .collect();
    assert!(resources.len() >= 60);
    for (api_version, kind, list_kind) in resources {
        for kind in [kind, list_kind] {
            let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {}});
            let encoded = protobuf::encode(object.to_string().as_bytes());
            assert!(encoded.is_ok(), "{encoded:?}");
        }
    }
}
