//! The last step of a write, and what follows from it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::body::Body;
use http::Response;
use serde_json::Value;

use super::pipeline::Write;
use crate::apiserver::counters::Counters;
use crate::apiserver::garbage::GcEvent;
use crate::apiserver::negotiate::Shape;
use crate::apiserver::profile::Resource;
use crate::apiserver::route::Call;
use crate::apiserver::{ApiServer, admission, answer, conversion, crds, read};
use crate::machinery::status::Status;
use crate::store::{Draft, Entry, Event, EventKind, ObjectRef};

/// Tells everybody who has to know of a write.
pub(super) fn committed(call: &Call<'_>, event: &Event) {
    announce(call.server, &call.resource, event);
}

/// The same without a request.
pub(super) fn announce(server: &ApiServer, resource: &Resource, event: &Event) {
    Counters::add(&server.counters().writes);
    let object = ObjectRef {
        resource: resource.key.clone(),
        namespace: event.entry.meta.namespace.to_string(),
        name: event.entry.meta.name.to_string(),
    };
    match event.kind {
        EventKind::Created | EventKind::Updated => {
            server.garbage().written(&object, &event.entry, event.previous.as_deref());
        }
        EventKind::Deleted => {
            let uid = event.entry.meta.uid.to_string();
            server.garbage().push(GcEvent::Deleted { object, uid });
            if !resource.is_built_in() {
                crds::instance_deleted(server, &resource.key);
            }
        }
    }
    if resource.is("", "services") {
        server.admission().services().committed(server.store(), &event.entry);
    }
    if resource.is_built_in() {
        server.policy().committed(server.store(), &resource.key, event);
    }
    if admission::is_configuration(resource) {
        server.admission().refresh(server, event);
    }
    if crds::is_definition(resource) {
        crds::committed(server, event);
    }
    if let Some(tell) = &server.options().on_commit {
        tell(&resource.key, event);
    }
}

/// Counts an event that is no write.
pub(super) fn count(counter: &AtomicU64) {
    Counters::add(counter);
}

impl Write<'_> {
    /// The answer to a write that left `entry`.
    pub(super) async fn answer(
        &self,
        code: u16,
        entry: &Arc<Entry>,
    ) -> Result<Response<Body>, Box<Status>> {
        let resource = &self.call.resource;
        let entry = conversion::shown(self.call.server, resource, entry).await?;
        Ok(self.answer_shown(code, &entry))
    }

    /// The answer to a write that left an object which reads so in the requested version.
    pub(super) fn answer_shown(&self, code: u16, entry: &Arc<Entry>) -> Response<Body> {
        let accepted = self.accepted;
        let own_version = entry.prefix() == &self.call.resource.prefix[..];
        let mut response = if accepted.shape == Shape::Object && own_version {
            answer::encoded(code, accepted.encoding, entry.raw.clone())
        } else {
            let view = read::view(self.call, accepted.shape);
            answer::encoded(code, accepted.encoding, view.object(entry))
        };
        answer::warn(&mut response, &self.warnings);
        response
    }

    /// The answer to a creation that was only tried: nothing in it has a version.
    pub(super) fn answer_draft(&self, code: u16, draft: Draft) -> Response<Body> {
        let accepted = self.accepted;
        let json = match accepted.shape {
            Shape::Object => draft.unversioned(),
            Shape::Metadata(_) | Shape::Table(_) => {
                let shown = read::view(self.call, accepted.shape).object(&draft.at(0));
                without_versions(&shown).unwrap_or(shown)
            }
        };
        let mut response = answer::encoded(code, accepted.encoding, json);
        answer::warn(&mut response, &self.warnings);
        response
    }
}

/// Metadata or a Table without the versions of an object that has none.
fn without_versions(shown: &[u8]) -> Option<Vec<u8>> {
    fn forget(shown: &mut Value) {
        if let Some(metadata) = shown.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
    }
    let mut shown: Value = serde_json::from_slice(shown).ok()?;
    forget(&mut shown);
    for row in shown.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten() {
        row.get_mut("object").into_iter().for_each(forget);
    }
    serde_json::to_vec(&shown).ok()
}
