//! Validating webhooks, all at once.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/webhook/validating/dispatcher.go)

use std::sync::Arc;

use futures::future;
use serde_json::Value;

use super::call::Failure;
use super::{Hook, Phase, review};
use crate::apiserver::admission::attributes::Attributes;
use crate::apiserver::admission::configuration::Objects;
use crate::apiserver::admission::versions;
use crate::apiserver::profile::Resource;
use crate::machinery::status::Status;

/// The objects in a version that some webhook wants to see.
struct Versioned {
    resource: Arc<Resource>,
    object: Option<Value>,
    old: Option<Value>,
}

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
    let mut versions: Vec<Versioned> = Vec::new();
    let mut relevant = Vec::new();
    for hook in hooks {
        let Some(resource) = hook.matching.resource(attributes, objects)? else { continue };
        let own = resource.api_version == attributes.resource().api_version;
        let known = versions.iter().any(|it| it.resource.api_version == resource.api_version);
        if !own && !known {
            versions.push(versioned(attributes, &resource, objects).await?);
        }
        relevant.push((hook, resource));
    }
    let versions = &versions;
    let calls = relevant.iter().map(|(hook, resource)| {
        let version = versions.iter().find(|it| it.resource.api_version == resource.api_version);
        let objects = version.map_or(objects, |version| Objects {
            object: version.object.as_ref(),
            old: version.old.as_ref(),
        });
        hook.approve(attributes, resource, objects)
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

async fn versioned(
    attributes: &Attributes<'_>,
    resource: &Arc<Resource>,
    objects: Objects<'_>,
) -> Result<Versioned, Box<Status>> {
    let mut converted = [None, None];
    for (place, object) in converted.iter_mut().zip([objects.object, objects.old]) {
        if let Some(object) = object {
            let version = (attributes.resource(), resource);
            *place = Some(versions::convert(attributes, version, object.clone()).await?);
        }
    }
    let [object, old] = converted;
    Ok(Versioned { resource: resource.clone(), object, old })
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
