//! Configurations of admission webhooks, admission policies and their bindings.
//! (kubernetes 1.36: pkg/apis/admissionregistration/v1/defaults.go, .../validation/validation.go)

mod checks;
mod policies;
mod webhooks;

use super::{NONE, Rules};

/// The rules of a kind.
pub(super) fn rules(kind: &str) -> &'static Rules {
    match kind {
        "MutatingWebhookConfiguration" => &webhooks::MUTATING,
        "ValidatingWebhookConfiguration" => &webhooks::VALIDATING,
        "ValidatingAdmissionPolicy" => &policies::POLICY,
        "ValidatingAdmissionPolicyBinding" => &policies::BINDING,
        _ => &NONE,
    }
}
