//! Runtime extensions as the patch engine and the lifecycle hooks ask for them.
//! (CAPI v1.14: core/reconcilers/topology/cluster/patches/external, exp/topology/desiredstate)

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::hooks::{self, Answer, ExtensionPlan};
use super::patches::{External, GeneratedPatch, PatchType, Request};
use crate::api::core::Cluster;
use crate::api::topology::{ClusterClassPatch, ExternalPatch};
use crate::client::ObjectKey;
use crate::extensions::documents::{self, GeneratedPatches, UpgradePlan, UpgradeStep};
use crate::extensions::{self, ExtensionError, Extensions, Hook};
use crate::runtime::ReconcileError;

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

impl hooks::Extensions for Extensions {
    fn is_enabled(&self) -> bool {
        self.is_in_use()
    }

    fn call<'a>(
        &'a self,
        hook: hooks::Hook,
        cluster: &'a Cluster,
        request: Value,
    ) -> BoxFuture<'a, Result<Option<Answer>, ReconcileError>> {
        async move {
            let hook = catalogued(hook);
            let object = ObjectKey::of(cluster);
            let handlers = self.handlers(hook, &object.namespace).await.map_err(other)?;
            if handlers.is_empty() {
                return Ok(None);
            }
            let response = self.call_all(hook, &object, &with_cluster(cluster, request)).await;
            let response = response.map_err(other)?;
            Ok(Some(Answer {
                // A negative time is no time to wait for.
                retry_after_seconds: u32::try_from(response.retry_after_seconds).unwrap_or(0),
                message: response.message,
            }))
        }
        .boxed()
    }

    fn upgrade_plan<'a>(
        &'a self,
        extension: &'a str,
        cluster: &'a Cluster,
        request: Value,
    ) -> BoxFuture<'a, Result<ExtensionPlan, ReconcileError>> {
        async move {
            let (hook, object) = (Hook::GenerateUpgradePlan, ObjectKey::of(cluster));
            let key = format!("{object}: {request}");
            let request = with_cluster(cluster, request);
            let response = self.call_once_for(hook, &object, extension, key, &request).await;
            let plan: UpgradePlan = response.map_err(other)?.decode().map_err(|why| {
                other(ExtensionError(format!(
                    "failed to call extension handler {extension:?}: http call failed: failed to \
                     decode response: {why}"
                )))
            })?;
            let versions = |steps: Option<Vec<UpgradeStep>>| {
                steps.unwrap_or_default().into_iter().map(|step| step.version).collect()
            };
            Ok((versions(plan.control_plane_upgrades), versions(plan.workers_upgrades)))
        }
        .boxed()
    }
}

fn other(error: ExtensionError) -> ReconcileError {
    ReconcileError::Other(error.to_string())
}

fn catalogued(hook: hooks::Hook) -> Hook {
    match hook {
        hooks::Hook::BeforeClusterCreate => Hook::BeforeClusterCreate,
        hooks::Hook::AfterControlPlaneInitialized => Hook::AfterControlPlaneInitialized,
        hooks::Hook::BeforeClusterUpgrade => Hook::BeforeClusterUpgrade,
        hooks::Hook::BeforeControlPlaneUpgrade => Hook::BeforeControlPlaneUpgrade,
        hooks::Hook::AfterControlPlaneUpgrade => Hook::AfterControlPlaneUpgrade,
        hooks::Hook::BeforeWorkersUpgrade => Hook::BeforeWorkersUpgrade,
        hooks::Hook::AfterWorkersUpgrade => Hook::AfterWorkersUpgrade,
        hooks::Hook::AfterClusterUpgrade => Hook::AfterClusterUpgrade,
        hooks::Hook::BeforeClusterDelete => Hook::BeforeClusterDelete,
    }
}

/// A request about a Cluster with more fields; those that say nothing are left out, as Go does.
fn with_cluster(cluster: &Cluster, more: Value) -> extensions::Request {
    let mut request = documents::with_cluster(cluster);
    if let Value::Object(more) = more {
        request
            .extend(more.into_iter().filter(|(_, value)| {
                !(value == "" || value.as_array().is_some_and(Vec::is_empty))
            }));
    }
    request
}
