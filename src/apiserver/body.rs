//! Request bodies: read with a limit, decoded from JSON, YAML or Kubernetes' protobuf.

use std::borrow::Cow;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::duplicates;
use crate::machinery::patch::json::go_error;
use crate::machinery::protobuf;
use crate::machinery::status::Status;

/// Largest request body. (kubernetes 1.36: apiserver/pkg/server/config.go, MaxRequestBodyBytes)
const BODY_MAX: usize = 3 * 1024 * 1024;

/// Media types of objects, in the order in which kube-apiserver names them.
const MEDIA_TYPES: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Reads a body.
///
/// # Errors
/// 413 for more than three megabytes, 400 for a body that breaks off.
pub(super) async fn read(body: Body) -> Result<Bytes, Box<Status>> {
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Status::request_entity_too_large(&format!("limit is {BODY_MAX}")))
        }
        Err(error) => Err(Status::bad_request(format!("failed to read the request body: {error}"))),
    }
}

/// A decoded object, and what was odd about its text.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) value: Value,
    /// `duplicate field "…"`, in the order of the text.
    pub(super) duplicates: Vec<String>,
}

/// The media type of a request without parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
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
    duplicates::parse(body)
        .map(|(value, duplicates)| Decoded { value, duplicates })
        .map_err(|error| unrecognized(kind, "json parse", &go_error(body, &error), body))
}

/// Decodes YAML, which JSON is, too.
pub(super) fn yaml(body: &[u8], kind: &str) -> Result<Decoded, Box<Status>> {
    parse_yaml(body).map_err(|error| unrecognized(kind, "yaml parse", &error, body))
}

/// Decodes Kubernetes' protobuf.
fn protobuf(body: &[u8], kind: &str) -> Result<Decoded, Box<Status>> {
    protobuf::decode(body).map(|value| Decoded { value, duplicates: Vec::new() }).map_err(|error| {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {error}"
        ))
    })
}

/// Parses YAML; the error is the parser's message. Of keys that occur twice the last wins; they are
/// reported in JSON only.
pub(super) fn parse_yaml(body: &[u8]) -> Result<Decoded, String> {
    if body.trim_ascii_start().starts_with(b"{")
        && let Ok((value, duplicates)) = duplicates::parse(body)
    {
        return Ok(Decoded { value, duplicates });
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
    };
    let value = serde_saphyr::from_str_with_options::<Value>(text, options)
        .map_err(|error| error.to_string())?;
    Ok(Decoded { value, duplicates: Vec::new() })
}

fn unrecognized(kind: &str, stage: &str, error: &str, body: &[u8]) -> Box<Status> {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; \
         {stage} error: {error} ({})",
        summary(body)
    ))
}

/// The beginning of a body, as error messages show it.
fn summary(body: &[u8]) -> Cow<'_, str> {
    const SHOWN: usize = 30;
    if body.is_empty() {
        return "<empty>".into();
    }
    match std::str::from_utf8(body) {
        Ok(text) if text.len() <= SHOWN => text.into(),
        Ok(text) => {
            let end = (0..=SHOWN).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            format!("{} ...", &text[..end]).into()
        }
        Err(_) => "invalid UTF-8".into(),
    }
}
