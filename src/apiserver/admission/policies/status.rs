//! The status of policies: what type checks say. Upstream a controller writes it; here it is
//! written in the same breath as the policy.
//! (kubernetes 1.36: pkg/controller/validatingadmissionpolicystatus)

use serde_json::{Map, Value};

use super::{POLICIES, typing};
use crate::apiserver::{ApiServer, write};
use crate::store::Entry;

/// Checks a policy whose spec is new, and writes what comes of it into its status.
pub(in crate::apiserver::admission) fn update(server: &ApiServer, entry: &Entry) {
    let Some(resource) = server.resolve("admissionregistration.k8s.io", "v1", POLICIES) else {
        return;
    };
    let Ok(mut policy) = serde_json::from_slice::<Value>(&entry.raw) else { return };
    let generation = entry.meta.generation;
    if policy["status"]["observedGeneration"] == generation {
        return;
    }
    let warnings = typing::warnings(server, &policy);
    let mut checks = Map::new();
    if !warnings.is_empty() {
        checks.insert("expressionWarnings".to_owned(), warnings.into());
    }
    policy["status"]["observedGeneration"] = generation.into();
    policy["status"]["typeChecking"] = checks.into();
    let Ok(draft) = write::encode(resource.version(), &policy) else { return };
    // Whoever changed the policy in the meantime has it checked again.
    let _ = server.store().update(&resource.key, entry.revision, draft);
}
