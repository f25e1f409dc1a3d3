//! The webhooks and policies that are in force, compiled.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde_json::Value;

use super::webhooks::{Hook, Phase};
use crate::apiserver::ApiServer;
use crate::apiserver::profile::Resource;
use crate::store::{Entry, RangeQuery, ResourceKey};

/// API group of configurations and policies.
const GROUP: &str = "admissionregistration.k8s.io";

/// What of admission a server has of its own.
#[derive(Default)]
pub(crate) struct Admission {
    /// `None` while nothing is configured. Replaced as a whole by [`Admission::refresh`]; writes
    /// take the `Arc` and go on with it.
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    /// Held while a snapshot is made, so that the last one knows the last write.
    refreshing: Mutex<()>,
}

/// What is in force at one moment.
pub(super) struct Snapshot {
    /// Webhooks by configuration name, and in the order of the configuration.
    pub(super) mutating: Vec<Arc<Hook>>,
    /// Likewise.
    pub(super) validating: Vec<Arc<Hook>>,
}

/// Whether writes of a resource change what is in force, and admission leaves them alone.
pub(crate) fn is_configuration(resource: &Resource) -> bool {
    *resource.key.group == *GROUP
}

impl Admission {
    /// Whether anything is in force.
    pub(crate) fn is_active(&self) -> bool {
        self.snapshot.read().is_some()
    }

    /// What is in force, if anything is.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.read().clone()
    }

    /// Reads all configurations anew; called after each write of one.
    pub(crate) fn refresh(&self, server: &ApiServer) {
        let _guard = self.refreshing.lock();
        let before = self.snapshot();
        let known = |phase| before.as_ref().map(|it| it.hooks(phase).to_vec()).unwrap_or_default();
        let snapshot = Snapshot {
            mutating: hooks(server, Phase::Mutating, &known(Phase::Mutating)),
            validating: hooks(server, Phase::Validating, &known(Phase::Validating)),
        };
        *self.snapshot.write() = (!snapshot.is_empty()).then(|| Arc::new(snapshot));
    }
}

impl Snapshot {
    fn is_empty(&self) -> bool {
        self.mutating.is_empty() && self.validating.is_empty()
    }

    fn hooks(&self, phase: Phase) -> &[Arc<Hook>] {
        match phase {
            Phase::Mutating => &self.mutating,
            Phase::Validating => &self.validating,
        }
    }
}

/// The webhooks of all configurations; those of configurations that did not change are taken over.
fn hooks(server: &ApiServer, phase: Phase, known: &[Arc<Hook>]) -> Vec<Arc<Hook>> {
    let mut hooks = Vec::new();
    for entry in entries(server, phase.plural()) {
        let before = known.iter().filter(|hook| hook.revision == entry.revision);
        let mut before = before.cloned().peekable();
        if before.peek().is_some() {
            hooks.extend(before);
            continue;
        }
        let configuration: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
        let list = configuration["webhooks"].as_array().into_iter().flatten();
        for (index, webhook) in list.enumerate() {
            let of = (&*entry.meta.name, entry.revision);
            hooks.push(Arc::new(Hook::parse(of, index, webhook)));
        }
    }
    hooks
}

/// The objects of a resource of the group, by name.
pub(super) fn entries(server: &ApiServer, plural: &str) -> Vec<Arc<Entry>> {
    let resource = ResourceKey { group: GROUP.into(), plural: plural.into() };
    let query =
        RangeQuery { resource: &resource, namespace: None, after: None, at: None, limit: 0 };
    server.store().range(query, |_| true).map(|page| page.entries).unwrap_or_default()
}
