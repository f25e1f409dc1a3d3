//! Where writes pass admission.

use serde_json::Value;

use super::metadata;
use super::pipeline::{Target, Write};
use crate::apiserver::admission::{Chain, Operation, Reservation};
use crate::apiserver::conversion;
use crate::apiserver::options::DeleteOptions;
use crate::machinery::managed_fields;
use crate::machinery::status::Status;
use crate::store::Entry;

/// What is said of managed fields that a webhook broke.
/// (kubernetes 1.36: apiserver/pkg/endpoints/handlers/fieldmanager/admission.go)
const BROKEN_OWNERSHIP: &str = ".metadata.managedFields was in an invalid state after admission; \
                                this could be caused by an outdated mutating admission controller; \
                                please fix your requests: ";

/// What is said of owners that a webhook named twice.
/// (kubernetes 1.36: apiserver/pkg/endpoints/handlers/create.go)
const REPEATED_OWNERS: &str = ".metadata.ownerReferences contains duplicate entries after mutating \
                               admission happens; API server dedups owner references in 1.20+, and \
                               may reject such requests as early as 1.24; please fix your \
                               requests; duplicate UID(s) observed: ";

impl<'a> Write<'a> {
    /// The first step: plug-ins and webhooks may change `object`. Says whether they did.
    ///
    /// # Errors
    /// The first refusal.
    pub(super) async fn mutate(
        &mut self,
        operation: Operation,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<bool, Box<Status>> {
        let chain = Chain::new(self.call, operation);
        // Scales pass on their own.
        if self.target == Target::Scale || chain.is_idle(object) {
            return Ok(false);
        }
        let before = object.clone();
        let attributes = chain.attributes(self.admitted_name(object));
        let mut changing = Some(object.take());
        let outcome = chain.admit(&attributes, (&mut changing, old), &mut self.warnings).await;
        *object = changing.unwrap_or_default();
        self.told(outcome)?;
        if *object == before {
            return Ok(false);
        }
        let repeated = metadata::remove_duplicate_owners(object);
        if !repeated.is_empty() {
            self.warnings.push(format!("{REPEATED_OWNERS}{}", repeated.join(", ")));
        }
        self.keep_ownership(object, &before);
        Ok(true)
    }

    /// Managed fields that cannot be read any more are put back.
    fn keep_ownership(&mut self, object: &mut Value, before: &Value) {
        let Err(why) = managed_fields::check(&object["metadata"]["managedFields"]) else { return };
        match &before["metadata"]["managedFields"] {
            Value::Null => drop(metadata::members(object).remove("managedFields")),
            list => object["metadata"]["managedFields"] = list.clone(),
        }
        self.warnings.push(format!("{BROKEN_OWNERSHIP}{why}"));
    }

    /// The second step: policies and webhooks look at what is going to be stored.
    ///
    /// # Errors
    /// The first refusal.
    pub(super) async fn approve(
        &mut self,
        operation: Operation,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), Box<Status>> {
        let chain = Chain::new(self.call, operation);
        if self.target == Target::Scale || chain.is_idle(object) {
            return Ok(());
        }
        let attributes = chain.attributes(self.admitted_name(object));
        let outcome = chain.approve(&attributes, (Some(object), old), &mut self.warnings).await;
        self.told(outcome)
    }

    /// Warnings go along with a refusal, too.
    fn told<T>(&self, outcome: Result<T, Box<Status>>) -> Result<T, Box<Status>> {
        if outcome.is_err() {
            self.call.refusal_warnings.lock().clone_from(&self.warnings);
        }
        outcome
    }

    /// Both steps for a deletion, whose options are `options`. Of the objects of a collection the
    /// name is not told, as upstream.
    ///
    /// # Errors
    /// The first refusal.
    pub(super) async fn approve_deletion(
        &mut self,
        options: &DeleteOptions,
        entry: &Entry,
    ) -> Result<(), Box<Status>> {
        // An eviction was admitted as such.
        if !self.call.info.subresource.is_empty() {
            return Ok(());
        }
        let chain = Chain::new(self.call, Operation::Delete);
        if chain.is_idle(&Value::Null) {
            return Ok(());
        }
        let (server, resource) = (self.call.server, &self.call.resource);
        let old = Some(conversion::tree(server, resource, entry).await?);
        let mut attributes = chain.attributes(&self.call.info.name);
        attributes = attributes.with_options(&options.to_members());
        attributes.dry_run = options.is_dry_run();
        let mut nothing = None;
        let admitted =
            chain.admit(&attributes, (&mut nothing, old.as_ref()), &mut self.warnings).await;
        self.told(admitted)?;
        let approved = chain.approve(&attributes, (None, old.as_ref()), &mut self.warnings).await;
        self.told(approved)
    }

    /// Both steps for a Scale that is to be written; `show` makes the Scale of an object.
    ///
    /// # Errors
    /// The first refusal.
    pub(in crate::apiserver) async fn pass_scale(
        &mut self,
        scale: Value,
        show: impl Fn(&Value) -> Value,
        entry: &Entry,
    ) -> Result<Value, Box<Status>> {
        let chain = Chain::new(self.call, Operation::Update);
        if chain.is_idle(&scale) {
            return Ok(scale);
        }
        let (server, resource) = (self.call.server, &self.call.resource);
        let old = show(&conversion::tree(server, resource, entry).await?);
        let attributes = chain.attributes(&self.call.info.name);
        let attributes = attributes.of_kind("autoscaling", "v1", "Scale");
        let passed = chain.pass(&attributes, scale, Some(&old), &mut self.warnings).await;
        self.told(passed)
    }

    /// Takes addresses and ports for a Service; `given` is its spec as the client sent it.
    ///
    /// # Errors
    /// 422 for those that somebody else has.
    pub(super) fn reserve(
        &self,
        object: &mut Value,
        given: Option<Value>,
    ) -> Result<Option<Reservation<'a>>, Box<Status>> {
        let Some(given) = given else { return Ok(None) };
        let server = self.call.server;
        server.admission().services().reserve(server, object, &given).map(Some)
    }

    /// The spec of a Service, as long as it is the client's.
    pub(super) fn given_addresses(&self, object: &Value) -> Option<Value> {
        self.call.resource.is("", "services").then(|| object["spec"].clone())
    }

    /// The name of the request, or of the object, if that has one already.
    fn admitted_name<'b>(&'b self, object: &'b Value) -> &'b str {
        match &*self.call.info.name {
            "" => metadata::text(object, "name"),
            name => name,
        }
    }
}
