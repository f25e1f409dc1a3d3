//! A policy and its bindings, compiled.

use std::sync::Arc;

use serde_json::Value;

use super::texts;
use crate::apiserver::admission::conditions::Conditions;
use crate::apiserver::admission::configuration::Matching;
use crate::apiserver::admission::expressions::{Expected, PolicyCompiler};
use crate::apiserver::admission::webhooks::FailurePolicy;
use crate::machinery::cel::Program;

/// A policy with its bindings.
#[derive(Clone, Debug)]
pub(in crate::apiserver::admission) struct Policy {
    /// Revision of the policy object.
    pub(in crate::apiserver::admission) revision: u64,
    pub(super) name: String,
    /// apiVersion and kind of the parameters.
    pub(super) param_kind: Option<(String, String)>,
    pub(super) matching: Arc<Matching>,
    pub(super) failure_policy: FailurePolicy,
    pub(super) rules: Arc<Rules>,
    pub(in crate::apiserver::admission) bindings: Vec<Arc<Binding>>,
}

/// The expressions of a policy.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) conditions: Conditions,
    pub(super) variables: Vec<(String, Program)>,
    pub(super) validations: Vec<Validation>,
    pub(super) annotations: Vec<(String, Program)>,
    /// What could not be compiled.
    pub(super) failure: Option<String>,
}

/// One validation.
#[derive(Debug)]
pub(super) struct Validation {
    pub(super) expression: String,
    pub(super) program: Program,
    pub(super) message: String,
    pub(super) message_program: Option<(String, Program)>,
    pub(super) reason: Option<String>,
}

/// A binding of a policy.
#[derive(Debug)]
pub(in crate::apiserver::admission) struct Binding {
    pub(in crate::apiserver::admission) revision: u64,
    pub(super) name: String,
    pub(in crate::apiserver::admission) policy: String,
    /// `None` for whatever the policy is about.
    pub(super) matching: Option<Matching>,
    /// `paramRef`; null for none.
    pub(super) param_ref: Value,
    pub(super) actions: Vec<Action>,
}

/// What follows from a failed validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Deny,
    Warn,
    Audit,
}

impl Policy {
    /// Compiles a policy; bindings come later.
    pub(in crate::apiserver::admission) fn parse(policy: &Value, revision: u64) -> Self {
        let spec = &policy["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = &spec["paramKind"];
        Self {
            revision,
            name: text(&policy["metadata"]["name"]),
            param_kind: kind.is_object().then(|| (text(&kind["apiVersion"]), text(&kind["kind"]))),
            matching: Arc::new(Matching::of_policy(&spec["matchConstraints"])),
            failure_policy: FailurePolicy::parse(spec),
            rules: Arc::new(Rules::parse(spec)),
            bindings: Vec::new(),
        }
    }
}

impl Rules {
    fn parse(spec: &Value) -> Self {
        let has_params = spec["paramKind"].is_object();
        let mut compiler = PolicyCompiler::new(has_params);
        let mut rules = Self {
            conditions: Conditions::parse(&spec["matchConditions"], has_params),
            variables: Vec::new(),
            validations: Vec::new(),
            annotations: Vec::new(),
            failure: None,
        };
        // Stored policies were checked; what fails now fails the requests they are about.
        if let Err(why) = rules.compile(spec, &mut compiler) {
            rules.failure = Some(why);
        }
        rules
    }

    fn compile(&mut self, spec: &Value, compiler: &mut PolicyCompiler) -> Result<(), String> {
        let list = |name: &str| spec[name].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for variable in list("variables") {
            let name = text(&variable["name"]);
            let program = compiler.add_variable(&name, &text(&variable["expression"]))?;
            self.variables.push((name, program));
        }
        for validation in list("validations") {
            let expression = text(&validation["expression"]);
            let message = text(&validation["messageExpression"]);
            let message_program = match message.is_empty() {
                true => None,
                false => {
                    let program = compiler.compile(&message, Expected::MESSAGE)?;
                    Some((message, program))
                }
            };
            self.validations.push(Validation {
                program: compiler.compile(&expression, Expected::CONDITION)?,
                expression,
                message: text(&validation["message"]),
                message_program,
                reason: validation["reason"].as_str().map(str::to_owned),
            });
        }
        for annotation in list("auditAnnotations") {
            let expression = text(&annotation["valueExpression"]).trim().to_owned();
            let program = compiler.compile(&expression, Expected::ANNOTATION)?;
            self.annotations.push((expression, program));
        }
        Ok(())
    }
}

impl Binding {
    /// Reads a binding.
    pub(in crate::apiserver::admission) fn parse(binding: &Value, revision: u64) -> Self {
        let spec = &binding["spec"];
        let matching = &spec["matchResources"];
        let actions = texts(&spec["validationActions"]).filter_map(|action| match action {
            "Deny" => Some(Action::Deny),
            "Warn" => Some(Action::Warn),
            "Audit" => Some(Action::Audit),
            _ => None,
        });
        Self {
            revision,
            name: binding["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            policy: spec["policyName"].as_str().unwrap_or_default().to_owned(),
            matching: matching.is_object().then(|| Matching::of_policy(matching)),
            param_ref: spec["paramRef"].clone(),
            actions: actions.collect(),
        }
    }
}
