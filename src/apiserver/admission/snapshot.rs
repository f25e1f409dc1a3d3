//! The webhooks and policies that are in force, compiled.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use serde_json::Value;

use super::policies::{self, BINDINGS, Binding, POLICIES, Policy};
use super::service_ip::ServiceAddresses;
use super::webhooks::{Hook, Phase};
use crate::apiserver::ApiServer;
use crate::apiserver::profile::Resource;
use crate::store::{Entry, Event, EventKind, RangeQuery, ResourceKey};

/// API group of configurations and policies.
const GROUP: &str = "admissionregistration.k8s.io";
/// How stored policies begin.
const POLICY_PREFIX: &str =
    r#"{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","#;

/// What of admission a server has of its own.
#[derive(Default)]
pub(crate) struct Admission {
    /// `None` while nothing is configured. Replaced as a whole by [`Admission::refresh`]; writes
    /// take the `Arc` and go on with it.
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    /// What Services have.
    services: ServiceAddresses,
    /// Held while a snapshot is made, so that the last one knows the last write.
    refreshing: Mutex<()>,
}

/// What is in force at one moment.
pub(super) struct Snapshot {
    /// Webhooks by configuration name, and in the order of the configuration.
    pub(super) mutating: Vec<Arc<Hook>>,
    /// Likewise.
    pub(super) validating: Vec<Arc<Hook>>,
    /// Policies that have bindings, by name.
    pub(super) policies: Vec<Arc<Policy>>,
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

    /// Addresses and node ports of Services.
    pub(crate) fn services(&self) -> &ServiceAddresses {
        &self.services
    }

    /// What is in force, if anything is.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.read().clone()
    }

    /// Reads all configurations anew; called after each write of one.
    pub(crate) fn refresh(&self, server: &ApiServer, event: &Event) {
        let is_policy = event.entry.prefix() == POLICY_PREFIX.as_bytes();
        if is_policy && event.kind != EventKind::Deleted {
            policies::update_status(server, &event.entry);
        }
        let _guard = self.refreshing.lock();
        let before = self.snapshot();
        let known = |phase| before.as_ref().map(|it| it.hooks(phase).to_vec()).unwrap_or_default();
        let snapshot = Snapshot {
            mutating: hooks(server, Phase::Mutating, &known(Phase::Mutating)),
            validating: hooks(server, Phase::Validating, &known(Phase::Validating)),
            policies: policies(server, before.as_deref()),
        };
        *self.snapshot.write() = (!snapshot.is_empty()).then(|| Arc::new(snapshot));
    }
}

impl Snapshot {
    fn is_empty(&self) -> bool {
        self.mutating.is_empty() && self.validating.is_empty() && self.policies.is_empty()
    }

    pub(super) fn hooks(&self, phase: Phase) -> &[Arc<Hook>] {
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
        let configuration = parse(&entry);
        let list = configuration["webhooks"].as_array().into_iter().flatten();
        for (index, webhook) in list.enumerate() {
            let of = (&*entry.meta.name, entry.revision);
            hooks.push(Arc::new(Hook::parse(of, index, webhook)));
        }
    }
    hooks
}

/// The policies that have bindings, with them; what did not change is taken over.
fn policies(server: &ApiServer, before: Option<&Snapshot>) -> Vec<Arc<Policy>> {
    let known = before.map(|before| before.policies.as_slice()).unwrap_or_default();
    let bindings = || known.iter().flat_map(|policy| &policy.bindings);
    let bindings: Vec<Arc<Binding>> = entries(server, BINDINGS)
        .iter()
        .map(|entry| {
            let before = bindings().find(|binding| binding.revision == entry.revision);
            before
                .cloned()
                .unwrap_or_else(|| Arc::new(Binding::parse(&parse(entry), entry.revision)))
        })
        .collect();
    let mut policies = Vec::new();
    for entry in entries(server, POLICIES) {
        let own = bindings.iter().filter(|binding| *binding.policy == *entry.meta.name);
        let own: Vec<Arc<Binding>> = own.cloned().collect();
        if own.is_empty() {
            continue;
        }
        let before = known.iter().find(|policy| policy.revision == entry.revision);
        let mut policy = match before {
            Some(policy) => policy.as_ref().clone(),
            None => Policy::parse(&parse(&entry), entry.revision),
        };
        policy.bindings = own;
        policies.push(Arc::new(policy));
    }
    policies
}

fn parse(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.raw).unwrap_or_default()
}

/// The objects of a resource of the group, by name.
pub(super) fn entries(server: &ApiServer, plural: &str) -> Vec<Arc<Entry>> {
    let resource = ResourceKey { group: GROUP.into(), plural: plural.into() };
    let query =
        RangeQuery { resource: &resource, namespace: None, after: None, at: None, limit: 0 };
    server.store().range(query, |_| true).map(|page| page.entries).unwrap_or_default()
}
