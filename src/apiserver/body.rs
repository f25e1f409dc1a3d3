//! Request bodies: read with a limit, decoded from JSON, YAML or Kubernetes' protobuf.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Body as _;
use http_body_util::BodyExt;
use serde_json::Value;

use super::body_budget::{BUDGET, Budget};
use super::{depth, duplicates};
use crate::machinery::patch::json::go_error;
use crate::machinery::protobuf;
use crate::machinery::status::Status;
use crate::machinery::yaml;

/// Largest request body. (kubernetes 1.36: apiserver/pkg/server/config.go, MaxRequestBodyBytes)
const BODY_MAX: usize = 3 * 1024 * 1024;

/// Media types of objects, in the order in which kube-apiserver names them.
const MEDIA_TYPES: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Reads a body.
///
/// # Errors
/// 413 for more than three megabytes, 429 when too many large bodies are being read, 408 for one
/// that does not go on, 400 for one that breaks off.
pub(super) async fn read(body: Body) -> Result<Bytes, Box<Status>> {
    read_within(body, &BUDGET).await
}

async fn read_within(mut body: Body, budget: &'static Budget) -> Result<Bytes, Box<Status>> {
    if body.size_hint().lower() > BODY_MAX as u64 {
        return Err(too_large());
    }
    let mut share = budget.share();
    let mut first = Bytes::new();
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| broken_off(&error))?.into_data() else { continue };
        let total = first.len() + rest.len() + data.len();
        if total > BODY_MAX {
            return Err(too_large());
        }
        share.grow(total).map_err(|_| exhausted())?;
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(share.hold(if rest.is_empty() { first } else { rest.into() }))
}

fn too_large() -> Box<Status> {
    Status::request_entity_too_large(&format!("limit is {BODY_MAX}"))
}

fn exhausted() -> Box<Status> {
    Status::too_many_requests("too many large request bodies, please try again later", 1)
}

/// The refusal of a body whose end does not come.
fn broken_off(error: &axum::Error) -> Box<Status> {
    let source = std::error::Error::source(error);
    if source.is_some_and(|source| source.is::<BodyStalled>()) {
        let mut status = Status::timeout("the request body did not arrive in time", 0);
        status.code = 408;
        return status;
    }
    Status::bad_request(format!("failed to read the request body: {error}"))
}

/// A client stopped in the middle of a body; the transport's error.
#[derive(Debug, thiserror::Error)]
#[error("no part of the request body arrived for {0:?}")]
pub(super) struct BodyStalled(pub(super) Duration);

/// A decoded object, and what was odd about its text.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) value: Value,
    /// `duplicate field "…"`, or what YAML calls it, in the order of the text.
    pub(super) duplicates: Vec<String>,
    /// The text is nested deeper than any object may be; the depths are missing from the value.
    pub(super) is_cut: bool,
}

impl Decoded {
    /// A complete value.
    pub(super) fn new(value: Value, duplicates: Vec<String>) -> Self {
        Self { value, duplicates, is_cut: false }
    }
}

/// The media type of a request without parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a request's body is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    matches!(&*media_type(headers), "" | "*/*" | "application/json")
}

/// Decodes an object of the kind `kind` by the request's content type; JSON if there is none.
///
/// # Errors
/// 415 for an unknown media type, 400 for what cannot be decoded.
pub(super) fn decode(headers: &HeaderMap, body: &[u8], kind: &str) -> Result<Decoded, Box<Status>> {
    match media_type(headers).as_str() {
        "" | "*/*" | "application/json" => json(body, kind),
        "application/yaml" => yaml(body, kind),
        "application/vnd.kubernetes.protobuf" => protobuf(body, kind),
        _ => Err(Status::unsupported_media_type(&MEDIA_TYPES)),
    }
}

/// Decodes JSON.
pub(super) fn json(body: &[u8], kind: &str) -> Result<Decoded, Box<Status>> {
    let refuse = |error: &str| unrecognized(kind, "json parse", error, body);
    match duplicates::parse(body) {
        Ok((value, duplicates)) => object(Decoded::new(value, duplicates), kind, body),
        Err(error) if !error.to_string().starts_with("recursion limit") => {
            Err(refuse(&go_error(body, &error)))
        }
        Err(_) => {
            // Too deep for any object; but what is wrong with it may lie further up.
            let cut = depth::cut(body).ok_or_else(|| refuse("exceeded max depth"))?;
            let (value, duplicates) =
                duplicates::parse(&cut).map_err(|error| refuse(&go_error(&cut, &error)))?;
            Ok(Decoded { value, duplicates, is_cut: true })
        }
    }
}

/// Decodes YAML, which JSON is, too.
pub(super) fn yaml(body: &[u8], kind: &str) -> Result<Decoded, Box<Status>> {
    let decoded =
        parse_yaml(body).map_err(|error| unrecognized(kind, "yaml parse", &error, body))?;
    object(decoded, kind, body)
}

/// Decodes Kubernetes' protobuf.
fn protobuf(body: &[u8], kind: &str) -> Result<Decoded, Box<Status>> {
    protobuf::decode(body).map(|value| Decoded::new(value, Vec::new())).map_err(|error| {
        let error = error.to_string();
        let error = match error.strip_prefix("proto: ") {
            // Go's own error, which is not of the protobuf package.
            Some(end @ "unexpected EOF") => end,
            _ => &error,
        };
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {error} ({})",
            summary(body)
        ))
    })
}

/// Parses YAML; the error is the parser's message.
pub(super) fn parse_yaml(body: &[u8]) -> Result<Decoded, String> {
    if body.trim_ascii_start().starts_with(b"{")
        && let Ok((value, duplicates)) = duplicates::parse(body)
        && duplicates.is_empty()
    {
        return Ok(Decoded::new(value, duplicates));
    }
    let converting = |error: String| format!("error converting YAML to JSON: {error}");
    let text = std::str::from_utf8(body)
        .map_err(|_| converting("yaml: invalid leading UTF-8 octet".to_owned()))?;
    let document = yaml::parse(text).map_err(converting)?;
    Ok(Decoded::new(document.value, document.repeated))
}

/// Refuses what is no object; Go reads null into a struct as nothing at all.
fn object(decoded: Decoded, kind: &str, body: &[u8]) -> Result<Decoded, Box<Status>> {
    let given = match &decoded.value {
        Value::Null | Value::Object(_) => return Ok(decoded),
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    };
    let why = format!(
        "json: cannot unmarshal {given} into Go value of type struct {{ APIVersion string \
         \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
    );
    Err(unrecognized(kind, "json parse", &why, body))
}

fn unrecognized(kind: &str, stage: &str, error: &str, body: &[u8]) -> Box<Status> {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; \
         {stage} error: {error} ({})",
        summary(body)
    ))
}

/// The beginning of a body, as error messages show it: what may be JSON as text, all else in
/// hexadecimal digits. (kubernetes 1.36: apiserver/pkg/endpoints/handlers/rest.go, summarizeData)
fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let more = if body.len() > SHOWN { " ..." } else { "" };
    let start = &body[..body.len().min(SHOWN)];
    match start.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(start)),
        Some(_) => {
            let digits = start.iter().fold(String::new(), |mut digits, byte| {
                // Writing into a String cannot fail.
                let _ = write!(digits, "{byte:02x}");
                digits
            });
            format!("{digits}{more}")
        }
    }
}
