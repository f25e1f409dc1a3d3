//! Who may do what: members of `system:masters` everything, others what roles grant that are bound
//! to them. (kubernetes 1.36: plugin/pkg/auth/authorizer/rbac)

mod aggregation;
mod attributes;
mod bindings;
mod coverage;
mod defaults;
mod escalation;
mod index;
mod policy;
mod rules;

#[cfg(test)]
mod tests;

pub(crate) use aggregation::{aggregated_rules, is_aggregated};
pub(crate) use attributes::Attributes;
pub use defaults::install as install_default_roles;
pub(super) use escalation::check as check_escalation;
pub(crate) use policy::Policy;
pub(crate) use rules::Rule;

use std::ops::ControlFlow;

use super::ApiServer;
use super::access::AuthorizationMode;
use super::authentication::{Identity, MASTERS};
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::{Access, Status};
use index::Visit;

/// What was decided about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) is_allowed: bool,
    /// Why, where there is something to say.
    pub(crate) reason: String,
}

/// Decides whether `identity` may send a request.
///
/// # Errors
/// 403, worded as kube-apiserver words it.
pub(crate) fn require(
    server: &ApiServer,
    request: &Attributes<'_>,
    identity: &Identity,
) -> Result<(), Box<Status>> {
    if is_superuser(server, identity) {
        return Ok(());
    }
    match evaluate(server, request, identity, |_, _| ()) {
        Ok(()) => Ok(()),
        Err(reason) => Err(forbidden(request, identity, &reason)),
    }
}

/// Decides whether `identity` may send a request, and says why.
pub(crate) fn decide(
    server: &ApiServer,
    request: &Attributes<'_>,
    identity: &Identity,
) -> Decision {
    if is_superuser(server, identity) {
        return Decision { is_allowed: true, reason: String::new() };
    }
    let why = |binding: &bindings::Binding, subject: &bindings::Subject| {
        format!("RBAC: allowed by {}", binding.describe(subject))
    };
    match evaluate(server, request, identity, why) {
        Ok(reason) => Decision { is_allowed: true, reason },
        Err(reason) => Decision { is_allowed: false, reason },
    }
}

/// Whether nothing has to be looked up.
fn is_superuser(server: &ApiServer, identity: &Identity) -> bool {
    identity.is_member(MASTERS) || server.access().mode == AuthorizationMode::AlwaysAllow
}

/// Looks for a rule that allows the request.
///
/// # Errors
/// What went wrong while looking; mostly nothing.
fn evaluate<T>(
    server: &ApiServer,
    request: &Attributes<'_>,
    identity: &Identity,
    found: impl Fn(&bindings::Binding, &bindings::Subject) -> T,
) -> Result<T, String> {
    if server.access().mode == AuthorizationMode::AlwaysDeny {
        return Err("Everything is forbidden.".to_owned());
    }
    let mut missing = Vec::new();
    let outcome = server.policy().with(server.store(), |index| {
        index.visit(identity, request.namespace, |visit| match visit {
            Visit::Rule(binding, subject, rule) if rule.allows(request) => {
                ControlFlow::Break(found(binding, subject))
            }
            Visit::Rule(..) => ControlFlow::Continue(()),
            Visit::Missing(message) => {
                missing.push(message);
                ControlFlow::Continue(())
            }
        })
    });
    match outcome {
        ControlFlow::Break(found) => Ok(found),
        ControlFlow::Continue(()) if missing.is_empty() => Err(String::new()),
        ControlFlow::Continue(()) => Err(format!("RBAC: {}", aggregate(missing))),
    }
}

/// Every rule that applies to a user in a namespace, and what could not be read.
pub(crate) fn rules_for(
    server: &ApiServer,
    identity: &Identity,
    namespace: &str,
) -> (Vec<Rule>, Vec<String>) {
    let (mut rules, mut missing) = (Vec::new(), Vec::new());
    server.policy().with(server.store(), |index| {
        let outcome = index.visit(identity, namespace, |visit| {
            match visit {
                Visit::Rule(_, _, rule) => rules.push(rule.clone()),
                Visit::Missing(message) => missing.push(message),
            }
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(outcome.is_continue(), "the visitor never ends early");
    });
    (rules, missing)
}

/// 403 for a request, with a reason if there is one.
pub(super) fn forbidden(
    request: &Attributes<'_>,
    identity: &Identity,
    reason: &str,
) -> Box<Status> {
    let mut status = if request.is_resource {
        Status::forbidden_access(Access {
            user: &identity.user,
            verb: request.verb,
            resource: &GroupResource::new(request.group, request.resource),
            subresource: request.subresource,
            name: request.name,
            namespace: request.namespace,
        })
    } else {
        Status::forbidden_path(&identity.user, request.verb, request.path)
    };
    if !reason.is_empty() {
        status.message.push_str(": ");
        status.message.push_str(reason);
    }
    status
}

/// Errors as Go's aggregate shows them: each once, several in brackets.
pub(crate) fn aggregate(errors: Vec<String>) -> String {
    let mut listed: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        if !listed.contains(&error) {
            listed.push(error);
        }
    }
    if let [only] = listed.as_slice() {
        return only.clone();
    }
    format!("[{}]", listed.join(", "))
}
