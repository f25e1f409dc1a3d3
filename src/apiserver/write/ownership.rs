//! Who owns which field: keeps metadata.managedFields of every write.

use serde_json::Value;

use super::pipeline::{Target, Write};
use super::{kinds, metadata};
use crate::machinery::managed_fields::{self, Force, Writer};
use crate::machinery::status::Status;

impl Write<'_> {
    /// Records an update: the request's manager owns what differs from `old`.
    pub(super) fn track(&mut self, old: Option<&Value>, new: &mut Value) {
        let held = self.ownership.take();
        let resource = self.call.resource.clone();
        let schema = resource.definition.schema.root();
        let status = self.hide_status(old, new);
        let zero;
        let before = match old {
            Some(old) => old,
            None => {
                zero = kinds::zero_object(&self.call.resource);
                &zero
            }
        };
        self.with_writer(|writer| match held {
            Some(held) => managed_fields::update_held(before, held, new, writer, schema),
            None => managed_fields::update(before, new, writer, schema),
        });
        if let Some(status) = status {
            new["status"] = status;
        }
        if let Some(metadata) = new["metadata"].as_object_mut()
            && metadata.get("managedFields").is_some_and(|list| *list == Value::Array(Vec::new()))
        {
            metadata.remove("managedFields");
        }
    }

    /// Takes away what the server itself wrote into status along with a write of the main
    /// resource: the client does not own it.
    fn hide_status(&self, old: Option<&Value>, new: &mut Value) -> Option<Value> {
        let has_status = self.call.resource.definition.subresources.status;
        if self.target != Target::Main || !has_status {
            return None;
        }
        let before = old.map(|old| &old["status"]);
        if before == new.get("status") {
            return None;
        }
        match before.filter(|status| !status.is_null()) {
            Some(before) => Some(std::mem::replace(&mut new["status"], before.clone())),
            None => new.as_object_mut()?.remove("status"),
        }
    }

    /// Applies a configuration to the live object, or to nothing.
    pub(super) fn apply(
        &self,
        live: Option<&Value>,
        applied: &Value,
    ) -> Result<Value, Box<Status>> {
        let schema = self.call.resource.definition.schema.root();
        let force = if self.options.force { Force::Yes } else { Force::No };
        self.with_writer(|writer| managed_fields::apply(live, applied, writer, force, schema))
    }

    fn with_writer<T>(&self, act: impl FnOnce(&Writer<'_>) -> T) -> T {
        act(&Writer {
            manager: &self.manager(),
            subresource: self.target.subresource(),
            api_version: &self.call.resource.api_version,
            now: &metadata::timestamp(self.now),
        })
    }
}
