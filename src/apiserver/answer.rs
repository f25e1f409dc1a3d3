//! Responses: status line, headers, bodies.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WARNING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Collected};
use serde_json::Value;

use super::negotiate::Encoding;
use super::random;
use crate::machinery::protobuf;
use crate::machinery::status::Status;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/vnd.kubernetes.protobuf");
const PROTOBUF_STREAM: HeaderValue =
    HeaderValue::from_static("application/vnd.kubernetes.protobuf;stream=watch");
const YAML: HeaderValue = HeaderValue::from_static("application/yaml");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache, private");

/// A JSON answer with kube-apiserver's headers.
pub(crate) fn json_response(code: u16, body: impl Into<Bytes>) -> Response<Body> {
    respond(code, JSON, Body::from(body.into()))
}

/// Marks an answer that is encoded as its client likes on the way out: it was made where nobody
/// looks at the Accept header.
#[derive(Clone)]
struct Negotiable;

/// A JSON answer that becomes protobuf if the client prefers that.
pub(super) fn negotiable(code: u16, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = json_response(code, json);
    response.extensions_mut().insert(Negotiable);
    response
}

/// Encodes an answer that is negotiable.
pub(super) async fn negotiated(encoding: Encoding, mut response: Response<Body>) -> Response<Body> {
    let is_negotiable = response.extensions_mut().remove::<Negotiable>().is_some();
    if !is_negotiable || encoding != Encoding::Protobuf {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body is in memory: reading it neither waits nor fails.
    let json = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let body = match protobuf::encode(&json) {
        Ok(message) => {
            parts.headers.insert(CONTENT_TYPE, PROTOBUF);
            message.into()
        }
        Err(_) => json,
    };
    Response::from_parts(parts, Body::from(body))
}

/// A refusal.
pub(crate) fn status_response(status: &Status) -> Response<Body> {
    let mut response = negotiable(status.code, status.to_bytes());
    let retry_after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry_after > 0 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}

/// JSON in the encoding that the client asked for. What has no such form stays JSON: clients go by
/// the content type.
pub(super) fn encoded(code: u16, encoding: Encoding, json: impl Into<Bytes>) -> Response<Body> {
    in_encoding(code, encode(encoding, json.into()))
}

/// An answer that is encoded already.
pub(super) fn in_encoding(code: u16, (encoding, body): (Encoding, Bytes)) -> Response<Body> {
    let content_type = match encoding {
        Encoding::Json => JSON,
        Encoding::Yaml => YAML,
        Encoding::Protobuf => PROTOBUF,
    };
    respond(code, content_type, Body::from(body))
}

/// JSON in an encoding, or as it is if it has no such form; says which it became.
pub(super) fn encode(encoding: Encoding, json: Bytes) -> (Encoding, Bytes) {
    let form = match encoding {
        Encoding::Json => None,
        Encoding::Yaml => serde_json::from_slice::<Value>(&json)
            .ok()
            .and_then(|value| serde_saphyr::to_string(&value).ok())
            .map(Bytes::from),
        Encoding::Protobuf => match protobuf::encode(&json) {
            Ok(message) => Some(message.into()),
            Err(error) => {
                tracing::debug!(%error, "an answer has no protobuf form");
                None
            }
        },
    };
    form.map_or((Encoding::Json, json), |form| (encoding, form))
}

/// A watch's answer, whose body arrives event by event.
pub(super) fn stream(encoding: Encoding, body: Body) -> Response<Body> {
    match encoding {
        Encoding::Protobuf => respond(200, PROTOBUF_STREAM, body),
        Encoding::Json | Encoding::Yaml => respond(200, JSON, body),
    }
}

/// Adds one `Warning` header a text.
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// What Go's HTTP server answers for a path that nobody handles.
pub(crate) fn not_found_page() -> Response<Body> {
    unsniffed(respond(404, TEXT, Body::from("404 page not found\n")))
}

/// Forbids browsers to guess the content's type, as kube-apiserver does where it answers without
/// looking at resources.
pub(super) fn unsniffed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn respond(code: u16, content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    complete(&mut response);
    response
}

/// Adds the headers that all answers have.
pub(super) fn complete(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_CACHE);
    if let Ok(id) = HeaderValue::try_from(random::uid()) {
        headers.insert(AUDIT_ID, id);
    }
}
