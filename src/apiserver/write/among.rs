//! Rules of a kind that look at other objects, as the store has them.

use std::time::Duration;

use serde_json::Value;

use super::pipeline::{Target, Write};
use crate::apiserver::admission::{self, Operation};
use crate::apiserver::profile::Resource;
use crate::apiserver::{ApiServer, conversion};
use crate::machinery::definition::{Among, ObjectKind, Objects};
use crate::machinery::gvk::GroupResource;
use crate::machinery::selector::LabelSelector;
use crate::machinery::status::{Cause, Status, quote};
use crate::store::{Entry, RangeQuery};

/// How long a write waits for an object that another one is about to settle.
/// (CAPI v1.14: core/webhooks/admission/cluster.go, pollClusterClassForCluster)
const PATIENCE: Duration = Duration::from_secs(2);

/// The objects of a server.
struct Stored<'a>(&'a ApiServer);

impl Stored<'_> {
    /// Any served version of a kind; objects are kept under the key that all share.
    fn resource(&self, kind: ObjectKind<'_>) -> Option<std::sync::Arc<Resource>> {
        let resources = self.0.resources();
        let mut all = resources.iter();
        let found = all.find(|resource| {
            *resource.definition.group == *kind.group && *resource.definition.kind == *kind.kind
        });
        found.cloned()
    }
}

fn parse(entry: &Entry) -> Option<Value> {
    serde_json::from_slice(&entry.raw).ok()
}

impl Objects for Stored<'_> {
    fn get(&self, kind: ObjectKind<'_>, namespace: &str, name: &str) -> Option<Value> {
        let resource = self.resource(kind)?;
        parse(&*self.0.store().get(&resource.key, namespace, name)?)
    }

    fn list(
        &self,
        kind: ObjectKind<'_>,
        namespace: Option<&str>,
        labels: &LabelSelector,
    ) -> Vec<Value> {
        let Some(resource) = self.resource(kind) else { return Vec::new() };
        let query =
            RangeQuery { resource: &resource.key, namespace, after: None, at: None, limit: 0 };
        let page = self
            .0
            .store()
            .range(query, |entry| labels.matches_by(|key| entry.meta.labels.get(key)));
        page.map(|page| page.entries.iter().filter_map(|entry| parse(entry)).collect())
            .unwrap_or_default()
    }
}

impl Write<'_> {
    /// The kind's rules, if this is a write of a whole object.
    fn among(&self) -> Option<&'static Among> {
        let among = self.call.resource.definition.strategy.among;
        among.filter(|_| self.target == Target::Main)
    }

    /// Fills in what depends on other objects.
    ///
    /// # Errors
    /// 422 with what cannot be filled in.
    pub(super) async fn default_among(
        &mut self,
        operation: Operation,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Box<Status>> {
        let Some(among) = self.among() else { return Ok(()) };
        let Some(default) = among.default else { return Ok(()) };
        if admission::are_defaults_replaced(self.call, operation) {
            return Ok(());
        }
        let stored = Stored(self.call.server);
        self.wait_among(among, object, &stored).await;
        let causes = default(object, old, &stored);
        self.refuse(object, causes)
    }

    /// Waits as long as the rules have to, but not for ever.
    async fn wait_among(&self, among: &Among, object: &Value, stored: &Stored<'_>) {
        let Some(awaits) = among.awaits else { return };
        let clock = self.call.server.clock();
        let waiting = async {
            while let Some(resource) = awaits(object, stored).and_then(|it| stored.resource(it)) {
                let changed = self.call.server.store().changed(&resource.key);
                let rung = changed.notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                // What changed before the bell was in place has not rung it.
                if awaits(object, stored).is_none() {
                    break;
                }
                rung.await;
            }
        };
        // Past the deadline the rules see what there is.
        let _ = clock.timeout(PATIENCE, waiting).await;
    }

    /// What the rules have against an object; their warnings are kept.
    pub(super) fn validate_among(&mut self, new: &Value, old: Option<&Value>) -> Vec<Cause> {
        let Some(validate) = self.among().and_then(|among| among.validate) else {
            return Vec::new();
        };
        let verdict = validate(new, old, &Stored(self.call.server));
        self.warnings.extend(verdict.warnings);
        if !verdict.causes.is_empty() {
            self.call.refusal_warnings.lock().clone_from(&self.warnings);
        }
        verdict.causes
    }

    /// Refuses to delete what others need.
    ///
    /// # Errors
    /// 403 with who needs it, as a webhook's refusal.
    pub(super) async fn check_deletion_among(&self, entry: &Entry) -> Result<(), Box<Status>> {
        let Some(refuse) = self.among().and_then(|among| among.delete) else { return Ok(()) };
        if admission::are_checks_replaced(self.call, Operation::Delete) {
            return Ok(());
        }
        let object = conversion::tree(self.call.server, &self.call.resource, entry).await?;
        let Some(refusal) = refuse(&object, &Stored(self.call.server)) else { return Ok(()) };
        let definition = &self.call.resource.definition;
        // The webhook names the kind where others name the resource.
        let about =
            GroupResource { group: definition.group.clone(), resource: definition.kind.clone() };
        let mut status = Status::forbidden(&about, &entry.meta.name, &refusal.why);
        let webhook = quote(refusal.webhook);
        status.message =
            format!("admission webhook {webhook} denied the request: {}", status.message);
        Err(status)
    }
}
