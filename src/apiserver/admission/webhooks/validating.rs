//! Validating webhooks, all at once.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/webhook/validating/dispatcher.go)

use std::sync::Arc;

use futures::future;

use super::call::Failure;
use super::{Hook, Phase, review};
use crate::apiserver::admission::attributes::Attributes;
use crate::apiserver::admission::configuration::Objects;
use crate::apiserver::admission::versions::{self, Shown};
use crate::apiserver::profile::Resource;
use crate::machinery::status::Status;

/// Calls the webhooks that are about the request. Whatever is to be told to the client is added to
/// `warnings`.
///
/// # Errors
/// The denial of a webhook, or 500 for one that could not be asked and must be; of several the
/// first in the order of configurations.
pub(crate) async fn approve(
    hooks: &[Arc<Hook>],
    attributes: &Attributes<'_>,
    objects: Objects<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), Box<Status>> {
    let mut versions: Vec<(Arc<Resource>, Shown)> = Vec::new();
    let mut relevant = Vec::new();
    for hook in hooks {
        let Some(resource) = hook.matching.resource(attributes, objects)? else { continue };
        let known = versions.iter().any(|(known, _)| known.api_version == resource.api_version);
        if !known && let Some(shown) = versions::shown(attributes, &resource, objects).await? {
            versions.push((resource.clone(), shown));
        }
        let shown = objects_in(&versions, &resource, objects);
        if !hook.is_meant(attributes, &resource, shown)? {
            continue;
        }
        relevant.push((hook, resource));
    }
    let calls = relevant.iter().map(|(hook, resource)| {
        hook.approve(attributes, resource, objects_in(&versions, resource, objects))
    });
    let mut first_refusal = Ok(());
    for (outcome, said) in future::join_all(calls).await {
        warnings.extend(said);
        if first_refusal.is_ok() {
            first_refusal = outcome;
        }
    }
    first_refusal
}

/// The objects as a version shows them.
fn objects_in<'a>(
    versions: &'a [(Arc<Resource>, Shown)],
    resource: &Resource,
    objects: Objects<'a>,
) -> Objects<'a> {
    let version = versions.iter().find(|(known, _)| known.api_version == resource.api_version);
    version.map_or(objects, |(_, shown)| shown.objects())
}

impl Hook {
    async fn approve(
        &self,
        attributes: &Attributes<'_>,
        resource: &Arc<Resource>,
        objects: Objects<'_>,
    ) -> (Result<(), Box<Status>>, Vec<String>) {
        match self.ask(attributes, resource, objects, Phase::Validating).await {
            Ok(verdict) if verdict.allowed => (Ok(()), verdict.warnings),
            Ok(verdict) => {
                let denial = review::denial(&self.name, verdict.result.as_ref());
                (Err(denial), verdict.warnings)
            }
            Err(Failure::Refused(status)) => (Err(status), Vec::new()),
            Err(Failure::Unasked(why)) => (self.failed(&why), Vec::new()),
        }
    }
}
