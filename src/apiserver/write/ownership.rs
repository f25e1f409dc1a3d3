//! Who owns which field: keeps metadata.managedFields of every write.

use serde_json::Value;

use super::pipeline::{Target, Write};
use super::{kinds, metadata};
use crate::apiserver::conversion;
use crate::machinery::builtin;
use crate::machinery::managed_fields::{self, Force, Others, Writer};
use crate::machinery::status::Status;

impl Write<'_> {
    /// Records an update: the request's manager owns what differs from `old`.
    ///
    /// Entries of other versions lose what changes in theirs. If the object cannot be had in one of
    /// them, nobody owns anything any more, as upstream. (kubernetes 1.36: apimachinery
    /// managedfields/fieldmanager.go, UpdateNoErrors)
    ///
    /// # Errors
    /// None yet; conversion by others may be cancelled one day.
    pub(super) async fn track(
        &mut self,
        old: Option<&Value>,
        new: &mut Value,
    ) -> Result<(), Box<Status>> {
        let held = self.ownership.take();
        let resource = self.call.resource.clone();
        let schema = resource.definition.schema.root();
        let zero;
        let before = match old {
            Some(old) => old,
            None => {
                zero = kinds::zero_object(&self.call.resource);
                &zero
            }
        };
        let list = held.as_ref().or_else(|| new.pointer("/metadata/managedFields"));
        let versions = managed_fields::other_versions(list, &resource.api_version);
        let others = self.elsewhere(before, new, versions).await;
        self.with_writer(|writer| match others {
            Err(_) => forget(new),
            Ok(others) => match held {
                Some(held) => {
                    managed_fields::update_held(before, held, new, writer, (schema, &others));
                }
                None => managed_fields::update_across(before, new, writer, (schema, &others)),
            },
        });
        if let Some(metadata) = new["metadata"].as_object_mut()
            && metadata.get("managedFields").is_some_and(|list| *list == Value::Array(Vec::new()))
        {
            metadata.remove("managedFields");
        }
        Ok(())
    }

    /// A change in other versions of the kind.
    async fn elsewhere(
        &self,
        before: &Value,
        after: &Value,
        versions: Vec<String>,
    ) -> Result<Others, Box<Status>> {
        let mut others = Others::new();
        let (server, kind) = (self.call.server, &self.call.resource.versions);
        for version in versions {
            let mut both = [before.clone(), after.clone()];
            let mut schema = None;
            for object in both.iter_mut().filter(|object| object.is_object()) {
                let converted =
                    conversion::elsewhere(server, kind, object.take(), &version).await?;
                *object = converted.0;
                schema = Some(converted.1);
            }
            let Some(schema) = schema else { continue };
            let [before, after] = both;
            let other = managed_fields::Elsewhere::new(before, after, schema)
                .map_err(|why| Status::unknown(format!("failed to convert new object: {why}")))?;
            others.insert(version, other);
        }
        Ok(others)
    }

    /// Applies a Scale to that of an object; returns the new one, with its `managedFields`.
    pub(in crate::apiserver) fn apply_scale(
        &self,
        live: &Value,
        applied: &Value,
    ) -> Result<Value, Box<Status>> {
        let shape = builtin::shape("io.k8s.api.autoscaling.v1.Scale")
            .ok_or_else(|| Status::internal("no schema for a Scale"))?;
        let force = if self.options.force { Force::Yes } else { Force::No };
        self.with_writer(|writer| {
            let writer = Writer { api_version: "autoscaling/v1", ..*writer };
            let schema = (shape.root(), &Others::new());
            managed_fields::apply(Some(live), applied, &writer, force, schema)
        })
    }

    /// Applies a configuration to the live object, or to nothing.
    pub(super) async fn apply(
        &self,
        live: Option<&Value>,
        applied: &Value,
    ) -> Result<Value, Box<Status>> {
        let schema = self.call.resource.definition.schema.root();
        let force = if self.options.force { Force::Yes } else { Force::No };
        let act = |force, others: &Others| {
            self.with_writer(|writer| {
                managed_fields::apply(live, applied, writer, force, (schema, others))
            })
        };
        let list = live.and_then(|live| live.pointer("/metadata/managedFields"));
        let versions = managed_fields::other_versions(list, &self.call.resource.api_version);
        let none = Others::new();
        let Some(live) = live.filter(|_| !versions.is_empty()) else { return act(force, &none) };
        // What the other versions make of the outcome decides about conflicts in them.
        let outcome = act(Force::Yes, &none)?;
        let others = self.elsewhere(live, &outcome, versions).await?;
        act(force, &others)
    }

    fn with_writer<T>(&self, act: impl FnOnce(&Writer<'_>) -> T) -> T {
        let now = match self.target {
            // Upstream loses the time on the way from the Scale to its object.
            Target::Scale => String::new(),
            _ => metadata::timestamp(self.now),
        };
        act(&Writer {
            manager: &self.manager(),
            subresource: self.target.subresource(),
            api_version: &self.call.resource.api_version,
            now: &now,
            reset: kinds::reset_fields(&self.call.resource, self.target),
        })
    }
}

/// Takes away all ownership.
fn forget(object: &mut Value) {
    metadata::members(object).remove("managedFields");
}
