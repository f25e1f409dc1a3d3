//! The two steps of admission for one request.

use std::sync::Arc;

use serde_json::Value;

use super::attributes::{Attributes, Operation};
use super::configuration::Objects;
use super::native::{self, Plugin};
use super::plugins;
use super::policies;
use super::snapshot::Snapshot;
use super::snapshot::is_configuration;
use super::webhooks::{self, Reinvocation};
use crate::apiserver::route::Call;
use crate::machinery::status::Status;

/// Who has a say about a request. Cheap to make: most of the time it is nobody.
pub(crate) struct Chain<'a> {
    call: &'a Call<'a>,
    operation: Operation,
    plugins: &'static [Plugin],
    snapshot: Option<Arc<Snapshot>>,
}

impl<'a> Chain<'a> {
    /// Whoever has a say about a request now.
    pub(crate) fn new(call: &'a Call<'a>, operation: Operation) -> Self {
        let snapshot = call.server.admission().snapshot();
        Self {
            call,
            operation,
            plugins: native::plugins(call, operation),
            snapshot: snapshot.filter(|_| !is_configuration(&call.resource)),
        }
    }

    /// Whether nobody has anything to say about an object; null for a deletion.
    pub(crate) fn is_idle(&self, object: &Value) -> bool {
        let options = self.call.server.options();
        !options.owner_reference_enforcement
            && self.snapshot.is_none()
            && self.due(object).next().is_none()
    }

    /// Whether nobody switched a plug-in off.
    fn is_on(&self, name: &str) -> bool {
        !self.call.server.options().admission_plugins.is_disabled(name)
    }

    fn is_due(&self, plugin: &Plugin, object: &Value) -> bool {
        self.is_on(plugin.name) && (plugin.needed)(self.call, object)
    }

    /// The plug-ins that have something to do with an object.
    fn due<'b>(&'b self, object: &'b Value) -> impl Iterator<Item = &'static Plugin> + 'b {
        self.plugins.iter().filter(|plugin| self.is_due(plugin, object))
    }

    /// The request's attributes, for objects of the resource's own kind.
    pub(crate) fn attributes(&self, name: &str) -> Attributes<'a> {
        Attributes::new(self.call, self.operation, name)
    }

    /// The first step: `object` may change. `None` for requests that have no object (deletion).
    /// What is to be told to the client is added to `warnings`.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) async fn admit(
        &self,
        attributes: &Attributes<'_>,
        (object, old): (&mut Option<Value>, Option<&Value>),
        warnings: &mut Vec<String>,
    ) -> Result<(), Box<Status>> {
        let mut rounds = Reinvocation::default();
        loop {
            if let Some(object) = object {
                for plugin in self.plugins {
                    if self.is_due(plugin, object) {
                        (plugin.admit)(attributes, object, old)?;
                    }
                }
            }
            if let Some(snapshot) = &self.snapshot
                && self.is_on(plugins::MUTATING_WEBHOOKS)
            {
                let hooks = &snapshot.mutating;
                webhooks::admit(hooks, attributes, (&mut *object, old), &mut rounds, warnings)
                    .await?;
            }
            if rounds.is_second || !rounds.is_due {
                return Ok(());
            }
            rounds.is_second = true;
        }
    }

    /// The second step: nothing changes any more.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) async fn approve(
        &self,
        attributes: &Attributes<'_>,
        objects: (Option<&Value>, Option<&Value>),
        warnings: &mut Vec<String>,
    ) -> Result<(), Box<Status>> {
        let (object, old) = objects;
        if let Some(object) = object {
            if self.call.server.options().owner_reference_enforcement {
                native::owner_references::check(attributes, object, old)?;
            }
            for plugin in self.due(object) {
                (plugin.approve)(attributes, object, old)?;
            }
        }
        if let Some(snapshot) = &self.snapshot {
            let objects = Objects { object, old };
            if self.is_on(plugins::POLICIES) {
                policies::approve(&snapshot.policies, attributes, objects, warnings).await?;
            }
            if self.is_on(plugins::VALIDATING_WEBHOOKS) {
                webhooks::approve(&snapshot.validating, attributes, objects, warnings).await?;
            }
        }
        Ok(())
    }

    /// Both steps for an object that is not stored itself: a Scale, a Binding, an Eviction.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) async fn pass(
        &self,
        attributes: &Attributes<'_>,
        object: Value,
        old: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Result<Value, Box<Status>> {
        let mut object = Some(object);
        self.admit(attributes, (&mut object, old), warnings).await?;
        self.approve(attributes, (object.as_ref(), old), warnings).await?;
        Ok(object.unwrap_or_default())
    }
}
