//! APIServices: which versions of which groups the server serves.
//! (kubernetes 1.36: kube-apiserver's aggregator, autoregister and crdregistration controllers)

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::create;
use crate::apiserver::ApiServer;
use crate::apiserver::profile::Resource;
use crate::apiserver::strategy::apiregistration::prepare_create;
use crate::machinery::definition::Origin;
use crate::store::RangeQuery;

pub(super) const GROUP: &str = "apiregistration.k8s.io";

/// Marks what is kept up to date: `onstart` for Kubernetes' own groups, `true` for others.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// Kubernetes' own groups and their priorities. Reviews are no resources, but are served.
const PRIORITIES: [(&str, i64); 20] = [
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("apiextensions.k8s.io", 16_700),
    ("admissionregistration.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
    ("resource.k8s.io", 15_900),
];
const OWN_PRIORITY: (i64, i64) = (1000, 100);
/// Groups whose only resources are questions.
const REVIEWS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];

/// Makes APIServices say what is served now. Only those that are kept up to date are touched.
pub(super) fn follow(server: &ApiServer, resource: &Resource) {
    let mut described = server.bootstrap().api_services.lock();
    let resources = server.resources();
    if *described == Some(resources.generation) {
        return;
    }
    let mut wanted: BTreeMap<String, Value> = BTreeMap::new();
    for definition in resources.definitions.iter().filter(|it| &*it.group != GROUP) {
        let is_own = definition.origin == Origin::BuiltIn;
        let (name, service) = service(&definition.group, &definition.version, is_own);
        wanted.entry(name).or_insert(service);
    }
    for group in REVIEWS {
        let (name, service) = service(group, "v1", true);
        wanted.entry(name).or_insert(service);
    }
    let query =
        RangeQuery { resource: &resource.key, namespace: None, after: None, at: None, limit: 0 };
    // The latest state is never compacted.
    let Ok(page) = server.store().range(query, |_| true) else { return };
    for entry in &page.entries {
        let is_managed = entry.meta.labels.get(MANAGED).is_some();
        if wanted.remove(&*entry.meta.name).is_none() && is_managed {
            // Whoever changed it at this very moment keeps it until the next change.
            let _ = server.store().delete(&resource.key, ("", &entry.meta.name), entry.revision);
        }
    }
    for (_, service) in wanted {
        create(server, resource, service);
    }
    *described = Some(resources.generation);
}

/// Name and object of a version of a group.
fn service(group: &str, version: &str, is_own: bool) -> (String, Value) {
    let (minimum, priority) = match PRIORITIES.iter().find(|(known, _)| *known == group) {
        Some((_, minimum)) if is_own => (*minimum, own_priority(group, version)),
        _ => OWN_PRIORITY,
    };
    let name = format!("{version}.{group}");
    let managed = if is_own { "onstart" } else { "true" };
    let mut spec = json!({
        "version": version, "groupPriorityMinimum": minimum, "versionPriority": priority,
    });
    if !group.is_empty() {
        spec["group"] = group.into();
    }
    let metadata = json!({"name": name, "labels": {MANAGED: managed}});
    let mut service = json!({"metadata": metadata, "spec": spec});
    prepare_create(&mut service);
    (name, service)
}

fn own_priority(group: &str, version: &str) -> i64 {
    match (group, version) {
        ("", _) => 1,
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io", _) => 21,
        _ => 15,
    }
}
