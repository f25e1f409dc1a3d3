//! AdmissionReviews: the question and what is made of the answer.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/webhook/request/admissionreview.go)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Phase, ReviewVersion};
use crate::apiserver::admission::attributes::Attributes;
use crate::apiserver::admission::configuration::Objects;
use crate::apiserver::admission::request;
use crate::apiserver::profile::Resource;
use crate::machinery::status::{Status, StatusDetails, quote};

/// The question.
pub(super) struct Question<'a> {
    pub(super) attributes: &'a Attributes<'a>,
    /// The resource in the version of the rule.
    pub(super) resource: &'a Resource,
    /// Objects in that version.
    pub(super) objects: Objects<'a>,
    pub(super) uid: &'a str,
    pub(super) version: ReviewVersion,
}

impl Question<'_> {
    /// The review as it is sent.
    pub(super) fn encode(&self) -> Bytes {
        let review = json!({
            "kind": "AdmissionReview",
            "apiVersion": self.version.api_version(),
            "request": self.request(),
        });
        review.to_string().into()
    }

    fn request(&self) -> Value {
        let mut request = request::describe(self.attributes, self.resource);
        request["uid"] = self.uid.into();
        request["object"] = self.objects.object.cloned().unwrap_or_default();
        request["oldObject"] = self.objects.old.cloned().unwrap_or_default();
        request
    }
}

/// The answer, if it can be taken for one.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) allowed: bool,
    /// A JSON patch; empty for none.
    pub(super) patch: Vec<u8>,
    pub(super) patch_type: String,
    /// Why not.
    pub(super) result: Option<Value>,
    pub(super) warnings: Vec<String>,
}

/// Reads an answer to the question `uid`.
///
/// # Errors
/// What is wrong with it, in upstream's words.
pub(super) fn verdict(
    answer: &Value,
    uid: &str,
    version: ReviewVersion,
    phase: Phase,
) -> Result<Verdict, String> {
    let response = &answer["response"];
    if response.is_null() {
        return Err("webhook response was absent".to_owned());
    }
    let patch = response["patch"].as_str().unwrap_or_default();
    let patch = STANDARD.decode(patch).map_err(|error| error.to_string())?;
    let patch_type = response["patchType"].as_str();
    match version {
        ReviewVersion::V1 => {
            check_identity(answer, uid)?;
            check_patch(&patch, patch_type, phase)?;
        }
        // v1beta1 never checked them.
        ReviewVersion::V1Beta1 => {}
    }
    let mutates = phase == Phase::Mutating;
    let patch_type = match version {
        ReviewVersion::V1 => patch_type.unwrap_or_default(),
        ReviewVersion::V1Beta1 => "JSONPatch",
    };
    let warnings = response["warnings"].as_array().into_iter().flatten();
    Ok(Verdict {
        allowed: response["allowed"] == true,
        patch: if mutates { patch } else { Vec::new() },
        patch_type: patch_type.to_owned(),
        result: response.get("status").filter(|status| status.is_object()).cloned(),
        warnings: warnings.filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

fn check_identity(answer: &Value, uid: &str) -> Result<(), String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let given = text(&answer["response"]["uid"]);
    if given != uid {
        return Err(format!("expected response.uid={}, got {}", quote(uid), quote(&given)));
    }
    let (api_version, kind) = (text(&answer["apiVersion"]), text(&answer["kind"]));
    if api_version != "admission.k8s.io/v1" || kind != "AdmissionReview" {
        let api_version =
            if api_version.contains('/') { api_version } else { format!("/{api_version}") };
        return Err(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got \
             {api_version}, Kind={kind}"
        ));
    }
    Ok(())
}

fn check_patch(patch: &[u8], patch_type: Option<&str>, phase: Phase) -> Result<(), String> {
    let message = match (phase, patch.is_empty(), patch_type) {
        (Phase::Mutating, false, None) => {
            "webhook returned response.patch but not response.patchType"
        }
        (Phase::Mutating, true, Some(_)) => {
            "webhook returned response.patchType but not response.patch"
        }
        (Phase::Mutating, false, Some("")) => "webhook returned invalid response.patchType of \"\"",
        (Phase::Validating, false, _) => "validating webhook may not return response.patch",
        (Phase::Validating, true, Some(_)) => {
            "validating webhook may not return response.patchType"
        }
        (Phase::Mutating, ..) | (Phase::Validating, true, None) => return Ok(()),
    };
    Err(message.to_owned())
}

/// The answer to a request that a webhook denied: its own code, reason and details.
/// (kubernetes 1.36: apiserver/pkg/admission/plugin/webhook/errors/statuserror.go)
pub(super) fn denial(webhook: &str, result: Option<&Value>) -> Box<Status> {
    let empty = Value::Null;
    let result = result.unwrap_or(&empty);
    let text = |name: &str| result[name].as_str().unwrap_or_default();
    let denied = format!("admission webhook {} denied the request", quote(webhook));
    let message = match (text("message"), text("reason")) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = result["code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let details = serde_json::from_value::<StatusDetails>(result["details"].clone()).ok();
    Box::new(Status {
        code: code.filter(|code| (400..1000).contains(code)).unwrap_or(400),
        reason: text("reason").to_owned(),
        message,
        details,
    })
}
