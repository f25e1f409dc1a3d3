//! One exchange with an extension. (CAPI v1.14: internal/runtime/client/client.go, httpCall)

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::hook::{GROUP, Hook, VERSION};
use crate::apiserver::{HookAnswer, HookCallError, HookCaller, HookRequest};
use crate::machinery::patch::json::go_error;
use crate::machinery::status::quote;

/// Most bytes of an answer.
const RESPONSE_MAX: usize = 20 << 20;
/// Bytes of a refusal that errors show.
const SHOWN_MAX: usize = 512;

/// A response document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// `Success` or `Failure`; anything else is an error of the extension.
    pub status: String,
    /// For people.
    pub message: String,
    /// Not 0 if the hook blocks: when to ask again.
    pub retry_after_seconds: i32,
    /// The whole document.
    pub body: Value,
}

impl Response {
    /// Success that says nothing.
    pub(super) fn success() -> Self {
        Self { status: "Success".to_owned(), body: json!({}), ..Self::default() }
    }

    /// The document as a type of its hook.
    ///
    /// # Errors
    /// Why it is none.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, String> {
        T::deserialize(&self.body).map_err(|error| error.to_string())
    }
}

/// Whom to call, and about what.
pub(super) struct Exchange<'a> {
    pub(super) hook: Hook,
    /// Name of the handler; empty for discovery.
    pub(super) handler: &'a str,
    /// `spec.clientConfig`.
    pub(super) client: &'a Value,
    pub(super) timeout: Duration,
}

/// Why an exchange failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No call is possible, whatever the failure policy says.
    Client(String),
    /// The call failed.
    Call {
        /// Why.
        why: String,
        /// Code of an answer, if there was one.
        code: Option<u16>,
    },
}

impl Exchange<'_> {
    /// Sends a request and reads the response.
    ///
    /// # Errors
    /// [`Failure`] with upstream's texts.
    pub(super) async fn send(
        &self,
        caller: &HookCaller,
        mut request: Map<String, Value>,
    ) -> Result<Response, Failure> {
        check_place(self.client)
            .map_err(|why| Failure::Client(format!("failed to compute URL: {why}")))?;
        request.insert("apiVersion".to_owned(), json!(format!("{GROUP}/{VERSION}")));
        request.insert("kind".to_owned(), json!(format!("{}Request", self.hook)));
        let answer = caller
            .post(HookRequest {
                config: self.client,
                path: &self.hook.path(self.handler),
                timeout: self.timeout,
                response_max: RESPONSE_MAX,
                body: Bytes::from(Value::Object(request).to_string()),
            })
            .await;
        let HookAnswer { code, body } = match answer {
            Ok(answer) => answer,
            Err(HookCallError::Config(why)) => return Err(Failure::Client(why)),
            Err(HookCallError::Exchange(why)) => {
                return Err(Failure::Call { why: format!("http call failed: {why}"), code: None });
            }
        };
        if code != 200 {
            let why = format!(
                "http call failed: got response with status code {code} != 200: response : {}",
                quote(&shown(&body))
            );
            return Err(Failure::Call { why, code: Some(code) });
        }
        decode(self.hook, &body).map_err(|why| Failure::Call {
            why: format!("http call failed: failed to decode response: {why}"),
            code: Some(code),
        })
    }
}

/// Whether a `clientConfig` names a place that can be called.
fn check_place(client: &Value) -> Result<(), String> {
    if client["service"].is_object() {
        return Ok(());
    }
    let url = client["url"].as_str().unwrap_or_default();
    if url.is_empty() {
        return Err("at least one of service and url should be defined in config".to_owned());
    }
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !scheme.eq_ignore_ascii_case("https") {
        return Err(format!("expected https scheme, got {scheme}"));
    }
    Ok(())
}

fn shown(body: &[u8]) -> String {
    if body.len() <= SHOWN_MAX {
        return String::from_utf8_lossy(body).into_owned();
    }
    format!("{}...", String::from_utf8_lossy(&body[..SHOWN_MAX]))
}

fn decode(hook: Hook, body: &[u8]) -> Result<Response, String> {
    if body.trim_ascii().is_empty() {
        return Err("EOF".to_owned());
    }
    // Go's decoder reads the first value and leaves the rest.
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let body = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) if error.is_eof() => return Err("unexpected EOF".to_owned()),
        Some(Err(error)) => return Err(go_error(body, &error)),
        None => return Err("EOF".to_owned()),
    };
    let Value::Object(fields) = &body else {
        if body.is_null() {
            return Ok(Response::default());
        }
        let kind = kind_of(&body);
        return Err(format!(
            "json: cannot unmarshal {kind} into Go value of type v1alpha1.{hook}Response"
        ));
    };
    let misfit = |field: &str, value: &Value, type_: &str| {
        let kind = kind_of(value);
        format!(
            "json: cannot unmarshal {kind} into Go struct field {hook}Response.{field} of type \
             {type_}"
        )
    };
    let text = |field: &str, type_: &str| match fields.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(misfit(field, other, type_)),
    };
    let field = "retryAfterSeconds";
    let retry_after_seconds = match fields.get(field).filter(|_| hook.may_ask_for_retry()) {
        None | Some(Value::Null) => 0,
        Some(value) => value
            .as_i64()
            .and_then(|seconds| i32::try_from(seconds).ok())
            .ok_or_else(|| misfit(field, value, "int32"))?,
    };
    Ok(Response {
        status: text("status", "v1alpha1.ResponseStatus")?,
        message: text("message", "string")?,
        retry_after_seconds,
        body,
    })
}

/// What Go's decoder calls a value.
fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) => format!("number {number}"),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

/// Says why a response is no success. `operation` and `target` are the words of the caller.
///
/// # Errors
/// Upstream's texts for failures and for a status that does not exist.
pub(super) fn check_status(
    response: &Response,
    operation: &str,
    target: &str,
) -> Result<(), String> {
    let target = quote(target);
    let message = &response.message;
    match response.status.as_str() {
        "Success" => Ok(()),
        "Failure" => Err(format!(
            "failed to {operation} {target}: got failure response with message: {message}"
        )),
        other => Err(format!(
            "failed to {operation} {target}: got unknown response status {} with message: \
             {message}",
            quote(other)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_read_as_go_reads_them() {
        let read = |text: &str| decode(Hook::BeforeClusterCreate, text.as_bytes());
        let response = read(r#"{"status": "Success", "retryAfterSeconds": 5, "x": 1} rest"#);
        let response = response.unwrap();
        assert_eq!((response.status.as_str(), response.retry_after_seconds), ("Success", 5));
        for (text, why) in [
            ("", "EOF"),
            ("{", "unexpected EOF"),
            ("<html>", "invalid character '<' looking for beginning of value"),
            (
                "[]",
                "json: cannot unmarshal array into Go value of type \
                 v1alpha1.BeforeClusterCreateResponse",
            ),
            (
                r#"{"retryAfterSeconds": "5"}"#,
                "json: cannot unmarshal string into Go struct field \
                 BeforeClusterCreateResponse.retryAfterSeconds of type int32",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn hooks_that_do_not_block_cannot_ask_for_a_retry() {
        let body = br#"{"status": "Success", "retryAfterSeconds": 5}"#;
        let response = decode(Hook::AfterControlPlaneInitialized, body).unwrap();
        assert_eq!(response.retry_after_seconds, 0);
    }

    #[test]
    fn other_places_than_https_are_refused() {
        let check = |client: Value| check_place(&client).unwrap_err();
        assert_eq!(check(json!({"url": "http://a"})), "expected https scheme, got http");
        assert_eq!(check(json!({})), "at least one of service and url should be defined in config");
    }
}
