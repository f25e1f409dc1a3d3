//! Runtime extensions as the patch engine asks for them.
//! (CAPI v1.14: core/reconcilers/topology/cluster/patches/external)

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::patches::{External, GeneratedPatch, PatchType, Request};
use crate::api::core::Cluster;
use crate::api::topology::{ClusterClassPatch, ExternalPatch};
use crate::client::ObjectKey;
use crate::extensions::documents::GeneratedPatches;
use crate::extensions::{self, Extensions, Hook};

impl External for Extensions {
    fn generate<'a>(
        &'a self,
        patch: &'a ClusterClassPatch,
        cluster: &'a Cluster,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Vec<GeneratedPatch>, String>> {
        async move {
            let Some(external) = &patch.external else { return Ok(Vec::new()) };
            let (hook, name) = (Hook::GeneratePatches, &external.generate_patches_extension);
            let request = document(request, external);
            let object = ObjectKey::of(cluster);
            let response = self.call(hook, &object, name, &request).await;
            let response = response.map_err(|error| error.to_string())?;
            let failed = |why: String| {
                format!(
                    "failed to call extension handler {name:?}: http call failed: failed to decode \
                     response: {why}"
                )
            };
            let generated: GeneratedPatches = response.decode().map_err(failed)?;
            let generated = generated.items.unwrap_or_default().into_iter().map(|item| {
                let patch_type = match item.patch.patch_type.as_str() {
                    "JSONPatch" => PatchType::Json,
                    "JSONMergePatch" => PatchType::JsonMerge,
                    other => return Err(failed(format!("unknown patchType {other:?}"))),
                };
                let patch = item.patch.text().map_err(failed)?;
                Ok(GeneratedPatch { uid: item.uid, patch_type, patch })
            });
            generated.collect()
        }
        .boxed()
    }

    fn validate<'a>(
        &'a self,
        patch: &'a ClusterClassPatch,
        cluster: &'a Cluster,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let Some(external) = &patch.external else { return Ok(()) };
            let (hook, name) = (Hook::ValidateTopology, &external.validate_topology_extension);
            let mut request = document(request, external);
            let items = request.get_mut("items").and_then(Value::as_array_mut);
            for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
                item.remove("uid");
            }
            let object = ObjectKey::of(cluster);
            let response = self.call(hook, &object, name, &request).await;
            response.map(drop).map_err(|error| error.to_string())
        }
        .boxed()
    }
}

/// The fields of a request document, with the patch's settings.
fn document(request: &Request, external: &ExternalPatch) -> extensions::Request {
    let mut document = match json!(request) {
        Value::Object(fields) => fields,
        _ => extensions::Request::new(),
    };
    if !external.settings.is_empty() {
        document.insert("settings".to_owned(), json!(external.settings));
    }
    document
}
