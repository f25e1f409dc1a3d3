//! The group `events.k8s.io`: the core group's events under other names.
//!
//! Both groups show the same objects. They are stored as the core group has them, which every
//! `kubectl` reads; requests of the newer group, which recorders write with, are translated on their
//! way in and answers on their way out. Managed fields keep the core group's names.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use serde_json::{Map, Value};

use super::authentication::Identity;
use super::profile::Resource;
use super::request::RequestInfo;
use super::route::{self, Call};
use super::server::ApiServer;
use super::{answer, body};
use crate::machinery::status::{Cause, Status};

const GROUP: &str = "events.k8s.io";
const API_VERSION: &str = "events.k8s.io/v1";
/// Most bytes of a note.
const NOTE_MAX: usize = 1024;

/// Names of fields in the core group and here.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// Whether a request is for events under their newer names.
pub(super) fn is_meant(info: &RequestInfo) -> bool {
    info.group == GROUP && info.version == "v1" && info.resource == "events"
}

/// Answers such a request.
pub(super) async fn answer(
    server: &ApiServer,
    request: (&RequestInfo, &HeaderMap, &Identity),
    body: Body,
) -> Response<Body> {
    let Some(resource) = server.resolve("", "v1", "events") else {
        return answer::not_found_page();
    };
    let outcome = respond(server, resource, request, body).await;
    outcome.unwrap_or_else(|status| answer::status_response(&status))
}

/// Translates, lets the core group's `resource` answer, translates back.
///
/// # Errors
/// Those of the core group, and 422 for events that the newer group does not take.
async fn respond(
    server: &ApiServer,
    resource: Arc<Resource>,
    (info, headers, identity): (&RequestInfo, &HeaderMap, &Identity),
    body: Body,
) -> Result<Response<Body>, Box<Status>> {
    let mut info = RequestInfo { group: String::new(), ..info.clone() };
    for (name, value) in &mut info.query {
        if name == "fieldSelector" {
            *value = value
                .replace("regarding.", "involvedObject.")
                .replace("reportingController", "reportingComponent");
        }
    }
    let mut headers = headers.clone();
    let body = match info.verb {
        "create" | "update" | "patch" => translate(&info, &mut headers, body).await?,
        _ => body,
    };
    let is_watch = info.verb == "watch";
    let call = Call {
        server,
        resource,
        info: &info,
        headers: &headers,
        identity,
        refusal_warnings: Default::default(),
    };
    let response = route::dispatch(&call, body).await?;
    if is_watch {
        let (parts, body) = response.into_parts();
        // Chunks are whole lines.
        let lines = body.into_data_stream().map(|chunk| chunk.map(|chunk| watch_lines(&chunk)));
        return Ok(Response::from_parts(parts, Body::from_stream(lines)));
    }
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(Status::internal)?.to_bytes();
    let translated = serde_json::from_slice(&bytes).ok().map(|mut value| {
        outward(&mut value);
        Bytes::from(value.to_string())
    });
    Ok(Response::from_parts(parts, Body::from(translated.unwrap_or(bytes))))
}

/// Reads a body and writes it in the core group's terms.
async fn translate(
    info: &RequestInfo,
    headers: &mut HeaderMap,
    body: Body,
) -> Result<Body, Box<Status>> {
    let bytes = body::read(body).await?;
    let mut value = match body::media_type(headers).as_str() {
        "application/json-patch+json" => return Ok(Body::from(bytes)),
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            body::json(&bytes, "Event")?.value
        }
        "application/apply-patch+yaml" => body::yaml(&bytes, "Event")?.value,
        _ => {
            let value = body::decode(headers, &bytes, "Event")?.value;
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            value
        }
    };
    if info.verb == "create" {
        check(&value)?;
    }
    if let Some(event) = value.as_object_mut() {
        for (core, newer) in NAMES {
            rename(event, newer, core);
        }
        if event.get("apiVersion").is_some_and(|version| version == API_VERSION) {
            event.insert("apiVersion".to_owned(), "v1".into());
        }
    }
    Ok(Body::from(value.to_string()))
}

/// What new events must say. (kubernetes 1.36: pkg/apis/core/validation/events.go)
fn check(event: &Value) -> Result<(), Box<Status>> {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let mut causes = Vec::new();
    if text("eventTime").is_empty() {
        causes.push(Cause::required("eventTime", ""));
    }
    for field in ["reportingController", "reportingInstance", "action", "reason"] {
        if text(field).is_empty() {
            causes.push(Cause::required(field, ""));
        }
    }
    if !matches!(text("type"), "Normal" | "Warning") {
        let why = format!("has invalid value: {}", text("type"));
        causes.push(Cause::invalid("type", &"".into(), &why));
    }
    if text("note").len() > NOTE_MAX {
        let why = "can have at most 1024 characters";
        causes.push(Cause::invalid("message", &"".into(), why));
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = event["metadata"]["name"].as_str().unwrap_or_default();
    Err(Status::invalid("", "Event", name, causes))
}

/// Translates an event or a list of events; anything else stays as it is.
fn outward(value: &mut Value) {
    if value["apiVersion"] != "v1" {
        return;
    }
    match value["kind"].as_str() {
        Some("Event") => {
            if let Some(event) = value.as_object_mut() {
                outward_fields(event);
                event.insert("apiVersion".to_owned(), API_VERSION.into());
            }
        }
        Some("EventList") => {
            value["apiVersion"] = API_VERSION.into();
            let items = value["items"].as_array_mut().into_iter().flatten();
            items.filter_map(Value::as_object_mut).for_each(outward_fields);
        }
        _ => {}
    }
}

fn outward_fields(event: &mut Map<String, Value>) {
    for (core, newer) in NAMES {
        rename(event, core, newer);
    }
    for name in ["reportingController", "reportingInstance"] {
        if event.get(name).is_some_and(|value| value == "") {
            event.remove(name);
        }
    }
}

fn rename(event: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = event.remove(from) {
        event.insert(to.to_owned(), value);
    }
}

fn watch_lines(chunk: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(chunk.len() + 64);
    for line in chunk.split_inclusive(|byte| *byte == b'\n') {
        match serde_json::from_slice::<Value>(line) {
            Ok(mut event) => {
                outward(&mut event["object"]);
                out.extend_from_slice(event.to_string().as_bytes());
                out.push(b'\n');
            }
            Err(_) => out.extend_from_slice(line),
        }
    }
    out.into()
}
