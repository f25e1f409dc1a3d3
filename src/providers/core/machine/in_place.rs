//! Updates of a Machine in place, by a runtime extension.
//! (CAPI v1.14: core/reconcilers/machine/machine_controller_inplace_update.go)
//!
//! The Machine's owner starts an update: it changes the objects, marks all of them with an
//! annotation and notes the hook UpdateMachine on the Machine. Here the hook is called until it
//! says that it is done; then marks and note go.

use kube::core::ApiResource;
use serde_json::{Map, Value, json};

use super::super::externals::External;
use super::{MachineReconciler, Scope};
use crate::client::ObjectKey;
use crate::contract::labels;
use crate::extensions::documents::shown;
use crate::extensions::{Hook, Request, pending};
use crate::machinery::status::quote;
use crate::runtime::{Outcome, ReconcileError, patch_metadata, patch_object};

/// Reason of the Updating condition while an update goes on.
pub(super) const UPDATING: &str = "InPlaceUpdating";
/// Its message, if the extension gives none.
pub(super) const IN_PROGRESS: &str = "In-place update in progress";
const FAILED: &str = "InPlaceUpdateFailed";

impl MachineReconciler {
    /// Calls the hook of an update that the Machine is marked for.
    pub(super) async fn update_in_place(
        &self,
        scope: &mut Scope,
    ) -> Result<Outcome, ReconcileError> {
        let metadata = &scope.machine.metadata;
        let is_pending = pending::is_pending(metadata, Hook::UpdateMachine);
        if !labels::has_annotation(metadata, labels::UPDATE_IN_PROGRESS) {
            if is_pending {
                self.complete_update(scope).await?;
            }
            return Ok(Outcome::Done);
        }
        // Without the note the owner has not finished its marks; without a Node there is nothing
        // to update yet.
        let is_running = scope.is_infrastructure_provisioned()
            && scope.is_bootstrap_data_created()
            && scope.node_name().is_some();
        if !is_pending || !is_running {
            return Ok(Outcome::Done);
        }
        let Some(infrastructure) = scope.infrastructure.found().cloned() else {
            let message = "In-place update not possible: InfraMachine not found";
            scope.updating = Some((FAILED, message.to_owned()));
            return Err(failed("InfraMachine not found"));
        };
        let bootstrap = scope.bootstrap.found().cloned();
        if !is_marked(&infrastructure) || bootstrap.as_ref().is_some_and(|it| !is_marked(it)) {
            return Ok(Outcome::Done);
        }
        let response = match self.call_update(scope, &infrastructure, bootstrap.as_ref()).await {
            Ok(response) => response,
            Err(why) => {
                let message = "UpdateMachine hook failed: please check controller logs for errors";
                scope.updating = Some((FAILED, message.to_owned()));
                return Err(failed(&why));
            }
        };
        if let Ok(seconds @ 1..) = u64::try_from(response.retry_after_seconds) {
            let message = match response.message.as_str() {
                "" => IN_PROGRESS.to_owned(),
                message => format!("{IN_PROGRESS}: {message}"),
            };
            scope.updating = Some((UPDATING, message));
            return Ok(Outcome::RequeueAfter(std::time::Duration::from_secs(seconds)));
        }
        self.complete_update(scope).await?;
        Ok(Outcome::Done)
    }

    async fn call_update(
        &self,
        scope: &Scope,
        infrastructure: &External,
        bootstrap: Option<&External>,
    ) -> Result<crate::extensions::Response, String> {
        let extensions = &self.context.extensions;
        let handlers = extensions.handlers(Hook::UpdateMachine, &scope.key.namespace).await;
        let handlers = handlers.map_err(|error| error.to_string())?;
        match handlers.as_slice() {
            [] => return Err("no extensions registered for UpdateMachine hook".to_owned()),
            [_] => {}
            several => {
                return Err(format!(
                    "found multiple UpdateMachine hooks ({}): only one hook is supported",
                    several.join(",")
                ));
            }
        }
        let mut machine = json!(scope.machine);
        machine["apiVersion"] = json!("cluster.x-k8s.io/v1beta2");
        machine["kind"] = json!("Machine");
        let mut desired = Map::new();
        desired.insert("machine".to_owned(), shown(machine));
        let object = self.full_object(infrastructure).await?;
        desired.insert("infrastructureMachine".to_owned(), shown(object));
        if let Some(bootstrap) = bootstrap {
            let object = self.full_object(bootstrap).await?;
            desired.insert("bootstrapConfig".to_owned(), shown(object));
        }
        let mut request = Request::new();
        request.insert("desired".to_owned(), Value::Object(desired));
        let response = extensions.call_all_in_time(Hook::UpdateMachine, &scope.key, &request).await;
        response.map_err(|error| error.to_string())
    }

    /// The whole object of a lens.
    async fn full_object(&self, external: &External) -> Result<Value, String> {
        let (resource, key): (&ApiResource, ObjectKey) = (&external.kind.resource, external.key());
        let object = self.context.client.get_dynamic(resource, &key).await;
        let object = object.map_err(|error| error.to_string())?;
        let missing = || format!("{} {} not found", resource.kind, quote(&key.name));
        Ok(json!(object.ok_or_else(missing)?))
    }

    /// Takes the marks from all objects and the note from the Machine. The Machine's mark goes first
    /// and its note last: a Machine that has the note alone is completed by the next reconcile.
    async fn complete_update(&self, scope: &mut Scope) -> Result<(), ReconcileError> {
        let before = scope.machine.clone();
        remove_mark(&mut scope.machine.metadata);
        patch_object(&self.context.client, &before, &scope.machine).await?;
        for external in [&scope.infrastructure, &scope.bootstrap] {
            let Some(external) = external.found().filter(|external| is_marked(external)) else {
                continue;
            };
            let before = &external.object.metadata;
            let mut after = before.clone();
            remove_mark(&mut after);
            patch_metadata(&self.context.client, &external.kind.resource, before, &after).await?;
        }
        pending::mark_done(&mut scope.machine.metadata, Hook::UpdateMachine);
        Ok(())
    }
}

fn failed(why: &str) -> ReconcileError {
    ReconcileError::Other(format!("in-place update failed: {why}"))
}

fn is_marked(external: &External) -> bool {
    labels::has_annotation(&external.object.metadata, labels::UPDATE_IN_PROGRESS)
}

fn remove_mark(metadata: &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(labels::UPDATE_IN_PROGRESS);
    }
}
