//! Admission webhooks.

mod call;
mod mutating;
mod patch;
mod review;
mod validating;

pub(super) use mutating::{Reinvocation, admit};
pub(super) use validating::approve;

use std::time::Duration;

use serde_json::Value;

use super::attributes::{Attributes, Operation};
use super::conditions::Conditions;
use super::configuration::{Matching, Objects};
use super::inputs::Inputs;
use super::policies::shown_name;
use crate::apiserver::profile::Resource;
use crate::apiserver::route;
use crate::apiserver::webhook::ClientConfig;
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::Status;

/// Time that a webhook has if its configuration says nothing.
const TIMEOUT_DEFAULT_SECONDS: u64 = 10;

/// When webhooks are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// One by one, each sees what the ones before changed.
    Mutating,
    /// All at once, on what is going to be stored.
    Validating,
}

impl Phase {
    /// Plural name of the configurations.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        }
    }
}

/// What happens to a request when its webhook cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailurePolicy {
    /// It is refused.
    Fail,
    /// It goes on.
    Ignore,
}

impl FailurePolicy {
    /// Reads `failurePolicy`.
    pub(super) fn parse(configuration: &Value) -> Self {
        match configuration["failurePolicy"].as_str() {
            Some("Ignore") => Self::Ignore,
            _ => Self::Fail,
        }
    }
}

/// A version of AdmissionReview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReviewVersion {
    V1,
    V1Beta1,
}

impl ReviewVersion {
    fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "admission.k8s.io/v1",
            Self::V1Beta1 => "admission.k8s.io/v1beta1",
        }
    }
}

/// One webhook of a configuration.
#[derive(Debug)]
pub(super) struct Hook {
    /// Revision of the configuration.
    pub(super) revision: u64,
    /// Configuration and index; unlike the name, unique.
    uid: String,
    name: String,
    client: Result<ClientConfig, String>,
    matching: Matching,
    conditions: Conditions,
    failure_policy: FailurePolicy,
    timeout: Duration,
    /// Whether dry runs may call it.
    has_no_side_effects: bool,
    /// The first known version it takes.
    review_version: Option<ReviewVersion>,
    /// Whether it is called again when a later one changed the object.
    is_reinvoked: bool,
}

impl Hook {
    /// Reads a webhook of the configuration of this name and revision.
    pub(super) fn parse((name, revision): (&str, u64), index: usize, webhook: &Value) -> Self {
        let versions = webhook["admissionReviewVersions"].as_array().into_iter().flatten();
        let review_version = versions.filter_map(Value::as_str).find_map(|version| match version {
            "v1" => Some(ReviewVersion::V1),
            "v1beta1" => Some(ReviewVersion::V1Beta1),
            _ => None,
        });
        let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(TIMEOUT_DEFAULT_SECONDS);
        Self {
            revision,
            uid: format!("{name}/{index}"),
            name: webhook["name"].as_str().unwrap_or_default().to_owned(),
            client: ClientConfig::parse(&webhook["clientConfig"]),
            matching: Matching::of_webhook(webhook),
            conditions: Conditions::parse(&webhook["matchConditions"], false),
            failure_policy: FailurePolicy::parse(webhook),
            timeout: Duration::from_secs(seconds),
            has_no_side_effects: matches!(
                webhook["sideEffects"].as_str(),
                Some("None" | "NoneOnDryRun")
            ),
            review_version,
            is_reinvoked: webhook["reinvocationPolicy"] == "IfNeeded",
        }
    }

    /// Whether it is a provider's own webhook for a kind: its rules name that, and it has an address.
    pub(super) fn stands_in(&self, call: &route::Call<'_>, operation: Operation) -> bool {
        let is_known = || self.client.as_ref().is_ok_and(|it| call.server.knows_webhook(it));
        self.matching.names(&call.resource, operation) && is_known()
    }

    /// Whether the match conditions hold.
    ///
    /// # Errors
    /// 403 if that cannot be said and must be.
    fn is_meant(
        &self,
        attributes: &Attributes<'_>,
        resource: &Resource,
        objects: Objects<'_>,
    ) -> Result<bool, Box<Status>> {
        if self.conditions.is_empty() {
            return Ok(true);
        }
        let inputs = Inputs::new(attributes, resource, objects);
        self.conditions.hold(&inputs, None, self.failure_policy).map_err(|why| {
            let definition = &attributes.resource().definition;
            let about = GroupResource {
                group: definition.group.clone(),
                resource: definition.plural.clone(),
            };
            Status::forbidden(&about, &shown_name(attributes, objects), &why)
        })
    }
}
