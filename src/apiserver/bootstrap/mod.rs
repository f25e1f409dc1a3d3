//! Objects that a fresh cluster has: APIServices of what is served, flow schemas and priority
//! levels, the system's priority classes, the block of Service addresses.
//!
//! A server makes those of a resource when the resource is first asked for: most of the thousand
//! servers of a playground never are. APIServices follow what is served from then on. Objects that
//! were deleted or changed stay as they are.

mod api_services;
#[cfg(test)]
mod tests;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::ApiServer;
use super::profile::Resource;
use super::strategy::{flowcontrol, scheduling};
use super::write::encode;
use super::{random, write};
use crate::machinery::zeros;

/// Which objects of a fresh cluster a kind has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objects {
    ApiServices,
    FlowSchemas,
    PriorityClasses,
    PriorityLevels,
    ServiceCidrs,
}

/// Which of them a server has made. Written under its own lock by whoever asks first.
#[derive(Default)]
pub(super) struct Made {
    /// Those that are made once.
    once: Mutex<Vec<Objects>>,
    /// Generation of the resources that APIServices describe; `None` until somebody asks.
    api_services: Mutex<Option<u64>>,
}

/// Makes the objects of a resource that is asked for, unless they are made.
pub(super) fn ensure(server: &ApiServer, resource: &Resource, objects: Objects) {
    if objects == Objects::ApiServices {
        return api_services::follow(server, resource);
    }
    let mut once = server.bootstrap().once.lock();
    if once.contains(&objects) {
        return;
    }
    for object in fresh(objects, server.options().service_range.cidr()) {
        create(server, resource, object);
    }
    once.push(objects);
}

/// Lets APIServices follow a change of what is served, if anybody ever asked for them.
pub(super) fn resources_changed(server: &ApiServer) {
    if server.bootstrap().api_services.lock().is_none() {
        return;
    }
    if let Some(resource) = server.resolve(api_services::GROUP, "v1", "apiservices") {
        api_services::follow(server, &resource);
    }
}

/// The objects of a fresh cluster.
fn fresh(objects: Objects, service_cidr: &str) -> Vec<Value> {
    let kept = |name: &str, spec: &Value| {
        let annotations = json!({"apf.kubernetes.io/autoupdate-spec": "true"});
        json!({"metadata": {"name": name, "annotations": annotations}, "spec": spec})
    };
    match objects {
        Objects::ApiServices => Vec::new(),
        Objects::FlowSchemas => {
            let schemas = flowcontrol::bootstrap::schemas();
            schemas.iter().map(|(name, spec)| with_level(kept(name, spec))).collect()
        }
        Objects::PriorityLevels => {
            let levels = flowcontrol::bootstrap::levels();
            levels.iter().map(|(name, spec)| kept(name, spec)).collect()
        }
        Objects::PriorityClasses => scheduling::SYSTEM_CLASSES
            .iter()
            .map(|(name, value, description)| {
                json!({
                    "metadata": {"name": name},
                    "value": value,
                    "description": description,
                    "preemptionPolicy": "PreemptLowerPriority",
                })
            })
            .collect(),
        Objects::ServiceCidrs => vec![json!({
            "metadata": {
                "name": "kubernetes",
                "finalizers": ["networking.k8s.io/service-cidr-finalizer"],
            },
            "spec": {"cidrs": [service_cidr]},
            "status": {"conditions": [{
                "type": "Ready",
                "status": "True",
                "reason": "",
                "message": "Kubernetes Service CIDR is ready",
                "lastTransitionTime": null,
            }]},
        })],
    }
}

/// A flow schema whose priority level is there.
fn with_level(mut schema: Value) -> Value {
    let level = schema["spec"]["priorityLevelConfiguration"]["name"].to_string();
    let message = format!(
        "This FlowSchema references the PriorityLevelConfiguration object named {level} \
                 and it exists"
    );
    schema["status"] = json!({"conditions": [{
        "type": "Dangling",
        "status": "False",
        "reason": "Found",
        "message": message,
        "lastTransitionTime": null,
    }]});
    schema
}

/// Stores an object unless its name is taken. Conditions hold since now.
fn create(server: &ApiServer, resource: &Resource, mut object: Value) {
    let now = format!("{:.0}", server.clock().now());
    let metadata = &mut object["metadata"];
    metadata["uid"] = random::uid().into();
    metadata["creationTimestamp"] = now.as_str().into();
    if write::has_generation(resource) {
        metadata["generation"] = 1.into();
    }
    let conditions = object.get_mut("status").and_then(|status| status.get_mut("conditions"));
    for condition in conditions.and_then(Value::as_array_mut).into_iter().flatten() {
        condition["lastTransitionTime"] = now.as_str().into();
    }
    if let Some(component) = resource.definition.schema.component_name() {
        zeros::fill(component, &mut object);
    }
    if let Ok(draft) = encode(resource.version(), &object) {
        // Whoever was faster with this name keeps it.
        let _ = server.store().create(&resource.key, draft);
    }
}
