//! What expressions see of a request.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/cel/{activation,condition}.go)

use std::sync::Arc;

use serde_json::{Value, json};

use super::attributes::Attributes;
use super::configuration::Objects;
use super::request;
use crate::apiserver::profile::Resource;
use crate::apiserver::{ApiServer, Identity, authorization};
use crate::machinery::cel::{
    Activation, Authorizer, Check, CostBudget, Decision, EvalErrorKind, Program, Val, authorizer,
    resource_check,
};
use crate::store::ResourceKey;

/// What is said when expressions cost too much together.
const OUT_OF_BUDGET: &str = "validation failed due to running out of cost budget, no further \
                             validation rules will be run";

/// What the variables of expressions stand for.
pub(super) struct Inputs<'a> {
    objects: Objects<'a>,
    request: Value,
    namespace: Value,
    authorizer: Arc<dyn Authorizer>,
    resource_check: Check,
}

/// Why an expression has no value.
pub(super) enum Failure {
    /// It fails.
    Evaluation(String),
    /// Nothing more may be evaluated.
    Budget(String),
}

impl<'a> Inputs<'a> {
    /// Of a request whose objects are shown in the version of `resource`.
    pub(super) fn new(
        attributes: &Attributes<'_>,
        resource: &Resource,
        objects: Objects<'a>,
    ) -> Self {
        let call = attributes.call;
        let own = &attributes.resource().definition;
        Self {
            objects,
            request: request::describe(attributes, resource),
            namespace: Value::Null,
            authorizer: Arc::new(Judge {
                server: call.server.clone(),
                identity: call.identity.clone(),
            }),
            resource_check: Check {
                group: own.group.to_string(),
                resource: own.plural.to_string(),
                subresource: attributes.subresource().to_owned(),
                namespace: attributes.namespace.clone(),
                name: attributes.name.clone(),
                ..Check::default()
            },
        }
    }

    /// The same with the request's namespace, if it has one.
    pub(super) fn with_namespace(mut self, attributes: &Attributes<'_>) -> Self {
        if !attributes.resource().is("", "namespaces") && !attributes.namespace.is_empty() {
            self.namespace = namespace(attributes.call.server, &attributes.namespace);
        }
        self
    }

    /// Values of the variables.
    pub(super) fn activation<'b>(&'b self, params: Option<&'b Value>) -> Activation<'b>
    where
        'a: 'b,
    {
        let value = |object: Option<&'b Value>| object.map_or(Val::Null, Val::json);
        let check = self.resource_check.clone();
        Activation::new()
            .with("object", value(self.objects.object))
            .with("oldObject", value(self.objects.old))
            .with("request", Val::json(&self.request))
            .with("namespaceObject", Val::json(&self.namespace))
            .with("params", value(params))
            .with("authorizer", authorizer(self.authorizer.clone()))
            .with("authorizer.requestResource", resource_check(self.authorizer.clone(), check))
    }
}

/// Evaluates an expression.
///
/// # Errors
/// What upstream says of it.
pub(super) fn evaluate<'a>(
    (expression, program): (&str, &Program),
    activation: &Activation<'a>,
    budget: &mut CostBudget,
) -> Result<Val<'a>, Failure> {
    program.evaluate(activation, budget).map_err(|error| match error.kind() {
        EvalErrorKind::Budget => Failure::Budget(OUT_OF_BUDGET.to_owned()),
        EvalErrorKind::NoSuchOverload | EvalErrorKind::CallLimit | EvalErrorKind::Other => {
            Failure::Evaluation(format!("expression '{expression}' resulted in error: {error}"))
        }
    })
}

/// What expressions see of a namespace.
fn namespace(server: &ApiServer, name: &str) -> Value {
    let key = ResourceKey { group: "".into(), plural: "namespaces".into() };
    let entry = server.store().get(&key, "", name);
    let object: Option<Value> = entry.and_then(|entry| serde_json::from_slice(&entry.raw).ok());
    let Some(mut object) = object else { return Value::Null };
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        metadata.remove("ownerReferences");
    }
    json!({
        "metadata": object["metadata"], "spec": object["spec"], "status": object["status"],
    })
}

/// Answers the checks of expressions as the server would answer requests.
struct Judge {
    server: ApiServer,
    identity: Identity,
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Authorizer for Judge {
    fn decide(&self, check: &Check) -> Decision {
        let identity = match &check.service_account {
            Some((namespace, name)) => service_account(namespace, name),
            None => self.identity.clone(),
        };
        let path = check.path.as_deref().unwrap_or_default();
        let request = authorization::Attributes {
            is_resource: check.path.is_none(),
            verb: &check.verb,
            group: &check.group,
            resource: &check.resource,
            subresource: &check.subresource,
            name: &check.name,
            namespace: &check.namespace,
            path,
        };
        let decision = authorization::decide(&self.server, &request, &identity);
        Decision { allowed: decision.is_allowed, reason: decision.reason, error: None }
    }
}

fn service_account(namespace: &str, name: &str) -> Identity {
    let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}")];
    Identity::new(&format!("system:serviceaccount:{namespace}:{name}"), groups).authenticated()
}
