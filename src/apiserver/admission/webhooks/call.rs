//! One webhook is asked about one request.

use std::sync::Arc;

use super::review::{self, Question, Verdict};
use super::{FailurePolicy, Hook, Phase};
use crate::apiserver::admission::attributes::Attributes;
use crate::apiserver::admission::configuration::Objects;
use crate::apiserver::profile::Resource;
use crate::apiserver::random;
use crate::apiserver::webhook::Call;
use crate::machinery::status::{Status, quote};

/// Most bytes of an answer: a patch of the largest object in base64, and some.
const RESPONSE_MAX: usize = 8 * 1024 * 1024;
const AGENT: &str = "kube-apiserver-admission";

/// What an unanswered question leads to.
pub(super) enum Failure {
    /// The webhook could not be asked; its failure policy decides.
    Unasked(String),
    /// The request is refused whatever the policy.
    Refused(Box<Status>),
}

impl Hook {
    /// Asks about a request, whose objects are in the version of `resource`.
    pub(super) async fn ask(
        &self,
        attributes: &Attributes<'_>,
        resource: &Arc<Resource>,
        objects: Objects<'_>,
        phase: Phase,
    ) -> Result<Verdict, Failure> {
        if attributes.dry_run && !self.has_no_side_effects {
            let name = quote(&self.name);
            let message = format!("admission webhook {name} does not support dry run");
            return Err(Failure::Refused(Status::bad_request(message)));
        }
        let version = self.review_version.ok_or_else(|| {
            let why = "webhook does not accept known AdmissionReview versions (v1, v1beta1)";
            Failure::Unasked(format!("could not create admission objects: {why}"))
        })?;
        let config = self
            .client
            .as_ref()
            .map_err(|why| Failure::Unasked(format!("could not get REST client: {why}")))?;
        let uid = random::uid();
        let question = Question { attributes, resource, objects, uid: &uid, version };
        let call = Call {
            config,
            timeout: self.timeout,
            agent: AGENT,
            response_max: RESPONSE_MAX,
            body: question.encode(),
        };
        let answer = attributes.call.server.call_webhook(call).await;
        let answer =
            answer.map_err(|why| Failure::Unasked(format!("failed to call webhook: {why}")))?;
        review::verdict(&answer, &uid, version, phase)
            .map_err(|why| Failure::Unasked(format!("received invalid webhook response: {why}")))
    }

    /// Lets the failure policy decide: the request is refused, or goes on.
    pub(super) fn failed(&self, why: &str) -> Result<(), Box<Status>> {
        let failure = format!("failed calling webhook {}: {why}", quote(&self.name));
        match self.failure_policy {
            FailurePolicy::Fail => Err(Status::internal(failure)),
            FailurePolicy::Ignore => {
                tracing::warn!(%failure, "went on without a webhook");
                Ok(())
            }
        }
    }
}
