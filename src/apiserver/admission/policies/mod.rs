//! ValidatingAdmissionPolicies and their bindings.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/policy/validating)

mod compiled;
mod evaluation;
mod params;
mod status;
mod typing;

pub(super) use compiled::{Binding, Policy};
pub(super) use status::update as update_status;

use std::sync::Arc;

use serde_json::Value;

use super::attributes::Attributes;
use super::configuration::Objects;
use super::inputs::Inputs;
use super::versions;
use super::webhooks::FailurePolicy;
use crate::apiserver::profile::Resource;
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::{Cause, Status};
use compiled::Action;
use evaluation::Decision;

/// Plural names of the configurations.
pub(super) const POLICIES: &str = "validatingadmissionpolicies";
pub(super) const BINDINGS: &str = "validatingadmissionpolicybindings";

/// Asks the policies that are about the request. Whatever is to be told to the client is added to
/// `warnings`.
///
/// # Errors
/// The first denial, in the order of policies and bindings.
pub(super) async fn approve(
    policies: &[Arc<Policy>],
    attributes: &Attributes<'_>,
    objects: Objects<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), Box<Status>> {
    let mut first_denial = Ok(());
    for policy in policies {
        let outcome = policy.approve(attributes, objects, warnings).await;
        if first_denial.is_ok() {
            first_denial = outcome;
        }
    }
    first_denial
}

impl Policy {
    async fn approve(
        &self,
        attributes: &Attributes<'_>,
        objects: Objects<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Box<Status>> {
        let resource = match self.matching.resource(attributes, objects) {
            Ok(Some(resource)) => resource,
            Ok(None) => return Ok(()),
            Err(status) => return self.misconfigured(attributes, objects, None, &status.message),
        };
        if let Some(why) = params::unknown_kind(attributes.call.server, self) {
            return self.misconfigured(attributes, objects, None, &why);
        }
        let mut first_denial = Ok(());
        for binding in &self.bindings {
            let outcome =
                self.approve_binding(binding, (attributes, &resource), objects, warnings).await;
            if first_denial.is_ok() {
                first_denial = outcome;
            }
        }
        first_denial
    }

    async fn approve_binding(
        &self,
        binding: &Binding,
        (attributes, resource): (&Attributes<'_>, &Arc<Resource>),
        objects: Objects<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Box<Status>> {
        let misconfigured =
            |why: &str| self.misconfigured(attributes, objects, Some(&binding.name), why);
        if let Some(matching) = &binding.matching {
            match matching.resource(attributes, objects) {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(status) => return misconfigured(&status.message),
            }
        }
        let params = match params::collect(attributes, self, binding).await {
            Ok(params) => params,
            Err(why) => return misconfigured(&why),
        };
        let shown = match versions::shown(attributes, resource, objects).await {
            Ok(shown) => shown,
            Err(status) => {
                return misconfigured(&format!("failed to convert object version: {status}"));
            }
        };
        let shown = shown.as_ref().map_or(objects, versions::Shown::objects);
        let inputs = Inputs::new(attributes, resource, shown).with_namespace(attributes);
        let mut first_denial = Ok(());
        for params in &params {
            for decision in self.evaluate(&inputs, params.as_ref()) {
                let denied = self.act(binding, (attributes, objects), &decision, warnings);
                if first_denial.is_ok() {
                    first_denial = denied;
                }
            }
        }
        first_denial
    }

    /// Does what the binding wants done about a failed validation.
    fn act(
        &self,
        binding: &Binding,
        (attributes, objects): (&Attributes<'_>, Objects<'_>),
        decision: &Decision,
        warnings: &mut Vec<String>,
    ) -> Result<(), Box<Status>> {
        if decision.is_final {
            return Err(self.denial(attributes, objects, Some(&binding.name), decision));
        }
        let mut outcome = Ok(());
        for action in &binding.actions {
            match action {
                Action::Deny => {
                    outcome = Err(self.denial(attributes, objects, Some(&binding.name), decision));
                }
                Action::Warn => warnings.push(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                    self.name, binding.name, decision.message
                )),
                // Nobody keeps an audit log.
                Action::Audit => {}
            }
        }
        outcome
    }

    /// What cannot be asked refuses, if it must.
    fn misconfigured(
        &self,
        attributes: &Attributes<'_>,
        objects: Objects<'_>,
        binding: Option<&str>,
        why: &str,
    ) -> Result<(), Box<Status>> {
        if self.failure_policy == FailurePolicy::Ignore {
            return Ok(());
        }
        let what = if binding.is_some() { "binding" } else { "policy" };
        let message = format!("failed to configure {what}: {why}");
        let decision = Decision { message, reason: None, is_final: false };
        Err(self.denial(attributes, objects, binding, &decision))
    }

    fn denial(
        &self,
        attributes: &Attributes<'_>,
        objects: Objects<'_>,
        binding: Option<&str>,
        decision: &Decision,
    ) -> Box<Status> {
        let with = binding.map(|binding| format!(" with binding '{binding}'")).unwrap_or_default();
        let message = format!(
            "ValidatingAdmissionPolicy '{}'{with} denied request: {}",
            self.name, decision.message
        );
        let key = &attributes.resource().definition;
        let about = GroupResource { group: key.group.clone(), resource: key.plural.clone() };
        let mut status = Status::forbidden(&about, &shown_name(attributes, objects), &message);
        status.reason = decision.reason.as_deref().unwrap_or("Invalid").to_owned();
        status.code = match status.reason.as_str() {
            "Forbidden" => 403,
            "Unauthorized" => 401,
            "RequestEntityTooLarge" => 413,
            _ => 422,
        };
        let cause = Cause { reason: String::new(), message, field: String::new() };
        status.details.get_or_insert_default().causes.push(cause);
        status
    }
}

/// The object's name as refusals of admission give it.
/// (kubernetes 1.36: apiserver/pkg/admission/errors.go, extractResourceName)
pub(super) fn shown_name(attributes: &Attributes<'_>, objects: Objects<'_>) -> String {
    let text = |field: &str| -> Option<String> {
        let text = objects.object?["metadata"][field].as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    match attributes.name.as_str() {
        "" => text("name").or_else(|| text("generateName")).unwrap_or_else(|| "Unknown".to_owned()),
        name => name.to_owned(),
    }
}

/// The strings of a list.
fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
