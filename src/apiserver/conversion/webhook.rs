//! Conversion by a webhook: the ConversionReview that is sent, and what its answer must say.
//!
//! Only labels and annotations of the answered metadata are taken; the rest is the object's own.
//! (kubernetes 1.36: apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go)

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::apiserver::versions::Version;
use crate::apiserver::webhook::{Call, ClientConfig};
use crate::apiserver::{ApiServer, random};
use crate::machinery::definition::WebhookConversion;
use crate::machinery::gvk::split_api_version;
use crate::machinery::names;
use crate::machinery::status::Status;

/// How long a webhook may take. (kubernetes 1.36: apiserver/pkg/util/webhook/client.go)
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of an answer; upstream sets no limit here.
const RESPONSE_MAX: usize = 64 << 20;

/// Whether there is an address for a webhook.
pub(super) fn is_known(server: &ApiServer, hook: &WebhookConversion) -> bool {
    ClientConfig::parse(&hook.client_config).is_ok_and(|config| server.knows_webhook(&config))
}

/// Has a webhook convert objects, none of which is of the version `to`.
///
/// # Errors
/// 500 with upstream's text if the webhook cannot be reached or its answer cannot be used.
pub(super) async fn convert(
    server: &ApiServer,
    hook: &WebhookConversion,
    objects: &mut [&mut Value],
    to: &Version,
) -> Result<(), Box<Status>> {
    let about = objects.first().map(|object| group_version_kind(object)).unwrap_or_default();
    let failed = |why: String| Status::unknown(format!("conversion webhook for {about} {why}"));
    let uid = random::uid();
    let Some(review) = Review::new(hook, &uid, objects, &to.api_version) else {
        return Err(Status::unknown("no supported conversion review versions"));
    };
    let config = ClientConfig::parse(&hook.client_config).map_err(Status::unknown)?;
    let call = Call {
        config: &config,
        timeout: TIMEOUT,
        agent: "kube-apiserver-admission",
        response_max: RESPONSE_MAX,
        body: review.body.to_string().into(),
    };
    let answer =
        server.call_webhook(call).await.map_err(|error| failed(format!("failed: {error}")))?;
    let converted = review.converted(answer).map_err(|why| failed(format!("failed: {why}")))?;
    if converted.len() != objects.len() {
        let (got, sent) = (converted.len(), objects.len());
        return Err(failed(format!("returned {got} objects, expected {sent}")));
    }
    let is_single = objects.len() == 1;
    for (index, (object, converted)) in objects.iter_mut().zip(converted).enumerate() {
        **object = accept(object, converted, &to.api_version).map_err(|rejection| {
            failed(match (rejection, is_single) {
                (Rejection::Type(why), true) => {
                    format!("returned invalid object at index 0: {why}")
                }
                (Rejection::Identity(why), true) => format!("returned invalid object: {why}"),
                (Rejection::Metadata(why), true) => format!("returned invalid metadata: {why}"),
                (Rejection::Type(why) | Rejection::Identity(why), false) => {
                    format!("returned invalid converted object at index {index}: {why}")
                }
                (Rejection::Metadata(why), false) => {
                    format!("returned invalid metadata in object at index {index}: {why}")
                }
            })
        })?;
    }
    Ok(())
}

/// A ConversionReview on its way.
struct Review<'a> {
    body: Value,
    api_version: &'static str,
    uid: &'a str,
}

impl<'a> Review<'a> {
    /// A review in the first version that both sides know.
    fn new(
        hook: &WebhookConversion,
        uid: &'a str,
        objects: &[&mut Value],
        desired: &str,
    ) -> Option<Self> {
        let api_version = hook.review_versions.iter().find_map(|version| match &**version {
            "v1" => Some("apiextensions.k8s.io/v1"),
            "v1beta1" => Some("apiextensions.k8s.io/v1beta1"),
            _ => None,
        })?;
        // Upstream sends an empty response along.
        let response = json!({"uid": "", "convertedObjects": null, "result": {"metadata": {}}});
        let mut body = json!({
            "kind": "ConversionReview",
            "apiVersion": api_version,
            "request": {"uid": uid, "desiredAPIVersion": desired},
            "response": response,
        });
        body["request"]["objects"] = objects.iter().map(|object| (**object).clone()).collect();
        Some(Self { body, api_version, uid })
    }

    /// The converted objects of an answer; the error says why there are none.
    fn converted(&self, mut answer: Value) -> Result<Vec<Value>, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        // Version 1 alone is strict about what the answer is.
        let is_strict = self.api_version.ends_with("/v1");
        if is_strict
            && (answer["apiVersion"] != self.api_version || answer["kind"] != "ConversionReview")
        {
            let got = group_version_kind(&answer);
            return Err(format!(
                "expected webhook response of {}, Kind=ConversionReview, got {got}",
                self.api_version
            ));
        }
        if !answer["response"].is_object() {
            return Err("no response provided".to_owned());
        }
        let response = &mut answer["response"];
        if is_strict && response["uid"] != self.uid {
            let got = text(&response["uid"]);
            return Err(format!("expected response.uid={:?}, got {got:?}", self.uid));
        }
        let result = &response["result"];
        if result["status"] != "Success" {
            let message = text(&result["message"]);
            if !message.is_empty() {
                return Err(message);
            }
            let status = text(&result["status"]);
            return Err(format!("response.result.status was '{status}', not 'Success'"));
        }
        match response["convertedObjects"].take() {
            Value::Array(objects) => Ok(objects),
            _ => Ok(Vec::new()),
        }
    }
}

/// Why a converted object is not taken.
#[derive(Debug, PartialEq)]
enum Rejection {
    /// It is of another version or kind.
    Type(String),
    /// It is another object.
    Identity(String),
    /// Its metadata is malformed.
    Metadata(String),
}

/// The object that a webhook made of `original`, with the metadata that it may not change.
fn accept(original: &Value, mut converted: Value, desired: &str) -> Result<Value, Rejection> {
    let text = |object: &Value, field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let got = text(&converted, "apiVersion");
    if got != desired {
        let why = format!("invalid groupVersion (expected {desired}, received {got})");
        return Err(Rejection::Type(why));
    }
    let (expected, got) = (text(original, "kind"), text(&converted, "kind"));
    if expected != got {
        let why = format!("invalid kind (expected {expected}, received {got})");
        return Err(Rejection::Type(why));
    }
    for (field, shown) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (expected, got) =
            (text(&original["metadata"], field), text(&converted["metadata"], field));
        if expected != got {
            let why = format!("must have the same {shown}: {expected} != {got}");
            return Err(Rejection::Identity(why));
        }
    }
    let metadata = restored(original, &converted["metadata"]).map_err(Rejection::Metadata)?;
    converted["metadata"] = metadata;
    Ok(converted)
}

/// The original's metadata with the answer's labels and annotations.
fn restored(original: &Value, answered: &Value) -> Result<Value, String> {
    let Value::Object(answered) = answered else {
        return Err(match answered {
            Value::Null => "missing metadata in converted object".to_owned(),
            other => format!("invalid metadata of type {} in converted object", go_type(other)),
        });
    };
    let mut metadata = original["metadata"].as_object().cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        match answered.get(field) {
            None | Some(Value::Null) => {
                metadata.remove(field);
            }
            Some(Value::Object(entries)) => {
                check_entries(field, entries, metadata.get(field))?;
                metadata.insert(field.to_owned(), Value::Object(entries.clone()));
            }
            Some(other) => {
                let kind = go_type(other);
                return Err(format!("invalid metadata.{field} of type {kind} in converted object"));
            }
        }
    }
    Ok(Value::Object(metadata))
}

fn check_entries(
    field: &str,
    entries: &Map<String, Value>,
    before: Option<&Value>,
) -> Result<(), String> {
    for (key, value) in entries {
        if !value.is_string() {
            let kind = go_type(value);
            return Err(format!(
                "metadata.{field}[{key}] must be a string, but is {kind} in converted object"
            ));
        }
    }
    if before.and_then(Value::as_object) == Some(entries) {
        return Ok(());
    }
    let wrong = entries.iter().find_map(|(key, value)| {
        let quoted = |text: &str| crate::machinery::status::quote(text);
        if let Some(why) = names::check_label_key(key).into_iter().next() {
            // Upstream names annotations so, too, but for the last letter.
            let path = if field == "labels" { "metadata.labels" } else { "metadata.annotation" };
            return Some(format!("{path}: Invalid value: {}: {why}", quoted(key)));
        }
        let text = value.as_str().unwrap_or_default();
        let why = (field == "labels").then(|| names::check_label_value(text).into_iter().next());
        let why = why.flatten()?;
        Some(format!("metadata.labels: Invalid value: {}: {why}", quoted(text)))
    });
    wrong.map_or(Ok(()), Err)
}

/// `group/version, Kind=kind`, as Go shows it.
fn group_version_kind(object: &Value) -> String {
    let (group, version) = split_api_version(object["apiVersion"].as_str().unwrap_or_default());
    let kind = object["kind"].as_str().unwrap_or_default();
    format!("{group}/{version}, Kind={kind}")
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
