//! Objects that many servers have in common: admitted by one, copied by the others.
//!
//! A copy has a uid and times of its own and is otherwise what the first server stored, byte for
//! byte; it costs a hundredth of a creation. What a creation would look at besides the object is
//! not looked at: admission and addresses of Services. So it is for servers that nobody has reached
//! yet, and not for Services.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{commit, metadata};
use crate::apiserver::profile::Resource;
use crate::apiserver::{ApiServer, random};
use crate::machinery::meta::Meta;
use crate::store::{Draft, Entry, ResourceKey};

/// An object as a server stored it when it was created.
pub struct Template {
    resource: Arc<Resource>,
    entry: Arc<Entry>,
    /// `metadata` of the object.
    metadata: Value,
}

impl Template {
    /// The object that a server has just created, as it answered. `None` if it is another one
    /// already, or if it cannot be copied.
    pub fn of(
        server: &ApiServer,
        (group, version, plural): (&str, &str, &str),
        created: &Value,
    ) -> Option<Self> {
        let resource = server.resolve(group, version, plural)?;
        if !resource.is_built_in() || !resource.is_stored() || resource.is("", "services") {
            return None;
        }
        let text = |field: &str| metadata::text(created, field);
        let entry = server.store().get(&resource.key, text("namespace"), text("name"))?;
        if text("resourceVersion") != entry.revision.to_string() {
            return None;
        }
        let mut object: Value = serde_json::from_slice(&entry.raw).ok()?;
        let metadata = object.get_mut("metadata")?.take();
        Some(Self { resource, entry, metadata })
    }

    /// Creates a copy in a server that serves the same kinds. False if it does not, or if it has
    /// such an object or lacks the namespace: then the object is to be created like any other.
    pub fn create(&self, server: &ApiServer) -> bool {
        let definition = &self.resource.definition;
        let (group, version, plural) = (&definition.group, &definition.version, &definition.plural);
        let is_served = server
            .resolve(group, version, plural)
            .is_some_and(|resource| Arc::ptr_eq(&resource, &self.resource));
        if !is_served || !self.has_namespace(server) {
            return false;
        }
        let Some(draft) = self.draft(&metadata::timestamp(server.clock().now())) else {
            return false;
        };
        match server.store().create(&self.resource.key, draft) {
            Ok(event) => {
                commit::announce(server, &self.resource, &event);
                true
            }
            Err(_) => false,
        }
    }

    fn has_namespace(&self, server: &ApiServer) -> bool {
        let namespace = &*self.entry.meta.namespace;
        let namespaces = ResourceKey { group: "".into(), plural: "namespaces".into() };
        namespace.is_empty() || server.store().get(&namespaces, "", namespace).is_some()
    }

    /// The object as one that was created just now.
    fn draft(&self, now: &str) -> Option<Draft> {
        let mut metadata = self.metadata.clone();
        let members = metadata.as_object_mut()?;
        members.remove("resourceVersion");
        members.insert("uid".to_owned(), random::uid().into());
        members.insert("creationTimestamp".to_owned(), now.into());
        let owners = members.get_mut("managedFields").and_then(Value::as_array_mut);
        for owner in owners.into_iter().flatten() {
            owner["time"] = now.into();
        }
        let meta = Meta::deserialize(&metadata).ok()?;
        let text = metadata.to_string();
        let members = text.strip_prefix('{')?.strip_suffix('}')?;
        Some(self.entry.with_metadata(members.into(), meta))
    }
}
