//! What fresh clusters have in common, kept so that only the first cluster goes to the trouble of
//! creating it.

use std::collections::HashMap;
use std::sync::Arc;

use kube::core::ApiResource;
use parking_lot::Mutex;
use serde_json::Value;

use crate::apiserver::{ApiServer, Template};

/// Objects that are kept; clusters of a few versions and networks have fewer.
const KEPT_MAX: usize = 256;

/// Objects by the text with which they were created. Shared by all clusters of a host.
#[derive(Default)]
pub(super) struct Templates {
    /// Read and written for a moment, when a cluster gets its first objects.
    known: Mutex<HashMap<String, Arc<Template>>>,
}

impl Templates {
    /// Creates the object that `text` describes, if another cluster created it before.
    pub(super) fn create(&self, server: &ApiServer, text: &str) -> bool {
        let template = self.known.lock().get(text).cloned();
        template.is_some_and(|template| template.create(server))
    }

    /// Keeps an object that was created from `text`.
    pub(super) fn keep(
        &self,
        server: &ApiServer,
        resource: &ApiResource,
        created: &Value,
        text: String,
    ) {
        let ApiResource { group, version, plural, .. } = resource;
        let Some(template) = Template::of(server, (group, version, plural), created) else {
            return;
        };
        let mut known = self.known.lock();
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(text, Arc::new(template));
    }
}
