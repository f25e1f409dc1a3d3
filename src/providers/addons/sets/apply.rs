//! Writes objects into a workload cluster, by either strategy.
//! (CAPI v1.14: clusterresourceset_scope.go)

use std::collections::HashMap;

use serde_json::Value;

use crate::api::addons::ClusterResourceSetSpec;
use crate::client::{Client, ClientError, ObjectKey, ServedResource};
use crate::machinery::gvk::split_api_version;
use crate::machinery::patch::merge;

/// What happens to objects that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// They stay as they are; a resource that was applied once is never applied again.
    ApplyOnce,
    /// They become what the resource says, whenever it changes.
    Reconcile,
}

impl Strategy {
    /// The strategy of a ClusterResourceSet.
    ///
    /// # Errors
    /// Upstream's message for a strategy that does not exist.
    pub(super) fn of(spec: &ClusterResourceSetSpec) -> Result<Self, String> {
        match spec.strategy.as_str() {
            "ApplyOnce" => Ok(Self::ApplyOnce),
            "Reconcile" => Ok(Self::Reconcile),
            other => Err(format!("unsupported or empty resource strategy: {other:?}")),
        }
    }
}

/// Writes into one workload cluster and remembers its kinds.
pub(super) struct Applier<'a> {
    client: &'a Client,
    strategy: Strategy,
    kinds: HashMap<(String, String), ServedResource>,
}

impl<'a> Applier<'a> {
    pub(super) fn new(client: &'a Client, strategy: Strategy) -> Self {
        Self { client, strategy, kinds: HashMap::new() }
    }

    /// Applies objects in order; one that fails does not keep the others.
    ///
    /// # Errors
    /// All failures in one text, as Go aggregates errors.
    pub(super) async fn apply(&mut self, objects: &[Value]) -> Result<(), String> {
        let mut errors = Vec::new();
        for object in objects {
            if let Err(error) = self.apply_one(object).await
                && !errors.contains(&error)
            {
                errors.push(error);
            }
        }
        aggregate(&errors).map_or(Ok(()), Err)
    }

    async fn apply_one(&mut self, object: &Value) -> Result<(), String> {
        let named = described(object);
        let served = match self.served(object).await {
            Ok(served) => served,
            Err(error) if self.strategy == Strategy::Reconcile => {
                return Err(format!("reading object {named}: {error}"));
            }
            Err(error) => return Err(format!("creating object {named}: {error}")),
        };
        let mut object = object.clone();
        if !served.is_namespaced
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.remove("namespace");
        }
        match self.strategy {
            Strategy::ApplyOnce => match self.create(&served, &object).await {
                Err(error) if !error.is_already_exists() => {
                    Err(format!("creating object {named}: {error}"))
                }
                Ok(()) | Err(_) => Ok(()),
            },
            Strategy::Reconcile => self.update(&served, &object, &named).await,
        }
    }

    async fn update(
        &self,
        served: &ServedResource,
        object: &Value,
        named: &str,
    ) -> Result<(), String> {
        let key = key_of(object);
        if served.is_namespaced && key.namespace.is_empty() {
            let refusal = "an empty namespace may not be set when a resource name is provided";
            return Err(format!("reading object {named}: {refusal}"));
        }
        if key.name.is_empty() {
            return Err(format!("reading object {named}: resource name may not be empty"));
        }
        let current = self.client.get_dynamic(&served.resource, &key).await;
        let current = current.map_err(|error| format!("reading object {named}: {error}"))?;
        let Some(current) = current else {
            let created = self.create(served, object).await;
            return created.map_err(|error| format!("creating object {named}: {error}"));
        };
        let Some(patch) = difference(&current, object) else { return Ok(()) };
        let patched = self.client.merge_patch_dynamic(&served.resource, &key, "", &patch).await;
        patched.map(|_| ()).map_err(|error| format!("patching object {named}: {error}"))
    }

    async fn create(&self, served: &ServedResource, object: &Value) -> Result<(), ClientError> {
        self.client.create_dynamic(&served.resource, object).await.map(|_| ())
    }

    /// The resource of an object. Kinds that are not there are asked for again: an object before
    /// this one may have defined them.
    async fn served(&mut self, object: &Value) -> Result<ServedResource, String> {
        let (api_version, kind) = (text(object, "apiVersion"), text(object, "kind"));
        let id = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.kinds.get(&id) {
            return Ok(known.clone());
        }
        let found = self.client.discover(api_version, kind).await;
        let found = found.map_err(|error| error.to_string())?;
        let Some(served) = found.filter(|_| !api_version.is_empty() && !kind.is_empty()) else {
            return Err(format!("no matches for kind {kind:?} in version {api_version:?}"));
        };
        self.kinds.insert(id, served.clone());
        Ok(served)
    }
}

/// The merge patch that makes an object what it should be, and takes away what was not asked for;
/// the server's own metadata stay. `None` if there is nothing to do.
fn difference(current: &Value, wanted: &Value) -> Option<Value> {
    let mut wanted = wanted.clone();
    for field in ["uid", "creationTimestamp", "generation", "managedFields", "resourceVersion"] {
        if wanted["metadata"].is_object() {
            wanted["metadata"][field] = current["metadata"][field].clone();
        }
    }
    if wanted.get("status").is_none() && current.get("status").is_some() {
        wanted["status"] = current["status"].clone();
    }
    let mut patch = merge::diff(current, &wanted)?;
    // Nobody else may have changed it in between.
    patch["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
    Some(patch)
}

/// Errors as Go shows an aggregate of them; `None` if there are none.
pub(super) fn aggregate(errors: &[String]) -> Option<String> {
    match errors {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

fn key_of(object: &Value) -> ObjectKey {
    let metadata = &object["metadata"];
    ObjectKey::new(text(metadata, "namespace"), text(metadata, "name"))
}

/// `apps/v1, Kind=Deployment ns/name`.
fn described(object: &Value) -> String {
    let (group, version) = split_api_version(text(object, "apiVersion"));
    format!("{group}/{version}, Kind={} {}", text(object, "kind"), key_of(object))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_name_objects_as_upstream_does() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "namespace": "n"}});
        assert_eq!(described(&object), "/v1, Kind=ConfigMap n/a");
        let errors = ["a".to_owned(), "b".to_owned()];
        assert_eq!(aggregate(&errors).as_deref(), Some("[a, b]"));
        assert_eq!(aggregate(&errors[..1]).as_deref(), Some("a"));
    }

    #[test]
    fn what_was_not_asked_for_goes_and_the_servers_metadata_stay() {
        let current = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7",
            "labels": {"x": "y"}}, "data": {"a": "1", "b": "2"}, "status": {"s": 1}});
        let wanted = json!({"metadata": {"name": "a"}, "data": {"a": "1"}});
        assert_eq!(
            difference(&current, &wanted),
            Some(
                json!({"metadata": {"labels": null, "resourceVersion": "7"}, "data": {"b": null}})
            )
        );
        let same = json!({"metadata": {"name": "a", "labels": {"x": "y"}},
            "data": {"a": "1", "b": "2"}});
        assert_eq!(difference(&current, &same), None);
    }
}
