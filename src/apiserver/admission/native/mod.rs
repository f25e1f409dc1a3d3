//! The plug-ins that kube-apiserver has switched on by default, as far as they show here and are
//! not part of the kinds' rules. (kubernetes 1.36: pkg/kubeapiserver/options/plugins.go)
//!
//! `ServiceAccount` is there if the server's options ask for it, as
//! `OwnerReferencesPermissionEnforcement` is.

mod claims;
mod ingresses;
mod limits;
mod limits_check;
mod nodes;
pub(super) mod owner_references;
mod priority;
mod runtime_class;
mod service_account;

use std::sync::Arc;

use serde_json::Value;

use super::attributes::{Attributes, Operation};
use crate::apiserver::ApiServer;
use crate::apiserver::route::Call;
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::Status;
use crate::store::{Entry, RangeQuery, ResourceKey};

/// What a plug-in says: nothing, or why not.
type Verdict = Result<(), Box<Status>>;

/// A plug-in, for one kind.
pub(super) struct Plugin {
    /// Name, by which it is switched off.
    pub(super) name: &'static str,
    /// Whether it has anything to do with a new or changed object.
    pub(super) needed: fn(&Call<'_>, &Value) -> bool,
    /// Changes an object, or refuses the request. The second object is the stored one.
    pub(super) admit: fn(&Attributes<'_>, &mut Value, Option<&Value>) -> Verdict,
    /// Refuses a request.
    pub(super) approve: fn(&Attributes<'_>, &Value, Option<&Value>) -> Verdict,
}

/// A plug-in that does nothing.
const NOTHING: Plugin =
    Plugin { name: "", needed: |_, _| false, admit: |_, _, _| Ok(()), approve: |_, _, _| Ok(()) };

const NEW_POD: &[Plugin] = &[limits::POD, service_account::POD, priority::POD, runtime_class::POD];
const CHANGED_POD: &[Plugin] = &[priority::CHANGED_POD];
const NEW_CLAIM: &[Plugin] = &[limits::CLAIM, claims::DEFAULT_CLASS];
const CHANGED_CLAIM: &[Plugin] = &[limits::CLAIM, claims::DEFAULT_CLASS, claims::RESIZE];
const PRIORITY_CLASS: &[Plugin] = &[priority::CLASS];
const NEW_NODE: &[Plugin] = &[nodes::TAINT];
const NEW_INGRESS: &[Plugin] = &[ingresses::DEFAULT_CLASS];

/// The plug-ins that have a say about a request, in their order.
pub(super) fn plugins(call: &Call<'_>, operation: Operation) -> &'static [Plugin] {
    if !call.resource.is_built_in() || !call.info.subresource.is_empty() {
        return &[];
    }
    match (&*call.resource.key.group, &*call.resource.key.plural, operation) {
        ("", "pods", Operation::Create) => NEW_POD,
        ("", "pods", Operation::Update) => CHANGED_POD,
        ("", "nodes", Operation::Create) => NEW_NODE,
        ("", "persistentvolumeclaims", Operation::Create) => NEW_CLAIM,
        ("", "persistentvolumeclaims", Operation::Update) => CHANGED_CLAIM,
        ("networking.k8s.io", "ingresses", Operation::Create) => NEW_INGRESS,
        ("scheduling.k8s.io", "priorityclasses", Operation::Create | Operation::Update) => {
            PRIORITY_CLASS
        }
        _ => &[],
    }
}

fn key(group: &str, plural: &str) -> ResourceKey {
    ResourceKey { group: group.into(), plural: plural.into() }
}

fn has_any(server: &ApiServer, group: &str, plural: &str) -> bool {
    server.store().count(&key(group, plural)) > 0
}

fn get(server: &ApiServer, (group, plural): (&str, &str), name: &str) -> Option<Value> {
    let entry = server.store().get(&key(group, plural), "", name)?;
    serde_json::from_slice(&entry.raw).ok()
}

/// The objects of a resource in a namespace, or without one, by name.
fn all(server: &ApiServer, (group, plural): (&str, &str), namespace: &str) -> Vec<Value> {
    let resource = key(group, plural);
    let query = RangeQuery {
        resource: &resource,
        namespace: Some(namespace),
        after: None,
        at: None,
        limit: 0,
    };
    let parse = |entry: &Arc<Entry>| serde_json::from_slice(&entry.raw).ok();
    let page = server.store().range(query, |_| true);
    page.map(|page| page.entries.iter().filter_map(parse).collect()).unwrap_or_default()
}

/// 403 for the object of a request.
fn forbidden(attributes: &Attributes<'_>, object: &Value, why: &str) -> Box<Status> {
    let definition = &attributes.resource().definition;
    let about =
        GroupResource { group: definition.group.clone(), resource: definition.plural.clone() };
    let objects = super::configuration::Objects { object: Some(object), old: None };
    Status::forbidden(&about, &super::policies::shown_name(attributes, objects), why)
}

/// The default among classes: the one that an annotation marks; of several the newest, and of those
/// the first by name.
fn default_class(classes: Vec<Value>, annotation: &str) -> Option<Value> {
    let is_default = |class: &Value| class["metadata"]["annotations"][annotation] == "true";
    let time = |class: &Value| {
        class["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned()
    };
    let mut defaults: Vec<Value> = classes.into_iter().filter(is_default).collect();
    // Stable: names stay in order.
    defaults.sort_by_key(|class| std::cmp::Reverse(time(class)));
    defaults.into_iter().next()
}
