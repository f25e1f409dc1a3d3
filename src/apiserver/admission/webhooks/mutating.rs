//! Mutating webhooks, one after the other.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go)

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::call::Failure;
use super::review::{self, Verdict};
use super::{Hook, Phase, patch};
use crate::apiserver::admission::attributes::Attributes;
use crate::apiserver::admission::configuration::Objects;
use crate::apiserver::admission::versions;
use crate::apiserver::profile::Resource;
use crate::apiserver::write;
use crate::machinery::status::{Status, quote};

/// What a round of webhooks leaves for the next one.
#[derive(Default)]
pub(crate) struct Reinvocation {
    /// Whether this is the second round.
    pub(crate) is_second: bool,
    /// Whether a second round is due: a webhook changed the object.
    pub(crate) is_due: bool,
    /// What the last round left.
    last_output: Option<Value>,
    /// Webhooks that were called since the last change and want to be called after the next.
    called: BTreeSet<String>,
    /// Webhooks that are called in the second round.
    again: BTreeSet<String>,
}

impl Reinvocation {
    fn changed(&mut self) {
        self.again.append(&mut self.called);
    }
}

/// Objects in the version that the last webhook saw.
struct Versioned {
    object: Option<Value>,
    old: Option<Value>,
    resource: Arc<Resource>,
}

impl Versioned {
    fn objects(&self) -> Objects<'_> {
        Objects { object: self.object.as_ref(), old: self.old.as_ref() }
    }

    /// Turns the objects into those of another version.
    async fn convert(
        &mut self,
        attributes: &Attributes<'_>,
        to: &Arc<Resource>,
    ) -> Result<(), Box<Status>> {
        if Arc::ptr_eq(&self.resource, to) || self.resource.api_version == to.api_version {
            return Ok(());
        }
        for place in [&mut self.object, &mut self.old] {
            if let Some(object) = place.take() {
                *place = Some(versions::convert(attributes, (&self.resource, to), object).await?);
            }
        }
        self.resource = to.clone();
        Ok(())
    }
}

/// Calls the webhooks that are about the request; `object` is changed as they say. Whatever is to
/// be told to the client is added to `warnings`.
///
/// # Errors
/// The denial of a webhook, or 500 for one that could not be asked and must be.
pub(crate) async fn admit(
    hooks: &[Arc<Hook>],
    attributes: &Attributes<'_>,
    (object, old): (&mut Option<Value>, Option<&Value>),
    rounds: &mut Reinvocation,
    warnings: &mut Vec<String>,
) -> Result<(), Box<Status>> {
    if rounds.is_second && rounds.last_output != *object {
        // The server's own plug-ins changed something after the first round.
        rounds.changed();
    }
    let mut current: Option<Versioned> = None;
    for hook in hooks {
        let objects = match &current {
            Some(current) => current.objects(),
            None => Objects { object: object.as_ref(), old },
        };
        let Some(resource) = hook.matching.resource(attributes, objects)? else { continue };
        if rounds.is_second && !rounds.again.contains(&hook.uid) {
            continue;
        }
        let versioned = current.get_or_insert_with(|| Versioned {
            object: object.take(),
            old: old.cloned(),
            resource: attributes.resource().clone(),
        });
        versioned.convert(attributes, &resource).await?;
        if !hook.is_meant(attributes, &resource, versioned.objects())? {
            continue;
        }
        if hook.mutate(attributes, versioned, warnings).await? {
            rounds.changed();
            rounds.is_due = true;
        }
        if hook.is_reinvoked {
            rounds.called.insert(hook.uid.clone());
        }
    }
    if let Some(mut versioned) = current {
        versioned.old = None;
        versioned.convert(attributes, attributes.resource()).await?;
        *object = versioned.object;
    }
    rounds.last_output.clone_from(object);
    Ok(())
}

impl Hook {
    /// Asks the webhook and does what it says; whether that changed the object.
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        versioned: &mut Versioned,
        warnings: &mut Vec<String>,
    ) -> Result<bool, Box<Status>> {
        let asked =
            self.ask(attributes, &versioned.resource, versioned.objects(), Phase::Mutating).await;
        let outcome = match asked {
            Ok(verdict) => self.follow(&verdict, versioned, warnings),
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(changed) => Ok(changed),
            Err(Failure::Refused(status)) => Err(status),
            Err(Failure::Unasked(why)) => self.failed(&why).map(|()| false),
        }
    }

    fn follow(
        &self,
        verdict: &Verdict,
        versioned: &mut Versioned,
        warnings: &mut Vec<String>,
    ) -> Result<bool, Failure> {
        warnings.extend(verdict.warnings.iter().cloned());
        if !verdict.allowed {
            let denial = review::denial(&self.name, verdict.result.as_ref());
            return Err(Failure::Refused(denial));
        }
        if verdict.patch.is_empty() {
            return Ok(false);
        }
        let operations = patch::decode(&verdict.patch).map_err(|why| {
            Failure::Unasked(format!("received undecodable patch in webhook response: {why}"))
        })?;
        if operations.is_empty() {
            return Ok(false);
        }
        let Some(object) = &versioned.object else {
            return Err(Failure::Refused(Status::internal(format!(
                "admission webhook {} attempted to modify the object, which is not supported for \
                 this operation",
                quote(&self.name)
            ))));
        };
        if verdict.patch_type != "JSONPatch" {
            let kind = quote(&verdict.patch_type);
            return Err(Failure::Unasked(format!("unsupported patch type {kind}")));
        }
        let internal = |why: String| Failure::Refused(Status::internal(why));
        let mut patched = patch::apply(&operations, object).map_err(internal)?;
        for field in ["apiVersion", "kind"] {
            if patched[field] != object[field] {
                let (given, wanted) = (&patched[field], &object[field]);
                let why = format!("{field} was changed from {wanted} to {given}");
                return Err(Failure::Refused(Status::internal(why)));
            }
        }
        let changed = patched != *object;
        let definition = &versioned.resource.definition;
        if patched["kind"] == *definition.kind {
            write::settle(&versioned.resource, &mut patched).map_err(internal)?;
        }
        versioned.object = Some(patched);
        Ok(changed)
    }
}
