//! What a webhook answered: JSON, or a refusal in the words of client-go's REST client.

use bytes::Bytes;
use serde_json::Value;

use super::CallError;
use crate::machinery::patch::json::go_error;
use crate::machinery::status::quote;

/// An answer as it was read.
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) is_text: bool,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

/// The JSON of a successful answer.
///
/// # Errors
/// What client-go says of other codes, empty bodies and texts that are no JSON.
pub(super) fn decode(answer: Answer) -> Result<Value, CallError> {
    let Answer { code, is_text, content_type, body } = answer;
    if !(200..=206).contains(&code) {
        return Err(CallError(refusal(code, is_text, &body)));
    }
    if body.is_empty() {
        return Err(CallError(format!(
            "0-length response with status code: {code} and content type: {content_type}"
        )));
    }
    serde_json::from_slice(&body).map_err(|error| {
        let why = go_error(&body, &error);
        CallError(format!("couldn't get version/kind; json parse error: {why}"))
    })
}

/// The message for a code that is no success. (kubernetes 1.36: client-go/rest/request.go,
/// apimachinery/pkg/api/errors, NewGenericServerResponse)
fn refusal(code: u16, is_text: bool, body: &[u8]) -> String {
    if let Some(message) = status_message(body) {
        return message;
    }
    let text = if is_text {
        String::from_utf8_lossy(body).trim().to_owned()
    } else {
        "unknown".to_owned()
    };
    let fixed = match code {
        400 => "the server rejected our request for an unknown reason",
        401 => "the server has asked for the client to provide credentials",
        404 => "the server could not find the requested resource",
        405 => "the server does not allow this method on the requested resource",
        409 => "the server reported a conflict",
        422 => "the server rejected our request due to an error in our request",
        429 => "the server has received too many requests and has asked us to try again later",
        503 => "the server is currently unable to handle the request",
        504 => {
            "the server was unable to return a response in the time allotted, but may still be \
             processing the request"
        }
        403 | 406 | 415 => return text,
        _ if code >= 500 => {
            let shown = quote(&text);
            return format!(
                "an error on the server ({shown}) has prevented the request from succeeding"
            );
        }
        _ => {
            return format!(
                "the server responded with the status code {code} but did not return more \
                 information"
            );
        }
    };
    fixed.to_owned()
}

/// The message of a body that is a Status of failure.
fn status_message(body: &[u8]) -> Option<String> {
    let status: Value = serde_json::from_slice(body).ok()?;
    let is_status = status["kind"] == "Status" && status["apiVersion"] == "v1";
    let failed = is_status && status["status"] != "Success";
    failed.then(|| status["message"].as_str().unwrap_or_default().to_owned())
}
