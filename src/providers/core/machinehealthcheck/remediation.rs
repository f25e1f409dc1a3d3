//! What happens to healthy and unhealthy Machines: conditions that ask their owners to act, and
//! remediation objects of other providers. (CAPI v1.14: machinehealthcheck_controller.go)

use jiff::Timestamp;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::allowed::allowed;
use super::targets::Target;
use super::{HealthCheckReconciler, Scope};
use crate::api::core::ContractRef;
use crate::api::health_check::RemediationTemplateRef;
use crate::client::{ObjectKey, Propagation};
use crate::contract::conditions::{self, New, set, set_v1beta1, v1beta1};
use crate::contract::template::{CloneInput, clone_template};
use crate::contract::{machines, owners, paused};
use crate::machinery::gvk::split_api_version;
use crate::runtime::{EventType, Outcome, ReconcileError, patch_object};

const REMEDIATED: &str = "OwnerRemediated";
const EXTERNALLY_REMEDIATED: &str = "ExternallyRemediated";
const WAITING: &str = "WaitingForRemediation";
const ALLOWED: &str = "RemediationAllowed";

impl HealthCheckReconciler {
    /// Acts on what was found, if the limits allow it.
    pub(super) async fn remediate(&self, scope: &mut Scope) -> Result<Outcome, ReconcileError> {
        let now = self.context.clock.now();
        let status = scope.status();
        let total = status.expected_machines.unwrap_or(0);
        let healthy = status.current_healthy.unwrap_or(0);
        let allowed = allowed(&scope.trigger(), total, healthy, scope.unhealthy.len());
        let allowed = allowed.map_err(|error| {
            ReconcileError::Other(format!("error checking if remediation is allowed: {error}"))
        })?;
        let outcome = scope.next.map_or(Outcome::Done, Outcome::RequeueAfter);
        if let Some(message) = allowed.restriction {
            scope.status().remediations_allowed = Some(0);
            scope.set_v1beta1(v1beta1::no(ALLOWED, "TooManyUnhealthy", "Warning", &message), now);
            scope.set(New::no(ALLOWED, "TooManyUnhealthy", message.as_str()), now);
            if !scope.unhealthy.is_empty() {
                let about = &scope.check;
                self.recorder.event(about, EventType::Warning, "RemediationRestricted", message);
            }
            let mut result = Ok(());
            for target in scope.healthy.iter().chain(&scope.unhealthy) {
                result = result.and(self.write(target).await);
            }
            return result.map(|()| outcome);
        }
        scope.status().remediations_allowed = Some(allowed.left);
        scope.set_v1beta1(v1beta1::yes(ALLOWED), now);
        scope.set(New::yes(ALLOWED, ALLOWED), now);
        let unhealthy = self.mark_unhealthy(scope, now).await;
        let healthy = self.mark_healthy(scope).await;
        unhealthy.and(healthy).map(|()| outcome)
    }

    async fn write(&self, target: &Target) -> Result<(), ReconcileError> {
        patch_object(&self.context.client, &*target.before, &target.machine).await?;
        Ok(())
    }

    /// Writes the conditions of healthy Machines; remediation objects are no longer needed. As
    /// upstream does, where another provider remediates only Machines with such an object are told.
    async fn mark_healthy(&self, scope: &Scope) -> Result<(), ReconcileError> {
        let template = scope.template();
        let mut result = Ok(());
        for target in &scope.healthy {
            if let Some(template) = &template {
                match self.withdraw(scope, template, target).await {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => {
                        result = result.and(Err(error));
                        continue;
                    }
                }
            }
            result = result.and(self.write(target).await);
        }
        result
    }

    /// Deletes a Machine's remediation object; false if there is none.
    async fn withdraw(
        &self,
        scope: &Scope,
        template: &RemediationTemplateRef,
        target: &Target,
    ) -> Result<bool, ReconcileError> {
        let resource = self.resource(template, &request_kind(template));
        let Some(request) = self.request(scope, &resource, target).await? else {
            return Ok(false);
        };
        if request["metadata"]["deletionTimestamp"].is_null() {
            let key = request_key(scope, target);
            self.context.client.delete_dynamic(&resource, &key, Propagation::Default).await?;
        }
        Ok(true)
    }

    async fn request(
        &self,
        scope: &Scope,
        resource: &ApiResource,
        target: &Target,
    ) -> Result<Option<Value>, ReconcileError> {
        let key = request_key(scope, target);
        Ok(self.context.client.get_dynamic(resource, &key).await?)
    }

    /// Asks the owners of unhealthy Machines, or another provider, for remediation. What goes
    /// wrong with another provider's objects ends it for this time, as upstream does.
    async fn mark_unhealthy(
        &self,
        scope: &mut Scope,
        now: Timestamp,
    ) -> Result<(), ReconcileError> {
        let template = scope.template();
        let mut unhealthy = std::mem::take(&mut scope.unhealthy);
        let mut result = Ok(());
        for target in &mut unhealthy {
            if !paused::is_paused(Some(&scope.cluster), &target.machine.metadata) {
                match &template {
                    Some(template)
                        if !self.request_remediation(scope, template, target, now).await? =>
                    {
                        return result;
                    }
                    Some(_) => {}
                    None if !machines::is_deleting(&target.machine) => ask_owner(target, now),
                    None => {}
                }
            }
            if let Err(error) = self.write(target).await {
                result = result.and(Err(error));
                continue;
            }
            let machine = ObjectKey::of(&target.machine);
            let message =
                format!("Machine {machine} has been marked as unhealthy by {}", scope.key);
            let about = &target.machine;
            self.recorder.event(about, EventType::Normal, "MachineMarkedUnhealthy", message);
        }
        scope.unhealthy = unhealthy;
        result
    }

    /// Makes a remediation object for a Machine; false if there is one.
    async fn request_remediation(
        &self,
        scope: &mut Scope,
        template: &RemediationTemplateRef,
        target: &mut Target,
        now: Timestamp,
    ) -> Result<bool, ReconcileError> {
        let resource = self.resource(template, &request_kind(template));
        if matches!(self.request(scope, &resource, target).await, Ok(Some(_))) {
            return Ok(false);
        }
        let found = match self.template(scope, template).await {
            Ok(found) => found,
            Err(error) => {
                template_missing(scope, template, target, &error, now);
                return Err(error);
            }
        };
        let group = split_api_version(&template.api_version).0.to_owned();
        let reference = ContractRef {
            api_group: group,
            kind: template.kind.clone(),
            name: template.name.clone(),
        };
        let empty = std::collections::BTreeMap::new();
        let request = clone_template(&CloneInput {
            template: &found,
            reference: &reference,
            namespace: &scope.key.namespace,
            name: machines::name(&target.machine),
            cluster_name: &target.machine.spec.cluster_name,
            owner: Some(owners::owner_of(&target.machine)),
            labels: &empty,
            annotations: &empty,
        });
        if let Err(error) = self.context.client.create_dynamic(&resource, &request).await {
            let text = error.to_string();
            let reason = "ExternalRemediationRequestCreationFailed";
            let kind = "ExternalRemediationRequestAvailable";
            scope.set_v1beta1(v1beta1::no(kind, reason, "Error", &text), now);
            let message = "Please check controller logs for errors";
            let reason = "RemediationRequestCreationFailed";
            put(target, New::no(EXTERNALLY_REMEDIATED, reason, message), now);
            return Err(error.into());
        }
        put(target, New::no(EXTERNALLY_REMEDIATED, WAITING, ""), now);
        Ok(true)
    }

    async fn template(
        &self,
        scope: &Scope,
        template: &RemediationTemplateRef,
    ) -> Result<Value, ReconcileError> {
        let resource = self.resource(template, &template.kind);
        let key = ObjectKey::new(scope.key.namespace.as_str(), template.name.as_str());
        let failed = |error: &str| {
            ReconcileError::Other(format!("failed to retrieve {} {key}: {error}", template.kind))
        };
        match self.context.client.get_dynamic(&resource, &key).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => {
                let group = split_api_version(&template.api_version).0;
                let resource = format!("{}.{group}", resource.plural);
                Err(failed(&format!("{resource} {:?} not found", template.name)))
            }
            Err(error) => Err(failed(&error.to_string())),
        }
    }

    /// How to talk about a kind that a template reference names by group and version.
    fn resource(&self, template: &RemediationTemplateRef, kind: &str) -> ApiResource {
        let (group, version) = split_api_version(&template.api_version);
        let reference =
            ContractRef { api_group: group.to_owned(), kind: kind.to_owned(), name: String::new() };
        let gvk = GroupVersionKind::gvk(group, version, kind);
        match self.context.externals.kind(&reference) {
            Ok(known) => ApiResource::from_gvk_with_plural(&gvk, &known.resource.plural),
            Err(_) => ApiResource::from_gvk(&gvk),
        }
    }
}

/// Says that a template does not exist.
fn template_missing(
    scope: &mut Scope,
    template: &RemediationTemplateRef,
    target: &mut Target,
    error: &ReconcileError,
    now: Timestamp,
) {
    let kind = "ExternalRemediationTemplateAvailable";
    let reason = "ExternalRemediationTemplateNotFound";
    scope.set_v1beta1(v1beta1::no(kind, reason, "Error", &error.to_string()), now);
    let message = format!(
        "Error retrieving remediation template {} {}/{}",
        template.kind, scope.key.namespace, template.name
    );
    put(target, New::no(EXTERNALLY_REMEDIATED, "RemediationTemplateNotFound", message), now);
}

fn request_kind(template: &RemediationTemplateRef) -> String {
    template.kind.strip_suffix("Template").unwrap_or(&template.kind).to_owned()
}

fn request_key(scope: &Scope, target: &Target) -> ObjectKey {
    ObjectKey::new(scope.key.namespace.as_str(), machines::name(&target.machine))
}

fn put(target: &mut Target, new: New, now: Timestamp) {
    let generation = target.machine.metadata.generation;
    let status = target.machine.status.get_or_insert_default();
    set(&mut status.conditions, new, generation, now);
}

/// Asks a Machine's owner for remediation. A remediation that goes on is the owner's to report; one
/// that is done is asked for again.
fn ask_owner(target: &mut Target, now: Timestamp) {
    let generation = target.machine.metadata.generation;
    let status = target.machine.status.get_or_insert_default();
    let older = &mut super::super::v1beta1_status(&mut status.deprecated).conditions;
    if v1beta1::get(older, REMEDIATED).is_none_or(|condition| condition.status == "True") {
        set_v1beta1(older, v1beta1::no(REMEDIATED, WAITING, "Warning", ""), now);
    }
    let held = conditions::get(&status.conditions, REMEDIATED);
    if held.is_none_or(|condition| condition.status == "True") {
        let new = New::no(REMEDIATED, WAITING, "Waiting for remediation");
        set(&mut status.conditions, new, generation, now);
    }
}
