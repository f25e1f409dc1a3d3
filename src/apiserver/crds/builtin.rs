//! CustomResourceDefinition objects of kinds that the server serves natively.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{key, status};
use crate::apiserver::{ApiServer, random};
use crate::machinery::crd;
use crate::machinery::definition::ResourceDefinition;
use crate::store::Draft;

/// Serves `definitions` if the server does not yet, and stores a CustomResourceDefinition for each
/// resource, established from the start, with the labels that `labels` gives for it. If no version
/// says that it is the storage version, the first one is. Objects that exist are left alone,
/// which makes a restart over a kept store cheap.
pub fn install_builtin_crds(
    server: &ApiServer,
    definitions: &[ResourceDefinition],
    labels: impl Fn(&ResourceDefinition) -> BTreeMap<String, String>,
) {
    let missing: Vec<ResourceDefinition> = definitions
        .iter()
        .filter(|it| server.resolve(&it.group, &it.version, &it.plural).is_none())
        .cloned()
        .collect();
    if !missing.is_empty() {
        server.install(missing);
    }
    let Some(key) = key(server) else { return };
    let now = format!("{:.0}", server.clock().now());
    for versions in by_resource(definitions) {
        let name = format!("{}.{}", versions[0].plural, versions[0].group);
        if server.store().get(&key, "", &name).is_some() {
            continue;
        }
        let storage = versions[0].version.clone();
        let object = crd::manifest(&versions, &labels(versions[0]));
        if let Some(draft) = draft(object, &storage, &now) {
            // Whoever was faster with this name keeps it.
            let _ = server.store().create(&key, draft);
        }
    }
}

/// Gathers the versions of each resource, the storage version first and then in the order given.
fn by_resource(definitions: &[ResourceDefinition]) -> Vec<Vec<&ResourceDefinition>> {
    let mut resources: Vec<Vec<&ResourceDefinition>> = Vec::new();
    for definition in definitions {
        let same = resources.iter_mut().find(|versions| {
            versions[0].group == definition.group && versions[0].plural == definition.plural
        });
        match same {
            Some(versions) => versions.push(definition),
            None => resources.push(vec![definition]),
        }
    }
    for versions in &mut resources {
        versions.sort_by_key(|definition| !definition.serving.stored);
    }
    resources
}

/// The object as it is after its creation and establishment.
fn draft(mut object: Value, storage: &str, now: &str) -> Option<Draft> {
    object["status"] = json!({ "storedVersions": [storage] });
    if let Some(settled) = status::steps(&object, status::Taken::default, now).pop() {
        object["status"] = settled;
    }
    let metadata = object["metadata"].as_object_mut()?;
    metadata.insert("uid".to_owned(), random::uid().into());
    metadata.insert("generation".to_owned(), 1.into());
    metadata.insert("creationTimestamp".to_owned(), now.into());
    super::draft(object, Box::default(), 0)
}
